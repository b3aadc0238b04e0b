"""A whole pair set, drawn: its pairs, its questions and their pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neuralgate.pairs.builder import plan_pairs
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.drawn.photograph import PhotographWorld
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.subjects import load_subjects
from neuralgate.pairs.world import Gallery, World
from neuralgate.questions import plan_questions
from neuralgate.questions.album import Album
from neuralgate.recipe import DOCUMENTS, Recipe


def drawn_world(recipe: Recipe) -> World | None:
    """Where the pictures of a resolved recipe are drawn; None where they are taken from a folder."""
    if recipe.pairs.source == DOCUMENTS:
        assert isinstance(recipe.pairs.size, int)
        return PhotographWorld(load_subjects(), recipe.pairs.size)
    return None if recipe.pairs.source else ClerkWorld(recipe.pairs.scale)


def draw_pair_set(world: World, recipe: Recipe, folder: Path, processes: int = 1, report: Callable[..., None] | None = None) -> PairSet:
    """A whole pair set, written to ``folder``: training and validation pairs, the questions of the evaluation, their pictures.
    No two of its pictures show the same document.

    Args:
        world: where the pictures come from.
        recipe: its seed, `pairs` and `evaluate` settings say how many of what.
        processes: how many draw at a time.
    """
    gallery = Gallery(world, folder)
    planned = plan_pairs(recipe.pairs, recipe.seed, gallery)
    album = Album(gallery, recipe.seed)
    pairs = PairSet(planned, folder, plan_questions(recipe, album))
    gallery.save(processes, report)
    album.save()
    pairs.save(folder)
    return pairs
