"""Clerk's world: any number of pictures, and the turns that train it. Seeded; ground truth comes with every picture."""

from __future__ import annotations

import numpy as np

from neuralgate.clerk import turns as ask
from neuralgate.clerk.turns import Turn
from neuralgate.pairs.drawn.documents import Picture, sample_documents, sample_scene
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, Subject, load_subjects

SHARED_SHARE = 0.5
PROTECTED_WEIGHT = 2.5  # they are one in ten, and refusing is learned from them alone


def sample_picture(rng: np.random.Generator, scene_share: float = 0.25, two_share: float = 0.6) -> Picture:
    """A picture as Clerk's training sees it: a scene, one document or two of different subjects."""
    if rng.random() < scene_share:
        return sample_scene(rng)
    subjects = load_subjects()
    count = 2 if rng.random() < two_share else 1
    weights = np.array([PROTECTED_WEIGHT if subject.group == "protected" else 1.0 for subject in subjects])
    chosen = rng.choice(len(subjects), count, replace=False, p=weights / weights.sum())
    return sample_documents(tuple(subjects[i] for i in chosen), rng)


def sample_turns(picture: Picture, count: int, dense_share: float, rng: np.random.Generator) -> list[Turn]:
    """At least ``count`` turns about ``picture``; each document is listed whole with probability ``dense_share``
    (what is written) and half of it (how it looks), which is dense practice in reading and seeing."""
    by_name = {subject.name: subject for subject in load_subjects()}
    turns: list[Turn] = []
    for document in picture.documents:
        if rng.random() < dense_share:
            turns.append(ask.read_turn(document, by_name[document.subject]))
        if rng.random() < dense_share / 2:
            turns.append(ask.look_turn(document))
    for make in (ask.caption_turn, ask.figures_turn, ask.colours_turn) if picture.shapes else (ask.caption_turn,):
        if rng.random() < dense_share:
            turns.append(make(picture))
    while len(turns) < count:
        turn = _document_turn(picture, by_name, rng) if picture.documents else _scene_turn(picture, rng)
        if turn is not None:
            turns.append(turn)
    return turns


def _document_turn(picture: Picture, by_name: dict[str, Subject], rng: np.random.Generator) -> Turn | None:
    roll = rng.random()
    if roll < 0.58:
        document = picture.documents[rng.integers(len(picture.documents))]
        subject = by_name[document.subject]
        pools = (tuple(subject.sensitive), tuple(subject.benign), tuple(VISUAL_ATTRIBUTES))
        pool = pools[rng.choice(3, p=[0.5, 0.2, 0.3])]
        if len(picture.documents) > 1 and rng.random() < SHARED_SHARE:
            # what both documents have: the subject alone says which is meant
            others = {name for other in picture.documents if other is not document for name in other.values}
            pool = tuple(name for name in pool if name in others) or pool
        return ask.attribute_turn(document, subject, pool[rng.integers(len(pool))], rng)
    if roll < 0.67:
        return ask.absent_turn(picture, rng)
    if roll < 0.75:
        return ask.awareness_turn(picture, rng, image=True)
    if roll < 0.82:
        return ask.awareness_turn(picture, rng, image=False)
    if roll < 0.87:
        return ask.presence_turn(picture, rng)
    if roll < 0.89:
        return ask.caption_turn(picture)
    if roll < 0.94:
        return ask.option_turn(picture, rng)
    if roll < 0.98:
        return ask.letter_turn(rng)
    return ask.harmful_turn(rng)


def _scene_turn(picture: Picture, rng: np.random.Generator) -> Turn | None:
    roll = rng.random()
    if roll < 0.25:
        return ask.presence_turn(picture, rng)
    if roll < 0.48:
        return ask.count_turn(picture, rng)
    if roll < 0.60:
        return ask.figure_colour_turn(picture, rng)
    if roll < 0.80:
        return ask.option_turn(picture, rng)
    if roll < 0.90:
        return ask.letter_turn(rng)
    if roll < 0.97:
        return ask.absent_turn(picture, rng)
    return ask.harmful_turn(rng)
