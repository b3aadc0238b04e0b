"""Do two gates name the same dimensions? Jaccard's index of their strong sets, beside what chance gives for sets of those sizes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from neuralgate.paper.sweeps import DRAWS, HALVES


def jaccard(first_KD: np.ndarray, second_KD: np.ndarray) -> np.ndarray:
    """|A and B| / |A or B| of each row's two sets, ``(K,)``; nan where both are empty."""
    both_K = (first_KD & second_KD).sum(-1).astype(float)
    either_K = (first_KD | second_KD).sum(-1)
    return np.divide(both_K, either_K, out=np.full(len(both_K), np.nan), where=either_K > 0)


def expected_jaccard(first: int, second: int, size: int) -> float:
    """The mean index of two sets of ``first`` and ``second`` members drawn at random from ``size``: their intersection is
    hypergeometric."""
    if not first + second:
        return float("nan")
    common = np.arange(max(0, first + second - size), min(first, second) + 1)
    return float((stats.hypergeom(size, first, second).pmf(common) * common / (first + second - common)).sum())


def mean_overlap(first_KD: np.ndarray, second_KD: np.ndarray, seed: int = 0) -> dict[str, Any] | None:
    """The mean index over K pairs of sets, its expectation by chance, and the central 95 % of the mean when the dimensions of the second
    sets are shuffled, all in the same way: sets of several subjects share dimensions. None where all sets are empty."""
    found_K = jaccard(first_KD, second_KD)
    defined_K = ~np.isnan(found_K)
    if not defined_K.any():
        return None
    first_KD, second_KD = first_KD[defined_K], second_KD[defined_K]
    size = first_KD.shape[-1]
    chance = [expected_jaccard(int(a), int(b), size) for a, b in zip(first_KD.sum(-1), second_KD.sum(-1), strict=True)]
    generator = np.random.default_rng(seed)
    shuffled_R = [np.nanmean(jaccard(first_KD, second_KD[:, generator.permutation(size)])) for _ in range(DRAWS)]
    low, high = np.percentile(shuffled_R, [2.5, 97.5])
    return {
        "value": round(float(found_K[defined_K].mean()), 4),
        "chance": round(float(np.mean(chance)), 4),
        "chance_low": round(float(low), 4),
        "chance_high": round(float(high), 4),
        "n": int(defined_K.sum()),
    }


def between_subjects(strong_SLD: np.ndarray, subjects: list[str], layers: list[int]) -> dict[str, Any]:
    """Every two subjects at every layer, and per layer their mean."""
    pairs = list(combinations(range(len(subjects)), 2))
    rows = []
    for place, layer in enumerate(layers):
        strong_SD = strong_SLD[:, place]
        index, chance = (
            [[measure(strong_SD[a], strong_SD[b]) for b in range(len(subjects))] for a in range(len(subjects))]
            for measure in (_index, _chance)
        )
        mean = mean_overlap(strong_SD[[a for a, _ in pairs]], strong_SD[[b for _, b in pairs]]) if pairs else None
        rows.append({"layer": layer, "jaccard": index, "chance": chance, "mean": mean})
    return {"subjects": subjects, "rows": rows}


def between_layers(strong_SLD: np.ndarray, layers: list[int]) -> dict[str, Any]:
    """Every two layers, the mean over subjects; chance for the same sizes."""
    rows = [
        {"first": layers[a], "second": layers[b], "overlap": mean_overlap(strong_SLD[:, a], strong_SLD[:, b])}
        for a, b in combinations(range(len(layers)), 2)
    ]
    return {"layers": layers, "rows": rows}


def between_halves(flipped_ND: Tensor, owner_N: Tensor, threshold: float, seed: int = 0) -> dict[str, Any] | None:
    """Each subject's samples split in two at random, again and again: do both halves find the same gate?

    ``low`` and ``high`` are the central 95 % over the splits, which are of the same samples. None where a subject has fewer than four: of
    halves of one sample every flip is strong.
    """
    owners = [owner_N == subject for subject in owner_N.unique()]
    if min(int(mine_N.sum()) for mine_N in owners) < 4:
        return None
    generator = np.random.default_rng(seed)
    first, second = [], []
    for _ in range(HALVES):
        halves = []
        for mine_N in owners:
            flipped_MD = flipped_ND[mine_N].float()
            order = torch.from_numpy(generator.permutation(len(flipped_MD)))
            middle = len(order) // 2
            halves.append([(flipped_MD[part].mean(0) > threshold).numpy() for part in (order[:middle], order[middle : 2 * middle])])
        first.append(np.stack([half for half, _ in halves]))
        second.append(np.stack([half for _, half in halves]))
    band = mean_overlap(first[0], second[0])  # of one split: what chance gives does not depend on which
    means = [float(np.nanmean(found_S)) for found_S in map(jaccard, first, second) if not np.isnan(found_S).all()]
    if band is None or not means:
        return None
    chance = [_chance(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)]
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        **band,
        "value": round(float(np.mean(means)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "chance": round(float(np.mean([value for value in chance if value is not None])), 4),
    }


def _index(first_D: np.ndarray, second_D: np.ndarray) -> float | None:
    return _rounded(float(jaccard(first_D[None], second_D[None])[0]))


def _chance(first_D: np.ndarray, second_D: np.ndarray) -> float | None:
    return _rounded(expected_jaccard(int(first_D.sum()), int(second_D.sum()), len(first_D)))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
