"""Drawing: a pure function of a picture and a scale.

At scale 1 an image has 128 x 128 pixels; the same picture at scale 4 shows the small print (labels, SPECIMEN) that a
person needs. Fonts are the DejaVu family that matplotlib ships.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neuralgate.pairs.drawn.documents import CELL, DOCUMENT_COLUMNS, DOCUMENT_ROWS, FIGURE, GRID, Document, Picture, layout, value_parts
from neuralgate.pairs.images import file_of
from neuralgate.pairs.subjects import Look, Subject, load_subjects

PAPER = {
    "red": (242, 138, 128),
    "green": (140, 212, 140),
    "blue": (140, 176, 246),
    "yellow": (244, 226, 104),
    "purple": (206, 150, 232),
    "gray": (206, 206, 206),
}
SOLID = {
    "red": (214, 40, 40),
    "green": (30, 150, 50),
    "blue": (40, 80, 220),
    "yellow": (240, 205, 30),
    "purple": (150, 50, 190),
    "black": (25, 25, 25),
}
INKS = ((15, 15, 20), (20, 20, 80), (60, 15, 15), (10, 55, 25))
FONTS = ("DejaVuSansMono-Bold", "DejaVuSans-Bold", "DejaVuSerif-Bold", "DejaVuSansMono")


@lru_cache(maxsize=64)
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    return ImageFont.truetype(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf", size)


@lru_cache(maxsize=16384)
def _text(text: str, font: str, size: int, width: int, height: int) -> Image.Image:
    """``text`` as a mask of exactly ``width`` x ``height`` pixels, squeezed horizontally where it is too wide."""
    face = load_font(font, size)
    left, top, right, bottom = face.getbbox(text)
    mask = Image.new("L", (max(int(right - left), 1), max(int(bottom - top), 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=face)
    if mask.width > width or mask.height > height:
        mask = mask.resize((min(mask.width, width), min(mask.height, height)), Image.Resampling.BILINEAR)
    box = Image.new("L", (width, height))
    box.paste(mask, ((width - mask.width) // 2, (height - mask.height) // 2))
    return box


class _Sheet:
    """One document's canvas in cell coordinates."""

    def __init__(self, document: Document, look: Look, scale: int) -> None:
        self.unit = CELL * scale
        self.scale = scale
        self.document = document
        self.look = look
        self.paper = PAPER[document.values["colour"]]
        self.ink = INKS[document.ink]
        self.size = (DOCUMENT_COLUMNS * self.unit, DOCUMENT_ROWS * self.unit)
        self.image = Image.new("RGB", self.size, self.paper)
        self.mask = Image.new("L", self.size, 255)
        self.draw = ImageDraw.Draw(self.image)

    def box(self, row: float, column: float, rows: float, columns: float, inset: float = 0) -> tuple[int, ...]:
        u, i = self.unit, inset * self.scale
        return (int(column * u + i), int(row * u + i), int((column + columns) * u - i - 1), int((row + rows) * u - i - 1))

    def write(self, text: str, row: float, column: float, font: str, size: float, width: float, height: float, fill: Any) -> None:
        mask = _text(text, font, max(int(size * self.scale), 1), int(width * self.scale), int(height * self.scale))
        self.image.paste(fill, (int(column * self.unit), int(row * self.unit)), mask)

    def shade(self, amount: float) -> tuple[int, ...]:
        return tuple(int(value * amount) for value in self.paper)


def _frame(sheet: _Sheet) -> None:
    """The outline that tells the type at a glance."""
    draw, s = ImageDraw.Draw(sheet.mask), sheet.scale
    width, height = sheet.size
    dark = sheet.shade(0.55)
    match sheet.look.frame:
        case "card":
            draw.rectangle((0, 0, width, height), fill=0)
            draw.rounded_rectangle((0, 0, width - 1, height - 1), 6 * s, fill=255)
        case "page":
            draw.polygon([(width - 9 * s, 0), (width, 0), (width, 9 * s)], fill=0)
            sheet.draw.polygon([(width - 9 * s, 0), (width - 9 * s, 9 * s), (width, 9 * s)], fill=dark)
        case "booklet":
            sheet.draw.rectangle((0, 0, 2 * s, height), fill=dark)
        case "screen":
            draw.rectangle((0, 0, width, height), fill=0)
            draw.rounded_rectangle((0, 0, width - 1, height - 1), 9 * s, fill=255)
            sheet.draw.rectangle((0, 0, width, 2 * s), fill=(30, 30, 30))
            sheet.draw.rectangle((0, height - 2 * s, width, height), fill=(30, 30, 30))
        case "torn":
            for x in range(0, width, 6 * s):
                draw.polygon([(x, height), (x + 3 * s, height - 3 * s), (x + 6 * s, height)], fill=0)
        case "vehicle":
            draw.rectangle((0, 0, 14 * s, 6 * s), fill=0)
            for x in range(8, 112, 20):
                sheet.draw.ellipse((x * s, height - 5 * s, (x + 9) * s, height + 4 * s), fill=(30, 30, 30))
        case "plate":
            for x, y in ((4, 4), (104, 4), (4, 56), (104, 56)):
                sheet.draw.ellipse((x * s, y * s, (x + 4) * s, (y + 4) * s), fill=dark)
        case "sign":
            sheet.draw.rectangle((0, 0, width, 3 * s), fill=dark)
            sheet.draw.rectangle((0, height - 3 * s, width, height), fill=dark)
        case "ticket":
            for y in range(2, 64, 9):
                draw.ellipse((-3 * s, y * s, 3 * s, (y + 6) * s), fill=0)
                draw.ellipse((width - 3 * s, y * s, width + 3 * s, (y + 6) * s), fill=0)


