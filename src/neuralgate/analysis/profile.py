"""How many dimensions flip how often (Fig. 2c, 2d, 6 and 7), how sure that is, and where the gradient arrives that a gate acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralgate.analysis.scores import Score, answers_score, mean_score
from neuralgate.analysis.sweeps import BINS, DRAWS
from neuralgate.edit.gradient import SHARE_NAMES
from neuralgate.edit.trainer import BENIGN, SENSITIVE, Row, Trainer
from neuralgate.locate.samples import Located
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EditConfig

CLASSES = ("inactive", "weak", "strong", "rare")


class Flips:
    """Which dimensions each sample flips, ``(N, D)``, and whose it is, ``(N,)``, of the samples whose loss stayed a number."""

    def __init__(self, fitted: dict[str, Tensor], owner_N: Tensor) -> None:
        finite_N = fitted["finite_N"].bool()
        self.flipped_ND, self.owner_N = fitted["vectors_ND"][finite_N] < 0, owner_N[finite_N]


def vote_bins(votes_D: Tensor) -> list[float]:
    """Shares of the dimensions with M = 0, then with M in (0, 0.1], (0.1, 0.2] ... (0.9, 1].

    Closed on the right, as "weak: 0 < M <= 0.3" is; zero stands apart, because it is a class of its own (inactive).
    """
    # votes are multiples of 1/n in float32: 3 of 10 must not land behind 0.3
    column_D = torch.ceil(votes_D.double() * BINS - 1e-4).long()
    return (torch.bincount(column_D, minlength=BINS + 1).double() / len(votes_D)).tolist()


def class_shares(votes_RD: Tensor, threshold: float) -> dict[str, Tensor]:
    """For each row of votes the shares ``(R,)`` of inactive, weak and strong dimensions (section 3.2.3), and ``rare``: of those that flip
    at all, the share that does so in at most ``threshold`` of the samples."""
    inactive_R = (votes_RD == 0).double().mean(-1)
    strong_R = (votes_RD > threshold).double().mean(-1)
    weak_R = 1 - inactive_R - strong_R
    return {"inactive": inactive_R, "weak": weak_R, "strong": strong_R, "rare": weak_R / (1 - inactive_R).clamp(min=1e-12)}


def shares_with_intervals(flipped_ND: Tensor, owner_N: Tensor, threshold: float, seed: int = 0) -> dict[str, Score]:
    """The classes' shares, each a mean over subjects, with 95 % intervals over samples.

    ``flipped_ND``: whether sample n's value is negative in dimension d. The interval is value -+ 1.96 standard errors, and the bootstrap
    (samples drawn again within each subject) gives the standard error alone: a draw repeats samples, so fewer dimensions flip rarely in
    it, and its percentiles would lie beside the value.
    """
    generator = np.random.default_rng(seed)
    values: dict[str, list[float]] = {name: [] for name in CLASSES}
    draws: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    for subject in owner_N.unique():
        flipped_MD = flipped_ND[owner_N == subject].float()
        count = len(flipped_MD)
        times_RM = torch.from_numpy(generator.multinomial(count, np.full(count, 1 / count), size=DRAWS)).float()
        own = class_shares(flipped_MD.mean(0, keepdim=True), threshold)
        drawn = class_shares(times_RM @ flipped_MD / count, threshold)
        for name in CLASSES:
            values[name].append(own[name].item())
            draws[name].append(drawn[name].numpy())
    scores = {}
    for name in CLASSES:
        value, error = float(np.mean(values[name])), 1.96 * float(np.mean(draws[name], axis=0).std(ddof=1))
        low, high = max(0.0, value - error), min(1.0, value + error)
        scores[name] = {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5), "n": len(flipped_ND)}
    return scores


def gradient_by_position(lvlm: LVLM, pairs: PairSet, located: Sequence[Located], config: EditConfig, layer: int) -> dict[str, Score]:
    """Where the base model's gradient arrives at the projection of ``layer``: for each class of positions the norm of its part over the
    norm of the whole, the mean over pairs (each pair's loss is that of the edit). The parts need not add up to one."""
    trainer = Trainer(lvlm, pairs, None, config.model_copy(update={"gate": "none"}), [layer])
    weight = lvlm.ffn_out(layer).weight
    found: dict[str, list[float]] = {name: [] for name in SHARE_NAMES}
    weight.requires_grad_(True)
    try:
        for item in located:
            plain = ((item.sample.sensitive[0], SENSITIVE), (item.sample.benign, BENIGN))
            shares = trainer.gradient_share([Row(example, part, item.pair.subject, True) for example, part in plain])
            for name in SHARE_NAMES:
                found[name].append(shares[name])
    finally:
        weight.requires_grad_(False)
        weight.grad = None
    return {name: mean_score(values) for name, values in found.items()}


def describe_layers(
    summary: dict[str, Any], flips: dict[int, Flips], threshold: float, gradients: dict[int, dict[str, Score]]
) -> list[dict[str, Any]]:
    """One row per located layer: shares with intervals, and beside them what votes alone cannot say, of which losses and answers are
    in ``summary`` (gate.json)."""
    return [
        {
            "layer": known["layer"],
            **shares_with_intervals(flips[known["layer"]].flipped_ND, flips[known["layer"]].owner_N, threshold),
            **{name: known[name] for name in ("loss_start", "loss_end", "benign_start", "benign_end", "converged")},
            **{name: answers_score(known[name]) for name in ("own", "strong_flipped", "random_flipped")},
            "gradient": gradients[known["layer"]],
        }
        for known in summary["profile"]
    ]
