"""95 % intervals of shares, of differences of paired shares, and of weighted sums of either; questions taken for independent.

Every metric is a weighted sum of shares ("parts"), each over its own questions: EtA has two parts, all others one. What questions about
one subject share is the matter of `clusters.py`, which calls the same formulas with fewer questions. The formulas are own lines: those of
statsmodels take whole counts, not an effective n, and have no MOVER.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
DRAWS = 2000
HALVINGS = 60  # of an interval no longer than 2: to less than 1e-17

Score = dict[str, float | int]


@dataclass(frozen=True)
class Part:
    """One share of a metric: ``weight * mean(successes)``.

    ``successes``: bool (N,), N >= 1. ``levels``: whole numbers (N,) that say which questions belong together, the widest grouping first
    (subjects, then pictures).
    """

    successes: np.ndarray
    weight: float = 1.0
    levels: tuple[np.ndarray, ...] = ()


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927). ``n`` must be above 0; a mean over rounds or an effective n is no whole number."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no share")
    share = successes / n
    centre = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # The ends are exact at 0 and n; rounding errors there would show as -1e-17.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def tango(first_only: float, second_only: float, n: float) -> tuple[float, float]:
    """95 % score interval of the difference of two paired shares (Tango 1998, Statistics in Medicine 17, 891-908).

    Args:
        first_only: of ``n`` questions those at which the first succeeds and the second does not; ``second_only`` the other way round.
            None of the three need be a whole number.

    It never shrinks to a point: where nothing differs it is as wide on either side as Wilson's interval of 0 of ``n``.
    """
    return -_tango_upper(second_only, first_only, n), _tango_upper(first_only, second_only, n)


def _tango_upper(first_only: float, second_only: float, n: float) -> float:
    """The largest difference that the score test does not reject, by halving: beyond the estimate its statistic only grows."""
    difference = first_only - second_only
    low, high = difference / n, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # the likeliest share of ``second_only`` if the difference were ``middle`` (Tango's equation for q21)
        linear = -first_only - second_only + (2 * n - difference) * middle
        constant = -second_only * middle * (1 - middle)
        share = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
        variance = max(0.0, 2 * share + middle * (1 - middle))
        if n * middle - difference <= Z * math.sqrt(n * variance):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def weighted_sum(
    parts: Iterable[tuple[float, float, float, float]], correlations: Sequence[Sequence[float]] | None = None
) -> tuple[float, float, float]:
    """Value and ends of a sum of ``(weight, value, low, high)`` by MOVER (Zou and Donner 2008): of one part of weight 1 its own interval.
    ``correlations`` of the values; without them they are independent."""
    total, weights, down, up = 0.0, [], [], []
    for weight, value, low, high in parts:
        ends = sorted((weight * low, weight * high))
        total += weight * value
        weights.append(weight)
        down.append(weight * value - ends[0])
        up.append(ends[1] - weight * value)

    def length(distances: list[float]) -> float:
        squared = sum(distance**2 for distance in distances)
        for i in range(len(distances) if correlations else 0):
            for j in range(i):
                sign = math.copysign(1, weights[i] * weights[j])
                squared += 2 * sign * correlations[i][j] * distances[i] * distances[j]  # type: ignore[index]
        return math.sqrt(max(0.0, squared))

    return total, total - length(down), total + length(up)


def as_score(value: float, low: float, high: float, n: int) -> Score:
    # + 0.0 turns -0.0 into 0.0; six digits are far more than any n here carries.
    return {"value": round(value, 6) + 0.0, "low": round(low, 6) + 0.0, "high": round(high, 6) + 0.0, "n": n}


def interval(parts: list[Part]) -> Score:
    """Value, 95 % interval and number of questions of a metric: Wilson's interval of each part, combined by MOVER, which for one part is
    Wilson's itself and does not shrink to a point at 0 or 1 as a bootstrap does."""
    shares = []
    for part in parts:
        n, successes = len(part.successes), int(part.successes.sum())
        shares.append((part.weight, successes / n, *wilson(successes, n)))
    return as_score(*weighted_sum(shares), sum(len(part.successes) for part in parts))


def paired_difference(first: list[Part], second: list[Part], seed: int = 0) -> Score:
    """``first`` minus ``second`` on the same questions, with the 95 % percentile interval of the paired bootstrap over questions.

    Resampling n paired differences, each -1, 0 or 1, is a multinomial draw, so 2000 draws cost nothing and do not depend on the order of
    the questions. An interval of width zero says that no question changed its verdict, not that none could.
    """
    generator = np.random.default_rng(seed)
    value, draws = 0.0, np.zeros(DRAWS)
    for one, other in zip(first, second, strict=True):
        differences = one.successes.astype(int) - other.successes.astype(int)
        n = len(differences)
        counts = np.array([(differences == step).sum() for step in (-1, 0, 1)])
        resampled = generator.multinomial(n, counts / n, size=DRAWS)
        value += one.weight * float(differences.mean())
        draws += one.weight * (resampled[:, 2] - resampled[:, 0]) / n
    low, high = np.quantile(draws, (0.025, 0.975))
    return as_score(value, float(low), float(high), sum(len(part.successes) for part in first))
