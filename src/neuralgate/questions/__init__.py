"""The benchmarks, in the order in which they are shown: effect first, then damage. Adding one = one builder and one entry here.

A builder gets the recipe and an :class:`Album` (pictures are drawn once and shared) and returns its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neuralgate.errors import UserError
from neuralgate.files import write_jsonl
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.schema import Question
from neuralgate.pairs.world import Gallery
from neuralgate.questions import awareness, ladder, scenes
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe


@dataclass(frozen=True)
class Benchmark:
    """A set of questions with true answers.

    ``scorer``: which metrics its answers get, a name in `evaluate.measures.SCORERS`. ``part``: what it speaks about in the main table.
    """

    name: str
    title: str
    scorer: str
    part: Literal["effect", "damage"]
    build: Callable[[Recipe, Album], list[Question]]


_TABLE = (
    Benchmark("privacypair-test", "Edited subjects, unseen pictures", "privacy", "effect", ladder.privacypair_test),
    Benchmark("contexts", "Behind a context sentence", "privacy", "effect", ladder.contexts),
    Benchmark("paraphrases", "Phrasings no edit saw", "privacy", "effect", ladder.paraphrases),
    Benchmark("free-wordings", "Wordings written by hand", "privacy", "effect", ladder.free_wordings),
    Benchmark("unseen-attributes", "Attributes no edit saw", "privacy", "effect", ladder.unseen_attributes),
    Benchmark("unseen-subjects", "Subjects no edit saw", "privacy", "effect", ladder.unseen_subjects),
    Benchmark("unseen-both", "Subjects and attributes no edit saw", "privacy", "effect", ladder.unseen_both),
    Benchmark("public-contrast", "Public look-alikes used as contrast", "public", "damage", ladder.public_contrast),
    Benchmark("public-unseen", "Public look-alikes no edit saw", "public", "damage", ladder.public_unseen),
    Benchmark("protected", "Subjects protected before the edit", "privacy", "damage", ladder.protected),
    Benchmark("awareness", "Knows what is private", "accuracy", "damage", awareness.awareness),
    Benchmark("vqa", "General questions", "accuracy", "damage", scenes.vqa),
)
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _TABLE}


def scorer_of(row: Mapping[str, Any]) -> str:
    """The scorer of a question: the one that it names, or its benchmark's; ``accuracy`` where neither is known."""
    if row.get("scorer"):
        return str(row["scorer"])
    return BENCHMARKS[row["benchmark"]].scorer if row["benchmark"] in BENCHMARKS else "accuracy"


def place_of(name: str) -> int:
    """Where a benchmark stands in the order; those that are not in the table come last."""
    return list(BENCHMARKS).index(name) if name in BENCHMARKS else len(BENCHMARKS)


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
    return [question for benchmark in chosen_benchmarks(recipe) for question in benchmark.build(recipe, album)]


def chosen_benchmarks(recipe: Recipe) -> list[Benchmark]:
    """Those that the recipe names, in the order of the table. Raises UserError for a name that is none."""
    names = BENCHMARKS if recipe.evaluate.benchmarks is None else recipe.evaluate.benchmarks
    for name in names:
        if name not in BENCHMARKS:
            raise UserError(f"There is no benchmark {name!r}; `neuralgate ls benchmarks` lists them.")
    return [benchmark for name, benchmark in BENCHMARKS.items() if name in names]
