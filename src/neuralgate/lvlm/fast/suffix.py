"""The end of each question run again and again, while all before it stays as it was.

Attention is causal: a change at some token leaves every token before it alone. So one pass over packed rows (``packing``) gives the
keys and values of everything before the first changed token of each question, and a step runs the tokens from there to the last one
that predicts a target, in the layers above the changed one alone. What the questions about one image share is held, and read, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, DynamicCache

from neuralgate.lvlm.fast.packing import SHARED, pack_groups
from neuralgate.lvlm.forward import Change, at_least_float32
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example

ATTENTION = "neuralgate_suffix"


@dataclass
class Before:
    """What the attention of one layer sees of the tokens before the suffixes. Letters as in :class:`Suffix`; ``K`` key heads, ``E``
    the size of a head, ``Q`` queries that ask one key head."""

    keys_NKPE: Tensor
    values_NKPE: Tensor
    own_keys_BKME: Tensor
    own_values_BKME: Tensor
    padding_N11P: Tensor | None  # True where a column of the shared part holds another token; None if no column does

    def select(self, rows_B: Tensor) -> Before:
        """The same for these questions (booleans), whole groups of them."""
        rows_B = rows_B.to(self.keys_NKPE.device)
        groups_N = rows_B.view(len(self.keys_NKPE), -1)[:, 0]
        padding = None if self.padding_N11P is None else self.padding_N11P[groups_N]
        return Before(
            self.keys_NKPE[groups_N], self.values_NKPE[groups_N], self.own_keys_BKME[rows_B], self.own_values_BKME[rows_B], padding
        )


class _SharedAttention(torch.autograd.Function):
    """Attention of ``Q`` queries to keys and values that need no gradient: its output, and the logarithm of the sum in its
    denominator, with which the attention to further keys is joined to it."""

    @staticmethod
    def forward(ctx: Any, queries_NKQE: Tensor, before: Before) -> tuple[Tensor, Tensor]:
        scores_NKQP = queries_NKQE @ before.keys_NKPE.mT
        if before.padding_N11P is not None:
            scores_NKQP.masked_fill_(before.padding_N11P, float("-inf"))
        precise_NKQP = at_least_float32(scores_NKQP)
        shares_NKQP = precise_NKQP.softmax(-1)
        # the largest share is at least 1 / P: its logarithm is exact enough, and cheaper than another pass over all
        log_sums_NKQ1 = precise_NKQP.amax(-1, keepdim=True) - shares_NKQP.amax(-1, keepdim=True).log()
        shares_NKQP = shares_NKQP.to(queries_NKQE.dtype)
        output_NKQE = shares_NKQP @ before.values_NKPE
        ctx.before = before
        ctx.save_for_backward(shares_NKQP, output_NKQE)
        return output_NKQE, log_sums_NKQ1

    @staticmethod
    def backward(ctx: Any, dOutput_NKQE: Tensor, dLog_sums_NKQ1: Tensor) -> tuple[Tensor, None]:
        shares_NKQP, output_NKQE = ctx.saved_tensors
        dScores_NKQP = dOutput_NKQE @ ctx.before.values_NKPE.mT
        dScores_NKQP -= ((dOutput_NKQE * output_NKQE).sum(-1, keepdim=True) - dLog_sums_NKQ1).to(dScores_NKQP.dtype)
        dScores_NKQP *= shares_NKQP
        return dScores_NKQP @ ctx.before.keys_NKPE, None


def attend(
    module: nn.Module,
    query_BHTE: Tensor,
    key_BKTE: Tensor,
    value_BKTE: Tensor,
    attention_mask: Tensor,
    scaling: float,
    before: Before,
    **_: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers' interface, with two kinds of keys: the shared ones and the question's own. Query
    heads that use one key head are taken together. ``attention_mask`` is additive, ``(B, 1, T, M + T)``; returns ``(B, T, H, E)``."""
    rows, heads, tokens, size = query_BHTE.shape
    groups, key_heads, shared_tokens = before.keys_NKPE.shape[:3]
    sharing = heads // key_heads
    queries_BKQE = (query_BHTE * scaling).reshape(rows, key_heads, sharing * tokens, size)
    all_keys = torch.cat([before.own_keys_BKME, key_BKTE], -2)
    all_values = torch.cat([before.own_values_BKME, value_BKTE], -2)
    mask_B1QX = attention_mask.to(query_BHTE.device).repeat(1, 1, sharing, 1)
    scores_BKQX = at_least_float32(queries_BKQE @ all_keys.mT) + mask_B1QX
    log_sums_BKQ1 = scores_BKQX.logsumexp(-1, keepdim=True)
    own_BKQE = (scores_BKQX - log_sums_BKQ1).exp().to(query_BHTE.dtype) @ all_values
    if shared_tokens:  # the queries of all questions about one image ask its keys together
        folded = queries_BKQE.view(groups, rows // groups, *queries_BKQE.shape[1:]).transpose(1, 2).flatten(2, 3)
        shared_BKQE, shared_BKQ1 = (
            part.unflatten(2, (rows // groups, -1)).transpose(1, 2).flatten(0, 1) for part in _SharedAttention.apply(folded, before)
        )
        # two weights, each rounded by itself: next to a share near 1 the other's difference from it would be lost in half precision
        own_share_BKQ1, share_BKQ1 = ((sign * (shared_BKQ1 - log_sums_BKQ1)).sigmoid().to(own_BKQE.dtype) for sign in (-1, 1))
        output_BKQE = own_share_BKQ1 * own_BKQE + share_BKQ1 * shared_BKQE
    else:
        output_BKQE = own_BKQE
    return output_BKQE.reshape(rows, heads, tokens, size).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)


@contextmanager
def attending(lvlm: LVLM) -> Iterator[None]:
    """Let the decoder's layers use :func:`attend`."""
    config = lvlm.layers[0].self_attn.config
    usual = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = usual


class Suffix:
    """Questions in ``N`` groups of equally many about one image, ``B`` in all, in the order given; for plainly causal models.

    Each has a suffix, from its first changing token to the one that predicts its last target, padded on the right to ``T`` tokens.
    Before it stand ``P`` tokens that its group shares and up to ``M`` of its own.
    """

    outputs: dict[int, Tensor]  # layer -> (B, T, D)
    before: dict[int, Before]
    labels_BT: Tensor  # the token that a position must predict, -100 elsewhere
    changing_BT: Tensor  # which tokens change

    def __init__(self, lvlm: LVLM, groups: Sequence[Sequence[Example]], lowest: int, changing: Callable[[Tensor], Tensor]) -> None:
        """Run the model once.

        Args:
            lowest: the lowest layer whose output is changed.
            changing: says of the classes of a question's tokens (one dimension, no padding) which of them change, at least one.
        """
        if len({len(group) for group in groups}) != 1:
            raise ValueError("the groups must have equally many questions")
        self.lvlm = lvlm
        packed, made = pack_groups(lvlm, groups)
        rows = [row for group in made for row in group]  # where nothing can be shared a question is a row, and a group, by itself
        group_B, own, suffixes, labels, marks = [], [], [], [], []
        for number, row in enumerate(rows):
            for owner in row["owners"][row["owners"] >= 0].unique():
                mine_T = (row["owners"] == owner).nonzero()[:, 0]
                marks_T = changing(row["classes"][mine_T])
                part = slice(int(marks_T.nonzero()[0]), int((row["labels"][mine_T] >= 0).nonzero()[-1]) + 1)
                group_B.append(number)
                own.append(mine_T[: part.start])
                suffixes.append(mine_T[part])
                labels.append(row["labels"][mine_T[part]])
                marks.append(marks_T[part])
        self.labels_BT, self.changing_BT = pad_sequence(labels, True, -100), pad_sequence(marks, True)
        self.lengths_B = torch.tensor([len(suffix) for suffix in suffixes], device=self.labels_BT.device)
        group_B1 = torch.tensor(group_B, device=self.labels_BT.device)[:, None]
        own_BM, columns_BT = pad_sequence(own, True, -1), pad_sequence(suffixes, True)
        self.mask_B1TX = suffix_mask(own_BM >= 0, columns_BT.shape[1], packed.hidden_BTD.dtype)
        shared_N = (packed.owners_BT == SHARED).sum(-1)
        padding_NP = torch.arange(int(shared_N.max()), device=shared_N.device) >= shared_N[:, None]
        padding_N11P = padding_NP[:, None, None] if bool(padding_NP.any()) else None

        self.outputs, self.before, cache = {}, {}, DynamicCache()

        def keep(index: int) -> Callable[..., None]:
            def hook(_module: nn.Module, _arguments: Any, keywords: dict[str, Any], output: Any) -> None:
                hidden_NTD = output[0] if isinstance(output, tuple) else output
                self.outputs[index] = picked(hidden_NTD, group_B1, columns_BT)
                if index == lowest:
                    self.position_embeddings = tuple(picked(part, group_B1, columns_BT) for part in keywords["position_embeddings"])
                layer = cache.layers[index]
                if index > lowest:
                    both = (layer.keys, layer.values)
                    keys, values = (part[:, :, : padding_NP.shape[1]].contiguous() for part in both)
                    own_keys, own_values = (picked(part.transpose(1, 2), group_B1, own_BM).transpose(1, 2).contiguous() for part in both)
                    padding = None if padding_N11P is None else padding_N11P.to(keys.device)
                    self.before[index] = Before(keys, values, own_keys, own_values, padding)
                layer.keys = layer.values = None  # of the packed rows: what is needed of them is in ``before``

            return hook

        handles = [lvlm.layers[index].register_forward_hook(keep(index), with_kwargs=True) for index in range(lowest, len(lvlm.layers))]
        try:
            with torch.no_grad():
                packed.run(lvlm, 0, len(lvlm.layers), cache)
        finally:
            for handle in handles:
                handle.remove()

    def resume(self, layer: int, hidden_BTD: Tensor, change: Change | None = None) -> Tensor:
        """What the output embeddings are given, ``(B, T, D)``, when ``hidden_BTD`` stands in for the output of ``layer``, and
        ``change(index, output)`` for that of every layer above it."""
        self.lvlm.tokens += int(self.lengths_B.sum())
        with attending(self.lvlm):
            for index in range(layer + 1, len(self.lvlm.layers)):
                output = self.lvlm.layers[index](
                    hidden_BTD,
                    attention_mask=self.mask_B1TX,
                    position_embeddings=self.position_embeddings,
                    past_key_values=None,
                    use_cache=False,
                    before=self.before[index],
                )
                hidden_BTD = output[0] if isinstance(output, tuple) else output
                if change:
                    hidden_BTD = change(index, hidden_BTD)
        return self.lvlm.norm(hidden_BTD)

    def tensors(self) -> list[Tensor]:
        """All that is kept of the pass."""
        before = [value for prefix in self.before.values() for value in vars(prefix).values() if value is not None]
        return [*self.outputs.values(), *before, *self.position_embeddings, self.mask_B1TX, self.labels_BT, self.changing_BT]

    def select(self, rows_B: Tensor, layer: int) -> Suffix:
        """The same with some of the questions (booleans), whole groups of them, to resume from ``layer`` or above."""
        chosen = copy(self)
        for name in ("labels_BT", "changing_BT", "lengths_B", "mask_B1TX"):
            setattr(chosen, name, getattr(self, name)[rows_B])
        chosen.position_embeddings = tuple(part[rows_B.to(part.device)] for part in self.position_embeddings)
        chosen.outputs = {index: output[rows_B.to(output.device)] for index, output in self.outputs.items() if index >= layer}
        chosen.before = {index: before.select(rows_B) for index, before in self.before.items() if index > layer}
        return chosen


def picked(values_NTX: Tensor, group_B1: Tensor, columns_BT: Tensor) -> Tensor:
    """``(B, T, ...)``: of each question's row the columns that are its own; padding takes any."""
    return values_NTX[group_B1.to(values_NTX.device), columns_BT.to(values_NTX.device)]


def suffix_mask(own_BM: Tensor, tokens: int, dtype: torch.dtype) -> Tensor:
    """Additive, ``(B, 1, T, M + T)``: a token of the suffix sees the question's own tokens before it (``own_BM``) and causally
    those of the suffix. Padding comes last and is seen by nobody else."""
    causal_TT = torch.ones(tokens, tokens, dtype=torch.bool, device=own_BM.device).tril()
    seen_BTX = torch.cat([own_BM[:, None].expand(-1, tokens, -1), causal_TT.expand(len(own_BM), -1, -1)], -1)
    return torch.zeros(seen_BTX.shape, dtype=dtype, device=own_BM.device).masked_fill_(~seen_BTX, torch.finfo(dtype).min)[:, None]
