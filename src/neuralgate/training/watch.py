"""What is common to all methods: looks at validation pairs, the limits of damage, the budget, and the record of it all.

Methods are compared at equal effect or at equal damage. ``keep: first`` ends at the first look that finds the wanted effect within the
limits. ``keep: strongest`` lets the method go on to its last step (or its largest strength), keeps what each look saw, and returns the
state of the largest effect within them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from neuralgate.cost import device_peak_mb, peak_memory_mb
from neuralgate.edit_settings import MethodConfig
from neuralgate.interventions.base import Answerer, Intervention
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.training.validation import Validation

State = TypeVar("State")


@dataclass
class Training:
    """What happened: the curve, why it stopped, what it cost, and where its gradient came from."""

    layers: list[int]
    gate: str = "none"
    method: str = ""
    steps: int = 0
    stopped: str = "limit"  # "converged", "limit", "end of pairs", "time"
    seconds: float = 0.0
    peak_memory_mb: float = 0.0  # of the process, or of its accelerator, so far
    values_changed: int = 0
    kept_step: int | None = None  # the look whose state was kept; None: the last state
    note: str = ""  # what a reader must know of the choice
    curve: list[dict[str, float | int | None]] = field(default_factory=list)
    gradient_share: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Snapshot(Generic[State]):
    """What a look found, and the state that it looked at."""

    step: int
    effect: float
    excess: float  # by how much the damage is beyond its limits; 0 within them
    state: State


class Watch:
    """Of one application of a method to ``lvlm``. A method calls :meth:`begin`, then :meth:`note` or :meth:`look_at` as it goes on
    until it is told to stop, and returns :meth:`chosen`.

    Args:
        report: called with ``done``, ``total``, ``text`` and what was measured.
    """

    def __init__(self, lvlm: LVLM, config: MethodConfig, report: Callable[..., None] | None = None) -> None:
        self.lvlm, self.config, self.report = lvlm, config, report
        self.training = Training([])

    def begin(self, pairs: PairSet, task: str, layers: Sequence[int] = (), gate: str = "none", looks: bool = True) -> None:
        """Start the clock, and note what the model answers before anything is done to it. ``looks``: whether there will be any."""
        self.training = Training(list(layers), gate)
        self.started, self.saved = time.perf_counter(), self.lvlm.saved_seconds
        self.task, self.looks = task, looks
        self.validation = Validation(self.lvlm, pairs, self.config)
        self.best: Snapshot[Any] | None = None
        if looks:
            self.validation.remember()

    @property
    def is_late(self) -> bool:
        """Whether the budget of seconds is used up."""
        return self.config.max_seconds is not None and time.perf_counter() - self.started > self.config.max_seconds

    def note(
        self,
        step: int,
        limit: int,
        losses: Mapping[str, float],
        state: Callable[[], Any] | None = None,
        answerer: Answerer | None = None,
    ) -> bool:
        """Record a step; with ``state``, which gives what is to be kept, look at validation pairs too. Returns whether to stop."""
        late = self.is_late
        self.training.steps = step
        point: dict[str, float | int | None] = {"step": step, "loss_contrast": None}
        point |= {f"loss_{part}": round(loss, 5) for part, loss in losses.items()}
        measured = self.validation.asking(answerer or self.lvlm).measure() if state else {}
        for name in ("rta_sensitive", "rta_benign", "contrast_lost"):
            point[f"validation_{name}"] = measured.get(name)
        self.training.curve.append(point)
        if self.report:
            values = {key: value for key, value in point.items() if value is not None and key != "step"}
            self.report(done=step, total=limit, text=self.task, **values)
        if state and self.config.keep == "strongest":
            self.keep(step, measured, state)
        elif measured and self.validation.satisfied(measured):
            self.training.stopped = "converged"
            return True
        if late:
            self.training.stopped = "time"
        return late

    def look_at(self, intervention: Intervention, step: int, limit: int) -> bool:
        """Put ``intervention`` on, and note the look number ``step`` of ``limit``; returns whether to stop."""
        with intervention.on(self.lvlm) as answerer:
            return self.note(step, limit, {}, lambda: intervention, answerer)

    def keep(self, step: int, measured: Mapping[str, float], state: Callable[[], Any]) -> None:
        """Keep this look's state if it is the best so far: within the limits before outside, then the larger effect; outside, the
        smaller damage. Of equal ones the earlier stays."""
        effect, excess = measured.get("rta_sensitive", 0.0), self.validation.excess(measured)
        if self.best is None or (-excess, effect) > (-self.best.excess, self.best.effect):
            self.best = Snapshot(step, effect, excess, state())

    def chosen(self, last: State) -> State:
        """What to return, where ``last`` is the state at the end; closes the record."""
        training = self.training
        training.seconds = round(time.perf_counter() - self.started + self.lvlm.saved_seconds - self.saved, 2)  # as of a first time
        training.peak_memory_mb = device_peak_mb() or peak_memory_mb()
        if self.best is None:
            return last
        training.kept_step = self.best.step
        if self.best.excess:
            training.note = (
                f"No look stayed within the limits of damage; step {self.best.step}, the one that is beyond them by the least, was kept."
            )
        elif not self.best.effect:
            training.note = f"Nothing was refused within the limits of damage; step {self.best.step} was kept and refuses nothing either."
        return self.best.state
