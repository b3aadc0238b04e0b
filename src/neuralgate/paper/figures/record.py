"""What ``analysis.json`` holds, as far as the figures and texts of the report use it; see :mod:`neuralgate.records`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.paper.sweeps import GATES
from neuralgate.recipe import GateMode
from neuralgate.records import Count, Layer, Layers, Name, Quantity, Share, needs
from neuralgate.records.gate import LocatedLayer
from neuralgate.report.figures import STYLES

PAPER_LAMBDA, PAPER_THRESHOLD, PAPER_RADIUS = 1.25, 0.3, 3
Matrix = list[list[Share | None]]
Point = Annotated[tuple[Quantity, Share], BeforeValidator(lambda pair: tuple(pair) if isinstance(pair, list) else pair)]


class Measured(TypedDict):
    """A value with its 95 % interval."""

    value: Quantity
    low: Quantity
    high: Quantity
    n: Count


class Answers(TypedDict):
    """What was answered under a vector."""

    refused_sensitive: Measured
    refused_benign: Measured
    leak: Measured | None
    degenerate: Measured | None


class Gradient(TypedDict):
    """Where a layer's gradient arrives."""

    # in the order in which texts name them
    image: Measured
    question: Measured
    subject: Measured
    answer: Measured


class Described(TypedDict):
    """One located layer."""

    layer: Layer
    inactive: Measured
    weak: Measured
    strong: Measured
    rare: Measured | None
    loss_start: Measured
    loss_end: Measured
    benign_start: Measured
    benign_end: Measured
    converged: Measured | None
    own: Answers
    strong_flipped: Answers
    random_flipped: Answers
    gradient: Gradient


class Overlap(TypedDict):
    """Jaccard's index beside what chance gives."""

    value: Share
    chance: Share
    chance_low: Share
    chance_high: Share
    n: Count


class Again(TypedDict):
    """The overlap of two draws at one layer; without a value none is defined and the rest is missing."""

    layer: Layer
    value: Share | None
    low: NotRequired[Share]
    high: NotRequired[Share]
    chance: NotRequired[Share]
    chance_low: NotRequired[Share]
    chance_high: NotRequired[Share]
    n: NotRequired[Count]


class SubjectsRow(TypedDict):
    """Every two subjects at one layer."""

    layer: Layer
    jaccard: Matrix
    chance: Matrix
    mean: Overlap | None


class Subjects(TypedDict):
    """The subjects' gates against each other."""

    subjects: Annotated[list[Name], Field(min_length=1)]
    rows: list[SubjectsRow]


class LayersRow(TypedDict):
    """Two layers."""

    first: Layer
    second: Layer
    overlap: Overlap | None


class BetweenLayers(TypedDict):
    """The layers' gates against each other."""

    rows: list[LayersRow]


class Overlaps(TypedDict):
    """All comparisons of gates."""

    subjects: Subjects
    layers: BetweenLayers
    halves: list[Again]
    splits: Count
    again: Annotated[dict[Name, list[Again]], Field(max_length=3)]


class Large(TypedDict):
    """A dimension that is massive."""

    dimension: Count
    ratio: Quantity


class ActivationRow(TypedDict):
    """Sizes at one layer."""

    layer: Layer
    rho: Measured | None
    top: Overlap | None
    massive: list[Large]
    first_massive: list[Large]
    first_token: Quantity
    is_sink: bool


class Activation(TypedDict):
    """Votes against sizes."""

    layer: Layer
    rows: list[ActivationRow]
    points: list[Point]
    massive_times: Quantity
    sink_times: Quantity


class Variant(LocatedLayer):
    """One setting of locate tried at one layer."""

    setting: Name
    value: Count | Quantity | Name
    is_own: bool
    own: Answers
    strong_flipped: Answers
    random_flipped: Answers
    overlap: Overlap | None


class TrialMeasures(TypedDict):
    """What a trial edit was measured by."""

    steps: Count
    stopped: Name
    eta: Measured | None
    rta_sensitive: Measured | None
    rta_unseen: Measured | None
    rta_benign: Measured | None
    public_refused: Measured | None
    protected_refused: Measured | None
    benign_accuracy: Measured | None


class SweepRow(TrialMeasures):
    """A point of a sweep."""

    value: Quantity
    gate: GateMode
    threshold: Share
    strong: Share | None


class TriedLayer(TrialMeasures):
    """A layer of the search."""

    layer: Layer


class RadiusRow(TypedDict):
    """A neighbourhood of the centre."""

    radius: Count
    layers: list[Layer]
    best_layer: Layer
    max: Measured
    mean: Measured


