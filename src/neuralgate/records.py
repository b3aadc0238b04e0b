"""What a run folder's JSON files hold, as types, and the one door through which they are read.

Whoever reads such a file gets plain dictionaries of these shapes or a UserError that names file, key and value; nothing behind the
door checks again. A key that a newer version adds is left out (in ``answers.jsonl`` and ``gate.json``, which are written again, it is
kept). Numbers are bounded by what they can mean, and names hold nothing that a figure or a terminal would trip over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from neuralgate.files import damaged, parse_json, read_json, read_lines
from neuralgate.judges import Verdict
from neuralgate.pairs.schema import AnswerKind
from neuralgate.text import OBEYED, clipped, for_terminal, short, shown_name

Kind = TypeVar("Kind")
Row = TypeVar("Row", bound="Answered")
MAX_NAME = 300


def _file_name(path: str) -> str:
    if "\0" in path or any(len(part.encode()) > 255 for part in path.split("/")) or len(path) > 1000:
        raise ValueError("cannot be the name of a file")
    return path


def _below(path: str) -> str:
    parts = _file_name(path).split("/")
    if not path or path.startswith("/") or ".." in parts:
        raise ValueError("is no file of the run folder")
    return path


def _numbered(counts: dict[str, Any]) -> dict[str, Any]:
    if not all(key.isdecimal() and key.isascii() and len(key) < 10 for key in counts):
        raise ValueError("has a key that is no number of a layer")
    return counts


def needs(condition: bool, why: str) -> None:
    """Raises ValueError, which the door turns into its sentence."""
    if not condition:
        raise ValueError(why)


Name = Annotated[str, Field(max_length=MAX_NAME, pattern=rf"^[^{OBEYED}]*$")]
ModelName = Annotated[str, AfterValidator(shown_name), AfterValidator(for_terminal), AfterValidator(lambda name: clipped(name, MAX_NAME))]
Count = Annotated[int, Field(ge=0, le=10**12)]
Layer = Annotated[int, Field(ge=0, le=10**6)]
Layers = Annotated[list[Layer], Field(min_length=1, max_length=10**4)]
Share = Annotated[float, Field(ge=0, le=1)]
Change = Annotated[float, Field(ge=-2, le=2)]  # a share, or a difference of shares with its interval
Quantity = Annotated[float, Field(ge=-1e9, le=1e9)]  # a loss, seconds, megabytes
ByLayer = AfterValidator(_numbered)
Successes = Annotated[list[Count], Field(min_length=2, max_length=2)]
Pair = Annotated[tuple[Count, Share], BeforeValidator(lambda pair: tuple(pair) if isinstance(pair, list) else pair)]


# --- scores.json ------------------------------------------------------------------------------------------------------


class Score(TypedDict):
    """A share or a difference of shares with its 95 % interval and number of questions. Clustered ones say how many clusters (subjects,
    as a rule) these are about and how many independent questions they are worth; differences, how likely they are by chance."""

    value: Change
    low: Change
    high: Change
    n: Count
    clusters: NotRequired[Count]
    effective_n: NotRequired[Quantity]
    p: NotRequired[Share]
    p_holm: NotRequired[Share]


Sets = dict[Name, dict[Name, Score]]  # benchmark -> metric -> score
BySubject = dict[Name, dict[Name, dict[Name, Successes]]]  # benchmark -> metric -> subject -> successes and questions


class Scores(TypedDict):
    """See :func:`neuralgate.evaluate.score.score`; in a file one variant is always the edit itself."""

    schema: NotRequired[int]
    model: ModelName
    method: Name
    judge: NotRequired[Name]
    interval: NotRequired[Name]
    base: Sets
    edited: Sets
    controls: dict[Name, Sets]
    difference: dict[Name, Sets]
    edited_minus: NotRequired[dict[Name, Sets]]
    strong_minus_random: NotRequired[Sets]
    subjects: NotRequired[dict[Name, BySubject]]  # variant -> its counts


def _scores_fit(scores: Scores) -> Scores:
    columns = {"base": scores["base"], "edited": scores["edited"], **scores["controls"]}
    for name, sets in columns.items():
        needs(bool(sets), f"{name} has no benchmark")
        needs(all("degenerate_rate" in metrics for metrics in sets.values()), f"{name} has a benchmark without degenerate_rate")
    needs("edited" in scores["difference"], "difference has no edited")
    needs(scores.get("subjects", {}).keys() <= columns.keys(), "subjects has a variant without scores")
    for benchmark, metrics in scores["edited"].items():
        known = {*scores["base"].get(benchmark, {}), "agreement"}
        needs(known >= metrics.keys(), f"base lacks a metric of {benchmark} that edited has")
    return scores


# --- answers.jsonl ----------------------------------------------------------------------------------------------------


class Answered(TypedDict):
    """One question with every variant's answer: all that judging it again needs."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    benchmark: Name
    id: Name
    subject: Name
    kind: Name
    question: str
    truth: str
    image: Annotated[str, AfterValidator(_file_name)] | None
    attribute: NotRequired[str]
    answer_kind: AnswerKind
    answers: dict[Name, str]
    cut_off: NotRequired[dict[Name, bool]]  # whether the answer has as many tokens as were allowed, and no end; not in older runs


class Answer(Answered):
    """With the verdicts."""

    verdicts: dict[Name, Verdict]


def _is_answered(row: Row) -> Row:
    needs({"base", "edited"} <= row["answers"].keys(), "answers lack base or edited")
    needs("cut_off" not in row or row["cut_off"].keys() == row["answers"].keys(), "answers and cut_off are of different variants")
    return row


def _is_judged(row: Answer) -> Answer:
    needs(row["answers"].keys() == row["verdicts"].keys(), "answers and verdicts are of different variants")
    return row


