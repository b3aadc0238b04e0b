"""From vectors to votes (Eq. 6): which share of a subject's samples had to flip a dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def votes_of(vectors: Mapping[str, Tensor], owner_N: Tensor, count: int) -> Tensor:
    """``(S, D)``: for each of ``count`` subjects the share of its samples (``owner_N`` numbers the subject) whose value is negative,
    of those whose loss stayed a number."""
    flipped_ND, finite_N = (vectors["vectors_ND"] < 0).float(), vectors["finite_N"].bool()
    return torch.stack([flipped_ND[(owner_N == index) & finite_N].mean(0) for index in range(count)])


def votes_at_layers(layer_vectors: Iterable[Mapping[str, Tensor]], owner_N: Tensor, count: int) -> Tensor:
    """``(S, L, D)``: the votes of one layer's vectors after another's."""
    return torch.stack([votes_of(vectors, owner_N, count) for vectors in layer_vectors], 1)
