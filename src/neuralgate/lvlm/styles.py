"""How a question is put to a model: its processor's chat template, or one of the named styles without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from neuralgate.errors import UserError
from neuralgate.text import short

CHAT = "chat"
#: Stands for a question or an answer where a prompt is looked at: a character for private use, which no template and no question holds.
MARK = "\ue000"
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)
MINIGPT4_SYSTEM = (
    "Give the following image: <Img>ImageContent</Img>. You will be able to see the image once I provide it to you. "
    "Please answer my questions."
)
#: Style -> text with places for the image placeholder and the question. `chat` is the processor's own template.
STYLES = {
    "vicuna_v1": VICUNA_SYSTEM + "USER: {image}\n{question} ASSISTANT:",  # LLaVA-1.5's own code
    "vicuna": "USER: {image}\n{question} ASSISTANT:",  # the same without the system sentence, as its chat template on the hub
    "minigpt4_chat": MINIGPT4_SYSTEM + "<s>[INST] <Img>{image}</Img> {question} [/INST] ",  # as the demonstration asks, with a second <s>
    "minigpt4_train": "[INST] <Img>{image}</Img> {question} [/INST] ",  # as it was trained
    "question_answer": "{image}Question: {question} Answer:",  # BLIP-2
    "plain": "{image}{question}",  # PaliGemma, InstructBLIP
}
#: Style -> what it says before the first question, which a system text can take the place of.
SYSTEMS = {"vicuna_v1": VICUNA_SYSTEM, "vicuna": "", "minigpt4_chat": MINIGPT4_SYSTEM, "minigpt4_train": ""}
#: Style -> what parts an answer from a next question, with a place for the token that ends an answer.
NEXT_TURN = {"vicuna_v1": "{end}", "vicuna": "{end}", "minigpt4_chat": "", "question_answer": " "}
#: Styles of architectures that have no chat template.
WITHOUT_TEMPLATE = {"minigpt4": "minigpt4_chat", "blip-2": "question_answer", "instructblip": "plain", "paligemma": "plain"}
#: Processors that put the image's tokens in front by themselves.
PLACES_IMAGE_ITSELF = ("blip-2", "instructblip")
#: Architectures that cannot be asked without an image: they are shown a grey one.
NEEDS_IMAGE = ("blip-2", "instructblip", "paligemma")


def choose_style(processor: Any, model_type: str, name: str, wanted: str = "") -> str:
    """The style to use: the one asked for, else the chat template, else what the architecture is known to be asked with.

    Raises:
        UserError: an unknown style, or no template and none known.
    """
    if wanted and wanted != CHAT:
        if wanted not in STYLES:
            raise UserError(f"There is no prompt style {short(wanted)}; known are {CHAT}, {', '.join(STYLES)}.")
        return wanted
    if processor.chat_template:
        return CHAT
    if wanted != CHAT and model_type in WITHOUT_TEMPLATE:
        return WITHOUT_TEMPLATE[model_type]
    raise UserError(
        f"The processor of {name} has no chat template, so its prompts are unknown; save one with the processor, or name a style "
        f"({', '.join(STYLES)})."
    )


def render(processor: Any, model_type: str, style: str, questions: Sequence[tuple[bool, str]]) -> list[str]:
    """The prompts of ``(with an image?, question)`` with the image placeholder unexpanded and the opening of the answer. What is blank
    around a question is left out: templates differ in whether they do that."""
    questions = [(has_picture, question.strip()) for has_picture, question in questions]
    if style == CHAT:
        return [
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}] * has_picture + [{"type": "text", "text": question}]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for has_picture, question in questions
        ]
    placeholder = "" if model_type in PLACES_IMAGE_ITSELF else processor.image_token
    texts = []
    for has_picture, question in questions:
        form = STYLES[style] if has_picture else STYLES[style].replace("<Img>{image}</Img> ", "").replace("{image}\n", "")
        texts.append(form.replace("{image}", placeholder if has_picture else "").replace("{question}", question))
    return texts


def picture_tokens(processor: Any) -> list[str]:
    """What can stand for a picture in a prompt: Gemma3's templates write what begins an image, others its token."""
    return sorted({str(getattr(processor, name)) for name in ("image_token", "boi_token") if hasattr(processor, name)})


def render_answered(processor: Any, question: str, answer: str) -> str:
    """A question without an image and its answer as the chat template writes them; "" where it cannot."""
    turns = (("user", question), ("assistant", answer))
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    try:
        return processor.apply_chat_template(messages, tokenize=False)
    except (TemplateError, TypeError):  # made for a single question
        return ""
