"""From judged answers to shares with 95 % intervals: the content of ``scores.json``. What is measured says `measures.py`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from neuralgate.errors import UserError
from neuralgate.evaluate.clusters import clustered_difference, clustered_interval, holm
from neuralgate.evaluate.intervals import Part, Score, interval, paired_difference
from neuralgate.evaluate.measures import ALWAYS, SCORERS, Case
from neuralgate.judge import judge_all
from neuralgate.questions import place_of, scorer_of
from neuralgate.recipe import IntervalName, JudgeName
from neuralgate.text import shown_name

Row = Mapping[str, Any]
Parts = dict[str, dict[str, list[Part]]]  # benchmark -> metric -> its shares
Sets = dict[str, dict[str, Score]]
#: Interval of a share, and of a paired difference, by the recipe's `evaluate.interval`.
_INTERVALS: dict[IntervalName, tuple[Callable[..., Score], Callable[..., Score]]] = {
    "clustered": (clustered_interval, clustered_difference),
    "wilson": (interval, paired_difference),
}


def judge_and_score(
    answers: Iterable[Row], model: str, method: str, interval: IntervalName = "clustered", judge: JudgeName = "refusal"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of ``answers.jsonl`` with fresh verdicts, in their order, and the content of ``scores.json``."""
    rows = sorted(judge_all(answers, judge), key=lambda row: (row["benchmark"], row["id"]))
    return rows, score(rows, model, method, interval, judge)


def score(
    answers: list[Any], model: str, method: str, interval: IntervalName = "clustered", judge: JudgeName = "refusal"
) -> dict[str, Any]:
    """The content of ``scores.json`` (`records.scores.Scores`) from the rows of ``answers.jsonl``; in any order they give the same bytes.

    ``base`` and ``edited`` hold {benchmark: {metric: {value, low, high, n}}}, ``controls`` the same for every other variant,
    ``difference`` each variant minus the base, ``edited_minus`` the edited variant minus each control, and
    ``strong_minus_random`` the two where both are controls. Clustered scores also hold ``clusters`` and ``effective_n``, differences ``p``
    and, where there are several controls, ``p_holm`` over them. ``subjects`` holds {variant: {benchmark: {metric: {subject: [successes,
    n]}}}} of every metric of one share. ``judge`` is who gave the verdicts.

    Raises:
        ValueError: there is no answer, or a question lacks the answer of a variant.
        UserError: a question names a scorer that there is not, or not that of its benchmark's other questions.
    """
    if not answers:
        raise ValueError("There are no answers to score.")
    variants = sorted(answers[0]["answers"])
    for row in answers:
        if sorted(row["answers"]) != variants or sorted(row["verdicts"]) != variants:
            names = ", ".join(variants)
            raise ValueError(f"Question {row['id']} of {row['benchmark']} has not been answered and judged for exactly {names}.")
    of_share, of_difference = _INTERVALS[interval]
    benchmarks = _by_benchmark(answers)
    parts: dict[str, Parts] = {
        variant: {name: metrics_of(rows, variant, judge) for name, rows in benchmarks.items()} for variant in variants
    }
    values = {
        variant: {benchmark: {metric: of_share(shares) for metric, shares in metrics.items()} for benchmark, metrics in sets.items()}
        for variant, sets in parts.items()
    }

    def minus(first: str, second: str) -> Sets:
        """A seed of its own for each figure, so that one more control or benchmark moves no other figure."""
        return {
            benchmark: {
                metric: of_difference(
                    shares, parts[second][benchmark][metric], zlib.crc32(f"{first}-{second}/{benchmark}/{metric}".encode())
                )
                for metric, shares in metrics.items()
                if metric in parts[second][benchmark]
            }
            for benchmark, metrics in parts[first].items()
        }

    edits = [variant for variant in variants if variant != "base"]
    controls = [variant for variant in edits if variant != "edited"]
    both = {"strong", "random"} <= set(controls)
    edited_minus = {control: minus("edited", control) for control in controls if "edited" in parts}
    _adjust(list(edited_minus.values()))
    return {
        "schema": 1,
        "model": shown_name(model),
        "method": method,
        "judge": judge,
        "interval": interval,
        "base": values["base"],
        **({"edited": values["edited"]} if "edited" in values else {}),
        "controls": {variant: values[variant] for variant in controls},
        "difference": {variant: minus(variant, "base") for variant in edits},
        "edited_minus": edited_minus,
        # the comparison that says whether it matters which dimensions a gate picks, also where the edit itself is ungated
        **({"strong_minus_random": minus("strong", "random")} if both else {}),
        "subjects": {variant: _by_subject(benchmarks, sets) for variant, sets in parts.items()},
    }


