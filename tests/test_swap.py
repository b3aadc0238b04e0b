"""Activation patching: exact where it can be checked, and the causality of Clerk's subject tokens."""

from __future__ import annotations

import pytest

from experiments.causality import build_swaps, curve
from neuralgate.files import read_json
from neuralgate.locate.swap import swapped_answers
from neuralgate.lvlm.load import clerk_path
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example


def swap_named(name: str, count: int):
    return next(swap for swap in build_swaps(count) if swap.name == name)


def test_a_question_swapped_with_itself_answers_the_same(tiny: LVLM) -> None:
    swap = swap_named("other document, subject tokens", 3)
    plain = tiny.generate([(example.image, example.question) for example in swap.receivers], max_new_tokens=10)
    for answers in swapped_answers(tiny, swap.receivers, swap.receivers, [0, len(tiny.layers) - 1]).values():
        assert answers == plain


def test_spans_of_different_length_are_refused(tiny: LVLM) -> None:
    one = swap_named("other document, subject tokens", 1).receivers[0]
    long, short = (Example(one.image, f"Read the {subject}.", subject, "") for subject in ("student id", "passport"))
    with pytest.raises(ValueError, match="equally many tokens"):
        swapped_answers(tiny, [long], [short], [0])


def test_clerks_subject_tokens_decide_between_refusing_and_answering(clerk: LVLM) -> None:
    """Early: the protected subject's state makes the obliging subject's question refused. Last layer: it is too late."""
    early, last = curve(clerk, swap_named("protected subject, subject tokens", 40), [0, len(clerk.layers) - 1])
    assert early >= 0.8
    assert last <= 0.2


def test_the_shipped_patching_curve_is_of_this_shape(clerk: LVLM) -> None:
    recorded = read_json(clerk_path().parent / "causality.json")
    curves = {swap["name"]: swap["share"] for swap in recorded["swaps"]}
    assert len(recorded["layers"]) == len(clerk.layers)
    for name in ("protected subject, subject tokens", "other document, subject tokens"):
        assert curves[name][0] >= 0.8, name
        assert curves[name][-1] <= 0.2, name
    assert curves["protected subject, tokens after it"][0] <= 0.2
    assert curves["protected subject, tokens after it"][-1] >= 0.8
