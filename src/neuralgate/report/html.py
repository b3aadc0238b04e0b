"""One self-contained HTML page from a run folder: no script, nothing from elsewhere, every text of the run escaped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neuralgate.evaluate.conclusions import cannot_conclude
from neuralgate.files import write_text
from neuralgate.records.scores import Scores, Sets
from neuralgate.report import figures
from neuralgate.report.data import RunFiles, examples, failures, load_run
from neuralgate.report.notes import (
    comparisons,
    cut_off_note,
    degenerate_note,
    difference_text,
    how_scored,
    method_line,
    promise_note,
    shares_note,
    unread_note,
)
from neuralgate.report.summary import (
    DAMAGE,
    EFFECT,
    METRIC_TITLES,
    Measure,
    benchmark_title,
    claim,
    columns,
    control_title,
    controls_of,
    measured,
    percent,
)
from neuralgate.text import for_html

NOTHING = Markup()


@cache
def environment(package: str = "neuralgate.report") -> Environment:
    """The templates of a package. Autoescape is on for every one of them: answers are untrusted text."""
    made = Environment(loader=PackageLoader(package, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "percent": percent,
        "difference_text": difference_text,
        "maybe_percent": lambda share: "" if share is None else percent(share),
        "benchmark_title": benchmark_title,
        "metric_title": lambda name: METRIC_TITLES.get(name, name),
    }
    return made


def fill(template: str, **values: Any) -> str:
    """A page. What HTML forbids is taken out of the whole of it, figures included."""
    return for_html(environment().get_template(template).render(style=style(), **values))


def style() -> Markup:
    return Markup(resources.files("neuralgate.report").joinpath("style.css").read_text(encoding="utf-8"))


def by_benchmark(sets: list[Sets], measures: tuple[Measure, ...]) -> list[tuple[str, list]]:
    """The measured rows, those of one benchmark together."""
    rows = measured(sets, measures)
    return [(benchmark, list(group)) for benchmark, group in groupby(rows, key=lambda row: row[0].benchmark)]


def main_parts(sets: list[Sets]) -> list[tuple[str, list]]:
    parts = [("Effect", by_benchmark(sets, EFFECT)), ("Damage", by_benchmark(sets, DAMAGE))]
    return [(title, rows) for title, rows in parts if rows]


def all_parts(sets: list[Sets]) -> list[tuple[str, list]]:
    """Every metric of every benchmark of any column."""
    names: dict[Measure, None] = {}
    for benchmark in dict.fromkeys(name for column in sets for name in column):
        for column in sets:
            names |= dict.fromkeys(Measure(benchmark, metric) for metric in column.get(benchmark, {}))
    return [("", by_benchmark(sets, tuple(names)))]


def difference_parts(scores: Scores) -> tuple[list[str], list[tuple[str, list]]]:
    """Titles and rows of the edit minus each control; nothing without tests, which older runs lack."""
    minus = scores.get("edited_minus", {})
    controls = [name for name in controls_of(scores) if name in minus]
    sets = [minus[name] for name in controls]
    if not any("p" in score for column in sets for metrics in column.values() for score in metrics.values()):
        return [], []
    return [f"edited - {control_title(name)}" for name in controls], main_parts(sets)


@dataclass(frozen=True)
class SubjectTable:
    """The counts of one benchmark: a row a subject, for each metric one (successes, questions) a variant."""

    benchmark: str
    metrics: list[str]
    rows: list[tuple[str, list[tuple[int, int] | None]]]


def subject_tables(scores: Scores) -> list[SubjectTable]:
    """The counts that were kept of the subjects of each benchmark, under the main table's metrics; nothing of older runs."""
    counts = scores.get("subjects", {})
    variants = ["base", "edited", *controls_of(scores)]
    tables = []
    for benchmark, by_metric in counts.get("edited", {}).items():
        metrics = [measure.metric for measure in EFFECT + DAMAGE if measure.benchmark == benchmark and measure.metric in by_metric]
        subjects = dict.fromkeys(subject for metric in metrics for subject in by_metric[metric])
        rows = [
            (
                subject,
                [counts.get(variant, {}).get(benchmark, {}).get(metric, {}).get(subject) for metric in metrics for variant in variants],
            )
            for subject in subjects
        ]
        if rows:
            tables.append(SubjectTable(benchmark, metrics, rows))
    return tables


def report_page(run: RunFiles, analysis: Markup = NOTHING) -> str:
    """The report's HTML; the same run folder gives the same bytes.

    Args:
        analysis: a section of the page about the gate, in place of the plainer figures of its profile and votes: `Markup` that this
            package made, never text of the run folder.
    """
    named = columns(run.scores, run.edited_gate)
    sets = [column for _, column in named]
    difference_titles, differences = difference_parts(run.scores)
    failed, failure_count = failures(run)
    training_titles = {variant: named[1][0] if variant == "edited" else control_title(variant) for variant in run.training}
    gradient = figures.gradient_shares(run.training, training_titles) if run.training else None
    return fill(
        "report.html.jinja",
        run=run,
        created=run.manifest.get("created"),
        claim=claim(run.scores),
        comparisons=comparisons(run.scores, run.edited_gate),
        degenerate=degenerate_note(run.scores),
        open_questions=cannot_conclude(run.scores),
        method=method_line(run.scores),
        how_scored=how_scored(run.scores),
        cut_off=cut_off_note(run.scores, run.answer_tokens),
        promise=promise_note(run.promise, run.scores),
        unread=unread_note(run.manifest.get("unread", {})),
        titles=[title for title, _ in named],
        main_parts=main_parts(sets),
        all_parts=all_parts(sets),
        difference_titles=difference_titles,
        difference_parts=differences,
        subject_tables=subject_tables(run.scores),
        examples=examples(run),
        failures=failed,
        failure_count=failure_count,
        shares_note=shares_note(run.gate) if run.gate else "",
        # the analysis draws both again, with intervals
        profile=[Markup(figure) for figure in figures.layer_profile(run.gate)] if run.gate and not analysis else [],
        votes=Markup(figures.vote_map(run.gate)) if run.gate and not analysis else None,
        analysis=analysis,
        training_titles=training_titles,
        curves=[Markup(figure) for figure in figures.training_curves(run.training, training_titles)],
        gradient=Markup(gradient) if gradient else None,
        causality=Markup(figures.patching_curves(run.causality)) if run.causality else None,
    )


def write_report(run_folder: Path, analysis: Markup = NOTHING) -> Path:
    """Write ``report.html`` into the run folder and return its path; ``analysis`` as in :func:`report_page`. Raises UserError when the
    run has not been evaluated."""
    run = load_run(run_folder)
    path = run.folder / "report.html"
    write_text(path, report_page(run, analysis))
    return path
