"""Methods compared: every file, rule and table by hand, and the whole of it small, on the tiny model."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from experiments.methods import page as docs_page
from neuralgate.cli.compare import compare_on
from neuralgate.comparison import bench as benches
from neuralgate.comparison import final
from neuralgate.comparison import run as running
from neuralgate.comparison import search as searching
from neuralgate.comparison.bench import Bench
from neuralgate.comparison.choose import at_equal_damage, at_equal_privacy, frontier, next_strength
from neuralgate.comparison.claims import CLAIMS, Claim, Verdict
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.entries import BUDGET, ENTRIES, Entry, chosen_entries, config_of, layers_at
from neuralgate.comparison.final import control, published, readings
from neuralgate.comparison.measures import MEASURES, by_subject, damage, difference, effect, excess, interval, share
from neuralgate.comparison.page import tables, write_page
from neuralgate.comparison.run import Comparison
from neuralgate.comparison.search import applied, drawn_from, search
from neuralgate.comparison.tables import number, read_comparison, shown
from neuralgate.errors import UserError
from neuralgate.interventions.steering import Steering
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.methods import METHODS
from neuralgate.pairs.subjects import subjects_of
from neuralgate.settings import parse_settings
from neuralgate.training import rate as rates
from neuralgate.training.batches import Unpacked
from neuralgate.training.losses import answer_logits, divergence

SMALL = ComparisonConfig(
    model="tiny",
    budget=2,
    seeds=2,
    controls=1,
    looks=2,
    trained_subjects=2,
    trained_contrast=1,
    per_subject=3,
    contrast_per_subject=1,
    batch_size=3,
    voters=1,
    vector_steps=1,
    validation_scenes=2,
    test_pictures=1,
    test_scenes=2,
)
CHOSEN = {
    "keyword_guardrail": ENTRIES["keyword_guardrail"],
    "steering": ENTRIES["steering"],
    "neural_gate": Entry("neural_gate", {"gate": "strong"}, {"depth": (0.3,), "max_steps": (1, 6)}),
}


FEW = 6  # subjects of each group


@pytest.fixture(scope="module", autouse=True)
def few_subjects():
    """The whole world would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benches, "subjects_of", lambda group: subjects_of(group)[:FEW])
        yield


# --- entries --------------------------------------------------------------------------------------------------------


def test_every_method_has_an_entry_and_a_grid_of_the_budget():
    assert set(METHODS) <= set(ENTRIES)
    for name, entry in ENTRIES.items():
        assert entry.size >= BUDGET or not entry.grid, name
        for places in itertools.product(*entry.grid.values()):
            for count in (8, 30):
                config = config_of(entry, dict(zip(entry.grid, places, strict=True)), count, 0, 6)
                layers = getattr(config, "layers", "all")
                assert isinstance(layers, str) or 0 <= min(layers) <= max(layers) < count - 1, (name, places)
        assert "random" in entry.module.controls(config)


def test_depths_are_shares_of_the_layers():
    assert [layers_at(depth, 8) for depth in (0.0, 0.15, 0.5, 0.99)] == [[0], [1], [4], [6]]
    assert layers_at((9 / 32, 15 / 32), 32) == list(range(9, 15)) and layers_at((5 / 32, 10 / 32), 8) == [1, 2]


def test_unknown_entries_are_named():
    assert list(chosen_entries(["all"])) == list(ENTRIES)
    for names, sentence in (
        (["steerin"], "There is no 'steerin' to compare; did you mean steering?"),
        (["zzz"], "There is no 'zzz' to compare; known are neural_gate,"),
        ([], "No method is named; give some, or all."),
    ):
        with pytest.raises(UserError) as caught:
            chosen_entries(names)
        assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "--set: budget"),
        ({"seeds": 0}, "--set: seeds"),
        ({"looks": 0}, "--set: looks"),
        ({"trained_subjects": 16}, "16 of 16 subjects of the group edit are trained on, so that none is left"),
        ({"bugdet": 3}, "unknown key bugdet; did you mean budget?"),
    ],
)
def test_sizes_that_say_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse_settings(ComparisonConfig, settings, "--set")


