"""Scaling vectors (Eq. 2-5): per sample, which dimensions of the subject's hidden state must flip for a refusal.

For sample i and decoder layer l the layer's output at the subject's tokens is multiplied by m in [-1, 1]^D, and with
the model frozen

    min over m:  mean over contexts NLL(refusal prefix) + lambda NLL(first words of the own answer) + gamma mean|m - 1|

Samples are independent rows of one batch. What does not depend on m (everything up to layer l, and every token before
the first scaled one) is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralgate.lvlm.forward import output_changed, record, target_losses
from neuralgate.lvlm.generate import continuations
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Batch, Example, encode_examples
from neuralgate.recipe import LocateConfig


@dataclass(frozen=True)
class Sample:
    """One pair as locate needs it: the sensitive question once per context, and the benign question once."""

    subject: str
    sensitive: tuple[Example, ...]
    benign: Example


@dataclass
class Fitted:
    """Vectors ``(N, D)`` and the losses of each sample ``(N,)`` before and after."""

    vectors_ND: Tensor
    sensitive_start_N: Tensor
    sensitive_end_N: Tensor
    benign_start_N: Tensor
    benign_end_N: Tensor
    converged_N: Tensor
    steps_N: Tensor


def scaled_positions(batch: Batch, tokens: str) -> Tensor:
    """Boolean ``(B, T)``: the subject's tokens, or the last of them alone."""
    subject_BT = batch.is_class(SUBJECT)
    if tokens == "all":
        return subject_BT
    place_T = torch.arange(subject_BT.shape[1], device=subject_BT.device)
    last_B1 = torch.where(subject_BT, place_T, -1).amax(-1, keepdim=True)
    return subject_BT & (place_T == last_B1)


def start_values(count: int, size: int, config: LocateConfig, device: torch.device | str = "cpu") -> Tensor:
    return torch.full((count, size), config.start, dtype=torch.float32, device=device)


def vector_of(values: Tensor, config: LocateConfig) -> Tensor:
    """From the optimised values to m: ``tanh(w)``, or w itself, which `clamp_` keeps in [-1, 1]."""
    return torch.tanh(values) if config.parametrisation == "tanh" else values


def sparsity(values: Tensor, config: LocateConfig) -> Tensor:
    """The L1 term of each sample: distance from 1, or from the start value where m = tanh(w)."""
    return (values - (config.start if config.parametrisation == "tanh" else 1.0)).abs().mean(-1)


def fit_vectors(lvlm: LVLM, samples: Sequence[Sample], layer: int, config: LocateConfig) -> Fitted:
    """Optimise one vector per sample at one layer, all samples in one batch."""
    rows = [(i, example) for i, sample in enumerate(samples) for example in (*sample.sensitive, sample.benign)]
    device = lvlm.device
    benign_B = torch.tensor([example is samples[i].benign for i, example in rows], device=device)
    owner_B = torch.tensor([i for i, _ in rows], device=device)
    batch = encode_examples(lvlm, [example for _, example in rows])
    recorded = record(lvlm, batch, layer)
    scaled_BT = scaled_positions(batch, config.tokens)
    # where attention is plainly causal, nothing before the first scaled token depends on m
    first = int(scaled_BT.any(0).nonzero()[0]) if lvlm.is_plain else 0
    hidden_BTD = recorded.outputs[layer][:, first:]
    labels_BT = batch.labels_BT[:, first:]
    positions_BT1 = scaled_BT[:, first:, None].to(hidden_BTD.dtype)
    weight_B = torch.where(benign_B, config.lambda_benign, 1.0 / len(samples[0].sensitive))

    def losses(vectors_ND: Tensor) -> Tensor:
        scale_BTD = 1 + positions_BT1 * (vectors_ND.to(hidden_BTD.dtype)[owner_B][:, None] - 1)
        return target_losses(lvlm, recorded.resume(layer, hidden_BTD * scale_BTD.to(hidden_BTD.device)), labels_BT).to(device)

    def per_sample(values_B: Tensor, benign: bool) -> Tensor:
        chosen = benign_B if benign else ~benign_B
        total = torch.zeros(len(samples), device=device).index_add(0, owner_B[chosen], values_B[chosen])
        return total / torch.bincount(owner_B[chosen], minlength=len(samples))

    values_ND = start_values(len(samples), lvlm.hidden_size, config, device).requires_grad_()
    optimizer = torch.optim.Adam([values_ND], lr=config.rate, eps=config.eps)
    with torch.no_grad():
        start_B = losses(torch.ones_like(values_ND))
    running_N = torch.ones(len(samples), dtype=torch.bool, device=device)
    steps_N = torch.zeros(len(samples), dtype=torch.long, device=device)
    for _ in range(config.steps):
        losses_B = losses(vector_of(values_ND, config))
        data_N = torch.zeros(len(samples), device=device).index_add(0, owner_B, weight_B * losses_B)
        running_N &= data_N.detach() >= config.stop_loss
        if not running_N.any():
            break
        optimizer.zero_grad()
        (data_N + config.gamma * sparsity(values_ND, config))[running_N].sum().backward()
        kept = values_ND.detach().clone()
        optimizer.step()
        with torch.no_grad():
            if config.parametrisation == "clamp":
                values_ND.clamp_(-1, 1)
            values_ND[~running_N] = kept[~running_N]  # Adam's momentum would move a finished sample on
        steps_N += running_N
    with torch.no_grad():
        vectors_ND = vector_of(values_ND, config)
        end_B = losses(vectors_ND)
        data_N = torch.zeros(len(samples), device=device).index_add(0, owner_B, weight_B * end_B)
    return Fitted(
        vectors_ND=vectors_ND,
        sensitive_start_N=per_sample(start_B, False),
        sensitive_end_N=per_sample(end_B, False),
        benign_start_N=per_sample(start_B, True),
        benign_end_N=per_sample(end_B, True),
        converged_N=data_N < config.stop_loss,
        steps_N=steps_N,
    )


@torch.inference_mode()
def answers_under(
    lvlm: LVLM, examples: Sequence[Example], layer: int, vectors_BD: Tensor, tokens: str, max_new_tokens: int = 10
) -> list[str]:
    """Greedy answers while the output of ``layer`` at each row's subject tokens is scaled by its vector."""

    def answer(places: Sequence[int]) -> list[str]:
        chosen = [examples[place] for place in places]
        questions = [Example(example.image, example.question, example.subject, "") for example in chosen]
        batch = encode_examples(lvlm, questions, padding_side="left")
        positions_BT1 = scaled_positions(batch, tokens)[..., None]
        scale_BTD = torch.where(positions_BT1, vectors_BD[list(places)][:, None].to(positions_BT1.device), 1.0)

        def change(hidden_BTD: Tensor) -> Tensor:
            # only the prefill has the subject's tokens; later steps bring one token at a time
            return hidden_BTD * scale_BTD.to(hidden_BTD) if hidden_BTD.shape[1] == scale_BTD.shape[1] else hidden_BTD

        with output_changed(lvlm.layers[layer], change):
            return continuations(lvlm, batch.prompt, max_new_tokens)

    parts = lvlm.fitting(64, "answering under vectors").run(answer, range(len(examples)))
    return [text for part in parts for text in part]
