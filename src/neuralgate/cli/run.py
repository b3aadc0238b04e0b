"""What the verbs about runs share: their options, and how a run is begun and continued."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralgate.cli.print import load_quietly, print_result, say
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM
    from neuralgate.recipe import Machine, Recipe
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
    from neuralgate.progress import Display
    from neuralgate.recipe import AUTO, Machine, Recipe
    from neuralgate.run import pipeline
    from neuralgate.run.check import check
    from neuralgate.run.folder import RECIPE
    from neuralgate.run.follow import run_class
    from neuralgate.run.plan import settings_of
    from neuralgate.run.resolve import resolve

    asked = [*(settings or []), *([f"edit.gate={gate}"] if gate else [])]

    def based_on(start: Recipe) -> Recipe:
        return start.model_copy(update={"model": model}).changed(asked)

    recipe = based_on(Recipe.load(recipe_file) if recipe_file else Recipe())
    folder = out or Path("runs") / f"{Path(model).resolve().name}-{recipe.name}"
    known = Recipe.load(folder / RECIPE) if (folder / RECIPE).is_file() else None
    if known:  # a run that is there goes on with its own recipe, unless another one is given
        own = based_on(known)
        if "edit.rate" in recipe.automatic() and found_rate(folder) == known.edit.rate:  # it holds for what it was found for
            own = own.resolved({"edit.rate": AUTO}).keeping(known)
        recipe = recipe.keeping(known) if recipe_file else own
    here = Machine.parse(machine or [])
    lvlm = loader(recipe, here)()  # before anything is written: its identity is part of the run's
    if launched().leads:
        recipe, found = resolve(recipe, lvlm, launched().count)
        for line in found:
            Display().line(line)
    # the pairs that are there are a copy of their source, which may have gone since
    has_copy = (
        known is not None and settings_of(known)["pairs"] == settings_of(recipe)["pairs"] and (folder / "pairs/pairs.jsonl").is_file()
    )
    check(recipe, lvlm, until, folder / "pairs" if has_copy else None)
    with run_class().open(folder, recipe, lvlm.fingerprint) as current:
        pipeline.execute(current, lambda: lvlm, here, until, keep_stale=keep_stale)
    if until == "report" and current.share.leads:
        print_result(folder)


def found_rate(folder: Path) -> float | None:
    """The rate of an edit that the run in ``folder`` found, where it was left to it."""
    from neuralgate.records import read_record
    from neuralgate.records.training import RATE

    return read_record(RATE, folder / "rate.json")["rate"] if (folder / "rate.json").is_file() else None


def go_on(folder: Path, machine: list[str] | None, until: Verb, analysed: bool = False, keep_stale: bool = False) -> None:
    from neuralgate.recipe import Machine
    from neuralgate.run import pipeline
    from neuralgate.run.follow import run_class

    here = Machine.parse(machine or [])
    with run_class().load(folder) as current:
        pipeline.execute(current, loader(current.recipe, here), here, until, analysed, keep_stale)
    if analysed and current.share.leads:
        say(str(folder / "analysis"))
    if until == "evaluate" and current.share.leads:
        print_result(folder)


def loader(recipe: Recipe, machine: Machine) -> Callable[[], LVLM]:
    """Loads the recipe's model as ``machine`` wants it; torch is imported only then."""

    def load() -> LVLM:
        import torch

        if machine.threads:
            torch.set_num_threads(machine.threads)
        device = machine.device
        if device == "auto":
            # the processes of one launch take a GPU each
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        try:
            torch.zeros(1, device="cpu" if device == "split" else device).item()
        except (RuntimeError, AssertionError, ImportError) as error:  # how torch says that a device is unknown or not there
            reason = str(error).splitlines()[0]
            raise UserError(f"The device {device!r} cannot be used ({reason}); give --machine device=cpu or leave it out.") from error
        return load_quietly(recipe.model, machine.dtype, device, revision=recipe.revision, prompt_style=recipe.prompt_style)

    return load
