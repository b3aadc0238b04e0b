"""Greedy generation in batches, with the image computed once for all the questions about it.

In a chat prompt the image stands before the question, and attention is causal: the keys and values of everything up to
the last image token do not depend on what is asked. They are computed once per image and shared by the rows of a batch;
between them and the question stands the padding (masked, and skipped by the position numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    for group in groups:
        for start in range(0, len(group), batch_size):
            chosen = group[start : start + batch_size]
            inputs = encode_prompts(lvlm, [items[i] for i in chosen])
            if share_images and items[chosen[0]][0] is not None:
                inputs = with_shared_prefix(lvlm, inputs, [image_key(items[i][0]) for i in chosen])
            output = lvlm.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, use_cache=True)
            texts = lvlm.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for i, text in zip(chosen, texts, strict=True):
                answers[i] = text.strip()
            finished += len(chosen)
            if report:
                report(done=finished, total=len(items), text="generating")
    return answers


def with_shared_prefix(lvlm: LVLM, inputs: dict[str, Tensor], keys: Sequence[object]) -> dict[str, Tensor]:
    """The same inputs with the image part moved into a cache that is computed once per distinct image.

    Left as they are when the rows do not all begin with the same tokens up to their last image token.
    """
    ids_BT, mask_BT = inputs["input_ids"], inputs["attention_mask"]
    rows = [ids[mask.bool()] for ids, mask in zip(ids_BT, mask_BT, strict=True)]
    image_token = lvlm.model.config.image_token_id
    prefix = rows[0][: int((rows[0] == image_token).nonzero()[-1]) + 1]
    size = len(prefix)
    if any(not torch.equal(row[:size], prefix) or bool((row[size:] == image_token).any()) for row in rows):
        return inputs
    distinct = {key: row for row, key in reversed(list(enumerate(keys)))}  # the first row of every image
    first = list(distinct.values())
    place = {key: i for i, key in enumerate(distinct)}
    cache = lvlm.model(
        input_ids=prefix.expand(len(first), -1), pixel_values=inputs["pixel_values"][first], use_cache=True, logits_to_keep=1
    ).past_key_values
    cache.batch_select_indices(torch.tensor([place[key] for key in keys], device=ids_BT.device))
    longest = max(len(row) for row in rows)
    full_BT = torch.full((len(rows), longest), lvlm.tokenizer.pad_token_id, device=ids_BT.device)
    full_mask_BT = torch.zeros_like(full_BT)
    for i, row in enumerate(rows):
        gap = longest - len(row)
        full_BT[i, :size], full_BT[i, size + gap :] = prefix, row[size:]
        full_mask_BT[i, :size], full_mask_BT[i, size + gap :] = 1, 1
    return {"input_ids": full_BT, "attention_mask": full_mask_BT, "past_key_values": cache}