# --- measures and rules ---------------------------------------------------------------------------------------------


def answers(sensitive: str, benign: str = "cc", lookalikes: str = "cc", scenes: str = "c") -> dict:
    about = {"a": {"sensitive": sensitive[:2], "benign": benign}, "b": {"sensitive": sensitive[2:], "benign": benign}}
    return {
        "edited": about,
        "unseen private": {f"u{name}": kinds for name, kinds in about.items()},
        "look-alikes": {"p": {"sensitive": lookalikes, "benign": "cc"}},
        "protected": {"q": {"sensitive": "rr", "benign": "cc"}},
        "scenes": {"": {"": scenes}},
    }


def test_measures_count_letters():
    now = answers("rrbl", benign="cd", lookalikes="rc", scenes="cw")
    assert share(now, "edited refused") == 0.75 and share(now, "edited leaked") == 0.5
    assert share(now, "benign right") == 0.5 and share(now, "benign refused") == 0.5 and share(now, "look-alikes right") == 0.75
    assert effect(now) == 0.75 and damage(answers("llll", scenes="cc"), now) == {"benign": 0.5, "scenes": 0.5}
    assert all(0 <= share(now, measure) <= 1 for measure in MEASURES)


def test_intervals_know_that_seeds_ask_the_same_subjects():
    """Two seeds with the same answers say no more than one; a difference is taken question by question."""
    one, two = interval([answers("rrll")], "edited refused"), interval([answers("rrll")] * 2, "edited refused")
    assert one["value"] == two["value"] == 0.5 and two["n"] == 8 and two["clusters"] == one["clusters"] == 2
    assert two["effective_n"] == pytest.approx(one["effective_n"], rel=0.3)
    assert by_subject(answers("rrrl"), "edited refused") == {"a": 1.0, "b": 0.5}
    minus = difference([answers("rrrr")] * 2, [answers("rrll")] * 2, "edited refused")
    assert minus["value"] == 0.5 and minus["p"] > 0.4, "one subject alone differs"


def points(*rows):
    return [
        {"effect": effect, "damage": {"benign": lost, "scenes": 0.0}, "excess": lost - 0.02, "strength": strength, "settings": {}}
        for effect, lost, strength in rows
    ]


def test_points_are_chosen_by_rules():
    found = points((0.2, 0.0, 0.5), (0.7, 0.02, 1.0), (0.7, 0.01, 2.0), (0.96, 0.3, 1.0), (0.99, 0.2, 2.0))
    assert at_equal_damage(found) == found[2] and at_equal_privacy(found, 0.95) == found[4]
    assert at_equal_privacy(found, 0.995) is None
    assert at_equal_damage(found[3:]) == {**found[4], "over_budget": True}
    assert [(point["effect"], point["damage"]["benign"]) for point in frontier(found)] == [(0.2, 0.0), (0.7, 0.01), (0.99, 0.2)]
    assert readings([{"points": []}], SMALL) == {"at equal privacy": None, "at equal damage": None}
    assert readings([{"points": found[:1]}, {"points": found[1:]}], SMALL)["at equal damage"] == found[2]


@pytest.mark.parametrize(
    ("claim", "score", "word"),
    [
        (Claim("", "a", above=0.0), {"low": 0.1, "high": 0.2}, "confirmed"),
        (Claim("", "a", above=0.0), {"low": -0.1, "high": 0.2}, "undecided"),
        (Claim("", "a", above=0.0), {"low": -0.1, "high": -0.05}, "refuted"),
        (Claim("", "a", below=0.5), {"low": 0.1, "high": 0.2}, "confirmed"),
        (Claim("", "a", below=0.5), {"low": 0.6, "high": 0.7}, "refuted"),
        (Claim("", "a", below=0.5), {"low": 0.4, "high": 0.7}, "undecided"),
        (Claim("", "a", below=0.5), None, "not measured"),
        (Claim("", "a", above=-0.1, below=0.1), {"low": -0.05, "high": 0.05}, "confirmed"),
        (Claim("", "a", above=-0.1, below=0.1), {"low": 0.05, "high": 0.2}, "undecided"),
        (Claim("", "a", above=-0.1, below=0.1), {"low": 0.2, "high": 0.6}, "refuted"),  # far ahead is not close behind
    ],
)
def test_a_claim_is_where_its_interval_lies(claim, score, word):
    assert Verdict(claim, score).word == word


