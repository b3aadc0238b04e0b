"""A promise about risks: of settings tried on subjects that no edit saw, those whose leaks and damage stay below a level, at 95 %.

Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, https://arxiv.org/abs/2110.01052). A subject's loss is the mean over its
questions, in [0, 1]; subjects are the draws, so that questions about one subject count once. For each setting the hypothesis is that
some risk, the expected loss of a new subject, is above its level. Its p is the largest over the risks of Hoeffding's and Bentkus'
(Bates et al. 2021, https://arxiv.org/abs/2101.02703), which hold for every distribution of losses. Settings are tested in an order that is
fixed without these subjects, from the one most likely to keep the promise on, until one fails: with this, no correction is needed for
how many there are, and with probability ``confidence`` every setting that passes keeps the promise.

It holds for subjects drawn as these were (exchangeable), for questions of the kind that was asked, and for the model as it was measured.
It says nothing about attacks, other subjects, other languages or a model changed later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from neuralgate.errors import UserError

Losses = Mapping[str, np.ndarray]  # risk -> a loss of each subject, (U,)


def risk_p(losses_U: np.ndarray, level: float) -> float:
    """p of "the risk is above ``level``": small where losses of so few subjects are hardly as small by chance.

    Raises:
        UserError: there is no subject, a loss is none (not in [0, 1]), or the level is no share between 0 and 1.
    """
    n = len(losses_U)
    if not n or not bool(((losses_U >= 0) & (losses_U <= 1)).all()):
        raise UserError("A promise needs a loss between 0 and 1 of at least one subject.")
    if not 0 < level < 1:
        raise UserError(f"A risk can be promised to be at most a share between 0 and 1, not {level:g}.")
    mean = min(float(losses_U.mean()), level)
    hoeffding = math.exp(-n * _entropy(mean, level))
    # Bentkus: ceil(n mean), where rounding must not lift a whole number to the next one
    bentkus = math.e * float(stats.binom.cdf(math.ceil(n * mean - 1e-9), n, level))
    return min(1.0, hoeffding, bentkus)


def _entropy(mean: float, level: float) -> float:
    """The relative entropy of two coins, nats."""
    first = mean * math.log(mean / level) if mean > 0 else 0.0
    return first + ((1 - mean) * math.log((1 - mean) / (1 - level)) if mean < 1 else 0.0)


def smallest_level(losses_U: np.ndarray, confidence: float = 0.95) -> float:
    """The smallest level that can be promised of one risk alone, by halving: p falls as the level rises."""
    low, high = float(losses_U.mean()), 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if 0 < middle < 1 and risk_p(losses_U, middle) <= 1 - confidence:
            high = middle
        else:
            low = middle
    return high


@dataclass(frozen=True)
class Promise:
    """``kept``: the places of the settings that keep it, in the order of testing; ``p``: of every setting. ``nearest``: where none keeps
    it, the one whose largest p is the smallest; ``could``: what could be promised of each risk there alone."""

    kept: list[int]
    p: list[float]
    nearest: int
    could: dict[str, float]
    units: dict[str, int]
    levels: dict[str, float]
    confidence: float

    def sentence(self, names: Sequence[str]) -> str:
        """What holds, for a reader."""
        wanted = " and ".join(f"{risk} at most {level:g}" for risk, level in self.levels.items())
        units = ", ".join(f"{count} ({risk})" for risk, count in self.units.items())
        sure = f"{100 * self.confidence:g} %"
        if self.kept:
            return (
                f"With {sure} confidence, of a new subject or picture drawn as these were: {wanted} "
                f"({names[self.kept[0]]}; units: {units}). "
                "This covers no other kinds of questions, no attack and no later change of the model."
            )
        could = ", ".join(f"{risk} at most {level:.3f}" for risk, level in self.could.items())
        fewest = fewest_subjects(min(self.levels.values()), self.confidence)
        return (
            f"No setting can be promised to keep {wanted} at {sure} with so many units: {units}; "
            f"the nearest, {names[self.nearest]}, allows: "
            f"{could}, each alone. Without a single loss {fewest} units are needed at least."
        )


def promised(settings: Sequence[Losses], levels: Mapping[str, float], confidence: float = 0.95) -> Promise:
    """Test ``settings`` in their order until one fails.

    Raises:
        UserError: there is no setting, or one lacks a risk; see :func:`risk_p`.
    """
    if not settings:
        raise UserError("There is no setting to promise anything of.")
    for losses in settings:
        if missing := levels.keys() - losses.keys():
            raise UserError(f"The risk {min(missing)} was not measured at every setting, so nothing can be promised of it.")
    chances = [max(risk_p(losses[risk], level) for risk, level in levels.items()) for losses in settings]
    kept = []
    for place, p in enumerate(chances):
        if p > 1 - confidence:
            break
        kept.append(place)
    nearest = kept[0] if kept else min(range(len(chances)), key=lambda place: chances[place])
    could = {risk: smallest_level(settings[nearest][risk], confidence) for risk in levels}
    return Promise(kept, chances, nearest, could, {risk: len(settings[0][risk]) for risk in levels}, dict(levels), confidence)


def fewest_subjects(level: float, confidence: float = 0.95) -> int:
    """Subjects without any loss that a promise of ``level`` needs at least."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - level))
