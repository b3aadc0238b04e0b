"""One self-contained page, from the folder alone: `report.html`."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from neuralgate.recipe import OWN_MODELS, Recipe
from neuralgate.run.stages.base import BENCHMARKS, Stage, Verb, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt

OPTIONAL = ("analyse", "promise")
CAUSALITY = "causality.json"  # the patching curves of a model that comes with the package come along, too


def curves_of(model: str) -> Traversable | None:
    """The patching curves that come with ``model``, if there are any."""
    curves = resources.files("neuralgate").joinpath(model, CAUSALITY)
    return curves if model in OWN_MODELS and curves.is_file() else None


CURVES = tuple(f"{model}/{CAUSALITY}" for model in OWN_MODELS if curves_of(model))


class Report(Stage):
    name, verb = "report", "report"
    needs = ("pairs", "locate", "choose", "analyse", "edit", "evaluate", "promise")
    code = ("pairs", "judge", *BENCHMARKS, "paper", "evaluate", "report", *CURVES)

    def settings_hash(self, recipe: Recipe) -> str:
        return recipe.digest

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["report.html", CAUSALITY] if curves_of(recipe.model) else ["report.html"]

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return super().is_wanted(work, until, analysed) or (analysed and "report" in work.run.manifest["stages"])

    def results_read(self, work: Work) -> dict[str, str]:
        there = work.run.manifest["stages"]
        return {name: work.run.outputs(name) for name in self.needs if name not in OPTIONAL or name in there}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.paper.section import analysis_section
        from neuralgate.report.html import write_report

        if curves := curves_of(work.recipe.model):
            work.run.write_bytes(CAUSALITY, curves.read_bytes())
        write_report(work.run.folder, analysis_section(work.run.folder))
