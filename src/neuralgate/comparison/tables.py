"""What a comparison found, as rows: each method at each reading with intervals over subjects and seeds, and what it cost.

All of it is read from the results' files; a method whose test is not whole (a seed is missing) has no row and is named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuralgate.comparison.choose import READINGS, Point, Reading, frontier, is_within
from neuralgate.comparison.entries import ENTRIES
from neuralgate.comparison.measures import Answers, by_subject, difference, interval
from neuralgate.comparison.results import TOGETHER, checked, read_results
from neuralgate.errors import UserError
from neuralgate.evaluate.intervals import Score
from neuralgate.evaluate.promise import smallest_level
from neuralgate.files import read_json

#: Column -> what is measured, and whether it is shown as a difference from the base model.
EFFECTS = {"unseen private refused": False, "unseen private leaked": False, "edited refused": False}
DAMAGES = {"look-alikes refused": False, "benign right": True, "look-alikes right": True, "scenes right": True, "protected refused": True}
COLUMNS = {**EFFECTS, **DAMAGES}
MAIN = "unseen private refused"
DIVERGENCES = {"divergence, benign": "benign", "divergence, scenes": "scenes"}
BASE = "base model"
NONE = "-"  # where there is nothing to say


@dataclass
class Row:
    """A method at one reading: ``cells`` by column, and its ``results`` as they are stored, one a seed. ``over_budget``: whether its point
    damages more than it may on validation questions; None where no point was chosen there."""

    entry: str
    reading: Reading
    cells: dict[str, Score]
    results: list[dict[str, Any]]
    over_budget: bool | None = None

    @property
    def settings(self) -> str:
        """Those of its point, and its strength."""
        point = self.results[0].get("point")
        if point is None:
            return "its defaults"
        return " ".join(filter(None, (", ".join(f"{key} {value}" for key, value in point["settings"].items()), f"x {point['strength']:g}")))

    @property
    def layers(self) -> str:
        """The edited ones; of each seed, where seeds differ."""
        found = dict.fromkeys(", ".join(map(str, result["layers"])) for result in self.results)
        return "; ".join(filter(None, found)) or NONE

    def cost(self, name: str) -> float:
        """The mean over seeds."""
        return sum(float(result["cost"][name]) for result in self.results) / len(self.results)

    def divergence(self, name: str) -> float | None:
        """The mean over seeds, on test questions; None where something around the model answers."""
        held = [result["divergence"][name] for result in self.results]
        return None if None in held else sum(held) / len(held)


@dataclass(frozen=True)
class Drawn:
    """A method beside its random control: an entry for each draw, the method's own answers of the same seed in ``own``."""

    seeds: list[int]
    own: list[Answers]
    control: list[Answers]


@dataclass
class Found:
    """All rows; ``missing``: entry -> what is not there, or why it cannot be; ``points``: all that the search measured, by entry;
    ``unreached``: entries of which no point is private enough, and the largest effect of any; ``controls`` are those at equal damage."""

    model: str
    base: dict[str, Score]
    rows: list[Row]
    missing: dict[str, str]
    points: dict[str, list[Point]]
    answers: dict[tuple[str, Reading], list[Answers]]
    config: dict[str, Any]
    base_answers: Answers
    base_by_prefix: Answers  # by the article's judge
    unreached: dict[str, float]
    controls: dict[str, Drawn]
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
    found = Found(
        base["model"], cells([base["answers"]], None), [], {}, {}, {}, base["config"], base["answers"], base["by_prefix"], {}, {}, {}, []
    )
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
        points = found.points.get(entry, [])
        for reading in READINGS:
            held = [result for test in tests for result in test["results"] if reading in result["readings"]]
            said = [result["refused"] for result in held if "refused" in result]
            if reading == "at equal privacy" and points and not held:
                found.unreached[entry] = max(point["effect"] for point in points)
            elif said or len(held) < len(seeds):
                found.missing[f"{entry}, {reading}"] = said[0] if said else "no setting could be tried"
            else:
                answers = [result["answers"] for result in held]
                over = is_over_budget(held, points)
                found.rows.append(Row(entry, reading, cells(answers, base["answers"]), held, over))
                found.answers[entry, reading] = answers
        read_controls(found, entry, [job for name, job in jobs.items() if "-control" in name])
    return found


