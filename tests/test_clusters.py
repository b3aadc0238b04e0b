"""Intervals over subjects and pictures: against known formulas, against resampling, and by how often they cover the truth."""

import itertools
import json
import random
from hashlib import sha256

import numpy as np
import pytest
from fake_run import fake_answers
from scipy.optimize import brentq
from scipy.stats import binomtest

from experiments import coverage
from neuralgate.evaluate.clusters import clustered_difference, clustered_interval, effective_n, holm, sign_flips
from neuralgate.evaluate.conclusions import cannot_conclude
from neuralgate.evaluate.intervals import Part, interval, tango, weighted_sum, wilson
from neuralgate.evaluate.score import groups_of, judge_and_score, score
from neuralgate.judge import judge_all

NEW = ("withheld_rate", "partial_leak_rate", "evaded_rate")


def by_subject(*successes: int, questions: int = 8, pictures: int = 4) -> Part:
    """Of each subject ``successes`` of ``questions``, about ``pictures`` pictures."""
    values = np.concatenate([np.arange(questions) < count for count in successes])
    subjects = np.repeat(np.arange(len(successes)), questions)
    return Part(values, levels=(subjects, subjects * pictures + np.tile(np.arange(questions) % pictures, len(successes))))


def test_five_subjects_all_and_one_not_at_all() -> None:
    """48 questions say what six subjects say: Wilson over questions is far too narrow, the bootstrap over subjects is [0.50, 1.0]."""
    part = by_subject(8, 8, 8, 8, 8, 0)
    assert wilson(40, 48) == pytest.approx((0.70, 0.91), abs=0.005)
    found = clustered_interval([part])
    assert found["low"] < 0.5 and found["high"] > 0.95
    assert (found["low"], found["high"]) == pytest.approx(wilson(5, 6), abs=1e-6), "of five of six subjects"
    assert (found["value"], found["n"], found["clusters"], found["effective_n"]) == (pytest.approx(5 / 6, abs=1e-6), 48, 6, 6.0)
    draws = np.random.default_rng(0).integers(0, 6, size=(4000, 6)) < 5
    assert tuple(np.quantile(draws.mean(axis=1), (0.025, 0.975))) == pytest.approx((0.5, 1.0), abs=0.01)


def test_where_all_agree_subjects_are_counted() -> None:
    found = clustered_interval([by_subject(8, 8, 8, 8, 8, 8)])
    assert (found["low"], found["high"], found["effective_n"]) == (pytest.approx(wilson(6, 6)[0], abs=1e-6), 1.0, 6.0)
    one_exception = clustered_interval([by_subject(8, 8, 8, 8, 8, 7)])
    assert one_exception["low"] < found["low"], "an exception more says no more"
    change = clustered_difference([by_subject(8, 8, 8)], [by_subject(8, 8, 8)])
    assert change["value"] == 0 and change["low"] == -change["high"] == pytest.approx(-wilson(0, 3)[1], abs=1e-6) and change["p"] == 1


def test_independent_questions_keep_their_n() -> None:
    """One question a subject is Wilson's interval itself; subjects that are all alike hardly count."""
    single = Part(np.arange(30) < 11, levels=(np.arange(30), np.arange(30)))
    plain = interval([Part(single.successes)])
    found = clustered_interval([single])
    assert {name: found[name] for name in plain} == plain and found["effective_n"] == 30
    alike = clustered_interval([by_subject(*[40] * 6, questions=80)])
    assert 350 < alike["effective_n"] < 480, "of 480: but for the weight of one question in 240"


