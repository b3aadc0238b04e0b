"""A prompt that asks the model to keep private details to itself: a system text, or words in front of each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.folder import HEADER, information_of, write_intervention
from neuralgate.interventions.guard import Ask, Guard
from neuralgate.interventions.header import described
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
class Prompt(Guard):
    """``text`` as the conversation's system message, or in front of each question, on a line of its own."""

    text: str
    where: Where = "system"

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UserError("A prompt needs a text; an empty one would change nothing.")

    @property
    def identity(self) -> str:
        """sha256 over what is said, where, and whether it is."""
        return digest([self.text, self.where, self.is_in])

    def check(self, lvlm: LVLM) -> None:
        """Raises UserError when the model's prompts have no place for the text."""
        write_prompts(lvlm, [self.conversation((None, MARK))], pictures=0)  # says so where the model has no room for the text
        check_questions(lvlm, [self.text])

    def conversation(self, item: Item) -> Conversation:
        """``item`` with the text in it; a system text of the item's own stays, behind it."""
        conversation = conversation_of(item)
        if self.where == "question":
            return replace(conversation, question=f"{self.text}\n{conversation.question}")
        return replace(conversation, system=f"{self.text}\n{conversation.system}".strip())

    def answers(self, lvlm: LVLM, items: Sequence[Item], sampling: Sampling | None, ask: Ask) -> list[Generated]:
        """See `Guard.answers`."""
        return ask([self.conversation(item) for item in items])

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
        return cls(description.text, description.where, information=information_of(header, Description), is_in=description.is_in)
