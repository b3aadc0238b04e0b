"""From what is asked to what the model takes: token ids, pixels, and whatever else its processor makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import Conversation, ImageLike, write_prompts
from neuralgate.lvlm.spelling import answer_ids
from neuralgate.lvlm.styles import CHAT, NEEDS_IMAGE, PLACES_IMAGE_ITSELF, picture_tokens
from neuralgate.pairs.images import open_image

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

OFFSETS = "offset_mapping"
#: Inputs with one entry a token besides ids and mask: answers need theirs, too.
TOKEN_FIELDS = ("token_type_ids", "mm_token_type_ids", "cross_attention_mask")
#: What answer tokens are called where token types rule attention: 1 is "after the prompt, read causally" for PaliGemma.
ANSWER_TOKEN_TYPE = {"paligemma": 1}
#: What a processor puts behind the prompt by itself.
APPENDED = {"paligemma": "\n"}
BLANK = (64, 64)


def as_image(image: ImageLike) -> Image.Image | None:
    return open_image(image) if isinstance(image, str | Path) else image


def pictures_of(lvlm: LVLM, conversation: Conversation) -> list[Image.Image]:
    """Its pictures; a grey one where the model cannot do without."""
    pictures = [picture for image in conversation.images if (picture := as_image(image)) is not None]
    return [Image.new("RGB", BLANK, "grey")] if lvlm.model_type in NEEDS_IMAGE and not pictures else pictures


def process(lvlm: LVLM, conversations: Sequence[Conversation], **settings: Any) -> tuple[list[str], dict[str, Tensor]]:
    """The texts of prompts with equally many pictures, and what the processor makes of them: tensors that the model's forward pass takes,
    padded on the right (a Q-Former counts its tokens from the left), and the offsets if asked for."""
    pictures = [pictures_of(lvlm, conversation) for conversation in conversations]
    count = len(pictures[0])
    texts = write_prompts(lvlm, conversations, count)
    check_questions(lvlm, [text for conversation in conversations for text in (*conversation.texts, conversation.prefill)])
    check_places(lvlm, count, texts)
    if begins_itself(lvlm, texts):
        settings["add_special_tokens"] = False
    encoded = lvlm.processor(
        images=pictures if count else None, text=texts, padding=True, padding_side="right", return_tensors="pt", **settings
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


def check_places(lvlm: LVLM, pictures: int, texts: Sequence[str]) -> None:
    """Raises UserError when a prompt has not exactly one place for each of its pictures."""
    tokens = picture_tokens(lvlm.processor)
    expected = 0 if lvlm.model_type in PLACES_IMAGE_ITSELF else pictures
    for text in texts:
        count = sum(text.count(token) for token in tokens)
        if count != expected:
            raise UserError(
                f"The chat template of {lvlm.name} has {count} places for a picture ({' or '.join(tokens)}) in a prompt with {pictures} "
                "of them; save the template that belongs to these weights with the processor (chat_template.jinja)."
            )


def begins_itself(lvlm: LVLM, texts: Sequence[str]) -> bool:
    """Whether the prompts bring their own <s>, so that the tokenizer must not put another in front: what transformers'
    ``apply_chat_template`` looks at when it tokenises. Mllama's processor writes it in any case."""
    bos = lvlm.tokenizer.bos_token
    return lvlm.model_type == "mllama" or (lvlm.prompt_style == CHAT and bool(bos) and texts[0].startswith(bos))


def with_answers(
    lvlm: LVLM, encoded: dict[str, Tensor], answers: Sequence[Sequence[int]], padding: Literal["right", "left"]
) -> dict[str, Tensor]:
    """What :func:`process` made, with the tokens of an answer behind each prompt and all padded on one side, and ``labels`` ``(B, T)``:
    the answer's tokens at the places that must predict them, -100 elsewhere."""
    aligned = [name for name in TOKEN_FIELDS if name in encoded]
    rows: dict[str, list[Tensor]] = {name: [] for name in ("input_ids", "attention_mask", "labels", *aligned)}
    for i, answer in enumerate(answers):
        used = int(encoded["attention_mask"][i].sum())
        ids_T = encoded["input_ids"][i, :used]
        target_T = torch.tensor(answer, dtype=ids_T.dtype, device=ids_T.device)
        labels_T = torch.full((used + len(answer),), -100, device=ids_T.device)
        labels_T[used - 1 : used - 1 + len(answer)] = target_T
        rows["input_ids"].append(torch.cat([ids_T, target_T]))
        rows["attention_mask"].append(torch.ones_like(labels_T))
        rows["labels"].append(labels_T)
        for name in aligned:
            last = encoded[name][i, used - 1 : used].clone()
            if name == "token_type_ids":
                last.fill_(ANSWER_TOKEN_TYPE.get(lvlm.model_type, 0))
            rows[name].append(torch.cat([encoded[name][i, :used], *([last] * len(answer))]))
    fills = {"input_ids": lvlm.tokenizer.pad_token_id or 0, "labels": -100}
    padded = {name: pad_sequence(values, True, fills.get(name, 0), padding) for name, values in rows.items()}
    others = {name: value for name, value in encoded.items() if name not in rows}
    return {**others, **padded}


def encode_prompts(lvlm: LVLM, conversations: Sequence[Conversation]) -> dict[str, Tensor]:
    """Inputs of ``generate`` for conversations with equally many images, with their prefills; padding on the left."""
    texts, encoded = process(lvlm, conversations)
    prefills = [answer_ids(lvlm, text, conversation.prefill) for text, conversation in zip(texts, conversations, strict=True)]
    inputs = with_answers(lvlm, encoded, prefills, "left")
    del inputs["labels"]
    return inputs
