"""What the verbs of the command line print: tables, and results in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuralgate.text import for_terminal

if TYPE_CHECKING:
    from neuralgate.records.scores import Scores


def print_result(folder: Path) -> None:
    """The claim and the table of effect and damage, what cannot be concluded from them, then where the report is."""
    from neuralgate.evaluate.conclusions import cannot_conclude
    from neuralgate.report.data import examples, load_run
    from neuralgate.report.notes import method_line, promise_note
    from neuralgate.report.summary import claim, columns, table

    run = load_run(folder)
    print_table(*table(columns(run.scores, run.edited_gate)))
    say(claim(run.scores))
    if line := method_line(run.scores):
        say(line)
    for sentence in cannot_conclude(run.scores):
        say(sentence)
    if promise := promise_note(run.promise, run.scores):
        say(promise)
    warn_of_cut_off(run.scores, run.answer_tokens)
    for example in examples(run)[:1]:
        for question in example.questions:
            print()
            say(f"  {question.question}")
            say(f"    base:   {question.base}")
            say(f"    edited: {question.edited}")
    print()
    page = folder / "report.html"
    if page.is_file() and page.stat().st_mtime >= (folder / "scores.json").stat().st_mtime:
        say(f"report: {page}")
    else:
        say(f"For a report of these scores: neuralgate report {folder}")


def print_scores(path: Path) -> None:
    """The table of effect and damage of a file of scores."""
    from neuralgate.records import read_record
    from neuralgate.records.scores import SCORES
    from neuralgate.report.summary import columns, table

    scores = read_record(SCORES, path)
    print_table(*table(columns(scores)))
    warn_of_cut_off(scores)


def warn_of_cut_off(scores: Scores, tokens: int | None = None) -> None:
    """A line where more than a few percent of the answers have no end within the ``tokens`` allowed."""
    from neuralgate.report.notes import MANY_CUT_OFF, cut_off_note, cut_off_shares

    if max(cut_off_shares(scores).values(), default=0.0) > MANY_CUT_OFF:
        say(f"warning: {cut_off_note(scores, tokens)}")


def say(line: str) -> None:
    """One line on standard output, whatever stands in it."""
    print(for_terminal(line))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for place, title in enumerate(header):
        table.add_column(Text(for_terminal(title)), no_wrap=place == 0 and all(len(row[0]) < 40 for row in rows))  # a name stays whole
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))  # Text: a bracket in a cell is no markup
    Console(width=None if sys.stdout.isatty() else 160).print(table)
