"""Muon with an AdamW side for everything that is not a hidden matrix.

Muon (K. Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) orthogonalises the momentum of each hidden
matrix by a Newton-Schulz iteration. `torch.optim.Muon` iterates in bf16, which CPUs without bf16 units run a hundred
times slower than fp32; matrices of one shape are also batched here, which matters at this size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalize(matrices_NDF: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values end in about [0.7, 1.2]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices_NDF
    transposed = x.shape[-2] > x.shape[-1]
    if transposed:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if transposed else x


class Muon:
    """Muon for ``matrices``, AdamW for ``others`` (parameter groups, each with its rate); ``set_scale`` multiplies all
    learning rates (the schedule)."""

    def __init__(self, matrices: Iterable[nn.Parameter], others: list[tuple[list[nn.Parameter], float]], rate: float) -> None:
        self.groups: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for parameter in matrices:
            self.groups[tuple(parameter.shape)].append(parameter)
        self.momentum = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        groups = [{"params": parameters, "lr": adam_rate, "full_rate": adam_rate} for parameters, adam_rate in others]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0)
        self.rate = rate
        self.set_scale(1.0)

    def set_scale(self, scale: float) -> None:
        self.scale = scale
        for group in self.adam.param_groups:
            group["lr"] = group["full_rate"] * scale

    @torch.no_grad()
    def step(self) -> None:
        for shape, group in self.groups.items():
            gradient = torch.stack([parameter.grad for parameter in group if parameter.grad is not None])
            momentum = self.momentum[shape].lerp_(gradient, 0.05)
            update = orthogonalize(gradient.lerp_(momentum, 0.95))
            rate = self.rate * self.scale * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, direction in zip(group, update, strict=True):
                parameter.mul_(1 - rate * 0.01).add_(direction, alpha=-rate)
        self.adam.step()

    def zero_grad(self) -> None:
        self.adam.zero_grad(set_to_none=True)
        for group in self.groups.values():
            for parameter in group:
                parameter.grad = None
