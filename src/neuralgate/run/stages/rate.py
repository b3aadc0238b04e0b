"""How fast an edit may learn, where nobody said so: `rate.json`. The recipe keeps what was found, so that this is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.recipe import AUTO, Recipe
from neuralgate.records import read_record
from neuralgate.records.training import RATE
from neuralgate.run.stages.base import EDITING, Stage, Verb, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt

RATE_FILE = "rate.json"


class Rate(Stage):
    name, verb = "rate", "locate"
    needs = ("pairs",)
    code = EDITING

    def settings(self, recipe: Recipe) -> Any:
        return recipe.rate_settings()

    def outputs(self, recipe: Recipe) -> list[str]:
        return [RATE_FILE]

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return super().is_wanted(work, until, analysed) and work.recipe.edit.rate == AUTO

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.lvlm.auto import located_layers
        from neuralgate.training.rate import find_rate, middle

        edit = work.recipe.edit
        tried = middle(located_layers(work.model, work.recipe.locate)) if edit.layers == "search" else sorted(edit.layers)
        work.run.write_json(RATE_FILE, find_rate(work.model, work.pairs, edit, tried, report=attempt.report))

    def conclude(self, work: Work) -> None:
        rate = read_record(RATE, work.run.path(RATE_FILE))["rate"]
        work.run.settle(work.recipe.resolved({"edit.rate": rate}))
        work.run.display.line(f"edit.rate: {rate:g}, the largest at which the loss of training pairs falls steadily ({RATE_FILE})")
