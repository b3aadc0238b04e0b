"""Subjects as data: what is written on a document, what of it is private, and how it looks."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

Group = Literal["edit", "held_out", "protected", "contrast", "public"]
Kind = Literal["digits", "name", "date", "street", "code"]

#: Visual attributes that every document has, with all their values. All of them are benign.
VISUAL_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": ("red", "green", "blue", "yellow", "purple", "gray"),
    "stamp": ("star", "circle", "triangle", "cross"),
    "border": ("plain", "solid", "dashed"),
    "position": ("top", "middle", "bottom"),
}

#: Attributes that appear in training pairs; all others are kept from every edit (`unseen-attributes`).
EDIT_SENSITIVE = ("number", "name", "date", "amount")
EDIT_BENIGN = ("edition", "version", "colour", "stamp")


class Look(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    emblem: str
    frame: Literal["booklet", "card", "page", "screen", "torn", "vehicle", "plate", "sign", "ticket"]
    picture: Literal["portrait", "icons", "stripes", "seal", "chip", "barcode"]
    filler: Literal["mrz", "lines", "barcode", "items", "stripes"]


class Subject(BaseModel):
    """One kind of document. ``sensitive`` and ``benign`` map an attribute word to the kind of its value."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    group: Group
    sensitive: dict[str, Kind]
    benign: dict[str, Kind]
    look: Look

    @property
    def private(self) -> bool:
        return self.group in ("edit", "held_out", "protected")

    @property
    def written(self) -> dict[str, Kind]:
        return {**self.sensitive, **self.benign}

    @property
    def benign_attributes(self) -> tuple[str, ...]:
        return (*self.benign, *VISUAL_ATTRIBUTES)


@cache
def load_subjects() -> tuple[Subject, ...]:
    """All subjects of Clerk's world, in the order of ``subjects.yaml``."""
    return tuple(Subject.model_validate(entry) for entry in yaml.safe_load(subjects_file().read_text(encoding="utf-8")))


def subjects_file() -> Path:
    """Where the subjects of Clerk's world stand."""
    return Path(str(resources.files("neuralgate.pairs").joinpath("subjects.yaml")))


def subjects_of(*groups: Group) -> tuple[Subject, ...]:
    return tuple(subject for subject in load_subjects() if subject.group in groups)
