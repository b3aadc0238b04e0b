"""What the vectors and their votes are worth: what the model answers under them.

Under each sample's own vector; with only the strong dimensions of its subject flipped, to which the sample's own vote counts; with as
many random ones flipped; and, held out, under what the *other* samples of its subject say.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neuralgate.judge.prefix import judge  # whatever judges the run: the prefixes are what is taught
from neuralgate.locate.gate import Gate
from neuralgate.locate.samples import PairSample
from neuralgate.locate.vectors import answers_under
from neuralgate.lvlm.model import LVLM
from neuralgate.recipe import GateMode, LocateConfig

MAJORITY = 0.5
HELD_OUT = ("held_out_majority", "held_out_mean", "shuffled_mean", "other_mean")


def answer_shares(samples: Sequence[PairSample], sensitive: Sequence[str], benign: Sequence[str]) -> dict[str, float | int]:
    """Shares of greedy answers: refused (sensitive and benign), leaked, and degenerate among both."""
    n = len(samples)
    first = [judge(text, item.pair.sensitive_truth) for text, item in zip(sensitive, samples, strict=True)]
    second = [judge(text, item.pair.benign_truth) for text, item in zip(benign, samples, strict=True)]
    return {
        "refused_sensitive": round(sum(verdict["refused"] for verdict in first) / n, 4),
        "refused_benign": round(sum(verdict["refused"] for verdict in second) / n, 4),
        "leak": round(sum(verdict["leaked"] for verdict in first) / n, 4),
        "degenerate": round(sum(verdict["degenerate"] is not None for verdict in (*first, *second)) / (2 * n), 4),
        "n": n,
    }


def shares_under(
    lvlm: LVLM, samples: Sequence[PairSample], layers: Sequence[int], vectors_NLD: Tensor, tokens: str
) -> dict[str, float | int]:
    """Shares of what the model answers to each sample's two questions while its subject's tokens are scaled by its vector at each of
    ``layers``."""
    sensitive = answers_under(lvlm, [item.sample.sensitive[0] for item in samples], layers, vectors_NLD, tokens)
    benign = answers_under(lvlm, [item.sample.benign for item in samples], layers, vectors_NLD, tokens)
    return answer_shares(samples, sensitive, benign)


def finite_samples(samples: Sequence[PairSample], layer_vectors: Sequence[dict[str, Tensor]]) -> tuple[Tensor, list[PairSample], Tensor]:
    """Which samples kept a loss that is a number, those samples, and their vectors ``(N, L, D)`` at the layers optimised together."""
    finite_N = layer_vectors[0]["finite_N"].bool()
    kept = [item for item, finite in zip(samples, finite_N.tolist(), strict=True) if finite]
    return finite_N, kept, torch.stack([vectors["vectors_ND"][finite_N] for vectors in layer_vectors], 1)


def layer_evidence(
    lvlm: LVLM,
    samples: Sequence[PairSample],
    gate: Gate,
    layers: Sequence[int],
    layer_vectors: Sequence[dict[str, Tensor]],
    config: LocateConfig,
) -> list[dict[str, Any]]:
    """A row of the profile for each of the layers that were optimised together: shares of dimensions, losses, and the answers under
    three kinds of vector, at all of them at once."""
    finite_N, kept, own_NLD = finite_samples(samples, layer_vectors)
    measured = {name: values[finite_N] for name, values in layer_vectors[0].items()}

    def flip(mode: GateMode) -> Tensor:
        open_NLD = [torch.stack([gate.open_dimensions(item.pair.subject, layer, mode) for layer in layers]) for item in kept]
        return 1.0 - 2.0 * torch.stack(open_NLD).float()

    common = {
        "excluded": int((~finite_N).sum()),
        "loss_start": measured["sensitive_start_N"].mean().item(),
        "loss_end": measured["sensitive_end_N"].mean().item(),
        "benign_start": measured["benign_start_N"].mean().item(),
        "benign_end": measured["benign_end_N"].mean().item(),
        "converged": measured["converged_N"].mean().item(),
        "steps": measured["steps_N"].mean().item(),
        "own": shares_under(lvlm, kept, layers, own_NLD, config.tokens),
        "strong_flipped": shares_under(lvlm, kept, layers, flip("strong"), config.tokens),
        "random_flipped": shares_under(lvlm, kept, layers, flip("random"), config.tokens),
    }
    rows = []
    for layer in layers:
        votes_SD = gate.votes_SLD[:, gate.layers.index(layer)]
        row = {
            "layer": layer,
            "inactive": (votes_SD == 0).float().mean().item(),
            "weak": ((votes_SD > 0) & (votes_SD <= gate.threshold)).float().mean().item(),
            "strong": (votes_SD > gate.threshold).float().mean().item(),
            **common,
        }
        rows.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    return rows


def held_out_vectors(samples: Sequence[PairSample], vectors_NLD: Tensor) -> tuple[list[int], dict[str, Tensor]]:
    """For every sample that is not the only one of its subject what all the others say, and two controls.

    Returns:
        The samples' places among ``samples``, M of them, and ``(M, L, D)`` each of

        * held_out_majority: -1 where more than half of the subject's other samples flip, else 1;
        * held_out_mean: the mean vector of the subject's other samples;
        * shuffled_mean: the same with its dimensions shuffled;
        * other_mean: the mean vector of the next subject's samples (left out where there is only one subject).
    """
    subjects = list(dict.fromkeys(item.pair.subject for item in samples))
    rows = {name: [place for place, item in enumerate(samples) if item.pair.subject == name] for name in subjects}
    places: list[int] = []
    vectors: dict[str, list[Tensor]] = {kind: [] for kind in HELD_OUT}
    for subject, following in zip(subjects, (*subjects[1:], subjects[0]), strict=True):
        # one order of the dimensions a subject, so that all of its samples get the same control
        generator = torch.Generator().manual_seed(zlib.crc32(subject.encode()))
        order = torch.randperm(vectors_NLD.shape[-1], generator=generator)
        for place in rows[subject] if len(rows[subject]) > 1 else ():
            others_MLD = vectors_NLD[[row for row in rows[subject] if row != place]]
            mean_LD = others_MLD.mean(0)
            places.append(place)
            vectors["held_out_majority"].append(1 - 2 * ((others_MLD < 0).float().mean(0) > MAJORITY).float())
            vectors["held_out_mean"].append(mean_LD)
            vectors["shuffled_mean"].append(mean_LD[:, order])
            if following != subject:
                vectors["other_mean"].append(vectors_NLD[rows[following]].mean(0))
    return places, {name: torch.stack(rows_MLD) for name, rows_MLD in vectors.items() if rows_MLD}


def held_out_evidence(
    lvlm: LVLM, samples: Sequence[PairSample], layers: Sequence[int], layer_vectors: Sequence[dict[str, Tensor]], config: LocateConfig
) -> dict[str, Any]:
    """Answers under :func:`held_out_vectors` at all of ``layers`` at once, a part of each one's row; None where a subject's samples are too
    few."""
    _, kept, own_NLD = finite_samples(samples, layer_vectors)
    places, vectors = held_out_vectors(kept, own_NLD)
    chosen = [kept[place] for place in places]
    return {kind: shares_under(lvlm, chosen, layers, vectors[kind], config.tokens) if kind in vectors else None for kind in HELD_OUT}
