"""The exact difference of two tensors of the same type: their xor, or the places and xor of the few values that differ.

Xor leads from either side to the other bit for bit, which no difference of floats does.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.lvlm.model import tensor_bytes

BITS = {2: torch.int16, 4: torch.int32}
PLACE_BYTES = 8  # of an int64


@dataclass(frozen=True)
class Sparse:
    """``bits_N``: the xor at the ``places_N`` (int64, ascending) of the tensor laid out in a row; zero everywhere else."""

    places_N: Tensor
    bits_N: Tensor


Difference = Tensor | Sparse


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor_bytes(tensor)).hexdigest()


def as_bits(tensor: Tensor) -> Tensor:
    """The same memory seen as integers, so that xor is defined."""
    return tensor.contiguous().view(BITS[tensor.element_size()])


def difference(before: Tensor, after: Tensor) -> Difference:
    """The xor of two tensors; sparse where that takes at most half the room."""
    bits = as_bits(before) ^ as_bits(after)
    changed = int((bits != 0).sum())
    if 2 * changed * (PLACE_BYTES + bits.element_size()) > bits.nbytes:
        return bits
    places_N = bits.flatten().nonzero().flatten()
    return Sparse(places_N, bits.flatten()[places_N])


def count_changed(change: Difference) -> int:
    return int(((change.bits_N if isinstance(change, Sparse) else change) != 0).sum())


def flipped(tensor: Tensor, change: Difference) -> Tensor:
    """The other side of ``tensor``, in memory of its own."""
    bits = as_bits(tensor)
    if isinstance(change, Sparse):
        bits = bits.flatten().clone()
        bits[change.places_N.to(bits.device)] ^= change.bits_N.to(bits.device)
        return bits.view(tensor.dtype).reshape(tensor.shape)
    return (bits ^ change.to(bits.device)).view(tensor.dtype)


def count_different(one: Difference, other: Difference, shape: list[int]) -> int:
    """How many values of two changes of the same tensor differ."""
    zeros = torch.zeros(shape, dtype=(one.bits_N if isinstance(one, Sparse) else one).dtype)
    return int((flipped(zeros, one) != flipped(zeros, other)).sum())


def between_sides(before: Tensor, after: Tensor, strength: float) -> Tensor:
    """``before + strength * (after - before)``, computed in float64 and rounded once; exact at 0 and 1."""
    if strength in (0, 1):
        return (after if strength else before).clone()
    return (before.double() + strength * (after.double() - before.double())).to(before.dtype)


def relative_change(before: Tensor, after: Tensor) -> float | None:
    """Norm of the change over the norm of ``before``; None where that is zero. Not finite where ``after`` is not."""
    norm = float(before.double().norm())
    change = float((after.double() - before.double()).norm())
    return change / norm if norm else None if math.isfinite(change) else change


def checked_strength(strength: float) -> float:
    """``strength`` itself. Raises UserError when it is no finite number."""
    if not math.isfinite(strength):
        raise UserError(f"The strength of an intervention must be a finite number, not {strength}.")
    return float(strength)


def relative_text(change: float | None) -> str:
    """A relative change for a reader; a tensor of zeros has no norm to compare with."""
    return "from zero" if change is None else f"{change:.4f}"
