"""The second moments of ordinary keys: one pass over ordinary text for all layers, kept in the user's cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralgate.closed_form.kept import identity_of, kept
from neuralgate.closed_form.requests import ROWS, at_tokens
from neuralgate.errors import UserError
from neuralgate.files import read_text
from neuralgate.lvlm.forward import final_hidden, inputs_seen
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import OTHER, Batch, Example, batch_of, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet

LONGEST = 256  # tokens of a paragraph, where it is cut
MOST = 100_000  # tokens of a text in all


def ordinary_moments(lvlm: LVLM, pairs: PairSet, layers: Sequence[int], corpus: str | None = None) -> dict[int, Tensor]:
    """The second moments of ordinary keys, layer -> ``(F, F)`` in float64.

    Args:
        corpus: a text file, a paragraph a line; None takes the model's own language: benign and contrast questions about the training
            pictures with the answers that it gives them.

    Raises:
        UserError: the file cannot be read, or there is no text in it.
    """
    if corpus is None:
        told = [*pairs.split("train", "edit"), *pairs.split("train", "contrast")]
        examples = [example_of(pair, "benign", pairs.folder) for pair in told]
        examples += [example_of(pair, "sensitive", pairs.folder) for pair in told if pair.role == "contrast"]
        texts, how = identity_of(lvlm, examples)
        return _kept(lvlm, layers, [sorted(texts), how], lambda missing: second_moments(lvlm, examples, missing))
    paragraphs = read_paragraphs(corpus)
    return _kept(lvlm, layers, [paragraphs, LONGEST, MOST], lambda missing: text_moments(lvlm, paragraphs, missing))


def _kept(lvlm: LVLM, layers: Sequence[int], text: list[Any], compute: Callable[[list[int]], dict[int, Tensor]]) -> dict[int, Tensor]:
    def named(missing: list[int]) -> dict[int, dict[str, Tensor]]:
        return {layer: {"moment": moment_FF} for layer, moment_FF in compute(missing).items()}

    return {layer: tensors["moment"] for layer, tensors in kept(lvlm, "moments", text, layers, named).items()}


def read_paragraphs(corpus: str) -> list[str]:
    """The lines of a text file that are not empty. Raises UserError where it cannot be read, or there is none."""
    paragraphs = [line.strip() for line in read_text(Path(corpus)).splitlines() if line.strip()]
    if not paragraphs:
        raise UserError(f"{corpus} holds no text; write a paragraph a line.")
    return paragraphs


def second_moments(lvlm: LVLM, corpus: Sequence[Example], layers: Sequence[int]) -> dict[int, Tensor]:
    """The second moment ``(F, F)`` of what each layer's FFN output projection is given, in float64, over all tokens of ``corpus`` but each
    row's first, which is much larger than the others in many a model. One pass for all layers."""
    sums = Sums(lvlm, layers)
    lvlm.batches(ROWS, "reading ordinary text").run(lambda chosen: sums.add(encode_examples(lvlm, chosen)), list(corpus))
    return sums.means()


def text_moments(lvlm: LVLM, paragraphs: Sequence[str], layers: Sequence[int]) -> dict[int, Tensor]:
    """The same over plain paragraphs, as they stand, without a picture; of long ones the beginning, and of all at most `MOST` tokens."""
    rows: list[list[int]] = []
    left = MOST
    for paragraph in paragraphs:
        row = lvlm.tokenizer(paragraph, truncation=True, max_length=min(LONGEST, left))["input_ids"]
        if len(row) > 1:  # the first token counts as none
            rows.append(row)
            left -= len(row)
        if left < 2:
            break
    if not rows:
        raise UserError("The text of the corpus has no paragraph of more than one token.")
    sums = Sums(lvlm, layers)
    lvlm.batches(ROWS, "reading ordinary text").run(lambda chosen: sums.add(plain_batch(lvlm, chosen)), rows)
    return sums.means()


def plain_batch(lvlm: LVLM, rows: Sequence[Sequence[int]]) -> Batch:
    """Tokens as they stand, padded on the right."""
    size = max(map(len, rows))
    ids_BT = torch.tensor([[*row, *[lvlm.tokenizer.pad_token_id or 0] * (size - len(row))] for row in rows], device=lvlm.device)
    mask_BT = torch.tensor([[1] * len(row) + [0] * (size - len(row)) for row in rows], device=lvlm.device)
    inputs = {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": torch.full_like(ids_BT, -100)}
    return batch_of(lvlm, inputs, torch.full_like(ids_BT, OTHER))


class Sums:
    """Of outer products of keys, over batches."""

    def __init__(self, lvlm: LVLM, layers: Sequence[int]) -> None:
        self.lvlm, self.layers, self.count = lvlm, layers, 0
        self.sums: dict[int, Tensor] = {}

    @torch.no_grad()
    def add(self, batch: Batch) -> None:
        counted_BT = batch.behind_first_BT
        products: dict[int, Tensor] = {}  # added when the pass is whole: one that memory does not hold is made again in halves

        def see(layer: int, values: Tensor) -> None:
            keys_NF = at_tokens(values, counted_BT).double()
            products[layer] = keys_NF.T @ keys_NF

        with inputs_seen({layer: self.lvlm.ffn_out(layer) for layer in self.layers}, see):
            final_hidden(self.lvlm, batch)
        self.count += int(counted_BT.sum())
        for layer, product_FF in products.items():
            self.sums[layer] = self.sums.get(layer, 0.0) + product_FF

    def means(self) -> dict[int, Tensor]:
        return {layer: total / self.count for layer, total in self.sums.items()}
