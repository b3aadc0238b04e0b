"""The change of a tensor as a product of two thin matrices: truncated singular value decomposition, the best there is for its rank
(Eckart and Young, 1936)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.interventions.directory import changes_of
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.checkpoint import Checkpoint

ENERGIES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class LowRank:
    """``up_DR @ down_RF`` in place of a change; ``error`` is the norm of what is lost over the norm of the change."""

    up_DR: Tensor
    down_RF: Tensor
    error: float


def low_rank(change_DF: Tensor, rank: int | None, energy: float) -> LowRank:
    """The best approximation of ``rank``, or of the lowest rank that keeps ``energy`` of the squared norm."""
    left_DK, values_K, right_KF = torch.linalg.svd(change_DF.double(), full_matrices=False)
    if not float(values_K.sum()):
        raise UserError("The patch changes nothing in one of its tensors; there is no adapter to make.")
    kept_K = values_K.square().cumsum(0) / values_K.square().sum()
    if rank is None:
        rank = int((kept_K < energy).sum()) + 1
    rank = min(rank, len(values_K))
    error = float((1 - kept_K[rank - 1]).clamp(min=0).sqrt())
    root_R = values_K[:rank].sqrt()
    return LowRank((left_DK[:, :rank] * root_R).float(), (root_R[:, None] * right_KF[:rank]).float(), error)


def energy_ranks(change: Tensor) -> dict[float, int]:
    """How many singular directions hold half, 90 % and 99 % of the squared norm of a change, whose first dimension is kept and whose
    others are taken together: what a LoRA of it would cost. Empty where nothing changed."""
    change_DF = change.double().flatten(1) if change.ndim > 1 else change.double()[None]
    small = change_DF if change_DF.shape[0] <= change_DF.shape[1] else change_DF.T
    squares_K = torch.linalg.eigvalsh(small @ small.T).flip(0).clamp(min=0)
    if not float(squares_K.sum()):
        return {}
    kept_K = squares_K.cumsum(0) / squares_K.sum()
    return {share: int((kept_K < share).sum()) + 1 for share in ENERGIES}


def ranks_of(base: Path, patch: Patch) -> dict[str, dict[float, int]]:
    """Role -> the `energy_ranks` of its change. Raises UserError on a wrong base."""
    changes = zip(patch.tensors, changes_of(Checkpoint(base), patch), strict=True)
    return {role: energy_ranks(change.other.double() - change.stored.double()) for role, change in changes}


def decompose(base: Path, patch: Patch, rank: int | None = None, energy: float = 0.99) -> dict[str, LowRank]:
    """Role -> the low-rank form of its change. Raises UserError on a wrong base, a rank below 1, or a tensor that is no matrix."""
    if (rank is not None and rank < 1) or not 0 < energy <= 1:
        raise UserError("The rank must be 1 or more, the energy above 0 and at most 1.")
    for role, entry in patch.tensors.items():
        if len(entry["shape"]) != 2:
            raise UserError(f"{role} is no matrix, which alone has a form of low rank; export the patch merged.")
    changes = zip(patch.tensors, changes_of(Checkpoint(base), patch), strict=True)
    return {role: low_rank(patch.strength * (change.other.float() - change.stored.float()), rank, energy) for role, change in changes}
