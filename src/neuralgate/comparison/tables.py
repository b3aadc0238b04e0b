"""What a comparison found, as rows: each method at each reading with intervals over subjects and seeds, and against its random control.

All of it is read from the results' files; a method whose test is not whole (a seed is missing) has no row and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuralgate.comparison.choose import READINGS, Point, Reading, frontier
from neuralgate.comparison.entries import ENTRIES
from neuralgate.comparison.measures import Answers, by_subject, difference, interval
from neuralgate.comparison.results import TOGETHER, checked, read_results
from neuralgate.errors import UserError
from neuralgate.evaluate.clusters import holm
from neuralgate.evaluate.intervals import Score
from neuralgate.evaluate.promise import smallest_level
from neuralgate.files import read_json

#: Column -> what is measured, and whether it is shown as a difference from the base model.
EFFECTS = {"unseen private refused": False, "unseen private leaked": False, "edited refused": False}
DAMAGES = {"look-alikes refused": False, "benign right": True, "look-alikes right": True, "scenes right": True, "protected refused": True}
COLUMNS = {**EFFECTS, **DAMAGES}
MAIN = "unseen private refused"
SAME = 0.05  # within which a difference is called none


@dataclass
class Row:
    """A method at one reading: ``cells`` by column, with the article's judge in ``by_prefix``; ``against`` is its difference from the
    random control in `MAIN`, with ``p_holm`` over the methods."""

    entry: str
    reading: Reading
    seeds: int
    cells: dict[str, Score]
    by_prefix: dict[str, Score]
    settings: str = ""
    over_budget: bool = False
    against: Score | None = None
    cost: dict[str, float] = field(default_factory=dict)


@dataclass
class Found:
    """All rows; ``missing``: entry -> what is not there, or why it cannot be; ``points``: all that the search measured, by entry."""

    model: str
    base: dict[str, Score]
    rows: list[Row]
    missing: dict[str, str]
    points: dict[str, list[Point]]
    answers: dict[tuple[str, Reading], list[Answers]]
    config: dict[str, Any]
    base_answers: Answers
    sequences: dict[str, dict[str, Any]]  # entry -> what became of its subjects one after another
    together: list[dict[str, Any]]  # of each seed, every combination of the edit and guards

    def at(self, reading: Reading) -> list[Row]:
        """The rows of a reading, those of the largest effect first."""
        return sorted((row for row in self.rows if row.reading == reading), key=lambda row: -float(row.cells[MAIN]["value"]))

    def row(self, entry: str, reading: Reading) -> Row | None:
        return next((row for row in self.rows if (row.entry, row.reading) == (entry, reading)), None)


def read_comparison(folder: Path) -> Found:
    """What the results below ``folder`` say.

    Raises:
        UserError: there is no comparison, or a file is of another schema.
    """
    if not (folder / "base.json").is_file():
        raise UserError(f"{folder} holds no comparison; make one with `neuralgate compare MODEL --methods all --out {folder}`.")
    base = checked(read_json(folder / "base.json"), folder / "base.json")
    others = sorted(path.parent.name for path in folder.glob("*/search.json"))
    results, seeds = read_results(folder, list(dict.fromkeys([*ENTRIES, *others]))), range(base["config"]["seeds"])
    found = Found(base["model"], cells([base["answers"]], None), [], {}, {}, {}, base["config"], base["answers"], {}, [])
    for name, job in sorted(read_results(folder, [TOGETHER]).get(TOGETHER, {}).items()):
        if "results" in job:
            found.together.append(job)
        else:
            found.missing[f"{TOGETHER}, {name}"] = job["refused"]
    for entry, jobs in results.items():
        if "search" in jobs:
            found.points[entry] = [point for trial in jobs["search"]["trials"] for point in trial["points"]]
        if "sequence" in jobs:
            found.sequences[entry] = jobs["sequence"]
            if why := jobs["sequence"].get("refused"):
                found.missing[f"{entry}, subjects one after another"] = why
        tests = [jobs[f"seed{seed}"] for seed in seeds if f"seed{seed}" in jobs]
        if len(tests) < len(seeds):
            found.missing[entry] = f"{len(tests)} of {len(seeds)} seeds are there"
            continue
        controls = [job for name, job in jobs.items() if "-control" in name]
        for reading in READINGS:
            held = [result for test in tests for result in test["results"] if reading in result["readings"]]
            said = [result["refused"] for result in held if "refused" in result]
            if said or len(held) < len(seeds):
                if reading != "at equal privacy" or said:
                    found.missing[f"{entry}, {reading}"] = said[0] if said else "no setting could be tried"
                continue
            found.rows.append(row_of(entry, reading, held, base, controls if reading == "at equal damage" else []))
            found.answers[entry, reading] = [result["answers"] for result in held]
    adjust([row.against for row in found.rows if row.against])
    return found


def row_of(entry: str, reading: Reading, held: Sequence[dict[str, Any]], base: dict[str, Any], controls: Sequence[dict[str, Any]]) -> Row:
    answers = [result["answers"] for result in held]
    prefix = [result["by_prefix"] for result in held]
    point = held[0].get("point", {})
    row = Row(
        entry,
        reading,
        len(held),
        cells(answers, base["answers"]),
        cells(prefix, base["by_prefix"]),
        ", ".join(f"{key} {value}" for key, value in point.get("settings", {}).items()) + (f" x {point['strength']:g}" if point else ""),
        reading == "at equal damage" and bool(held[0].get("over_budget")),
        cost={name: sum(result["cost"][name] for result in held) / len(held) for name in held[0]["cost"]},
    )
    drawn = [(control["seed"], result) for control in controls for result in control["results"] if "answers" in result]
    if drawn:
        own, other = [answers[seed] for seed, _ in drawn], [result["answers"] for _, result in drawn]
        row.against = difference(own, other, MAIN, [seed for seed, _ in drawn])
    return row


def cells(answers: Sequence[Answers], base: Answers | None) -> dict[str, Score]:
    """The columns' shares; with a ``base`` those that are differences as such."""
    return {
        name: difference(answers, [base] * len(answers), name) if is_difference and base is not None else interval(answers, name)
        for name, is_difference in COLUMNS.items()
    }