def is_over_budget(held: Sequence[dict[str, Any]], points: Sequence[Point]) -> bool | None:
    """Whether any seed's result is marked, or its point was beyond the budget in the search: a point at equal privacy is chosen without
    regard to that, and so is not marked."""
    if "point" not in held[0]:
        return None
    chosen = [point for point in points if {key: point[key] for key in ("settings", "strength")} == held[0]["point"]]
    return any([*(result["over_budget"] for result in held), *(not is_within(point) for point in chosen)])


def read_controls(found: Found, entry: str, jobs: Sequence[dict[str, Any]]) -> None:
    """Keep the answers of all draws beside those of the method; name the entry where draws are not there."""
    own = found.answers.get((entry, "at equal damage"))
    if own is None:
        return
    drawn = [(job["seed"], result["answers"]) for job in jobs for result in job["results"] if "answers" in result]
    if drawn:
        seeds = [seed for seed, _ in drawn]
        found.controls[entry] = Drawn(seeds, [own[seed] for seed in seeds], [answers for _, answers in drawn])
    wanted = found.config["seeds"] * found.config["controls"]
    if len(drawn) < wanted:
        said = [result["refused"] for job in jobs for result in job["results"] if "refused" in result]
        found.missing[f"{entry}, random control"] = said[0] if said else f"{len(drawn)} of {wanted} draws are there"


def cells(answers: Sequence[Answers], base: Answers | None) -> dict[str, Score]:
    """The columns' shares; with a ``base`` those that are differences as such."""
    return {
        name: difference(answers, [base] * len(answers), name) if is_difference and base is not None else interval(answers, name)
        for name, is_difference in COLUMNS.items()
    }


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


HEADER = ["method", "over the budget", *COLUMNS, *DIVERGENCES]


def table_rows(found: Found, reading: Reading) -> list[list[str]]:
    """The base model, then every method of a reading; shares and differences from the base with 95 % intervals."""
    rows = [[BASE, NONE, *(shown(found.base[name]) for name in COLUMNS), *("0.000" for _ in DIVERGENCES)]]
    for row in found.at(reading):
        values = [shown(row.cells[name], sign) for name, sign in COLUMNS.items()]
        moved = [row.divergence(name) for name in DIVERGENCES.values()]
        rows.append([row.entry, over_budget(row), *values, *(NONE if nats is None else f"{nats:.3f}" for nats in moved)])
    return rows + unreached_rows(found, reading, len(HEADER))


def over_budget(row: Row) -> str:
    """In a word; as published no point is chosen."""
    return "not asked" if row.over_budget is None else "yes" if row.over_budget else "no"


def unreached_rows(found: Found, reading: Reading, width: int) -> list[list[str]]:
    """A row for each method of which no setting is private enough."""
    if reading != "at equal privacy":
        return []
    said = "no setting reached it: {} refused at most, on validation questions"
    return [[entry, NONE, said.format(number(most)), *[NONE] * (width - 3)] for entry, most in found.unreached.items()]


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
    level = max(smallest_level(np.array([one[subject] for subject in subjects])) for one in losses)
    return f"at most {number(math.ceil(100 * level - 1e-9) / 100)}"  # never less than what holds


COST_HEADER = [
    "method",
    "settings",
    "layers",
    "seconds beforehand",
    "seconds to edit",
    "memory, MB",
    "values changed",
    "bytes",
    "milliseconds an answer",
]


def cost_rows(found: Found, reading: Reading) -> list[list[str]]:
    return [[row.entry, row.settings, row.layers, *costs(row)] for row in found.at(reading)]


def costs(row: Row) -> list[str]:
    """Means over seeds."""
    names = ("seconds_beforehand", "seconds_to_edit", "peak_memory_mb", "values_changed", "bytes", "seconds_to_answer")
    beforehand, editing, memory, values, size, answering = (row.cost(name) for name in names)
    asked = sum(len(letters) for kinds in row.results[0]["answers"].values() for one in kinds.values() for letters in one.values())
    return [
        two_digits(beforehand),
        two_digits(editing),
        *(f"{value:,.0f}" for value in (memory, values, size)),
        two_digits(1000 * answering / asked),
    ]


def two_digits(value: float) -> str:
    """Rounded to two significant digits: .4 s is not 0."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 or not rounded else f"{rounded:#.2g}"


def frontiers(found: Found) -> dict[str, list[Point]]:
    """Of each entry what no other of its points beats in both effect and damage, on validation questions."""
    return {entry: frontier(points) for entry, points in found.points.items() if points}
