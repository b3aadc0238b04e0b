"""What a patch does, as Markdown for a model card."""

from __future__ import annotations

from pathlib import Path

from neuralgate.records import read_record
from neuralgate.records.scores import SCORES
from neuralgate.report.summary import claim, columns, table
from neuralgate.text import for_markdown


def evidence_of(patch: Path) -> str:
    """Effect and damage as Markdown, when ``patch`` is the patch of a run that has been evaluated; else nothing."""
    if patch.name != "patch" or not (patch.parent / "scores.json").is_file():
        return ""
    scores = read_record(SCORES, patch.parent / "scores.json")
    header, rows = table(columns(scores))
    cells = [[for_markdown(cell) for cell in row] for row in ([name or "part" for name in header], *rows)]
    cells.insert(1, ["---"] * len(header))
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return f"## Effect and damage\n\n{for_markdown(claim(scores))}\n\n" + "\n".join(lines) + "\n\n"
