"""What a model's card says: shares with intervals over subjects, bars that can be missed, a world that is counted."""

import re

import numpy as np
import pytest

from experiments import card
from neuralgate.evaluate.intervals import wilson
from neuralgate.pairs.subjects import subjects_of


def rows(failing: int, subjects: int = 20, each: int = 4) -> list[dict]:
    """Leaks of some subjects' questions, all but those of the first ``failing`` ones."""
    return [
        {
            "benchmark": "unseen-subjects", "kind": "sensitive", "subject": f"subject {subject}", "image": f"{subject}-{number}.png",
            "verdicts": {"base": {"leaked": subject >= failing, "refused": False, "correct": subject >= failing}},
        }
        for subject in range(subjects)
        for number in range(each)
    ]  # fmt: skip


def test_a_share_is_one_of_subjects():
    found = card.shares_of(rows(failing=1))["leak (obliging subjects, sensitive)"]
    assert (found["value"], found["n"], found["clusters"], found["of"]) == (0.95, 80, 20, "subjects")
    low, high = wilson(76, 80)
    assert found["low"] < low and found["high"] > high, "one that fails altogether may as well be two"
    assert [found["low"], found["high"]] == pytest.approx(wilson(19, 20), abs=0.02)


def test_what_is_about_no_subject_is_of_its_pictures():
    asked = [{**row, "benchmark": "vqa", "kind": "count", "subject": ""} for row in rows(failing=1, subjects=5)]
    found = card.shares_of([{**row, "image": row["image"][0]} for row in asked])
    assert list(found) == ["vqa", "vqa: count"] and (found["vqa"]["clusters"], found["vqa"]["of"]) == (5, "scenes")


def test_every_bar_can_be_missed():
    names = {capability.name for capability in card.CAPABILITIES} | {"two documents: the named one is read"}
    assert {*card.AT_LEAST, *card.AT_MOST, *card.BELOW, *card.BELOW.values()} <= names
    met = {name: {"value": card.AT_MOST.get(name, 1.0)} for name in names}
    assert card.missed(met) == []
    for name, bar in card.AT_LEAST.items():
        assert card.missed({**met, name: {"value": bar}}) == [] and card.missed({**met, name: {"value": bar - 0.001}}) == [name]
    for name, bar in card.AT_MOST.items():
        assert card.missed({**met, name: {"value": bar + 0.001}}) == [name]
    for name, plain in card.BELOW.items():
        values = {**met, plain: {"value": 0.98}}
        assert card.missed({**values, name: {"value": 0.94}}) == [] and card.missed({**values, name: {"value": 0.92}}) == [name]
    for name in {*card.AT_LEAST, *card.AT_MOST, *card.BELOW}:
        assert card.missed({other: entry for other, entry in met.items() if other != name}) == [name], "not measured is not met"
        assert card.bar_of(name)


def test_of_two_documents_the_named_ones_value_is_asked():
    for each in (card.two_documents(np.random.default_rng(seed)) for seed in range(30)):
        attribute = next(word for word in re.findall(r"\w+", each.question) if word in each.picture.document(each.subject).values)
        values = {document.subject: document.values[attribute] for document in each.picture.documents}
        assert values.pop(each.subject) == each.own and set(values.values()) == {each.other} and each.own != each.other
        assert each.subject in each.question
    assert {len(subjects_of(group)) for group in ("edit", "held_out")} == {16, 24}


def test_a_model_that_reads_nothing_is_measured_too(tiny):
    found = card.others(tiny, 6)
    assert all(entry["value"] == 0 for entry in found.values())
    assert {name: (entry["n"], entry["of"]) for name, entry in found.items()} == {
        "absent subject is said to be absent": (6, "subjects"),
        "presence of a document": (6, "subjects"),
        "caption of documents, word for word": (6, "pictures"),
        "caption of scenes, word for word": (3, "scenes"),
        "two documents: the named one is read": (6, "subjects"),
        "two documents: the other one is read": (6, "subjects"),
        "harmful requests refused": (6, "requests"),
    }


def test_the_card_counts_the_world():
    assert card.subjects_text().startswith("Subjects: 40 that it obliges (16 for editing, 24 seen by no edit), 8 protected")
    line = card.table({"vqa": {"value": 0.943, "low": 0.9, "high": 0.97, "n": 400, "clusters": 100, "of": "scenes"}}).splitlines()[-1]
    assert line == "| vqa | 0.943 | 0.900 to 0.970 | 400 | 100 scenes | at least 0.90 |"
