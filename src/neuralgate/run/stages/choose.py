"""The layer to edit: `choice.json`. It depends on the edit, as hours of locating do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.recipe import Recipe
from neuralgate.records.choice import CHOICE_FILE, Choice
from neuralgate.run.stages.base import EDITING, Stage, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Choose(Stage):
    name, verb = "choose", "locate"
    needs = ("pairs", "locate")
    code = EDITING
    shared = True

    def settings(self, recipe: Recipe) -> Any:
        return recipe.edit.digest if recipe.edit.layers == "search" else None

    def outputs(self, recipe: Recipe) -> list[str]:
        return [CHOICE_FILE]

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.choose.layer import choose_layer
        from neuralgate.locate.gate import Gate

        edit = work.recipe.edit
        choice: Choice = {}
        if edit.layers == "search" and work.model.is_quantised:
            work.run.display.line("the search for the layer is left out: it edits, and quantised weights cannot be edited")
        elif edit.layers == "search":
            gate = Gate.load(work.run.path("gate"), work.model_hash)
            choice = choose_layer(work.model, work.pairs, gate, edit, report=attempt.report, chunks=attempt.chunks)
        if attempt.leads:
            work.run.write_json(CHOICE_FILE, choice)
