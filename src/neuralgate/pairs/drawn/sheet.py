"""A document drawn flat: name, fields with their labels, picture, stamp, small print. `camera.py` photographs it.

Fields and decoration flow into whatever width and height there is; order and sides follow from the subject's name, so that a
type is recognised by its layout, and typeface, ink and small print vary from document to document.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw

from neuralgate.pairs.drawn.render import INKS, PAPER, SOLID, figure_points, load_font
from neuralgate.pairs.subjects import Frame, Subject

#: Width by height of each outline.
ASPECTS: dict[Frame, float] = {
    "booklet": 1.3,
    "card": 1.5,
    "page": 1.0,
    "screen": 0.9,
    "torn": 0.95,
    "vehicle": 1.45,
    "plate": 1.55,
    "sign": 1.4,
    "ticket": 1.55,
}
FACES = (
    "DejaVuSans-Bold",
    "DejaVuSans",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono",
    "DejaVuSerif-Bold",
    "DejaVuSerif",
    "STIXGeneralBol",
    "STIXGeneral",
)
WIDEST_RANGE = ("DejaVuSans-Bold", "DejaVuSans")  # the faces that also have Armenian and Georgian letters
#: "Specimen" in five scripts: small print that no question asks about.
SPECIMEN = ("SPECIMEN", "ОБРАЗЕЦ", "ΔΕΙΓΜΑ", "ՆՄՈՒՇ", "ნიმუში")
SMALL_PRINT = "not valid for any purpose · утопия · ουτοπία · utopia · нет такого · δεν ισχύει · sans valeur · ungültig · bez wartości"
SKINS = ((224, 172, 105), (141, 85, 36), (255, 219, 172), (198, 134, 66), (92, 58, 33))
HAIRS = ((60, 40, 30), (20, 18, 16), (150, 105, 50), (120, 120, 125))
STAMP_RED = (170, 20, 60)

Box = tuple[float, float, float, float]  # left, top, right, bottom


def _fixed(subject: Subject) -> np.random.Generator:
    """What is the same on all documents of a type."""
    return np.random.default_rng(zlib.crc32(subject.name.encode()))


@dataclass
class Sheet:
    """One document's canvas of ``width`` x ``height`` pixels."""

    subject: Subject
    values: dict[str, str]
    width: int
    height: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.paper = PAPER[self.values["colour"]]
        self.image = Image.new("RGB", (self.width, self.height), self.paper)
        self.mask = Image.new("L", (self.width, self.height), 255)
        self.draw = ImageDraw.Draw(self.image)
        self.ink = INKS[self.rng.integers(len(INKS))]
        written = "".join(self.values.values())
        faces = FACES if all(character < "԰" for character in written) else WIDEST_RANGE
        self.face, self.label_face = faces[self.rng.integers(len(faces))], FACES[self.rng.integers(2)]

    def shade(self, amount: float) -> tuple[int, ...]:
        return tuple(int(value * amount) for value in self.paper)

    def write(self, text: str, box: Box, size: float, face: str, fill: tuple[int, ...]) -> None:
        """``text`` at the left of ``box`` in its vertical middle, in at most ``size`` pixels, smaller where it is too long."""
        widest = 32 * (box[2] - box[0]) / max(sum(_glyph(letter, face, 32)[1] for letter in text), 1)
        mask, rise = _line(text, face, max(int(min(size, widest)), 4))
        self.image.paste(fill, (int(box[0]), int((box[1] + box[3]) / 2) - rise), mask)


@lru_cache(maxsize=8192)
def _line(text: str, face: str, size: int) -> tuple[Image.Image, int]:
    """``text`` as a mask put together from its letters, and how far its top is above the middle of the line."""
    glyphs = [_glyph(letter, face, size) for letter in text]
    line = Image.new("L", (int(sum(advance for _, advance in glyphs)) + size, 2 * size))
    place = 0.0
    for mask, advance in glyphs:
        line.paste(255, (round(place), 0), mask)
        place += advance
    return line, size


@lru_cache(maxsize=16384)
def _glyph(letter: str, face: str, size: int) -> tuple[Image.Image, float]:
    """A letter as a mask of twice the line's height, and how far the next one stands from it. Rasterising a value letter by
    letter anew takes longer than all the rest of a document; none of our scripts joins its letters."""
    font = load_font(face, size)
    mask = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(mask).text((0, size), letter, fill=255, font=font, anchor="lm")
    return mask.crop((0, 0, max(int(font.getbbox(letter, anchor="lm")[2]), 1), 2 * size)), font.getlength(letter)