# --- gate.json --------------------------------------------------------------------------------------------------------


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


class GateSummary(TypedDict):
    """See :func:`neuralgate.locate.votes.summarise`; with the search's results where it was asked for."""

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
    search: NotRequired[list[SearchRow]]
    search_verdict: NotRequired[str]
    paper_layer: NotRequired[Layer]
    chosen_layer: NotRequired[Layer]


def _gate_fits(gate: GateSummary) -> GateSummary:
    names = {str(layer) for layer in gate["layers"]}
    needs([row["layer"] for row in gate["profile"]] == gate["layers"], "profile and layers differ")
    needs(all(names <= counts.keys() for counts in gate["strong_count"].values()), "strong_count lacks a layer")
    needs(names <= gate["strongest"].keys(), "strongest lacks a layer")
    bins = len(gate["histogram"]["edges"]) - 1
    needs(bins > 0 and all(len(shares) == bins for shares in gate["histogram"]["counts"].values()), "histogram has rows of another length")
    if gate.get("search"):
        needs("chosen_layer" in gate and "paper_layer" in gate, "search has no chosen_layer or no paper_layer")
    return gate


# --- training.json, causality.json, manifest.json, patch.json ---------------------------------------------------------


class CurvePoint(TypedDict):
    """One optimiser step; what was not looked at is None."""

    step: Count
    loss_sensitive: NotRequired[Quantity | None]
    loss_benign: NotRequired[Quantity | None]
    loss_contrast: NotRequired[Quantity | None]
    validation_rta_sensitive: NotRequired[Share | None]
    validation_rta_benign: NotRequired[Share | None]


class TrainingRecord(TypedDict):
    """See :class:`neuralgate.training.trainer.Training`."""

    layers: list[Layer]
    gate: Name
    steps: Count
    stopped: Name
    seconds: Quantity
    curve: list[CurvePoint]
    gradient_share: NotRequired[dict[Name, Annotated[float, Field(ge=0, le=100)] | None] | None]


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


class StageRecord(TypedDict):
    """A finished stage: what it took, what it was made from (a hash for each input) and what it wrote."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    seconds: Quantity
    peak_memory_mb: Quantity
    inputs: NotRequired[dict[Name, str]]  # missing where another version wrote it
    outputs: dict[Annotated[str, AfterValidator(_below)], str]


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
    seeds: NotRequired[dict[Name, int | None]]
    hashes: dict[Name, Name | None]
    stages: dict[Name, StageRecord]
    refusal: NotRequired[RefusalNote]
    unread: NotRequired[dict[Name, Count]]  # pairs that were left out, by subject


def _manifest_fits(manifest: Manifest) -> Manifest:
    needs(bool(manifest["hashes"].get("model")), "hashes lacks model")
    return manifest


class PatchedTensor(TypedDict):
    """What the report shows of a tensor in patch.json."""

    name: Name
    shape: list[Count]
    relative_change: Quantity
    base_sha256: Name
    result_sha256: Name


class PatchHeader(TypedDict):
    """What the report and a scoring need of patch.json."""

    method: Name
    tensors: NotRequired[dict[Name, PatchedTensor]]


class FoundRate(TypedDict):
    """What is needed of rate.json; see :func:`neuralgate.training.rate.find_rate`."""

    rate: Annotated[float, Field(gt=0)]


# --- the door ---------------------------------------------------------------------------------------------------------

SCORES: TypeAdapter[Scores] = TypeAdapter(Annotated[Scores, AfterValidator(_scores_fit)])
ANSWERED: TypeAdapter[Answered] = TypeAdapter(Annotated[Answered, AfterValidator(_is_answered)])
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, AfterValidator(_is_answered), AfterValidator(_is_judged)])
GATE: TypeAdapter[GateSummary] = TypeAdapter(Annotated[GateSummary, AfterValidator(_gate_fits)])
TRAINING: TypeAdapter[dict[str, TrainingRecord]] = TypeAdapter(dict[Name, TrainingRecord])
CAUSALITY: TypeAdapter[Causality] = TypeAdapter(Annotated[Causality, AfterValidator(_causality_fits)])
MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Annotated[Manifest, AfterValidator(_manifest_fits)])
PATCH: TypeAdapter[PatchHeader] = TypeAdapter(PatchHeader)
RATE: TypeAdapter[FoundRate] = TypeAdapter(FoundRate)


def read_record(kind: TypeAdapter[Kind], path: Path | str) -> Kind:
    """A JSON file of the given kind. Raises UserError when it is missing, not JSON, or of another shape."""
    return check(kind, read_json(path), path)


def check(kind: TypeAdapter[Kind], data: Any, source: Path | str) -> Kind:
    """``data`` as parsed from JSON. Raises UserError naming ``source``, the key and the value that do not fit."""
    try:
        return kind.validate_python(data, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = clipped(".".join(str(part) for part in problem["loc"]), 120)
        said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        if problem["type"] == "string_pattern_mismatch":
            said = "should be without control characters"
        value = "" if problem["type"] in ("missing", "value_error") else f", not {short(problem['input'])}"
        raise damaged(source, f"{key} {said}{value}".strip()) from error


def read_answers(path: Path | str, kind: TypeAdapter[Row]) -> Iterator[Row]:
    """The rows of answers.jsonl, one at a time. Raises UserError when there is none, or a row is not as the first one."""
    variants = None
    for line, place in read_lines(path):
        row = check(kind, parse_json(line, place), place)
        variants = variants or row["answers"].keys()
        if row["answers"].keys() != variants:
            raise damaged(place, "it has other variants than the first line")
        yield row
    if variants is None:
        raise damaged(path, "there is no answer in it")