def metrics_of(rows: list[Row], variant: str, judge: JudgeName) -> dict[str, list[Part]]:
    """The parts of every metric of one benchmark for one variant; metrics without a question are left out."""
    cases = [Case(row, variant, judge) for row in rows]
    levels = [_codes(groups) for groups in zip(*(groups_of(row) for row in rows), strict=True)]
    metrics = {}
    for name, shares in {**SCORERS[_scorer(rows)], **ALWAYS}.items():
        parts = []
        for share in shares:
            if not all(share.is_known(case) for case in cases):
                break
            mask_N = np.array([share.of(case) for case in cases])
            holds = np.array([share.holds(case) for case in cases])[mask_N]
            parts.append(Part(holds, share.weight, tuple(codes_N[mask_N] for codes_N in levels)))
        if len(parts) == len(shares) and all(len(part.successes) for part in parts):
            metrics[name] = parts
    return metrics


def groups_of(row: Row) -> tuple[str, str]:
    """The subject and the picture that a question belongs to, from the widest to the narrowest group: `cluster` where it names one. A
    question about no subject is as far from every other as its picture is, and one without a picture stands alone."""
    picture = row.get("cluster") or row["image"] or f"\0{row['id']}"
    return row.get("subject") or f"\0{picture}", f"{row.get('subject')}\0{picture}"


def _codes(names: Iterable[str]) -> np.ndarray:
    return np.unique(np.array(list(names)), return_inverse=True)[1]


def _scorer(rows: list[Row]) -> str:
    first = rows[0]
    name = scorer_of(first)
    for row in rows:
        if scorer_of(row) != name:
            raise UserError(f"The questions of {first['benchmark']} name two scorers, {name} and {scorer_of(row)}; split the benchmark.")
    if name not in SCORERS:
        raise UserError(f"The questions of {first['benchmark']} name the scorer {name!r}; there are: {', '.join(SCORERS)}.")
    return name


def _by_benchmark(answers: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in answers:
        groups.setdefault(row["benchmark"], []).append(row)
    return {name: groups[name] for name in sorted(groups, key=lambda name: (place_of(name), name))}


def _adjust(comparisons: list[Sets]) -> None:
    """Adds ``p_holm``: comparisons of the same metric with several controls are one family."""
    for benchmark, metrics in comparisons[0].items() if len(comparisons) > 1 else ():
        for metric in metrics:
            family = [sets[benchmark][metric] for sets in comparisons if "p" in sets[benchmark].get(metric, {})]
            for entry, adjusted in zip(family, holm([float(entry["p"]) for entry in family]), strict=True):
                entry["p_holm"] = round(adjusted, 6)


def _by_subject(benchmarks: dict[str, list[Row]], sets: Parts) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Successes and number of questions of each named subject."""
    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    for benchmark, rows in benchmarks.items():
        names = np.unique([groups_of(row)[0] for row in rows])
        for metric, parts in sets[benchmark].items():
            if len(parts) > 1:
                continue  # a sum of two shares is no count
            subjects_N = parts[0].levels[0]
            questions_S = np.bincount(subjects_N, minlength=len(names))
            successes_S = np.bincount(subjects_N, weights=parts[0].successes, minlength=len(names)).astype(int)
            rows_of = {
                str(name): [int(successes), int(questions)]
                for name, successes, questions in zip(names, successes_S, questions_S, strict=True)
                if questions and not name.startswith("\0")
            }
            if rows_of:
                counts.setdefault(benchmark, {})[metric] = rows_of
    return counts
