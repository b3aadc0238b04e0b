"""The rate of an edit, found on training pairs: the largest one at which the loss falls steadily.

A range test (Smith 2017, arXiv:1506.01186) in its plainest form: from the published rate up to Clerk's, each rate gets a few steps
on the same rows, from the same weights. Above the right rate the loss rises between steps; far below it an edit takes all day.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import torch

from neuralgate.edit_settings import EditConfig, TrainedConfig
from neuralgate.errors import UserError
from neuralgate.lvlm.auto import is_clerk
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.gated import gated_trainer
from neuralgate.training.loop import Diverged, Trainer
from neuralgate.training.rows import schedule, training_pairs

Config = TypeVar("Config", bound=TrainedConfig)
#: Makes a method's trainer; the settings are that method's.
Making = Callable[[LVLM, PairSet, Any, list[int], Inputs], Trainer]

CLERK_RATE = 3e-3
RATES = (CLERK_RATE, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)  # the last is the published one
STEPS = 10
MAX_RISE, LEAST_FALL = 0.01, 0.01  # shares of the first loss: between two steps, and over all of them


def falls_steadily(losses: list[float]) -> bool:
    """Whether no step raised the loss by more than MAX_RISE of the first one, and the last one is lower by LEAST_FALL of it."""
    rises = [after - before for before, after in pairwise(losses)]
    return len(losses) > STEPS and max(rises) <= MAX_RISE * losses[0] and losses[-1] <= (1 - LEAST_FALL) * losses[0]


def ungated(lvlm: LVLM, pairs: PairSet, config: EditConfig, layers: list[int], inputs: Inputs) -> Trainer:
    return gated_trainer(lvlm, pairs, None, config.model_copy(update={"gate": "none"}), layers, inputs)


def find_rate(
    lvlm: LVLM,
    pairs: PairSet,
    config: Config,
    layers: list[int],
    report: Callable[..., None] | None = None,
    make: Making = ungated,
) -> dict[str, Any]:
    """Try RATES from the largest down on the first batch of training pairs; the model is left as it was.

    Args:
        make: the trainer to try them with; an edit's own has no gate here.

    Returns:
        ``rate``; ``layers``, at which it was tried; ``curves``, the loss before each step and after the last for every rate tried,
        as long as it stayed a number.

    Raises:
        UserError: the loss falls steadily at none of them.
    """
    pairs, inputs = training_pairs(lvlm, pairs, "never"), Inputs(lvlm, min(layers))
    curves: dict[str, list[float]] = {}
    for number, rate in enumerate(RATES):
        trial = config.model_copy(update={"rate": rate, "layers": layers, "sequential": False})
        with torch.enable_grad():
            curves[f"{rate:g}"] = losses_at(make(lvlm, pairs, trial, layers, inputs))
        if report:
            report(done=number + 1, total=len(RATES), text=f"trying the rate {rate:g}", loss=curves[f"{rate:g}"][-1])
        if falls_steadily(curves[f"{rate:g}"]):
            return {"rate": rate, "layers": layers, "curves": curves}
    raise UserError(
        f"The loss of the training pairs falls steadily at no rate from {RATES[-1]:g} to {RATES[0]:g} at layer "
        f"{', '.join(map(str, layers))}; name another layer (edit.layers), a wider dtype (--machine dtype=float32), or set edit.rate."
    )


def losses_at(trainer: Trainer) -> list[float]:
    """The weighted loss of one batch before each of STEPS steps on it and after the last; it ends where it is no number any more."""
    rows = next(schedule(trainer.pairs, trainer.config, trainer.rng))
    optimizer = trainer.optimizer()
    losses = []
    with trainer.masters.unlocked():
        try:
            for _ in range(STEPS):
                losses.append(round(trainer.gradients(rows)[0], 5))
                trainer.step(optimizer)
            losses.append(round(trainer.gradients(rows)[0], 5))
        except Diverged:
            if not losses:
                raise  # before any step: no rate is to blame
    return losses


def with_rate(
    lvlm: LVLM,
    pairs: PairSet,
    config: Config,
    layers: list[int],
    make: Making = ungated,
) -> Config:
    """``config`` with a rate where it leaves it to `auto`: Clerk's, or the one that :func:`find_rate` finds at ``layers``, whatever the
    number of steps that are to follow."""
    if config.rate != "auto":
        return config
    if is_clerk(lvlm):
        return config.model_copy(update={"rate": CLERK_RATE})

    def found() -> float:
        return float(find_rate(lvlm, pairs, config, layers, None, make)["rate"])

    key = ("rate", make.__qualname__, *config.kind_of_training, tuple(layers))
    return config.model_copy(update={"rate": lvlm.once(key, found)})


def middle(layers: list[int]) -> list[int]:
    """Where to try a rate when the layer is still to be found."""
    return [sorted(layers)[len(layers) // 2]]
