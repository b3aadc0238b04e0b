"""An analysis as a person reads it: figures as files and in the report, tables, and a text under each. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from markupsafe import Markup

from neuralgate.files import hash_path, read_json, write_bytes, write_json, write_text
from neuralgate.paper.figures import edit_figures, edit_texts, record, vote_figures, vote_texts
from neuralgate.paper.figures.drawings import Drawing
from neuralgate.paper.figures.words import Words
from neuralgate.records import check

ANALYSIS = "analysis.json"
Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Exhibit:
    """A figure with what stands under it."""

    drawing: Drawing
    words: Words
    tables: tuple[Table, ...] = ()

    @property
    def figure(self) -> Markup:
        return Markup(self.drawing.inline())


def exhibits(analysis: dict[str, Any]) -> list[Exhibit]:
    """All figures in the order in which they are read: first what the votes are, then what they are worth, then what they depend on."""
    weight = edit_figures.sweep(analysis, "lambda", "Weight of the benign loss", "lambda")
    threshold = edit_figures.sweep(analysis, "threshold", "Threshold of the gate", "threshold")
    return [
        Exhibit(vote_figures.flips(analysis), vote_texts.flips(analysis)),
        Exhibit(vote_figures.shares(analysis), vote_texts.shares(analysis)),
        Exhibit(vote_figures.losses(analysis), vote_texts.losses(analysis)),
        Exhibit(vote_figures.answers(analysis), vote_texts.answers(analysis)),
        Exhibit(vote_figures.gradient(analysis), vote_texts.gradient(analysis)),
        Exhibit(vote_figures.stability(analysis), vote_texts.stability(analysis)),
        Exhibit(vote_figures.subjects(analysis), vote_texts.subjects(analysis)),
        Exhibit(vote_figures.between_layers(analysis), vote_texts.between_layers(analysis)),
        Exhibit(vote_figures.activation(analysis), vote_texts.activation(analysis)),
        Exhibit(vote_figures.activation_layers(analysis), vote_texts.activation_layers(analysis)),
        Exhibit(
            edit_figures.radius(analysis),
            edit_texts.radius(analysis),
            (edit_figures.table_of_radius(analysis), edit_figures.table_of_layers(analysis)),
        ),
        Exhibit(weight, edit_texts.weight(analysis), (edit_figures.table_of_sweep(analysis, "lambda"),)),
        Exhibit(threshold, edit_texts.threshold(analysis), (edit_figures.table_of_sweep(analysis, "threshold"),)),
        Exhibit(edit_figures.sensitivity(analysis), edit_texts.sensitivity(analysis), (edit_figures.table_of_sensitivity(analysis),)),
    ]


def write_analysis(folder: Path, analysis: dict[str, Any]) -> None:
    """``NAME.svg``, ``NAME.pdf`` and ``NAME.csv`` of every figure, then ``analysis.json``, which says that all are there."""
    for drawing in (exhibit.drawing for exhibit in exhibits(analysis)):
        write_bytes(folder / f"{drawing.name}.svg", drawing.svg())
        write_bytes(folder / f"{drawing.name}.pdf", drawing.pdf())
        write_text(folder / f"{drawing.name}.csv", drawing.csv())
    write_json(folder / ANALYSIS, analysis)


def load_analysis(run_folder: Path) -> dict[str, Any] | None:
    """The run's analysis; None without one, or where it is of another gate than the run's present one.

    Raises:
        UserError: it is damaged.
    """
    path = run_folder / "analysis" / ANALYSIS
    if not path.is_file():
        return None
    content = check(record.OF_GATE, read_json(path), path)
    gate = run_folder / "gate"
    if gate.is_dir() and content.get("gate") != hash_path(gate):
        return None
    return cast(dict[str, Any], check(record.ANALYSIS, content, path))
