"""The stages of a run: what each depends on, in the recipe, among the others and of this package's code."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from neuralgate.files import digest, hash_path
from neuralgate.recipe import Recipe

#: The stages in their order, and those whose results each reads.
NEEDS: dict[str, tuple[str, ...]] = {
    "pairs": (),
    "rate": ("pairs",),
    "locate": ("pairs",),
    "search": ("locate",),
    "analyse": ("search",),
    "edit": ("search",),
    "evaluate": ("edit",),
    "report": ("analyse", "evaluate"),
}
#: The code that makes the results of each: an upgrade redoes what it changes, and a new style of the report no hours of locating, as the
#: version would. Left out is what reads and writes files and settings, which are inputs themselves; a test reads the imports and holds it.
_COMMON = ("pairs", "judges.py", "lvlm")
_BENCHMARKS = ("questions", "clerk/questions.py")
_EDIT = (*_COMMON, "locate", "interventions", "training", "choose")
CODE: dict[str, tuple[str, ...]] = {
    "pairs": (*_COMMON, "questions", "clerk"),
    "rate": _EDIT,
    "locate": (*_COMMON, "locate"),
    "search": _EDIT,
    "analyse": (*_EDIT, *_BENCHMARKS, "evaluate/intervals.py", "paper", "report"),
    "edit": _EDIT,
    "evaluate": (*_EDIT, "evaluate", *_BENCHMARKS),
    "report": ("pairs", "judges.py", *_BENCHMARKS, "paper", "evaluate", "report", "clerk/causality.json"),
}


@cache
def code_hash(*places: str) -> str:
    """sha256 over the names and bytes of modules, templates and data: those below ``places``, or all of this package."""
    root = Path(__file__).parent.parent
    roots = [root / place for place in places] or [root]
    files = {file for place in roots for file in (place.rglob("*") if place.is_dir() else [place])}
    found = sorted(file for file in files if file.suffix in (".py", ".jinja", ".css", ".yaml", ".json"))
    return digest([[file.relative_to(root).as_posix(), hash_path(file)] for file in found])


def settings_of(recipe: Recipe) -> dict[str, str]:
    """A hash of what each stage reads of the recipe, beside the results of those before it."""
    searched = recipe.edit.layers == "search"
    read = {
        "pairs": [recipe.seed, recipe.pairs.digest, recipe.evaluate.vqa],
        "rate": recipe.rate_settings(),
        "locate": recipe.locate.digest,
        "search": recipe.edit.digest if searched else None,
        "analyse": [recipe.locate.digest, recipe.edit.digest],
        "edit": [recipe.edit.digest, recipe.variants],
        "evaluate": recipe.evaluate.digest,
    }
    return {**{stage: digest([recipe.prompt_style, found]) for stage, found in read.items()}, "report": recipe.digest}


def dependents(stages: set[str]) -> set[str]:
    """``stages`` and all that need one of them."""
    found = set(stages)
    for stage, needed in NEEDS.items():  # in their order
        if found.intersection(needed):
            found.add(stage)
    return found


def changed(before: Recipe, after: Recipe) -> set[str]:
    """The stages whose results are others with another recipe."""
    known, wanted = settings_of(before), settings_of(after)
    return dependents({stage for stage in wanted if known[stage] != wanted[stage]})


def edit_digest(recipe: Recipe) -> str:
    """A hash of all settings that a patch depends on."""
    found = settings_of(recipe)
    return digest([recipe.model, recipe.revision, *(found[stage] for stage in ("pairs", "locate", "search", "edit"))])
