"""With which recipe a run begins, or goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuralgate.recipe import AUTO, Recipe
from neuralgate.records import read_record
from neuralgate.records.manifest import MANIFEST as MANIFEST_RECORD
from neuralgate.records.training import RATE
from neuralgate.run.held import MANIFEST, RECIPE
from neuralgate.run.plan import settings_of
from neuralgate.run.stages.rate import RATE_FILE


def place_and_recipe(model: str, recipe_file: Path | None, out: Path | None, settings: Sequence[str]) -> tuple[Path, Recipe]:
    """The run folder (``out``, or one named after model and recipe), and its recipe, in which settings can still be `auto`.

    A run that is there goes on with its own recipe, unless another one is given; what it has found in the place of an `auto` stays.

    Args:
        settings: as :meth:`Recipe.changed` takes them.
    """

    def based_on(start: Recipe) -> Recipe:
        return start.model_copy(update={"model": model}).changed(settings)

    recipe = based_on(Recipe.load(recipe_file) if recipe_file else Recipe())
    folder = out or Path("runs") / f"{Path(model).resolve().name}-{recipe.name}"
    earlier = recipe_of(folder)
    if earlier is None:
        return folder, recipe
    if recipe_file:
        return folder, recipe.keeping(earlier)
    own = based_on(earlier)
    if "edit.rate" in recipe.automatic() and rate_of(folder) == earlier.edit.rate:  # it holds for what it was found for
        own = own.resolved({"edit.rate": AUTO}).keeping(earlier)
    return folder, own


def recipe_of(folder: Path) -> Recipe | None:
    """That of the run in ``folder``, where there is one."""
    return Recipe.load(folder / RECIPE) if (folder / RECIPE).is_file() else None


def rate_of(folder: Path) -> float | None:
    """The rate of an edit that the run in ``folder`` found, where it was left to it."""
    return read_record(RATE, folder / RATE_FILE)["rate"] if (folder / RATE_FILE).is_file() else None


def dtype_of(folder: Path) -> str:
    """The dtype that the run in ``folder`` was begun with; `auto` where there is none."""
    return read_record(MANIFEST_RECORD, folder / MANIFEST).get("dtype", "auto") if (folder / MANIFEST).is_file() else "auto"


def copied_pairs(folder: Path, recipe: Recipe) -> Path | None:
    """The pairs of the run in ``folder`` where ``recipe`` leaves them as they are: a copy of their source, which may have gone since."""
    earlier = recipe_of(folder)
    same = earlier is not None and settings_of(earlier)["pairs"] == settings_of(recipe)["pairs"]
    return folder / "pairs" if same and (folder / "pairs/pairs.jsonl").is_file() else None
