"""Rows of what stands beside the comparison itself: every method against our edit, what the edits did, subjects one after another, and the
edit with guards. Importing it needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuralgate.comparison.choose import Reading
from neuralgate.comparison.measures import SEEN, difference, interval
from neuralgate.comparison.results import EDIT
from neuralgate.comparison.tables import MAIN, NONE, Found, Row, number, over_budget, shown
from neuralgate.evaluate.clusters import holm
from neuralgate.evaluate.intervals import Score
from neuralgate.report.figures import POSITIONS

SEQUENCE_HEADER = [
    "method",
    "own subject refused, right after",
    "after {half}: refused",
    "after {all}: refused",
    "forgotten at the end",
    "benign right, {half}",
    "benign right, {all}",
    "look-alikes right, {all}",
    "scenes right, {all}",
    "divergence, {half}",
    "divergence, {all}",
]
MEASURES = (MAIN, "edited refused", "look-alikes refused", "look-alikes right", "benign right", "scenes right")
AGAINST_HEADER = ["method", "over the budget", *(f"{measure}: method - {EDIT}" for measure in MEASURES), f"p of {MAIN}"]
DONE_HEADER = ["method", *(f"gradient, {position}" for position in POSITIONS), "note"]
TOGETHER_HEADER = [
    "together",
    "over the budget",
    "edit's strength",
    "unseen private refused",
    "unseen private leaked",
    "edited leaked",
    "look-alikes refused",
    "benign right",
    "scenes right",
    "leaked: with the edit - without",
    "milliseconds an answer",
]


def against_edit_rows(found: Found, reading: Reading) -> list[list[str]]:
    """Every other method minus our edit, question by question; p of the first difference by Holm over the methods. Nothing where our edit
    was not tested."""
    ours = found.answers.get((EDIT, reading))
    rows = [row for row in found.at(reading) if row.entry != EDIT]
    if ours is None:
        return []
    minus = [{measure: difference(found.answers[row.entry, reading], ours, measure) for measure in MEASURES} for row in rows]
    p_holm = holm([float(one[MAIN]["p"]) for one in minus])
    return [
        [row.entry, over_budget(row), *(shown(score, sign=True) for score in one.values()), f"{p:.3f}"]
        for row, one, p in zip(rows, minus, p_holm, strict=True)
    ]


def done_rows(found: Found, reading: Reading) -> list[list[str]]:
    """Where the gradient of what was trained arrived, the mean over seeds, and what was noted with the first seed; methods that have
    neither have no row."""
    return [
        [row.entry, *(gradient_share(row, position) for position in POSITIONS), row.results[0]["note"] or NONE]
        for row in found.at(reading)
        if row.results[0]["gradient_share"] or row.results[0]["note"]
    ]


def gradient_share(row: Row, position: str) -> str:
    held = [result["gradient_share"][position] for result in row.results if position in result["gradient_share"]]
    return number(sum(held) / len(held)) if held else NONE


def sequence_rows(found: Found) -> tuple[list[str], list[list[str]]]:
    """Header and rows: refused of the subjects edited so far, after half of them and after all; differences are from the base model."""
    rows, count = [], 0
    for name, result in found.sequences.items():
        looks = result.get("looks", [])
        if "refused" in result or not looks:
            continue
        base, after, count = looks[0]["answers"], looks[1:], len(looks) - 1
        half = max(1, count // 2)
        right_after = {SEEN: {one["subject"]: one["answers"][SEEN][one["subject"]] for one in after}}
        at_end = {SEEN: {one["subject"]: after[-1]["answers"][SEEN][one["subject"]] for one in after}}
        rows.append(
            [
                name,
                shown(interval([right_after], "edited refused")),
                shown(so_far(after, half)),
                shown(so_far(after, count)),
                shown(difference([right_after], [at_end], "edited refused"), sign=True),
                *(shown(difference([after[k - 1]["answers"]], [base], "benign right"), sign=True) for k in (half, count)),
                *(
                    shown(difference([after[-1]["answers"]], [base], measure), sign=True)
                    for measure in ("look-alikes right", "scenes right")
                ),
                *(f"{after[k - 1]['divergence']['benign']:.3f}" for k in (half, count)),
            ]
        )
    return [title.format(half=max(1, count // 2), all=count) for title in SEQUENCE_HEADER], rows


def so_far(after: Sequence[Mapping[str, Any]], count: int) -> Score:
    """Refused of the first ``count`` subjects, after the last of them."""
    now = after[count - 1]["answers"][SEEN]
    return interval([{SEEN: {one["subject"]: now[one["subject"]] for one in after[:count]}}], "edited refused")


def together_rows(found: Found) -> list[list[str]]:
    """A row a combination, over all seeds that have it."""
    held: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    base = found.base_answers
    for seed in found.together:
        for result in seed["results"]:
            held.setdefault(tuple(result["names"]), []).append(result)
    rows = []
    for names, results in held.items():
        answers = [result["answers"] for result in results]
        without = held.get(tuple(name for name in names if name != EDIT))
        other = [result["answers"] for result in without] if without else [base] * len(answers)
        milliseconds = 1000 * sum(result["seconds_an_answer"] for result in results) / len(results)
        strengths = [result["strength"] for result in results if result["strength"] is not None]
        rows.append(
            [
                " + ".join(names) or "base model",
                "yes" if any(result["over_budget"] for result in results) else "no",
                ", ".join(f"{strength:g}" for strength in strengths) or NONE,
                *(shown(interval(answers, name)) for name in ("unseen private refused", "unseen private leaked", "edited leaked")),
                shown(interval(answers, "look-alikes refused")),
                *(shown(difference(answers, [base] * len(answers), name), sign=True) for name in ("benign right", "scenes right")),
                shown(difference(answers, other, "unseen private leaked"), sign=True) if EDIT in names else NONE,
                f"{milliseconds:.0f}",
            ]
        )
    return rows
