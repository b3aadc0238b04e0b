"""From pairs to a patch: requests, their values, an update for each layer on the way there, and what it all came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from neuralgate.closed_form.requests import Request, mean_keys, requests_of, subject_states
from neuralgate.closed_form.values import Values, kept_values
from neuralgate.edit_settings import ValueConfig
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.masters import check_trainable
from neuralgate.training.rows import training_pairs
from neuralgate.training.watch import Watch

#: From a layer, the residuals ``(D, N)`` and the keys ``(N, C, F)`` there to the update ``(D, F)`` of its weight.
Update = Callable[[int, Tensor, Tensor], Tensor]


@dataclass
class Wanted:
    """What an edit is to bring about. ``inputs``: of the lowest edited layer."""

    requests: list[Request]
    values: Values
    inputs: Inputs


def wanted(lvlm: LVLM, pairs: PairSet, config: ValueConfig, layers: Sequence[int]) -> Wanted:
    """The requests of ``pairs``, which have their targets, and their values at the highest of ``layers``; or, as the control, values of
    the same norms in directions that are drawn at random."""
    requests = requests_of(pairs, config.per_subject, config.kept)
    values = kept_values(lvlm, requests, max(layers), config)
    if config.values == "random":
        drawn_ND = torch.randn(values.change_ND.shape, generator=torch.Generator().manual_seed(config.seed)).to(values.change_ND.device)
        values.change_ND = drawn_ND * (values.change_ND.norm(dim=-1, keepdim=True) / drawn_ND.norm(dim=-1, keepdim=True))
    return Wanted(requests, values, Inputs(lvlm, min(layers)))


def told_pairs(lvlm: LVLM, pairs: PairSet, layers: Sequence[int]) -> PairSet:
    """``pairs`` with their targets. Raises UserError where a layer is out of range or cannot be edited, or there are no pairs."""
    check_trainable(lvlm.ffn_out(layer).weight for layer in layers)
    return training_pairs(lvlm, pairs)


@contextmanager
def restored(lvlm: LVLM, layers: Sequence[int]) -> Iterator[dict[str, Tensor]]:
    """The FFN output projections may change while the context lasts; gives a copy of what they were, and will be, by role."""
    base = {role_of(layer): lvlm.ffn_out(layer).weight.detach().clone() for layer in layers}
    try:
        yield base
    finally:
        with torch.no_grad():
            for layer in layers:
                lvlm.ffn_out(layer).weight.copy_(base[role_of(layer)])


def spread(lvlm: LVLM, aim: Wanted, layers: Sequence[int], update: Update, information: dict[str, Any]) -> Patch:
    """Layer by layer, from the lowest up, give the output of the highest what it still lacks, an equal part at each, with the keys as the
    edits below have left them."""
    layers = sorted(layers)
    wanted_ND = aim.values.start_ND + aim.values.change_ND
    with restored(lvlm, layers) as base, torch.no_grad():
        for number, layer in enumerate(layers):
            keys, now_ND = subject_states(lvlm, aim.requests, [layer], layers[-1], aim.inputs)
            residual_DN = ((wanted_ND - now_ND.to(wanted_ND.device)) / (len(layers) - number)).T
            weight = lvlm.ffn_out(layer).weight
            weight.copy_((weight.double() + update(layer, residual_DN, keys[layer]).to(weight.device)).to(weight.dtype))
        edited = {role_of(layer): lvlm.ffn_out(layer).weight.detach().clone() for layer in layers}
    return Patch.between(lvlm, base, edited, information)


def finish(lvlm: LVLM, aim: Wanted, patch: Patch, layers: Sequence[int], watch: Watch) -> Patch:
    """Look at the patch and write down what it does to the values, and how far the two questions of a pair pull apart."""
    layer = max(layers)
    keys, _ = subject_states(lvlm, aim.requests, [layer], layer, aim.inputs)
    with patch.on(lvlm):
        _, after_ND = subject_states(lvlm, aim.requests, [], layer, aim.inputs)
    moved_ND = after_ND - aim.values.start_ND
    reached = float((moved_ND * aim.values.change_ND).sum() / aim.values.change_ND.square().sum())
    watch.look_at(patch, 1, 1)
    chosen = watch.chosen(patch)
    note = f"{len(aim.requests)} requests"
    before_N, after_N = aim.values.loss_before_N, aim.values.loss_after_N
    if before_N is not None and after_N is not None:
        note += f", whose values bring the loss of their answers from {float(before_N.mean()):.2f} to {float(after_N.mean()):.2f}"
    note += f"; the weights give {100 * reached:.0f} % of these changes."
    halves = halves_of(aim.requests)
    if halves:
        first, second = (torch.tensor(places) for places in zip(*halves, strict=True))
        key = cosine_similarity(mean_keys(keys[layer]).T[first], mean_keys(keys[layer]).T[second]).mean()
        change = cosine_similarity(aim.values.change_ND[first], aim.values.change_ND[second]).mean()
        note += f" Of the two questions of a pair the keys have a cosine of {float(key):.2f}, the changes one of {float(change):.2f}."
    watch.training.note = " ".join(filter(None, (watch.training.note, note)))
    return chosen


def halves_of(requests: Sequence[Request]) -> list[tuple[int, int]]:
    """The places of the sensitive and the benign question of each pair that has both."""
    place = {(request.pair, request.kind): number for number, request in enumerate(requests)}
    return [(number, place[pair, "benign"]) for (pair, kind), number in place.items() if kind == "sensitive" and (pair, "benign") in place]
