"""The benchmarks, in the order in which they are shown. Adding one = one file and one line here.

A builder gets the recipe and an :class:`Album` (pictures are drawn once and shared) and returns its questions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neuralgate.files import write_jsonl
from neuralgate.pairs.schema import Question
from neuralgate.pairs.world import ClerkWorld, Gallery
from neuralgate.questions import awareness, ladder, scenes
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe

BENCHMARKS: dict[str, Callable[[Recipe, Album], list[Question]]] = {
    "privacypair-test": ladder.privacypair_test,
    "contexts": ladder.contexts,
    "paraphrases": ladder.paraphrases,
    "unseen-attributes": ladder.unseen_attributes,
    "unseen-subjects": ladder.unseen_subjects,
    "unseen-both": ladder.unseen_both,
    "public-contrast": ladder.public_contrast,
    "public-unseen": ladder.public_unseen,
    "protected": ladder.protected,
    "awareness": awareness.awareness,
    "vqa": scenes.vqa,
}


def build_questions(recipe: Recipe, folder: Path) -> list[Question]:
    """All questions of a run on Clerk's documents, written to ``folder/questions.jsonl`` with their images."""
    gallery = Gallery(ClerkWorld(recipe.pairs.scale), folder)
    album = Album(gallery, recipe.seed)
    questions = plan_questions(recipe, album)
    gallery.save()
    album.save()
    write_jsonl(folder / "questions.jsonl", [question.row() for question in questions])  # last: never without their pictures
    return questions


def plan_questions(recipe: Recipe, album: Album) -> list[Question]:
    """All questions of a run; the pictures are still to be written by the gallery, the questions by the album."""
    return [question for build in BENCHMARKS.values() for question in build(recipe, album)]
