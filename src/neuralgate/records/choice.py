"""What ``choice.json`` holds: which layer was chosen to be edited, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NotRequired

from pydantic import AfterValidator, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Count, Layer, Quantity, Share, needs, read_record

CHOICE_FILE = "choice.json"


class SearchRow(TypedDict):
    """The trial edits of one layer."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    layer: Layer
    steps: Count
    rta_sensitive: Share | None
    rta_unseen: Share | None
    rta_benign: Share | None
    eta: Share | None
    public_refused: Share | None
    protected_refused: Share | None
    benign_accuracy: Share | None
    score: Quantity


class Choice(TypedDict):
    """See :func:`neuralgate.choose.layer.choose_layer`; empty where the layers were named, or cannot be tried."""

    search: NotRequired[list[SearchRow]]
    search_verdict: NotRequired[str]
    paper_layer: NotRequired[Layer]
    chosen_layer: NotRequired[Layer]


def _choice_fits(choice: Choice) -> Choice:
    if choice.get("search"):
        needs("chosen_layer" in choice and "paper_layer" in choice, "search has no chosen_layer or no paper_layer")
    return choice


CHOICE: TypeAdapter[Choice] = TypeAdapter(Annotated[Choice, AfterValidator(_choice_fits)])


def read_choice(folder: Path) -> Choice:
    """That of the run in ``folder``, which earlier versions kept within gate.json; empty where there is none."""
    places = [path for path in (folder / CHOICE_FILE, folder / "gate/gate.json") if path.is_file()]
    return read_record(CHOICE, places[0]) if places else {}
