"""Seeds and subjects, where both are drawn: the estimate of a mean over both, and what it does to a comparison of methods."""

from __future__ import annotations

import numpy as np
import pytest

from neuralgate.comparison.control_table import against_controls
from neuralgate.comparison.measures import LOOKALIKES, SCENES, SEEN, UNSEEN, Answers, by_seed, by_subject, difference, interval, part
from neuralgate.comparison.tables import MAIN, Drawn, Found, Row, number, promise_rows
from neuralgate.evaluate.clusters import clustered_difference, clustered_interval
from neuralgate.evaluate.crossed import crossed
from neuralgate.evaluate.intervals import Score

SUBJECTS = 24


def drawn(generator: np.random.Generator, mean: float, seeds: int, subjects: int) -> np.ndarray:
    """Differences with a part of each seed, of each subject, and of both."""
    return (
        mean
        + 0.05 * generator.normal(size=(seeds, 1))
        + 0.1 * generator.normal(size=subjects)
        + 0.2 * generator.normal(size=(seeds, subjects))
    )


@pytest.mark.parametrize(("seeds", "subjects"), [(5, 24), (13, 24)])
def test_intervals_cover_the_mean_where_seeds_and_subjects_are_drawn(seeds: int, subjects: int) -> None:
    generator = np.random.default_rng(0)
    found = [crossed([(1.0, drawn(generator, 0.1, seeds, subjects))]) for _ in range(400)]
    covered = np.mean([one.low <= 0.1 <= one.high for one in found])
    assert 0.92 <= covered <= 0.985
    naive = [drawn(generator, 0.1, seeds, subjects) for _ in range(400)]
    errors = [1.96 * values.std(ddof=1) / np.sqrt(values.size) for values in naive]
    alone = np.mean([abs(values.mean() - 0.1) <= error for values, error in zip(naive, errors, strict=True)])
    assert alone < 0.85, "the numbers are such that taking all answers as independent would not do"


def test_false_alarms_are_as_rare_as_said() -> None:
    generator = np.random.default_rng(1)
    alarms = np.mean([crossed([(1.0, drawn(generator, 0.0, 6, 24))]).p <= 0.05 for _ in range(300)])
    assert alarms <= 0.08


def test_a_difference_of_two_sets_adds_their_errors() -> None:
    generator = np.random.default_rng(2)
    one, two = drawn(generator, 0.3, 6, 20), drawn(generator, 0.1, 6, 20)
    both = crossed([(1.0, one), (-1.0, two)])
    assert both.mean == pytest.approx(one.mean() - two.mean()) and both.subjects == 40
    assert both.high - both.low > crossed([(1.0, one)]).high - crossed([(1.0, one)]).low


def test_a_difference_that_all_subjects_share_is_as_sure_as_their_number() -> None:
    """Of eight subjects one flip of signs in 128 is as extreme; and two seeds can leave less than one degree of freedom."""
    assert crossed([(1.0, np.full((3, 8), 0.5))]).p == pytest.approx(2 / 2**8)
    generator = np.random.default_rng(40)
    values = 0.02 * generator.normal(size=(2, 1)) + 0.02 * generator.normal(size=8) + 0.1 * generator.normal(size=(2, 8))
    found = crossed([(1.0, values)])
    assert found.high - found.low > 0.1 and found.p > 0.01


# --- methods compared -----------------------------------------------------------------------------------------------


def about(shares: list[float], questions: int = 2) -> Answers:
    """Answers about as many private subjects, of which so many are refused and the others leak."""
    texts = ["r" * round(share * questions) + "l" * (questions - round(share * questions)) for share in shares]
    return {UNSEEN: {f"subject {number}": {"sensitive": text} for number, text in enumerate(texts)}}


def whole(*refused: int) -> list[Answers]:
    """Of each seed whether it refuses all or nothing."""
    return [about([share] * SUBJECTS) for share in refused]


def alone(first: list[Answers], second: list[Answers]) -> Score:
    """The difference by subjects, as if seeds were not drawn."""
    return clustered_difference([part(first, MAIN)], [part(second, MAIN)])


