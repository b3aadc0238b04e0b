"""The direction from answers to refusals at a layer's output, and where to go along it: readers of the hidden state, by means or solved.

Letters: ``N`` hidden states, ``D`` their size; M the directions that benign states hardly have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.interventions.steering import Reader
from neuralgate.lvlm.forward import final_hidden, output_changed
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import ANSWER, Batch, Example, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet

BATCH = 32  # examples at a time


@torch.no_grad()
def read_states(
    lvlm: LVLM, examples: Sequence[Example], layers: Sequence[int], tokens: Callable[[Batch], Tensor], add: Callable[[int, Tensor], Any]
) -> None:
    """``add(layer, states)`` is given each layer's outputs ``(N, D)``, in float64 on the CPU, at the tokens that ``tokens`` marks."""

    def read(chosen: Sequence[Example]) -> None:
        batch = encode_examples(lvlm, chosen)
        at_BT = tokens(batch)
        seen: list[tuple[int, Tensor]] = []  # told when the pass is whole: one that memory does not hold is made again in halves
        with ExitStack() as stack:
            for layer in layers:

                def see(hidden_BTD: Tensor, layer: int = layer) -> Tensor:
                    seen.append((layer, hidden_BTD[at_BT.to(hidden_BTD.device)].double().cpu()))
                    return hidden_BTD

                stack.enter_context(output_changed(lvlm.layers[layer], see))
            final_hidden(lvlm, batch)
        for layer, states_ND in seen:
            add(layer, states_ND)

    lvlm.batches(BATCH, "reading hidden states").run(read, examples)


def telling(batch: Batch) -> Tensor:
    """The tokens ``(B, T)`` that those of an answer are told at: the last of the question and all but the last of the answer."""
    return batch.labels_BT >= 0


def answering(batch: Batch) -> Tensor:
    """The tokens of the answers, ``(B, T)``."""
    return batch.is_class(ANSWER)


def states_at(lvlm: LVLM, examples: Sequence[Example], layers: Sequence[int], tokens: Callable[[Batch], Tensor]) -> dict[int, Tensor]:
    """Layer -> its outputs there, ``(N, D)``."""
    kept: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    read_states(lvlm, examples, layers, tokens, lambda layer, states_ND: kept[layer].append(states_ND))
    return {layer: torch.cat(parts) for layer, parts in kept.items()}


def moments_at(lvlm: LVLM, examples: Sequence[Example], layers: Sequence[int]) -> dict[int, Tensor]:
    """Layer -> the second moment ``(D, D)`` of its outputs at all tokens but each row's first, which is much larger than the others in many
    a model."""
    sums = {layer: torch.zeros(lvlm.hidden_size, lvlm.hidden_size, dtype=torch.float64) for layer in layers}
    counts = dict.fromkeys(layers, 0)

    def add(layer: int, states_ND: Tensor) -> None:
        sums[layer] += states_ND.T @ states_ND
        counts[layer] += len(states_ND)

    read_states(lvlm, examples, layers, lambda batch: batch.behind_first_BT, add)
    return {layer: total / counts[layer] for layer, total in sums.items()}


def refused_examples(pairs: PairSet) -> list[Example]:
    """The sensitive questions about edited subjects, with their refusals."""
    return [example_of(pair, "sensitive", pairs.folder) for pair in pairs.split("train", "edit")]


def kept_examples(pairs: PairSet) -> list[Example]:
    """Benign questions and those about contrast subjects, with the model's own answers."""
    kept = [example_of(pair, "benign", pairs.folder) for pair in pairs.split("train", "edit")]
    return kept + [example_of(pair, kind, pairs.folder) for pair in pairs.split("train", "contrast") for kind in ("sensitive", "benign")]


def refusal_vectors(lvlm: LVLM, pairs: PairSet, layers: Sequence[int]) -> dict[int, Tensor]:
    """Layer -> ``(D,)``: the mean over the tokens of refusals of sensitive questions minus that over those of the model's own answers to
    their benign twins (contrastive activation addition, https://arxiv.org/abs/2312.06681)."""
    benign = [example_of(pair, "benign", pairs.folder) for pair in pairs.split("train", "edit")]

    def difference() -> dict[int, Tensor]:
        refused, answered = (states_at(lvlm, examples, layers, answering) for examples in (refused_examples(pairs), benign))
        return {layer: refused[layer].mean(0) - answered[layer].mean(0) for layer in layers}

    return lvlm.once(("refusal vectors", tuple(layers)), difference)


def steered_along(lvlm: LVLM, pairs: PairSet, layers: Sequence[int], direction: str, seed: int) -> dict[int, Tensor]:
    """The refusal vectors, or, where ``direction`` is `random`, others of their lengths."""
    vectors = refusal_vectors(lvlm, pairs, layers)
    return random_vectors(vectors, seed) if direction == "random" else vectors


def random_vectors(vectors: dict[int, Tensor], seed: int) -> dict[int, Tensor]:
    """Vectors of the same lengths, drawn at random."""
    generator, drawn = torch.Generator().manual_seed(seed), {}
    for layer, vector_D in vectors.items():
        drawn_D = torch.randn(len(vector_D), generator=generator, dtype=torch.float64)
        drawn[layer] = drawn_D * (vector_D.norm() / drawn_D.norm())
    return drawn


def mean_reader(sensitive_ND: Tensor, kept_ND: Tensor) -> Reader:
    """Along the difference of means: 0 at the mean of what is to be kept, 1 at that of sensitive questions, and limited to that.

    Raises:
        UserError: the means are one.
    """
    kept_D = kept_ND.mean(0)
    apart_D = sensitive_ND.mean(0) - kept_D
    if not bool(apart_D.any()):
        raise UserError("Sensitive questions have the same mean state as the others, so nothing tells them apart; choose another layer.")
    k_D = apart_D / apart_D.square().sum()
    return Reader(k_D, -float(k_D @ kept_D), limited=True)


def null_space_reader(sensitive_ND: Tensor, basis_DM: Tensor, ridge: float) -> Reader:
    """k = P h (...): 1 at sensitive states by least squares, of those that are 0 wherever benign states lie.

    minimise sum over N of (k . h - 1)^2 + l |k|^2 over k in the span of the basis, where l is ``ridge`` times the mean square of the
    states' coordinates there. The matrix that is zero on benign states and takes sensitive ones to the direction v is v k^T.

    Raises:
        UserError: sensitive states have nothing in the null space.
    """
    inside_NM = sensitive_ND @ basis_DM
    if not bool(inside_NM.any()):
        raise UserError("Sensitive states have nothing where benign ones have none; set another threshold or energy.")
    weight = ridge * inside_NM.square().mean() * len(inside_NM)
    square_MM = inside_NM.T @ inside_NM + weight * torch.eye(basis_DM.shape[1], dtype=torch.float64)
    return Reader(basis_DM @ torch.linalg.solve(square_MM, inside_NM.sum(0)))
