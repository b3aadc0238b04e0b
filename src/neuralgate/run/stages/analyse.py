"""The gate looked at from all sides: `analysis/`, the paper's figures and what they leave out. Made when asked for; no stage needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.files import digest, hash_path
from neuralgate.recipe import Recipe
from neuralgate.records.choice import read_choice
from neuralgate.run.stages.base import BENCHMARKS, EDITING, Stage, Verb, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Analyse(Stage):
    name, verb = "analyse", "locate"
    needs = ("pairs", "locate", "choose")
    code = (*EDITING, *BENCHMARKS, "evaluate/intervals.py", "paper", "report")
    shared = True

    def settings(self, recipe: Recipe) -> Any:
        return [recipe.locate.digest, recipe.edit.digest]

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["analysis"]

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return analysed

    def results_read(self, work: Work) -> dict[str, str]:
        from neuralgate.paper.sweeps import plan

        return {**super().results_read(work), "plan": digest(plan())}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.locate.gate import Gate
        from neuralgate.paper.analyse import analyse
        from neuralgate.paper.figures import write_analysis

        run, recipe = work.run, work.recipe
        gate = Gate.load(run.path("gate"), work.model_hash)
        choice = read_choice(run.folder)
        analysis = analyse(work.model, work.pairs, gate, choice, recipe.locate, recipe.edit, attempt.report, attempt.chunks)
        if attempt.leads:
            write_analysis(run.path("analysis"), {"gate": hash_path(run.path("gate")), **analysis})
