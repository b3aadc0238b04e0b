"""The whole story of a run: its stages, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neuralgate.machine import Machine
from neuralgate.run.folder import Run
from neuralgate.run.resolve import resolve
from neuralgate.run.stages import STAGES
from neuralgate.run.stages.base import Verb, Work

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM


def execute(
    run: Run,
    load_model: Callable[[], LVLM],
    machine: Machine,
    until: Verb = "report",
    analysed: bool = False,
    keep_stale: bool = False,
) -> None:
    """Do every stage up to and including those of ``until`` that is not done yet.

    Args:
        load_model: called at most once, and only when a stage needs the model.
        analysed: with ``locate``, analyse the gate too, and draw the report again where there is one.
        keep_stale: take finished results as they are, though the code that made them has changed since.
    """
    work = Work(run, load_model, machine)
    run.keep_stale = keep_stale
    if set(run.recipe.automatic()) - {"edit.rate"}:  # a run that the library began
        run.settle(resolve(run.recipe, work.model, run.share.count)[0])
    for stage in STAGES:
        if not stage.is_wanted(work, until, analysed):
            continue
        with run.stage(stage.name, stage.inputs(work), stage.outputs(run.recipe), stage.shared) as attempt:
            if attempt.needed:
                stage.make(work, attempt)
        stage.conclude(work)
