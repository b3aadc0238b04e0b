"""What is compared: a method with settings of its own form, and the grid of settings that it is searched over.

A method's ``SEARCH`` holds key -> values; ``depth`` stands for ``layers``: a share of the decoder's layers, or a range of them. Every grid
has at least `BUDGET` points where the method has settings at all, and is searched whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from neuralgate.edit_settings import SPREAD, MethodConfig, TrainedConfig
from neuralgate.errors import UserError
from neuralgate.methods import METHODS
from neuralgate.text import short

BUDGET = 12

#: The layers of the article's several-layer edits, 5-9 and 9-14 of 32, in proportion.
RANGES = ((5 / 32, 10 / 32), (9 / 32, 15 / 32))
SEVERAL: dict[str, Sequence[Any]] = {"depth": RANGES, "max_steps": (10, 20, 30, 40, 60, 80)}


@dataclass(frozen=True)
class Entry:
    """``fixed``: settings that make this form of the method; ``search`` takes the place of the method's own grid where it is given, and
    ``own`` that of the module of that name in METHODS. ``depth``: where it edits as published, if it leaves its layers to a search; the
    article's own, about a third. ``is_controlled``: whether something of it could be drawn at random."""

    method: str
    fixed: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Sequence[Any]] | None = None
    own: ModuleType | None = None
    depth: float | Sequence[float] = 0.3
    is_controlled: bool = True

    @property
    def module(self) -> ModuleType:
        return self.own or METHODS[self.method]

    @property
    def grid(self) -> dict[str, list[Any]]:
        """Key -> values, without what is fixed."""
        wanted = self.module.SEARCH if self.search is None else self.search
        return {key: list(values) for key, values in wanted.items() if key not in self.fixed}

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.grid.values())


#: Further forms of methods, beside each method by its own name.
FORMS: dict[str, Entry] = {
    "neural_gate": Entry("neural_gate", {"gate": "strong"}),
    "neural_gate_layers": Entry("neural_gate", {"gate": "strong"}, SEVERAL, depth=RANGES[0]),
    "ungated": Entry("neural_gate", {"gate": "none"}, is_controlled=False),
    "ungated_layers": Entry("neural_gate", {"gate": "none"}, SEVERAL, depth=RANGES[0], is_controlled=False),
    "memit": Entry("memit", depth=SPREAD),
    "alphaedit": Entry("alphaedit", depth=SPREAD),
    "sku_negation": Entry("sku", {"teach": "negation"}),
    "memflex_ascent": Entry("memflex", {"teach": "ascent"}),
    "manu_teach": Entry("manu", {"action": "teach"}, {"share": (0.01, 0.02, 0.05, 0.1), "max_steps": (20, 40, 80)}),
    "conditional_steering": Entry("steering", {"when": "sensitive"}),
}
ENTRIES: dict[str, Entry] = {**FORMS, **{name: Entry(name) for name in METHODS if name not in FORMS}}


def chosen_entries(names: Sequence[str], known: Mapping[str, Entry] = ENTRIES) -> dict[str, Entry]:
    """Those of ``known`` called ``names``, all for ``["all"]``. Raises UserError for a name that is none, or where none is given."""
    if list(names) == ["all"]:
        return dict(known)
    for name in names:
        if name not in known:
            close = get_close_matches(name[:60], known, n=1, cutoff=0.5)
            raise UserError(
                f"There is no {short(name)} to compare; " + (f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}.")
            )
    if not names:
        raise UserError("No method is named; give some, or all.")
    return {name: known[name] for name in names}


def layers_at(depth: float | Sequence[float], count: int) -> list[int]:
    """The layers of a model of ``count`` that a share of its depth, or a range of shares, names."""
    if isinstance(depth, int | float):
        return [min(int(depth * count), count - 2)]
    first, end = depth
    return list(range(int(first * count), max(int(first * count) + 2, round(end * count))))


def config_of(entry: Entry, settings: Mapping[str, Any], layers: int, seed: int, batch_size: int) -> MethodConfig:
    """The method's settings: what makes the entry's form, then ``settings`` (with `depth`), for a model of so many ``layers``. No look at
    validation pairs stops anything: the strength is chosen afterwards, for all methods in one way."""
    kind = entry.module.Config
    changes = {**entry.fixed, **settings, "seed": seed}
    if "depth" in changes:
        changes["layers"] = layers_at(changes.pop("depth"), layers)
    if issubclass(kind, TrainedConfig):
        changes = {"batch_size": batch_size, "stop": "never", **changes}
    if "strengths" in kind.model_fields:
        changes = {"strengths": [1.0], **changes}
    return kind(**changes)
