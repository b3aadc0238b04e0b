"""The layers above a change run again: what every layer was called with in one plain pass is kept, and nothing below is recomputed.

The general form, for every architecture; the plain form (hooks on the whole model) is its oracle. Where the recorded masks show that
attention is causal, sliding windows included, only the tokens from the first changed one on are run. ``suffix`` is the faster form for
plainly causal models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from neuralgate.errors import UserError
from neuralgate.lvlm.forward import Change, final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Batch

#: What layers are given beside the mask: the dimensions of its rows, if it has any, and of its tokens, from the end (positions may
#: come in threes).
TOKEN_ARGUMENTS: dict[str, tuple[int | None, int]] = {
    "position_embeddings": (-3, -2),
    "position_ids": (-2, -1),
    "cache_position": (None, -1),
}


@dataclass
class Call:
    """How one decoder layer was called, and what it gave."""

    output: Tensor  # (B, T, D)
    positional: tuple[Any, ...]  # after the hidden states
    keywords: dict[str, Any]
    #: What the model adds between the layer below and this one (DeepStack's visual features), if anything.
    added: Tensor | None


class KnownPrefix:
    """Stands in for a cache: the keys and values of a prefix that does not change, in front of the suffix's own."""

    def __init__(self, keys_BKTE: Tensor, values_BKTE: Tensor) -> None:
        self.keys_BKTE, self.values_BKTE = keys_BKTE, values_BKTE

    def update(self, keys_BKTE: Tensor, values_BKTE: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys_BKTE, keys_BKTE], -2), torch.cat([self.values_BKTE, values_BKTE], -2)

    def get_seq_length(self, *_: Any) -> int:
        return self.keys_BKTE.shape[-2]


@dataclass
class Recorded:
    """One plain forward pass, layer by layer. Layers that the pass left out (cross-attention without an image) are not in it."""

    lvlm: LVLM
    calls: dict[int, Call]
    columns: slice = field(default_factory=lambda: slice(None))  # the tokens that are run again: all, or those of the suffix

    @property
    def outputs(self) -> dict[int, Tensor]:
        """Layer -> its output ``(B, T, D)``."""
        return {index: call.output for index, call in self.calls.items()}

    def tensors(self) -> list[Tensor]:
        """All that is kept of the pass."""
        values: list[Any] = []
        for call in self.calls.values():
            values += [call.output, call.added, *call.positional]
            for value in call.keywords.values():
                values += value if isinstance(value, tuple) else vars(value).values() if isinstance(value, KnownPrefix) else [value]
        return [value for value in values if isinstance(value, Tensor)]

    def resume(self, layer: int, hidden_BTD: Tensor, change: Change | None = None) -> Tensor:
        """What the output embeddings are given when ``hidden_BTD`` stands in for the output of ``layer``, and
        ``change(index, output)`` for that of every layer above it."""
        self.lvlm.tokens += hidden_BTD.shape[0] * hidden_BTD.shape[1]
        for index, call in self.calls.items():
            if index <= layer:
                continue
            if call.added is not None:
                hidden_BTD = hidden_BTD + call.added
            output = self.lvlm.layers[index](hidden_BTD, *call.positional, **call.keywords)
            hidden_BTD = output[0] if isinstance(output, tuple) else output
            if change:
                hidden_BTD = change(index, hidden_BTD)
        return self.lvlm.norm(hidden_BTD)

    def select(self, rows_B: Tensor, layer: int) -> Recorded:
        """The same with some of the rows (booleans), to resume from ``layer`` or above; for a pass that was cut to a suffix."""

        def of(value: Any, dimension: int | None) -> Any:
            if isinstance(value, tuple):
                return tuple(of(part, dimension) for part in value)
            if value is None or dimension is None or value.shape[dimension] != len(rows_B):  # one for all rows
                return value
            return value.index_select(dimension, rows_B.nonzero()[:, 0].to(value.device))

        calls = {}
        for index, call in self.calls.items():
            if index >= layer:
                keywords = dict(call.keywords)
                for name, (dimension, _) in TOKEN_ARGUMENTS.items():
                    keywords[name] = of(keywords.get(name), dimension)
                keywords["attention_mask"] = of(keywords["attention_mask"], 0)
                prefix = keywords["past_key_values"]
                keywords["past_key_values"] = KnownPrefix(of(prefix.keys_BKTE, 0), of(prefix.values_BKTE, 0))
                calls[index] = Call(of(call.output, 0), call.positional, keywords, of(call.added, 0))
        return Recorded(self.lvlm, calls, self.columns)


