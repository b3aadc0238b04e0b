"""Documents and scenes as data: what an image shows, with its ground truth, and how it is drawn at random.

A :class:`Picture` says everything about an image; `render.py` draws it at any resolution. Every field stands on a
grid of cells, one for its label and two for its value, because reading is learned first where text and patches coincide.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, Subject, Value

CELL = 16  # pixels at scale 1; equals Clerk's patch size
GRID = 8  # cells a side
DOCUMENT_ROWS, DOCUMENT_COLUMNS = 4, 7
PLACE, FIGURE = 4, 3  # cells a side: of a place in a scene, and of the figure in it

SHAPES = ("circle", "square", "triangle", "star", "heart", "moon")
SHAPE_COLOURS = ("red", "green", "blue", "yellow", "purple", "black")

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STREETS = ("Oak", "Bay", "Ash", "Fen", "Hay", "Ivy", "Low", "Pit", "Gum", "Key", "Sea", "Sky")
FIRST_NAMES = (
    "Ann", "Ben", "Dan", "Eva", "Ian", "Jim", "Joe", "Leo", "Max", "Mia", "Pam", "Rob",
    "Ron", "Sam", "Tim", "Tom", "Amy", "Bob", "Ted", "Sue", "Ada", "Eli", "Ken", "Vic",
)  # fmt: skip
LAST_NAMES = (
    "Kim", "Lee", "Fox", "Cox", "Law", "Ray", "Roy", "Poe", "Tan", "Lim", "Cho", "Roe",
    "Liu", "Lin", "Das", "Sen", "Han", "Ott", "Wei", "Rao", "Fry", "Zhu", "Lev", "Ali",
)  # fmt: skip
CODE_LETTERS = "CHJKQVWXYZ"

INK_COUNT, FONT_COUNT = 4, 4

#: What a kind of value becomes where only four characters can be read.
SHORT = {"amount": "digits", "year": "digits", "version": "digits", "account": "code", "place": "street", "company": "name"}


@dataclass(frozen=True)
class Document:
    """One document: whose kind it is, what is written on it, and where and how it is drawn."""

    subject: str
    values: dict[str, str]  # attribute -> true value, written and visual
    row: int  # first grid row, 0..4
    column: int  # first grid column, 0..1
    font: int
    ink: int
    tilt: float  # degrees
    shift: tuple[int, int]  # pixels at scale 1


@dataclass(frozen=True)
class Shape:
    """One coloured figure of a general scene."""

    shape: str
    colour: str
    row: int  # first grid row of the figure
    column: int


def identity_of(subject: str, values: dict[str, str]) -> str:
    """What tells a document from all others: its subject and what is written on it."""
    return json.dumps([subject, *sorted((name, value) for name, value in values.items() if name not in VISUAL_ATTRIBUTES)])


@dataclass(frozen=True)
class Picture:
    """Everything an image shows. ``seed`` drives background and noise alone."""

    documents: tuple[Document, ...] = ()
    shapes: tuple[Shape, ...] = ()
    seed: int = 0

    def document(self, subject: str) -> Document | None:
        return next((document for document in self.documents if document.subject == subject), None)

    def values(self, subject: str) -> dict[str, str]:
        document = self.document(subject)
        return document.values if document else {}

    def identity(self) -> frozenset[str]:
        return frozenset(identity_of(document.subject, document.values) for document in self.documents)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Picture:
        documents = tuple(Document(**{**item, "shift": tuple(item["shift"])}) for item in data["documents"])
        return cls(documents, tuple(Shape(**item) for item in data["shapes"]), data["seed"])


def value_parts(value: str) -> tuple[str, str]:
    """The two halves of a written value, one per cell: ``4817`` -> ``48``, ``17``; ``Eva Kim`` -> ``Eva``, ``Kim``."""
    first, blank, second = value.partition(" ")
    return (first, second) if blank else (value[:2], value[2:])


def sample_value(kind: Value, rng: np.random.Generator) -> str:
    """A fictitious value, short enough for Clerk to read. Numbers have four digits: too short to be anybody's."""

    def pair() -> str:
        return f"{rng.integers(100):02d}"

    def letter_digit() -> str:
        return CODE_LETTERS[rng.integers(len(CODE_LETTERS))] + str(rng.integers(10))

    match SHORT.get(str(kind), kind):
        case "digits":
            return pair() + pair()
        case "name":
            return f"{FIRST_NAMES[rng.integers(len(FIRST_NAMES))]} {LAST_NAMES[rng.integers(len(LAST_NAMES))]}"
        case "date":
            return f"{rng.integers(1, 29):02d} {MONTHS[rng.integers(12)]}"
        case "street":
            return f"{pair()} {STREETS[rng.integers(12)]}"
        case "code":
            return letter_digit() + letter_digit()
    raise ValueError(f"Clerk's documents have no values of the kind {kind!r}")


