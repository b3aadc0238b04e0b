"""The test questions of all cells: about subjects of four groups, and about scenes."""

from __future__ import annotations

from pathlib import Path

from neuralgate.comparison import answers
from neuralgate.comparison.answers import Asked
from neuralgate.comparison.answers import letter as letter
from neuralgate.comparison.answers import letters as letters
from neuralgate.comparison.measures import SCENES as SCENES
from neuralgate.comparison.measures import Answers as Answers
from neuralgate.pairs.schema import Question
from neuralgate.pairs.subjects import Group, subjects_of

#: The sets of questions about documents, by the group of subjects that they are about.
SETS: dict[Group, str] = {"edit": "edited", "held_out": "unseen private", "public": "look-alikes", "protected": "protected"}
EDITED = SETS["edit"]
TOKENS = 24  # of an answer at most


def draw_questions(pictures: int, asked: dict[str, int], scenes: int, folder: Path) -> list[Question]:
    """All test questions, their pictures written to ``folder``: about each picture of a document ``asked[kind]`` questions of each kind,
    and questions about ``scenes``."""
    sets = {name: Asked(subjects_of(group), pictures, asked) for group, name in SETS.items()}
    return answers.draw_questions(sets, scenes, folder)
