"""Results of a comparison as files: of one schema, about one thing, and read again. Importing it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuralgate.errors import UserError
from neuralgate.files import read_json

SCHEMA = 2
TOGETHER = "together"  # the folder of what is about several entries at once: the edit with guards
EDIT = "neural_gate"
#: Around a model, from the inside out: what it is told, what it is shown, what of its answers is let out.
GUARDS = ("system_prompt", "image_redaction", "output_filter")


def checked(found: Any, path: Path, identity: str | None = None) -> dict[str, Any]:
    """A result as it was read. Raises UserError where it is of another schema, or about something else than ``identity``."""
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise UserError(f"{path} is of schema {schema}, this neuralgate reads {SCHEMA}; use the version that wrote it, or another folder.")
    if identity is not None and found["identity"] != identity:
        raise UserError(f"{path} is about another model, other questions or other settings; choose another folder (--out).")
    return found


def read_results(folder: Path, names: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Name of an entry -> name of a job (``search``, ``seed0``, ``seed0-control1`` ...) -> its result; what is not there is left out."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in names:
        files = sorted((folder / name).glob("*.json"))
        if files:
            found[name] = {path.stem: checked(read_json(path), path) for path in files}
    return found