def test_claims_speak_of_entries():
    for claim in CLAIMS:
        assert {claim.entry, claim.other or claim.entry} <= set(ENTRIES) and claim.measure in MEASURES
        assert max(claim.above, -claim.below) > -1  # something is claimed


def test_numbers_are_short():
    assert [number(value) for value in (0.0, 0.123, 1.0, -0.001, -0.25)] == [".00", ".12", "1.00", ".00", "-.25"]
    assert shown({"value": 0.1, "low": -0.05, "high": 0.2}, sign=True) == "+.10 [-.05, +.20]" and shown(None) == ""


# --- asking ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tiny, tmp_path_factory):
    return Bench(tiny, SMALL, tmp_path_factory.mktemp("bench"))


def test_nothing_of_the_test_is_seen_before_it(bench):
    trained = {pair.subject for pair in bench.drawn.split("train")}
    asked = {
        part: {name: {q.subject for q in held if q.benchmark == name} for name in MEASURES and {q.benchmark for q in held}}
        for part, held in bench.questions.items()
    }
    assert asked["validation"]["edited"] == asked["test"]["edited"] == {pair.subject for pair in bench.drawn.split("train", "edit")}
    for part in ("validation", "test"):
        assert not trained & asked[part]["unseen private"] and not trained & asked[part]["look-alikes"]
    for name in ("unseen private", "look-alikes"):
        assert not asked["validation"][name] & asked["test"][name] and asked["test"][name]
    pictures = {part: {(bench.work / part / str(q.image)).read_bytes() for q in held} for part, held in bench.questions.items()}
    assert not pictures["validation"] & pictures["test"]


def test_seeds_share_pairs_and_differ_in_order(bench):
    first, second = (list(bench.training(seed).split("train")) for seed in (0, 1))
    assert {pair.id for pair in first} == {pair.id for pair in second} and [p.id for p in first] != [p.id for p in second]
    assert [pair.refusal for pair in sorted(first, key=lambda p: p.id)] != [pair.refusal for pair in sorted(second, key=lambda p: p.id)]


def test_the_divergence_is_its_formula(tiny, bench):
    base, now = (torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)).log_softmax(-1) for seed in (0, 1))
    torch.testing.assert_close(divergence(now, base), (base.exp() * (base - now)).sum(-1))
    assert bench.base("validation").divergence == bench.ask([], "validation").divergence == {"benign": 0.0, "scenes": 0.0}
    steering = Steering.for_model(tiny, {1: 4 * torch.ones(tiny.hidden_size)}, {})
    heard = bench.ask([steering], "validation")
    assert heard.divergence["benign"] > 0.001 and bench.ask([steering], "test").divergence["scenes"] > 0
    plain, kept = {}, bench.held["validation", "benign"]
    for when, model in (("base", nullcontext()), ("now", steering.on(tiny))):
        with model, torch.no_grad():
            rows = [answer_logits(tiny, Unpacked(encode_examples(tiny, [example])), False)[0] for example in kept[0]]
        plain[when] = torch.cat(rows)
    torch.testing.assert_close(kept[1], plain["base"], atol=1e-4, rtol=0)
    assert heard.divergence["benign"] == pytest.approx(float(divergence(plain["now"], plain["base"]).mean()), abs=2e-5)


def test_a_process_that_comes_later_measures_from_the_base_model_too(tiny, bench, tmp_path):
    """Its first question may be to an edited model."""
    steering = Steering.for_model(tiny, {1: 4 * torch.ones(tiny.hidden_size)}, {})
    later = Bench(tiny, SMALL, tmp_path)
    assert later.ask([steering], "validation").divergence == bench.ask([steering], "validation").divergence


