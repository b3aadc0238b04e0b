"""PrivacyPair: an image, its subject, and two questions that differ in one attribute word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from neuralgate.errors import UserError
from neuralgate.files import inside, read_jsonl, refuse_links, write_bytes, write_jsonl
from neuralgate.pairs.mentions import Span, attribute_span, slot

Split = Literal["train", "validation"]
AnswerKind = Literal["text", "yes-no", "option"]
QuestionKind = Literal["sensitive", "benign"]
TokenIds = tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]
Role = Literal["edit", "contrast", "lookalike", "protected"]


@dataclass(frozen=True)
class Pair:
    """One PrivacyPair (section 3.2.1 of the paper).

    ``role`` says what an edit may do with it: ``edit`` pairs teach the refusal, ``contrast`` pairs carry the same
    words where they are harmless and must stay answered. ``lookalike`` and ``protected`` pairs are only looked at
    (validation): public subjects that are in no training, and private ones that the base model refuses by itself.
    ``image`` is relative to the pair set's folder; ``picture`` is the generator's ground truth, if there is one.
    """

    id: str
    split: Split
    role: Role
    subject: str
    image: str
    template: int
    sensitive_attribute: str
    benign_attribute: str
    sensitive_question: str
    benign_question: str
    sensitive_truth: str = ""
    benign_truth: str = ""
    refusal: str = ""  # the refusal prefix drawn for this pair, or the model's own
    refusal_ids: TokenIds = ()  # its tokens, where the model said it
    benign_target: str = ""  # first words of the base model's own answer, see lvlm/targets.py
    benign_target_ids: TokenIds = ()
    sensitive_target: str = ""  # the same for the sensitive question, where it must stay answered
    sensitive_target_ids: TokenIds = ()
    contexts: tuple[str, ...] = ()  # sentences that may stand in front of either question
    picture: dict[str, Any] | None = None
    called: str = ""  # the subject's word in the questions, where it is another than ``subject``

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def word(self) -> str:
        """The subject as the questions name it; its tokens are the subject's tokens."""
        return self.called or self.subject

    @property
    def openings(self) -> tuple[str, ...]:
        """What may stand in front of either question: nothing, or a context sentence with its space."""
        return ("", *(f"{sentence} " for sentence in self.contexts))

    def question(self, kind: QuestionKind) -> str:
        return self.sensitive_question if kind == "sensitive" else self.benign_question

    def subject_span(self, kind: QuestionKind) -> Span:
        """Where the subject stands in one of the questions, in characters: at the place that the template of both gives it.

        Raises:
            UserError: the question does not name its subject.
        """
        questions = (self.sensitive_question, self.benign_question)
        attributes = (self.sensitive_attribute, self.benign_attribute)
        this, other = (0, 1) if kind == "sensitive" else (1, 0)
        attribute = attribute_span(questions[this], attributes[this], questions[other], attributes[other])
        span = slot(questions[this], self.word, attribute)
        if span is None:
            aside = "" if attribute is None else f" beside its attribute {attributes[this]!r}"
            raise UserError(
                f"Pair {self.id}: the question {questions[this]!r} does not name its subject {self.word!r} as a word of its own{aside}; "
                "write the subject into it."
            )
        return span

    def check(self) -> None:
        """Raises UserError when a question does not name its subject or the pair asks one question twice."""
        if not (self.subject.strip() and self.word.strip()):
            raise UserError(f"Pair {self.id} has no subject; name the subject that its questions are about.")
        self.subject_span("sensitive")
        self.subject_span("benign")
        if self.sensitive_question == self.benign_question:
            raise UserError(f"Pair {self.id}: both questions are the same; they must differ in the attribute word.")