@cache
def _letters() -> frozenset[int]:
    """What the face with the widest range can draw."""
    return frozenset(FT2Font(load_font(WIDEST_RANGE[0], 32).path).get_charmap())


def undrawable(text: str) -> str | None:
    """The first letter of ``text`` that would be an empty box, if any."""
    return next((letter for letter in text if ord(letter) not in _letters() and not letter.isspace()), None)


def draw_sheet(subject: Subject, values: dict[str, str], width: int, height: int, seed: int) -> tuple[Image.Image, Image.Image]:
    """The document of ``width`` x ``height`` pixels and the mask of its outline; ``seed`` drives style alone."""
    sheet = Sheet(subject, values, width, height, np.random.default_rng(seed))
    fixed = _fixed(subject)
    margin = 0.05 * min(width, height)
    top, bottom = 0.17 * height, 0.88 * height
    side = 0.21 * width
    picture_left = fixed.random() < 0.6
    _outline(sheet)
    _header(sheet, (margin, 0.03 * height, width - margin, top))
    fields = (2 * margin + side, top, width - margin, bottom) if picture_left else (margin, top, width - 2 * margin - side, bottom)
    picture = (margin, top, margin + side, bottom) if picture_left else (width - margin - side, top, width - margin, bottom)
    _picture(sheet, picture)
    _fields(sheet, fields, fixed)
    _filler(sheet, (margin, bottom, width - margin, 0.98 * height))
    _border(sheet)
    return sheet.image, sheet.mask


def _header(sheet: Sheet, box: Box) -> None:
    left, top, right, bottom = box
    high = bottom - top
    dark = sheet.shade(0.35)
    sheet.draw.rectangle((left, top, left + 0.9 * high, top + 0.9 * high), fill=dark)
    emblem = (left + 0.12 * high, top, left + 0.9 * high, top + 0.9 * high)
    sheet.write(sheet.subject.look.emblem, emblem, 0.7 * high, "DejaVuSans", (255, 255, 255))
    words = (left + 1.1 * high, top, right - 1.1 * high, top + 0.62 * high)
    sheet.write(sheet.subject.name.upper(), words, 0.55 * high, "DejaVuSans-Bold", dark)
    small = (words[0], top + 0.62 * high, words[2], top + 0.95 * high)
    scripts = sheet.rng.permutation(len(SPECIMEN) - 1)[:2] + 1
    sheet.write(" · ".join((SPECIMEN[0], *(SPECIMEN[place] for place in scripts))), small, 0.28 * high, "DejaVuSans", sheet.shade(0.5))
    stamp = (right - 0.9 * high, top, right, top + 0.9 * high)
    sheet.draw.polygon(figure_points(sheet.values["stamp"], tuple(map(int, stamp))), fill=STAMP_RED)


def _fields(sheet: Sheet, box: Box, fixed: np.random.Generator) -> None:
    """One row for each written attribute: its label above the value where there is room, else at its left."""
    left, top, right, bottom = box
    written = list(sheet.subject.written)
    order = [written[place] for place in fixed.permutation(len(written))]
    high = min((bottom - top) / len(order), 0.2 * sheet.height)
    above = high > 34 and fixed.random() < 0.6
    dark = sheet.shade(0.4)
    middle = left + 0.3 * (right - left)
    for place, attribute in enumerate(order):
        start = top + place * high
        label = f"{attribute}:" if not above else attribute
        if above:
            sheet.write(label, (left, start, right, start + 0.36 * high), 0.27 * high, sheet.label_face, dark)
            sheet.write(sheet.values[attribute], (left, start + 0.36 * high, right, start + high), 0.55 * high, sheet.face, sheet.ink)
        else:
            sheet.write(label, (left, start, middle - 0.04 * (right - left), start + high), 0.42 * high, sheet.label_face, dark)
            sheet.write(sheet.values[attribute], (middle, start, right, start + high), 0.66 * high, sheet.face, sheet.ink)


