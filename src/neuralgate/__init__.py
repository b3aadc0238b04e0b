"""neuralgate: privacy edits for vision-language models as small, reversible weight patches.

The names below are the public API. They are looked up on first use, so ``import neuralgate`` is quick and torch is
imported only by what needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "load": "neuralgate.lvlm.load",
    "PairSet": "neuralgate.pairs.schema",
    "locate": "neuralgate.locate",
    "Gate": "neuralgate.locate",
    "LocateConfig": "neuralgate.recipe",
    "edit": "neuralgate.edit",
    "EditConfig": "neuralgate.recipe",
    "Patch": "neuralgate.edit",
    "evaluate": "neuralgate.evaluate",
    "build_questions": "neuralgate.evaluate.benchmarks",
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
    "evaluate",
    "load",
    "locate",
]

if TYPE_CHECKING:
    from neuralgate.edit import Patch, edit
    from neuralgate.errors import UserError
    from neuralgate.evaluate import evaluate
    from neuralgate.evaluate.benchmarks import build_questions
    from neuralgate.locate import Gate, locate
    from neuralgate.lvlm.load import load
    from neuralgate.pairs.schema import PairSet
    from neuralgate.recipe import EditConfig, LocateConfig, Recipe


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # `locate`, `edit` and `evaluate` are both a subpackage and its main function. Importing the subpackage would
        # bind it here under the function's name, and `neuralgate.edit(...)` would work or not by the order of imports.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neuralgate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
