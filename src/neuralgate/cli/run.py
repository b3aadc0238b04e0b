"""What the verbs about runs share: their options, and how a run is begun and continued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralgate.cli.print import print_result, say

if TYPE_CHECKING:
    from neuralgate.run.stages.base import Verb

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", "-r", help="YAML file; without one the run's own, or the defaults.", show_default=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting of the recipe, as edit.rate=1e-4; repeatable.", show_default=False)
]
GateOption = Annotated[
    str | None, typer.Option(help="Short for --set edit.gate=...: strong, none, random, inverted, closed.", show_default=False)
]
MachineOption = Annotated[
    list[str] | None,
    typer.Option("--machine", help="device, dtype, threads or batch_size, as threads=2; repeatable.", show_default=False),
]
KeepStale = Annotated[
    bool, typer.Option("--keep-stale", help="Take finished results as they are, though neuralgate has changed since they were made.")
]


def begin(
    model: str,
    recipe_file: Path | None,
    out: Path | None,
    settings: list[str] | None,
    gate: str | None,
    machine: list[str] | None,
    until: Verb,
    keep_stale: bool = False,
) -> None:
    """Make a run folder, or go on with one of the same model."""
    from neuralgate.chunks import launched
    from neuralgate.machine import Machine
    from neuralgate.progress import Display
    from neuralgate.run import pipeline
    from neuralgate.run.begin import copied_pairs, dtype_of, place_and_recipe
    from neuralgate.run.check import check_recipe
    from neuralgate.run.follow import run_class
    from neuralgate.run.model import loader
    from neuralgate.run.resolve import resolve

    folder, recipe = place_and_recipe(model, recipe_file, out, [*(settings or []), *([f"edit.gate={gate}"] if gate else [])])
    here = Machine.parse(machine or [])
    lvlm = loader(recipe, here, dtype_of(folder))()  # before anything is written: its identity is part of the run's
    if launched().leads:
        recipe, reasons = resolve(recipe, lvlm, launched().count)
        for line in reasons:
            Display().line(line)
    check_recipe(recipe, lvlm, until, copied_pairs(folder, recipe))
    with run_class().open(folder, recipe, lvlm.fingerprint) as current:
        pipeline.execute(current, lambda: lvlm, here, until, keep_stale=keep_stale)
    if until == "report" and current.share.leads:
        print_result(folder)


def go_on(folder: Path, machine: list[str] | None, until: Verb, analysed: bool = False, keep_stale: bool = False) -> None:
    from neuralgate.machine import Machine
    from neuralgate.run import pipeline
    from neuralgate.run.begin import dtype_of
    from neuralgate.run.follow import run_class
    from neuralgate.run.model import loader

    here = Machine.parse(machine or [])
    with run_class().load(folder) as current:
        pipeline.execute(current, loader(current.recipe, here, dtype_of(folder)), here, until, analysed, keep_stale)
    if analysed and current.share.leads:
        say(str(folder / "analysis"))
    if until == "evaluate" and current.share.leads:
        print_result(folder)
