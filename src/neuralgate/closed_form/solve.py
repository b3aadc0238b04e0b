"""Updates of a projection out = W k that give N keys the values that they lack, without disturbing ordinary keys.

Each is solved in the space of its N keys, in float64; the dense forms, systems of F x F, are the tests' oracles. Letters: ``F`` the size of
a key, ``D`` of a value. ``C`` is the second moment of ordinary keys, ``R`` what is still missing of each value.

    ROME       delta = (v - W k) u^T / (k . u)                with u = C^-1 k, one key after another
    MEMIT      delta = R K^T (lambda C + K K^T)^-1          = R (lambda I + K^T A)^-1 A^T        with A = C^-1 K
    AlphaEdit  delta = R K^T P (K K^T P + l I)^-1           = R (K^T P K + l I)^-1 K^T P         with P onto the null space of C

Papers: ROME https://arxiv.org/abs/2202.05262, MEMIT https://arxiv.org/abs/2210.07229, AlphaEdit https://arxiv.org/abs/2410.02355.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neuralgate.errors import UserError


class Covariance:
    """The second moment ``C`` ``(F, F)`` of ordinary keys, factored once. With ``ridge``, a share of its mean diagonal, added to it.

    Raises:
        UserError: it is singular.
    """

    def __init__(self, moment_FF: Tensor, ridge: float = 0.0) -> None:
        moment_FF = moment_FF.double()
        size = len(moment_FF)
        self.moment_FF = moment_FF + ridge * moment_FF.diagonal().mean() * torch.eye(size, dtype=torch.float64, device=moment_FF.device)
        self.factor_FF, failed = torch.linalg.cholesky_ex(self.moment_FF)
        if int(failed):
            raise UserError(
                f"The covariance of {size} dimensions of a key is singular; give more ordinary text (corpus), or a larger ridge."
            )

    def solve(self, keys_FN: Tensor) -> Tensor:
        """C^-1 K."""
        return torch.cholesky_solve(keys_FN.double(), self.factor_FF)


def memit_update(residuals_DN: Tensor, keys_FN: Tensor, covariance: Covariance, weight: float) -> Tensor:
    """``(D, F)``: the update of least squares on the keys plus ``weight`` (lambda) times that on ordinary ones."""
    keys_FN, solved_FN = keys_FN.double(), covariance.solve(keys_FN)
    small_NN = weight * torch.eye(keys_FN.shape[1], dtype=torch.float64, device=keys_FN.device) + keys_FN.T @ solved_FN
    return residuals_DN.double() @ torch.linalg.solve(small_NN, solved_FN.T)


def null_space(moment_FF: Tensor, threshold: float | None, energy: float) -> Tensor:
    """An orthonormal basis ``(F, M)`` of the directions in which ordinary keys hardly lie: eigenvalues below ``threshold``, or, where that
    is None, the smallest that make up at most the share ``energy`` of all.

    Raises:
        UserError: there are none, or no other ones.
    """
    values_F, vectors_FF = torch.linalg.eigh(moment_FF.double())  # ascending
    if threshold is None:
        count = int((values_F.clamp(min=0).cumsum(0) <= energy * values_F.clamp(min=0).sum()).sum())
    else:
        count = int((values_F < threshold).sum())
    if not 0 < count < len(values_F):
        where = f"below {threshold:g}" if threshold is not None else f"within {energy:g} of the energy"
        raise UserError(f"{count} of {len(values_F)} directions of the keys lie {where}; set another threshold or energy.")
    return vectors_FF[:, :count]


def alphaedit_update(residuals_DN: Tensor, keys_FN: Tensor, basis_FM: Tensor, weight: float) -> Tensor:
    """``(D, F)``: the update of least squares plus ``weight`` (l) times its squared norm, among those that are zero outside the null space.
    Keys of earlier edits stand among the keys, with residuals of zero."""
    projected_MN = basis_FM.double().T @ keys_FN.double()
    small_NN = projected_MN.T @ projected_MN + weight * torch.eye(keys_FN.shape[1], dtype=torch.float64, device=keys_FN.device)
    return residuals_DN.double() @ torch.linalg.solve(small_NN, projected_MN.T) @ basis_FM.double().T


def rome_updates(weight_DF: Tensor, values_DN: Tensor, keys_FN: Tensor, asked_FN: Tensor, covariance: Covariance | None) -> Tensor:
    """``(D, F)``: rank-one updates, one key after another, so that W gives ``asked_FN`` the values; their directions are C^-1 k (k without
    a covariance) of ``keys_FN``. ROME asks with the bare question's key and moves along the mean over contexts; R-ROME takes one for both
    (https://arxiv.org/abs/2403.07175).

    Raises:
        UserError: a key is orthogonal to its own direction.
    """
    start_DF = weight_DF.double()
    current_DF = start_DF.clone()
    directions_FN = covariance.solve(keys_FN) if covariance else keys_FN.double()
    for value_D, key_F, direction_F in zip(values_DN.double().T, asked_FN.double().T, directions_FN.T, strict=True):
        along = key_F @ direction_F
        if abs(float(along)) < 1e-9 * float(key_F.norm() * direction_F.norm()):
            raise UserError("A key is orthogonal to the direction that it is to be edited along; take fewer contexts, or r_rome.")
        current_DF += torch.outer(value_D - current_DF @ key_F, direction_F) / along
    return current_DF - start_DF
