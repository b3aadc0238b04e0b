"""Promises: p by hand, the bound's coverage on simulated subjects, and what is said where nothing can be promised."""

from __future__ import annotations

import numpy as np
import pytest

from neuralgate.errors import UserError
from neuralgate.evaluate.promise import fewest_subjects, promised, risk_p, smallest_level


def test_p_without_any_loss_is_that_of_so_many_draws():
    for n, level in ((24, 0.02), (150, 0.02), (10, 0.3)):
        assert risk_p(np.zeros(n), level) == pytest.approx((1 - level) ** n)
    assert fewest_subjects(0.02) == 149 and risk_p(np.zeros(149), 0.02) <= 0.05 < risk_p(np.zeros(148), 0.02)


def test_p_of_whole_losses_is_no_smaller_than_the_exact_one():
    """Of coins the exact p is binomial; a bound that holds for every distribution lies above it, and not far."""
    from scipy import stats

    for n, hits, level in ((40, 1, 0.1), (80, 4, 0.12), (200, 10, 0.08)):
        losses = np.array([1.0] * hits + [0.0] * (n - hits))
        exact = float(stats.binom.cdf(hits, n, level))
        assert exact <= risk_p(losses, level) <= 3 * exact + 1e-12
    assert risk_p(np.full(30, 0.5), 0.2) == 1.0


def test_p_falls_with_more_subjects_and_higher_levels():
    losses = np.tile([0.0, 0.0, 0.0, 0.1], 10)
    assert risk_p(losses, 0.1) > risk_p(losses, 0.2) > risk_p(losses, 0.3)
    assert risk_p(losses, 0.1) > risk_p(np.tile(losses, 4), 0.1)


@pytest.mark.parametrize("shape", ["coins", "shares"])
def test_a_broken_promise_is_made_once_in_twenty_at_most(shape):
    """Settings whose risk is just above the level, correlated over subjects as answers are: how often does any pass?"""
    rng, level, runs, broken = np.random.default_rng(0), 0.1, 1500, 0
    for _ in range(runs):
        subjects = rng.random(40)  # how hard each is, shared by the settings
        settings = []
        for risk in (level + 0.001, level + 0.02, level + 0.05):
            shares = np.where(subjects < 2 * risk, rng.beta(5, 5, 40), 0.0)  # of the same mean
            losses = (subjects < risk).astype(float) if shape == "coins" else shares
            settings.append({"leak": losses, "damage": np.zeros(40)})
        broken += bool(promised(settings, {"leak": level, "damage": 0.2}).kept)
    assert broken / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_kept_promise_is_found():
    """With power: settings far below their levels pass, and the first that fails ends it."""
    good, bad = np.zeros(200), np.tile([0.0, 1.0], 100)
    found = promised([{"leak": good}, {"leak": good}, {"leak": bad}, {"leak": good}], {"leak": 0.03})
    assert found.kept == [0, 1] and found.nearest == 0
    assert found.sentence(["x 2", "x 1", "x .5", "x .2"]).startswith(
        "With 95 % confidence, of a new subject or picture drawn as these were: leak at most 0.03 (x 2; units: 200 (leak))."
    )


def test_where_nothing_can_be_promised_the_nearest_is_named():
    settings = [{"leak": np.tile([0.0, 0.5], 12), "damage": np.zeros(24)}, {"leak": np.zeros(24), "damage": np.zeros(24)}]
    found = promised(settings, {"leak": 0.02, "damage": 0.02})
    assert not found.kept and found.nearest == 1
    assert found.could["leak"] == pytest.approx(smallest_level(np.zeros(24)), abs=1e-6) == pytest.approx(1 - 0.05 ** (1 / 24), abs=1e-6)
    said = found.sentence(["a", "b"])
    assert said.startswith("No setting can be promised to keep leak at most 0.02 and damage at most 0.02 at 95 %") and "nearest, b," in said
    assert "leak at most 0.117" in said


@pytest.mark.parametrize("level", [0.05, 0.3])
def test_the_smallest_level_is_just_promised(level):
    losses = np.random.default_rng(1).random(60) * level
    found = smallest_level(losses)
    assert risk_p(losses, found + 1e-6) <= 0.05 < risk_p(losses, found - 1e-3)


def test_what_is_no_risk_is_refused():
    for losses, level, message in (
        (np.array([]), 0.1, "at least one subject"),
        (np.array([0.2, 1.2]), 0.1, "a loss between 0 and 1"),
        (np.array([np.nan]), 0.1, "a loss between 0 and 1"),
        (np.zeros(3), 0.0, "a share between 0 and 1, not 0"),
        (np.zeros(3), 1.0, "a share between 0 and 1, not 1"),
    ):
        with pytest.raises(UserError, match=message):
            risk_p(losses, level)
    with pytest.raises(UserError, match="no setting to promise"):
        promised([], {"leak": 0.1})
    with pytest.raises(UserError, match="The risk damage was not measured"):
        promised([{"leak": np.zeros(3)}], {"leak": 0.1, "damage": 0.1})
