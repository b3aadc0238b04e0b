"""What ``causality.json`` holds: in which layers it is decided what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Count, Layers, Name, Share, needs


class Swap(TypedDict):
    """One patching curve."""

    name: Name
    tokens: Name
    n: Count
    share: list[Share | None]


class Causality(TypedDict):
    """Patching curves over layers."""

    layers: Layers
    swaps: Annotated[list[Swap], Field(min_length=1)]


def _causality_fits(causality: Causality) -> Causality:
    needs(all(len(swap["share"]) == len(causality["layers"]) for swap in causality["swaps"]), "a swap's share is not one number a layer")
    return causality


CAUSALITY: TypeAdapter[Causality] = TypeAdapter(Annotated[Causality, AfterValidator(_causality_fits)])
