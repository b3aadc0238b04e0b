"""A filter around the model: it refuses questions with certain words, and answers that a pattern finds, before anybody reads them.

What it cannot see is meant to show: a paraphrase passes, and the model itself knows all that it knew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.interventions.base import Answerer
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.folder import HEADER, information_of, write_intervention
from neuralgate.interventions.header import described
from neuralgate.interventions.values import checked_strength
from neuralgate.lvlm.conversation import Conversation, Item, conversation_of
from neuralgate.lvlm.generate import Generated, Sampling
from neuralgate.lvlm.model import LVLM
from neuralgate.text import short

REFUSAL = "I'm sorry, but I can't help with that."


class Description(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    kind: Literal["filter"]
    words: list[str]
    patterns: list[str]
    refusal: str
    is_in: bool


@dataclass
class Filter:
    """Refuses questions with one of the ``words`` (whole words, in any case) without asking the model, and answers in which one of
    the ``patterns`` (regular expressions) is found. Patterns are run as they stand, and one can run for ever: read somebody else's."""

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    refusal: str = REFUSAL
    information: dict[str, Any] = field(default_factory=dict)
    is_in: bool = True

    def __post_init__(self) -> None:
        self.words, self.patterns = tuple(self.words), tuple(self.patterns)
        if not (self.words or self.patterns) or not all(text.strip() for text in (*self.words, *self.patterns, self.refusal)):
            raise UserError("A filter needs words or patterns and a refusal, none of them empty.")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(f"The pattern {short(pattern)} of the filter is no regular expression ({error}); mend it.") from error

    @property
    def identity(self) -> str:
        """sha256 over what is refused, in which words, and whether it is."""
        return digest([self.words, self.patterns, self.refusal, self.is_in])

    def at(self, strength: float) -> Filter:
        """See `Intervention.at`."""
        return replace(self, is_in=self.is_in and checked_strength(strength) >= 0.5)

    def unchanged_below(self, lvlm: LVLM) -> int:
        """See `Intervention.unchanged_below`."""
        return len(lvlm.layers)

    @contextmanager
    def on(self, lvlm: LVLM) -> Iterator[Answerer]:
        """See `Intervention.on`."""
        yield Filtered(lvlm, self) if self.is_in else lvlm

    def refuses_question(self, conversation: Conversation) -> bool:
        """Whether one of the words stands in the question or an earlier one."""
        words = "|".join(map(re.escape, self.words))
        questions = (*(question for question, _ in conversation.turns), conversation.question)
        return bool(words) and any(re.search(rf"(?<!\w)(?:{words})(?!\w)", question, re.IGNORECASE) for question in questions)

    def refuses_answer(self, answer: Generated) -> bool:
        """Whether one of the patterns is found in the answer, the words that were put into its mouth included."""
        return any(re.search(pattern, answer.prefill + answer.text) for pattern in self.patterns)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        rows = [["question", word] for word in self.words] + [["answer", pattern] for pattern in self.patterns]
        return ["looks at", "refuses"], rows

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        content = {"words": list(self.words), "patterns": list(self.patterns), "refusal": self.refusal, "is_in": self.is_in}
        write_intervention(Path(folder), "filter", self, content, evidence)

    @classmethod
    def read(cls, folder: Path, header: dict[str, Any]) -> Filter:
        """What `save` wrote, behind a header that is whole."""
        read = described(Description, header, folder / HEADER, "filter")
        return cls(tuple(read.words), tuple(read.patterns), read.refusal, information_of(header, Description), read.is_in)


@dataclass(frozen=True)
class Filtered:
    """A model with a filter around it."""

    lvlm: LVLM
    filter: Filter

    @property
    def name(self) -> str:
        return self.lvlm.name

    def generate_answers(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[Generated]:
        """See `Answerer`. A refusal of the filter is whole whatever ``max_new_tokens`` says."""
        samples = sampling.samples if sampling else 1
        ids = tuple(self.lvlm.tokenizer(self.filter.refusal, add_special_tokens=False)["input_ids"])
        answers = [Generated(self.filter.refusal, ids, cut_off=False)] * len(items) * samples
        refused = [self.filter.refuses_question(conversation_of(item)) for item in items]
        if all(refused):
            return answers
        indices = [index for index in range(len(items)) if sampling or not refused[index]]  # what is drawn hangs on the item's place
        made = self.lvlm.generate_answers([items[index] for index in indices], max_new_tokens, batch_size, report, sampling)
        for number, answer in enumerate(made):
            index = indices[number // samples]
            if not refused[index] and not self.filter.refuses_answer(answer):
                answers[index * samples + number % samples] = answer
        return answers
