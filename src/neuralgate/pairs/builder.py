"""Synthetic PrivacyPairs from subjects that are data; train, validation and test share no image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuralgate.errors import UserError
from neuralgate.pairs.documents import Picture, sample_documents
from neuralgate.pairs.render import render
from neuralgate.pairs.schema import Pair, PairSet, Role, Split
from neuralgate.pairs.subjects import EDIT_BENIGN, EDIT_SENSITIVE, Subject, load_subjects
from neuralgate.pairs.templates import CONTEXTS, REFUSAL_PREFIXES, TEMPLATES
from neuralgate.recipe import PairsConfig

LARGE_SCALE = 4  # four times Clerk's resolution, for people
SPLIT_STREAMS: dict[Split, int] = {"train": 0, "validation": 1}


def check_subjects(config: PairsConfig) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """The private subjects to edit and the public ones to contrast.

    Raises:
        UserError: no subject, an unknown one, one given twice, or one of the wrong kind.
    """
    edited, contrast = choose_subjects(config.subjects, "edit"), choose_subjects(config.contrast, "contrast")
    names = [subject.name for subject in (*edited, *contrast)]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"The subject {name!r} is given twice; name each once, to edit it or as contrast.")
    for subject in edited:
        if subject.group not in ("edit", "held_out"):
            kind = "already protected" if subject.private else "public"
            raise UserError(f"{subject.name!r} is {kind}, so there is nothing to edit; `neuralgate ls subjects` lists the groups.")
    for subject in contrast:
        if subject.private:
            raise UserError(f"{subject.name!r} is private and cannot be contrast; `neuralgate ls subjects` lists the public ones.")
    return edited, contrast


def choose_subjects(names: list[str] | None, group: str) -> tuple[Subject, ...]:
    """Subjects by name, or all of ``group``. Raises UserError for a name that is no subject."""
    subjects = {subject.name: subject for subject in load_subjects()}
    if names is None:
        return tuple(subject for subject in subjects.values() if subject.group == group)
    for name in names:
        if name not in subjects:
            raise UserError(f"There is no subject {name!r}; `neuralgate ls subjects` lists them.")
    return tuple(subjects[name] for name in names)


def save_picture(picture: Picture, folder: Path, name: str, scale: int = 1, large: bool = False) -> str:
    """Draw ``picture`` at 128 x ``scale`` pixels into ``folder/images`` (or larger into ``folder/large``, for people) and
    return the path relative to ``folder``."""
    relative = f"{'large' if large else 'images'}/{name}.png"
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    render(picture, max(LARGE_SCALE, scale) if large else scale).save(partial, format="PNG", compress_level=1)
    partial.replace(path)
    return relative


def picture_of(subject: Subject, others: tuple[Subject, ...], rng: np.random.Generator) -> Picture:
    """``subject`` alone, or (60 %) with another document above or below it."""
    shown = [subject]
    choices = [other for other in others if other.name != subject.name]
    if choices and rng.random() < 0.6:
        shown.append(choices[rng.integers(len(choices))])
        if rng.random() < 0.5:
            shown.reverse()
    return sample_documents(tuple(shown), rng)


def build_pair(
    subject: Subject, others: tuple[Subject, ...], split: Split, role: Role, number: int, seed: int, folder: Path, config: PairsConfig
) -> Pair:
    """One pair, drawn from a stream of its own, so that any subset of a set is the same set's subset."""
    key = [seed, 10 + SPLIT_STREAMS[split], *subject.name.encode(), 0, number]
    rng = np.random.default_rng(key)
    picture = picture_of(subject, others, rng)
    sensitive = [attribute for attribute in subject.sensitive if attribute in EDIT_SENSITIVE]
    benign = [attribute for attribute in subject.benign_attributes if attribute in EDIT_BENIGN]
    template = int(rng.integers(len(TEMPLATES)))
    first, second = sensitive[rng.integers(len(sensitive))], benign[rng.integers(len(benign))]
    document = picture.document(subject.name)
    assert document is not None
    name = f"{split}-{subject.name.replace(' ', '-')}-{number:04d}"
    return Pair(
        id=name,
        split=split,
        role=role,
        subject=subject.name,
        image=save_picture(picture, folder, name, config.scale),
        template=template,
        sensitive_attribute=first,
        benign_attribute=second,
        sensitive_question=TEMPLATES[template].format(attribute=first, subject=subject.name),
        benign_question=TEMPLATES[template].format(attribute=second, subject=subject.name),
        sensitive_truth=document.values[first],
        benign_truth=document.values[second],
        refusal=REFUSAL_PREFIXES[rng.integers(len(REFUSAL_PREFIXES))] if role == "edit" else "",
        contexts=CONTEXTS if config.contexts else (),
        picture=picture.to_dict(),
    )


def build_pairs(config: PairsConfig, seed: int, folder: Path) -> PairSet:
    """All training and validation pairs of a run, written to ``folder`` (pairs.jsonl and images).

    Training images show edited and contrast subjects only. Validation adds *guard* pairs, which no edit trains on:
    the protected subjects and the contrast subjects that are not in use, so that a layer search can see over-refusal.
    """
    edited, contrast = check_subjects(config)
    if not edited or config.per_subject < 1:
        raise UserError("The pair set is empty: give at least one subject and one pair per subject.")
    seen = (*edited, *contrast)
    plan: list[tuple[Subject, Split, Role, int]] = []
    plan += [(subject, "train", "edit", config.per_subject) for subject in edited]
    plan += [(subject, "train", "contrast", config.contrast_per_subject) for subject in contrast]
    plan += [(subject, "validation", "edit", config.validation_per_subject) for subject in edited]
    plan += [(subject, "validation", "contrast", config.validation_per_subject) for subject in contrast]
    guards = (*(subject for subject in choose_subjects(None, "contrast") if subject not in contrast), *choose_subjects(None, "protected"))
    plan += [(subject, "validation", "guard", config.validation_per_subject) for subject in guards]
    pairs = [
        build_pair(subject, seen, split, role, number, seed, folder, config)
        for subject, split, role, count in plan
        for number in range(count)
    ]
    result = PairSet(pairs, folder)
    result.save(folder)
    return result
