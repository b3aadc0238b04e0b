"""What a step minimises: a weighted sum of the means of its parts, each made of the rows' log-likelihoods or distributions.

The NLL of an answer teaches it and its ascent forgets it; NPO is ascent with a bound, DPO weighs two answers to one question against
each other, and KL holds a whole distribution where it was. The last three compare with the base model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralgate.lvlm.fast.packing import Packed
from neuralgate.lvlm.forward import example_means, target_logits, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.training.batches import Unpacked
from neuralgate.training.rows import Row

HALF_SCALE = 1024.0  # a loss of a few units over dozens of rows has gradients below the range of float16


def answer_losses(lvlm: LVLM, batch: Packed | Unpacked, count: int, is_below_top: bool) -> Tensor:
    """NLL of each of a batch's ``count`` examples, nats a token, ``(N,)``. ``is_below_top``: nothing of the last layer is trained, so
    that it need not be run where no answer stands."""
    if isinstance(batch, Packed) and is_below_top:
        return target_losses(lvlm, *batch.final_hidden_at_labels(lvlm), count)
    return target_losses(lvlm, batch.final_hidden(lvlm), batch.labels_BT, batch.examples_BT, count)


def answer_logits(lvlm: LVLM, batch: Packed | Unpacked, is_below_top: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The logits of all target tokens, ``(T, V)``, and the labels and examples that they stand at."""
    if isinstance(batch, Packed) and is_below_top:
        hidden_BQD, labels_BQ, examples_BQ = batch.final_hidden_at_labels(lvlm)
        return target_logits(lvlm, hidden_BQD, labels_BQ), labels_BQ, examples_BQ
    return target_logits(lvlm, batch.final_hidden(lvlm), batch.labels_BT), batch.labels_BT, batch.examples_BT


def held_losses(
    lvlm: LVLM,
    batch: Packed | Unpacked,
    base_TV: Tensor,
    taught_N: Tensor,
    weights: tuple[float, float, float],
    is_below_top: bool,
) -> Tensor:
    """Nats a token, ``(N,)``: the NLL of each answer that is taught (booleans), and of every other one by ``weights`` (of its NLL, of its
    :func:`divergence` from the base model, and the most that a token of that counts). ``base_TV``: the base model's logits there."""
    answer_weight, divergence_weight, most = weights
    logits_TV, labels_BT, examples_BT = answer_logits(lvlm, batch, is_below_top)
    labels_T, taught_T = labels_BT[labels_BT >= 0].to(logits_TV.device), taught_N[examples_BT[labels_BT >= 0]].to(logits_TV.device)
    nll_T = F.cross_entropy(logits_TV, labels_T, reduction="none")
    held_T = answer_weight * nll_T + divergence_weight * divergence(logits_TV, base_TV).clamp(max=most)
    losses_T = torch.where(taught_T, nll_T, held_T)
    return example_means(losses_T, labels_BT, examples_BT, len(taught_N))


def row_weights(rows: Sequence[Row], weights: Mapping[str, float]) -> list[float]:
    """What each row's loss counts: the total is the weighted sum of the parts' means."""
    counts = Counter(row.part for row in rows)
    return [weights[row.part] / counts[row.part] for row in rows]


def ascent(losses_N: Tensor) -> Tensor:
    """Gradient ascent on answers, from their NLL ``(N,)``: without a lower bound, so that something must hold the rest."""
    return -losses_N


def negative_preference(losses_N: Tensor, base_losses_N: Tensor, beta: float) -> Tensor:
    """NPO ``(N,)`` from the NLL of each answer, trained and base: 2/beta log(1 + (p/p0)^beta). Its gradient is that of ascent times
    2 p^beta / (p^beta + p0^beta), which fades as the answer becomes unlikely (Zhang et al. 2024, arXiv:2404.05868)."""
    return 2 / beta * F.softplus(beta * (base_losses_N - losses_N))


def preference(wanted_N: Tensor, unwanted_N: Tensor, base_wanted_N: Tensor, base_unwanted_N: Tensor, beta: float) -> Tensor:
    """DPO ``(N,)`` from the NLL of the wanted and the unwanted answer to each question, trained and base:
    -log sigmoid(beta ((log p/p0 of the wanted) - (log p/p0 of the unwanted))) (Rafailov et al. 2023, arXiv:2305.18290)."""
    margin_N = (base_wanted_N - wanted_N) - (base_unwanted_N - unwanted_N)
    return -F.logsigmoid(beta * margin_N)


def divergence(logits_TV: Tensor, base_logits_TV: Tensor) -> Tensor:
    """KL(p0 || p) in nats at each token ``(T,)``: what the base model says is to stay as likely as it was."""
    return F.kl_div(logits_TV.log_softmax(-1), base_logits_TV.log_softmax(-1), log_target=True, reduction="none").sum(-1)
