"""Tables of a comparison that is written by hand: what is decided, marked and named, whatever the models do."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from neuralgate.comparison import together as togethers
from neuralgate.comparison.article import ARTICLE, article_header, article_rows
from neuralgate.comparison.bench import Heard
from neuralgate.comparison.claims import claim_rows
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.control_table import Against, against_controls, control_rows, informative
from neuralgate.comparison.entries import ENTRIES
from neuralgate.comparison.figures import SHOWN, figures, frontier
from neuralgate.comparison.measures import difference, share
from neuralgate.comparison.more_tables import AGAINST_HEADER, DONE_HEADER, against_edit_rows, done_rows
from neuralgate.comparison.page import lacking, markdown, notes, tables
from neuralgate.comparison.results import EDIT, GUARDS, SCHEMA
from neuralgate.comparison.tables import COST_HEADER, HEADER, MAIN, cost_rows, read_comparison, shown, table_rows, two_digits
from neuralgate.files import write_json

UNITS = 8  # subjects of each set
CONFIG = ComparisonConfig(model="tiny", seeds=2, controls=1)


def answers(sensitive="ll", benign="cc", lookalikes="cc", scenes="cccc", edited=None, edited_benign="cc"):
    """Every subject of a set is answered alike."""
    sets = {
        "edited": {"sensitive": edited or sensitive, "benign": edited_benign},
        "unseen private": {"sensitive": sensitive, "benign": benign},
        "look-alikes": {"sensitive": lookalikes, "benign": "cc"},
        "protected": {"sensitive": "rr", "benign": "cc"},
    }
    return {name: {f"{name} {number}": kinds for number in range(UNITS)} for name, kinds in sets.items()} | {"scenes": {"": {"": scenes}}}


def point(effect=0.9, lost=0.0, strength=1.0):
    return {
        "settings": {"depth": 0.3},
        "strength": strength,
        "effect": effect,
        "damage": {"benign": lost, "scenes": 0.0},
        "excess": lost - 0.02,
    }


def result(given, *readings, at=None, over=False, **changes):
    """One of a test's results, at the point ``at``; as published without one."""
    made = {
        "readings": list(readings),
        "answers": given,
        "by_prefix": answers(),
        "layers": [2, 3],
        "divergence": {"benign": 0.25, "scenes": 0.125},
        "cost": {
            "seconds_beforehand": 0.4,
            "seconds_to_edit": 123.4,
            "peak_memory_mb": 1000.0,
            "values_changed": 1234567,
            "bytes": 2048,
            "seconds_to_answer": 1.36,
        },
        "gradient_share": {},
        "note": "",
        **changes,
    }
    return made | ({"point": {"settings": at["settings"], "strength": at["strength"]}, "over_budget": over} if at else {})


@pytest.fixture
def write(tmp_path):
    """Writes an entry's files: the answers of its point at equal damage and of its control, and what differs by seed."""
    about = {"schema": SCHEMA, "model": "tiny", "identity": "0", "config": CONFIG.model_dump(mode="json")}
    write_json(tmp_path / "base.json", {**about, "answers": answers(), "by_prefix": answers(edited="rl", edited_benign="rr")})

    def entry(name, given=None, control=None, points=(), at=None, over=(False, False), private=None, **changes):
        given, at = given or answers("rr"), at or point()
        write_json(tmp_path / name / "search.json", {**about, "trials": [{"points": list(points) or [at]}]})
        for seed in (0, 1):
            results = [result(given, "as published", **changes), result(given, "at equal damage", at=at, over=over[seed], **changes)]
            results += [result(given, "at equal privacy", at=private, **changes)] if private else []
            write_json(tmp_path / name / f"seed{seed}.json", {**about, "seed": seed, "results": results})
            drawn = result(control, "control") if control else {"readings": ["control"], "refused": "Nothing to draw."}
            write_json(tmp_path / name / f"seed{seed}-control0.json", {**about, "seed": seed, "draw": 0, "results": [drawn]})

    entry.folder = tmp_path
    return entry


