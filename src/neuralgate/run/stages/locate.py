"""Scaling vectors and their votes: `gate/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralgate.recipe import Recipe
from neuralgate.run.stages.base import COMMON, Stage, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Locate(Stage):
    name, verb = "locate", "locate"
    needs = ("pairs",)
    code = (*COMMON, "locate")
    shared = True

    def settings(self, recipe: Recipe) -> Any:
        return recipe.locate.digest

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["gate/gate.safetensors", "gate/gate.json"]

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.locate.locate import locate_gate

        gate = locate_gate(work.model, work.pairs, work.recipe.locate, report=attempt.report, chunks=attempt.chunks)
        if attempt.leads:
            gate.save(work.run.path("gate"))
