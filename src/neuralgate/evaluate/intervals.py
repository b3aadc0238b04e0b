"""95 % intervals of shares, and of weighted sums of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927). ``n`` must be at least 1; a mean over rounds may be no whole number of successes."""
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


def weighted_sum(parts: Iterable[tuple[float, float, float, float]]) -> tuple[float, float, float]:
    """Value and ends of a sum of independent ``(weight, value, low, high)`` by MOVER (Zou and Donner 2008): of one part of weight 1 its
    own interval."""
    total = down = up = 0.0
    for weight, value, low, high in parts:
        ends = sorted((weight * low, weight * high))
        total += weight * value
        down += (weight * value - ends[0]) ** 2
        up += (ends[1] - weight * value) ** 2
    return total, total - math.sqrt(down), total + math.sqrt(up)
