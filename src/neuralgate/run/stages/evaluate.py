"""Every question put to the base model and to every variant, then judged and scored: `answers.jsonl`, `scores.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.files import digest, hash_path
from neuralgate.recipe import Recipe
from neuralgate.run.scores import asking, write_scores
from neuralgate.run.stages.base import BENCHMARKS, EDITING, Stage, Work
from neuralgate.run.variants import variant_folders

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Evaluate(Stage):
    name, verb = "evaluate", "evaluate"
    needs = ("pairs", "edit")
    code = (*EDITING, *BENCHMARKS, "judge", "evaluate", "run/scores.py")
    shared = True

    def settings(self, recipe: Recipe) -> Any:
        return recipe.evaluate.digest

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["answers.jsonl", "scores.json"]

    def results_read(self, work: Work) -> dict[str, str]:
        # the patches alone: the record of their training depends on the clock
        patches = digest([hash_path(work.run.path(folder)) for folder in variant_folders(work.recipe).values()])
        return {"pairs": work.run.outputs("pairs"), "patches": patches}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.evaluate.ask import answer
        from neuralgate.interventions.load import load_intervention

        run, recipe = work.run, work.recipe
        interventions = {variant: load_intervention(run.path(folder)) for variant, folder in variant_folders(recipe).items()}
        settings = asking(recipe, work.machine)
        answers = answer(work.model, run.path("pairs"), interventions, settings, report=attempt.report, chunks=attempt.chunks)
        if attempt.leads:
            write_scores(run, answers, run.folder, recipe.model)
