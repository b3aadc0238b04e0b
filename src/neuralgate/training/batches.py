"""What enters the lowest edited layer: computed once per pair, and with one image for both of its questions.

Nothing below the lowest edited layer changes during an edit, and nothing before the end of the image differs between
the questions about it. So the questions about one image stand behind it in one row, each of which sees the image and
itself alone; the layers below the edit are run once, and their output is kept for the next epoch and the next edit.
Both are exact: position numbers and visible tokens are those of the single question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from neuralgate.lvlm.fast.packing import Packed, pack_groups, pad
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Batch, Example, encode_examples

KEPT_BYTES = 512 * 2**20


@dataclass
class Unpacked:
    """Examples as rows of their own, through the whole model: the plain form, and the only one for models whose questions
    cannot share an image's computation (``LVLM.is_plain``)."""

    batch: Batch

    @property
    def classes_BT(self) -> Tensor:
        return self.batch.classes_BT

    @property
    def labels_BT(self) -> Tensor:
        return self.batch.labels_BT

    @property
    def examples_BT(self) -> Tensor:
        """The example that each token belongs to: its row."""
        rows_B1 = torch.arange(len(self.batch.labels_BT), device=self.batch.labels_BT.device)[:, None]
        return rows_B1.expand_as(self.batch.labels_BT)

    def final_hidden(self, lvlm: LVLM) -> Tensor:
        """What the output embeddings are given, ``(B, T, D)``."""
        return final_hidden(lvlm, self.batch)

    def run_through(self, lvlm: LVLM, _layer: int) -> None:
        """Run the layers, for what looks on: all of them, there is no shorter plain form."""
        final_hidden(lvlm, self.batch)


class Inputs:
    """Packed batches for edits whose lowest layer is ``layer``. At most ``kept_bytes`` of what was computed are kept;
    what does not fit is computed again."""

    def __init__(self, lvlm: LVLM, layer: int, kept_bytes: int = KEPT_BYTES) -> None:
        self.lvlm, self.layer, self.room = lvlm, layer, kept_bytes
        self.rows_of: dict[tuple[Example, ...], list[dict[str, Tensor]]] = {}

    def batch(self, examples: Sequence[Example]) -> Packed | Unpacked:
        """``examples`` in their order. Neighbours about one image share a row where the model allows it."""
        if not self.lvlm.is_plain:
            return Unpacked(encode_examples(self.lvlm, examples))
        groups = [tuple(group) for _, group in groupby(examples, key=lambda example: str(example.image))]
        missing = list(dict.fromkeys(group for group in groups if group not in self.rows_of))
        fresh = dict(zip(missing, self.compute(missing), strict=True)) if missing else {}
        rows, owners, first = [], [], 0
        for group in groups:
            for row in fresh.get(group) or self.rows_of[group]:
                rows.append(row)
                owners.append(torch.where(row["owners"] >= 0, row["owners"] + first, row["owners"]))
            first += len(group)
        for group, made in fresh.items():
            size = sum(tensor.nbytes for row in made for tensor in row.values())
            if size <= self.room:
                self.room -= size
                self.rows_of[group] = made
        padded = {name: pad([row[name] for row in rows], name) for name in ("hidden", "positions", "classes", "labels")}
        return Packed(padded["hidden"], padded["positions"], pad(owners, "owners"), padded["classes"], padded["labels"], self.layer)

    @torch.no_grad()
    def compute(self, groups: Sequence[tuple[Example, ...]]) -> list[list[dict[str, Tensor]]]:
        """The rows of each group without padding; owners count from 0 in every group."""
        packed, rows = pack_groups(self.lvlm, groups)
        hidden_BTD = packed.run(self.lvlm, 0, self.layer) if self.layer else packed.hidden_BTD
        for row, hidden_TD in zip((row for made in rows for row in made), hidden_BTD, strict=True):
            row["hidden"] = hidden_TD[: len(row["owners"])].clone()
        return rows
