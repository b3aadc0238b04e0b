"""``neuralgate compare``: runs side by side, or every method on one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralgate.cli.print import print_table, say
from neuralgate.cli.run import MachineOption
from neuralgate.errors import UserError


def compare(
    places: Annotated[
        list[str], typer.Argument(metavar="RUN... | MODEL | FOLDER", help="Run folders; a model, with --methods; or what that made.")
    ],
    methods: Annotated[
        str | None,
        typer.Option(help="Train and test methods on MODEL: names with commas, or all (`neuralgate ls methods`).", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the methods' results; default runs/compare-MODEL.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting of the comparison of methods, as seeds=1; repeatable.", show_default=False),
    ] = None,
    machine: MachineOption = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison of runs as an HTML page, too.", show_default=False)] = None,
) -> None:
    """Runs side by side, or methods: searched, tested, and put into tables at equal damage. Can be stopped, and started by several
    processes that share the folder (accelerate launch, a Slurm array)."""
    if methods is not None:
        if len(places) != 1 or html:
            raise UserError("Give one model to compare methods on; their page is written to the folder of the results (--out).")
        compare_on(places[0], methods, out or Path("runs") / f"compare-{Path(places[0]).name}", settings or [], machine)
    elif out or settings or machine:
        raise UserError("--out, --set and --machine are about comparing methods; name some with --methods, or all.")
    elif len(places) == 1 and (Path(places[0]) / "base.json").is_file():
        show(Path(places[0]))
    else:
        compare_folders([Path(place) for place in places], html)


def compare_folders(folders: list[Path], html: Path | None) -> None:
    from neuralgate.report.compare import RUN_HEADER, compare_runs, run_rows, write_comparison

    comparison = compare_runs(folders)
    print_table(RUN_HEADER, run_rows(comparison))
    print_table(comparison.header, comparison.rows)
    for note in comparison.notes:
        say(note)
    if html:
        say(str(write_comparison(comparison, html)))


def compare_on(model: str, methods: str, folder: Path, settings: list[str], machine: list[str] | None) -> None:
    """Make what is missing of a comparison of methods, and show it."""
    from neuralgate.comparison.config import ComparisonConfig
    from neuralgate.comparison.entries import chosen_entries
    from neuralgate.comparison.run import compare_methods
    from neuralgate.lvlm.auto import reads_grid
    from neuralgate.machine import Machine
    from neuralgate.recipe import Recipe
    from neuralgate.run.model import loader
    from neuralgate.settings import parse_settings, split_setting

    given = {".".join(keys): value for keys, value in map(split_setting, settings)}
    config = parse_settings(ComparisonConfig, {**given, "model": model}, "--set")
    entries = chosen_entries([name.strip() for name in methods.split(",") if name.strip()])
    lvlm = loader(Recipe(model=model), Machine.parse(machine or []))()
    if not reads_grid(lvlm):
        raise UserError(f"Methods are compared on Clerk's documents, which {model} was not trained to read; take clerk or notary.")
    compare_methods(lvlm, config, entries, folder, say)
    show(folder)


def show(folder: Path) -> None:
    """Print a comparison's tables and write its page."""
    from neuralgate.comparison.page import notes, tables, write_page
    from neuralgate.comparison.tables import read_comparison

    found = read_comparison(folder)
    for title, says, header, rows in tables(found):
        say(title)
        if says:
            say(says)
        print_table(header, rows)
    for note in notes(found):
        say(note)
    say(str(write_page(found, folder)))
