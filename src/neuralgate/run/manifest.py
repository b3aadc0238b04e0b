"""What a run's manifest says when it begins."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from neuralgate.recipe import Recipe
from neuralgate.run.code import code_hash

VERSIONS = ("neuralgate", "torch", "transformers", "safetensors", "numpy", "pillow")


def new_manifest(recipe: Recipe, model_hash: str) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "device": "cpu",
        "seeds": {"recipe": recipe.seed, "edit": recipe.edit.seed, "gate": recipe.edit.gate_seed},
        "hashes": {"model": model_hash, "data": None, "code": code_hash(), "recipe": recipe.digest},
        "stages": {},
    }


def versions() -> dict[str, str | None]:
    return {"python": platform.python_version(), **{name: _version(name) for name in VERSIONS}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # run from the source tree without being installed
        return None