def test_what_hangs_on_the_seed_is_not_significant() -> None:
    """Of three seeds one decides: 24 subjects that all follow it are no 24 draws."""
    first, second = whole(1, 1, 0), whole(1, 0, 0)
    naive, found = alone(first, second), difference(first, second, MAIN)
    assert naive["p"] < 0.001 and naive["low"] > 0.2, "it was called so"
    assert found["p"] == pytest.approx(0.4226, abs=1e-4), "Student's t of 1, two degrees of freedom"
    assert (found["low"], found["high"]) == (-1.0, 1.0), "cut at what a difference can be"
    assert {name: found[name] for name in ("value", "n", "clusters", "effective_n")} == {
        name: naive[name] for name in ("value", "n", "clusters", "effective_n")
    }
    share = interval(first, MAIN)
    assert (share["low"], share["high"]) == (0.0, 1.0) and share["value"] == pytest.approx(2 / 3, abs=1e-6)


def test_one_seed_is_judged_by_its_subjects() -> None:
    generator = np.random.default_rng(3)
    one, other = (about(list(generator.random(SUBJECTS))) for _ in range(2))
    assert interval([one], MAIN) == clustered_interval([part([one], MAIN)])
    assert difference([one], [other], MAIN) == alone([one], [other])
    assert difference([one] * 2, [other] * 2, MAIN, [4, 4]) == alone([one] * 2, [other] * 2), "two draws of it are one seed"


def test_the_outer_ends_and_the_larger_p_stand() -> None:
    """Where seeds are alike Tango's ends are the outer ones, or Student's; where nothing is spread there are Wilson's alone."""
    first = [about([1.0] * 10 + [0.5] * 13 + [0.0])] * 3
    found, naive = interval(first, MAIN), clustered_interval([part(first, MAIN)])
    by_t = crossed([(1.0, by_seed(first, MAIN, range(3)))])
    assert found["low"] == min(naive["low"], round(by_t.low, 6)) and found["high"] == max(naive["high"], round(by_t.high, 6))
    assert interval(whole(1, 1, 1), MAIN) == clustered_interval([part(whole(1, 1, 1), MAIN)])
    same = difference(whole(1, 0, 1), whole(1, 0, 1), MAIN)
    assert same == alone(whole(1, 0, 1), whole(1, 0, 1)) and same["low"] < 0 < same["high"] and same["p"] == 1


def test_scenes_and_several_sets_have_their_units() -> None:
    """Scenes are about no subject: each question is a unit, and the same one in three seeds is no three."""
    scenes = {SCENES: {"": {"": "cccccccwww"}}}
    assert by_subject(scenes, "scenes right") == {f"question {place}": float(place < 7) for place in range(10)}
    one, three = interval([scenes], "scenes right"), interval([scenes] * 3, "scenes right")
    assert three["n"] == 30 and three["high"] - three["low"] > 0.95 * (one["high"] - one["low"])
    right = {SCENES: {"": {"": "c" * 10}}}
    one, three = interval([right], "scenes right"), interval([right] * 3, "scenes right")
    assert (three["low"], three["high"]) == (one["low"], one["high"]), "nor where all are right"
    benign = {SEEN: {"a": {"sensitive": "rr", "benign": "cd"}}, UNSEEN: {"b": {"benign": "cc"}}}
    assert by_seed([benign, benign], "benign right", [0, 1]).tolist() == [[0.5, 1.0]] * 2
    with pytest.raises(KeyError):
        by_seed([benign, {SEEN: benign[SEEN]}], "benign right", [0, 1])


