"""95 % intervals and tests that know what was drawn: subjects, and of each subject pictures.

Questions about one subject are answered alike, so that forty-eight of them may say no more than the six subjects that they are about.
What stands for one draw (a "unit") is a subject with all its pictures and questions; where everything is about one subject, a picture;
where there is one picture, a question.

Effective n. The variance of a share between units is what resampling whole units gives, in closed form (the "ultimate cluster": Hansen,
Hurwitz and Madow 1953; Davison and Hinkley 1997, section 3.8, on resampling the widest level only). Its ratio to the variance of as many
independent questions is the design effect (Kish 1965), and n divided by it the effective n (Korn and Graubard 1998, Survey Methodology
24). It lies between n and the number of units (weighted by their questions), which holds where all questions of a unit are answered alike.

Few exceptions say little about whether exceptions come together, a single one nothing, and no exception nothing either. So with f
questions in the minority the largest possible design effect gets the weight 1/f and the estimated one the rest: where all agree, the
number of units counts. Without this weight the interval of 47 of 48 would be half as wide as that of 48 of 48.

Ends. Wilson's interval of a share, and Tango's of a paired difference, at the effective n: a bootstrap over six units covers the truth far
less often than it says, and shrinks to a point where all agree (docs/intervals.md has the coverage of each). Parts of one metric are
combined by MOVER with their correlation over units.

Test. A paired difference flips the sign of whole units (Canay, Romano and Shaikh 2017), all 2^k of them where k <= 12 units differ at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuralgate.evaluate.intervals import Part, Score, as_score, tango, weighted_sum, wilson

EXACT_UNITS = 12
FLIPS = 10_000


def effective_n(values_N: np.ndarray, units_N: np.ndarray) -> float:
    """How many independent questions would give a mean of ``values`` (each -1, 0 or 1) its variance; see the module's text."""
    n = len(values_N)
    sizes_U, sums_U = np.bincount(units_N), np.bincount(units_N, weights=values_N)
    fewest = n * n / float((sizes_U**2).sum())
    count = len(sizes_U)
    minority = n - max(int((values_N == value).sum()) for value in (-1, 0, 1))
    if count == 1 or not minority:
        return fewest
    mean = float(values_N.sum()) / n
    independent = (float((values_N**2).sum()) / n - mean**2) / n
    between = count / (count - 1) * float(((sums_U - mean * sizes_U) ** 2).sum()) / n**2
    largest = n / fewest
    estimated = min(max(between / independent, 1.0), largest)
    return n / (estimated + (largest - estimated) / minority)


def clustered_interval(parts: list[Part]) -> Score:
    """Value, 95 % interval, n, number of units (``clusters``) and effective n of a metric."""
    units = _units(parts)
    values = [part.successes.astype(float) for part in parts]
    shares, sizes = [], []
    for part, value_N, units_N in zip(parts, values, units, strict=True):
        share = float(value_N.sum()) / len(value_N)
        sizes.append(effective_n(value_N, _numbered(units_N)))
        shares.append((part.weight, share, *wilson(share * sizes[-1], sizes[-1])))
    return _score(weighted_sum(shares, _correlations(values, units)), parts, units, sizes)


def clustered_difference(first: list[Part], second: list[Part], seed: int = 0) -> Score:
    """``first`` minus ``second`` on the same questions: as :func:`clustered_interval`, and ``p`` of the test that flips signs.

    ``seed`` is that of the flips where they are drawn."""
    units = _units(first)
    values = [one.successes.astype(float) - other.successes.astype(float) for one, other in zip(first, second, strict=True)]
    shares, sizes = [], []
    for part, value_N, units_N in zip(first, values, units, strict=True):
        n = len(value_N)
        sizes.append(effective_n(value_N, _numbered(units_N)))
        scale = sizes[-1] / n
        ends = tango(scale * float((value_N > 0).sum()), scale * float((value_N < 0).sum()), sizes[-1])
        shares.append((part.weight, float(value_N.sum()) / n, *ends))
    score = _score(weighted_sum(shares, _correlations(values, units)), first, units, sizes)
    sums = [
        part.weight * _sums(value_N, units_N, units) / len(value_N) for part, value_N, units_N in zip(first, values, units, strict=True)
    ]
    return {**score, "p": round(sign_flips(np.sum(sums, axis=0), seed), 6)}


def sign_flips(sums_U: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of a sum over units, if the sign of each could as well be the other: of all flips where at most twelve units are not
    zero, else of ten thousand drawn ones and the one observed (Phipson and Smyth 2010)."""
    sums_U = sums_U[sums_U != 0]
    count = len(sums_U)
    if not count:
        return 1.0
    if count <= EXACT_UNITS:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, count))
        signs = np.concatenate([1 - 2 * drawn, np.ones((1, count), dtype=int)])
    extreme = np.abs(signs @ sums_U) >= abs(sums_U.sum()) - 1e-12  # rounding
    return float(extreme.mean())


def holm(chances: Sequence[float]) -> list[float]:
    """The p of several comparisons that answer one question, adjusted so that one in twenty such families holds a false alarm (Holm
    1979)."""
    adjusted = [0.0] * len(chances)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = largest
    return adjusted


def _units(parts: list[Part]) -> list[np.ndarray]:
    """Which unit each question of each part belongs to: the widest level of which there are two or more, else each question its own."""
    for level in range(min(len(part.levels) for part in parts)):
        units = [part.levels[level] for part in parts]
        if len(np.unique(np.concatenate(units))) > 1:
            return units
    starts = np.cumsum([0, *(len(part.successes) for part in parts)])
    return [np.arange(start, start + len(part.successes)) for start, part in zip(starts[:-1], parts, strict=True)]


def _numbered(units_N: np.ndarray) -> np.ndarray:
    return np.unique(units_N, return_inverse=True)[1]


def _sums(values_N: np.ndarray, units_N: np.ndarray, units: list[np.ndarray]) -> np.ndarray:
    """Sums over each unit of any part."""
    known_U = np.unique(np.concatenate(units))
    return np.bincount(np.searchsorted(known_U, units_N), weights=values_N, minlength=len(known_U))


def _correlations(values: list[np.ndarray], units: list[np.ndarray]) -> list[list[float]] | None:
    """Of the parts' means, over units; 0 where a part does not vary."""
    if len(values) == 1:
        return None
    rows = []
    for value_N, units_N in zip(values, units, strict=True):
        # sums of whole numbers first: they are the same in any order
        rest_U = _sums(value_N, units_N, units) - value_N.sum() / len(value_N) * _sums(np.ones(len(value_N)), units_N, units)
        length = float(np.sqrt((rest_U**2).sum()))
        rows.append(rest_U / length if length > 1e-9 else np.zeros_like(rest_U))
    return [[float(one @ other) for other in rows] for one in rows]


def _score(ends: tuple[float, float, float], parts: list[Part], units: list[np.ndarray], sizes: list[float]) -> Score:
    score = as_score(*ends, sum(len(part.successes) for part in parts))
    # of the widest level with two members; where there is no such level, questions were counted, of one picture
    grouped = any(units_N is level for part, units_N in zip(parts, units, strict=True) for level in part.levels)
    clusters = len(np.unique(np.concatenate(units))) if grouped or not parts[0].levels else 1
    return {**score, "clusters": clusters, "effective_n": round(sum(sizes), 2)}
