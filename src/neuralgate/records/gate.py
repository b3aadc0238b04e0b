"""What ``gate.json`` holds: the evidence that stands beside the votes."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import ByLayer, Count, Layer, Layers, Name, Pair, Quantity, Share, needs


class AnswerShares(TypedDict):
    """What was answered under a vector."""

    refused_sensitive: Share
    refused_benign: Share
    leak: Share
    degenerate: Share
    n: Count


class LocatedLayer(TypedDict):
    """Votes and losses of one layer, whatever it was located with."""

    layer: Layer
    inactive: Share
    weak: Share
    strong: Share
    loss_start: Quantity
    loss_end: Quantity
    benign_start: Quantity
    benign_end: Quantity
    converged: Share


class ProfileRow(LocatedLayer):
    """One located layer."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    own: AnswerShares
    strong_flipped: AnswerShares
    random_flipped: AnswerShares | None
    held_out_majority: NotRequired[AnswerShares | None]
    held_out_mean: NotRequired[AnswerShares | None]
    shuffled_mean: NotRequired[AnswerShares | None]
    other_mean: NotRequired[AnswerShares | None]
    excluded: NotRequired[Count]


class Histogram(TypedDict):
    """Shares of a layer's dimensions by votes."""

    edges: list[Share]
    counts: Annotated[dict[str, list[Share]], Field(min_length=1), ByLayer]


class GateSummary(TypedDict):
    """See :func:`neuralgate.locate.summary.summarise`."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    layers: Layers
    subjects: list[Name]
    samples: NotRequired[dict[Name, Annotated[int, Field(ge=1, le=10**6)]]]
    dtype: NotRequired[Name]
    hidden_size: Count
    threshold: Share
    profile: Annotated[list[ProfileRow], Field(min_length=1)]
    histogram: Histogram
    strong_count: dict[Name, Annotated[dict[str, Count], ByLayer]]
    strongest: Annotated[dict[str, list[Pair]], ByLayer]
    verdict: str


def _gate_fits(gate: GateSummary) -> GateSummary:
    names = {str(layer) for layer in gate["layers"]}
    needs([row["layer"] for row in gate["profile"]] == gate["layers"], "profile and layers differ")
    needs(all(names <= counts.keys() for counts in gate["strong_count"].values()), "strong_count lacks a layer")
    needs(names <= gate["strongest"].keys(), "strongest lacks a layer")
    bins = len(gate["histogram"]["edges"]) - 1
    needs(bins > 0 and all(len(shares) == bins for shares in gate["histogram"]["counts"].values()), "histogram has rows of another length")
    return gate


GATE: TypeAdapter[GateSummary] = TypeAdapter(Annotated[GateSummary, AfterValidator(_gate_fits)])
