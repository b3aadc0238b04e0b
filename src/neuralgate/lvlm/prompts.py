"""From an image and a question to tokens whose roles are known: subject, rest of the question, image, answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from neuralgate.errors import UserError
from neuralgate.lvlm.spelling import answer_ids
from neuralgate.lvlm.styles import CHAT, MARK, NEEDS_IMAGE, PLACES_IMAGE_ITSELF, picture_tokens, render
from neuralgate.pairs.images import open_image
from neuralgate.pairs.mentions import Span, slot

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM, ImageLike

#: Classes of positions. Every token that is not padding belongs to exactly one.
POSITIONS = ("other", "image", "question", "subject", "answer")
OTHER, IMAGE, QUESTION, SUBJECT, ANSWER = range(5)
OFFSETS = "offset_mapping"
#: Inputs with one entry a token besides ids and mask: answers need theirs, too.
TOKEN_FIELDS = ("token_type_ids", "mm_token_type_ids", "cross_attention_mask")
#: What answer tokens are called where token types rule attention: 1 is "after the prompt, read causally" for PaliGemma.
ANSWER_TOKEN_TYPE = {"paligemma": 1}
#: What a processor puts behind the prompt by itself.
APPENDED = {"paligemma": "\n"}
BLANK = (64, 64)


@dataclass(frozen=True)
class Example:
    """One training row: what is asked of which image, where its subject stands, and what shall be answered."""

    image: ImageLike
    question: str
    subject: str
    answer: str  # the target's text
    span: Span | None = None  # the subject's characters in the question; None: its last mention as a word of its own
    answer_ids: tuple[int, ...] = ()  # the tokens of the answer, where a model said it; see spelling.py


@dataclass
class Batch:
    """Tokenised examples; ``B`` rows, ``T`` tokens."""

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    position_ids_BT: Tensor
    classes_BT: Tensor  # index into POSITIONS; padding is OTHER with attention 0
    labels_BT: Tensor  # labels[b, t] = the token that position t must predict, -100 elsewhere
    fields: dict[str, Tensor]  # what else the processor gave for the model: pixels, image sizes, token types ...
    is_plain: bool  # whether the model counts positions as position_ids_BT does

    def is_class(self, index: int) -> Tensor:
        """Boolean mask ``(B, T)`` of one class of positions."""
        return (self.classes_BT == index) & self.attention_mask_BT.bool()

    @property
    def prompt(self) -> dict[str, Tensor]:
        """Inputs of the model's ``generate``."""
        return {"input_ids": self.input_ids_BT, "attention_mask": self.attention_mask_BT, **self.fields}

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs of the model's forward pass."""
        return {**self.prompt, "position_ids": self.position_ids_BT} if self.is_plain else self.prompt


def as_image(image: ImageLike) -> Image.Image | None:
    return open_image(image) if isinstance(image, str | Path) else image


def pictures_of(lvlm: LVLM, images: Sequence[ImageLike]) -> list[Image.Image]:
    """The pictures of prompts that all have one or all have none; grey ones where the model cannot do without."""
    pictures = [picture for image in images if (picture := as_image(image)) is not None]
    return [Image.new("RGB", BLANK, "grey") for _ in images] if lvlm.model_type in NEEDS_IMAGE and not pictures else pictures


def process(lvlm: LVLM, items: Sequence[tuple[ImageLike, str]], **settings: Any) -> tuple[list[str], dict[str, Tensor]]:
    """The prompts' texts, and what the processor makes of them: tensors that the model's forward pass takes, padded on the
    right (a Q-Former counts its tokens from the left), and the offsets if asked for."""
    pictures = pictures_of(lvlm, [image for image, _ in items])
    texts = render(lvlm.processor, lvlm.model_type, lvlm.prompt_style, [(bool(pictures), question) for _, question in items])
    check_questions(lvlm, [question for _, question in items])
    check_places(lvlm, bool(pictures), texts)
    if begins_itself(lvlm, texts):
        settings["add_special_tokens"] = False
    encoded = lvlm.processor(
        images=[[picture] for picture in pictures] or None, text=texts, padding=True, padding_side="right", return_tensors="pt", **settings
    )
    texts = [text + APPENDED.get(lvlm.model_type, "") for text in texts]
    kept = {name: value for name, value in encoded.items() if name == OFFSETS or (name in lvlm.accepted and name != "labels")}
    for name, value in kept.items():
        if value.is_floating_point():
            kept[name] = value.to(lvlm.model.dtype)
    return texts, {name: value.to(lvlm.device) for name, value in kept.items()}


