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
from torch.nn.utils.rnn import pad_sequence

from neuralgate.lvlm.forward import embed, final_hidden, only_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import IMAGE, OTHER, Batch, Example, encode_examples

SHARED, PADDING = -1, -2  # owners that are no example
FILL = {"input_ids": 0, "positions": 0, "owners": PADDING, "classes": OTHER, "labels": -100, "hidden": 0.0}
KEPT_BYTES = 512 * 2**20


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

    def run(self, lvlm: LVLM, start: int, stop: int) -> Tensor:
        """``hidden_BTD`` after the layers from ``start`` up to ``stop``, and after the last norm when that is the top."""
        lvlm.tokens += int((self.owners_BT != PADDING).sum())
        with only_layers(lvlm, start, stop):
            return lvlm.decoder(
                inputs_embeds=self.hidden_BTD, attention_mask=self.mask_B1TT(), position_ids=self.position_ids_BT, use_cache=False
            ).last_hidden_state

    def final_hidden(self, lvlm: LVLM) -> Tensor:
        """What the output embeddings are given, ``(B, T, D)``."""
        return self.run(lvlm, self.layer, len(lvlm.layers))


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


class Inputs:
    """Packed batches for edits whose lowest layer is ``layer``. At most ``kept_bytes`` of what was computed are kept;
    what does not fit is computed again."""

    def __init__(self, lvlm: LVLM, layer: int, kept_bytes: int = KEPT_BYTES) -> None:
        self.lvlm, self.layer, self.room = lvlm, layer, kept_bytes
        self.known: dict[tuple[Example, ...], list[dict[str, Tensor]]] = {}

    def batch(self, examples: Sequence[Example]) -> Packed | Unpacked:
        """``examples`` in their order. Neighbours about one image share a row where the model allows it."""
        if not self.lvlm.is_plain:
            return Unpacked(encode_examples(self.lvlm, examples))
        groups = [tuple(group) for _, group in groupby(examples, key=lambda example: str(example.image))]
        missing = list(dict.fromkeys(group for group in groups if group not in self.known))
        fresh = dict(zip(missing, self.compute(missing), strict=True)) if missing else {}
        rows, owners, first = [], [], 0
        for group in groups:
            for row in fresh.get(group) or self.known[group]:
                rows.append(row)
                owners.append(torch.where(row["owners"] >= 0, row["owners"] + first, row["owners"]))
            first += len(group)
        for group, made in fresh.items():
            size = sum(tensor.nbytes for row in made for tensor in row.values())
            if size <= self.room:
                self.room -= size
                self.known[group] = made
        padded = {name: pad([row[name] for row in rows], name) for name in ("hidden", "positions", "classes", "labels")}
        return Packed(padded["hidden"], padded["positions"], pad(owners, "owners"), padded["classes"], padded["labels"], self.layer)

    @torch.no_grad()
    def compute(self, groups: Sequence[tuple[Example, ...]]) -> list[list[dict[str, Tensor]]]:
        """The rows of each group without padding; owners count from 0 in every group."""
        batch = encode_examples(self.lvlm, [example for group in groups for example in group])
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
        packed = Packed(embed(self.lvlm, whole), positions_BT, owners_BT, classes_BT, labels_BT)
        hidden_BTD = packed.run(self.lvlm, 0, self.layer) if self.layer else packed.hidden_BTD
        for row, hidden_TD in zip(flat, hidden_BTD, strict=True):
            row["hidden"] = hidden_TD[: len(row["owners"])].clone()
        return rows


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
