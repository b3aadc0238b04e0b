"""A cache with room for the tokens to come: transformers' DynamicLayer copies all of its keys and values, an image's among them, for every
token (`python -m benchmarks.answers` measures what that costs)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """The rows ``rows_B`` of ``layer``'s keys and values, any of them as often as it is named, and room for ``room`` further tokens."""

    def __init__(self, layer: DynamicLayer, rows_B: Tensor, room: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self.all_keys, self.all_values = roomy(layer.keys, rows_B, room), roomy(layer.values, rows_B, room)  # (B, heads, T + room, D/heads)
        self.keys, self.values = self.upto(layer.keys.shape[-2])

    def upto(self, length: int) -> tuple[Tensor, Tensor]:
        return self.all_keys[..., :length, :], self.all_values[..., :length, :]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        self.all_keys[..., start:end, :], self.all_values[..., start:end, :] = key_states, value_states
        self.keys, self.values = self.upto(end)
        return self.keys, self.values


def roomy(states: Tensor, rows_B: Tensor, room: int) -> Tensor:
    _, heads, length, size = states.shape
    made = states.new_empty(len(rows_B), heads, length + room, size)
    made[..., :length, :] = states[rows_B]
    return made


def with_rows(cache: Cache, rows_B: Tensor, room: int) -> Cache:
    """``cache`` with these rows, any of them as often as it is named. Its next ``room`` tokens are written without copying the others."""
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[number] = RoomyLayer(layer, rows_B, room)
        else:
            layer.batch_select_indices(rows_B)  # of a sliding window, which drops as many as come
    return cache
