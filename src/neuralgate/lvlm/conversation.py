"""What a model is asked: a question about pictures, perhaps behind earlier turns, and how that is written for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.lvlm.styles import CHAT, NEXT_TURN, SYSTEMS, render
from neuralgate.pairs.schema import Question

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

ImageLike = Image.Image | Path | str | None


@dataclass(frozen=True)
class Conversation:
    """A question with what may stand around it.

    ``images`` stand in front of the first question asked, which is that of the first of the earlier ``turns`` (question, answer) where
    there are any. ``system`` takes the place of what the prompt's form says there by itself. The model's answer begins with ``prefill``,
    which it goes on with. ``choices`` are the answers that `LVLM.choose` chooses among; asking them is the question's to do.
    """

    question: str
    images: tuple[ImageLike, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    system: str = ""
    prefill: str = ""
    choices: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the prompt is that of a single question about one picture, or none."""
        return len(self.images) < 2 and not self.turns and not self.system

    @property
    def texts(self) -> tuple[str, ...]:
        """What the prompt must hold, in its order."""
        texts = [self.system, *(text for turn in self.turns for text in turn), self.question]
        return tuple(text.strip() for text in texts if text.strip())


#: What can be asked: an image, or None, with a question; or more than that.
Item = Conversation | tuple[ImageLike, str]


def conversation_of(item: Item) -> Conversation:
    if isinstance(item, Conversation):
        return item
    image, question = item
    return Conversation(question, () if image is None else (image,))


def item_of(question: Question, image: Path | None) -> Item:
    """How a question of an evaluation is put, about its picture."""
    if not question.turns:
        return image, question.question
    return Conversation(question.question, () if image is None else (image,), question.turns)


def write_prompts(lvlm: LVLM, conversations: Sequence[Conversation], pictures: int) -> list[str]:
    """The prompts with unexpanded places for as many ``pictures`` each, and the opening of the answer.

    Raises:
        UserError: the prompt's form has no room for something.
    """
    return [
        render(lvlm.processor, lvlm.model_type, lvlm.prompt_style, [(bool(pictures), conversation.question)])[0]
        if conversation.is_plain
        else by_template(lvlm, conversation, pictures)
        if lvlm.prompt_style == CHAT
        else by_style(lvlm, conversation, pictures)
        for conversation in conversations
    ]


def by_template(lvlm: LVLM, conversation: Conversation, pictures: int) -> str:
    """The conversation as the chat template writes it: with every text as a list of parts, or, which some templates want of anybody but
    the user, as it is."""
    roles = [("system", conversation.system)] if conversation.system else []
    for question, answer in conversation.turns:
        roles += [("user", question), ("assistant", answer)]
    roles.append(("user", conversation.question))
    for in_parts in (("system", "user", "assistant"), ("user",)):
        images: list[dict[str, Any]] = [{"type": "image"}] * pictures
        messages = []
        for role, text in roles:
            text = text.strip()
            in_turn, images = (images, []) if role == "user" else ([], images)
            messages.append({"role": role, "content": [*in_turn, {"type": "text", "text": text}] if role in in_parts else text})
        with suppress(TemplateError, TypeError):  # made for a single question, or for the other form
            prompt = lvlm.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            if holds(prompt, conversation.texts) and "{'type'" not in prompt:  # else a list is written out as Python would
                return prompt
    raise UserError(
        f"The chat template of {lvlm.name} does not write {'a system text' if conversation.system else 'earlier turns'} as given; ask "
        "without."
    )


def holds(prompt: str, texts: Sequence[str]) -> bool:
    """Whether the texts stand in the prompt one after another."""
    place = 0
    for text in texts:
        place = prompt.find(text, place)
        if place < 0:
            return False
        place += len(text)
    return True


def by_style(lvlm: LVLM, conversation: Conversation, pictures: int) -> str:
    """The conversation in the form of a style without a chat template."""
    style = lvlm.prompt_style
    for is_asked, has_room, what in (
        (pictures > 1, False, "several pictures"),
        (conversation.system, style in SYSTEMS, "a system text"),
        (conversation.turns, style in NEXT_TURN, "earlier turns"),
    ):
        if is_asked and not has_room:
            raise UserError(f"The prompt style {style} of {lvlm.name} has no room for {what}; ask without.")
    own = SYSTEMS.get(style, "")
    prompt = f"{conversation.system.strip()} " if conversation.system else own
    for number, (question, answer) in enumerate((*conversation.turns, (conversation.question, None))):
        (opening,) = render(lvlm.processor, lvlm.model_type, style, [(bool(pictures) and not number, question)])
        prompt += opening.removeprefix(own)
        if answer is not None:
            gap = "" if prompt[-1].isspace() else " "
            prompt += gap + answer.strip() + NEXT_TURN[style].replace("{end}", lvlm.tokenizer.eos_token or "")
    return prompt
