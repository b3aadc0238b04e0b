"""Greedy generation in batches, with the image computed once for all the questions about it.

In a chat prompt the image stands before the question, and attention is causal: the keys and values of everything up to
the last image token do not depend on what is asked. They are computed once per image and shared by the rows of a batch;
between them and the question stands the padding (masked, and skipped by the position numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM, ImageLike


@dataclass(frozen=True)
class Generated:
    """An answer: its ``text``, the ``ids`` of its tokens without the one that ends it, and whether it was ``cut_off``: no end came
    within the tokens allowed."""

    text: str
    ids: tuple[int, ...]
    cut_off: bool


class Numbers(LogitsProcessor):
    """Changes nothing. Where a model's numbers overflow in the middle of an answer, the likeliest of what is no number would be a token
    like any other.

    Raises:
        UserError: a logit is NaN.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if bool(scores.isnan().any()):
            raise UserError(f"{self.name} computes no numbers any more while it answers; use a wider dtype (--machine dtype=float32).")
        return scores


def image_key(image: ImageLike) -> object:
    return str(image) if isinstance(image, str | Path) else id(image)


@torch.inference_mode()
def generate(
    lvlm: LVLM,
    items: Sequence[tuple[ImageLike, str]],
    max_new_tokens: int,
    batch_size: int,
    report: Callable[..., None] | None,
    share_images: bool = True,
) -> list[Generated]:
    """One answer per item, in the order given. ``share_images=False`` is the plain form, the oracle of the tests."""
    from neuralgate.lvlm.prompts import encode_prompts

    # questions about one image side by side; those without an image go in batches of their own
    order = sorted(range(len(items)), key=lambda i: (items[i][0] is None, str(image_key(items[i][0])), -len(items[i][1])))
    with_image = [i for i in order if items[i][0] is not None]
    groups = [with_image, order[len(with_image) :]]
    answers: dict[int, Generated] = {}
    finished = 0

    def answer(chosen: Sequence[int]) -> None:
        nonlocal finished
        inputs = encode_prompts(lvlm, [items[i] for i in chosen])
        if share_images and lvlm.is_plain and items[chosen[0]][0] is not None:
            inputs = with_shared_prefix(lvlm, inputs, [image_key(items[i][0]) for i in chosen])
        answers.update(zip(chosen, continuations(lvlm, inputs, max_new_tokens), strict=True))
        finished += len(chosen)
        if report:
            report(done=finished, total=len(items), text="generating")

    fitting = lvlm.fitting(batch_size, "generating")
    for group in groups:
        fitting.run(answer, group)
    return [answers[i] for i in range(len(items))]


def continuations(lvlm: LVLM, inputs: dict[str, Any], max_new_tokens: int) -> list[Generated]:
    """Greedy continuations of prepared prompts."""
    config = greedy(lvlm, max_new_tokens)
    with own_settings_aside(lvlm.model):
        output_BT = lvlm.model.generate(**inputs, generation_config=config, logits_processor=LogitsProcessorList([Numbers(lvlm.name)]))
    prompt_BT = inputs["input_ids"]
    length = prompt_BT.shape[1]
    if output_BT.shape[1] >= length and torch.equal(output_BT[:, :length], prompt_BT):
        output_BT = output_BT[:, length:]  # models that generate from embeddings return the new tokens alone
    lvlm.tokens += int(inputs["attention_mask"].sum()) + output_BT.numel()
    return [generated(lvlm, ids) for ids in output_BT.tolist()]


def generated(lvlm: LVLM, ids: list[int]) -> Generated:
    """One row of new tokens as an answer: what stands behind its end is padding, and a next turn is none of it."""
    length = next((place for place, token in enumerate(ids) if token in lvlm.end_tokens), None)
    ids = ids[:length]
    text = lvlm.tokenizer.decode(ids, skip_special_tokens=True)
    if lvlm.next_turn and (opening := lvlm.next_turn.search(text)):
        length, text = 0, text[: opening.start()]
        while ids and len(lvlm.tokenizer.decode(ids, skip_special_tokens=True)) > len(text.rstrip()):
            ids.pop()
    return Generated(text.strip(), tuple(ids), cut_off=length is None)


def greedy(lvlm: LVLM, max_new_tokens: int) -> GenerationConfig:
    """Settings of ``generate`` for the likeliest token every time."""
    ends = sorted(lvlm.end_tokens)
    own = lvlm.model.generation_config
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        bos_token_id=own.bos_token_id,
        eos_token_id=ends or None,
        pad_token_id=next((token for token in (own.pad_token_id, lvlm.tokenizer.pad_token_id, *ends) if token is not None), None),
    )


@contextmanager
def own_settings_aside(model: Any) -> Iterator[None]:
    """transformers fills what ``generate`` is not told from the model's generation_config, where a checkpoint may punish repetition,
    forbid words or force some: put aside meanwhile, that of a language model inside too."""
    models = [module for module in model.modules() if getattr(module, "generation_config", None) is not None]
    kept = [module.generation_config for module in models]
    for module in models:
        module.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for module, known in zip(models, kept, strict=True):
            module.generation_config = known


def with_shared_prefix(lvlm: LVLM, inputs: dict[str, Tensor], keys: Sequence[object]) -> dict[str, Any]:
    """The same inputs with the image part moved into a cache that is computed once per distinct image.

    Left as they are when the rows do not all begin with the same tokens up to their last image token.
    """
    ids_BT, mask_BT = inputs["input_ids"], inputs["attention_mask"]
    fields = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}  # one row an image
    rows = [ids[mask.bool()] for ids, mask in zip(ids_BT, mask_BT, strict=True)]
    image_token = lvlm.image_token
    prefix = rows[0][: int((rows[0] == image_token).nonzero()[-1]) + 1]
    size = len(prefix)
    if any(not torch.equal(row[:size], prefix) or bool((row[size:] == image_token).any()) for row in rows):
        return inputs
    distinct = {key: row for row, key in reversed(list(enumerate(keys)))}  # the first row of every image
    first = list(distinct.values())
    place = {key: i for i, key in enumerate(distinct)}
    cache = lvlm.model(
        input_ids=prefix.expand(len(first), -1), **{name: value[first] for name, value in fields.items()}, use_cache=True, logits_to_keep=1
    ).past_key_values
    cache.batch_select_indices(torch.tensor([place[key] for key in keys], device=ids_BT.device))
    longest = max(len(row) for row in rows)
    full_BT = torch.full((len(rows), longest), lvlm.tokenizer.pad_token_id or 0, device=ids_BT.device)
    full_mask_BT = torch.zeros_like(full_BT)
    for i, row in enumerate(rows):
        gap = longest - len(row)
        full_BT[i, :size], full_BT[i, size + gap :] = prefix, row[size:]
        full_mask_BT[i, :size], full_mask_BT[i, size + gap :] = 1, 1
    return {"input_ids": full_BT, "attention_mask": full_mask_BT, "past_key_values": cache}