def by_name(rows):
    return {row[0]: row for row in rows}


# --- the budget -----------------------------------------------------------------------------------------------------


def test_a_point_beyond_the_budget_decides_no_claim_at_equal_damage(write):
    """One seed is enough."""
    write("neural_gate", answers("rr"), over=(False, True))
    write("dinm", answers("ll"))
    write("ungated", answers("ll"))
    write("memit", answers("ll", edited="ll"), at=point(lost=0.5), over=(True, True))
    write("memflex", answers("rr", benign="rr", edited_benign="rr"), over=(True, True))
    found = read_comparison(write.folder)
    words = {(made[3].split(",")[0], made[1]) for made in claim_rows(found)}
    beyond = "undecided: no point within the budget"
    assert {("neural_gate - ungated", f"{beyond} (neural_gate)"), ("dinm - neural_gate", f"{beyond} (neural_gate)")} <= words
    assert ("memit", f"{beyond} (memit)") in words and ("memflex", "confirmed") in words, "as published no budget was asked for"
    assert ("keyword_guardrail", "not measured") in words
    write("neural_gate", answers("rr"))
    assert ("neural_gate - ungated", "confirmed") in {
        (made[3].split(",")[0], made[1]) for made in claim_rows(read_comparison(write.folder))
    }


def test_every_reading_says_whether_it_is_over_the_budget(write):
    """Stored marks are of the choice at equal damage; a point that was chosen for its privacy is looked up in the search."""
    hard, mild = point(0.99, lost=0.4, strength=2.0), point(0.5)
    write("dinm", at=mild, points=[mild, hard], private=hard)
    write("lora", at=mild, points=[mild], private=mild)
    found = read_comparison(write.folder)
    cells = {(row.entry, row.reading): by_name(table_rows(found, row.reading))[row.entry][1] for row in found.rows}
    assert cells["dinm", "at equal privacy"] == "yes" and cells["dinm", "at equal damage"] == "no"
    assert cells["lora", "at equal privacy"] == "no" and cells["lora", "as published"] == "not asked"


def test_a_budget_that_is_not_kept_in_the_test_is_told(write):
    """Dinm refuses every look-alike of the test; memflex is beyond the budget from the start."""
    write("neural_gate", answers("rr"))
    write("dinm", answers("rr", lookalikes="rr"))
    write("memflex", answers("rr", lookalikes="rr"), over=(True, True))
    assert "Of 2 methods within this budget 1 lose more than it on the test's look-alikes" in notes(read_comparison(write.folder))[0]


def test_guards_alone_are_held_to_the_budget(monkeypatch):
    """Each combination by what it loses on validation questions, the edit's strength chosen so that the whole loses little."""
    monkeypatch.setattr(togethers, "config_at", lambda *_: None)
    monkeypatch.setattr(togethers, "applied", lambda bench, name, *_: SimpleNamespace(made=Part(name)))

    class Part:
        def __init__(self, name, strength=1.0):
            self.name, self.strength = name, strength

        def at(self, strength):
            return Part(self.name, strength)

    def ask(parts, part, fresh=False):
        wrong = any(one.name == "system_prompt" or (one.name == EDIT and one.strength > 1) for one in parts)
        asked.append((part, tuple(one.name for one in parts)))
        return Heard(answers("rr", benign="ww" if wrong else "cc"), {}, {}, 1.0)

    asked = []
    bench = SimpleNamespace(config=CONFIG, ask=ask, questions={"test": [None] * 4}, base=lambda _: Heard(answers(), {}, {}, 1.0))
    names = (EDIT, *GUARDS)
    made = togethers.together(bench, {name: name for name in names}, {name: point() for name in names}, 0)
    marked = {tuple(one["names"]): one["over_budget"] for one in made["results"]}
    assert len(marked) == 16 and all(over == ("system_prompt" in combination) for combination, over in marked.items())
    assert asked.count(("validation", ("system_prompt",))) == 1, "guards have one strength"
    assert {one["strength"] for one in made["results"] if EDIT in one["names"]} <= {0.5, 1.0}


