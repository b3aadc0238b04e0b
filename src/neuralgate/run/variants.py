"""What is edited in a run, and where each patch lies."""

from __future__ import annotations

from neuralgate.recipe import Recipe

EDITED = "edited"  # the variant with the recipe's own gate


def patch_folders(recipe: Recipe) -> dict[str, str]:
    """Where each variant's patch is, relative to the run folder: the edit itself, then the controls with another gate."""
    controls = [gate for gate in dict.fromkeys(recipe.variants) if gate != recipe.edit.gate]
    return {EDITED: "patch", **{gate: f"controls/{gate}/patch" for gate in controls}}
