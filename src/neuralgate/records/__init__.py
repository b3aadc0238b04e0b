"""What a run folder's JSON files hold, as types, a module for each, and the one door (here) through which they are read.

Whoever reads such a file gets plain dictionaries of these shapes or a UserError that names file, key and value; nothing behind the
door checks again. A key that a newer version adds is left out (in ``answers.jsonl`` and ``gate.json``, which are written again, it is
kept). Numbers are bounded by what they can mean, and names hold nothing that a figure or a terminal would trip over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from neuralgate.files import damaged, read_json
from neuralgate.text import OBEYED, clipped, for_terminal, short, shown_name

Kind = TypeVar("Kind")
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
FileName = Annotated[str, AfterValidator(_file_name)]
FileBelow = Annotated[str, AfterValidator(_below)]  # of the run folder
Pair = Annotated[tuple[Count, Share], BeforeValidator(lambda pair: tuple(pair) if isinstance(pair, list) else pair)]


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
        fault = problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        if problem["type"] == "string_pattern_mismatch":
            fault = "should be without control characters"
        value = "" if problem["type"] in ("missing", "value_error") else f", not {short(problem['input'])}"
        raise damaged(source, f"{key} {fault}{value}".strip()) from error