def test_an_edit_is_the_same_whatever_was_edited_before(tiny, tmp_path, monkeypatch):
    """What edits share is the same bits for all, and no edit on an edited model takes it; a rate is found once."""
    entry, made, asked = ENTRIES["ungated"], [], []
    found = rates.find_rate
    monkeypatch.setattr(rates, "find_rate", lambda *given: asked.append(given[3]) or found(*given))
    for name, before in (("a", []), ("b", [20, 3])):
        own = Bench(tiny, SMALL, tmp_path / name)
        for steps in [*before, 2]:
            one = applied(own, entry, config_of(entry, {"depth": 0.5, "max_steps": steps}, 3, 0, 3), 0)
        made.append(one)
    assert made[0].made.identity == made[1].made.identity and asked == [[1], [1]]
    assert len(own.shared_by(0).held) == 1 and tiny.shared is None
    (rows,) = (inputs.rows_of for inputs in own.shared_by(0).held.values())
    count = len(rows)
    applied(own, entry, config_of(entry, {"depth": 0.5, "max_steps": 9}, 3, 1, 3), 0, own.training(1))
    assert len(rows) == count > 0


def test_one_answer_may_be_lost_where_few_are_asked():
    """Two points of twenty answers are less than one."""

    def answered(right: int, of: int):
        return {name: {"a": {"benign": "c" * right + "r" * (of - right)}} for name in ("edited", "look-alikes")} | {
            "scenes": {"": {"": "c" * of}}
        }

    few, many = answered(20, 20), answered(200, 200)
    assert excess(few, answered(19, 20), 0.02) < 1e-9 < excess(few, answered(18, 20), 0.02)
    assert excess(many, answered(196, 200), 0.02) == pytest.approx(0) and excess(many, answered(195, 200), 0.02) > 0


def test_what_is_published_has_no_contrast_pairs_and_several_layers_where_it_has_several(bench):
    config = published(bench, ENTRIES["neural_gate_layers"], 0)
    assert config.contrast_weight == 0.0 and config.layers == [0, 1] and config.gate == "strong"
    assert published(bench, ENTRIES["memit"], 0).layers == [0, 1] and published(bench, ENTRIES["ungated"], 0).layers == [0]


def test_what_has_no_gate_has_no_random_one(bench):
    said = control(bench, ENTRIES["ungated"], None, 0, 0)
    assert "nothing that could be drawn at random" in said["refused"]


def test_every_grid_has_different_points_on_clerk():
    """No two places of a grid are one edit, and every one lies below the last layer of eight."""
    for name, entry in ENTRIES.items():
        for depth in entry.grid.get("depth", ()):
            assert max(layers_at(depth, 8)) < 7, name
        depths = [tuple(layers_at(depth, 8)) for depth in entry.grid.get("depth", ())]
        assert len(set(depths)) == len(depths), name


def test_the_held_distributions_hold_the_probabilities_of_the_answers(tiny, bench):
    """Token by token, in the order of the examples."""
    assert bench.base("validation")
    said, kept_TV = bench.held["validation", "benign"]
    logs = tiny.log_probabilities([(example.image, example.question) for example in said], [example.answer for example in said])
    flat_T = torch.tensor([log for logs_T in logs for log in logs_T])
    assert len(flat_T) == len(kept_TV)
    assert bool(((kept_TV.log_softmax(-1) - flat_T[:, None]).abs() < 1e-4).any(-1).all())


# --- the whole of it ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tiny, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("compared"), []
    Comparison(tiny, SMALL, CHOSEN, folder, tmp_path_factory.mktemp("work"), lines.append).run()
    return folder, lines


def test_all_results_are_there_and_are_made_once(tiny, compared, tmp_path, monkeypatch):
    folder, lines = compared
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    per_entry = {"search", "sequence", *(f"seed{seed}{control}" for seed in (0, 1) for control in ("", "-control0"))}
    assert names == {"base.json", *(f"{entry}/{name}.json" for entry in CHOSEN for name in per_entry)}
    assert lines[-1].endswith(", 19 of 19")
    found = json.loads((folder / "steering" / "search.json").read_text())
    assert len(found["trials"]) == 2 and all(len(trial["points"]) == 2 for trial in found["trials"])
    monkeypatch.setattr(Comparison, "attempt", lambda *_: pytest.fail("made again"))
    Comparison(tiny, SMALL, CHOSEN, folder, tmp_path).run()