# --- private enough, or not -----------------------------------------------------------------------------------------


def test_a_method_that_is_never_private_enough_has_a_row_that_says_so(write):
    write("dinm", private=point())
    write("lora", points=[point(0.25), point(0.625)])
    write("steering", points=[point(0.1)])
    found = read_comparison(write.folder)
    rows = by_name(table_rows(found, "at equal privacy"))
    assert set(rows) == {"base model", "dinm", "lora", "steering"} and "no setting reached it: .62 refused at most" in rows["lora"][2]
    assert set(by_name(table_rows(found, "at equal damage"))) == set(rows) and not any("lora, at" in name for name in found.missing)
    assert "lora" in by_name(article_rows(found, "at equal privacy", "edited"))


def test_no_cell_is_empty(write):
    """Nor is any row too short, where nothing is private enough either."""
    write("dinm", control=answers())
    write("image_redaction", at={**point(), "settings": {}}, divergence={"benign": None, "scenes": None}, layers=[])
    found = read_comparison(write.folder)
    made = tables(found)
    assert "Effect and damage, at equal privacy" in [title for title, *_ in made]
    for title, _, header, rows in made:
        assert rows, title
        for row in rows:
            assert all(row) and len(row) == len(header), (title, row)
    assert "| image_redaction | x 1 | - | 0.40 |" in markdown(found)


def test_every_method_is_held_against_the_gate(write):
    write("dinm", answers("rr", lookalikes="rr"), over=(True, True))
    write("lora", answers("rl"))
    assert not against_edit_rows(read_comparison(write.folder), "at equal damage")
    write("neural_gate", answers("rl"))
    found = read_comparison(write.folder)
    rows = by_name(against_edit_rows(found, "at equal damage"))
    assert set(rows) == {"dinm", "lora"} and all(len(row) == len(AGAINST_HEADER) for row in rows.values())
    own, ours = (found.answers[entry, "at equal damage"] for entry in ("dinm", "neural_gate"))
    assert rows["dinm"][1:3] == ["yes", shown(difference(own, ours, MAIN), sign=True)] and rows["dinm"][2].startswith("+.50")
    assert rows["dinm"][4].startswith("+1.00") and rows["lora"][2].startswith(".00") and rows["lora"][-1] == "1.000"
    assert any(title == "Against neural_gate, at equal damage" for title, *_ in tables(found))


def test_a_lone_point_is_seen_among_the_frontiers(write):
    """Also where it is not among those in colour."""
    for place, name in enumerate(itertools.islice(ENTRIES, SHOWN + 2)):
        write(name, points=[point(effect=place / 10)])
    axes = Figure().add_subplot()
    frontier(read_comparison(write.folder))(axes)
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1]  # the budget's has two
    assert len(lines) == SHOWN + 2 and all(line.get_marker() not in ("", "None") for line in lines)


def test_our_edit_and_what_does_most_within_the_budget_are_in_colour(write):
    for place, name in enumerate(itertools.islice(ENTRIES, SHOWN + 3)):  # the first is the edit
        write(name, points=[point(effect=place / 10), point(effect=1.0, lost=0.5 - place / 50)])
    axes = Figure().add_subplot()
    frontier(read_comparison(write.folder))(axes)
    names = list(ENTRIES)
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [name for name in told if name in ENTRIES] == [names[0], *names[SHOWN + 2 : 3 : -1]]


# --- controls -------------------------------------------------------------------------------------------------------


def minus(value=0.0, low=-0.02, high=0.02, p=1.0):
    return {"value": value, "low": low, "high": high, "p": p, "p_holm": p}


MORE, LESS, WIDE = minus(0.3, 0.2, 0.4, 0.01), minus(-0.3, -0.4, -0.2, 0.01), minus(0.2, -0.1, 0.4, 0.3)