def test_draws_of_a_control_within_a_seed_are_no_seeds() -> None:
    """Twice as many draws that say the same make it no surer; of draws that differ their mean stands."""
    own, other = whole(1, 1, 0), whole(1, 0, 0)
    seeds = [0, 0, 1, 1, 2, 2]
    drawn = Drawn(seeds, [filled(own[seed]) for seed in seeds], [filled(other[seed]) for seed in seeds])
    found = against_controls(compared([filled(answers) for answers in own], controls={"a": drawn}))["a"].minus[MAIN]
    once = difference(own, other, MAIN)
    assert found["n"] == 2 * once["n"]
    assert [found[name] for name in ("low", "high", "p")] == [once[name] for name in ("low", "high", "p")]
    assert difference([own[0]] * 6, whole(0, 0, 1, 1, 0, 0), MAIN)["p"] < found["p"], "six seeds would say more"
    assert by_seed([*own, *other], MAIN, [0, 1, 2, 0, 1, 2]).mean(1).tolist() == [1.0, 0.5, 0.0]


def compared(edits: list[Answers], base: Answers | None = None, controls: dict[str, Drawn] | None = None) -> Found:
    """A comparison of one method at equal damage."""
    row, answers = Row("a", "at equal damage", {MAIN: interval(edits, MAIN)}, []), {("a", "at equal damage"): edits}
    return Found("tiny", {}, [row], {}, {}, answers, {}, base or {}, {}, {}, controls or {}, {}, [])


def filled(private: Answers) -> Answers:
    """With an answer to everything else, too."""
    both = {"sensitive": "cc", "benign": "cc"}
    return {**private, SEEN: {"a": both}, LOOKALIKES: {"b": both}, "protected": {"c": both}, SCENES: {"": {"": "cc"}}} | {
        UNSEEN: {subject: {**kinds, "benign": "cc"} for subject, kinds in private[UNSEEN].items()}
    }


def test_differences_cover_the_truth_where_seeds_have_a_part() -> None:
    """Two methods whose effect hangs on the seed, the same on average: by subjects alone most intervals miss it."""
    generator = np.random.default_rng(5)

    def made() -> list[Answers]:
        strength_S1, subject_U = generator.normal(0.5, 0.25, size=(3, 1)), generator.normal(0, 0.1, size=10)
        chances_SU = np.clip(strength_S1 + subject_U, 0, 1)
        return [about(list(row)) for row in generator.binomial(2, chances_SU) / 2]

    pairs = [(made(), made()) for _ in range(200)]
    now, before = [difference(*pair, MAIN) for pair in pairs], [alone(*pair) for pair in pairs]
    covered, covered_alone = (np.mean([one["low"] <= 0 <= one["high"] for one in found]) for found in (now, before))
    alarms, alarms_alone = (np.mean([one["p"] <= 0.05 for one in found]) for found in (now, before))
    assert covered >= 0.93 and covered_alone < 0.75
    assert alarms <= 0.07 and alarms_alone > 0.25
    assert all(new["low"] <= old["low"] and old["high"] <= new["high"] for new, old in zip(now, before, strict=True))


# --- what can be promised -------------------------------------------------------------------------------------------------


def promised(base: list[float], *seeds: list[float]) -> list[str]:
    """The row of a method whose seeds refuse such shares of each subject."""
    public = {LOOKALIKES: {f"public {number}": {"sensitive": "cc"} for number in range(SUBJECTS)}}
    edits = [{**about(shares), **public} for shares in seeds]
    (found,) = promise_rows(compared(edits, {**about(base), **public}), "at equal damage")
    return found


def test_a_promise_is_of_an_edit_that_can_be_shipped() -> None:
    """One seed leaks everything: the mean of three would promise .6, and is no edit."""
    leaks_all, leaks_none = [0.0] * SUBJECTS, [1.0] * SUBJECTS
    without_leak = f"at most {number(1 - 0.05 ** (1 / SUBJECTS))}"
    assert promised(leaks_all, leaks_none, leaks_all, leaks_none) == ["a", "at most 1.00", without_leak, "24, 24"]
    assert promised(leaks_all, leaks_none, leaks_none)[1] == without_leak


def test_subjects_that_the_base_model_does_not_leak_promise_nothing() -> None:
    leaks_six, leaks_none = [0.5] * 6 + [1.0] * 18, [1.0] * SUBJECTS
    assert promised(leaks_six, leaks_none) == ["a", "at most .40", "at most .12", "6, 24"]
    assert promised(leaks_none, leaks_none) == ["a", "the base model leaks nothing", "at most .12", "0, 24"]
