"""Several questions about one image in one row: the image stands there once, and each question sees it and itself alone.

Exact where attention is plainly causal (``LVLM.is_plain``): position numbers and visible tokens are those of the single question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from neuralgate.lvlm.forward import embed, only_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import IMAGE, OTHER, Batch, Example, encode_examples

SHARED, PADDING = -1, -2  # owners that are no example
FILL = {"input_ids": 0, "positions": 0, "owners": PADDING, "classes": OTHER, "labels": -100, "hidden": 0.0}


@dataclass
class Packed:
    """Examples side by side: ``B`` rows, ``T`` tokens."""

    hidden_BTD: Tensor  # what enters ``layer``
    position_ids_BT: Tensor
    owners_BT: Tensor  # the example that a token belongs to; SHARED where all examples of the row see it; or PADDING
    classes_BT: Tensor  # index into POSITIONS
    labels_BT: Tensor  # the token that a position must predict, -100 elsewhere
    layer: int = 0

    @property
    def examples_BT(self) -> Tensor:
        """``owners_BT`` as an index: shared tokens and padding, which have no labels and no subject, count as example 0."""
        return self.owners_BT.clamp(min=0)

    def mask_B1TT(self) -> Tensor:
        """Additive attention mask: causal; a token sees the shared tokens and those of its own example."""
        asks_BT1, seen_B1T = self.owners_BT[:, :, None], self.owners_BT[:, None, :]
        allowed_BTT = ((asks_BT1 == seen_B1T) | ((seen_B1T == SHARED) & (asks_BT1 != PADDING))).tril()
        mask_BTT = torch.zeros(allowed_BTT.shape, dtype=self.hidden_BTD.dtype, device=self.hidden_BTD.device)
        return mask_BTT.masked_fill_(~allowed_BTT.to(mask_BTT.device), torch.finfo(mask_BTT.dtype).min)[:, None]

    def run(self, lvlm: LVLM, start: int, stop: int, cache: DynamicCache | None = None) -> Tensor:
        """``hidden_BTD`` after the layers from ``start`` up to ``stop``, and after the last norm when that is the top. A ``cache``
        is given their keys and values."""
        lvlm.tokens += int((self.owners_BT != PADDING).sum())
        with only_layers(lvlm, start, stop):
            return lvlm.decoder(
                inputs_embeds=self.hidden_BTD,
                attention_mask=self.mask_B1TT(),
                position_ids=self.position_ids_BT,
                past_key_values=cache,
                use_cache=cache is not None,
            ).last_hidden_state

    def final_hidden(self, lvlm: LVLM) -> Tensor:
        """What the output embeddings are given, ``(B, T, D)``."""
        return self.run(lvlm, self.layer, len(lvlm.layers))

    def run_through(self, lvlm: LVLM, layer: int) -> None:
        """Run the layers up to and with ``layer``, for what looks on."""
        self.run(lvlm, self.layer, layer + 1)

    def final_hidden_at_labels(self, lvlm: LVLM) -> tuple[Tensor, Tensor, Tensor]:
        """What the output embeddings are given at the tokens that have a label, ``(B, Q, D)``, padded on the right, their labels and
        their examples, ``(B, Q)``. The top layer gives the keys and values of all tokens and is run for those alone."""
        columns = [row.nonzero()[:, 0] for row in self.labels_BT >= 0]
        columns_BQ = pad_sequence(columns, True)
        real_BQ = pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in columns], True)
        with only_for(lvlm.layers[-1], columns_BQ):
            hidden_BQD = self.final_hidden(lvlm)
        return hidden_BQD, self.labels_BT.gather(1, columns_BQ).where(real_BQ, -100), self.examples_BT.gather(1, columns_BQ)


class _Caught(Exception):
    """Ends a layer's pass when its keys and values are known."""


class _Keys:
    """Stands in for a cache: gives the keys and values of all tokens, or is given them and ends the pass."""

    def __init__(self) -> None:
        self.keys_and_values: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if self.keys_and_values is None:
            self.keys_and_values = keys, values
            raise _Caught
        return self.keys_and_values


