"""Values: what the output of a layer must be at a subject's last token for the wanted answer to come.

    minimise over d:  NLL(answer), mean over ways of asking + kl KL(p_d || p_0) at that token + decay ||d|| / ||h||^2,  ||d|| <= clamp ||h||

h: that output as it is, p: the next token's distribution there. As in ROME and MEMIT; the answers' tokens are never joined as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralgate.closed_form.kept import identity_of, kept
from neuralgate.closed_form.requests import Request
from neuralgate.edit_settings import ValueConfig
from neuralgate.errors import UserError
from neuralgate.locate.vectors import scaled_positions
from neuralgate.lvlm.fast.resumable import resumable
from neuralgate.lvlm.forward import at_least_float32, check_gradient, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.training.losses import divergence

#: Settings that values hang on, beside the requests.
FOUND_BY = ("value_steps", "value_rate", "value_stop", "decay", "kl", "clamp", "at_a_time")


@dataclass
class Values:
    """Of ``N`` requests, in float32; losses are known of values that were found by them."""

    start_ND: Tensor  # h
    change_ND: Tensor  # d
    loss_before_N: Tensor | None  # NLL of the answer, nats a token
    loss_after_N: Tensor | None


def kept_values(lvlm: LVLM, requests: Sequence[Request], layer: int, config: ValueConfig) -> Values:
    """`optimise_values`, from the user's cache where they were found before, for they do not hang on how an edit is solved with them."""
    asked = [example for request in requests for example in request.asked]
    about = [*identity_of(lvlm, asked), [getattr(config, name) for name in FOUND_BY]]
    found = kept(lvlm, "values", about, [layer], lambda _: {layer: vars(optimise_values(lvlm, requests, layer, config))})
    return Values(**found[layer])


def optimise_values(lvlm: LVLM, requests: Sequence[Request], layer: int, config: ValueConfig) -> Values:
    """As many requests at a time as fit into memory; none knows of the others.

    Raises:
        UserError: a loss is no number.
    """
    parts = lvlm.batches(config.at_a_time, "optimising values").run(lambda chosen: _optimise(lvlm, chosen, layer, config), requests)
    whole = Values(*(torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])))
    if not all(bool(part.loss_after_N.isfinite().all()) for part in parts if part.loss_after_N is not None):
        raise UserError(f"The values at layer {layer} came to no finite loss; lower value_rate ({config.value_rate} now).")
    return whole


def _optimise(lvlm: LVLM, requests: Sequence[Request], layer: int, config: ValueConfig) -> Values:
    ways = len(requests[0].asked)
    passed, labels_BT, at_BT = resumable(
        lvlm, [request.asked for request in requests], layer, lambda classes_BT: scaled_positions(classes_BT, "last")
    )
    hidden_BTD = passed.outputs[layer]
    at_BT1 = at_BT[..., None].to(hidden_BTD.device)
    bare_NT = at_BT[::ways]
    start_ND = hidden_BTD[::ways][bare_NT.to(hidden_BTD.device)].float()
    size_N1 = start_ND.norm(dim=-1, keepdim=True)

    def losses(change_ND: Tensor) -> tuple[Tensor, Tensor]:
        """NLL of the answers ``(N,)``, and the logits at the bare questions' subjects ``(N, V)``."""
        change_B1D = change_ND.repeat_interleave(ways, 0)[:, None].to(hidden_BTD.dtype)
        last_BTD = passed.resume(layer, torch.where(at_BT1, hidden_BTD + change_B1D, hidden_BTD))
        nll_N = target_losses(lvlm, last_BTD, labels_BT).view(len(requests), ways).mean(-1)
        return nll_N, at_least_float32(lvlm.head(last_BTD[::ways][bare_NT.to(last_BTD.device)]))

    change_ND = torch.zeros_like(start_ND, requires_grad=True)
    optimizer = torch.optim.Adam([change_ND], lr=config.value_rate)
    with torch.no_grad():
        before_N, base_NV = losses(change_ND)
    running_N = torch.ones(len(requests), dtype=torch.bool, device=start_ND.device)
    with torch.enable_grad():
        for step in range(config.value_steps):
            nll_N, logits_NV = losses(change_ND)
            decay_N = change_ND.norm(dim=-1) / size_N1[:, 0] ** 2
            total_N = nll_N + config.kl * divergence(base_NV, logits_NV) + config.decay * decay_N
            running_N &= total_N.detach() >= config.value_stop
            if not running_N.any():
                break
            optimizer.zero_grad()
            total_N[running_N].sum().backward()
            if not step:
                check_gradient(change_ND.grad, f"The values at layer {layer}")
            kept_ND = change_ND.detach().clone()
            optimizer.step()
            with torch.no_grad():
                change_ND.mul_((config.clamp * size_N1 / change_ND.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0))
                change_ND[~running_N] = kept_ND[~running_N]  # Adam's momentum would move a finished one on
    with torch.no_grad():
        after_N, _ = losses(change_ND)
    return Values(start_ND, change_ND.detach(), before_N, after_N)
