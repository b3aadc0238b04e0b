"""PrivacyPairs from subjects that are data; train, validation and test share no image and no document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neuralgate.errors import UserError
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.schema import Pair, PairSet, Role
from neuralgate.pairs.subjects import Subject, choose_subjects, subjects_of
from neuralgate.pairs.templates import CONTEXTS, REFUSAL_PREFIXES, TEMPLATES
from neuralgate.pairs.world import Gallery, Split, World
from neuralgate.recipe import PairsConfig

SPLIT_STREAMS: dict[str, int] = {"train": 0, "validation": 1, "test": 2}


def check_subjects(config: PairsConfig, among: Sequence[Subject]) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """The private subjects to edit and the public ones to contrast.

    Raises:
        UserError: no subject, an unknown one, one given twice, or one of the wrong kind.
    """
    edited, contrast = choose_subjects(config.subjects, "edit", among), choose_subjects(config.contrast, "contrast", among)
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
    if not edited:
        raise UserError("There is no subject to edit; give at least one of the group `edit`.")
    return edited, contrast


def stream(seed: int, split: Split, subject: Subject, number: int) -> list[int]:
    """The key of a picture's random numbers: a stream of its own, so that any subset of a set is the same set's subset."""
    return [seed, 10 + SPLIT_STREAMS[split], *subject.name.encode(), 0, number]


def build_pair(
    subject: Subject, others: Sequence[Subject], split: Split, role: Role, number: int, seed: int, gallery: Gallery, config: PairsConfig
) -> Pair:
    """One pair about a new picture in ``gallery``."""
    name = f"{split}-{subject.file_name}-{number:04d}"
    picture, rng = gallery.add(
        name, stream(seed, split, subject, number), lambda rng: gallery.world.draw(subject, others, rng, split, number)
    )
    values = picture.values(subject.name)
    sensitive, benign = subject.attributes("sensitive", "trained", values), subject.attributes("benign", "trained", values)
    template = int(rng.integers(len(TEMPLATES)))
    first, second = sensitive[rng.integers(len(sensitive))], benign[rng.integers(len(benign))]
    refusal = REFUSAL_PREFIXES[rng.integers(len(REFUSAL_PREFIXES))] if role == "edit" else ""
    called = subject.called(rng)
    return Pair(
        id=name,
        split="train" if split == "train" else "validation",
        role=role,
        subject=subject.name,
        image=gallery.path(name),
        template=template,
        sensitive_attribute=first,
        benign_attribute=second,
        sensitive_question=TEMPLATES[template].format(attribute=first, subject=called),
        benign_question=TEMPLATES[template].format(attribute=second, subject=called),
        sensitive_truth=values[first],
        benign_truth=values[second],
        refusal=refusal,
        called="" if called == subject.name else called,
        contexts=CONTEXTS if config.contexts else (),
        picture=picture.to_dict(),
    )


def build_pairs(config: PairsConfig, seed: int, folder: Path) -> PairSet:
    """All training and validation pairs of a run on Clerk's documents, written to ``folder`` (pairs.jsonl and images).

    Training images show edited and contrast subjects only. Validation adds pairs that no edit trains on: the protected
    subjects, and as look-alikes the contrast subjects that are not in use, so that a layer search can see over-refusal.
    """
    if config.refusal == "own":
        raise UserError("The model's own refusal needs the model: draw with refusal='paper', then use `own_refusal` and `with_refusal`.")
    gallery = Gallery(ClerkWorld(config.scale), folder)
    result = PairSet(plan_pairs(config, seed, gallery), folder)
    gallery.save()
    result.save(folder)
    return result


def plan_pairs(config: PairsConfig, seed: int, gallery: Gallery) -> list[Pair]:
    """The pairs, their pictures still to be written by ``gallery.save``."""
    world = gallery.world
    edited, contrast = check_subjects(config, world.subjects)
    seen = (*edited, *contrast)
    lookalikes = tuple(subject for subject in subjects_of("contrast", among=world.subjects) if subject not in contrast)
    plan: list[tuple[tuple[Subject, ...], Split, Role, int]] = [
        (edited, "train", "edit", config.per_subject),
        (contrast, "train", "contrast", config.contrast_per_subject),
        (edited, "validation", "edit", config.validation_per_subject),
        (contrast, "validation", "contrast", config.validation_per_subject),
        (lookalikes, "validation", "lookalike", config.validation_per_subject),
        (subjects_of("protected", among=world.subjects), "validation", "protected", config.validation_per_subject),
    ]
    return [
        build_pair(subject, seen, split, role, number, seed, gallery, config)
        for subjects, split, role, wanted in plan
        for subject in subjects
        for number in range(available(world, subject, split, wanted))
    ]


def available(world: World, subject: Subject, split: Split, wanted: int) -> int:
    """``wanted``, or as many pictures as there are."""
    capacity = world.capacity(subject, split)
    return wanted if capacity is None else min(wanted, capacity)


def drawn_anew(pairs: PairSet, seed: int) -> PairSet:
    """``pairs`` in an order of the seed's, the edited ones each with a refusal prefix that it draws."""
    rng = np.random.default_rng([seed, 14])
    order = rng.permutation(len(pairs))
    prefixes = rng.integers(len(REFUSAL_PREFIXES), size=len(pairs))
    return pairs.with_pairs(
        replace(pairs.pairs[place], refusal=REFUSAL_PREFIXES[prefix] if pairs.pairs[place].role == "edit" else "")
        for place, prefix in zip(order, prefixes, strict=True)
    )