@lru_cache(maxsize=256)
def _slots(name: str) -> tuple[tuple[int, int], ...]:
    slots = [(row, column) for row in (1, 2, 3) for column in (2, 5)]
    return tuple(slots[i] for i in np.random.default_rng(zlib.crc32(name.encode())).permutation(len(slots)))


def layout(subject: Subject) -> tuple[dict[str, tuple[int, int]], tuple[tuple[int, int], ...]]:
    """Where the value of each written attribute stands inside its document, as ``attribute -> (row, column)`` of its first cell
    (its label stands in the cell before), and the slots left for decoration. Drawn once from the subject's name, so a type is
    recognised by its layout."""
    slots = _slots(subject.name)
    return dict(zip(subject.written, slots, strict=False)), slots[len(subject.written) :]


def corners(document: Document, row: int, column: int, cells: int) -> list[tuple[float, float]]:
    """The corners of ``cells`` cells of a document, from its own ``row`` and ``column`` on, in pixels of the picture at scale 1."""
    middle = (DOCUMENT_COLUMNS * CELL / 2, DOCUMENT_ROWS * CELL / 2)
    left, top = document.column * CELL + document.shift[0] + middle[0], document.row * CELL + document.shift[1] + middle[1]
    turn = math.radians(document.tilt)  # to the left, about the document's middle
    points = []
    for across, down in ((column, row), (column + cells, row), (column + cells, row + 1), (column, row + 1)):
        x, y = across * CELL - middle[0], down * CELL - middle[1]
        points.append((left + x * math.cos(turn) + y * math.sin(turn), top - x * math.sin(turn) + y * math.cos(turn)))
    return points


def sample_document(subject: Subject, row: int, rng: np.random.Generator) -> Document:
    """A document of ``subject`` whose top edge is at grid row ``row``; every detail is drawn from ``rng``."""
    values = {attribute: sample_value(kind, rng) for attribute, kind in subject.written.items()}
    for attribute in ("colour", "stamp", "border"):
        options = VISUAL_ATTRIBUTES[attribute]
        values[attribute] = options[rng.integers(len(options))]
    values["position"] = "top" if row < 2 else "middle" if row == 2 else "bottom"
    return Document(
        subject=subject.name,
        values=values,
        row=row,
        column=int(rng.integers(2)),
        font=int(rng.integers(FONT_COUNT)),
        ink=int(rng.integers(INK_COUNT)),
        tilt=float(np.round(rng.normal(0, 0.7) if rng.random() < 0.5 else 0.0, 2)),
        shift=(int(rng.integers(-1, 2)), int(rng.integers(-1, 2))),
    )


def sample_documents(subjects: tuple[Subject, ...], rng: np.random.Generator) -> Picture:
    """One document anywhere, or two different ones above each other in the order given."""
    rows = (0, 4) if len(subjects) == 2 else (int(rng.choice([0, 2, 4])),)
    documents = tuple(sample_document(subject, row, rng) for subject, row in zip(subjects, rows, strict=True))
    return Picture(documents=documents, seed=int(rng.integers(2**31)))


def sample_scene(rng: np.random.Generator) -> Picture:
    """One to four coloured figures on a 2 x 2 arrangement of places, shifted by up to a cell; half of the scenes draw
    from two kinds of figure only, so that counting has something to count."""
    count = int(rng.integers(1, 5))
    places = np.sort(rng.permutation(4)[:count])  # reading order, so that a caption has one right order
    kinds = SHAPES if rng.random() < 0.5 else tuple(SHAPES[i] for i in rng.permutation(len(SHAPES))[:2])
    shapes = tuple(
        Shape(
            kinds[rng.integers(len(kinds))],
            SHAPE_COLOURS[rng.integers(len(SHAPE_COLOURS))],
            int(place // 2) * PLACE + int(rng.integers(PLACE - FIGURE + 1)),
            int(place % 2) * PLACE + int(rng.integers(PLACE - FIGURE + 1)),
        )
        for place in places
    )
    return Picture(shapes=shapes, seed=int(rng.integers(2**31)))
