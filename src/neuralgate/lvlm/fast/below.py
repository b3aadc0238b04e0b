"""What the layers below an edited one make of a prompt, computed once for all asks among which only the others change.

Looks at an edit on its way, and the variants of a run, put the same questions again and again. A batch goes through the model in few
passes, and the first of each kind, over the picture and over the question, is the same up to the lowest edited layer: its keys and values
below that layer, and what enters it, are kept and taken again. Bit for bit, because a batch is known by everything in it. New tokens
are computed as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

KEPT_BYTES = 2**30


@dataclass
class Pass:
    """What the layers below gave a cache, one after another, and the output of the last of them."""

    keys_and_values: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    output: Any = None

    @property
    def size(self) -> int:
        """Bytes."""
        hidden_BTD = self.output[0] if isinstance(self.output, tuple) else self.output
        return hidden_BTD.nbytes + sum(part.nbytes for both in self.keys_and_values for part in both)


class _Heard:
    """A cache that notes what one layer gives it."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache

    def update(self, keys: Tensor, values: Tensor, *arguments: Any, **keywords: Any) -> tuple[Tensor, Tensor]:
        self.given = keys, values
        return self.cache.update(keys, values, *arguments, **keywords)


class Below:
    """Of the layers below ``layer``; at most ``kept_bytes`` are kept, and what does not fit is computed again.

    Holds as long as nothing below ``layer`` changes, neither weights nor hooks nor the files of the pictures: use a new one then.
    """

    def __init__(self, lvlm: LVLM, layer: int, kept_bytes: int = KEPT_BYTES) -> None:
        self.lvlm, self.layer, self.room = lvlm, layer, kept_bytes
        self.passes: dict[Hashable, Pass] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Whatever is asked inside takes from what is kept, and adds to it."""
        before, self.lvlm.below = self.lvlm.below, self
        try:
            yield
        finally:
            self.lvlm.below = before

    def knows(self, key: Hashable) -> bool:
        """Whether a pass under ``key`` is taken from here, so that nothing looks at what enters the first layer."""
        return self.layer > 0 and key in self.passes

    @contextmanager
    def first_pass(self, key: Hashable) -> Iterator[None]:
        """The first pass inside through each layer below is taken from what is kept under ``key``, or kept there."""
        known = self.passes.get(key)
        fresh = Pass()
        layers = list(self.lvlm.layers[: self.layer])
        own = [layer.__dict__.get("forward") for layer in layers]  # as accelerate's hooks leave it
        for number, layer in enumerate(layers):
            layer.forward = once(recalling(known, number) if known else noting(fresh, layer.forward), layer.forward)
        try:
            yield
        finally:
            for layer, forward in zip(layers, own, strict=True):
                del layer.forward
                if forward is not None:
                    layer.forward = forward
        if not known and layers and fresh.size <= self.room:
            self.room -= fresh.size
            self.passes[key] = fresh


def once(first: Callable[..., Any], later: Callable[..., Any]) -> Callable[..., Any]:
    """``first`` when it is called for the first time, ``later`` from then on."""
    calls = iter((first,))
    return lambda *arguments, **keywords: next(calls, later)(*arguments, **keywords)


def recalling(known: Pass, number: int) -> Callable[..., Any]:
    def forward(hidden_BTD: Tensor, *_: Any, past_key_values: Any, **__: Any) -> Any:
        past_key_values.update(*known.keys_and_values[number], number)
        return known.output  # of the last layer below: the others do not look at what they are given

    return forward


def noting(fresh: Pass, own: Callable[..., Any]) -> Callable[..., Any]:
    def forward(hidden_BTD: Tensor, *arguments: Any, past_key_values: Any, **keywords: Any) -> Any:
        heard = _Heard(past_key_values)
        fresh.output = own(hidden_BTD, *arguments, past_key_values=heard, **keywords)
        fresh.keys_and_values.append(heard.given)
        return fresh.output

    return forward
