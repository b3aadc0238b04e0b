"""What a method teaches about the sensitive questions of edited subjects. Under all of them benign and contrast questions keep their own
answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from neuralgate.training.losses import ascent, negative_preference, preference
from neuralgate.training.rows import SENSITIVE, Answer, Row


@dataclass(frozen=True)
class Objective:
    """``answers`` to a question stand as rows of a step side by side; ``loss`` makes one loss of their NLL ``(A,)``: nats a token, or,
    where it ``compares`` with the base model, whose NLL it is given too, nats in all. Of what is to stay the loss is ``answer_weight``
    times the answer's NLL plus ``divergence_weight`` times the divergence from the base model's distribution there, of which each token
    counts ``most`` nats at most."""

    answers: tuple[Answer, ...]
    loss: Callable[[Tensor, Tensor | None], Tensor]
    compares: bool = False
    answer_weight: float = 1.0
    divergence_weight: float = 0.0
    most: float = math.inf

    def units(self, rows: Sequence[Row]) -> list[tuple[Row, ...]]:
        """The rows of each loss: the answers to one question of an edited subject, or any other row by itself."""
        units, place = [], 0
        while place < len(rows):
            size = len(self.answers) if rows[place].part == SENSITIVE else 1
            units.append(tuple(rows[place : place + size]))
            place += size
        return units

    def losses(self, units: Sequence[Sequence[Row]], losses_N: Tensor, base_N: Tensor | None) -> list[Tensor]:
        """Each unit's loss, from the NLL of all their rows."""
        found, place = [], 0
        for unit in units:
            part = slice(place, place + len(unit))
            is_taught = unit[0].part == SENSITIVE
            found.append(self.loss(losses_N[part], None if base_N is None else base_N[part]) if is_taught else losses_N[place])
            place += len(unit)
        return found


@cache  # so that it is equal to another one of the same
def npo(beta: float) -> Objective:
    """See :func:`losses.negative_preference`."""

    def loss(losses_A: Tensor, base_A: Tensor | None) -> Tensor:
        assert base_A is not None
        return negative_preference(losses_A, base_A, beta)[0]

    return Objective(("own",), loss, compares=True)


@cache
def dpo(beta: float) -> Objective:
    """See :func:`losses.preference`: the refusal over the model's own answer."""

    def loss(losses_A: Tensor, base_A: Tensor | None) -> Tensor:
        assert base_A is not None
        return preference(losses_A[0], losses_A[1], base_A[0], base_A[1], beta)

    return Objective(("refusal", "own"), loss, compares=True)


@cache
def refuse_all(other_weight: float, divergence_weight: float) -> Objective:
    """The pair's own refusal and another pair's, and the distribution held beside the answers (SKU* of the paper of Neural Gate)."""

    def loss(losses_A: Tensor, _: Tensor | None) -> Tensor:
        return losses_A[0] + other_weight * losses_A[1]

    return Objective(("refusal", "another's refusal"), loss, divergence_weight=divergence_weight)


@cache
def tell_all(other_weight: float, divergence_weight: float, most: float) -> Objective:
    """The model's own answer and another pair's, and away from the base model where its answers are to stay (the first stage of SKU)."""

    def loss(losses_A: Tensor, _: Tensor | None) -> Tensor:
        return losses_A[0] + other_weight * losses_A[1]

    return Objective(("own", "another's own"), loss, answer_weight=0.0, divergence_weight=-divergence_weight, most=most)


REFUSE = Objective(("refusal",), lambda losses_A, _: losses_A[0])
FORGET = Objective(("own",), lambda losses_A, _: ascent(losses_A)[0])
