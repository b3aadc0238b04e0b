"""What a patch does, as Markdown for a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuralgate.records import read_record
from neuralgate.records.scores import SCORES
from neuralgate.report.summary import claim, columns, table
from neuralgate.text import for_markdown

if TYPE_CHECKING:
    from neuralgate.interventions.card import Evidence


def evidence_of(patch: Path) -> Evidence:
    """Effect and damage, when ``patch`` is the patch of a run that has been evaluated; else nothing."""
    from neuralgate.interventions.card import Evidence

    if patch.name != "patch" or not (patch.parent / "scores.json").is_file():
        return Evidence()
    scores = read_record(SCORES, patch.parent / "scores.json")
    header, rows = table(columns(scores))
    cells = [[for_markdown(cell) for cell in row] for row in ([name or "part" for name in header], *rows)]
    cells.insert(1, ["---"] * len(header))
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    text = f"## Effect and damage\n\n{for_markdown(claim(scores))}\n\n" + "\n".join(lines) + "\n\n"
    return Evidence(text, scores["edited"])
