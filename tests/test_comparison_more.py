"""Beside the comparison of methods: subjects one after another, and the edit with guards."""

from __future__ import annotations

import pytest
import torch

from neuralgate.comparison import bench as benches
from neuralgate.comparison.bench import Bench
from neuralgate.comparison.entries import ENTRIES, Entry, config_of
from neuralgate.comparison.final import kept
from neuralgate.comparison.more_tables import sequence_rows, together_rows
from neuralgate.comparison.page import markdown
from neuralgate.comparison.results import EDIT, GUARDS
from neuralgate.comparison.run import Comparison
from neuralgate.comparison.search import applied
from neuralgate.comparison.sequence import about, one_after_another, short_edit
from neuralgate.comparison.tables import read_comparison
from neuralgate.comparison.together import ALL, together
from neuralgate.files import write_json
from neuralgate.interventions.redaction import Redaction
from neuralgate.pairs.subjects import subjects_of
from tests.test_comparison import CHOSEN, FEW, SMALL


@pytest.fixture(scope="module", autouse=True)
def few_subjects():
    """The whole world would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benches, "subjects_of", lambda group: subjects_of(group)[:FEW])
        yield


@pytest.fixture(scope="module")
def bench(tiny, tmp_path_factory):
    return Bench(tiny, SMALL, tmp_path_factory.mktemp("bench"))


@pytest.fixture
def found(tiny, bench, tmp_path):
    """A comparison of which nothing is there but the base model."""
    comparison = Comparison(tiny, SMALL, {}, tmp_path / "out", tmp_path / "work")
    write_json(tmp_path / "out" / "base.json", {**comparison.about, **kept(bench.base("test"))})
    return read_comparison(tmp_path / "out")


def test_subjects_one_after_another(tiny, bench, found):
    """Each edit begins where those before ended, and none is left on the model."""
    subjects = bench.training(0).split("train", "edit").subjects()
    entry, before = CHOSEN["neural_gate"], {name: parameter.clone() for name, parameter in tiny.model.named_parameters()}
    again = one_after_another(bench, entry, {"settings": {"depth": 0.3, "max_steps": 6}, "strength": 1.0})
    config = short_edit(config_of(entry, {"depth": 0.3, "max_steps": 6}, len(tiny.layers), 0, SMALL.batch_size))
    assert config.max_steps == 2
    first = applied(bench, entry, config, 0, about(bench.training(0), subjects[0])).made
    with first.on(tiny):  # the second by hand
        second = applied(bench, entry, config, 0, about(bench.training(0), subjects[1])).made
        with second.on(tiny):
            heard = bench.ask([], "validation")
    looks = again["looks"]
    assert [one["subject"] for one in looks] == ["", *subjects] and looks[0]["divergence"] == {"benign": 0.0, "scenes": 0.0}
    assert 0 != looks[1]["divergence"]["benign"] != looks[2]["divergence"]["benign"] != 0 and looks[2]["answers"] == heard.answers
    found.sequences["neural_gate"] = again
    header, rows = sequence_rows(found)
    assert [row[0] for row in rows] == ["neural_gate"] and header[2] == "after 1: refused" and header[3] == "after 2: refused"
    assert all(torch.equal(parameter, before[name]) for name, parameter in tiny.model.named_parameters())


@pytest.fixture(scope="module")
def combinations(bench):
    entries = {**CHOSEN, **{name: Entry(name, search={}) for name in GUARDS}}
    chosen = {name: {"settings": {}, "strength": 1.0} for name in GUARDS}
    return together(bench, entries, {**chosen, EDIT: {"settings": {"depth": 0.3, "max_steps": 1}, "strength": 1.0}}, 0)


def test_every_combination_of_the_edit_and_guards(bench, combinations, found):
    found.together = [combinations, combinations]
    rows = {row[0]: row for row in together_rows(found)}
    assert len(rows) == 16 and {"base model", *ALL} < set(rows) and " + ".join(ALL) in rows
    alone = {tuple(result["names"]): result for result in combinations["results"]}
    assert alone["image_redaction",]["answers"] == bench.ask([Redaction()], "test").answers
    assert alone["image_redaction",]["strength"] is None and alone[EDIT,]["strength"] in (0.5, 1.0, 2.0)  # SMALL looks twice
    assert rows[EDIT][2].count(",") == 1 and rows["system_prompt"][2] == rows["system_prompt"][9] == "-"
    assert rows["neural_gate + output_filter"][9] and "The edit with what people" in markdown(found)


def test_combinations_wait_for_all_their_searches(tiny, tmp_path):
    comparison = Comparison(tiny, SMALL, {name: ENTRIES[name] for name in ALL}, tmp_path / "out", tmp_path / "work")
    (job, _) = (job for job in comparison.jobs() if job.name.startswith("together/"))
    assert job.after == tuple(f"{name}/search" for name in ALL)
    assert not any(job.name.startswith("together/") for job in Comparison(tiny, SMALL, CHOSEN, tmp_path / "b", tmp_path / "w").jobs())
