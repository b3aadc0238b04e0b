"""Clerk: a small vision-language model of our own, whole in the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def folder() -> Path:
    """Clerk's model directory."""
    return Path(str(resources.files("neuralgate.clerk").joinpath("weights")))
