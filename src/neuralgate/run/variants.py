"""What is done to the model in a run, and where each result lies."""

from __future__ import annotations

from neuralgate.recipe import Recipe

EDITED = "edited"  # the variant with the recipe's own gate


def patch_folders(recipe: Recipe) -> dict[str, str]:
    """Where each variant of the edit has its patch, relative to the run folder: the edit itself, then the controls with another gate."""
    controls = [gate for gate in dict.fromkeys(recipe.variants) if gate != recipe.edit.gate]
    return {EDITED: "patch", **{gate: f"controls/{gate}/patch" for gate in controls}}


def variant_folders(recipe: Recipe) -> dict[str, str]:
    """Where each variant has what is put on the model: the edit, its controls, then the further methods."""
    return {**patch_folders(recipe), **{name: f"methods/{name}" for name in recipe.methods}}
