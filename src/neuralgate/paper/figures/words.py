"""What texts under figures are made of: an account of what is shown, and verdicts on what the paper claims.

"Agrees" and "Does not agree" need 95 % intervals that exclude the opposite; where they do not, the text says "Cannot tell".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from neuralgate.evaluate.intervals import weighted_sum
from neuralgate.report.summary import share_text

Score = dict[str, Any]
Answer = Literal["agrees", "against", "open", "none"]
OPENINGS: dict[Answer, str] = {
    "agrees": "Agrees with the paper: ",
    "against": "Does not agree with the paper: ",
    "open": "Cannot tell: ",
    "none": "No claim of the paper: ",
}


@dataclass(frozen=True)
class Words:
    """``about``: what is shown and of how many. ``verdicts``: (kind, sentence)."""

    about: str
    verdicts: tuple[tuple[Answer, str], ...]

    @property
    def sentences(self) -> list[str]:
        return [self.about, *(OPENINGS[kind] + sentence for kind, sentence in self.verdicts)]


def score_text(score: Score | None) -> str:
    return "not measured" if score is None else share_text(score)


def difference(first: Score, second: Score) -> Score:
    """First minus second with the interval from both (Newcombe 1998), as if other questions had been asked of each: wider than a paired
    one."""
    value, low, high = weighted_sum((weight, score["value"], score["low"], score["high"]) for weight, score in ((1, first), (-1, second)))
    return {"value": value, "low": low, "high": high, "n": first["n"]}


def sample_count(analysis: dict[str, Any]) -> str:
    counts = analysis["samples"].values()
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"n = {sum(counts)} samples, {each} a subject"


def at_layer(rows: Iterable[dict[str, Any]], layer: int) -> dict[str, Any]:
    return next(row for row in rows if row["layer"] == layer)


def have_effect(row: dict[str, Any]) -> bool:
    """Whether the vectors of a layer refuse sensitive questions more than benign ones, intervals apart. Where they do not, votes are votes
    for nothing, whatever their profile looks like."""
    return row["own"]["refused_sensitive"]["low"] > row["own"]["refused_benign"]["high"]


def chosen_layer(analysis: dict[str, Any]) -> str:
    """The layer that texts look at, and what it has to do with the run's edit."""
    layer, edited = analysis["chosen_layer"], analysis["edited_layers"]
    if edited == [layer]:
        return f"the edited layer {layer}"
    listed = ", ".join(map(str, edited))
    return (
        f"layer {layer} (one of the edited layers {listed})" if layer in edited else f"layer {layer} (the edited {listed} is not located)"
    )
