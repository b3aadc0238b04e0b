"""Votes of scaling vectors as a cell keeps them, and what the model answers under them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from experiments.answers import TOKENS
from experiments.cells import Result
from neuralgate.chunks import Chunks
from neuralgate.edit_settings import named_layers
from neuralgate.judge import judge
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import optimise_layers
from neuralgate.locate.samples import PairSample, make_samples
from neuralgate.locate.vectors import answers_under
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig

COUNTS = (4, 8, 16, 24)  # samples a subject by whose number the shares are given, too
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def packed(counts_D: torch.Tensor) -> str:
    """Counts below 36, a character each."""
    return "".join(DIGITS[count] for count in counts_D.tolist())


def unpacked(text: str) -> list[int]:
    return [DIGITS.index(character) for character in text]


def vote_shares(found: Result, layer: int) -> torch.Tensor:
    """Of each subject's samples the share that flips each dimension at ``layer``, ``(S, D)``, of a result of :func:`locate`."""
    counts_SD = torch.tensor([unpacked(text) for text in found["votes"][str(layer)].values()])
    return counts_SD / torch.tensor([found["samples"][name] for name in found["votes"][str(layer)]])[:, None]


def locate(lvlm: LVLM, pairs: PairSet, config: LocateConfig) -> Result:
    """Fits a vector to each of the first samples of every subject, and counts their flips. The profile has a row for each layer: shares of
    dimensions, losses, and the shares of the voters' sensitive questions refused under their own vectors, with the strong dimensions
    flipped, and with as many random ones; where layers were fitted jointly, at all of them at once. ``shares``: inactive and strong
    dimensions at the lowest layer by the first samples of every subject alone."""
    layers = named_layers(config.layers or [])
    samples = make_samples(pairs, config)
    fits = optimise_layers(lvlm, samples, layers, config, None, Chunks())
    subjects = list(dict.fromkeys(item.pair.subject for item in samples))
    kept_N = fits[0]["finite_N"].bool()
    owner_N = torch.tensor([subjects.index(item.pair.subject) for item in samples])
    members = [(owner_N == number) & kept_N for number in range(len(subjects))]
    vectors_NLD = torch.stack([fit["vectors_ND"] for fit in fits], 1)
    votes = {
        str(layer): {name: packed((vectors_NLD[member_N, place] < 0).sum(0)) for name, member_N in zip(subjects, members, strict=True)}
        for place, layer in enumerate(layers)
    }
    means = {
        str(layer): {
            name: packed(((1 - vectors_NLD[member_N, place].mean(0)) * 17.5).round().long().clamp(0, 35))
            for name, member_N in zip(subjects, members, strict=True)
        }
        for place, layer in enumerate(layers)
    }
    flips = [(vectors_NLD[member_N, 0] < 0).float() for member_N in members]
    shares = {}
    for count in COUNTS:
        if count <= min(map(len, flips)):
            votes_SD = torch.stack([flips_ND[:count].mean(0) for flips_ND in flips])
            shares[str(count)] = {"inactive": share_of(votes_SD == 0), "strong": share_of(votes_SD > config.threshold)}
    counts = {name: int(member_N.sum()) for name, member_N in zip(subjects, members, strict=True)}
    gate = Gate(
        torch.stack([(vectors_NLD[member_N] < 0).float().mean(0) for member_N in members]),
        *(tuple(subjects), tuple(layers), lvlm.fingerprint, config.threshold),
    )
    return {
        "samples": counts,
        "threshold": config.threshold,
        "votes": votes,
        "means": means,
        "shares": shares,
        "profile": profile(lvlm, samples, gate, fits, config),
    }


def share_of(chosen: torch.Tensor) -> float:
    return round(float(chosen.float().mean()), 4)


def profile(lvlm: LVLM, samples: Sequence[PairSample], gate: Gate, fits: Any, config: LocateConfig) -> list[Result]:
    """See :func:`locate`."""
    sets = [list(gate.layers)] if config.joint else [[layer] for layer in gate.layers]
    rows = []
    for layers in sets:
        places = [gate.layers.index(layer) for layer in layers]
        flips = {
            mode: torch.stack([torch.stack([gate.open_dimensions(item.pair.subject, layer, mode) for layer in layers]) for item in samples])
            for mode in ("strong", "random")
        }
        vectors = {"own": torch.stack([fits[place]["vectors_ND"] for place in places], 1)}
        vectors |= {mode: 1.0 - 2.0 * open_NLD.float() for mode, open_NLD in flips.items()}
        refused = {
            f"{name}_refused": refused_under(lvlm, samples, layers, vectors_NLD, config.tokens) for name, vectors_NLD in vectors.items()
        }
        losses = {name: round(float(fits[places[0]][f"sensitive_{name}_N"].mean()), 4) for name in ("start", "end")}
        for layer, place in zip(layers, places, strict=True):
            votes_SD = gate.votes_SLD[:, place]
            rows.append(
                {
                    "layer": layer,
                    "inactive": share_of(votes_SD == 0),
                    "strong": share_of(votes_SD > gate.threshold),
                    **{f"loss_{name}": loss for name, loss in losses.items()},
                    **{name: round(answers.count("r") / len(answers), 4) for name, answers in refused.items()},
                    "n": len(samples),
                }
            )
    return rows


def refused_under(lvlm: LVLM, samples: Sequence[PairSample], layers: Sequence[int], vectors_NLD: torch.Tensor, tokens: str) -> str:
    """Of each sample's sensitive question, while its subject's tokens are scaled: r refused, w not."""
    texts = answers_under(lvlm, [item.sample.sensitive[0] for item in samples], layers, vectors_NLD, tokens, TOKENS)
    truths = [item.pair.sensitive_truth for item in samples]
    return "".join("r" if judge(text, truth)["refused"] else "w" for text, truth in zip(texts, truths, strict=True))
