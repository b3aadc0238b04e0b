"""The forward pass cut open at a decoder layer, in two forms: plain (hooks) and resumed (from a recorded layer).

Nothing below the layer that is changed depends on the change, so it is computed once; :class:`Recorded` keeps what
every layer was called with and :meth:`Recorded.resume` runs the layers above again. The plain form is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Batch


@contextmanager
def output_changed(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace a module's output by ``change(output)`` while the context lasts, for modules that return a tensor or
    a tuple whose first element is one."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def only_layers(lvlm: LVLM, start: int, stop: int) -> Iterator[None]:
    """Let the decoder consist of its layers from ``start`` up to ``stop``, without the last norm when they end below
    the top. Hooks on single layers stay; indices into ``lvlm.layers`` are wrong meanwhile."""
    decoder = lvlm.decoder
    layers, norm = decoder.layers, decoder.norm
    decoder.layers = layers[start:stop]
    if stop < len(layers):
        decoder.norm = nn.Identity()
    try:
        yield
    finally:
        decoder.layers, decoder.norm = layers, norm


@torch.no_grad()
def embed(lvlm: LVLM, batch: Batch) -> Tensor:
    """Token embeddings with the image features in their places, ``(B, T, D)``; the vision tower runs once here."""
    inputs_BTD = lvlm.model.get_input_embeddings()(batch.input_ids_BT)
    if batch.pixel_values is None:
        return inputs_BTD
    features = lvlm.model.model.get_image_features(pixel_values=batch.pixel_values.to(inputs_BTD.dtype), return_dict=True).pooler_output
    features_ND = torch.cat(list(features), dim=0).to(inputs_BTD.dtype)
    image_BT1 = (batch.input_ids_BT == lvlm.model.config.image_token_id)[..., None]
    return inputs_BTD.masked_scatter(image_BT1, features_ND)


def decode(lvlm: LVLM, inputs_BTD: Tensor, batch: Batch) -> Tensor:
    """Final hidden states (after the last norm), ``(B, T, D)``: the plain form."""
    output = lvlm.decoder(
        inputs_embeds=inputs_BTD, attention_mask=batch.attention_mask_BT, position_ids=batch.position_ids_BT, use_cache=False
    )
    return output.last_hidden_state


def target_losses(lvlm: LVLM, hidden_BTD: Tensor, labels_BT: Tensor, examples_BT: Tensor | None = None, count: int = 0) -> Tensor:
    """Mean negative log-likelihood of each example's target tokens, ``(N,)``, 0 for an example without any; logits at
    target positions only. A row is an example unless ``examples_BT`` numbers the ``count`` examples token by token."""
    if examples_BT is None:
        count = len(labels_BT)
        examples_BT = torch.arange(count, device=labels_BT.device)[:, None].expand_as(labels_BT)
    wanted_BT = labels_BT >= 0
    logits_TV = lvlm.model.get_output_embeddings()(hidden_BTD[wanted_BT]).float()
    losses_T = F.cross_entropy(logits_TV, labels_BT[wanted_BT], reduction="none")
    examples_T = examples_BT[wanted_BT]
    counts_N = torch.bincount(examples_T, minlength=count).clamp(min=1)
    return losses_T.new_zeros(count).index_add(0, examples_T, losses_T) / counts_N


class KnownPrefix:
    """Stands in for a cache: the keys and values of a prefix that does not change, in front of the suffix's own."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys, keys], -2), torch.cat([self.values, values], -2)


@dataclass
class Recorded:
    """One plain forward pass: every layer's output, keyword arguments, and keys and values."""

    lvlm: LVLM
    outputs: list[Tensor]  # L tensors (B, T, D)
    arguments: list[dict[str, Any]]
    keys: list[Tensor]  # L tensors (B, heads, T, head size)
    values: list[Tensor]

    def resume(self, layer: int, hidden_BTD: Tensor) -> Tensor:
        """Final hidden states when ``hidden_BTD`` stands in for the output of ``layer``.

        It may hold only the last tokens: attention is causal, so those before them keep the keys and values they had.
        """
        tokens = hidden_BTD.shape[1]
        for index in range(layer + 1, len(self.outputs)):
            whole = tokens == self.outputs[index].shape[1]
            arguments = self.arguments[index] if whole else self.suffix_arguments(index, tokens)
            output = self.lvlm.layers[index](hidden_BTD, **arguments)
            hidden_BTD = output[0] if isinstance(output, tuple) else output
        return self.lvlm.decoder.norm(hidden_BTD)

    def suffix_arguments(self, index: int, tokens: int) -> dict[str, Any]:
        """What layer ``index`` is called with for the last ``tokens`` tokens alone."""
        arguments = dict(self.arguments[index])
        arguments["position_embeddings"] = tuple(part[:, -tokens:] for part in arguments["position_embeddings"])
        arguments["position_ids"] = arguments["position_ids"][:, -tokens:]
        mask = arguments["attention_mask"]
        if mask is None:  # plain causal attention without padding; a shorter query needs it spelled out
            length = self.outputs[index].shape[1]
            mask = torch.ones(1, 1, length, length, dtype=torch.bool, device=self.outputs[index].device).tril()
        arguments["attention_mask"] = mask[:, :, -tokens:]
        arguments["past_key_values"] = KnownPrefix(self.keys[index][:, :, :-tokens], self.values[index][:, :, :-tokens])
        return arguments


@torch.no_grad()
def record(lvlm: LVLM, batch: Batch) -> Recorded:
    """Run the model once and keep what :class:`Recorded` needs."""
    outputs: list[Tensor] = []
    arguments: list[dict[str, Any]] = []

    def hook(_module: nn.Module, _inputs: Any, keywords: dict[str, Any], output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)
        arguments.append({**keywords, "past_key_values": None, "use_cache": False})

    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in lvlm.layers]
    try:
        cache = lvlm.decoder(
            inputs_embeds=embed(lvlm, batch),
            attention_mask=batch.attention_mask_BT,
            position_ids=batch.position_ids_BT,
            use_cache=True,
        ).past_key_values
    finally:
        for handle in handles:
            handle.remove()
    return Recorded(lvlm, outputs, arguments, [part.keys for part in cache.layers], [part.values for part in cache.layers])
