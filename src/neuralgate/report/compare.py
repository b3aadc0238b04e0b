"""Several runs side by side: rows for the terminal and a small HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralgate.errors import UserError
from neuralgate.files import write_text
from neuralgate.records.scores import Sets
from neuralgate.report.data import RunFiles, load_run
from neuralgate.report.summary import claim, control_title, table


@dataclass(frozen=True)
class Comparison:
    """``named``: (title, {benchmark: {metric: score}}) per column; ``header`` and ``rows``: the same as strings for a terminal."""

    runs: list[RunFiles]
    named: list[tuple[str, Sets]]
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


RUN_HEADER = ["run", "model", "method", "gate", "layers", "steps", "seconds locating", "seconds editing"]


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """The base of the first run, then the edited scores of every run. Raises UserError for fewer than two runs or one not evaluated."""
    if len(folders) < 2:
        raise UserError("Comparing needs at least two run folders.")
    runs = [load_run(folder) for folder in folders]
    names = _names(runs)
    base = "base" if _same(runs, "model") and _same_questions(runs) else f"base of {names[0]}"
    named = [(base, runs[0].scores["base"]), *((name, run.scores["edited"]) for name, run in zip(names, runs, strict=True))]
    header, rows = table(named)
    return Comparison(runs, named, header, rows, _notes(runs))


def _names(runs: list[RunFiles]) -> list[str]:
    """Folder names, with the parent folder where two are the same."""
    plain = [run.name for run in runs]
    return [run.name if plain.count(run.name) == 1 else f"{run.folder.parent.name}/{run.name}" for run in runs]


def _same(runs: list[RunFiles], name: str) -> bool:
    return len({run.manifest.get("hashes", {}).get(name) or run.scores["model"] for run in runs}) == 1


def _same_questions(runs: list[RunFiles]) -> bool:
    return len({run.questions_hash for run in runs}) == 1


def _notes(runs: list[RunFiles]) -> list[str]:
    """What a reader must know before comparing numbers."""
    notes = []
    if not _same(runs, "model"):
        notes.append("These runs edit different base models.")
    if not _same_questions(runs):
        notes.append("These runs were not asked the same questions: their numbers differ for that reason too.")
    if len({(run.scores.get("judge", "prefix"), run.scores.get("interval", "wilson")) for run in runs}) > 1:
        notes.append("These runs were scored by other judges or with other intervals: score them in one way (`neuralgate score RUN`).")
    return notes


def run_rows(comparison: Comparison) -> list[list[str]]:
    """One row per run under :data:`RUN_HEADER`."""
    rows = []
    for (name, _), run in zip(comparison.named[1:], comparison.runs, strict=True):
        training = run.training.get("edited")
        stages = run.manifest.get("stages", {})
        seconds = [f"{stages[stage]['seconds']:.1f}" if stage in stages else "" for stage in ("locate", "edit")]
        trained = [""] * 3
        if training:
            trained = [control_title(training["gate"]), ", ".join(map(str, training["layers"])), str(training["steps"])]
        rows.append([name, run.scores["model"], run.scores["method"], *trained, *seconds])
    return rows


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the comparison as one self-contained HTML file to ``path`` and return it."""
    # Imported here: the terminal table alone needs neither templates nor figures.
    from neuralgate.report.html import all_parts, fill, main_parts

    sets = [column for _, column in comparison.named]
    titles = [title for title, _ in comparison.named]
    page = fill(
        "compare.html.jinja",
        runs=comparison.runs,
        notes=comparison.notes,
        titles=titles,
        run_header=RUN_HEADER,
        run_rows=run_rows(comparison),
        main_parts=main_parts(sets),
        all_parts=all_parts(sets),
        claims=[(name, claim(run.scores)) for name, run in zip(titles[1:], comparison.runs, strict=True)],
    )
    write_text(path, page)
    return path