class Radius(TypedDict):
    """The search around the centre."""

    centre: Layer
    gate: Name
    rounds: Count
    layers: list[TriedLayer]
    rows: list[RadiusRow]


Sweeps = TypedDict("Sweeps", {"lambda": list[SweepRow], "threshold": list[SweepRow]})


class Bins(TypedDict):
    """Shares of dimensions by votes: subject -> layer -> column."""

    edges: Annotated[list[Share], Field(min_length=2)]
    subjects: Annotated[dict[Name, list[list[Share]]], Field(min_length=1)]


class LocateSettings(TypedDict):
    """Those of the recipe that texts name."""

    steps: Count
    stop_loss: Quantity
    start: Quantity
    one_prefix: bool


class Analysis(TypedDict):
    """See :func:`neuralgate.paper.analyse.analyse`."""

    gate: NotRequired[Name]
    layers: Layers
    hidden_size: Annotated[int, Field(ge=2, le=10**7)]
    threshold: Share
    samples: Annotated[dict[Name, Annotated[int, Field(ge=1, le=10**9)]], Field(min_length=1)]
    locate: LocateSettings
    chosen_layer: Layer
    edited_layers: list[Layer]
    votes_changed: Share
    bins: Bins
    profile: list[Described]
    overlap: Overlaps
    activation: Activation
    sensitivity: Annotated[list[Variant], Field(min_length=1, max_length=1000)]
    radius: Radius
    sweeps: Sweeps


def _parts_fit(analysis: Analysis) -> Analysis:
    """What figures and texts look up in one part by a value of another."""
    layers, overlap = analysis["layers"], analysis["overlap"]
    by_layer: dict[str, Iterable[Mapping[str, Any]]] = {
        "profile": analysis["profile"],
        "overlap.subjects.rows": overlap["subjects"]["rows"],
        "overlap.halves": overlap["halves"],
        "activation.rows": analysis["activation"]["rows"],
        **{f"overlap.again.{name}": rows for name, rows in overlap["again"].items()},
    }
    for name, rows in by_layer.items():
        needs([row["layer"] for row in rows] == layers, f"{name} and layers differ")
    for layer in (analysis["chosen_layer"], analysis["activation"]["layer"]):
        needs(layer in layers, f"layer {layer} is none of layers")
    columns = len(analysis["bins"]["edges"])
    for subject in analysis["bins"]["subjects"].values():
        needs(len(subject) == len(layers) and all(len(row) == columns for row in subject), "bins have rows of another length")
    size = len(overlap["subjects"]["subjects"])
    for row in overlap["subjects"]["rows"]:
        for matrix in (row["jaccard"], row["chance"]):
            needs([len(line) for line in matrix] == [size] * size, "overlap.subjects has rows of another length")
    chance = Overlap.__annotations__.keys()
    for draw in (overlap["halves"], *overlap["again"].values()):
        needs(all(again["value"] is None or again.keys() >= chance for again in draw), "an overlap lacks its chance")
    needs(all(half["value"] is None or {"low", "high"} <= half.keys() for half in overlap["halves"]), "overlap.halves lack their interval")
    _variants_fit(analysis["sensitivity"])
    needs(PAPER_RADIUS in {row["radius"] for row in analysis["radius"]["rows"]}, f"radius has no row of radius {PAPER_RADIUS}")
    needs(all(row["eta"] for row in analysis["radius"]["layers"]), "radius has a layer without eta")
    _sweep_fits(analysis["sweeps"]["lambda"], PAPER_LAMBDA)
    _sweep_fits(analysis["sweeps"]["threshold"], PAPER_THRESHOLD)
    return analysis


def _variants_fit(rows: list[Variant]) -> None:
    layers = {row["layer"] for row in rows}
    needs(len(layers) <= len(STYLES), "sensitivity has too many layers")
    needs({row["layer"] for row in rows if not row["is_own"]} == layers, "sensitivity has a layer without another setting")


def _sweep_fits(rows: list[SweepRow], claimed: float) -> None:
    """Every gate at every value, and the published value among them."""
    values = {row["value"] for row in rows}
    points = [(row["value"], row["gate"]) for row in rows]
    needs(sorted(points) == sorted((value, gate) for value in values for gate in GATES), "a sweep has not each gate once at each value")
    needs(claimed in values, f"a sweep has no value {claimed:g}")
    needs(len({row["eta"] is None for row in rows}) == 1, "a sweep has eta at some points alone")


ANALYSIS: TypeAdapter[Analysis] = TypeAdapter(Annotated[Analysis, AfterValidator(_parts_fit)])
#: Which gate an analysis is of: one of another gate is left alone, whatever its shape.
OF_GATE: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
