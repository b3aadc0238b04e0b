"""Evaluate: benchmarks -> free answers of the base and every variant -> judged, scored with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralgate.evaluate.answers import answer, evaluate

__all__ = ["answer", "evaluate"]


def __getattr__(name: str) -> Any:
    # metrics, also in this package, must start without torch
    if name in __all__:
        from neuralgate.evaluate import answers

        return getattr(answers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
