"""One self-contained page, from the folder alone: `report.html`."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from neuralgate.recipe import Recipe
from neuralgate.run.stages.base import BENCHMARKS, Stage, Verb, Work

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt

CAUSALITY = "causality.json"  # Clerk's patching curves come with the package


class Report(Stage):
    name, verb = "report", "report"
    needs = ("pairs", "locate", "choose", "analyse", "edit", "evaluate")
    code = ("pairs", "judge", *BENCHMARKS, "paper", "evaluate", "report", f"clerk/{CAUSALITY}")

    def settings_hash(self, recipe: Recipe) -> str:
        return recipe.digest

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["report.html", CAUSALITY] if recipe.model == "clerk" else ["report.html"]

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return super().is_wanted(work, until, analysed) or (analysed and "report" in work.run.manifest["stages"])

    def results_read(self, work: Work) -> dict[str, str]:
        there = work.run.manifest["stages"]
        return {name: work.run.outputs(name) for name in self.needs if name != "analyse" or name in there}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.paper.section import analysis_section
        from neuralgate.report.html import write_report

        if CAUSALITY in self.outputs(work.recipe):
            work.run.write_bytes(CAUSALITY, resources.files("neuralgate").joinpath(f"clerk/{CAUSALITY}").read_bytes())
        write_report(work.run.folder, analysis_section(work.run.folder))