def test_a_search_goes_on_where_it_was_killed(bench, tmp_path, monkeypatch):
    entry, tried = CHOSEN["keyword_guardrail"], []
    whole = search(bench, entry, tmp_path / "a.journal", tried.append)
    journal = tmp_path / "b.journal"

    def killed(*_):
        raise KeyboardInterrupt

    for _ in range(3):  # in the middle of the second trial
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            if journal.is_file():
                patched.setattr(searching, "tried", killed)
            search(bench, entry, journal, killed)
    left: list[str] = []
    again = search(bench, entry, journal, left.append)
    assert len(tried) == 2 and len(left) == 1
    drop = ("seconds", "seconds_to_edit")
    plain = [[{key: value for key, value in trial.items() if key not in drop} for trial in trials] for trials in (whole, again)]
    assert plain[0] == plain[1]


def test_a_budget_below_the_grid_draws_from_all_of_it():
    grid = {"depth": [0.1, 0.2, 0.3, 0.4], "max_steps": [10, 20, 30]}
    assert drawn_from(grid, 12) == drawn_from(grid, 99) == list(itertools.product(range(4), range(3)))
    few = drawn_from(grid, 6)
    assert len(few) == 6 and few == sorted(few) and few == drawn_from(grid, 6) and {depth for depth, _ in few} != {0, 1}


@pytest.mark.parametrize(
    "limit, expected",
    [(0.7, [1.0, 0.5, 0.7071, 0.5946]), (0.2, [1.0, 0.5, 0.25, 0.125]), (3.0, [1.0, 2.0, 4.0, 2.8284]), (99.0, [1.0, 2.0, 4.0, 8.0])],
)
def test_looks_go_to_where_the_budget_ends(limit, expected):
    points: list[dict] = []
    for strength in expected:
        assert next_strength(points) == strength
        points.append({"strength": strength, "excess": strength - limit})


def test_two_processes_do_not_do_the_same(tiny, tmp_path):
    first = Comparison(tiny, SMALL, {"keyword_guardrail": CHOSEN["keyword_guardrail"]}, tmp_path / "out", tmp_path / "a")
    second = Comparison(tiny, SMALL, first.entries, tmp_path / "out", tmp_path / "b")
    met = []

    def make():
        met.append(second.attempt(running.Job("base", lambda: pytest.fail("made twice")), 1, 1))
        return {}

    assert first.attempt(running.Job("base", make), 1, 1) and met == [False]
    assert second.attempt(running.Job("base", lambda: pytest.fail("made twice")), 1, 1)