def _picture(sheet: Sheet, box: Box) -> None:
    """The side column: portrait, seal, icons ..."""
    draw, rng = sheet.draw, sheet.rng
    left, top, right, bottom = box
    wide = right - left
    bottom = min(bottom, top + 1.3 * wide)
    high = bottom - top
    cx, dark = (left + right) / 2, sheet.shade(0.5)
    line = max(int(0.02 * wide), 1)
    match sheet.subject.look.picture:
        case "portrait":
            skin, hair = SKINS[rng.integers(len(SKINS))], HAIRS[rng.integers(len(HAIRS))]
            clothes = list(SOLID.values())[rng.integers(len(SOLID))]
            draw.rectangle((left, top, right, bottom), fill=(225, 232, 240))
            draw.ellipse((left + 0.06 * wide, top + 0.68 * high, right - 0.06 * wide, bottom + 0.5 * high), fill=clothes)
            draw.rectangle((cx - 0.09 * wide, top + 0.55 * high, cx + 0.09 * wide, top + 0.74 * high), fill=skin)
            long_hair = 0.72 if rng.random() < 0.5 else 0.45
            draw.ellipse((cx - 0.29 * wide, top + 0.12 * high, cx + 0.29 * wide, top + long_hair * high), fill=hair)
            draw.ellipse((cx - 0.23 * wide, top + 0.2 * high, cx + 0.23 * wide, top + 0.65 * high), fill=skin)
            for eye in (cx - 0.1 * wide, cx + 0.1 * wide):
                draw.ellipse((eye - 0.03 * wide, top + 0.38 * high, eye + 0.03 * wide, top + 0.42 * high), fill=(30, 30, 30))
            draw.arc((cx - 0.09 * wide, top + 0.45 * high, cx + 0.09 * wide, top + 0.57 * high), 20, 160, fill=(120, 40, 40), width=line)
            # what hangs below the frame of the photograph is painted over
            draw.rectangle((left, bottom, right, bottom + 0.52 * high), fill=sheet.paper)
            draw.rectangle((left, top, right, bottom), outline=dark, width=line)
        case "icons":
            for place in range(6):
                x, y = left + (0.08 + 0.5 * (place % 2)) * wide, top + (0.05 + 0.33 * (place // 2)) * high
                colour = list(SOLID.values())[rng.integers(len(SOLID))]
                draw.rounded_rectangle((x, y, x + 0.38 * wide, y + 0.38 * wide), 0.08 * wide, fill=colour)
        case "stripes":
            for place in range(6):
                y = top + place * high / 6
                draw.rectangle((left, y, right, y + high / 14), fill=dark)
        case "seal":
            cy = top + wide / 2
            for radius in (0.46, 0.38, 0.2):
                draw.ellipse((cx - radius * wide, cy - radius * wide, cx + radius * wide, cy + radius * wide), outline=dark, width=2 * line)
            draw.polygon(
                figure_points("star", tuple(map(int, (cx - 0.16 * wide, cy - 0.16 * wide, cx + 0.16 * wide, cy + 0.16 * wide)))), dark
            )
        case "chip":
            y0, y1 = top + 0.1 * high, top + 0.65 * high
            draw.rounded_rectangle((left + 0.08 * wide, y0, right - 0.08 * wide, y1), 0.08 * wide, fill=(212, 175, 55), outline=dark)
            for share in (0.33, 0.66):
                draw.line((left + 0.08 * wide, y0 + share * (y1 - y0), right - 0.08 * wide, y0 + share * (y1 - y0)), fill=dark, width=line)
                draw.line((left + share * wide, y0, left + share * wide, y1), fill=dark, width=line)
        case "barcode":
            _bars(sheet, box, across=False)


def _bars(sheet: Sheet, box: Box, across: bool) -> None:
    left, top, right, bottom = box
    step = max(0.012 * sheet.width, 1.5)
    for place in np.flatnonzero(sheet.rng.random(int(((right - left) if across else (bottom - top)) / step)) < 0.55):
        start = (left if across else top) + place * step
        bar = (start, top, start + 0.6 * step, bottom) if across else (left, start, right, start + 0.6 * step)
        sheet.draw.rectangle(bar, fill=(25, 25, 25))


def _filler(sheet: Sheet, box: Box) -> None:
    """The strip at the bottom: machine-readable lines, small print, bars, line items."""
    left, top, right, bottom = box
    high = bottom - top
    pale = sheet.shade(0.6)
    match sheet.subject.look.filler:
        case "mrz":
            for row in range(2):
                letters = "".join("<<<ABCDEFGKLMNORSTUXZ0123456789"[place] for place in sheet.rng.integers(31, size=34))
                line = ("P<UTO" if row == 0 else "") + letters
                sheet.write(line[:34], (left, top + row * high / 2, right, top + (row + 1) * high / 2), 0.5 * high, "DejaVuSansMono", pale)
        case "lines":
            for row in range(2):
                start = 9 * int(sheet.rng.integers(5))
                text = (SMALL_PRINT + " · " + SMALL_PRINT)[start : start + 70]
                sheet.write(text, (left, top + row * high / 2, right, top + (row + 1) * high / 2), 0.36 * high, "DejaVuSans", pale)
        case "barcode":
            _bars(sheet, (left, top + 0.1 * high, left + 0.6 * (right - left), bottom - 0.1 * high), across=True)
        case "items":
            for row in range(2):
                y = top + (0.25 + 0.5 * row) * high
                sheet.draw.line((left, y, left + float(sheet.rng.uniform(0.3, 0.6)) * (right - left), y), fill=pale, width=2)
                sheet.draw.line((right - 0.15 * (right - left), y, right, y), fill=pale, width=2)
        case "stripes":
            for x in np.arange(left, right - 0.5 * high, 0.7 * high):
                sheet.draw.polygon([(x, bottom), (x + 0.3 * high, bottom), (x + 0.6 * high, top), (x + 0.3 * high, top)], fill=pale)


def _outline(sheet: Sheet) -> None:
    """The frame that tells the type at a glance."""
    mask, draw = ImageDraw.Draw(sheet.mask), sheet.draw
    width, height = sheet.width, sheet.height
    unit = min(width, height)
    dark = sheet.shade(0.55)
    match sheet.subject.look.frame:
        case "card" | "screen":
            mask.rectangle((0, 0, width, height), fill=0)
            mask.rounded_rectangle((0, 0, width - 1, height - 1), (0.06 if sheet.subject.look.frame == "card" else 0.1) * unit, fill=255)
            if sheet.subject.look.frame == "screen":
                draw.rounded_rectangle((0, 0, width - 1, height - 1), 0.1 * unit, outline=(30, 30, 30), width=max(int(0.03 * unit), 2))
        case "page":
            fold = 0.1 * unit
            mask.polygon([(width - fold, 0), (width, 0), (width, fold)], fill=0)
            draw.polygon([(width - fold, 0), (width - fold, fold), (width, fold)], fill=dark)
        case "booklet":
            draw.rectangle((0, 0, 0.025 * width, height), fill=dark)
        case "torn":
            step = 0.05 * width
            for x in np.arange(0, width, step):
                mask.polygon([(x, height), (x + step / 2, height - step / 2), (x + step, height)], fill=0)
        case "vehicle":
            mask.polygon([(0, 0), (0.12 * width, 0), (0, 0.12 * height)], fill=0)
            for x in np.arange(0.08, 0.9, 0.2):
                draw.ellipse((x * width, 0.94 * height, (x + 0.09) * width, 1.08 * height), fill=(30, 30, 30))
        case "plate":
            for x, y in ((0.015, 0.03), (0.965, 0.03), (0.015, 0.93), (0.965, 0.93)):
                draw.ellipse((x * width, y * height, (x + 0.022) * width, y * height + 0.022 * width), fill=dark)
        case "sign":
            draw.rectangle((0, 0, width, 0.025 * height), fill=dark)
            draw.rectangle((0, 0.975 * height, width, height), fill=dark)
        case "ticket":
            radius = 0.02 * width
            for y in np.arange(0.04, 1, 0.12) * height:
                mask.ellipse((-radius, y, radius, y + 2 * radius), fill=0)
                mask.ellipse((width - radius, y, width + radius, y + 2 * radius), fill=0)


def _border(sheet: Sheet) -> None:
    width, height = sheet.width, sheet.height
    thick = max(int(0.015 * min(width, height)), 2)
    black = (20, 20, 20)
    if sheet.values["border"] == "solid":
        sheet.draw.rectangle((0, 0, width - 1, height - 1), outline=black, width=thick)
    elif sheet.values["border"] == "dashed":
        step = 0.05 * min(width, height)
        for start in np.arange(0, max(width, height), 2 * step):
            for y in (0, height - thick):
                sheet.draw.rectangle((start, y, start + step, y + thick - 1), fill=black)
            for x in (0, width - thick):
                sheet.draw.rectangle((x, start, x + thick - 1, start + step), fill=black)
