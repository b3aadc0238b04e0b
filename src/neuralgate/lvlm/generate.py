"""Greedy generation in batches, with the image computed once for all the questions about it.

In a chat prompt the image stands before the question, and attention is causal: the keys and values of everything up to
the last image token do not depend on what is asked. They are computed once per image and shared by the rows of a batch;
between them and the question stands the padding (masked, and skipped by the position numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM, ImageLike


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
) -> list[str]:
    """One answer per item, in the order given. ``share_images=False`` is the plain form, the oracle of the tests."""
    from neuralgate.lvlm.prompts import encode_prompts

    # questions about one image side by side; those without an image go in batches of their own
    order = sorted(range(len(items)), key=lambda i: (items[i][0] is None, str(image_key(items[i][0])), -len(items[i][1])))
    with_image = [i for i in order if items[i][0] is not None]
    groups = [with_image, order[len(with_image) :]]
    answers = [""] * len(items)
    finished = 0

    def answer(chosen: Sequence[int]) -> None:
        nonlocal finished
        inputs = encode_prompts(lvlm, [items[i] for i in chosen])
        if share_images and lvlm.is_plain and items[chosen[0]][0] is not None:
            inputs = with_shared_prefix(lvlm, inputs, [image_key(items[i][0]) for i in chosen])
        for i, text in zip(chosen, continuations(lvlm, inputs, max_new_tokens), strict=True):
            answers[i] = text
        finished += len(chosen)
        if report:
            report(done=finished, total=len(items), text="generating")

    fitting = lvlm.fitting(batch_size, "generating")
    for group in groups:
        fitting.run(answer, group)
    return answers


def continuations(lvlm: LVLM, inputs: dict[str, Any], max_new_tokens: int) -> list[str]:
    """Greedy continuations of prepared prompts, as text."""
    output_BT = lvlm.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, use_cache=True)
    prompt_BT = inputs["input_ids"]
    length = prompt_BT.shape[1]
    if output_BT.shape[1] >= length and torch.equal(output_BT[:, :length], prompt_BT):
        output_BT = output_BT[:, length:]  # models that generate from embeddings return the new tokens alone
    lvlm.tokens += int(inputs["attention_mask"].sum()) + output_BT.numel()
    return [text.strip() for text in lvlm.tokenizer.batch_decode(output_BT, skip_special_tokens=True)]


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
