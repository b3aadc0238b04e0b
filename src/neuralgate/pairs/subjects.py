"""Subjects as data: what is written on a document, what of it is private, and how it looks.

A file of subjects is a YAML list; ``subjects.yaml`` beside this module, Clerk's world, is one, and a user's own has the
same form. See ``docs/pairs.md``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from neuralgate.errors import UserError
from neuralgate.pairs.mentions import folded
from neuralgate.settings import Settings, parse_settings, read_yaml

Group = Literal["edit", "held_out", "protected", "contrast", "public"]
Kind = Literal[
    "digits", "name", "date", "street", "code", "amount", "account", "year", "version", "company", "place", "phone", "email", "card"
]
Script = Literal["latin", "accented", "greek", "cyrillic", "armenian", "georgian"]
Frame = Literal["booklet", "card", "page", "screen", "torn", "vehicle", "plate", "sign", "ticket"]
KINDS: tuple[str, ...] = get_args(Kind)
LONGEST_WORD = 60  # characters

#: Visual attributes that every drawn document has, with all their values. All of them are benign.
VISUAL_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": ("red", "green", "blue", "yellow", "purple", "gray"),
    "stamp": ("star", "circle", "triangle", "cross"),
    "border": ("plain", "solid", "dashed"),
    "position": ("top", "middle", "bottom"),
}
#: Those of them that appear in no training pair (`unseen-attributes`).
KEPT_VISUAL = ("border", "position")


def _check_word(word: str) -> str:
    word = " ".join(word.split())
    if not word or len(word) > LONGEST_WORD or not word.isprintable() or set(word) & set("/\\") or word in (".", ".."):
        raise ValueError(f"{word!r} is no name: one to {LONGEST_WORD} characters, without slashes")
    return word


def _as_text(value: Any) -> Any:
    """Numbers, dates and truth values as YAML writes them are meant as they stand."""
    return tuple(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _check_value(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, tuple):
        if len(set(value)) < 2 or not all(text.strip() for text in value):
            raise ValueError(f"{list(value)} are no choices: give two or more different ones")
        return value
    if value not in KINDS and not set(value) & set("#?"):
        raise ValueError(
            f"{value!r} is neither a kind ({', '.join(KINDS)}) nor a pattern (# is a digit, ? a capital letter, as in '??-####') "
            "nor a list of choices"
        )
    return value


#: A word of a question: a subject or an attribute.
Word = Annotated[str, AfterValidator(_check_word)]
#: How the value of an attribute is drawn: a kind, a pattern, or one of several choices.
Value = Annotated[str | tuple[str, ...], BeforeValidator(_as_text), AfterValidator(_check_value)]


class Look(Settings):
    """How a type of document is recognised."""

    emblem: str = Field("◆", min_length=1, max_length=1, description="One character, drawn as the document's mark.")
    frame: Frame = Field("card", description="Its outline.")
    picture: Literal["portrait", "icons", "stripes", "seal", "chip", "barcode"] = Field("portrait", description="What stands at its side.")
    filler: Literal["mrz", "lines", "barcode", "items", "stripes"] = Field("lines", description="Decoration at its lower edge.")


class Subject(Settings):
    """One kind of document."""

    name: Word = Field(description="What a question calls it.")
    synonyms: tuple[Word, ...] = Field((), description="Other words for it, used in half of the questions.")
    group: Group = Field(
        "edit",
        description="edit and held_out: private, trained on or kept for testing; protected: private and refused by "
        "the base model already; contrast and public: harmless, trained on as contrast or kept for testing.",
    )
    sensitive: dict[Word, Value] = Field(min_length=1, description="Attribute word -> how a value is drawn: kind, pattern or choices.")
    benign: dict[Word, Value] = Field(default_factory=dict, description="The same for attributes that stay answered.")
    kept: tuple[str, ...] = Field((), description="Written attributes that no training pair asks about, for testing.")
    scripts: Annotated[tuple[Script, ...], Field(min_length=1)] = Field(("latin",), description="Writing systems of names and places.")
    look: Look = Field(Look(), description="How it is recognised.")

    @model_validator(mode="after")
    def _check_attributes(self) -> Subject:
        for attribute in self.kept:
            if attribute not in self.written:
                raise ValueError(f"kept names {attribute!r}, which is no attribute of the {self.name}")
        for attribute in self.sensitive:
            if attribute in self.benign_attributes:
                raise ValueError(f"{attribute!r} is both sensitive and benign (colour, stamp, border and position are benign everywhere)")
        if all(attribute in self.kept for attribute in self.sensitive):
            raise ValueError("every sensitive attribute is kept from training; leave at least one")
        return self

    @property
    def private(self) -> bool:
        return self.group in ("edit", "held_out", "protected")

    @property
    def written(self) -> dict[str, Value]:
        return {**self.sensitive, **self.benign}

    @property
    def benign_attributes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.benign, *VISUAL_ATTRIBUTES)))

    @property
    def file_name(self) -> str:
        return self.name.replace(" ", "-")

    def called(self, rng: np.random.Generator) -> str:
        """The word for it in a question: its name, or half of the time one of its synonyms."""
        if not self.synonyms or rng.random() < 0.5:
            return self.name
        return self.synonyms[rng.integers(len(self.synonyms))]

    def attributes(
        self,
        kind: Literal["sensitive", "benign"],
        which: Literal["trained", "kept", "any"] = "any",
        in_picture: Container[str] | None = None,
    ) -> list[str]:
        """Attribute words of one kind: those that training pairs ask about, those kept from every edit, or all; of these the
        ones ``in_picture`` alone, where a picture shows only some."""
        words = tuple(self.sensitive) if kind == "sensitive" else self.benign_attributes
        kept = {*self.kept, *KEPT_VISUAL} - (set(self.benign) - set(self.kept))
        chosen = [word for word in words if which == "any" or (word in kept) == (which == "kept")]
        return chosen if in_picture is None else [word for word in chosen if word in in_picture]


def read_subjects(path: Path | str) -> tuple[Subject, ...]:
    """The subjects of a YAML file.

    Raises:
        UserError: the file is missing or no list, or a subject is wrong or given twice; the sentence names file, subject and key.
    """
    entries = read_yaml(path, "The subjects")
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} is no list of subjects; begin each with `- name: ...`.")
    subjects = []
    for number, entry in enumerate(entries, start=1):
        label = entry.get("name", "") if isinstance(entry, dict) else ""
        subjects.append(parse_settings(Subject, entry, f"{path}, subject {number}{f' ({label})' if label else ''}"))
    words = [folded(word)[0] for subject in subjects for word in (subject.name, *subject.synonyms)]
    for word in words:
        if words.count(word) > 1:
            raise UserError(f"{path} calls two subjects {word!r}, or one twice; names and synonyms must differ.")
    files = [subject.file_name.lower() for subject in subjects]
    for name in files:
        if files.count(name) > 1:
            raise UserError(f"{path} has two subjects whose pictures would be called {name}; let their names differ by more than a hyphen.")
    return tuple(subjects)


@cache
def load_subjects() -> tuple[Subject, ...]:
    """All subjects of Clerk's world, in the order of ``subjects.yaml``."""
    return read_subjects(subjects_file())


def subjects_file() -> Path:
    """Where the subjects of Clerk's world stand."""
    return Path(str(resources.files("neuralgate.pairs").joinpath("subjects.yaml")))


def subjects_of(*groups: Group, among: Sequence[Subject] | None = None) -> tuple[Subject, ...]:
    """The subjects of some groups, of Clerk's world unless others are given."""
    return tuple(subject for subject in (load_subjects() if among is None else among) if subject.group in groups)


def choose_subjects(names: Sequence[str] | None, group: Group, among: Sequence[Subject]) -> tuple[Subject, ...]:
    """Subjects by name, or all of ``group``. Raises UserError for a name that is no subject."""
    if names is None:
        return subjects_of(group, among=among)
    subjects = {subject.name: subject for subject in among}
    for name in names:
        if name not in subjects:
            raise UserError(f"There is no subject {name!r}; `neuralgate ls subjects` lists them.")
    return tuple(subjects[name] for name in names)
