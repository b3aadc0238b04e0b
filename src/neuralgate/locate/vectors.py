"""Scaling vectors (Eq. 2-5): per sample, which dimensions of the subject's hidden state must flip for a refusal.

For sample i and decoder layer l the layer's output at the subject's tokens is multiplied by m in [-1, 1]^D, and with
the model frozen

    min over m:  mean over contexts NLL(refusal prefix) + lambda NLL(first words of the own answer) + gamma mean|m - 1|

Samples are independent rows of one batch. What does not depend on m (everything up to layer l, and every token before
the first scaled one) is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralgate.lvlm.forward import output_changed, record, target_losses
from neuralgate.lvlm.generate import continuations
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Batch, Example, encode_examples
from neuralgate.recipe import LocateConfig

SHRINK = 0.8  # share of a batch's samples still running below which the finished ones are dropped


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


class Prepared:
    """A batch of samples with all that no vector changes, made once for every layer from ``lowest`` up.

    Where attention is plainly causal nothing before the first scaled token depends on m: the rows are padded so that their subjects
    begin in one column, and a step runs from the first scaled column to the last one that predicts a target.
    """

    def __init__(self, lvlm: LVLM, samples: Sequence[Sample], lowest: int, config: LocateConfig) -> None:
        self.lvlm, self.count = lvlm, len(samples)
        rows = [(i, example) for i, sample in enumerate(samples) for example in (*sample.sensitive, sample.benign)]
        device = lvlm.device
        self.benign_B = torch.tensor([example is samples[i].benign for i, example in rows], device=device)
        self.owner_B = torch.tensor([i for i, _ in rows], device=device)
        self.weight_B = torch.where(self.benign_B, config.lambda_benign, 1.0 / len(samples[0].sensitive))
        batch = encode_examples(lvlm, [example for _, example in rows], padding="subject" if lvlm.is_plain else "right")
        self.recorded = record(lvlm, batch, lowest)
        scaled_BT = scaled_positions(batch, config.tokens)
        self.first, end = 0, scaled_BT.shape[1]
        if lvlm.is_plain:
            self.first = int(scaled_BT.any(0).nonzero()[0])
            end = int((batch.labels_BT >= 0).any(0).nonzero()[-1]) + 1
        self.columns = slice(self.first, end)
        self.scaled_BT, self.labels_BT = scaled_BT[:, self.columns], batch.labels_BT[:, self.columns]

    def select(self, samples_N: Tensor, layer: int) -> Prepared:
        """The same for some of the samples (boolean, of all there are here) at one layer, for plainly causal models."""
        rows_R = samples_N[self.owner_B].nonzero()[:, 0]
        chosen = copy(self)
        chosen.count = int(samples_N.sum())
        chosen.recorded = self.recorded.select(rows_R, layer)
        chosen.owner_B = (samples_N.cumsum(0) - 1)[self.owner_B[rows_R]]
        chosen.benign_B, chosen.weight_B = self.benign_B[rows_R], self.weight_B[rows_R]
        chosen.scaled_BT, chosen.labels_BT = self.scaled_BT[rows_R], self.labels_BT[rows_R]
        return chosen

    def losses(self, layer: int, vectors_ND: Tensor) -> Tensor:
        """Mean negative log-likelihood of each row's target, ``(B,)``, under its sample's vector at ``layer``."""
        hidden_BTD = self.recorded.outputs[layer][:, self.columns]
        positions_BT1 = self.scaled_BT[..., None].to(hidden_BTD.dtype)
        scale_BTD = 1 + positions_BT1 * (vectors_ND.to(hidden_BTD.dtype)[self.owner_B][:, None] - 1)
        scaled_BTD = hidden_BTD * scale_BTD.to(hidden_BTD.device)
        last_BTD = self.recorded.resume(layer, scaled_BTD, self.first)
        return target_losses(self.lvlm, last_BTD, self.labels_BT).to(self.owner_B.device)

    def weighted(self, losses_B: Tensor) -> Tensor:
        """Each sample's data term, ``(N,)``: the mean over contexts plus lambda times the benign loss."""
        return losses_B.new_zeros(self.count).index_add(0, self.owner_B, self.weight_B * losses_B)

    def per_sample(self, losses_B: Tensor, benign: bool) -> Tensor:
        chosen = self.benign_B if benign else ~self.benign_B
        total = losses_B.new_zeros(self.count).index_add(0, self.owner_B[chosen], losses_B[chosen])
        return total / torch.bincount(self.owner_B[chosen], minlength=self.count)


def fit_vectors(lvlm: LVLM, samples: Sequence[Sample], layer: int, config: LocateConfig, prepared: Prepared | None = None) -> Fitted:
    """Optimise one vector per sample at one layer, all samples in one batch, which shrinks as they finish."""
    whole = prepared or Prepared(lvlm, samples, layer, config)
    device = lvlm.device
    values_ND = start_values(len(samples), lvlm.hidden_size, config, device).requires_grad_()
    optimizer = torch.optim.Adam([values_ND], lr=config.rate, eps=config.eps)
    with torch.no_grad():
        start_B = whole.losses(layer, torch.ones_like(values_ND))
    part, members_M = whole, torch.arange(len(samples), device=device)
    running_N = torch.ones(len(samples), dtype=torch.bool, device=device)
    steps_N = torch.zeros(len(samples), dtype=torch.long, device=device)
    for _ in range(config.steps):
        values_MD = values_ND[members_M]
        data_M = part.weighted(part.losses(layer, vector_of(values_MD, config)))
        running_M = running_N[members_M] & (data_M.detach() >= config.stop_loss)
        running_N[members_M] = running_M
        if not running_M.any():
            break
        optimizer.zero_grad()
        (data_M + config.gamma * sparsity(values_MD, config))[running_M].sum().backward()
        kept_ND = values_ND.detach().clone()
        optimizer.step()
        with torch.no_grad():
            if config.parametrisation == "clamp":
                values_ND.clamp_(-1, 1)
            values_ND[~running_N] = kept_ND[~running_N]  # Adam's momentum would move a finished sample on
        steps_N += running_N
        if lvlm.is_plain and int(running_M.sum()) < SHRINK * len(running_M):
            part, members_M = part.select(running_M, layer), members_M[running_M]
    with torch.no_grad():
        vectors_ND = vector_of(values_ND, config)
        end_B = whole.losses(layer, vectors_ND)
    return Fitted(
        vectors_ND=vectors_ND,
        sensitive_start_N=whole.per_sample(start_B, False),
        sensitive_end_N=whole.per_sample(end_B, False),
        benign_start_N=whole.per_sample(start_B, True),
        benign_end_N=whole.per_sample(end_B, True),
        converged_N=whole.weighted(end_B) < config.stop_loss,
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
        batch = encode_examples(lvlm, questions, padding="left")
        positions_BT1 = scaled_positions(batch, tokens)[..., None]
        scale_BTD = torch.where(positions_BT1, vectors_BD[list(places)][:, None].to(positions_BT1.device), 1.0)

        def change(hidden_BTD: Tensor) -> Tensor:
            # only the prefill has the subject's tokens; later steps bring one token at a time
            return hidden_BTD * scale_BTD.to(hidden_BTD) if hidden_BTD.shape[1] == scale_BTD.shape[1] else hidden_BTD

        with output_changed(lvlm.layers[layer], change):
            return continuations(lvlm, batch.prompt, max_new_tokens)

    parts = lvlm.fitting(64, "answering under vectors").run(answer, range(len(examples)))
    return [text for part in parts for text in part]
