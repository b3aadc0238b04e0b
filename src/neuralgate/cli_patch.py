"""``neuralgate patch``: look at a patch, check it, put it into a model, take it out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralgate.errors import UserError
from neuralgate.terminal import evidence_of, load_quietly, print_table, say

if TYPE_CHECKING:
    from neuralgate.edit import Patch
    from neuralgate.lvlm.model import LVLM

patch_app = typer.Typer(help="Look at a patch, check it, put it into a model, take it out again.", no_args_is_help=True)

PatchFolder = Annotated[Path, typer.Argument(metavar="PATCH", help="A patch folder.", show_default=False)]
BaseModel = Annotated[str, typer.Argument(metavar="BASE", help="`clerk`, a model directory, or a model of the hub.", show_default=False)]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a BASE of the hub.", show_default=False)]
NewFolder = Annotated[Path, typer.Argument(metavar="OUT", help="The model directory to write; it must not exist.", show_default=False)]


@patch_app.command("show")
def patch_show(patch: PatchFolder) -> None:
    """What a patch changes, and of which model."""
    from neuralgate.edit import Patch

    loaded = Patch.from_pretrained(patch)
    for key, value in loaded.information.items():
        say(f"{key:<20} {value}")
    rows = [
        [
            role,
            entry["name"],
            str(entry["shape"]),
            entry["dtype"],
            f"{entry['changed']:,}",
            f"{entry['relative_change']:.4f}",
            ", ".join(f"{float(share):.0%}: {rank}" for share, rank in entry["energy_ranks"].items()),
        ]
        for role, entry in loaded.tensors.items()
    ]
    print_table(["role", "tensor", "shape", "dtype", "values changed", "norm of the change / norm", "rank that holds"], rows)


@patch_app.command("diff")
def patch_diff(
    first: PatchFolder,
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Another patch folder.", show_default=False)],
    base: Annotated[str | None, typer.Option(help="Their base model: adds norms and the angle between the changes.")] = None,
    revision: Revision = None,
) -> None:
    """What two patches have in common, tensor by tensor."""
    from neuralgate.edit import Patch
    from neuralgate.edit.compare import DIFFERENCE_HEADER, difference_rows
    from neuralgate.lvlm.load import base_folder

    rows = difference_rows(Patch.from_pretrained(first), Patch.from_pretrained(second), base_folder(base, revision) if base else None)
    print_table(DIFFERENCE_HEADER, rows)


@patch_app.command("push")
def patch_push(
    patch: PatchFolder,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; without this only you do.")] = False,
) -> None:
    """Upload a patch to the Hugging Face hub."""
    from neuralgate.edit import Patch

    print(Patch.from_pretrained(patch).push_to_hub(repository, private=not public, evidence=evidence_of(patch)))


@patch_app.command("verify")
def patch_verify(base: BaseModel, patch: PatchFolder, revision: Revision = None) -> None:
    """Whether a patch is whole and belongs to BASE."""
    lvlm, loaded = load_both(base, patch, revision=revision)
    state = loaded.state(lvlm.model)
    say(f"{patch} is whole and belongs to {base}, which {'already holds it' if state == 'patched' else 'does not hold it'}.")


@patch_app.command("apply")
def patch_apply(base: BaseModel, patch: PatchFolder, out: NewFolder, revision: Revision = None) -> None:
    """Write a copy of BASE with the patch in it."""
    lvlm, loaded = load_both(base, patch, out, revision)
    loaded.apply_(lvlm.model)
    lvlm.save(out)
    print(out)


@patch_app.command("revert")
def patch_revert(
    model: Annotated[str, typer.Argument(metavar="DIR", help="A model directory with the patch in it.", show_default=False)],
    patch: PatchFolder,
    out: NewFolder,
) -> None:
    """Write a copy of DIR without the patch: the base, bit for bit."""
    lvlm, loaded = load_both(model, patch, out)
    loaded.revert_(lvlm.model)
    lvlm.save(out)
    print(out)


def load_both(model: str, patch: Path, out: Path | None = None, revision: str | None = None) -> tuple[LVLM, Patch]:
    """The model in its patch's dtype, and the patch. Raises UserError when ``out`` is there already."""
    if out is not None and out.exists():
        raise UserError(f"{out} exists already; choose a new folder.")
    from neuralgate.edit import Patch

    loaded = Patch.from_pretrained(patch)
    dtypes = {entry["dtype"] for entry in loaded.tensors.values()}
    return load_quietly(model, dtypes.pop(), revision=revision), loaded
