"""``neuralgate pairs``: draw pair sets, make them of one's own pictures, mix them, look at them."""

from __future__ import annotations

import os
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from neuralgate.cli.print import print_table, say
from neuralgate.cli.run import GateOption, KeepStale, MachineOption, RecipeOption, RunFolder, SetOption, begin, go_on
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.pairs.schema import PairSet
    from neuralgate.pairs.subjects import Subject
    from neuralgate.pairs.world import World
    from neuralgate.recipe import Recipe


class DrawFirst(TyperGroup):
    """``neuralgate pairs RUN`` is short for ``neuralgate pairs draw RUN``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            close = get_close_matches(args[0], self.commands, n=1)
            if close and not Path(args[0]).exists():
                raise UserError(f"There is no `pairs {args[0]}`; did you mean `pairs {close[0]}`? (A run folder: ./{args[0]}.)")
            args = ["draw", *args]
        return super().parse_args(ctx, args)


pairs_app = typer.Typer(cls=DrawFirst, help="Draw pair sets, make them of your own pictures, mix them, look at them.", no_args_is_help=True)

SubjectsFile = Annotated[
    str, typer.Argument(metavar="SUBJECTS.yaml", help="Your subjects; `documents` for those that come along.", show_default=False)
]
Out = Annotated[Path | None, typer.Option(help="The new folder; without it NAME-pairs.", show_default=False)]
Seed = Annotated[int, typer.Option(min=0, help="Another seed draws other values and pictures.")]
Questions = Annotated[int, typer.Option("--vqa", min=0, help="Questions about general scenes.")]


@pairs_app.command("draw")
def pairs_draw(
    folder: RunFolder,
    model: Annotated[str | None, typer.Option(help="`clerk` (the default), `notary`, or a model directory.", show_default=False)] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    gate: GateOption = None,
    machine: MachineOption = None,
    keep_stale: KeepStale = False,
) -> None:
    """The first stage of a run: its images, pairs and questions. Given nothing but a run folder, go on with that run."""
    from neuralgate.run.held import RECIPE

    if (folder / RECIPE).is_file() and not (model or recipe or settings or gate):
        go_on(folder, machine, until="pairs", keep_stale=keep_stale)
    else:
        begin(model or "clerk", recipe, folder, settings, gate, machine, until="pairs", keep_stale=keep_stale)


@pairs_app.command("synth")
def pairs_synth(
    subjects: SubjectsFile,
    out: Out = None,
    count: Annotated[int, typer.Option(min=1, help="Training pairs for each subject to edit, and half as many for contrast.")] = 96,
    size: Annotated[int, typer.Option(min=112, max=2048, help="Pixels a side: the resolution that the model takes.")] = 336,
    seed: Seed = 0,
    validation: Annotated[int, typer.Option(min=1, help="Validation pairs for each subject.")] = 12,
    test: Annotated[int, typer.Option(min=1, help="Test pictures for each subject and benchmark.")] = 30,
    vqa: Questions = 300,
    processes: Annotated[int | None, typer.Option(min=1, help="How many draw at a time; without it all cores.", show_default=False)] = None,
) -> None:
    """Photographs of invented documents, described in a few lines of YAML: no private picture is needed."""
    from neuralgate.pairs.drawn.photograph import PhotographWorld

    world = PhotographWorld(chosen_subjects(subjects), size)
    sizes = {"per_subject": count, "contrast_per_subject": (count + 1) // 2, "validation_per_subject": validation, "test_per_subject": test}
    draw(world, sizes, vqa, seed, out or Path(f"{Path(subjects).stem}-pairs"), processes or os.cpu_count() or 1)


@pairs_app.command("folder")
def pairs_folder(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Holds a folder of pictures for each subject.", show_default=False)],
    subjects: SubjectsFile,
    out: Out = None,
    per_image: Annotated[int, typer.Option(min=1, help="Pairs about each picture.")] = 1,
    seed: Seed = 0,
    vqa: Questions = 300,
) -> None:
    """Your own pictures: divided by picture into training, validation and test, copies left out."""
    from neuralgate.pairs.own_images import OwnImages

    world = OwnImages(images, chosen_subjects(subjects), seed, per_image)
    everything = 10**6  # all that there are
    names = ("per_subject", "contrast_per_subject", "validation_per_subject", "test_per_subject")
    draw(world, dict.fromkeys(names, everything), vqa, seed, out or Path(f"{images.resolve().name}-pairs"), 1)
    for name, reason in world.unused.items():
        say(f"not used: {name} ({reason})")
    if world.duplicates:
        print(f"left out because they are the same as another picture of their folder: {world.duplicates}")


@pairs_app.command("mix")
def pairs_mix(
    folders: Annotated[list[Path], typer.Argument(metavar="SET...", help="Two or more pair sets.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The new folder.", show_default=False)],
) -> None:
    """Several pair sets as one, drawn ones and your own."""
    from neuralgate.files import write_folder
    from neuralgate.pairs.mixture import gather
    from neuralgate.pairs.schema import PairSet

    if len(folders) < 2:
        raise UserError("One set is no mixture; give two or more.")

    def write(folder: Path) -> None:
        gather(folders, folder)

    write_folder(out, write)
    print_summary(PairSet.load(out))


@pairs_app.command("show")
def pairs_show(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="A pair set, or the run that has one.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where to write it; without it SET-contact-sheet.png here.", show_default=False)] = None,
    count: Annotated[int, typer.Option(min=1, help="Pairs on it.")] = 24,
) -> None:
    """A contact sheet, and how many pairs there are of what."""
    from neuralgate.files import write_bytes
    from neuralgate.pairs.contact_sheet import contact_sheet
    from neuralgate.pairs.images import file_of
    from neuralgate.pairs.schema import PairSet

    pairs = PairSet.load(folder / "pairs" if (folder / "recipe.yaml").is_file() else folder)
    path = out or Path(f"{folder.resolve().name}-contact-sheet.png")  # not into the set, which is hashed as it is
    write_bytes(path, file_of(contact_sheet(pairs, count), format="JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"))
    print_summary(pairs)
    say(f"contact sheet: {path}")


@pairs_app.command("boxes")
def pairs_boxes(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="A pair set with pictures of your own.", show_default=False)],
    language: Annotated[str, typer.Option(help="Of the text in the pictures, by two letters.")] = "en",
    score: Annotated[float, typer.Option(min=0, max=1, help="Confidence from which on something counts as private.")] = 0.3,
) -> None:
    """Find private values in the pictures with presidio, for the method image_redaction: writes boxes.json beside them."""
    from neuralgate.pairs.presidio import detect_boxes

    found = detect_boxes(folder / "images", language, score)
    boxes = sum(map(len, found.values()))
    say(f"{folder / 'images' / 'boxes.json'}: {boxes} boxes in {sum(map(bool, found.values()))} of {len(found)} pictures")


def chosen_subjects(subjects: str) -> tuple[Subject, ...]:
    from neuralgate.pairs.subjects import load_subjects, read_subjects

    return load_subjects() if subjects == "documents" else read_subjects(subjects)


def draw(world: World, sizes: dict[str, int], vqa: int, seed: int, out: Path, processes: int) -> None:
    """Write a pair set of ``world`` to ``out``, and say what is in it."""
    from neuralgate.files import write_folder
    from neuralgate.pairs.schema import PairSet
    from neuralgate.progress import Display
    from neuralgate.questions.draw import draw_pair_set
    from neuralgate.recipe import Recipe

    recipe: Recipe = Recipe.parse({"seed": seed, "pairs": sizes, "evaluate": {"vqa": vqa}})
    display = Display()
    display.start("pairs")

    def report(done: int, total: int, text: str) -> None:
        display.update(done, total, text, {})

    def write(folder: Path) -> None:
        draw_pair_set(world, recipe, folder, processes, report)

    try:
        write_folder(out, write)
    finally:
        display.stop()
    print_summary(PairSet.load(out))
    say(f"pair set: {out}")
    say(f"look at it: neuralgate pairs show {out}")
    say(f"use it:     neuralgate run MODEL --set pairs.source={out}")


def print_summary(pairs: PairSet) -> None:
    questions = Counter(question.subject for question in pairs.questions)
    counts = Counter((pair.subject, pair.split) for pair in pairs)
    roles = {pair.subject: pair.role for pair in pairs}
    rows = [
        [
            subject,
            roles.get(subject, "test only"),
            str(counts[subject, "train"]),
            str(counts[subject, "validation"]),
            str(questions[subject]),
        ]
        for subject in dict.fromkeys((*pairs.subjects(), *filter(None, questions)))
    ]
    print_table(["subject", "role", "training pairs", "validation pairs", "test questions"], rows)