@dataclass(frozen=True)
class Question:
    """One question of an evaluation, with the truth that a correct answer contains, or (``answer_kind`` yes-no or option) begins
    with."""

    benchmark: str
    id: str
    subject: str
    kind: str  # "sensitive" | "benign" in privacy sets, else the benchmark's own kinds
    question: str
    truth: str
    image: str | None
    attribute: str = ""
    answer_kind: AnswerKind = "text"
    truths: tuple[str, ...] = ()  # further answers that are as right as ``truth``
    choices: tuple[str, ...] = ()  # the answers that there are to choose from
    turns: tuple[tuple[str, str], ...] = ()  # what was asked and answered before, about the same picture
    scorer: str = ""  # how its answer is scored; "" as its benchmark says
    cluster: str = ""  # what it shares with other questions, which are no independent draws; "" its picture

    __pydantic_config__ = ConfigDict(extra="forbid")

    def row(self) -> dict[str, Any]:
        """Its line of questions.jsonl, without what most questions have nothing to say about."""
        return {name: value for name, value in vars(self).items() if value or name not in SELDOM}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Question:
        """The question of a line of questions.jsonl, or of answers.jsonl, whose lines hold more."""
        return cls(**{name: value for name, value in row.items() if name in cls.__dataclass_fields__})


SELDOM = ("truths", "choices", "turns", "scorer", "cluster")


@dataclass(frozen=True)
class PictureRow:
    """The ground truth of one test picture, a line of ``pictures.jsonl``."""

    image: str
    picture: dict[str, Any]

    __pydantic_config__ = ConfigDict(extra="forbid")


Record = TypeVar("Record", Pair, Question, PictureRow)


