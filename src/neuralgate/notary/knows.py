"""What a mind knows without a picture: 300 questions that no training asks, and the prompts by which Notary keeps what its base knew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from neuralgate.errors import UserError
from neuralgate.judge import judge_row
from neuralgate.pairs.schema import Question
from neuralgate.settings import Settings, parse_settings, read_yaml

BENCHMARK = "general"  # none of a run; its questions name their scorer

Text = Annotated[str, Field(min_length=1)]
Asked = Annotated[dict[Text, Annotated[tuple[Text, ...], Field(min_length=1)]], Field(min_length=1)]


class GeneralQuestions(Settings):
    """Questions with all their right answers; one whose answer is ``yes`` or ``no`` is answered by its first word."""

    facts: Asked = Field(description="Capitals, animals, science, everyday knowledge.")
    sums: Asked = Field(description="Small numbers added, compared, continued.")
    words: Asked = Field(description="Opposites, plurals, rhymes, sayings.")


def notary_file(name: str) -> Path:
    """A file of the data beside this module."""
    return Path(str(resources.files("neuralgate.notary").joinpath(name)))


def read_general(path: Path | str) -> tuple[Question, ...]:
    """The questions of a file such as ``general.yaml``, their kind the group that they stand in.

    Raises:
        UserError: the file is missing, is no YAML, or a question has no answer; the sentence names the key.
    """
    groups = parse_settings(GeneralQuestions, read_yaml(path, "The general questions"), str(path))
    return tuple(
        Question(
            BENCHMARK,
            f"{kind}-{number:03d}",
            "",
            kind,
            text,
            truths[0],
            None,
            answer_kind="yes-no" if truths[0] in ("yes", "no") else "text",
            truths=truths[1:],
            scorer="accuracy",
        )
        for kind, asked in (("facts", groups.facts), ("sums", groups.sums), ("words", groups.words))
        for number, (text, truths) in enumerate(asked.items())
    )


@cache
def general_questions() -> tuple[Question, ...]:
    """The 300 questions: 120 facts, 100 sums, 80 tasks about words."""
    return read_general(notary_file("general.yaml"))


@cache
def training_prompts() -> tuple[str, ...]:
    """Prompts whose answers by the untouched base are mixed into training. Raises UserError when the file is no list of texts."""
    path = notary_file("general_training.yaml")
    try:
        return TypeAdapter(tuple[Text, ...]).validate_python(read_yaml(path, "The prompts"))
    except ValidationError as error:
        raise UserError(f"{path} is no list of prompts; write one text a line, each behind a `-`.") from error


def answered_right(questions: Sequence[Question], answers: Sequence[str]) -> list[bool]:
    """Which answers hold a truth of their question, neither refuse nor fall apart: `correct` of the paper's judge."""
    return [judge_row(question.row(), answer, "prefix")["correct"] for question, answer in zip(questions, answers, strict=True)]
