"""From an image and a question to tokens whose roles are known: subject, rest of the question, image, answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.lvlm.images import open_image

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM, ImageLike

#: Classes of positions. Every token that is not padding belongs to exactly one.
POSITIONS = ("other", "image", "question", "subject", "answer")
OTHER, IMAGE, QUESTION, SUBJECT, ANSWER = range(5)


@dataclass(frozen=True)
class Example:
    """One training row: what is asked of which image, where its subject stands, and what shall be answered."""

    image: ImageLike
    question: str
    subject: str
    answer: str  # the target's text; tokenised apart from the prompt and concatenated as ids


@dataclass
class Batch:
    """Tokenised examples; ``B`` rows, ``T`` tokens."""

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    position_ids_BT: Tensor
    classes_BT: Tensor  # index into POSITIONS; padding is OTHER with attention 0
    labels_BT: Tensor  # labels[b, t] = the token that position t must predict, -100 elsewhere
    pixel_values: Tensor | None  # (images, 3, height, width), in the order of the rows

    def is_class(self, index: int) -> Tensor:
        """Boolean mask ``(B, T)`` of one class of positions."""
        return (self.classes_BT == index) & self.attention_mask_BT.bool()


def as_image(image: ImageLike) -> Image.Image | None:
    return open_image(image) if isinstance(image, str | Path) else image


def render_prompt(lvlm: LVLM, image: ImageLike, question: str) -> str:
    """The chat template's text with the image placeholder (unexpanded) and the opening of the answer."""
    content: list[dict[str, str]] = [] if image is None else [{"type": "image"}]
    content.append({"type": "text", "text": question})
    return lvlm.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)


def encode_prompts(lvlm: LVLM, items: Sequence[tuple[ImageLike, str]]) -> dict[str, Tensor]:
    """Inputs of ``generate`` for items that all have an image or all have none; padding on the left."""
    texts = [render_prompt(lvlm, image, question) for image, question in items]
    images = [picture for image, _ in items if (picture := as_image(image)) is not None]
    inputs = lvlm.processor(images=images or None, text=texts, padding=True, padding_side="left", return_tensors="pt")
    return {name: value.to(lvlm.device) for name, value in inputs.items() if name != "token_type_ids"}


def subject_characters(question: str, subject: str) -> tuple[int, int]:
    """Where the subject stands in the question, as ``(start, end)`` characters; the last mention counts.

    Raises:
        UserError: the question does not name its subject.
    """
    start = question.lower().rfind(subject.lower())
    if start < 0:
        raise UserError(f"The question {question!r} does not name its subject {subject!r}; write the subject into the question.")
    return start, start + len(subject)


def encode_examples(lvlm: LVLM, examples: Sequence[Example], padding_side: str = "right") -> Batch:
    """Tokenise examples that all have an image or all have none.

    The subject's span is found by character offsets in the final text, after the image placeholder was expanded:
    expansion happens in front of the question, so offsets are counted from the end of the text.
    """
    rows: list[dict[str, Any]] = []
    texts = [render_prompt(lvlm, example.image, example.question) for example in examples]
    images = [picture for example in examples if (picture := as_image(example.image)) is not None]
    encoded = lvlm.processor(images=images or None, text=texts, return_offsets_mapping=True)
    image_token = lvlm.model.config.image_token_id
    for example, text, ids, offsets in zip(examples, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        ids, growth = list(ids), int(offsets[-1][1]) - len(text)
        question_start = text.rindex(example.question) + growth
        question_end = question_start + len(example.question)
        start, end = (question_start + place for place in subject_characters(example.question, example.subject))
        classes = []
        for token, (left, right) in zip(ids, offsets, strict=True):
            if token == image_token:
                classes.append(IMAGE)
            elif left < end and right > start:
                classes.append(SUBJECT)
            elif left < question_end and right > question_start:
                classes.append(QUESTION)
            else:
                classes.append(OTHER)
        target = lvlm.tokenizer(example.answer, add_special_tokens=False)["input_ids"]
        # the last prompt token predicts the first answer token: it is where the decision to refuse is taken
        classes[-1] = ANSWER
        rows.append({"ids": ids + target, "classes": classes + [ANSWER] * len(target), "target": target})
    length = max(len(row["ids"]) for row in rows)
    pad = lvlm.tokenizer.pad_token_id
    ids_BT = torch.full((len(rows), length), pad)
    mask_BT = torch.zeros(len(rows), length, dtype=torch.long)
    classes_BT = torch.full((len(rows), length), OTHER)
    labels_BT = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        used, target = len(row["ids"]), row["target"]
        first = 0 if padding_side == "right" else length - used
        ids_BT[i, first : first + used] = torch.tensor(row["ids"])
        mask_BT[i, first : first + used] = 1
        classes_BT[i, first : first + used] = torch.tensor(row["classes"])
        last = first + used
        labels_BT[i, last - len(target) - 1 : last - 1] = torch.tensor(target)
    device = lvlm.device
    return Batch(
        input_ids_BT=ids_BT.to(device),
        attention_mask_BT=mask_BT.to(device),
        position_ids_BT=(mask_BT.cumsum(-1) - 1).clamp(min=0).to(device),
        classes_BT=classes_BT.to(device),
        labels_BT=labels_BT.to(device),
        pixel_values=torch.stack([torch.as_tensor(pixels) for pixels in encoded["pixel_values"]]).to(device) if images else None,
    )