def check_questions(lvlm: LVLM, questions: Iterable[str]) -> None:
    """Raises UserError when a question holds what stands for a picture."""
    tokens = picture_tokens(lvlm.processor)
    for question in questions:
        if any(token in question for token in tokens):
            raise UserError(
                f"The question {question!r} holds {' or '.join(tokens)}, which stands for a picture in {lvlm.name}; write it without."
            )


def check_places(lvlm: LVLM, shown: bool, texts: Sequence[str]) -> None:
    """Raises UserError when a prompt has not exactly one place for its picture, or one without a picture."""
    tokens = picture_tokens(lvlm.processor)
    expected = int(shown and lvlm.model_type not in PLACES_IMAGE_ITSELF)
    for text in texts:
        count = sum(text.count(token) for token in tokens)
        if count != expected:
            raise UserError(
                f"The chat template of {lvlm.name} has {count} places for a picture ({' or '.join(tokens)}) in a prompt with {int(shown)} "
                "of them; save the template that belongs to these weights with the processor (chat_template.jinja)."
            )


def begins_itself(lvlm: LVLM, texts: Sequence[str]) -> bool:
    """Whether the prompts bring their own <s>, so that the tokenizer must not put another in front: what transformers'
    ``apply_chat_template`` looks at when it tokenises. Mllama's processor writes it in any case."""
    bos = lvlm.tokenizer.bos_token
    return lvlm.model_type == "mllama" or (lvlm.prompt_style == CHAT and bool(bos) and texts[0].startswith(bos))


def encode_prompts(lvlm: LVLM, items: Sequence[tuple[ImageLike, str]]) -> dict[str, Tensor]:
    """Inputs of ``generate`` for items that all have an image or all have none; padding on the left."""
    inputs = process(lvlm, items)[1]
    padding_B = (inputs["attention_mask"] == 0).sum(-1).tolist()
    for name in ("input_ids", "attention_mask", *TOKEN_FIELDS):
        if name in inputs:
            inputs[name] = torch.stack([row.roll(padding, 0) for row, padding in zip(inputs[name], padding_B, strict=True)])
    return inputs


def subject_characters(example: Example) -> Span:
    """Where the subject stands in the question, in characters.

    Raises:
        UserError: the question does not name its subject.
    """
    span = example.span or slot(example.question, example.subject, None)
    if span is None:
        raise UserError(
            f"The question {example.question!r} does not name its subject {example.subject!r} as a word of its own; write the subject into "
            "the question."
        )
    return span


def question_starts(lvlm: LVLM, examples: Sequence[Example], texts: Sequence[str]) -> list[int]:
    """The character of each prompt where its question begins, the blanks before which are left out. It is found by what stands around any
    question: its own words may stand elsewhere in the prompt, too.

    Raises:
        UserError: the template changes a question's text.
    """
    shown = examples[0].image is not None or lvlm.model_type in NEEDS_IMAGE
    (form,) = render(lvlm.processor, lvlm.model_type, lvlm.prompt_style, [(shown, MARK)])
    before, _, _ = form.rpartition(MARK)
    starts = []
    for example, text in zip(examples, texts, strict=True):
        question = example.question.strip()
        if not text.startswith(form.replace(MARK, question)):
            raise UserError(
                f"The prompt of {lvlm.name} does not hold the question {question!r} as it was asked, so its subject cannot be found; "
                "the template must put the question's text in unchanged."
            )
        starts.append(len(before.replace(MARK, question)))
    return starts


