"""Neurons: how much each adds where a question has been read, which are busy with sensitive questions alone, and the model without them.

An FFN neuron is a coordinate i of what the output projection is given: it adds h_i W[:, i] to the residual stream. Its row of the FFN's
input matrices and its column of the output projection are what can be trained of it. Letters: ``F`` neurons of a layer, ``N`` questions.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from neuralgate.lvlm.forward import final_hidden, inputs_seen
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import IMAGE, Example, encode_examples
from neuralgate.lvlm.roles import module_of, role_of

BATCH = 32  # questions at a time
INPUTS = ("ffn.in", "ffn.gate", "ffn.gate_and_in")  # whose rows are a neuron's; the last has two of each


@torch.no_grad()
def last_activations(lvlm: LVLM, questions: Sequence[Example], layers: Sequence[int]) -> dict[int, Tensor]:
    """What each layer's FFN output projection is given at the last token before the answer, layer -> ``(N, F)`` in float32."""
    kept: dict[int, list[Tensor]] = {layer: [] for layer in layers}

    def read(chosen: Sequence[Example]) -> None:
        batch = encode_examples(lvlm, [replace(example, answer="", answer_ids=()) for example in chosen], padding="left")

        def keep(layer: int, values: Tensor) -> None:
            kept[layer].append(values.view(len(chosen), -1, values.shape[-1])[:, -1].float())  # OPT's FFN sees (B T, F)

        with inputs_seen({layer: lvlm.ffn_out(layer) for layer in layers}, keep):
            final_hidden(lvlm, batch)

    lvlm.batches(BATCH, "reading neurons").run(read, questions)
    return {layer: torch.cat(parts) for layer, parts in kept.items()}


def saliency(lvlm: LVLM, activations: Mapping[int, Tensor], mean: str = "signed") -> dict[int, Tensor]:
    """S_i = |mean of h_i| ||W[:, i]||, layer -> ``(F,)``, of a layer one in all; with ``mean`` `absolute` the mean is that of |h_i|, in
    which what changes its sign is not lost."""
    scores = {}
    for layer, h_NF in activations.items():
        mean_F = h_NF.mean(0).abs() if mean == "signed" else h_NF.abs().mean(0)
        score_F = mean_F * lvlm.ffn_out(layer).weight.float().norm(dim=0).to(mean_F.device)
        scores[layer] = score_F / score_F.sum()
    return scores


def busy_alone(sensitive: Mapping[int, Tensor], benign: Mapping[int, Tensor], share: float) -> dict[int, Tensor]:
    """Layer -> booleans ``(F,)``: among the ``share`` of largest saliency (at least one) with sensitive questions, not with benign ones."""
    return {layer: largest(scores_F, share) & ~largest(benign[layer], share) for layer, scores_F in sensitive.items()}


def largest(scores_F: Tensor, share: float) -> Tensor:
    marked_F = torch.zeros_like(scores_F, dtype=torch.bool)
    marked_F[scores_F.topk(max(1, int(share * len(scores_F)))).indices] = True
    return marked_F


Place = TypeVar("Place", int, str)


def random_neurons(neurons: Mapping[Place, Tensor], seed: int) -> dict[Place, Tensor]:
    """As many of each layer, or of each of other places, drawn at random from the others."""
    drawn = {}
    for place, chosen_F in neurons.items():
        rng = np.random.default_rng([seed, zlib.crc32(str(place).encode()), 18])
        others = (~chosen_F).nonzero()[:, 0].cpu().numpy()
        marked_F = torch.zeros_like(chosen_F)
        marked_F[torch.from_numpy(rng.permutation(others)[: int(chosen_F.sum())]).to(chosen_F.device)] = True
        drawn[place] = marked_F
    return drawn


@contextmanager
def silenced(lvlm: LVLM, neurons: Mapping[int, Tensor]) -> Iterator[None]:
    """The model without these neurons, while the context lasts."""

    def silence(chosen_F: Tensor) -> Any:
        return lambda _module, inputs: (inputs[0].masked_fill(chosen_F.to(inputs[0].device), 0.0), *inputs[1:])

    with ExitStack() as stack:
        for layer, chosen_F in neurons.items():
            stack.callback(lvlm.ffn_out(layer).register_forward_pre_hook(silence(chosen_F)).remove)
        yield


def input_rows(lvlm: LVLM, neurons: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Role -> booleans of the matrix's shape: the neurons' rows of the FFN's input matrices, of layers that have any."""
    masks = {}
    for layer, chosen_F in neurons.items():
        if bool(chosen_F.any()):
            for role, parameter in lvlm.parts_of([layer], ["ffn"]).items():
                if role.partition(f"decoder.{layer}.")[2] in INPUTS:
                    rows = chosen_F.repeat(len(parameter) // len(chosen_F)).to(parameter.device)
                    masks[role] = rows[:, None].expand_as(parameter)
    return masks


def output_columns(lvlm: LVLM, neurons: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Role -> booleans of the matrix's shape: the neurons' columns of the FFN output projections, of layers that have any."""
    with_any = {layer: chosen_F for layer, chosen_F in neurons.items() if bool(chosen_F.any())}
    weights = {layer: lvlm.ffn_out(layer).weight for layer in with_any}
    return {role_of(layer): with_any[layer].to(weight.device).expand_as(weight) for layer, weight in weights.items()}


@torch.no_grad()
def always_busy(lvlm: LVLM, questions: Sequence[Example], layers: Sequence[int], roles: Sequence[str], share: float) -> dict[str, Tensor]:
    """What is among the ``share`` (at least one) that matter most with *every* question, summed over its tokens without the picture's: of
    FFN neurons (``decoder.<l>.ffn``) by what is missing without them, |h_i| ||W[:, i]||, of the outputs of the matrices ``roles`` by their
    size. Booleans, ``(F,)`` and ``(outputs,)``."""
    always: dict[str, Tensor] = {}
    norms = {layer: lvlm.ffn_out(layer).weight.float().norm(dim=0) for layer in layers}

    def read(chosen: Sequence[Example]) -> None:
        batch = encode_examples(lvlm, [replace(example, answer="", answer_ids=()) for example in chosen])
        counted_BT1 = (batch.attention_mask_BT.bool() & ~batch.is_class(IMAGE))[..., None]

        def count(name: str, values: Tensor) -> None:
            sizes_BTF = values.view(*counted_BT1.shape[:2], -1).float().abs()  # OPT's FFN sees (B T, F)
            for sums_F in (sizes_BTF * counted_BT1.to(values.device)).sum(1):
                marked_F = largest(sums_F, share)
                always[name] = always.get(name, marked_F) & marked_F

        def count_inputs(layer: int, values: Tensor) -> None:
            count(f"decoder.{layer}.ffn", values.float() * norms[layer])

        with ExitStack() as stack:
            stack.enter_context(inputs_seen({layer: lvlm.ffn_out(layer) for layer in layers}, count_inputs))
            for role in roles:
                module = module_of(lvlm.model, role)
                assert module is not None
                stack.callback(module.register_forward_hook(partial(_count_outputs, count, role)).remove)
            final_hidden(lvlm, batch)

    lvlm.batches(BATCH, "reading neurons").run(read, questions)
    return always


def _count_outputs(count: Any, name: str, _module: Any, _inputs: Any, output: Tensor) -> None:
    count(name, output)
