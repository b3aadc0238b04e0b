"""How many dimensions flip how often (Fig. 2c, 2d, 6 and 7), how sure that is, and where the gradient arrives that a gate acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralgate.locate.samples import PairSample
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.paper.scores import Score, answers_score, mean_score, wilson_score
from neuralgate.paper.sweeps import BINS, DRAWS
from neuralgate.recipe import EditConfig
from neuralgate.training.gated import gated_trainer
from neuralgate.training.masks import SHARE_NAMES
from neuralgate.training.rows import BENIGN, SENSITIVE, Row

CLASSES = ("inactive", "weak", "strong", "rare")
#: Before and after: name -> the field's two parts.
LOSSES = {
    "loss_start": ("sensitive", "start"),
    "loss_end": ("sensitive", "end"),
    "benign_start": ("benign", "start"),
    "benign_end": ("benign", "end"),
}


class Flips:
    """Of the samples whose loss stayed a number: which dimensions each flips, ``(N, D)``, whose it is, and its losses, ``(N,)``."""

    def __init__(self, vectors: dict[str, Tensor], owner_N: Tensor) -> None:
        finite_N = vectors["finite_N"].bool()
        self.flipped_ND, self.owner_N = vectors["vectors_ND"][finite_N] < 0, owner_N[finite_N]
        self.losses = {name: vectors[f"{kind}_{end}_N"][finite_N].tolist() for name, (kind, end) in LOSSES.items()}
        self.converged = float(vectors["converged_N"][finite_N].mean())


def vote_bins(votes_D: Tensor) -> list[float]:
    """Shares of the dimensions with M = 0, then with M in (0, 0.1], (0.1, 0.2] ... (0.9, 1].

    Closed on the right, as "weak: 0 < M <= 0.3" is; zero stands apart, because it is a class of its own (inactive).
    """
    # votes are multiples of 1/n in float32: 3 of 10 must not land behind 0.3
    column_D = torch.ceil(votes_D.double() * BINS - 1e-4).long()
    return (torch.bincount(column_D, minlength=BINS + 1).double() / len(votes_D)).tolist()


def class_shares(votes_RD: Tensor, threshold: float) -> dict[str, Tensor]:
    """For each row of votes the shares ``(R,)`` of inactive, weak and strong dimensions (section 3.2.3), and ``rare``: of those that flip
    at all, the share that does so in at most ``threshold`` of the samples; nan where none flips."""
    inactive_R = (votes_RD == 0).double().mean(-1)
    strong_R = (votes_RD > threshold).double().mean(-1)
    weak_R = 1 - inactive_R - strong_R
    rare_R = torch.where(inactive_R < 1, weak_R / (1 - inactive_R), torch.nan)
    return {"inactive": inactive_R, "weak": weak_R, "strong": strong_R, "rare": rare_R}


def shares_with_intervals(flipped_ND: Tensor, owner_N: Tensor, threshold: float, seed: int = 0) -> dict[str, Score | None]:
    """The classes' shares, each a mean over the subjects that have it, with 95 % intervals over samples; None where no subject has it.

    ``flipped_ND``: whether sample n's value is negative in dimension d. The interval is value -+ 1.96 standard errors, and the bootstrap
    (samples drawn again within each subject) gives the standard error alone: a draw repeats samples, so fewer dimensions flip rarely in
    it, and its percentiles would lie beside the value. One sample of a subject says nothing of its spread: the interval is everything.
    """
    generator = np.random.default_rng(seed)
    shares_of: dict[str, list[tuple[float, float]]] = {name: [] for name in CLASSES}  # each subject's share and its variance
    for subject in owner_N.unique():
        flipped_MD = flipped_ND[owner_N == subject].float()
        count = len(flipped_MD)
        times_RM = torch.from_numpy(generator.multinomial(count, np.full(count, 1 / count), size=DRAWS)).float()
        own = class_shares(flipped_MD.mean(0, keepdim=True), threshold)
        drawn = class_shares(times_RM @ flipped_MD / count, threshold)
        for name in CLASSES:
            if not own[name].isnan():
                # means of draws from n samples vary by (n - 1) / n of what means of n samples do
                variance = float(np.nanvar(drawn[name].numpy()) * count / (count - 1)) if count > 1 else np.inf
                shares_of[name].append((own[name].item(), variance))
    scores: dict[str, Score | None] = {}
    for name, parts in shares_of.items():
        if not parts:
            scores[name] = None
            continue
        value, error = (float(total) / len(parts) for total in (sum(share for share, _ in parts), 1.96 * sum(v for _, v in parts) ** 0.5))
        low, high = max(0.0, value - error), min(1.0, value + error)
        scores[name] = {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5), "n": len(flipped_ND)}
    return scores


def gradient_by_position(lvlm: LVLM, pairs: PairSet, located: Sequence[PairSample], config: EditConfig, layer: int) -> dict[str, Score]:
    """Where the base model's gradient arrives at the projection of ``layer``: for each class of positions the norm of its part over the
    norm of the whole, the mean over pairs (each pair's loss is that of the edit). The parts need not add up to one."""
    trainer = gated_trainer(lvlm, pairs, None, config.model_copy(update={"gate": "none"}), [layer])
    weight = lvlm.ffn_out(layer).weight
    shares_of: dict[str, list[float]] = {name: [] for name in SHARE_NAMES}
    weight.requires_grad_(True)
    try:
        for item in located:
            plain = ((item.sample.sensitive[0], SENSITIVE), (item.sample.benign, BENIGN))
            shares = trainer.gradient_share([Row(example, part, item.pair.subject, True) for example, part in plain])
            for name in SHARE_NAMES:
                shares_of[name].append(shares[name])
    finally:
        weight.requires_grad_(False)
        weight.grad = None
    return {name: mean_score(values) for name, values in shares_of.items()}


def describe_layers(
    summary: dict[str, Any], flips: dict[int, Flips], threshold: float, gradients: dict[int, dict[str, Score]]
) -> list[dict[str, Any]]:
    """One row per located layer: shares with intervals, and beside them what votes alone cannot say, of which the answers are in
    ``summary`` (gate.json)."""
    return [
        {
            "layer": row["layer"],
            **shares_with_intervals(flips[row["layer"]].flipped_ND, flips[row["layer"]].owner_N, threshold),
            **{name: mean_score(values) for name, values in flips[row["layer"]].losses.items()},
            "converged": wilson_score(flips[row["layer"]].converged, len(flips[row["layer"]].owner_N)),
            **{name: answers_score(row[name]) for name in ("own", "strong_flipped", "random_flipped")},
            "gradient": gradients[row["layer"]],
        }
        for row in summary["profile"]
    ]
