"""Where a training stood at its last step, so that one that differs in its number of steps alone goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralgate.lvlm.prompts import Example
from neuralgate.training.rows import Row


@dataclass(frozen=True)
class Reached:
    """All that the next step hangs on, and what there is to tell of those before; tensors by role."""

    steps: int
    base: Mapping[str, Tensor]  # of the model, before the first step
    copies: Mapping[str, Tensor]
    optimizer: dict[str, Any]
    batches: Iterator[list[Row]]  # where the last step left them, so that one training alone can go on
    picked: dict[str, Tensor]
    base_losses: dict[Example, float]
    shares: list[dict[str, float]]
    curve: list[dict[str, float | int | None]]
    seconds: float  # that the steps took

    def leads_to(self, steps: int, base: Mapping[str, Tensor]) -> bool:
        """Whether a training of so many steps, of a model with these values, comes by here."""
        return self.steps <= steps and all(torch.equal(values, base[role]) for role, values in self.base.items())