@torch.no_grad()
def record(lvlm: LVLM, batch: Batch, lowest: int = 0, changing_BT: Tensor | None = None) -> Recorded:
    """Run the model once and keep what :class:`Recorded` needs to resume from layer ``lowest`` or above.

    If the tokens are given that will change, and every layer's attention turns out to be causal around them, only the tokens from
    the first of them to the last that predicts a target are kept, and the keys and values of those before.
    """
    calls: dict[int, Call] = {}

    def hook_of(index: int) -> Callable[..., None]:
        def hook(_module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            keywords = {**keywords, "past_key_values": None, "use_cache": False}
            refuse_state(lvlm, index, {**keywords, **{f"argument {place}": value for place, value in enumerate(arguments)}})
            entered = arguments[0] if arguments else keywords.pop("hidden_states")
            left = calls[max(calls)].output if calls else entered
            added = None if torch.equal(entered, left) else entered - left
            for below in [other for other in calls if other < min(index, lowest)]:
                del calls[below]
            calls[index] = Call(output[0] if isinstance(output, tuple) else output, arguments[1:], keywords, added)

        return hook

    # without a configuration it keeps all keys, those outside a sliding window, too
    cache = DynamicCache() if changing_BT is not None and attends_to_itself(lvlm) else None
    handles = [layer.register_forward_hook(hook_of(index), with_kwargs=True) for index, layer in enumerate(lvlm.layers)]
    try:
        final_hidden(lvlm, batch, cache)
    finally:
        for handle in handles:
            handle.remove()
    if changing_BT is not None and cache is not None:
        first, end = int(changing_BT.any(0).nonzero()[0]), int((batch.labels_BT >= 0).any(0).nonzero()[-1]) + 1
        if all(can_be_cut(call, first) for index, call in calls.items() if index > lowest):
            for index, call in calls.items():
                calls[index] = cut(call, cache.layers[index], first, end)
                cache.layers[index].keys = cache.layers[index].values = None  # what is needed of them is in the call
            return Recorded(lvlm, calls, slice(first, end))
    return Recorded(lvlm, calls)


def refuse_state(lvlm: LVLM, index: int, arguments: dict[str, Any]) -> None:
    """Raises UserError where a layer is handed an object that it may change: run again, the layers would see what they left in it."""
    for name, value in arguments.items():
        parts = value if isinstance(value, tuple) else (value,)
        if not all(part is None or isinstance(part, Tensor | bool | int | float | str) for part in parts):
            raise UserError(
                f"Layer {index} of {lvlm.name} shares a {type(value).__name__} ({name}) with other layers, so it cannot be run again by "
                "itself; models of this kind cannot be located on."
            )


def attends_to_itself(lvlm: LVLM) -> bool:
    """Whether all layers attend to their own tokens and to nothing else, with keys and values that a cache can hold."""
    return all(hasattr(layer, "self_attn") for layer in lvlm.layers)


def can_be_cut(call: Call, first: int) -> bool:
    """Whether the tokens before column ``first`` saw none from there on, and every argument of the layer is known."""
    mask = call.keywords.get("attention_mask")
    if mask is not None:
        if mask.dim() != 4:
            return False
        seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
        if bool(seen[:, :, :first, first:].any()):
            return False
    argument_names = {"attention_mask", "past_key_values", "use_cache", *TOKEN_ARGUMENTS}
    others = [*call.positional, *(value for name, value in call.keywords.items() if name not in argument_names)]
    return not any(isinstance(value, Tensor | tuple) for value in others)


def cut(call: Call, layer: Any, first: int, end: int) -> Call:
    """The call for the tokens from column ``first`` up to ``end`` alone; ``layer`` is the cache's."""
    keywords = dict(call.keywords)
    for name, (_, dimension) in TOKEN_ARGUMENTS.items():
        value = keywords.get(name)
        if isinstance(value, tuple):
            keywords[name] = tuple(part.narrow(dimension, first, end - first) for part in value)
        elif value is not None:
            keywords[name] = value.narrow(dimension, first, end - first)
    mask = keywords["attention_mask"]
    if mask is None:  # plain causal attention without padding; a shorter query needs it spelled out
        mask = torch.ones(1, 1, end, end, dtype=torch.bool, device=call.output.device).tril()
    keywords["attention_mask"] = mask[:, :, first:end, :end]
    keywords["past_key_values"] = KnownPrefix(layer.keys[:, :, :first].clone(), layer.values[:, :, :first].clone())
    added = None if call.added is None else call.added[:, first:end].clone()
    return Call(call.output[:, first:end].clone(), call.positional, keywords, added)