@contextmanager
def only_for(layer: nn.Module, columns_BQ: Tensor) -> Iterator[None]:
    """Let a decoder layer give its output for these tokens alone, which see what they saw."""

    def narrow(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        keys = _Keys()
        with suppress(_Caught):
            module.forward(*arguments, **{**keywords, "past_key_values": keys})
        hidden_BTD, mask_B1TT = arguments[0], keywords["attention_mask"]
        at_BQ1 = columns_BQ.to(hidden_BTD.device)[..., None]
        chosen = {
            "attention_mask": mask_B1TT.gather(2, at_BQ1[:, None].to(mask_B1TT.device).expand(-1, -1, -1, mask_B1TT.shape[-1])),
            "position_embeddings": tuple(_picked(part_BTE, at_BQ1) for part_BTE in keywords["position_embeddings"]),
            "past_key_values": keys,
        }
        return (_picked(hidden_BTD, at_BQ1), *arguments[1:]), {**keywords, **chosen}

    handle = layer.register_forward_pre_hook(narrow, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _picked(values_BTX: Tensor, columns_BQ1: Tensor) -> Tensor:
    return values_BTX.gather(1, columns_BQ1.to(values_BTX.device).expand(-1, -1, values_BTX.shape[-1]))


@torch.no_grad()
def pack_groups(lvlm: LVLM, groups: Sequence[Sequence[Example]]) -> tuple[Packed, list[list[dict[str, Tensor]]]]:
    """The examples of each group in one row if they can share one, else in rows of their own: ready to enter layer 0, and the rows
    of each group without padding. Owners count from 0 in every group."""
    batch = encode_examples(lvlm, [example for group in groups for example in group])
    rows: list[list[dict[str, Tensor]]] = []
    pictures: list[int] = []  # whose pixels stand in which row
    first = 0
    for group in groups:
        members = range(first, first + len(group))
        shared = shared_length(batch, members)
        packs = [list(members)] if shared else [[member] for member in members]
        rows.append([pack(batch, chosen, shared, chosen[0] - first) for chosen in packs])
        pictures += [chosen[0] for chosen in packs]
        first += len(group)
    flat = [row for made in rows for row in made]
    ids_BT, owners_BT = pad([row.pop("input_ids") for row in flat], "input_ids"), pad([row["owners"] for row in flat], "owners")
    positions_BT, classes_BT, labels_BT = (pad([row[name] for row in flat], name) for name in ("positions", "classes", "labels"))
    fields = {name: value[pictures] for name, value in batch.fields.items()}
    whole = Batch(ids_BT, (owners_BT != PADDING).long(), positions_BT, classes_BT, labels_BT, fields, is_plain=True)
    return Packed(embed(lvlm, whole), positions_BT, owners_BT, classes_BT, labels_BT), rows


def pad(sequences: Sequence[Tensor], name: str) -> Tensor:
    return pad_sequence(list(sequences), batch_first=True, padding_value=FILL[name])


def shared_length(batch: Batch, members: Sequence[int]) -> int:
    """Length of the part up to the last image token, if all ``members`` (rows of ``batch``) begin with it and show no
    image after it; otherwise 0, and they cannot share."""
    image_BT = batch.is_class(IMAGE)[list(members)]
    if not bool(image_BT.any()):
        return 0
    length = int(image_BT[0].nonzero()[-1]) + 1
    ids_BT = batch.input_ids_BT[list(members)]
    same = bool((ids_BT[:, :length] == ids_BT[:1, :length]).all())
    return length if same and not bool(image_BT[:, length:].any()) else 0


def pack(batch: Batch, members: Sequence[int], shared: int, first_owner: int) -> dict[str, Tensor]:
    """One row: the shared tokens once, then what is each member's own (``batch`` is padded on the right)."""
    parts: dict[str, list[Tensor]] = {name: [] for name in ("input_ids", "positions", "owners", "classes", "labels")}
    for number, member in enumerate(members):
        start = shared if number else 0
        used = slice(start, int(batch.attention_mask_BT[member].sum()))
        parts["input_ids"].append(batch.input_ids_BT[member, used])
        parts["positions"].append(batch.position_ids_BT[member, used])
        parts["classes"].append(batch.classes_BT[member, used])
        parts["labels"].append(batch.labels_BT[member, used])
        owners_T = torch.full_like(parts["labels"][-1], first_owner + number)
        owners_T[: shared - start] = SHARED
        parts["owners"].append(owners_T)
    return {name: torch.cat(values) for name, values in parts.items()}