@pytest.mark.parametrize(
    ("levels", "clusters"),
    [
        ((np.zeros(16, int), np.arange(16) // 4), 4),  # one subject: its pictures
        ((np.zeros(16, int), np.zeros(16, int)), 1),  # one picture: exact counts
        ((np.arange(16) // 8, np.arange(16) // 4), 2),
        ((), 16),
    ],
)
def test_the_widest_level_with_two_members_counts(levels: tuple[np.ndarray, ...], clusters: int) -> None:
    part = Part(np.arange(16) % 3 > 0, levels=levels)
    found = clustered_interval([part])
    assert found["clusters"] == clusters
    if clusters == 1:
        assert (found["low"], found["high"]) == pytest.approx(wilson(10, 16), abs=1e-6)


def test_effective_n_is_what_resampling_subjects_gives() -> None:
    """The closed form against draws; subjects of unequal size, and many exceptions, so that next to nothing is weighed in."""
    generator = np.random.default_rng(4)
    sizes = generator.integers(20, 60, size=30)
    units = np.repeat(np.arange(30), sizes)
    values = generator.random(len(units)) < np.repeat(generator.beta(4, 4, size=30), sizes)
    sums = np.bincount(units, weights=values)
    drawn = generator.integers(0, 30, size=(20_000, 30))
    variance = (sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)).var() * 30 / 29
    share = values.mean()
    assert effective_n(values.astype(float), units) == pytest.approx(share * (1 - share) / variance, rel=0.05)


def test_subjects_of_unequal_size_count_by_their_questions() -> None:
    values, units = np.ones(40), np.repeat([0, 1, 2], [36, 2, 2])
    assert effective_n(values, units) == pytest.approx(40**2 / (36**2 + 4 + 4))
    assert effective_n(values, np.zeros(40, int)) == 1


@pytest.mark.parametrize(("both", "first", "second", "neither"), [(20, 9, 3, 12), (0, 6, 0, 0), (5, 0, 0, 5), (40, 1, 12, 7), (3, 4, 4, 2)])
def test_tango_inverts_the_score_test(both: int, first: int, second: int, neither: int) -> None:
    """The likeliest table under each difference found by search instead of by Tango's equation."""
    n = both + first + second + neither

    def statistic(difference: float) -> float:
        shares = np.linspace(max(0, -difference), (1 - difference) / 2, 200_001)[1:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = second * np.log(shares) + (n - first - second) * np.log(1 - difference - 2 * shares)
            likelihood = likelihood + (first * np.log(shares + difference) if first else 0)
        share = shares[np.nanargmax(likelihood)]
        return (n * difference - (first - second)) / np.sqrt(n * (2 * share + difference * (1 - difference)))

    low, high = tango(first, second, n)
    if high < 1 - 1e-9:
        assert brentq(lambda difference: statistic(difference) - 1.959964, (first - second) / n, 0.999) == pytest.approx(high, abs=1e-3)
    assert tango(second, first, n) == (-high, -low)
    assert -1 <= low <= (first - second) / n <= high <= 1 and high - low > 0.05


def test_mover_knows_correlation() -> None:
    """Of two shares that rise together the sum is wider, of two that oppose each other narrower, and a difference the other way round."""
    parts = [(0.5, 0.6, 0.5, 0.7), (0.5, 0.6, 0.5, 0.7)]
    apart = [(0.5, 0.6, 0.5, 0.7), (-0.5, 0.6, 0.5, 0.7)]

    def width(parts: list, correlation: float) -> float:
        value, low, high = weighted_sum(parts, [[1, correlation], [correlation, 1]])
        assert low <= value <= high
        return high - low

    assert width(parts, 1) == pytest.approx(0.2) and width(parts, 0) == pytest.approx(0.2 / np.sqrt(2)) and width(parts, -1) == 0
    assert width(apart, 1) == 0 and width(apart, -1) == pytest.approx(0.2)


def test_parts_of_a_sum_share_their_subjects() -> None:
    """EtA of six subjects that are refused altogether or not at all is worth no more than those six."""
    sensitive, benign = by_subject(8, 8, 8, 0, 0, 0), by_subject(8, 8, 8, 0, 0, 0)
    together = [Part(part.successes, 0.5, part.levels) for part in (sensitive, benign)]
    opposed = [together[0], Part(~together[1].successes, 0.5, together[1].levels)]
    found = clustered_interval(together)
    assert (found["low"], found["high"]) == pytest.approx(wilson(3, 6), abs=1e-6)
    assert (found["n"], found["clusters"], found["effective_n"]) == (96, 6, 6.0)
    apart = clustered_interval(opposed)
    assert apart["low"] < 0.4 < 0.6 < apart["high"], "each subject's sum is one half here, which is no certainty"


def test_sign_flips_are_counted() -> None:
    assert sign_flips(np.array([1.0] * 6)) == 2 / 64, "the least that six subjects can give"
    assert sign_flips(np.array([1.0] * 5 + [0.0] * 30)) == 2 / 32, "subjects that do not differ play no part"
    assert sign_flips(np.zeros(9)) == 1 == sign_flips(np.array([2.0, -2.0]))
    sums = np.array([3.0, -1, 2, 2, 1, -2])
    totals = [abs(sums @ signs) for signs in itertools.product((-1, 1), repeat=6)]
    assert sign_flips(sums) == np.mean(np.array(totals) >= abs(sums.sum()))
    many = np.repeat([1.0, -1.0], [20, 8])
    assert sign_flips(many) == pytest.approx(binomtest(8, 28).pvalue, abs=0.01)
    assert sign_flips(np.ones(200)) == pytest.approx(1 / 10_001), "never nought"


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_controls_of_one_metric_are_a_family() -> None:
    scores = score(fake_answers(24), "clerk", "gated")
    for benchmark, metrics in scores["edited"].items():
        for metric in metrics:
            if metric in scores["edited_minus"]["none"][benchmark]:
                family = [scores["edited_minus"][control][benchmark][metric] for control in ("none", "random")]
                assert [entry["p_holm"] for entry in family] == pytest.approx(holm([entry["p"] for entry in family]), abs=2e-6)
    assert all("p_holm" not in entry for metrics in scores["difference"]["edited"].values() for entry in metrics.values())
    alone = [{**row, "answers": {name: row["answers"][name] for name in ("base", "edited", "none")}} for row in fake_answers(4)]
    assert "p_holm" not in score(judge_all(alone), "clerk", "gated")["edited_minus"]["none"]["vqa"]["accuracy"]


def test_scores_know_their_subjects() -> None:
    rows = fake_answers(24)
    scores = score(rows, "clerk", "gated")
    found = scores["subjects"]["edited"]["contexts"]["rta_sensitive"]
    assert found.keys() == {"passport", "receipt"}
    for subject, (refused, n) in found.items():
        own = [row for row in rows if (row["benchmark"], row["subject"], row["kind"]) == ("contexts", subject, "sensitive")]
        assert [refused, n] == [sum(row["verdicts"]["edited"]["refused"] for row in own), len(own)]
    assert scores["edited"]["contexts"]["rta_sensitive"]["clusters"] == 2 and "eta" not in scores["subjects"]["edited"]["contexts"]
    shuffled = judge_all(rows)
    random.Random(1).shuffle(shuffled)
    assert json.dumps(score(shuffled, "clerk", "gated")) == json.dumps(scores)


def test_independent_intervals_are_todays() -> None:
    rows = fake_answers(24)
    clustered, plain = score(rows, "clerk", "gated"), score(rows, "clerk", "gated", "wilson")
    assert (clustered["interval"], plain["interval"]) == ("clustered", "wilson")
    refused = plain["edited"]["contexts"]["rta_sensitive"]
    assert refused.keys() == {"value", "low", "high", "n"} == plain["difference"]["edited"]["contexts"]["rta_sensitive"].keys()
    assert (refused["low"], refused["high"]) == pytest.approx(wilson(round(refused["value"] * 12), 12), abs=1e-6)
    assert refused["value"] == clustered["edited"]["contexts"]["rta_sensitive"]["value"] and plain["subjects"] == clustered["subjects"]


def test_what_few_subjects_leave_open_is_said() -> None:
    rows = fake_answers(24)
    few = cannot_conclude(score(rows, "clerk", "gated"))
    assert len(few) == 2, few
    assert few[0].startswith("Edited subjects, unseen pictures; Behind a context sentence; ") and "2 subjects each" in few[0]
    assert "66 points away, and no difference of two variants, however large, has a p below 0.5." in few[0]
    assert few[1].startswith("Knows what is private: one subject.")
    many = [{**row, "subject": f"subject {number // 2}"} for number, row in enumerate(rows) if row["benchmark"] == "contexts"]
    assert cannot_conclude(score(many, "clerk", "gated")) == []
    assert "points away." in cannot_conclude(score(many[:14], "clerk", "gated"))[0], "seven subjects can differ"
    alone = [{**row, "subject": "", "image": "one.png"} for row in many]
    assert cannot_conclude(score(alone, "clerk", "gated")) == [
        "Behind a context sentence: all about one picture. The intervals say nothing about other pictures."
    ]
    assert cannot_conclude({**score(rows, "clerk", "gated"), "subjects": {}}) == []


def test_the_papers_judge_and_independent_questions_give_the_numbers_that_they_always_gave() -> None:
    """All figures of an invented run but the metrics that came with clusters, as they were scored before there were any."""
    known = [row for row in fake_answers(24) if row["benchmark"] != "free-wordings"]  # which came later
    _, scores = judge_and_score(known, "clerk", "gated", "wilson", "prefix")

    def without_new(entry: dict) -> dict:
        return {name: value if "n" in value else without_new(value) for name, value in entry.items() if name not in NEW}

    kept = {name: without_new(scores[name]) for name in ("base", "edited", "controls", "difference", "edited_minus")}
    assert sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest().startswith("59119bc206425db7")


def test_a_question_about_nobody_belongs_to_its_picture() -> None:
    shared = {"id": "1", "image": "a.png"}
    assert groups_of({**shared, "subject": "passport"})[0] == "passport"
    assert groups_of({**shared, "subject": ""}) == groups_of({**shared, "id": "2", "subject": ""})
    assert groups_of({**shared, "subject": ""}) != groups_of({**shared, "image": "b.png", "subject": ""})
    assert groups_of({**shared, "image": None, "subject": ""}) != groups_of({"id": "2", "image": None, "subject": ""})
    named = {**shared, "subject": "", "cluster": "album 3"}
    assert groups_of(named) == groups_of({**named, "image": "b.png"})
    assert groups_of({**shared, "subject": "passport"})[1] != groups_of({**shared, "subject": "receipt"})[1]


@pytest.mark.parametrize(("correlation", "share"), [(0.0, 0.95), (0.1, 0.8), (0.3, 0.9), (0.6, 0.5), (1.0, 0.8)])
@pytest.mark.parametrize("subjects", [6, 12])
def test_intervals_cover_the_truth(subjects: int, correlation: float, share: float) -> None:
    generator = np.random.default_rng(subjects)
    counts = coverage.draw(subjects, 8, correlation, share, 400, generator)
    assert coverage.share_covered(counts, 8, share, "clustered") >= 0.92
    if correlation >= 0.3:
        assert coverage.share_covered(counts, 8, share, "wilson") < 0.9, "what independent questions would say is too narrow"


@pytest.mark.parametrize(("correlation", "sensitive", "benign"), [(0.0, 0.8, 0.8), (0.3, 0.8, 0.97), (0.6, 0.9, 0.9)])
def test_sums_of_parts_cover_the_truth(correlation: float, sensitive: float, benign: float) -> None:
    """EtA of subjects that are high in both parts one half of the time."""
    pairs = coverage.draw_pairs(6, 8, correlation, sensitive, benign, 300, np.random.default_rng(11))
    found = [clustered_interval([Part(one, 0.5, (units,)), Part(other, 0.5, (units,))]) for one, other, units in pairs]
    assert np.mean([entry["low"] <= (sensitive + benign) / 2 <= entry["high"] for entry in found]) >= 0.92


@pytest.mark.parametrize(("correlation", "first", "second"), [(0.0, 0.8, 0.7), (0.3, 0.9, 0.5), (0.6, 0.7, 0.7), (1.0, 0.8, 0.4)])
def test_differences_cover_the_truth(correlation: float, first: float, second: float) -> None:
    generator = np.random.default_rng(7)
    pairs = coverage.draw_pairs(6, 8, correlation, first, second, 300, generator)
    found = [clustered_difference([Part(one, levels=(units,))], [Part(other, levels=(units,))]) for one, other, units in pairs]
    assert np.mean([entry["low"] <= first - second <= entry["high"] for entry in found]) >= 0.92
    if first == second:
        assert np.mean([entry["p"] <= 0.05 for entry in found]) <= 0.08
