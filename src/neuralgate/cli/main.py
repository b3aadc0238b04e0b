"""The command line: verbs that parse, call and print. Heavy imports stand inside the verbs, so that --help is quick."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from neuralgate.cli.compare import compare
from neuralgate.cli.model import convert_app, doctor, export, fetch
from neuralgate.cli.pairs import pairs_app
from neuralgate.cli.patch import patch_app
from neuralgate.cli.print import print_result, print_scores, print_table, say
from neuralgate.cli.run import GateOption, KeepStale, MachineOption, RecipeOption, RunFolder, SetOption, begin, go_on
from neuralgate.errors import UserError
from neuralgate.files import disk_errors
from neuralgate.text import clipped, for_terminal

app = typer.Typer(
    name="neuralgate",
    help="Small, reversible weight patches that make a vision-language model refuse private details, with the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
list_app = typer.Typer(help="List what there is to choose from.", no_args_is_help=True)
app.add_typer(pairs_app, name="pairs")
app.add_typer(patch_app, name="patch")
app.add_typer(convert_app, name="convert")
app.add_typer(list_app, name="ls")

LONGEST = 2000  # characters of a sentence about what may be megabytes of somebody's file
debugging = False


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 stopped by something that the user can put right, by Ctrl-C or another signal to end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # `nohup` ignores one, and means it
            signal.signal(number, interrupt)
    try:
        with disk_errors("the files of this command"):
            app()
    except UserError as error:
        if debugging:
            raise
        print(f"error: {clipped(for_terminal(str(error)), LONGEST)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(2)
    except SystemExit as stop:
        if stop.code != 130:  # typer's code for Ctrl-C
            raise
        say_interrupted()
        sys.exit(2)


class Interrupted(KeyboardInterrupt):
    """A plain KeyboardInterrupt that goes through an `exec` of text (which makes dataclasses) ends Python by the signal, caught or not."""


def interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def say_interrupted() -> None:
    print("interrupted: nothing is half-written; run the same command again and it continues where it stopped.", file=sys.stderr)


def show_version(wanted: bool) -> None:
    if wanted:
        from neuralgate import __version__

        print(f"neuralgate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    global debugging
    debugging = debug


# --- runs -----------------------------------------------------------------------------------------------------------


@app.command()
def run(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="`clerk`, `notary`, a model directory or a model of the hub.", show_default=False)
    ],
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; without it runs/MODEL-RECIPE.", show_default=False)] = None,
    settings: SetOption = None,
    gate: GateOption = None,
    leak_at_most: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Find a strength that keeps this promise about new subjects.", show_default=False)
    ] = None,
    damage_at_most: Annotated[
        float | None, typer.Option(metavar="SHARE", help="And this one: harmless questions lost at most.", show_default=False)
    ] = None,
    machine: MachineOption = None,
    keep_stale: KeepStale = False,
) -> None:
    """Everything: pairs, locate, edit, evaluate, report. Continues a run that was stopped; with other settings it keeps the results that
    depend on them below `earlier` and makes them again."""
    levels = {"leak_at_most": leak_at_most, "damage_at_most": damage_at_most}
    promises = [f"promise.{key}={level}" for key, level in levels.items() if level is not None]
    begin(model, recipe, out, [*(settings or []), *promises], gate, machine, until="report", keep_stale=keep_stale)


@app.command()
def locate(
    folder: RunFolder,
    analyse: Annotated[
        bool, typer.Option("--analyse", help="Redraw the paper's figures of this gate and test it, into RUN/analysis and the report.")
    ] = False,
    machine: MachineOption = None,
    keep_stale: KeepStale = False,
) -> None:
    """Find the gate and the layer, after the stages before it."""
    go_on(folder, machine, until="locate", analysed=analyse, keep_stale=keep_stale)


@app.command()
def edit(folder: RunFolder, machine: MachineOption = None, keep_stale: KeepStale = False) -> None:
    """Train the patch and its controls, after the stages before it."""
    go_on(folder, machine, until="edit", keep_stale=keep_stale)


@app.command("eval")
def evaluate(
    folder: RunFolder,
    served: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Ask this model too, an export of the edit perhaps, and print it beside.")
    ] = None,
    machine: MachineOption = None,
    keep_stale: KeepStale = False,
) -> None:
    """Ask base and edited models every question and score the answers, after the stages before it."""
    if not served:
        go_on(folder, machine, until="evaluate", keep_stale=keep_stale)
        return
    from neuralgate.machine import Machine
    from neuralgate.run.begin import dtype_of
    from neuralgate.run.folder import Run
    from neuralgate.run.model import loader
    from neuralgate.run.scores import measure_served

    here = Machine.parse(machine or [])
    with Run.load(folder) as current:
        recipe = current.recipe.model_copy(update={"model": served, "revision": None})
        measured = measure_served(current, loader(recipe, here, dtype_of(folder))(), here)  # as the run was measured
    print_scores(measured / "scores.json")


@app.command()
def score(
    folder: RunFolder,
    judge: Annotated[
        str | None, typer.Option(metavar="NAME", help="refusal or prefix, from now on; without it the run's own.", show_default=False)
    ] = None,
    interval: Annotated[
        str | None, typer.Option(metavar="NAME", help="clustered or wilson, from now on; without it the run's own.", show_default=False)
    ] = None,
) -> None:
    """Judge and score the answers that are there again, without the model."""
    from neuralgate.run.folder import Run
    from neuralgate.run.scores import rescore

    with Run.load(folder) as current:
        rescore(current, judge, interval)
    print_result(folder)


@app.command()
def report(folder: RunFolder) -> None:
    """Write report.html from what the run folder holds, without the model."""
    from neuralgate.paper.section import analysis_section
    from neuralgate.report.html import write_report
    from neuralgate.run.folder import Run

    with Run.load(folder) as current:
        say(str(write_report(current.folder, analysis_section(current.folder))))


app.command()(compare)
app.command()(export)
app.command()(doctor)
app.command()(fetch)

# --- lists ----------------------------------------------------------------------------------------------------------


@list_app.command("models")
def list_models() -> None:
    """The models that come along, and the families that run."""
    from neuralgate.lvlm.families import FAMILIES, HEADER

    print("clerk   the embedded model: reads documents aloud, 128 x 128 pixels, runs on two CPU cores")
    print("notary  the same documents before a pretrained mind, SmolLM2-135M-Instruct, which is fetched once (`neuralgate fetch notary`)")
    print("A model directory or a name of the hub, of one of these families (`neuralgate doctor MODEL` says what one would need here):")
    print_table(list(HEADER), [list(family) for family in FAMILIES])


@list_app.command("methods")
def list_methods() -> None:
    """What can be done to a model (methods in the recipe), and what the neural gate lets through at the subject's tokens (--gate)."""
    from neuralgate.methods import METHODS, idea
    from neuralgate.recipe import EDIT_PRESETS, GATE_MODES, LOCATE_PRESETS

    print_table(
        ["method", "edits", "trained values", "paper"],
        [[name, method.EDITS, method.TRAINED, method.PAPER] for name, method in METHODS.items()],
    )
    print()
    for name, method in METHODS.items():
        print(f"{name:<{max(map(len, METHODS))}} {idea(method)}")
    print("\ngates of neural_gate:")
    for mode, clause in GATE_MODES.items():
        print(f"{mode:<9} {clause}")
    print(f"\npresets of locate: {', '.join(LOCATE_PRESETS)}; of edit: {', '.join(EDIT_PRESETS)} (--set edit=authors)")


@list_app.command("benchmarks")
def list_benchmarks() -> None:
    """What is measured, effect first, then damage."""
    from neuralgate.questions import BENCHMARKS

    rows = [[benchmark.name, benchmark.part, benchmark.scorer, benchmark.title] for benchmark in BENCHMARKS.values()]
    print_table(["benchmark", "part", "scorer", "what is asked"], rows)


@list_app.command("subjects")
def list_subjects() -> None:
    """The subjects of Clerk's world, by group."""
    from neuralgate.pairs.subjects import load_subjects

    rows = [
        [subject.name, subject.group, ", ".join(subject.sensitive), ", ".join(subject.benign_attributes)] for subject in load_subjects()
    ]
    print_table(["subject", "group", "sensitive", "benign"], rows)
