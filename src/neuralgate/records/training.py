"""What ``training.json`` and ``rate.json`` hold, and what the report reads of ``patch.json``."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Count, Layer, Name, Quantity, Share


class CurvePoint(TypedDict):
    """One optimiser step; what was not looked at is None."""

    step: Count
    loss_sensitive: NotRequired[Quantity | None]
    loss_benign: NotRequired[Quantity | None]
    loss_contrast: NotRequired[Quantity | None]
    validation_rta_sensitive: NotRequired[Share | None]
    validation_rta_benign: NotRequired[Share | None]


class TrainingRecord(TypedDict):
    """See :class:`neuralgate.training.watch.Training`."""

    layers: list[Layer]
    gate: Name
    steps: Count
    stopped: Name
    seconds: Quantity
    curve: list[CurvePoint]
    method: NotRequired[Name]  # these are missing in older runs
    peak_memory_mb: NotRequired[Quantity]
    values_changed: NotRequired[Count]
    kept_step: NotRequired[Count | None]
    note: NotRequired[str]
    gradient_share: NotRequired[dict[Name, Annotated[float, Field(ge=0, le=100)] | None] | None]


class FoundRate(TypedDict):
    """What is needed of rate.json; see :func:`neuralgate.training.rate.find_rate`."""

    rate: Annotated[float, Field(gt=0)]


class PatchedTensor(TypedDict):
    """What the report shows of a tensor in patch.json."""

    name: Name
    shape: list[Count]
    relative_change: Quantity | None  # None: the base is all zeros
    base_sha256: Name
    result_sha256: Name


class PatchHeader(TypedDict):
    """What the report and a scoring need of patch.json."""

    method: Name
    tensors: NotRequired[dict[Name, PatchedTensor]]


TRAINING: TypeAdapter[dict[str, TrainingRecord]] = TypeAdapter(dict[Name, TrainingRecord])
RATE: TypeAdapter[FoundRate] = TypeAdapter(FoundRate)
PATCH: TypeAdapter[PatchHeader] = TypeAdapter(PatchHeader)