@pytest.mark.parametrize(
    ("refused", "leaked", "lookalikes", "benign", "word"),
    [
        (MORE, minus(), minus(), minus(), "more than random"),
        (minus(), LESS, minus(), minus(), "more than random"),
        (MORE, LESS, MORE, minus(), "more, at more damage"),
        (minus(), LESS, minus(), LESS, "more, at more damage"),
        (MORE, minus(), LESS, MORE, "more than random"),
        (LESS, minus(), LESS, minus(), "less than random"),
        (minus(), MORE, minus(), minus(), "less than random"),
        (MORE, MORE, minus(), minus(), "undecided"),
        (minus(), minus(), MORE, minus(), "as random"),
        (minus(), WIDE, minus(), minus(), "undecided"),
        (WIDE, minus(), minus(), minus(), "undecided"),
    ],
)
def test_the_control_is_put_into_words(refused, leaked, lookalikes, benign, word):
    measures = ("unseen private refused", "unseen private leaked", "look-alikes refused", "benign right")
    assert Against(None, dict(zip(measures, (refused, leaked, lookalikes, benign), strict=True))).word == word


def test_refusing_more_is_not_more_where_look_alikes_are_refused_too(write):
    """What a random place does not do at no damage, and what it does with it; a control that is no place stands apart."""
    write("neural_gate", answers("rr"), control=answers())
    write("dinm", answers("rr", lookalikes="rr"), control=answers())
    write("fine_tune", answers("ww"), control=answers())
    write("memflex", answers(), control=answers("rr"))
    write("lora", answers("rr"), control=answers())
    write("sku")
    found = read_comparison(write.folder)
    rows = by_name(control_rows(found))
    assert {name: row[3] for name, row in rows.items()} == {
        "neural_gate": "more than random",
        "dinm": "more, at more damage",
        "fine_tune": "more than random",
        "memflex": "less than random",
        "lora": "more than random",
    }
    assert rows["neural_gate"][2] == "dimensions" and rows["neural_gate"][4] == "2" and rows["lora"][2] == "no place"
    assert list(rows)[-1] == "lora" and " vs .00 [.00" in rows["neural_gate"][5] and rows["fine_tune"][10].startswith("-1.00 ")
    one = against_controls(found)["fine_tune"].minus
    assert one["unseen private leaked"]["p_holm"] == pytest.approx(5 * 2 / 2**UNITS, abs=1e-4), "over five methods, of leaks alone"
    said = informative(found)
    assert said.index("Is the location informative?") < said.index("dinm (layer)") < said.index("Beside controls that are no place")
    assert "more, at more damage: dinm (layer)" in said and said.endswith("more than random: lora.") and said in notes(found)[0]
    assert found.missing["sku, random control"] == "Nothing to draw."


def test_draws_that_are_not_there_are_named(write):
    write("dinm", control=answers())
    (write.folder / "dinm" / "seed1-control0.json").unlink()
    found = read_comparison(write.folder)
    assert found.missing["dinm, random control"] == "1 of 2 draws are there" and control_rows(found)[0][4] == "1"


def test_what_lacks_for_one_reason_is_one_sentence(write):
    found = read_comparison(write.folder)
    found.missing = {"a": "It cannot.", "b": "none is there", "c": "It cannot."}
    assert lacking(found) == ["Not in the tables: a; c (It cannot).", "Not in the tables: b (none is there)."]


# --- the article's shape --------------------------------------------------------------------------------------------


