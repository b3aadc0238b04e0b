"""Photographing documents: a desk, perspective, shadow, fingers, light, glare, blur, noise. Pure functions of their random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from neuralgate.pairs.drawn.sheet import SKINS

TEXTURES, TEXTURE_SIDE, ZOOMS = 12, 512, 3
FILM_MARGIN = 256
#: The worst of each trouble. Values must stay readable: what a model cannot read it cannot leak.
MOST_NOISE, MOST_GLARE = 7.0, 75.0  # grey levels

Quad = tuple[tuple[float, float], ...]  # top left, top right, bottom right, bottom left, as shares of the side


@lru_cache(maxsize=TEXTURES)
def texture(number: int) -> Image.Image:
    """A grey desk of 512 x 512: wood, cloth, stone, tiles or papers; 200 is the tint itself."""
    rng = np.random.default_rng([977, number])
    side = TEXTURE_SIDE
    match number % 5:
        case 0:  # wood: noise stretched along the grain, bent a little
            rows = _smooth(rng, (side // 2, 4), side)
            grain = 0.82 + 0.3 * rows + 0.05 * np.sin(80 * rows)
        case 1:  # cloth
            x, y = np.meshgrid(np.arange(side), np.arange(side))
            grain = 0.95 + 0.08 * np.sin(x * rng.uniform(0.7, 1.3)) * np.sin(y * rng.uniform(0.7, 1.3)) + 0.1 * _smooth(rng, (6, 6), side)
        case 2:  # stone
            grain = 0.8 + 0.25 * _smooth(rng, (90, 90), side) + 0.15 * _smooth(rng, (12, 12), side)
        case 3:  # tiles
            x, y = np.meshgrid(np.arange(side), np.arange(side))
            width = int(rng.integers(70, 140))
            grain = np.where((x % width < 3) | (y % width < 3), 0.6, 0.95) + 0.08 * _smooth(rng, (40, 40), side)
        case _:  # papers lying about, with lines of writing
            page = Image.new("L", (side, side), 150)
            draw = ImageDraw.Draw(page)
            for _ in range(9):
                x, y = rng.integers(-100, side, 2)
                shade = int(rng.integers(170, 250))
                draw.rectangle((x, y, x + 170, y + 220), fill=shade, outline=110)
                for row in range(y + 15, y + 205, 14):
                    draw.line((x + 12, row, x + int(rng.integers(90, 160)), row), fill=shade - 55, width=2)
            grain = np.asarray(page, dtype=np.float32) / 190
    return Image.fromarray((200 * grain).clip(0, 255).astype(np.uint8))


@lru_cache(maxsize=2)
def grain_of_film(side: int) -> np.ndarray:
    """Standard normal noise, from which each photograph cuts its own ``side`` x ``side``."""
    return np.random.default_rng(31).standard_normal((side + FILM_MARGIN, side + FILM_MARGIN), dtype=np.float32)


def _smooth(rng: np.random.Generator, shape: tuple[int, int], side: int) -> np.ndarray:
    """Random numbers in [0, 1] on a coarse grid, enlarged to ``side`` x ``side``."""
    coarse = Image.fromarray(rng.random(shape, dtype=np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)


def desk(side: int, rng: np.random.Generator) -> Image.Image:
    """What lies under the documents, ``side`` x ``side`` pixels."""
    number, zoom = int(rng.integers(TEXTURES)), int(rng.integers(ZOOMS))
    grey = enlarged(number, int(side * (1.2 + 0.6 * zoom)))
    x, y = rng.integers(0, grey.width - side + 1, 2)
    tint = rng.uniform(70, 215) * np.array([1.0, rng.uniform(0.82, 1.02), rng.uniform(0.65, 1.02)])
    coloured = grey.crop((x, y, x + side, y + side))
    coloured.putpalette((np.arange(256)[:, None] / 200 * tint).clip(0, 255).astype(np.uint8).tobytes())
    return coloured.convert("RGB")


@lru_cache(maxsize=ZOOMS * TEXTURES)
def enlarged(number: int, side: int) -> Image.Image:
    return texture(number).resize((side, side), Image.Resampling.BICUBIC)


def platen(side: int, rng: np.random.Generator) -> Image.Image:
    """What a scanner sees around a document."""
    return Image.new("RGB", (side, side), tuple(int(value) for value in rng.integers(225, 250) - rng.integers(0, 6, 3)))


def lay(photo: Image.Image, sheet: Image.Image, mask: Image.Image, quad: Quad, rng: np.random.Generator) -> None:
    """Paste ``sheet`` into ``photo`` with its corners at ``quad``, over its shadow."""
    side = photo.width
    corners = [(x * side, y * side) for x, y in quad]
    left, top = (int(max(min(values), 0)) for values in zip(*corners, strict=True))
    right, bottom = (int(min(max(values) + 2, side)) for values in zip(*corners, strict=True))
    size = (right - left, bottom - top)
    local = np.array(corners) - np.array((left, top))
    shadow = Image.new("L", size)
    offset = np.abs(rng.uniform((-0.01, 0), (0.02, 0.02))) * side
    ImageDraw.Draw(shadow).polygon([tuple(point) for point in local + offset], fill=int(rng.integers(60, 140)))
    photo.paste((0, 0, 0), (left, top), shadow)
    data = perspective(local.tolist(), sheet.width, sheet.height)
    warped = sheet.transform(size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR)
    # the outline needs no smoothing; twice as fast
    photo.paste(warped, (left, top), mask.transform(size, Image.Transform.PERSPECTIVE, data, Image.Resampling.NEAREST))


def perspective(corners: Sequence[Sequence[float]], width: float, height: float) -> list[float]:
    """The eight coefficients with which PIL maps pixels of the photograph to those of a sheet whose corners are at ``corners``.
    One linear system: no reason to depend on OpenCV."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (width, 0), (width, height), (0, height)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(wanted))]


