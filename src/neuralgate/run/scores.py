"""Scores of a run: of the answers that have just been given, of those that are there already, and of a model in the edited one's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralgate.files import write_json, write_jsonl
from neuralgate.machine import Machine
from neuralgate.progress import Display
from neuralgate.recipe import EvaluateConfig, Recipe
from neuralgate.records import read_record
from neuralgate.records.answers import ANSWERED, read_answers
from neuralgate.records.training import PATCH
from neuralgate.run.variants import EDITED
from neuralgate.text import shown_name

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM
    from neuralgate.run.folder import Run

SERVED = "served"  # the variant, and the folder, of a model that was made from the edited one


def asking(recipe: Recipe, machine: Machine) -> EvaluateConfig:
    """How questions are asked on this machine."""
    return recipe.evaluate.model_copy(update={"batch_size": machine.batch_size or recipe.evaluate.batch_size})


def write_scores(run: Run, answers: Iterable[Mapping[str, Any]], folder: Path, model: str) -> None:
    """Judge ``answers`` and write ``answers.jsonl`` and ``scores.json`` of ``model`` into ``folder``."""
    from neuralgate.evaluate.score import judge_and_score

    method = read_record(PATCH, run.path("patch/patch.json"))["method"]
    settings = run.recipe.evaluate
    rows, scores = judge_and_score(answers, model, method, settings.interval, settings.judge)
    write_jsonl(folder / "answers.jsonl", rows)
    write_json(folder / "scores.json", scores)


def rescore(run: Run, judge: str | None = None, interval: str | None = None) -> None:
    """Judge and score the answers that are there again, without the model: for a judge or a metric that has changed. ``judge`` and
    ``interval``, others than the run's own, are its own from now on.

    Raises:
        UserError: there is no such judge or interval.
    """
    run.outputs("evaluate")
    answers = list(read_answers(run.path("answers.jsonl"), ANSWERED))
    recipe_before = run.recipe
    wanted = (("judge", judge), ("interval", interval))
    run.recipe = recipe_before.changed([f"evaluate.{key}={value}" for key, value in wanted if value is not None])
    write_scores(run, answers, run.folder, run.recipe.model)
    if run.recipe != recipe_before:
        run.settle(run.recipe)  # last: a kill before leaves answers that the stage makes again
    run.refresh("evaluate", recipe_before)


def measure_served(run: Run, lvlm: LVLM, machine: Machine) -> Path:
    """Ask the run's questions of a model that stands in for the edited one, as an export in 4 bit does, and write its
    answers and scores beside the run's own, into ``served/<name>``. Returns that folder."""
    from neuralgate.chunks import Chunks
    from neuralgate.evaluate.ask import answers_of, ask
    from neuralgate.pairs.schema import Question

    run.outputs("evaluate")
    rows: list[Mapping[str, Any]] = list(read_answers(run.path("answers.jsonl"), ANSWERED))
    questions = [Question.of_row(row) for row in rows]
    display = Display()
    display.start(SERVED)
    chunks = Chunks()

    def report(done: float, total: float, text: str) -> None:
        display.update(done, total, text, {})

    ask(lvlm, questions, run.folder, {SERVED: None}, asking(run.recipe, machine), report, chunks)
    display.stop()
    kept: list[Mapping[str, Any]] = []
    for question, row, (text, cut_off) in zip(questions, rows, answers_of(SERVED, questions, chunks), strict=True):
        answered = {"answers": {name: row["answers"][name] for name in ("base", EDITED)} | {SERVED: text}}
        if "cut_off" in row:  # of the run's own answers, which may be older
            answered["cut_off"] = {name: row["cut_off"][name] for name in ("base", EDITED)} | {SERVED: cut_off}
        kept.append({**question.row(), **answered})
    folder = run.path(SERVED) / Path(shown_name(lvlm.name)).name  # of "..", too
    write_scores(run, kept, folder, lvlm.name)
    return folder
