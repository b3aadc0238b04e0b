"""From an image and a question to tokens whose roles are known: subject, rest of the question, image, answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import ImageLike, conversation_of
from neuralgate.lvlm.inputs import OFFSETS, process, with_answers
from neuralgate.lvlm.spelling import answer_ids
from neuralgate.lvlm.styles import MARK, NEEDS_IMAGE, render
from neuralgate.pairs.mentions import Span, slot

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

#: Classes of positions. Every token that is not padding belongs to exactly one.
POSITIONS = ("other", "image", "question", "subject", "answer")
OTHER, IMAGE, QUESTION, SUBJECT, ANSWER = range(5)


@dataclass(frozen=True)
class Example:
    """One training row: what is asked of which image, where its subject stands, and what shall be answered."""

    image: ImageLike
    question: str
    subject: str | None  # None: it is about nobody, and no token counts as its subject
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

    @property
    def behind_first_BT(self) -> Tensor:
        """All tokens but each row's first, whose states are much larger than the others in many a model; boolean ``(B, T)``."""
        return self.attention_mask_BT.bool() & (self.attention_mask_BT.cumsum(-1) > 1)

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


def subject_characters(example: Example) -> Span | None:
    """Where the subject stands in the question, in characters; None where it is about nobody.

    Raises:
        UserError: the question does not name its subject.
    """
    if example.subject is None:
        return None
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
    has_picture = examples[0].image is not None or lvlm.model_type in NEEDS_IMAGE
    (form,) = render(lvlm.processor, lvlm.model_type, lvlm.prompt_style, [(has_picture, MARK)])
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
    items = [conversation_of((example.image, example.question)) for example in examples]
    texts, encoded = process(lvlm, items, return_offsets_mapping=True)
    offsets_BT2 = encoded.pop(OFFSETS)
    rows, targets = [], []
    for i, (example, text, start) in enumerate(zip(examples, texts, question_starts(lvlm, examples, texts), strict=True)):
        used = int(encoded["attention_mask"][i].sum())
        ids_T, offsets_T2 = encoded["input_ids"][i, :used], offsets_BT2[i, :used]
        growth = int(offsets_T2[offsets_T2[:, 1] > 0][-1, 1]) - len(text)  # added special tokens have no characters
        classes = classify(lvlm, ids_T.tolist(), offsets_T2.tolist(), example, start + growth)
        target = answer_ids(lvlm, text, example.answer, example.answer_ids)
        if classes[-1] == SUBJECT:
            raise UserError(f"The subject {example.subject!r} ends the prompt; let something follow it in the question.")
        classes[-1] = ANSWER  # the last prompt token predicts the first answer token: it is where the decision to refuse is taken
        rows.append(torch.tensor(classes + [ANSWER] * len(target)))
        targets.append(target)
    classes_BT = pad_sequence(rows, True, OTHER, padding).to(lvlm.device)
    return batch_of(lvlm, with_answers(lvlm, encoded, targets, padding), classes_BT)


def batch_of(lvlm: LVLM, inputs: dict[str, Tensor], classes_BT: Tensor) -> Batch:
    """What :func:`with_answers` made, with the classes of its tokens."""
    mask_BT = inputs["attention_mask"]
    return Batch(
        input_ids_BT=inputs["input_ids"],
        attention_mask_BT=mask_BT,
        position_ids_BT=(mask_BT.cumsum(-1) - 1).clamp(min=0),
        classes_BT=classes_BT,
        labels_BT=inputs["labels"],
        fields={name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask", "labels")},
        is_plain=lvlm.is_plain,
    )


def classify(lvlm: LVLM, ids: list[int], offsets: list[list[int]], example: Example, question_start: int) -> list[int]:
    """The class of each prompt token, from where its characters stand in the expanded text."""
    question_end = question_start + len(example.question.strip())
    blanks = len(example.question) - len(example.question.lstrip())
    named = subject_characters(example)
    start, end = (question_start + place - blanks for place in named) if named else (-1, -1)
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
    if named and SUBJECT not in classes:
        raise UserError(f"The subject {example.subject!r} spans no token of the prompt; check the tokenizer of {lvlm.name}.")
    return classes