def _border(sheet: _Sheet, style: str) -> None:
    width, height = sheet.size
    s = sheet.scale
    black = (20, 20, 20)
    if style == "solid":
        sheet.draw.rectangle((0, 0, width - 1, height - 1), outline=black, width=2 * s)
    elif style == "dashed":
        for x in range(0, width, 10 * s):
            for y in (0, height - 2 * s):
                sheet.draw.rectangle((x, y, x + 5 * s, y + 2 * s - 1), fill=black)
        for y in range(0, height, 10 * s):
            for x in (0, width - 2 * s):
                sheet.draw.rectangle((x, y, x + 2 * s - 1, y + 5 * s), fill=black)


def _picture(sheet: _Sheet, rng: np.random.Generator) -> None:
    """The left column: photograph, seal, icons ..."""
    draw = sheet.draw
    x0, y0, x1, y1 = sheet.box(1, 0, 2, 1, inset=1.5)
    dark, s = sheet.shade(0.5), sheet.scale
    match sheet.look.picture:
        case "portrait":
            skin = [(224, 172, 105), (141, 85, 36), (255, 219, 172), (198, 134, 66)][rng.integers(4)]
            draw.rectangle((x0, y0, x1, y1), fill=(225, 232, 240), outline=dark)
            middle = (x0 + x1) // 2
            draw.ellipse((middle - 6 * s, y1 - 11 * s, middle + 6 * s, y1 + 6 * s), fill=SOLID["blue"])
            draw.ellipse((middle - 4 * s, y0 + 4 * s, middle + 4 * s, y0 + 15 * s), fill=skin)
            draw.chord((middle - 4 * s, y0 + 3 * s, middle + 4 * s, y0 + 13 * s), 180, 360, fill=(60, 40, 30))
            draw.rectangle((x0, y1 + 1, x1, y1 + 1), fill=sheet.paper)
        case "icons":
            for y in range(y0, y1 - 5 * s, 9 * s):
                draw.rounded_rectangle((x0 + s, y, x1 - s, y + 6 * s), 2 * s, fill=list(SOLID.values())[rng.integers(5)])
        case "stripes":
            for y in range(y0, y1, 6 * s):
                draw.rectangle((x0, y, x1, y + 2 * s), fill=dark)
        case "seal":
            middle, centre = (x0 + x1) // 2, (y0 + y1) // 2
            for radius in (6, 3):
                draw.ellipse((middle - radius * s, centre - radius * s, middle + radius * s, centre + radius * s), outline=dark, width=s)
        case "chip":
            draw.rounded_rectangle((x0, y0 + 8 * s, x1, y0 + 19 * s), 2 * s, fill=(212, 175, 55), outline=dark)
            draw.line((x0, y0 + 13 * s, x1, y0 + 13 * s), fill=dark, width=max(s // 2, 1))
        case "barcode":
            for y in range(y0, y1, 2 * s):
                if rng.random() < 0.55:
                    draw.rectangle((x0, y, x1, y + s), fill=(20, 20, 20))


def _filler(sheet: _Sheet, slot: tuple[int, int], rng: np.random.Generator) -> None:
    """Decoration where nothing is written: machine-readable lines, line items, bars."""
    draw, s = sheet.draw, sheet.scale
    x0, y0, x1, y1 = sheet.box(*slot, 1, 2, inset=2)
    pale = sheet.shade(0.72)
    match sheet.look.filler:
        case "mrz":
            for y in (0.2, 0.55):
                text = "".join("<<<ABXQ7"[rng.integers(8)] for _ in range(10))
                sheet.write(text, slot[0] + y, slot[1] + 0.1, "DejaVuSansMono", 4.5, 28, 5, pale)
        case "lines":
            for y in range(y0 + s, y1, 4 * s):
                draw.line((x0, y, x1 - int(rng.integers(8)) * s, y), fill=pale, width=s)
        case "barcode":
            for x in range(x0, x1, 2 * s):
                if rng.random() < 0.55:
                    draw.rectangle((x, y0, x + s, y1), fill=pale)
        case "items":
            for y in range(y0, y1 - s, 4 * s):
                draw.line((x0, y, x0 + 14 * s, y), fill=pale, width=s)
                draw.line((x1 - 6 * s, y, x1, y), fill=pale, width=s)
        case "stripes":
            for x in range(x0, x1 - 4 * s, 7 * s):
                draw.polygon([(x, y1), (x + 3 * s, y1), (x + 6 * s, y0), (x + 3 * s, y0)], fill=pale)


def figure_points(shape: str, box: tuple[int, ...]) -> list[tuple[float, float]]:
    """The outline of a figure inside ``box``, as a polygon."""
    x0, y0, x1, y1 = box
    cx, cy, rx, ry = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    match shape:
        case "circle":
            unit = np.stack([np.cos(turn), np.sin(turn)], 1)
        case "square":
            unit = np.array([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)])
        case "triangle":
            unit = np.array([(0, -1), (1, 0.9), (-1, 0.9)])
        case "cross":
            a = 0.36
            unit = np.array([(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)])
        case "star":
            angles = np.arange(10) * np.pi / 5 - np.pi / 2
            unit = np.stack([np.cos(angles), np.sin(angles)], 1) * np.where(np.arange(10) % 2, 0.42, 1.0)[:, None]
        case "heart":
            unit = (
                np.stack([16 * np.sin(turn) ** 3, -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn))], 1)
                / 17
            )
        case "moon":
            outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 24)
            inner = outer[::-1]
            unit = np.concatenate(
                [np.stack([np.cos(outer), np.sin(outer)], 1), np.stack([0.35 + 0.62 * np.cos(inner), 0.78 * np.sin(inner)], 1)]
            )
        case _:
            raise ValueError(f"unknown figure {shape!r}")
    return [(cx + rx * x, cy + ry * y) for x, y in unit]


