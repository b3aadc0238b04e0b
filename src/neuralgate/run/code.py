"""Which code a result was made by."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from neuralgate.files import digest, hash_path


@cache
def code_hash(*places: str) -> str:
    """sha256 over the names and bytes of modules, templates and data: those below ``places``, or all of this package."""
    root = Path(__file__).parent.parent
    roots = [root / place for place in places] or [root]
    files = {file for place in roots for file in (place.rglob("*") if place.is_dir() else [place])}
    sources = sorted(file for file in files if file.suffix in (".py", ".jinja", ".css", ".yaml", ".json"))
    return digest([[file.relative_to(root).as_posix(), hash_path(file)] for file in sources])
