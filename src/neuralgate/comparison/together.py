"""The edit together with what people already put around a model: what does it add, and what does it cost in time?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from neuralgate.comparison.bench import Bench
from neuralgate.comparison.choose import Point, at_equal_damage
from neuralgate.comparison.entries import Entry
from neuralgate.comparison.final import kept
from neuralgate.comparison.results import EDIT, GUARDS
from neuralgate.comparison.search import applied, config_at, looked_at
from neuralgate.interventions.base import Intervention

ALL = (EDIT, *GUARDS)


def together(bench: Bench, entries: Mapping[str, Entry], chosen: Mapping[str, Point], seed: int) -> dict[str, Any]:
    """Every combination of the edit and the guards, each with the settings of its point at equal damage. The edit's strength is chosen
    anew for each combination, at equal damage of the whole, and guards alone are held against the same budget; then the test questions are
    asked. The first result is the bare model."""
    made: dict[str, Intervention] = {}
    for name in ALL:
        made[name] = applied(bench, entries[name], config_at(bench, entries[name], chosen[name]["settings"], seed), seed).made
    results = []
    for size in range(len(ALL) + 1):
        for names in combinations(ALL, size):
            point = chosen_point(bench, made, names)
            heard = bench.ask(parts(made, names, point["strength"]), "test", fresh=True)
            results.append(
                {
                    "names": list(names),
                    "strength": point["strength"] if EDIT in names else None,
                    "over_budget": "over_budget" in point,
                    "seconds_an_answer": round(heard.seconds / len(bench.questions["test"]), 4),
                    **kept(heard),
                }
            )
    return {"seed": seed, "results": results}


def chosen_point(bench: Bench, made: Mapping[str, Intervention], names: tuple[str, ...]) -> Point:
    """The point of largest effect within the budget of damage among the strengths of the edit, with the guards of ``names`` around it; of
    guards alone the only one."""
    looks = bench.config.looks if EDIT in names else 1
    return at_equal_damage(looked_at(bench, lambda strength: parts(made, names, strength), looks))


def parts(made: Mapping[str, Intervention], names: tuple[str, ...], strength: float) -> list[Intervention]:
    """Those of ``names``, the edit at ``strength``."""
    return [made[name].at(strength) if name == EDIT else made[name] for name in names]
