"""Documents as photographs, at any resolution: what a picture shows with its ground truth, and the world that draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.pairs.drawn.camera import Quad, desk, expose, fingers, lay, platen
from neuralgate.pairs.drawn.documents import identity_of
from neuralgate.pairs.drawn.render import scene_file
from neuralgate.pairs.drawn.sheet import ASPECTS, draw_sheet, undrawable
from neuralgate.pairs.drawn.values import sample_value
from neuralgate.pairs.images import file_of
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, Subject
from neuralgate.pairs.world import AnyPicture, Split, with_companion

SCANNED = 0.3  # of the pictures come from a scanner
TWO_SHARE = 0.3  # of the pictures that show a second document: fewer than Clerk's, because each is then half as large
WIDEST, HIGHEST, HIGHEST_OF_TWO = 0.92, 0.74, 0.455  # of a document, as shares of the side
PLACES = {"top": 0.40, "middle": 0.5, "bottom": 0.60}
PLACES_OF_TWO = {"top": 0.255, "bottom": 0.745}
FOCUS = (0.8, 1.2)  # pixels of a sheet for each pixel that it gets in the photograph: below one it is out of focus
LARGE_SIDE = 672  # for people, where the set itself is smaller


@dataclass(frozen=True)
class Placed:
    """One document: what is written on it and where its corners lie."""

    subject: str
    values: dict[str, str]  # attribute -> true value, written and visual
    quad: Quad  # top left, top right, bottom right, bottom left, as shares of the side
    style: int  # seed of typeface, ink and small print


@dataclass(frozen=True)
class Photograph:
    """Everything a photograph shows. ``seed`` drives desk, light and noise."""

    documents: tuple[Placed, ...]
    scanned: bool  # flat and straight on a scanner's glass, instead of on a desk
    seed: int

    def values(self, subject: str) -> dict[str, str]:
        return next((document.values for document in self.documents if document.subject == subject), {})

    def identity(self) -> frozenset[str]:
        return frozenset(identity_of(document.subject, document.values) for document in self.documents)

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "documents": [dict(vars(document)) for document in self.documents]}


@dataclass(frozen=True)
class PhotographWorld:
    """Documents of ``subjects`` photographed at ``size`` x ``size`` pixels."""

    subjects: tuple[Subject, ...]
    size: int = 336

    def __post_init__(self) -> None:
        """Raises UserError for what cannot be drawn: an attribute that every document has, or a letter that no typeface has."""
        for subject in self.subjects:
            for attribute in subject.benign:
                if attribute in VISUAL_ATTRIBUTES:
                    raise UserError(f"{subject.name}: every drawn document has its own {attribute}, so leave it out of the list.")
            choices = [text for value in subject.written.values() for text in (value if isinstance(value, tuple) else (value,))]
            for text in (subject.name, subject.look.emblem, *subject.written, *choices):
                if missing := undrawable(text):
                    raise UserError(f"{subject.name}: no typeface here has the letter {missing!r} of {text!r}; write it in other letters.")

    def draw(self, subject: Subject, companions: Sequence[Subject], rng: np.random.Generator, split: Split, number: int) -> Photograph:
        pictured = with_companion(subject, companions, TWO_SHARE, rng)
        places = ("top", "bottom") if len(pictured) == 2 else (VISUAL_ATTRIBUTES["position"][rng.integers(3)],)
        scanned = bool(rng.random() < SCANNED)
        documents = tuple(place_document(one, place, len(pictured) == 2, scanned, rng) for one, place in zip(pictured, places, strict=True))
        return Photograph(documents, scanned, int(rng.integers(2**31)))

    def image(self, picture: AnyPicture, large: bool = False) -> bytes:
        side = max(LARGE_SIDE, self.size) if large else self.size
        if not isinstance(picture, Photograph):
            return scene_file(picture, side)
        image, quality = self.photograph(picture, side)
        return file_of(image, format="JPEG", quality=quality)

    def photograph(self, picture: Photograph, side: int) -> tuple[Image.Image, int]:
        """The picture, and the quality at which its camera saves."""
        rng = np.random.default_rng(picture.seed)
        subjects = {subject.name: subject for subject in self.subjects}
        photo = platen(side, rng) if picture.scanned else desk(side, rng)
        focus = 1.0 if picture.scanned else rng.uniform(*FOCUS)
        for document in picture.documents:
            (x0, y0), (x1, y1), _, (x3, y3) = document.quad
            width, height = (int(focus * side * math.hypot(*edge)) for edge in ((x1 - x0, y1 - y0), (x3 - x0, y3 - y0)))
            sheet, mask = draw_sheet(subjects[document.subject], document.values, width, height, document.style)
            if picture.scanned:
                photo.paste(sheet, (int(x0 * side), int(y0 * side)), mask)
            else:
                lay(photo, sheet, mask, document.quad, rng)
        if not picture.scanned and rng.random() < 0.5:
            # from the side where they would lie across another document's text
            sides = ("left", "right", "bottom") if len(picture.documents) == 1 else ("left", "right")
            fingers(photo, picture.documents[rng.integers(len(picture.documents))].quad, sides, rng)
        return expose(photo, rng, glare=not picture.scanned), int(rng.integers(55, 93))

    def suffix(self, picture: AnyPicture) -> str:
        return ".jpg"

    def boxes(self, picture: AnyPicture) -> None:
        return None

    def capacity(self, subject: Subject, split: Split) -> int | None:
        return None


def place_document(subject: Subject, place: str, two: bool, scanned: bool, rng: np.random.Generator) -> Placed:
    """A document of ``subject`` at ``place``; every detail is drawn from ``rng``."""
    script = subject.scripts[rng.integers(len(subject.scripts))]
    values = {attribute: sample_value(value, script, rng) for attribute, value in subject.written.items()}
    for attribute in ("colour", "stamp", "border"):
        options = VISUAL_ATTRIBUTES[attribute]
        values[attribute] = options[rng.integers(len(options))]
    values["position"] = place
    highest = HIGHEST_OF_TWO if two else HIGHEST
    aspect = max(ASPECTS[subject.look.frame], 1.85) if two else ASPECTS[subject.look.frame]
    height = min(highest, WIDEST / aspect) * rng.uniform(0.93, 1.0)
    centre = np.array([0.5, (PLACES_OF_TWO if two else PLACES)[place]])
    return Placed(subject.name, values, _corners(centre, aspect * height, height, two, scanned, rng), int(rng.integers(2**31)))


def _corners(centre: np.ndarray, width: float, height: float, two: bool, scanned: bool, rng: np.random.Generator) -> Quad:
    """A rectangle, turned by a few degrees and seen slightly from the side where it is not scanned, inside the picture."""
    angle = 0.0 if scanned else math.radians(float(rng.normal(0, 1.0 if two else 3.0)))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2
    slanted = 1 + rng.uniform(-0.05, 0.02, (4, 1)) * (not scanned)
    corners = corners * slanted @ turn.T + centre
    low, high = corners.min(0), corners.max(0)
    free = np.stack([0.01 - low, 0.99 - high])  # how far it may move to either side
    if not two:
        corners = corners + rng.uniform(*np.sort(free, 0)) * (0.8, 0.3)
    corners = corners + np.clip(0.01 - corners.min(0), 0, None) - np.clip(corners.max(0) - 0.99, 0, None)
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in corners)
