"""A filter around the model: it refuses questions with certain words, and answers that a pattern finds, before anybody reads them.

What it cannot see is meant to show: a paraphrase passes, and the model itself knows all that it knew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.folder import HEADER, information_of, write_intervention
from neuralgate.interventions.guard import Ask, Guard
from neuralgate.interventions.header import described
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
class Filter(Guard):
    """Refuses questions with one of the ``words`` (whole words, in any case) without asking the model, and answers in which one of
    the ``patterns`` (regular expressions) is found. Patterns are run as they stand, and one can run for ever: read somebody else's."""

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    refusal: str = REFUSAL

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

    def refuses_question(self, conversation: Conversation) -> bool:
        """Whether one of the words stands in the question or an earlier one."""
        words = "|".join(map(re.escape, self.words))
        questions = (*(question for question, _ in conversation.turns), conversation.question)
        return bool(words) and any(re.search(rf"(?<!\w)(?:{words})(?!\w)", question, re.IGNORECASE) for question in questions)

    def refuses_answer(self, answer: Generated) -> bool:
        """Whether one of the patterns is found in the answer, the words that were put into its mouth included."""
        return any(re.search(pattern, answer.prefill + answer.text) for pattern in self.patterns)

    def answers(self, lvlm: LVLM, items: Sequence[Item], sampling: Sampling | None, ask: Ask) -> list[Generated]:
        """See `Guard.answers`. A refusal of the filter is whole, however many tokens an answer may have."""
        samples = sampling.samples if sampling else 1
        ids = tuple(lvlm.tokenizer(self.refusal, add_special_tokens=False)["input_ids"])
        answers = [Generated(self.refusal, ids, cut_off=False)] * len(items) * samples
        refused = [self.refuses_question(conversation_of(item)) for item in items]
        if all(refused):
            return answers
        indices = [index for index in range(len(items)) if sampling or not refused[index]]  # what is drawn hangs on the item's place
        for number, answer in enumerate(ask([items[index] for index in indices])):
            index = indices[number // samples]
            if not refused[index] and not self.refuses_answer(answer):
                answers[index * samples + number % samples] = answer
        return answers

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
        return cls(tuple(read.words), tuple(read.patterns), read.refusal, information=information_of(header, Description), is_in=read.is_in)