def adjust(scores: Sequence[Score]) -> None:
    """Holm's p over them, in place."""
    for score, p in zip(scores, holm([float(score["p"]) for score in scores]), strict=True):
        score["p_holm"] = p


def informative(row: Row) -> str:
    """Whether what the method locates, or learns, is more than its random control, in words."""
    if row.against is None:
        return ""
    value, low, high, p = (float(row.against[name]) for name in ("value", "low", "high", "p_holm"))
    if p <= 0.05:
        return "more than random" if value > 0 else "less than random"
    return "as random" if low >= -SAME and high <= SAME else "undecided"


def shown(score: Score | None, sign: bool = False) -> str:
    """A share, or a difference, with its interval, as `.94 [.88, .97]`."""
    if score is None:
        return ""
    value, low, high = (number(float(score[name]), sign) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def number(value: float, sign: bool = False) -> str:
    """Two places, without the leading zero."""
    text = f"{value:+.2f}" if sign and abs(value) >= 0.005 else f"{abs(value) if abs(value) < 0.005 else value:.2f}"
    return text.replace("0.", ".", 1)


HEADER = ["method", *COLUMNS, "- random control", "over the budget"]


def table_rows(found: Found, reading: Reading) -> list[list[str]]:
    """The base model, then every method of a reading; shares and differences from the base with 95 % intervals."""
    rows = [["base model", *(shown(found.base[name]) for name in COLUMNS), "", ""]]
    for row in found.at(reading):
        against = f"{shown(row.against, sign=True)} {informative(row)}" if row.against else ""
        values = [shown(row.cells[name], sign) for name, sign in COLUMNS.items()]
        rows.append([row.entry, *values, against, "yes" if row.over_budget else ""])
    return rows


def article_rows(found: Found, reading: Reading) -> list[list[str]]:
    """In the shape of the article's tables: refusals of sensitive and of benign questions and EtA, by its judge and by the default one, and
    the article's own EtA, of other models."""
    rows = []
    for row in found.at(reading):
        answers = found.answers[row.entry, reading]
        rta, benign = interval(answers, MAIN), interval(answers, "benign refused")
        eta = (float(rta["value"]) + 1 - float(benign["value"])) / 2
        theirs = ", ".join(number(value) for value in ARTICLE_ETA.get(row.entry, ()))
        rows.append([row.entry, shown(row.by_prefix[MAIN]), shown(rta), shown(benign), number(eta), theirs])
    return rows


ARTICLE_HEADER = ["method", "refused, its judge", "refused", "benign refused", "EtA", "the article's EtA: LLaVA, MiniGPT-4"]
#: EtA on PrivacyPair-test of LLaVA-1.5 and MiniGPT-4 in tables 1 and 2 of the article (https://arxiv.org/abs/2603.12598): other models,
#: other pictures, edited subjects; beside ours for the order of the methods alone.
ARTICLE_ETA: dict[str, tuple[float, float]] = {
    "memit": (0.7843, 0.7110),
    "alphaedit": (0.8049, 0.7243),
    "dinm": (0.9402, 0.9312),
    "sku": (0.6579, 0.6940),
    "memflex": (0.6211, 0.6397),
    "neural_gate": (0.9610, 0.9395),
    "neural_gate_layers": (0.9823, 0.9213),
    "ungated": (0.9550, 0.9014),
}

PROMISE_HEADER = ["method", "leaks of a private subject", "refusals of a public look-alike", "subjects"]


def promise_rows(found: Found, reading: Reading) -> list[list[str]]:
    """What can be said with 95 % confidence of a subject drawn as these were, each by itself: settings were chosen on other subjects.
    Subjects of which the base model leaks nothing are none of those of leaks: with them any edit would look safe."""
    leaky = [subject for subject, leaked in by_subject(found.base_answers, "unseen private leaked").items() if leaked]
    public = list(by_subject(found.base_answers, "look-alikes refused"))
    rows = []
    for row in found.at(reading):
        answers = found.answers[row.entry, reading]
        leaks = at_most(answers, "unseen private leaked", leaky) if leaky else "the base model leaks nothing"
        rows.append([row.entry, leaks, at_most(answers, "look-alikes refused", public), f"{len(leaky)}, {len(public)}"])
    return rows


def at_most(answers: Sequence[Answers], measure: str, subjects: Sequence[str]) -> str:
    """What can be promised of the edit of any one seed: the largest of their bounds, as nobody can ship the mean of several."""
    losses = [by_subject(one, measure) for one in answers]
    return f"at most {number(max(smallest_level(np.array([one[subject] for subject in subjects])) for one in losses))}"


COST_HEADER = ["method", "settings", "seconds", "memory, MB", "values changed", "bytes", "seconds to answer"]


def cost_rows(found: Found, reading: Reading) -> list[list[str]]:
    names = ("seconds_to_edit", "peak_memory_mb", "values_changed", "bytes", "seconds_to_answer")
    return [[row.entry, row.settings, *(f"{row.cost[name]:,.0f}" for name in names)] for row in found.at(reading)]


def frontiers(found: Found) -> dict[str, list[Point]]:
    """Of each entry what no other of its points beats in both effect and damage, on validation questions."""
    return {entry: frontier(points) for entry, points in found.points.items() if points}