def test_eta_is_of_one_set_of_subjects(write):
    """Benign questions about edited subjects are none of unseen ones'."""
    write("neural_gate", answers("rr", benign="cr", edited="rl", edited_benign="cc"))
    write("ungated_layers")
    found = read_comparison(write.folder)
    assert share(found.answers["neural_gate", "at equal damage"][0], "unseen private, benign refused") == 0.5
    cells = {}
    for name in ("unseen private", "edited"):
        first, *rows = article_rows(found, "at equal damage", name)
        header = article_header(name)
        assert first[0] == "base model" and len(first) == len(header)
        cells[name] = {row[0]: dict(zip(header, row, strict=True)) for row in (first, *rows)}
    unseen, edited = (cells[name]["neural_gate"] for name in cells)
    assert unseen["EtA"] == ".75" and unseen["sensitive refused"].startswith("1.00 ") and unseen["benign refused"].startswith(".50 ")
    assert edited["EtA"] == ".75" and edited["sensitive refused"].startswith(".50 ") and edited["benign refused"].startswith(".00 ")
    assert unseen["scenes right"].startswith("1.00 ") and edited["EtA, its judge"] == ".50"
    base = cells["edited"]["base model"]
    assert base["EtA"] == ".50" and base["EtA, its judge"] == ".25" and base["benign refused, its judge"].startswith("1.00 ")
    assert edited["the article's EtA on PrivacyPair-test: LLaVA, MiniGPT-4"] == ".96, .94"
    assert unseen["the article's RtA on MLLMGuard: LLaVA, MiniGPT-4"] == ".75, .84"
    assert cells["unseen private"]["ungated_layers"]["the article's RtA on MLLMGuard: LLaVA, MiniGPT-4"] == ".76, .91"
    assert set(ARTICLE) - {"base model", "ungated_layers"} <= set(ENTRIES)


def test_both_kinds_of_refusals_are_drawn(write):
    write("neural_gate", answers("rr", edited="rl", edited_benign="cr"))
    drawn = {figure.name: figure.svg for figure in figures(read_comparison(write.folder))}
    assert set(drawn) == {"frontier", "refusals"} and all(word in drawn["refusals"] for word in ("neural_gate", "base model", "benign"))


# --- damage, costs, what was done -----------------------------------------------------------------------------------


def test_divergence_on_test_questions_stands_beside_damage(write):
    write("neural_gate")
    write("output_filter", divergence={"benign": None, "scenes": None})
    rows = {
        name: dict(zip(HEADER, row, strict=True))
        for name, row in by_name(table_rows(read_comparison(write.folder), "as published")).items()
    }
    columns = ("divergence, benign", "divergence, scenes")
    assert [[rows[name][column] for column in columns] for name in ("base model", "neural_gate", "output_filter")] == [
        ["0.000", "0.000"],
        ["0.250", "0.125"],
        ["-", "-"],
    ]


def test_costs_are_told_to_two_digits(write):
    write("neural_gate")
    (row,) = cost_rows(read_comparison(write.folder), "at equal damage")
    cells = dict(zip(COST_HEADER, row, strict=True))
    assert cells["settings"] == "depth 0.3 x 1" and cells["layers"] == "2, 3"
    assert (cells["seconds beforehand"], cells["seconds to edit"]) == ("0.40", "120")
    asked = 4 * UNITS * 4 + 4
    assert cells["milliseconds an answer"] == f"{1360 / asked:.0f}" and cells["values changed"] == "1,234,567"
    assert [two_digits(value) for value in (0.0, 0.034, 1.0, 9.96, 1234.0)] == ["0", "0.034", "1.0", "10", "1,200"]


def test_what_the_edits_did(write):
    """Positions of what was trained, notes of what was solved; what did neither has no row."""
    write("neural_gate", gradient_share={"subject": 0.05, "question": 0.2, "image": 0.25, "answer": 0.5})
    write("memit", note="The keys have a cosine of 0.99.")
    write("image_redaction")
    rows = {row[0]: dict(zip(DONE_HEADER, row, strict=True)) for row in done_rows(read_comparison(write.folder), "at equal damage")}
    assert set(rows) == {"neural_gate", "memit"} and rows["memit"]["note"] == "The keys have a cosine of 0.99."
    assert rows["neural_gate"]["gradient, subject"] == ".05" and rows["neural_gate"]["gradient, answer"] == ".50"
    assert rows["neural_gate"]["note"] == rows["memit"]["gradient, subject"] == "-"


def test_the_readings_are_explained(write):
    write("neural_gate", over=(True, True))
    told = " ".join(notes(read_comparison(write.folder)))
    for words in (
        "at most 2 points, or one answer where that is more (where fewer than 50 questions are asked)",
        "without contrast pairs, at .3 of the depth where the method leaves its layer open",
        "no method has a point.",
    ):
        assert words in told, words
