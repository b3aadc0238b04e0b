"""Clerk's pictures: a grid of documents with short values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuralgate.pairs.boxes import Box
from neuralgate.pairs.drawn.documents import CELL, GRID, Picture, corners, layout, sample_documents
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.images import file_of
from neuralgate.pairs.subjects import Subject, load_subjects
from neuralgate.pairs.world import AnyPicture, Split, with_companion

LARGE_SCALE = 4  # four times Clerk's resolution, for people
TWO_SHARE = 0.6  # of Clerk's pictures that show a second document


@dataclass(frozen=True)
class ClerkWorld:
    """Clerk's documents at 128 x ``scale`` pixels."""

    scale: int = 1

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return load_subjects()

    def draw(self, subject: Subject, companions: Sequence[Subject], rng: np.random.Generator, split: Split, number: int) -> Picture:
        return sample_documents(with_companion(subject, companions, TWO_SHARE, rng), rng)

    def image(self, picture: AnyPicture, large: bool = False) -> bytes:
        assert isinstance(picture, Picture)
        return file_of(render_picture(picture, max(LARGE_SCALE, self.scale) if large else self.scale), format="PNG", compress_level=1)

    def suffix(self, picture: AnyPicture) -> str:
        return ".png"

    def boxes(self, picture: AnyPicture) -> list[Box]:
        assert isinstance(picture, Picture)
        subjects, found = {subject.name: subject for subject in self.subjects}, []
        for document in picture.documents:
            subject = subjects[document.subject]
            for attribute, (row, column) in layout(subject)[0].items():
                if subject.private and attribute in subject.sensitive:
                    x, y = np.array(corners(document, row, column, cells=2)).T.clip(0, GRID * CELL) / (GRID * CELL)
                    found.append((float(x.min()), float(y.min()), float(x.max()), float(y.max())))
        return found

    def capacity(self, subject: Subject, split: Split) -> int | None:
        return None