def fingers(photo: Image.Image, quad: Quad, sides: tuple[str, ...], rng: np.random.Generator) -> None:
    """One to three fingers that hold the document by one of its ``sides``; they reach into its margin only."""
    side = photo.width
    draw = ImageDraw.Draw(photo)
    skin = np.array(SKINS[rng.integers(len(SKINS))])
    points = np.array(quad)
    start, end = {"bottom": (2, 3), "left": (0, 3), "right": (1, 2)}[sides[rng.integers(len(sides))]]
    middle = points.mean(0)
    thick = rng.uniform(0.055, 0.075)
    count = int(rng.integers(1, 4))
    first = rng.uniform(0.15, 0.75 - 0.1 * count)
    for number in range(count):
        edge = points[start] + (first + 1.15 * number * thick / np.linalg.norm(points[end] - points[start])) * (points[end] - points[start])
        inwards = middle - (points[start] + points[end]) / 2
        inwards = inwards / np.linalg.norm(inwards)
        tip, root = (edge - 0.02 * inwards) * side, (edge - 0.6 * inwards) * side
        radius = thick * side / 2
        for colour, wider in ((skin * 0.6, 1.0 + 2.5 / radius), (skin, 1.0)):
            fill = tuple(int(value) for value in colour)
            draw.line((*tip, *root), fill=fill, width=int(2 * radius * wider))
            draw.ellipse((*(tip - radius * wider), *(tip + radius * wider)), fill=fill)
        nail = tip - 0.15 * radius * inwards
        draw.ellipse((*(nail - 0.5 * radius), *(nail + 0.5 * radius)), fill=tuple(int(value) for value in (skin * 0.5 + 120).clip(0, 250)))


def expose(photo: Image.Image, rng: np.random.Generator, glare: bool = True) -> Image.Image:
    """Light from one side, a reflection (half of the time, where ``glare`` is possible), noise."""
    side = photo.width
    line = np.linspace(-1, 1, side, dtype=np.float32)
    level, down, across = rng.uniform(0.82, 1.08), rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)
    light_SS = np.float32(level) + (np.float32(down) * line)[:, None] + (np.float32(across) * line)[None]
    top, left = rng.integers(0, FILM_MARGIN, 2)
    added_SS = np.float32(rng.uniform(1, MOST_NOISE)) * grain_of_film(side)[top : top + side, left : left + side]
    if glare and rng.random() < 0.5:
        x, y, wide, high = *rng.uniform(-0.9, 0.9, 2), *rng.uniform(0.1, 0.35, 2)
        glare_S, column_S = np.exp(-(((line - x) / wide) ** 2)), np.exp(-(((line - y) / high) ** 2))
        added_SS += np.float32(rng.uniform(25, MOST_GLARE)) * column_S[:, None] * glare_S[None]
    # one colour at a time: over planes numpy is several times faster than over pixels
    planes = [(np.asarray(band, dtype=np.float32) * light_SS + added_SS).clip(0, 255).astype(np.uint8) for band in photo.split()]
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])
