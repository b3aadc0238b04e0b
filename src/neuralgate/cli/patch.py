"""``neuralgate patch``: look at a patch, check it, put it into a model, take it out again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from neuralgate.cli.print import print_table, say
from neuralgate.errors import UserError
from neuralgate.text import for_terminal

patch_app = typer.Typer(help="Look at patches and other interventions, check them, put patches in and out.", no_args_is_help=True)

AnyFolder = Annotated[Path, typer.Argument(metavar="PATCH", help="A folder of a patch, steering, prompt or filter.", show_default=False)]
PatchFolder = Annotated[Path, typer.Argument(metavar="PATCH", help="A patch folder.", show_default=False)]
BaseModel = Annotated[
    str, typer.Argument(metavar="BASE", help="`clerk`, `notary`, a model directory, or a model of the hub.", show_default=False)
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a BASE of the hub.", show_default=False)]
NewFolder = Annotated[Path, typer.Argument(metavar="OUT", help="The model directory to write; it must not exist.", show_default=False)]


@patch_app.command("show")
def patch_show(
    patch: AnyFolder,
    base: Annotated[str | None, typer.Option(help="Its base model: adds the rank that holds each change.")] = None,
    revision: Revision = None,
) -> None:
    """What a patch (or a steering, a prompt, a filter) changes, and of which model."""
    from neuralgate.interventions.load import load_intervention
    from neuralgate.interventions.low_rank import ranks_of
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.load import base_folder

    loaded = load_intervention(patch)
    for key, value in loaded.information.items():
        say(f"{key:<20} {value}")
    if (strength := getattr(loaded, "strength", 1)) != 1:
        say(f"{'strength':<20} {strength:g}")
    header, rows = loaded.table()
    if base:
        if not isinstance(loaded, Patch):
            raise UserError(f"{patch} changes no weights, so no base says more of it; leave --base out.")
        ranks = ranks_of(base_folder(base, revision), loaded)
        header = [*header, "rank that holds"]
        rows = [[*row, ", ".join(f"{share:.0%}: {rank}" for share, rank in ranks[row[0]].items())] for row in rows]
    print_table(header, rows)


@patch_app.command("diff")
def patch_diff(
    first: AnyFolder,
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Another one of the same kind.", show_default=False)],
    base: Annotated[str | None, typer.Option(help="Their base model: adds norms and the angle between the changes.")] = None,
    revision: Revision = None,
) -> None:
    """What two patches have in common, tensor by tensor."""
    from neuralgate.interventions.diff import difference_table
    from neuralgate.interventions.load import load_intervention
    from neuralgate.lvlm.load import base_folder

    folder = base_folder(base, revision) if base else None
    print_table(*difference_table(load_intervention(first), load_intervention(second), folder))


@patch_app.command("push")
def patch_push(
    patch: AnyFolder,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; without this only you do.")] = False,
) -> None:
    """Upload a patch (or a steering, a prompt, a filter) to the Hugging Face hub."""
    from neuralgate.interventions.hub import push
    from neuralgate.interventions.load import load_intervention
    from neuralgate.report.evidence import evidence_of

    loaded, evidence = load_intervention(patch), evidence_of(patch)
    say(push(lambda folder: loaded.save(folder, evidence), repository, not public, f"A Neural Gate {type(loaded).__name__.lower()}"))


@patch_app.command("verify")
def patch_verify(base: BaseModel, patch: AnyFolder, revision: Revision = None) -> None:
    """Whether a patch (or a steering, a prompt, a filter) is whole and belongs to BASE."""
    from neuralgate.interventions.export import other_base
    from neuralgate.interventions.load import load_intervention
    from neuralgate.interventions.patch import Patch
    from neuralgate.run.model import load_quietly

    loaded = load_intervention(patch)
    if not isinstance(loaded, Patch):
        with loaded.on(load_quietly(base, loaded.information.get("dtype", "auto"), revision=revision)):
            say(f"{patch} is whole and can be put on {base}.")
        return
    dtype = next(iter(loaded.tensors.values()))["dtype"]
    lvlm = load_quietly(base, dtype, revision=revision, prompt_style=loaded.information["prompt_style"])
    state = loaded.state(lvlm.model)
    if state == "patched":
        loaded.revert_(lvlm.model)
    holds = f"which {'already holds it' if state == 'patched' else 'does not hold it'}"
    if difference := other_base(lvlm, loaded):
        print(for_terminal(f"warning: {base} is not the model that {patch} was measured on: {difference}."), file=sys.stderr)
        say(f"{patch} is whole and fits {base}, {holds}.")
    else:
        say(f"{patch} is whole and belongs to {base}, {holds}.")


@patch_app.command("apply")
def patch_apply(base: BaseModel, patch: PatchFolder, out: NewFolder, revision: Revision = None) -> None:
    """Write a copy of BASE with the patch in it: `neuralgate export` to a model directory."""
    write_merged(base, patch, out, revision)


@patch_app.command("revert")
def patch_revert(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="A model directory with the patch in it.", show_default=False)],
    patch: PatchFolder,
    out: NewFolder,
) -> None:
    """Write a copy of DIR without the patch: the base, bit for bit."""
    from neuralgate.interventions.directory import revert_folder
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.load import base_folder

    missing = revert_folder(base_folder(str(model)), Patch.from_pretrained(patch), out)
    if missing:
        print(for_terminal(f"warning: DIR never held these files of the base: {', '.join(missing)}."), file=sys.stderr)
    say(str(out))


def write_merged(base: str, patch: Path, out: Path, revision: str | None) -> None:
    """A model directory with the patch in it, and a word about what of BASE is not there."""
    from transformers.utils.logging import disable_progress_bar

    from neuralgate.interventions.export import export_merged
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.load import base_folder
    from neuralgate.report.evidence import evidence_of

    if out.exists():
        raise UserError(f"{out} exists already; choose a new folder.")
    disable_progress_bar()
    left_out = export_merged(base_folder(base, revision), Patch.from_pretrained(patch), out, evidence_of(patch))
    if left_out:
        print(for_terminal(f"warning: left out, because they hold unedited weights: {', '.join(left_out)}."), file=sys.stderr)
    say(str(out))
