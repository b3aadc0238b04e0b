"""The strength of the edit at which leaks and damage stay below the levels asked for, if there is one: `promise/`, with the patch at
that strength, or at the one that comes nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.recipe import Recipe
from neuralgate.records.answers import ANSWERED, read_answers
from neuralgate.records.promise import PROMISE_FILE
from neuralgate.run.scores import asking
from neuralgate.run.stages.base import BENCHMARKS, EDITING, Stage, Verb, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Promise(Stage):
    name, verb = "promise", "evaluate"
    needs = ("pairs", "edit", "evaluate")
    code = (*EDITING, *BENCHMARKS, "judge", "evaluate", "run/scores.py")

    def settings(self, recipe: Recipe) -> Any:
        return [recipe.promise.digest, recipe.evaluate.digest]

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["promise"]

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return work.recipe.promise.is_wanted and super().is_wanted(work, until, analysed)

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.evaluate.strengths import find_strength
        from neuralgate.interventions.load import load_intervention

        run, made = work.run, load_intervention(work.run.path("patch"))
        answers = list(read_answers(run.path("answers.jsonl"), ANSWERED))
        found = find_strength(
            work.model,
            made,
            work.pairs,
            answers,
            run.folder,
            work.recipe.promise,
            asking(work.recipe, work.machine),
            report=attempt.report,
            chunks=attempt.chunks,
        )
        made.at(found["strength"]).save(run.path("promise/patch"), evidence=found["sentence"])
        run.write_json(PROMISE_FILE, found)
        run.display.line(found["sentence"])
