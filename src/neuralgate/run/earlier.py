"""Results of a run's earlier recipes: kept under a name when it goes on with another one.

What is to be done is written down first, as a piece that is there whole or not at all, and done from there: whoever opens a run folder
in which that was cut short does the rest before anything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neuralgate.chunks import Chunks
from neuralgate.files import disk_errors, inside, write_text

EARLIER = "earlier"
PLAN = "plan"


def put_away(folder: Path, work: Path, outputs: Iterable[str], name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Move ``outputs`` of the run in ``folder`` to its ``earlier/name``, with the texts of the ``old`` files beside them, and write the
    ``new`` ones in this order.

    Args:
        work: a folder for the plan, below ``folder``.

    Raises:
        UserError: ``earlier`` is a link out of the folder; something cannot be written.
    """
    inside(folder, f"{EARLIER}/{name}", f"{folder}")
    plan = {"name": name, "outputs": sorted(outputs), "old": dict(old), "new": dict(new)}
    Chunks(work).put(PLAN, json.dumps(plan).encode())
    finish(folder, work)


def finish(folder: Path, work: Path) -> None:
    """Do what is left of the plan in ``work``, if there is one. Raises UserError when it leads out of ``folder``."""
    chunks = Chunks(work)
    written = chunks.done(PLAN)
    if written is None:
        return
    plan: dict[str, Any] = json.loads(written)
    place = f"The plan in {work}"  # the folder may be from somebody else
    target = inside(folder, f"{EARLIER}/{plan['name']}", place)
    moves = [(inside(folder, output, place), inside(target, output, place)) for output in plan["outputs"]]
    if moves:
        for file, text in plan["old"].items():
            write_text(inside(target, file, place), text)
    with disk_errors(target):
        for output, kept in moves:
            if output.exists():  # else it was moved before
                kept.parent.mkdir(parents=True, exist_ok=True)
                os.replace(output, kept)
    for file, text in plan["new"].items():
        write_text(inside(folder, file, place), text)
    chunks.clear()


def next_name(folder: Path, digest: str) -> str:
    """A name for the results of the recipe with this digest: they are counted."""
    there = folder / EARLIER
    numbers = [int(path.name.split("-")[0]) for path in there.iterdir() if path.name.split("-")[0].isdecimal()] if there.is_dir() else []
    return f"{max(numbers, default=0) + 1}-{digest[:8]}"
