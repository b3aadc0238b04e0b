"""What ``scores.json`` holds."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import AfterValidator, BeforeValidator, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Change, Count, ModelName, Name, Quantity, Share, needs


class Score(TypedDict):
    """A share or a difference of shares with its 95 % interval and number of questions (docs/intervals.md)."""

    value: Change
    low: Change
    high: Change
    n: Count
    clusters: NotRequired[Count]  # subjects; or pictures, where all is about one subject or none. Neither where intervals are Wilson's
    effective_n: NotRequired[Quantity]
    p: NotRequired[Share]  # of a difference
    p_holm: NotRequired[Share]


Sets = dict[Name, dict[Name, Score]]  # benchmark -> metric -> score
Successes = Annotated[tuple[Count, Count], BeforeValidator(lambda pair: tuple(pair) if isinstance(pair, list) else pair)]
BySubject = dict[Name, dict[Name, dict[Name, Successes]]]  # benchmark -> metric -> subject -> successes and number of questions


class Scores(TypedDict):
    """See :func:`neuralgate.evaluate.score.score`; in a file one variant is always the edit itself."""

    schema: NotRequired[int]
    model: ModelName
    method: Name
    judge: NotRequired[Name]
    interval: NotRequired[Name]
    base: Sets
    edited: Sets
    controls: dict[Name, Sets]
    difference: dict[Name, Sets]
    edited_minus: NotRequired[dict[Name, Sets]]
    strong_minus_random: NotRequired[Sets]
    subjects: NotRequired[dict[Name, BySubject]]  # of each variant


def _scores_fit(scores: Scores) -> Scores:
    columns = {"base": scores["base"], "edited": scores["edited"], **scores["controls"]}
    for name, sets in columns.items():
        needs(bool(sets), f"{name} has no benchmark")
        needs(all("degenerate_rate" in metrics for metrics in sets.values()), f"{name} has a benchmark without degenerate_rate")
    needs("edited" in scores["difference"], "difference has no edited")
    counts = [
        count
        for sets in scores.get("subjects", {}).values()
        for metrics in sets.values()
        for row in metrics.values()
        for count in row.values()
    ]
    needs(all(successes <= n for successes, n in counts), "subjects has more successes than questions")
    for benchmark, metrics in scores["edited"].items():
        base_metrics = {*scores["base"].get(benchmark, {}), "agreement"}
        needs(base_metrics >= metrics.keys(), f"base lacks a metric of {benchmark} that edited has")
    return scores


SCORES: TypeAdapter[Scores] = TypeAdapter(Annotated[Scores, AfterValidator(_scores_fit)])
