"""What texts under figures are made of: an account of what is shown, and verdicts on what the paper claims.

"Agrees" and "Does not agree" need 95 % intervals that exclude the opposite; where they do not, the text says "Cannot tell".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from neuralgate.intervals import weighted_sum

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


def percent(score: Score | None) -> str:
    if score is None:
        return "not measured"
    return f"{100 * score['value']:.1f} % [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def difference(first: Score, second: Score) -> Score:
    """First minus second with the interval from both (Newcombe 1998), as if other questions had been asked of each: wider than a paired
    one."""
    value, low, high = weighted_sum((weight, score["value"], score["low"], score["high"]) for weight, score in ((1, first), (-1, second)))
    return {"value": value, "low": low, "high": high, "n": first["n"]}


def points(score: Score) -> str:
    return f"{100 * score['value']:+.1f} points [{100 * score['low']:+.1f}, {100 * score['high']:+.1f}]"


def sample_count(analysis: dict[str, Any]) -> str:
    counts = analysis["samples"].values()
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"n = {sum(counts)} samples, {each} a subject"


def at_layer(rows: Iterable[dict[str, Any]], layer: int) -> dict[str, Any]:
    return next(row for row in rows if row["layer"] == layer)
