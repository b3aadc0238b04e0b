"""What a change of the recipe redoes, and what a patch depends on."""

from __future__ import annotations

from neuralgate.recipe import Recipe
from neuralgate.run.stages import STAGES


def settings_of(recipe: Recipe) -> dict[str, str]:
    """A hash of what each stage reads of the recipe, beside the results of those before it."""
    return {stage.name: stage.settings_hash(recipe) for stage in STAGES}


def dependents(stages: set[str]) -> set[str]:
    """``stages`` and all that need one of them."""
    names = set(stages)
    for stage in STAGES:  # in their order
        if names.intersection(stage.needs):
            names.add(stage.name)
    return names


def changed(before: Recipe, after: Recipe) -> set[str]:
    """The stages whose results are others with another recipe."""
    old, new = settings_of(before), settings_of(after)
    return dependents({stage for stage in new if old[stage] != new[stage]})
