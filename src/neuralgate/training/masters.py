"""The trained tensors: float32 copies that the optimiser moves, rounded into the model after each step, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuralgate.errors import UserError


def check_trainable(parameters: Iterable[nn.Parameter]) -> None:
    """Raises UserError when a parameter is stored elsewhere, or quantised."""
    for parameter in parameters:
        if parameter.device.type == "meta":
            raise UserError("An edited layer was put aside for lack of memory; choose a lower layer, or a larger device.")
        if not parameter.is_floating_point():
            raise UserError("Quantised weights cannot be edited; edit the model in bfloat16 and measure the export in 4 or 8 bit.")


class Masters:
    """``parameters`` (role -> parameter of the model) and their ``copies``: steps are far below the resolution of half precision, and
    Adam's squares below its range. See :func:`check_trainable` for what is raised."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = dict(parameters)
        check_trainable(self.parameters.values())
        self.copies = {
            role: parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32), copy=True)
            for role, parameter in self.parameters.items()
        }

    @property
    def are_half(self) -> bool:
        """Whether gradients have float16's range."""
        return any(parameter.dtype == torch.float16 for parameter in self.parameters.values())

    def round_in(self) -> None:
        """Write the copies into the model."""
        self._hold(self.copies)

    def values(self) -> dict[str, Tensor]:
        """What the model holds now, by role."""
        return {role: parameter.detach().clone() for role, parameter in self.parameters.items()}

    @contextmanager
    def at(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """The model holds these values (role -> tensor) while the context lasts."""
        now = self.values()
        self._hold(values)
        try:
            yield
        finally:
            self._hold(now)

    def _hold(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for role, parameter in self.parameters.items():
                parameter.copy_(values[role])

    @contextmanager
    def unlocked(self) -> Iterator[dict[str, Tensor]]:
        """The parameters may change while the context lasts, and are afterwards bit for bit what they were; gives a copy of that."""
        self.base = base = self.values()
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        try:
            yield base
        finally:
            for parameter in self.parameters.values():
                parameter.requires_grad_(False)
                parameter.grad = None
            self._hold(base)
