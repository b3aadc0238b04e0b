"""What prompts, filters and redactions have in common: they stand around a model that stays as it is, and are there or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from neuralgate.errors import UserError
from neuralgate.interventions.base import Answerer, Intervention
from neuralgate.interventions.values import checked_strength
from neuralgate.lvlm.conversation import Item
from neuralgate.lvlm.generate import Generated, Sampling
from neuralgate.lvlm.model import LVLM

#: Asks what stands behind the guard, which gives one answer an item, or its samples.
Ask = Callable[[Sequence[Item]], list[Generated]]


@dataclass(kw_only=True)
class Guard:
    """A kind of guard says what it does to questions and answers in :meth:`answers`."""

    information: dict[str, Any] = field(default_factory=dict)
    is_in: bool = True

    def at(self, strength: float) -> Self:
        """See `Intervention.at`."""
        return replace(self, is_in=self.is_in and checked_strength(strength) >= 0.5)

    def unchanged_below(self, lvlm: LVLM) -> int:
        """See `Intervention.unchanged_below`: other words and pictures are other inputs, and not another model."""
        return len(lvlm.layers)

    @contextmanager
    def on(self, lvlm: LVLM) -> Iterator[Answerer]:
        """See `Intervention.on`."""
        yield self.around(lvlm, lvlm)

    def around(self, lvlm: LVLM, answerer: Answerer) -> Answerer:
        """``answerer``, which is ``lvlm`` or has guards around it, with this one around it, too."""
        self.check(lvlm)
        return Guarded(lvlm, answerer, self) if self.is_in else answerer

    def check(self, lvlm: LVLM) -> None:
        """Raises UserError where it cannot serve the model."""

    def answers(self, lvlm: LVLM, items: Sequence[Item], sampling: Sampling | None, ask: Ask) -> list[Generated]:
        """One answer per item, or with ``sampling`` an item's samples one after another."""
        raise NotImplementedError


@dataclass(frozen=True)
class Guarded:
    """A model with a guard around it."""

    lvlm: LVLM
    answerer: Answerer
    guard: Guard

    @property
    def name(self) -> str:
        return self.answerer.name

    def generate_answers(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[Generated]:
        """See `Answerer`."""

        def ask(those: Sequence[Item]) -> list[Generated]:
            return self.answerer.generate_answers(those, max_new_tokens, batch_size, report, sampling)

        return self.guard.answers(self.lvlm, items, sampling, ask)


@contextmanager
def stacked(lvlm: LVLM, interventions: Sequence[Intervention]) -> Iterator[Answerer]:
    """``lvlm`` with all ``interventions`` on it, in their order: those that change the model itself, then guards, each around those before.

    Raises:
        UserError: one that changes the model comes after a guard; see `Intervention.on`.
    """
    with ExitStack() as stack:
        answerer: Answerer = lvlm
        for intervention in interventions:
            if isinstance(intervention, Guard):
                answerer = intervention.around(lvlm, answerer)
            elif answerer is lvlm:
                entered: AbstractContextManager[Answerer] = intervention.on(lvlm)
                answerer = stack.enter_context(entered)
            else:
                raise UserError("What changes the model itself comes before what stands around it; put the guards last.")
        yield answerer
