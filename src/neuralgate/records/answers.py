"""What ``answers.jsonl`` holds: questions with every variant's answer and its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NotRequired, TypeVar

from pydantic import AfterValidator, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.files import damaged, parse_json, read_lines
from neuralgate.judge.verdict import Verdict
from neuralgate.pairs.schema import AnswerKind
from neuralgate.records import FileName, Name, check, needs

Row = TypeVar("Row", bound="Answered")


class Answered(TypedDict):
    """One question with every variant's answer: all that judging it again needs."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    benchmark: Name
    id: Name
    subject: Name
    kind: Name
    question: str
    truth: str
    image: FileName | None
    attribute: NotRequired[str]
    answer_kind: AnswerKind
    truths: NotRequired[list[str]]
    choices: NotRequired[list[str]]
    turns: NotRequired[list[list[str]]]
    scorer: NotRequired[Name]
    cluster: NotRequired[str]
    answers: dict[Name, str]
    cut_off: NotRequired[dict[Name, bool]]  # whether the answer has as many tokens as were allowed, and no end; not in older runs


class Answer(Answered):
    """With the verdicts."""

    verdicts: dict[Name, Verdict]


def _is_answered(row: Row) -> Row:
    needs({"base", "edited"} <= row["answers"].keys(), "answers lack base or edited")
    needs("cut_off" not in row or row["cut_off"].keys() == row["answers"].keys(), "answers and cut_off are of different variants")
    return row


def _is_judged(row: Answer) -> Answer:
    needs(row["answers"].keys() == row["verdicts"].keys(), "answers and verdicts are of different variants")
    return row


ANSWERED: TypeAdapter[Answered] = TypeAdapter(Annotated[Answered, AfterValidator(_is_answered)])
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, AfterValidator(_is_answered), AfterValidator(_is_judged)])


def read_answers(path: Path | str, kind: TypeAdapter[Row]) -> Iterator[Row]:
    """The rows of answers.jsonl, one at a time. Raises UserError when there is none, or a row is not as the first one."""
    variants = None
    for line, place in read_lines(path):
        row = check(kind, parse_json(line, place), place)
        variants = variants or row["answers"].keys()
        if row["answers"].keys() != variants:
            raise damaged(place, "it has other variants than the first line")
        yield row
    if variants is None:
        raise damaged(path, "there is no answer in it")