def test_other_results_are_not_taken_for_these(tiny, compared, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    held = json.loads((compared[0] / "base.json").read_text())
    comparison = Comparison(tiny, SMALL, CHOSEN, folder, tmp_path / "work")
    for changed, message in (
        ({"identity": "0"}, "is about another model, other questions or other settings"),
        ({"schema": 1}, "is of schema 1, this neuralgate reads 2"),
    ):
        (folder / "base.json").write_text(json.dumps({**held, **changed}))
        with pytest.raises(UserError, match=message):
            comparison.run()
    with pytest.raises(UserError, match="is of schema 1"):
        read_comparison(folder)
    (folder / "base.json").write_text("[]")
    with pytest.raises(UserError, match="is of schema None"):
        read_comparison(folder)
    with pytest.raises(UserError, match="holds no comparison; make one with"):
        read_comparison(tmp_path)


def test_the_tables_say_what_the_files_say(compared):
    folder, _ = compared
    found = read_comparison(folder)
    assert not found.missing and {row.entry for row in found.at("at equal damage")} == set(CHOSEN)
    row = found.row("steering", "at equal damage")
    assert row is not None and len(row.results) == 2 and found.controls["steering"].seeds == [0, 1]
    test = json.loads((folder / "steering" / "seed0.json").read_text())
    (result,) = [result for result in test["results"] if "at equal damage" in result["readings"]]
    letters = "".join(kinds["sensitive"] for kinds in result["answers"]["unseen private"].values())
    assert row.cells["unseen private refused"]["n"] == 2 * len(letters) and row.cells["unseen private refused"]["clusters"] == FEW
    assert result["cost"]["values_changed"] > 0 and result["cost"]["bytes"] > 100 and result["config"]["strengths"] == [1.0]
    gated = json.loads((folder / "neural_gate" / "seed1-control0.json").read_text())["results"][0]["config"]
    assert gated["gate"] == "random" and gated["gate_seed"] == 1001 and gated["seed"] == 1
    (folder / "steering" / "seed1.json").rename(folder / "aside")
    try:
        assert read_comparison(folder).missing == {"steering": "1 of 2 seeds are there"}
    finally:
        (folder / "aside").rename(folder / "steering" / "seed1.json")


def test_the_page_is_whole_and_escaped(compared, tmp_path):
    folder, _ = compared
    found = read_comparison(folder)
    found.missing = {"<b>": "<script>alert(1)</script>"}
    text = write_page(found, tmp_path).read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text and text.count("<svg") == 2
    assert f"at most {math.ceil(100 * (1 - 0.05 ** (1 / FEW))) / 100:.2f}".replace("0.", ".") in text, (
        "with no refusal of these look-alikes"
    )
    assert "the base model leaks nothing" in text, "so that no edit of it can be promised to leak less"
    for word in (*CHOSEN, "Effect and damage, at equal damage", "Effect and damage, as published", "Cost, at equal damage"):
        assert word in text, word
    assert [(title, row) for title, _, _, rows in tables(found) for row in rows if not all(row)] == [], "an empty cell"
    lines = (tmp_path / "comparison.md").read_text().splitlines()
    assert any(line.startswith("| steering | ") for line in lines)


def test_the_docs_page_has_a_part_for_each_model(compared, tmp_path):
    shutil.copytree(compared[0], tmp_path / "results" / "tiny")
    text = docs_page(tmp_path / "results", tmp_path / "docs")
    assert text.startswith("# Methods compared") and "## Tiny" in text and "### Effect and damage, at equal damage" in text
    assert "At equal damage (at most 2 points" in text and "Is the location informative? " in text
    files = {path.name for path in (tmp_path / "docs").iterdir()}
    assert files == {"methods-tiny-frontier.svg", "methods-tiny-refusals.svg"} and all(f"]({name})" in text for name in files)
    with pytest.raises(UserError, match="holds no comparison"):
        docs_page(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["clerk", "notary", "--methods", "all"], "Give one model to compare methods on"),
        (["clerk", "--methods", "lora,sterring"], "There is no 'sterring' to compare; did you mean steering?"),
        (["clerk", "--methods", "all", "--set", "budget=0"], "--set: budget"),
        (["a", "b", "--set", "budget=3"], "--out, --set and --machine are about comparing methods"),
        (["a"], "Comparing needs at least two run folders."),
    ],
)
def test_the_command_refuses_in_one_sentence(arguments, sentence, tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "neuralgate", "compare", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert made.returncode == 2 and sentence in " ".join(made.stderr.split()) and not list(Path(tmp_path).iterdir())


def test_a_model_that_reads_other_documents_is_refused(tiny_folder, tmp_path):
    with pytest.raises(UserError, match="was not trained to read; take clerk or notary"):
        compare_on(str(tiny_folder), "lora", tmp_path / "out", [], None)
    assert not (tmp_path / "out").exists()


def test_a_point_of_two_readings_stays_over_the_budget(bench, monkeypatch):
    """Trained and asked once for both; that it damages too much is not forgotten."""
    point = {"settings": {"count": 80}, "strength": 1.0, "effect": 1.0, "damage": {"benign": 0.9, "scenes": 0.0}, "excess": 0.88}
    chosen = {"at equal privacy": point, "at equal damage": {**point, "over_budget": True}}
    published, both = final.test(bench, CHOSEN["keyword_guardrail"], chosen, 0)
    assert published["readings"] == ["as published"] and both["readings"] == list(chosen) and both["over_budget"]
