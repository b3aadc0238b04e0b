"""neuralgate: privacy edits for vision-language models as small, reversible weight patches.

The names below are the public API. They are looked up on first use, so ``import neuralgate`` is quick and torch is
imported only by what needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "load": "neuralgate.lvlm.load",
    "PairSet": "neuralgate.pairs.schema",
    "build_questions": "neuralgate.questions",
    "locate_gate": "neuralgate.locate.locate",
    "Gate": "neuralgate.locate.gate",
    "LocateConfig": "neuralgate.recipe",
    "edit": "neuralgate.methods.apply",
    "EditConfig": "neuralgate.edit_settings",
    "Patch": "neuralgate.interventions.patch",
    "evaluate_edit": "neuralgate.evaluate.ask",
    "Recipe": "neuralgate.recipe",
    "UserError": "neuralgate.errors",
}

__all__ = [
    "EditConfig",
    "Gate",
    "LocateConfig",
    "PairSet",
    "Patch",
    "Recipe",
    "UserError",
    "build_questions",
    "edit",
    "evaluate_edit",
    "load",
    "locate_gate",
]

if TYPE_CHECKING:
    from neuralgate.edit_settings import EditConfig
    from neuralgate.errors import UserError
    from neuralgate.evaluate.ask import evaluate_edit
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.locate.locate import locate_gate
    from neuralgate.lvlm.load import load
    from neuralgate.methods.apply import edit
    from neuralgate.pairs.schema import PairSet
    from neuralgate.questions import build_questions
    from neuralgate.recipe import LocateConfig, Recipe


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neuralgate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