def _draw_document(document: Document, subject: Subject, scale: int) -> tuple[Image.Image, Image.Image]:
    sheet = _Sheet(document, subject.look, scale)
    rng = np.random.default_rng(zlib.crc32(repr(sorted(document.values.items())).encode()))
    _frame(sheet)
    _picture(sheet, rng)
    fields, free = layout(subject)
    for slot in free:
        _filler(sheet, slot, rng)
    dark = sheet.shade(0.35)
    sheet.draw.rectangle(sheet.box(0, 0, 1, 1, inset=1.5), fill=dark)
    sheet.write(subject.look.emblem, 0, 0, "DejaVuSans", 15, 16, 16, (255, 255, 255))
    sheet.write(subject.name.upper(), 0.15, 1.2, "DejaVuSans-Bold", 8, 62, 8, dark)
    sheet.write("SPECIMEN", 0.68, 1.3, "DejaVuSans", 4, 30, 4, sheet.shade(0.6))
    sheet.draw.polygon(figure_points(document.values["stamp"], sheet.box(0, 5.5, 1, 1, inset=2)), fill=(170, 20, 60))
    sheet.write("invalid", 3.3, 0.05, "DejaVuSans", 4, 14, 5, sheet.shade(0.6))
    for attribute, (row, column) in fields.items():
        sheet.write(attribute, row + 0.3, column - 0.98, "DejaVuSans", 6, 15.5, 7.5, dark)
        for offset, part in enumerate(value_parts(document.values[attribute])):
            sheet.write(part, row + 0.14, column + offset, FONTS[document.font], 12.5, 15.5, 12.5, sheet.ink)
    _border(sheet, document.values["border"])
    return sheet.image, sheet.mask


def render_picture(picture: Picture, scale: int = 1) -> Image.Image:
    """Draw ``picture`` as an RGB image of ``128 * scale`` pixels a side."""
    rng = np.random.default_rng(picture.seed)
    side = GRID * CELL * scale
    desk = rng.integers(60, 235, 3)
    slope = np.linspace(-1, 1, side)[:, None] * rng.uniform(-25, 25) + np.linspace(-1, 1, side)[None] * rng.uniform(-25, 25)
    image = Image.fromarray(np.clip(desk + slope[..., None], 0, 255).astype(np.uint8))
    subjects = {subject.name: subject for subject in load_subjects()}
    for document in picture.documents:
        sheet, mask = _draw_document(document, subjects[document.subject], scale)
        if document.tilt:
            sheet = sheet.rotate(document.tilt, Image.Resampling.BILINEAR, expand=False)
            mask = mask.rotate(document.tilt, Image.Resampling.BILINEAR, expand=False)
        corner = (document.column * CELL + document.shift[0], document.row * CELL + document.shift[1])
        image.paste(sheet, (corner[0] * scale, corner[1] * scale), mask)
    draw = ImageDraw.Draw(image)
    for shape in picture.shapes:
        unit = CELL * scale
        box = (
            shape.column * unit + 2 * scale,
            shape.row * unit + 2 * scale,
            (shape.column + FIGURE) * unit - 2 * scale,
            (shape.row + FIGURE) * unit - 2 * scale,
        )
        draw.polygon(figure_points(shape.shape, box), fill=SOLID[shape.colour], outline=(245, 245, 245))
    pixels = np.asarray(image, dtype=np.float32) * rng.uniform(0.88, 1.08)
    pixels = pixels + rng.normal(0, rng.uniform(1, 7), (side, side, 1)).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def scene_file(scene: object, side: int) -> bytes:
    """A general scene as a JPEG of ``side`` x ``side`` pixels."""
    assert isinstance(scene, Picture)
    drawn = render_picture(scene, math.ceil(side / (GRID * CELL)))
    return file_of(drawn.resize((side, side), Image.Resampling.LANCZOS), format="JPEG", quality=90)
