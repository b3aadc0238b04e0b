"""A prompt that asks the model to keep private details to itself: a system text, or words in front of each question."""

from __future__ import annotations

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
from neuralgate.lvlm.conversation import Conversation, Item, conversation_of, write_prompts
from neuralgate.lvlm.generate import Generated, Sampling
from neuralgate.lvlm.inputs import check_questions
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.styles import MARK

Where = Literal["system", "question"]


class Description(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    kind: Literal["prompt"]
    text: str
    where: Where
    is_in: bool


@dataclass
class Prompt:
    """``text`` as the conversation's system message, or in front of each question, on a line of its own."""

    text: str
    where: Where = "system"
    information: dict[str, Any] = field(default_factory=dict)
    is_in: bool = True

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UserError("A prompt needs a text; an empty one would change nothing.")

    @property
    def identity(self) -> str:
        """sha256 over what is said, where, and whether it is."""
        return digest([self.text, self.where, self.is_in])

    def at(self, strength: float) -> Prompt:
        """See `Intervention.at`."""
        return replace(self, is_in=self.is_in and checked_strength(strength) >= 0.5)

    def unchanged_below(self, lvlm: LVLM) -> int:
        """See `Intervention.unchanged_below`."""
        return len(lvlm.layers)

    @contextmanager
    def on(self, lvlm: LVLM) -> Iterator[Answerer]:
        """See `Intervention.on`. Raises UserError when the model's prompts have no place for the text."""
        prompted = Prompted(lvlm, self)
        write_prompts(lvlm, [prompted.conversation((None, MARK))], pictures=0)  # says so where the model has no room for the text
        check_questions(lvlm, [self.text])
        yield prompted if self.is_in else lvlm

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        return ["where", "text", "in"], [[self.where, self.text, "yes" if self.is_in else "no"]]

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        write_intervention(Path(folder), "prompt", self, {"text": self.text, "where": self.where, "is_in": self.is_in}, evidence)

    @classmethod
    def read(cls, folder: Path, header: dict[str, Any]) -> Prompt:
        """What `save` wrote, behind a header that is whole."""
        description = described(Description, header, folder / HEADER, "prompt")
        return cls(description.text, description.where, information_of(header, Description), description.is_in)


@dataclass(frozen=True)
class Prompted:
    """A model that is told the text of ``prompt`` with each question."""

    lvlm: LVLM
    prompt: Prompt

    @property
    def name(self) -> str:
        return self.lvlm.name

    def conversation(self, item: Item) -> Conversation:
        """``item`` with the text in it; a system text of the item's own stays, behind it."""
        conversation = conversation_of(item)
        if self.prompt.where == "question":
            return replace(conversation, question=f"{self.prompt.text}\n{conversation.question}")
        return replace(conversation, system=f"{self.prompt.text}\n{conversation.system}".strip())

    def generate_answers(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[Generated]:
        """See `Answerer`."""
        return self.lvlm.generate_answers([self.conversation(item) for item in items], max_new_tokens, batch_size, report, sampling)
