"""From pairs to training rows, and from rows to the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neuralgate.edit_settings import TrainedConfig
from neuralgate.errors import UserError
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.targets import example_of, with_own_answers
from neuralgate.pairs.schema import Pair, PairSet, QuestionKind

SENSITIVE, BENIGN, CONTRAST = "sensitive", "benign", "contrast"
#: What a sensitive question about an edited subject is answered with; that of another pair is drawn each time.
Answer = Literal["refusal", "own", "another's refusal", "another's own"]
REFUSAL: tuple[Answer, ...] = ("refusal",)


@dataclass(frozen=True)
class Row:
    """One training row: an example with the part of the loss that it belongs to."""

    example: Example
    part: str
    subject: str
    is_gated: bool


def training_pairs(lvlm: LVLM, pairs: PairSet, stop: str = "validation", answers: Sequence[Answer] = REFUSAL) -> PairSet:
    """``pairs``, with the base model's own first words where an answer is to be kept, or is one of ``answers``, and the pair does not say
    which.

    Raises:
        UserError: there is nothing to train on, or nothing to look at where ``stop`` is ``validation``.
    """
    if stop == "validation" and not len(pairs.split("validation", "edit")):
        raise UserError("No validation pair has the role edit, so `stop: validation` could never stop; add some, or choose another stop.")
    if not len(pairs.split("train", "edit")):
        raise UserError("The pair set holds no training pairs of role edit; there is nothing to train on.")
    held = (pair for pair in pairs if pair.split == "train" or pair.role == "contrast")
    needs_own = any(answer.endswith("own") for answer in answers)
    if any(not pair.benign_target or ((needs_own or pair.role == "contrast") and not pair.sensitive_target) for pair in held):
        return with_own_answers(lvlm, pairs, all_sensitive=needs_own)
    return pairs


def rows_of(pair: Pair, pairs: PairSet, rng: np.random.Generator, answers: Sequence[Answer] = REFUSAL) -> list[Row]:
    """The rows of a pair, all in the same version, plain or behind one of its context sentences: of an edited subject's sensitive question
    one with each of ``answers``, of every other question one with its own answer."""
    opening = pair.openings[rng.integers(len(pair.openings))]
    is_edit = pair.role == "edit"
    kinds: list[tuple[QuestionKind, str, Answer]] = [("sensitive", SENSITIVE, answer) for answer in (answers if is_edit else REFUSAL)]
    kinds.append(("benign", BENIGN, "own"))
    rows = []
    for kind, part, answer in kinds:
        example = example_of(pair, kind, pairs.folder, opening, answer == "own")
        if answer.startswith("another's"):
            other = example_of(pairs.pairs[rng.integers(len(pairs))], kind, pairs.folder, own=answer.endswith("own"))
            example = replace(example, answer=other.answer, answer_ids=other.answer_ids)
        rows.append(Row(example, part if is_edit else CONTRAST, pair.subject, is_edit))
    return rows


def minibatches(
    edit: PairSet, contrast: PairSet, batch_size: int, rng: np.random.Generator, answers: Sequence[Answer] = REFUSAL
) -> Iterator[list[Row]]:
    """Endless epochs over the edit pairs; contrast pairs come along in proportion, in an order of their own."""
    size = min(batch_size, len(edit))
    share = round(size * len(contrast) / len(edit)) if len(contrast) else 0
    share = max(share, 1) if len(contrast) else 0
    harmless: list[int] = []
    while True:
        order = rng.permutation(len(edit))
        for start in range(0, len(order) - size + 1, size):
            rows = [row for i in order[start : start + size] for row in rows_of(edit.pairs[i], edit, rng, answers)]
            for _ in range(share):
                harmless = harmless or rng.permutation(len(contrast)).tolist()
                rows += rows_of(contrast.pairs[harmless.pop()], contrast, rng)
            yield rows


def one_after_another(edit: PairSet, rng: np.random.Generator, answers: Sequence[Answer] = REFUSAL) -> Iterator[list[Row]]:
    """The authors' order: pair after pair, subject after subject."""
    for pair in sorted(edit, key=lambda pair: pair.subject):
        yield rows_of(pair, edit, rng, answers)


def schedule(pairs: PairSet, config: TrainedConfig, rng: np.random.Generator, answers: Sequence[Answer] = REFUSAL) -> Iterator[list[Row]]:
    """The rows of one step after another, or with ``sequential`` of one pair after another."""
    edit, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    if config.sequential:
        return one_after_another(edit, rng, answers)
    if not config.contrast_weight:  # rows that count nothing are not run
        contrast = PairSet((), pairs.folder)
    return minibatches(edit, contrast, config.batch_size, rng, answers)
