"""What enters the lowest edited layer: computed once per pair, and with one image for both of its questions.

Nothing below the lowest edited layer changes during an edit, and nothing before the end of the image differs between
the questions about it. So the questions about one image stand behind it in one row, each of which sees the image and
itself alone; the layers below the edit are run once, and their output is kept for the next epoch and the next edit.
Both are exact: position numbers and visible tokens are those of the single question.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from neuralgate.lvlm.fast.packing import Packed, pack_groups, pad
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Batch, Example, encode_examples
from neuralgate.training.reached import Reached

KEPT_BYTES = 512 * 2**20

Made = TypeVar("Made")


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
    what does not fit is computed again. ``alone``: images are computed one by one, so that a row is the same bits whatever else is asked
    for beside it."""

    def __init__(self, lvlm: LVLM, layer: int, kept_bytes: int = KEPT_BYTES, alone: bool = False) -> None:
        self.lvlm, self.layer, self.room, self.alone = lvlm, layer, kept_bytes, alone
        self.rows_of: dict[tuple[Example, ...], list[dict[str, Tensor]]] = {}
        self.seconds: dict[tuple[Example, ...], float] = {}  # that the kept rows took
        self.counted: set[tuple[Example, ...]] = set()  # those that this edit computed, or whose time it has counted as saved

    def again(self) -> None:
        """Another edit begins, which would have to compute everything itself."""
        self.counted.clear()

    def batch(self, examples: Sequence[Example]) -> Packed | Unpacked:
        """``examples`` in their order. Neighbours about one image share a row where the model allows it."""
        if not self.lvlm.is_plain:
            return Unpacked(encode_examples(self.lvlm, examples))
        groups = [tuple(group) for _, group in groupby(examples, key=lambda example: str(example.image))]
        missing = list(dict.fromkeys(group for group in groups if group not in self.rows_of))
        started = time.perf_counter()
        parts = [[group] for group in missing] if self.alone else [missing] if missing else []
        fresh = dict(zip(missing, (made for part in parts for made in self.compute(part)), strict=True))
        taken = time.perf_counter() - started
        for group in (self.seconds.keys() & set(groups)) - self.counted:
            self.lvlm.saved_seconds += self.seconds[group]
            self.counted.add(group)
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
                self.seconds[group] = taken / len(missing)
                self.counted.add(group)
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


class SharedWork:
    """What edits of ``lvlm`` on the same pairs, made while :meth:`used`, need not do twice: what enters the lowest edited layer, of the
    ``most`` layers asked for last, whatever is made :meth:`once`, and the steps of a training that goes further than the same before. What
    an edit finds here is added to ``lvlm.saved_seconds``, so that costs can be told as those of an edit by itself. Holds as long as the
    model is the same before every edit."""

    def __init__(self, lvlm: LVLM, most: int = 6) -> None:
        self.lvlm, self.most = lvlm, most
        self.held: dict[int, Inputs] = {}
        self.made: dict[Hashable, tuple[Any, float]] = {}  # and the seconds that it took
        self.reached: dict[Hashable, Reached] = {}  # by the two trainings that ended last, as many as an edit has at most

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, or gave when it was asked for under the same ``key``."""
        if key in self.made:
            found, seconds = self.made[key]
            self.lvlm.saved_seconds += seconds
            return cast(Made, found)
        started, saved = time.perf_counter(), self.lvlm.saved_seconds
        made = make()
        self.made[key] = made, time.perf_counter() - started + self.lvlm.saved_seconds - saved
        return made

    def keep(self, key: Hashable, reached: Reached) -> None:
        """Where the training of this key, which says all but its number of steps, has ended."""
        self.reached[key] = reached
        for oldest in list(self.reached)[:-2]:
            del self.reached[oldest]

    def at(self, layer: int) -> Inputs:
        """Those of an edit that begins now."""
        found = self.held.pop(layer, None) or Inputs(self.lvlm, layer, alone=True)
        self.held[layer] = found
        for oldest in list(self.held)[: -self.most]:
            del self.held[oldest]
        found.again()
        return found

    @contextmanager
    def used(self) -> Iterator[None]:
        before, self.lvlm.shared = self.lvlm.shared, self
        try:
            yield
        finally:
            self.lvlm.shared = before


def inputs_of(lvlm: LVLM, layer: int) -> Inputs:
    """Those of an edit whose lowest layer is ``layer``: its own, or where some are shared those."""
    return lvlm.shared.at(layer) if lvlm.shared else Inputs(lvlm, layer)