def read_records(path: Path, kind: type[Record], called: str) -> Iterator[tuple[str, Record]]:
    """The lines of a file of a set, each with the words for where it stands; ``called`` is what a line ought to be.

    Raises:
        UserError: a line lacks a field, has one too many, or one of another type.
    """
    adapter = TypeAdapter(kind)
    for number, row in enumerate(read_jsonl(path), start=1):
        place = f"{path}, line {number}"
        try:
            yield place, adapter.validate_python(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise UserError(f"{place} is not a {called}: {where}: {first['msg']}; write it again.") from error


def check_image(folder: Path, image: str, place: str) -> Path:
    """The image's file. Raises UserError when it is no regular file inside ``folder``, links followed; ``place`` begins the sentence."""
    path = inside(folder, image, place)
    if not path.is_file():
        raise UserError(f"{place}: the image {image} does not exist in {folder}.")
    return path


def read_questions(folder: Path) -> tuple[Question, ...]:
    """The lines of ``folder/questions.jsonl``, none where there is no such file.

    Raises:
        UserError: a line is no question, or its image is no file inside ``folder``.
    """
    path = folder / "questions.jsonl"
    questions = []
    for place, question in read_records(path, Question, "question") if path.is_file() else ():
        if question.image is not None:
            check_image(folder, question.image, place)
        questions.append(question)
    return tuple(questions)


class PairSet:
    """Pairs, the questions that an edit made of them is measured by, and the folder that the images of both are relative to.

    Iterate for the pairs; ``subset`` and ``split`` give smaller sets over the same folder. ``questions`` that are not given are those
    that stand in the folder when they are asked for.
    """

    def __init__(self, pairs: Iterable[Pair], folder: Path | str, questions: Iterable[Question] | None = None) -> None:
        self.pairs = tuple(pairs)
        self.folder = Path(folder)
        self._questions = None if questions is None else tuple(questions)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Raises UserError where the folder's are damaged."""
        return read_questions(self.folder) if self._questions is None else self._questions

    def with_pairs(self, pairs: Iterable[Pair]) -> PairSet:
        """Other pairs over the same folder, with the same questions."""
        return PairSet(pairs, self.folder, self._questions)

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    @classmethod
    def synthetic(cls, folder: Path | str, seed: int = 0, **settings: Any) -> PairSet:
        """Pairs of Clerk's world, drawn and written to ``folder``. ``settings`` are the fields of `PairsConfig`."""
        from neuralgate.pairs.builder import build_pairs
        from neuralgate.recipe import PairsConfig

        return build_pairs(PairsConfig(**settings), seed, Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> PairSet:
        """Read ``pairs.jsonl`` from ``folder``.

        Raises:
            UserError: the file is missing, empty or malformed, an image is missing, a pair is no pair, or a link is in the folder.
        """
        folder = Path(folder)
        path = folder / "pairs.jsonl"
        if not path.is_file():
            raise UserError(f"{folder} has no pairs.jsonl; draw one with `neuralgate pairs synth`.")
        refuse_links(folder)
        pairs = []
        for place, pair in read_records(path, Pair, "pair"):
            pair.check()
            check_image(folder, pair.image, place)
            pairs.append(pair)
        if not pairs:
            raise UserError(f"{path} holds no pairs; there is nothing to edit.")
        return cls(pairs, folder)

    def save(self, folder: Path | str) -> None:
        """Write ``questions.jsonl`` where the set has questions, and ``pairs.jsonl``, into ``folder``; the images, too, where it is another
        folder than the set's own."""
        folder = Path(folder)
        is_elsewhere = folder.resolve() != self.folder.resolve()
        questions = self.questions if is_elsewhere else self._questions
        if is_elsewhere:
            for image in sorted({row.image for row in (*self, *self.questions) if row.image}):
                write_bytes(inside(folder, image, str(folder)), check_image(self.folder, image, str(self.folder)).read_bytes())
        if questions is not None and (questions or (folder / "questions.jsonl").is_file()):
            write_jsonl(folder / "questions.jsonl", [question.row() for question in questions])
        write_jsonl(folder / "pairs.jsonl", [vars(pair) for pair in self])

    def hash(self) -> str:
        """sha256 of the pairs and of their images' bytes."""
        digest = hashlib.sha256()
        for pair in self:
            digest.update(json.dumps(vars(pair), sort_keys=True).encode())
        for image in sorted({pair.image for pair in self}):
            digest.update(check_image(self.folder, image, str(self.folder)).read_bytes())
        return digest.hexdigest()

    def subset(self, subjects: Iterable[str]) -> PairSet:
        """The pairs of some subjects, and the questions without those about the other ones. Raises UserError for a subject that no pair
        has."""
        wanted = set(subjects)
        unknown = wanted - {pair.subject for pair in self}
        if unknown:
            names = ", ".join(sorted({pair.subject for pair in self}))
            raise UserError(f"No pair has the subject {sorted(unknown)[0]!r}; the set has: {names}.")
        left_out = {pair.subject for pair in self} - wanted
        questions = (question for question in self.questions if question.subject not in left_out)
        return PairSet((pair for pair in self if pair.subject in wanted), self.folder, questions)

    def split(self, split: Split, role: Role | None = None) -> PairSet:
        return self.with_pairs(pair for pair in self if pair.split == split and role in (None, pair.role))

    def check_roles(self) -> None:
        """Raises UserError when nothing is to be edited, or a subject to edit has no validation pair, by which layer and stopping
        point are chosen."""
        wanted = self.split("train", "edit").subjects()
        if not wanted:
            raise UserError(f"{self.folder} holds no training pair of the role edit; there is nothing to edit.")
        for subject in wanted:
            if subject not in self.split("validation", "edit").subjects():
                raise UserError(
                    f"{self.folder} holds no validation pair of the role edit about the {subject}, so neither a layer nor a stopping "
                    "point could be chosen; give some of its pairs the split validation."
                )

    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order of their first pair."""
        return tuple(dict.fromkeys(pair.subject for pair in self))

    def per_subject(self, count: int) -> PairSet:
        """The first ``count`` pairs of every subject."""
        seen: dict[str, int] = {}
        kept = []
        for pair in self:
            seen[pair.subject] = seen.get(pair.subject, 0) + 1
            if seen[pair.subject] <= count:
                kept.append(pair)
        return self.with_pairs(kept)
