"""A mean over seeds and subjects, where both are drawn.

With x_su what seed s says of subject u, a difference of two variants perhaps, the variance of the mean over both is that of the means of
subjects, plus that of the means of seeds, minus that of the interaction, which is in both (random effects of two crossed factors; Cameron,
Gelbach and Miller 2011 for the form without a model), at least the larger of the first two. Degrees of freedom by Satterthwaite. p is the
larger of Student's t and of flipping the signs of whole subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from neuralgate.evaluate.clusters import sign_flips


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and subjects with its 95 % interval, p of being 0, and what would have been seen four times in five."""

    mean: float
    low: float
    high: float
    p: float
    seen: float
    seeds: int
    subjects: int

    @property
    def units(self) -> int:
        """Subjects; seeds where these are the only units."""
        return self.subjects if self.subjects > 1 else self.seeds

    @property
    def is_spread(self) -> bool:
        """Whether there was anything to take an interval from: where all subjects and seeds are alike, it is no interval of width 0."""
        return self.high > self.low


def crossed(parts: Sequence[tuple[float, np.ndarray]]) -> Estimate:
    """The weighted sum of the means of ``parts``, each (weight, values ``(S seeds, U subjects)``); seeds are the same in all, subjects are
    not."""
    seeds = len(parts[0][1])
    mean = sum(weight * float(values_SU.mean()) for weight, values_SU in parts)
    by_seed_S = np.sum([weight * values_SU.mean(1) for weight, values_SU in parts], axis=0)
    subjects = sum(values_SU.shape[1] for _, values_SU in parts)
    of_subjects = sum(weight**2 * _error_of_mean(values_SU.mean(0)) for weight, values_SU in parts)
    of_seeds = _error_of_mean(by_seed_S) if seeds > 1 else 0.0
    shared = sum(weight**2 * _interaction(values_SU) for weight, values_SU in parts)
    freedom_u, freedom_s = subjects - len(parts), seeds - 1
    variance = of_subjects + of_seeds - shared
    if variance > max(of_subjects, of_seeds):
        pieces = ((of_subjects, freedom_u), (of_seeds, freedom_s), (shared, freedom_u * freedom_s))
        freedom = variance**2 / sum(piece**2 / count for piece, count in pieces if count)
    else:
        variance = max(of_subjects, of_seeds)
        freedom = freedom_u if of_subjects >= of_seeds else freedom_s
    error = float(np.sqrt(variance))
    flips = sign_flips(np.concatenate([weight * _units(values_SU) for weight, values_SU in parts]))
    if error < 1e-12:
        return Estimate(mean, mean, mean, flips, 0.0, seeds, subjects)
    freedom = max(freedom, 1.0)  # Satterthwaite's can fall below those of the fewest units
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = max(2 * float(stats.t.sf(abs(mean) / error, freedom)), flips)
    return Estimate(mean, mean - half, mean + half, p, half + float(stats.t.ppf(0.8, freedom)) * error, seeds, subjects)


def _units(values_SU: np.ndarray) -> np.ndarray:
    """What subjects, or where there is one column alone seeds, add to the mean."""
    values_N = values_SU.mean(0) if values_SU.shape[1] > 1 else values_SU[:, 0]
    return values_N / len(values_N)


def _error_of_mean(values_N: np.ndarray) -> float:
    """The squared standard error of a mean."""
    return float(values_N.var(ddof=1)) / len(values_N) if len(values_N) > 1 else 0.0


def _interaction(values_SU: np.ndarray) -> float:
    """What the seeds' and the subjects' squared errors both hold."""
    seeds, subjects = values_SU.shape
    if seeds < 2 or subjects < 2:
        return 0.0
    rest_SU = values_SU - values_SU.mean(0) - values_SU.mean(1, keepdims=True) + values_SU.mean()
    return float((rest_SU**2).sum()) / ((seeds - 1) * (subjects - 1)) / (seeds * subjects)
