"""Points of a search, chosen by rules that know validation data alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

Point = dict[str, Any]
Reading = Literal["as published", "at equal privacy", "at equal damage"]
READINGS: tuple[Reading, ...] = ("as published", "at equal privacy", "at equal damage")


def worst(point: Point) -> float:
    """The larger loss of accuracy."""
    return max(point["damage"].values())


def at_equal_privacy(points: Sequence[Point], least: float) -> Point | None:
    """Of those that refuse at least ``least`` the one of smallest damage, of equal ones the weaker; None where none does."""
    enough = [point for point in points if point["effect"] >= least]
    return min(enough, key=lambda point: (worst(point), point["strength"]), default=None)


def is_within(point: Point) -> bool:
    """Whether it keeps the budget of damage, see `measures.excess`."""
    return bool(point["excess"] <= 1e-9)


def next_strength(points: Sequence[Point]) -> float:
    """Where to look at what has these points already: at 1, then twice as strong while all are within the budget of damage, half as strong
    while all are beyond it, and then halfway (of the logarithm) between the strongest within and the weakest beyond."""
    if not points:
        return 1.0
    within = [point["strength"] for point in points if is_within(point)]
    beyond = [point["strength"] for point in points if not is_within(point)]
    if not beyond:
        return 2 * max(within)
    if not within:
        return min(beyond) / 2
    return round(math.sqrt(max(within) * min(beyond)), 4)


def at_equal_damage(points: Sequence[Point]) -> Point:
    """Of those within the budget of damage the one of largest effect, of equal ones that of the smaller damage; where there is none the one
    that is beyond it by the least, marked ``over_budget``."""
    within = [point for point in points if is_within(point)]
    if within:
        return min(within, key=lambda point: (-point["effect"], worst(point), point["strength"]))
    nearest = min(points, key=lambda point: (point["excess"], worst(point), -point["effect"]))
    return {**nearest, "over_budget": True}


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both effect and damage, by damage."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (worst(point), -point["effect"])):
        if not best or point["effect"] > best[-1]["effect"]:
            best.append(point)
    return best