def encode_examples(lvlm: LVLM, examples: Sequence[Example], padding: Literal["right", "left"] = "right") -> Batch:
    """Tokenise examples that all have an image or all have none. ``padding`` stands on the right or on the left.

    The subject's span is found by character offsets in the final text, after the image placeholder was expanded:
    expansion happens in front of the question, so offsets are counted from the end of the text.
    """
    items = [(example.image, example.question) for example in examples]
    texts, encoded = process(lvlm, items, return_offsets_mapping=True)
    ids_BT, mask_BT, offsets_BT2 = encoded.pop("input_ids"), encoded.pop("attention_mask"), encoded.pop(OFFSETS)
    aligned = {name: encoded.pop(name) for name in TOKEN_FIELDS if name in encoded}
    rows: list[dict[str, Any]] = []
    for i, (example, text, start) in enumerate(zip(examples, texts, question_starts(lvlm, examples, texts), strict=True)):
        used = int(mask_BT[i].sum())
        ids_T, offsets_T2 = ids_BT[i, :used], offsets_BT2[i, :used]
        growth = int(offsets_T2[offsets_T2[:, 1] > 0][-1, 1]) - len(text)  # added special tokens have no characters
        classes = classify(lvlm, ids_T.tolist(), offsets_T2.tolist(), example, start + growth)
        target = answer_ids(lvlm, text, example.answer, example.answer_ids)
        if classes[-1] == SUBJECT:
            raise UserError(f"The subject {example.subject!r} ends the prompt; let something follow it in the question.")
        classes[-1] = ANSWER  # the last prompt token predicts the first answer token: it is where the decision to refuse is taken
        row = {"ids": torch.cat([ids_T, ids_T.new_tensor(target)]), "classes": torch.tensor(classes + [ANSWER] * len(target))}
        row["labels"] = torch.full((used + len(target),), -100)
        row["labels"][used - 1 : used - 1 + len(target)] = torch.tensor(target, dtype=torch.long)
        for name, values in aligned.items():
            last = values[i, used - 1 : used].clone()
            if name == "token_type_ids":
                last.fill_(ANSWER_TOKEN_TYPE.get(lvlm.model_type, 0))
            row[name] = torch.cat([values[i, :used], *([last] * len(target))])
        row["mask"] = torch.ones_like(row["labels"])
        rows.append(row)
    fills = {"ids": lvlm.tokenizer.pad_token_id or 0, "classes": OTHER, "labels": -100}
    device = lvlm.device
    padded = {name: pad_sequence([row[name] for row in rows], True, fills.get(name, 0), padding).to(device) for name in rows[0]}
    return Batch(
        input_ids_BT=padded["ids"],
        attention_mask_BT=padded["mask"],
        position_ids_BT=(padded["mask"].cumsum(-1) - 1).clamp(min=0),
        classes_BT=padded["classes"],
        labels_BT=padded["labels"],
        fields={**encoded, **{name: padded[name] for name in aligned}},
        is_plain=lvlm.is_plain,
    )


def classify(lvlm: LVLM, ids: list[int], offsets: list[list[int]], example: Example, question_start: int) -> list[int]:
    """The class of each prompt token, from where its characters stand in the expanded text."""
    question_end = question_start + len(example.question.strip())
    blanks = len(example.question) - len(example.question.lstrip())
    start, end = (question_start + place - blanks for place in subject_characters(example))
    classes = []
    for token, (left, right) in zip(ids, offsets, strict=True):
        if token == lvlm.image_token:
            classes.append(IMAGE)
        elif left < end and right > start:
            classes.append(SUBJECT)
        elif left < question_end and right > question_start:
            classes.append(QUESTION)
        else:
            classes.append(OTHER)
    if SUBJECT not in classes:
        raise UserError(f"The subject {example.subject!r} spans no token of the prompt; check the tokenizer of {lvlm.name}.")
    return classes
