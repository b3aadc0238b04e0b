"""Generation in batches, greedy or drawn, with the image computed once for all the questions about it.

In a chat prompt the image stands before the question, and attention is causal: the keys and values of everything up to
the last image token do not depend on what is asked. They are computed once per image and shared by the rows of a batch;
between them and the question stands the padding (masked, and skipped by the position numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import ImageLike, Item, conversation_of
from neuralgate.lvlm.fast.room import with_rows
from neuralgate.lvlm.inputs import encode_prompts

if TYPE_CHECKING:
    from neuralgate.lvlm.fast.below import Below
    from neuralgate.lvlm.model import LVLM


@dataclass(frozen=True)
class Generated:
    """An answer: its ``text``, the ``ids`` of its tokens without the one that ends it, and whether it was ``cut_off``: no end came
    within the tokens allowed. The ``prefill`` that it was begun with is part of neither text nor ids."""

    text: str
    ids: tuple[int, ...]
    cut_off: bool
    prefill: str = ""


@dataclass(frozen=True)
class Sampling:
    """Answers drawn at random, ``samples`` of each item: every token of the likeliest ones that together have the share ``top_p`` of the
    probability, which ``temperature`` evens out (above 1) or sharpens.

    An answer hangs on ``seed``, the item's place among the items and the sample's number alone: neither on the batches nor on who
    else draws random numbers.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    samples: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf") or not 0 < self.top_p <= 1 or self.samples < 1 or self.seed < 0:
            raise UserError(
                "Sampling takes a temperature above 0, a top_p above 0 and up to 1, at least one sample, and a seed from 0 up; leave it "
                "out for the likeliest answer."
            )


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


class Draw(LogitsProcessor):
    """Leaves of each row's tokens the one that is drawn. A row has a stream of random numbers of its own, which begins at its key."""

    def __init__(self, sampling: Sampling, keys: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        self.sampling = sampling
        self.numbers_BT = torch.tensor(np.stack([np.random.default_rng(list(key)).random(max_new_tokens) for key in keys]))
        self.step = 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        shares_BV, tokens_BV = (scores.double() / self.sampling.temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
        sums_BV = shares_BV.cumsum(-1)
        count_B1 = (sums_BV - shares_BV < self.sampling.top_p).sum(-1, keepdim=True)  # the fewest that make up top_p
        number_B1 = self.numbers_BT[:, self.step, None].to(scores.device) * sums_BV.gather(-1, count_B1 - 1)
        self.step += 1
        place_B1 = (sums_BV <= number_B1).sum(-1, keepdim=True).clamp(max=count_B1 - 1)
        return cast(torch.FloatTensor, torch.full_like(scores, -torch.inf).scatter_(-1, tokens_BV.gather(-1, place_B1), 0.0))


def image_key(image: ImageLike) -> object:
    return str(image) if isinstance(image, str | Path) else id(image)


@torch.inference_mode()
def generate(
    lvlm: LVLM,
    items: Sequence[Item],
    max_new_tokens: int,
    batch_size: int,
    report: Callable[..., None] | None,
    share_images: bool = True,
    sampling: Sampling | None = None,
) -> list[Generated]:
    """One answer per item, in the order given, or with ``sampling`` an item's samples one after another. ``share_images=False`` is the
    plain form, the oracle of the tests."""
    samples = sampling.samples if sampling else 1
    conversations = [conversation for item in items for conversation in [conversation_of(item)] * samples]
    keys = [[str(image_key(image)) for image in conversation.images] for conversation in conversations]
    are_files = all(isinstance(image, str | Path) for conversation in conversations for image in conversation.images)
    below = lvlm.below if are_files else None  # another picture in memory may come to have the same key
    # questions about one image side by side; those without an image, or with several, go in batches of their own
    order = sorted(range(len(conversations)), key=lambda i: (not keys[i], len(keys[i]), keys[i], -len(conversations[i].question)))
    answers: dict[int, Generated] = {}
    finished = 0

    def answer(chosen: Sequence[int]) -> None:
        nonlocal finished
        inputs: dict[str, Any] = encode_prompts(lvlm, [conversations[i] for i in chosen])
        if share_images and lvlm.is_plain and len(keys[chosen[0]]) == 1:
            inputs = with_shared_prefix(lvlm, inputs, [keys[i][0] for i in chosen], max_new_tokens, below)
        draw = Draw(sampling, [(sampling.seed, *divmod(i, samples)) for i in chosen], max_new_tokens) if sampling else None
        with recalled(below if "past_key_values" in inputs else None, [keys[i] for i in chosen], inputs["input_ids"]):
            made = continuations(lvlm, inputs, max_new_tokens, draw)
        answers.update((i, replace(one, prefill=conversations[i].prefill)) for i, one in zip(chosen, made, strict=True))
        finished += len(chosen)
        if report:
            report(done=finished, total=len(conversations), text="generating")

    batches = lvlm.batches(batch_size, "generating")
    for _, group in groupby(order, lambda i: len(keys[i])):
        batches.run(answer, list(group))
    return [answers[i] for i in range(len(conversations))]


def continuations(lvlm: LVLM, inputs: dict[str, Any], max_new_tokens: int, draw: Draw | None = None) -> list[Generated]:
    """Continuations of prepared prompts, of the likeliest tokens or of those that are drawn."""
    config = greedy(lvlm, max_new_tokens)
    processors = LogitsProcessorList([Numbers(lvlm.name), *([draw] if draw else [])])
    with own_settings_aside(lvlm.model):
        output_BT = lvlm.model.generate(**inputs, generation_config=config, logits_processor=processors)
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
        for module, config in zip(models, kept, strict=True):
            module.generation_config = config


def recalled(below: Below | None, keys: Sequence[object], ids: Tensor) -> AbstractContextManager[None]:
    """What ``below``, if there is one, keeps of the first pass over these tokens behind these images."""
    return below.first_pass(pass_key(keys, ids)) if below else nullcontext()


def pass_key(keys: Sequence[object], ids: Tensor) -> tuple[object, ...]:
    return str(keys), tuple(ids.shape), ids.cpu().numpy().tobytes()


def with_shared_prefix(
    lvlm: LVLM, inputs: dict[str, Tensor], keys: Sequence[object], max_new_tokens: int, below: Below | None = None
) -> dict[str, Any]:
    """The same inputs with the image part moved into a cache that is computed once per distinct image and has room for the answers.

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
    images = {name: value[first] for name, value in fields.items()}
    given = {"input_ids": prefix.expand(len(first), -1), **images}
    if below and below.knows(pass_key(list(distinct), prefix)):  # the pictures need not be looked at again
        given = {"inputs_embeds": torch.zeros(len(first), size, lvlm.hidden_size, dtype=lvlm.model.dtype, device=lvlm.device)}
    with recalled(below, list(distinct), prefix):
        cache = lvlm.model(**given, use_cache=True, logits_to_keep=1).past_key_values
    longest = max(len(row) for row in rows)
    cache = with_rows(cache, torch.tensor([place[key] for key in keys], device=ids_BT.device), longest - size + max_new_tokens)
    full_BT = torch.full((len(rows), longest), lvlm.tokenizer.pad_token_id or 0, device=ids_BT.device)
    full_mask_BT = torch.zeros_like(full_BT)
    for i, row in enumerate(rows):
        gap = longest - len(row)
        full_BT[i, :size], full_BT[i, size + gap :] = prefix, row[size:]
        full_mask_BT[i, :size], full_mask_BT[i, size + gap :] = 1, 1
    return {"input_ids": full_BT, "attention_mask": full_mask_BT, "past_key_values": cache}
