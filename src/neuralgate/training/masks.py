"""Masks: the gated gradient (Eq. 7), exactly, that is which parts of which tokens' gradient reach the edited projection; and which of a
tensor's values are trained at all.

For the FFN output projection out = W a the weight gradient is a sum over tokens, grad W = sum_t delta_t a_t^T with
delta_t = dLoss/d out_t. The gate zeroes the closed coordinates of delta_t at the subject's tokens and leaves every
other token alone; ``positions`` can silence whole classes of tokens. Both are one mask on delta.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from neuralgate.edit_settings import GateMode
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.forward import output_changed
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import POSITIONS, SUBJECT

#: Reported classes; the few template tokens around the question count as question.
SHARE_NAMES = ("image", "question", "subject", "answer")


def allowed_tokens(classes_BT: Tensor, positions: Sequence[str]) -> Tensor:
    """``(B, T)`` booleans: the tokens of classes that may send gradient; template tokens go with the question."""
    allowed = torch.tensor([name in positions or (name == "other" and "question" in positions) for name in POSITIONS])
    return allowed.to(classes_BT.device)[classes_BT]


def gradient_mask(classes_BT: Tensor, open_BTD: Tensor, positions: Sequence[str], tokens: str = "all") -> Tensor:
    """``(B, T, D)`` booleans: True where the gradient may pass. ``open_BTD`` is the gate of each token's example; it acts
    on ``tokens`` of the subject, ``all`` or the ``last``."""
    mask_BT = allowed_tokens(classes_BT, positions)
    gated_BT = classes_BT == SUBJECT
    if tokens == "last":
        gated_BT[:, :-1] &= classes_BT[:, 1:] != SUBJECT
    gated_BTD = open_BTD | ~gated_BT[..., None]
    return mask_BT[..., None] & gated_BTD


def row_gates(
    gate: Gate | None, subjects: Sequence[str], gated: Sequence[bool], layer: int, size: int, mode: GateMode, seed: int
) -> Tensor:
    """Each example's open dimensions, ``(N, D)``; examples that are not gated (contrast subjects) are open."""
    rows = []
    for subject, is_gated in zip(subjects, gated, strict=True):
        if not is_gated or mode == "none":
            rows.append(torch.ones(size, dtype=torch.bool))
        elif mode == "closed":
            rows.append(torch.zeros(size, dtype=torch.bool))
        else:
            assert gate is not None
            rows.append(gate.open_dimensions(subject, layer, mode, seed))
    return torch.stack(rows)


class _MaskedWeightGradient(torch.autograd.Function):
    """``output`` of a projection, whose weight gradient shall count ``mask * delta``; what flows back to ``a`` is whole."""

    @staticmethod
    def forward(ctx: Any, a_BTF: Tensor, weight_DF: Tensor, output_BTD: Tensor, mask_BTD: Tensor) -> Tensor:
        ctx.save_for_backward(a_BTF, weight_DF, mask_BTD)
        return output_BTD.clone()

    @staticmethod
    def backward(ctx: Any, delta_BTD: Tensor) -> tuple[Tensor, Tensor, None, None]:
        a_BTF, weight_DF, mask_BTD = ctx.saved_tensors
        gradient_DF = (delta_BTD * mask_BTD).flatten(0, -2).T @ a_BTF.flatten(0, -2)
        return delta_BTD @ weight_DF, gradient_DF, None, None


@contextmanager
def gated(lvlm: LVLM, masks: dict[int, Tensor], gate_at: str) -> Iterator[None]:
    """Let gradients pass only where ``masks[layer]`` ``(B, T, D)`` is True.

    ``ffn`` is Eq. 7 to the letter: the mask is on the gradient of each edited weight and on nothing else. ``layer`` cuts
    the layer's output, as the authors' code does. For one edited layer both give the same weight gradient; for several,
    ``layer`` also cuts what flows to the lower edited layers.
    """
    with ExitStack() as stack:
        for layer, mask_BTD in masks.items():
            if gate_at == "ffn":

                def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor, mask_BTD: Tensor = mask_BTD) -> Tensor:
                    mask = mask_BTD.to(output.device).view(output.shape)  # OPT's FFN sees (B T, D)
                    return _MaskedWeightGradient.apply(inputs[0], module.weight, output.detach(), mask)

                stack.callback(lvlm.ffn_out(layer).register_forward_hook(hook).remove)
            else:

                def change(output_BTD: Tensor, mask_BTD: Tensor = mask_BTD) -> Tensor:
                    return torch.where(mask_BTD.to(output_BTD.device), output_BTD, output_BTD.detach())

                stack.enter_context(output_changed(lvlm.layers[layer], change))
        yield


@contextmanager
def flow_recorded(lvlm: LVLM, layer: int, store: dict[str, Tensor]) -> Iterator[None]:
    """Keep the input ``a`` ``(B, T, F)`` and the gradient ``delta`` ``(B, T, D)`` of one projection in ``store``."""

    def hook(_module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:  # else the base model was asked in between
            store["a"] = inputs[0].detach()
            output.register_hook(lambda gradient: store.__setitem__("delta", gradient.detach()))

    handle = lvlm.ffn_out(layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def flow_shares(classes_BT: Tensor, store: dict[str, Tensor]) -> dict[str, float]:
    """Norm of the weight gradient that arrives through each class of positions, over the norm of the whole.

    The parts add up as matrices, not as norms, so the shares need not add up to one.
    """
    delta_ND, a_NF = store["delta"].flatten(0, -2), store["a"].flatten(0, -2)  # N = B T tokens
    whole = (delta_ND.T @ a_NF).norm()
    shares = {}
    for name in SHARE_NAMES:
        classes = [POSITIONS.index(name)] + ([POSITIONS.index("other")] if name == "question" else [])
        mask_BT = torch.isin(classes_BT, torch.tensor(classes, device=classes_BT.device))  # no gradient reaches padding
        mask_N = mask_BT.flatten().to(delta_ND.device)
        shares[name] = float((delta_ND[mask_N].T @ a_NF[mask_N]).norm() / whole)
    return shares


def largest_values(gradients: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The ``share`` of each tensor's values (at least one) whose gradient is largest, as booleans of its shape."""
    return {role: _marked(gradient.abs().flatten(), share).view_as(gradient) for role, gradient in gradients.items()}


def random_values(gradients: dict[str, Tensor], share: float, seed: int) -> dict[str, Tensor]:
    """As many values of each tensor, drawn at random."""
    masks = {}
    for role, gradient in gradients.items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}|{role}".encode()))
        drawn = torch.rand(gradient.numel(), generator=generator).to(gradient.device)
        masks[role] = _marked(drawn, share).view_as(gradient)
    return masks


def _marked(sizes: Tensor, share: float) -> Tensor:
    """The largest ``share`` of ``sizes``."""
    marked = torch.zeros_like(sizes, dtype=torch.bool)
    marked[sizes.topk(max(1, round(share * len(sizes)))).indices] = True
    return marked
