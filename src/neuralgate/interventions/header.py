"""Headers of interventions: JSON with a checksum of what it says, read from files that anybody may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, StringConstraints, ValidationError

from neuralgate.errors import UserError, first_line
from neuralgate.files import digest, read_json

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Model = TypeVar("Model", bound=BaseModel)


def sealed(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with the checksum of what it says."""
    return {**data, "checksum": digest(data)}


def read_sealed(path: Path, formats: tuple[int, ...]) -> dict[str, Any]:
    """What `sealed` made. Raises UserError when it is not JSON, of none of the ``formats``, or says something else than when it was
    made."""
    cure = "get the folder again."
    try:
        data = read_json(path)
    except UserError as error:
        raise UserError(f"{path} is broken ({first_line(error)}); {cure}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is broken (no mapping); {cure}")
    if data.get("format") not in formats:  # before the checksum, which another version may make in another way
        readable = " and ".join(map(str, formats))
        raise UserError(
            f"{path} is of format {str(data.get('format'))[:20]}, this neuralgate reads format {readable}; use the version that wrote it."
        )
    checksum = data.pop("checksum", None)
    try:
        whole = digest(data) == checksum
    except ValueError:  # NaN, half a character: nothing that was ever sealed
        whole = False
    if not whole:
        raise UserError(f"{path} does not match its checksum: something in it was lost or changed; {cure}")
    return data


def described(model: type[Model], header: dict[str, Any], path: Path, what: str) -> Model:
    """``header`` in its form. Raises UserError naming the first key that does not fit."""
    try:
        return model.model_validate(header)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(f"{path} is no description of a {what} ({place[:80]}); get the {what} again.") from error
