"""What ``manifest.json`` holds: what a run was made with, and its finished stages."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import AfterValidator, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Count, FileBelow, Name, Quantity, needs


class StageRecord(TypedDict):
    """A finished stage: what it took, what it was made from (a hash for each input) and what it wrote."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    seconds: Quantity
    peak_memory_mb: Quantity
    inputs: NotRequired[dict[Name, str]]  # missing where another version wrote it
    outputs: dict[FileBelow, str]


class RefusalNote(TypedDict):
    """What an edit teaches: ``source`` as `pairs.refusal` has it; of the model's own the words, and how often it refused."""

    source: Name
    target: NotRequired[str]
    asked: NotRequired[Count]
    refused: NotRequired[Count]


class Manifest(TypedDict):
    """See `neuralgate.run.folder`, which writes it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    created: NotRequired[Name]
    versions: NotRequired[dict[Name, Name | None]]
    device: NotRequired[Name | None]
    dtype: NotRequired[Name]  # of the weights while working
    seeds: NotRequired[dict[Name, int | None]]
    hashes: dict[Name, Name | None]
    stages: dict[Name, StageRecord]
    refusal: NotRequired[RefusalNote]
    unread: NotRequired[dict[Name, Count]]  # pairs that were left out, by subject


def _manifest_fits(manifest: Manifest) -> Manifest:
    needs(bool(manifest["hashes"].get("model")), "hashes lacks model")
    return manifest


MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Annotated[Manifest, AfterValidator(_manifest_fits)])
