"""Settings that people write in YAML: read, checked, and refused in one sentence that names the key."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from neuralgate.errors import UserError
from neuralgate.files import digest

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all settings, those left at their defaults included."""
        return digest(self.model_dump(mode="json"))


def read_yaml(path: Path | str, what: str) -> Any:
    """The content of a YAML file; ``what`` begins the sentence that refuses it. Raises UserError when it is missing or not YAML."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"
        raise UserError(f"{what} {path} cannot be read ({reason}); give the path of a YAML file.") from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error


def parse_settings(model: type[Model], data: Any, source: str) -> Model:
    """``data`` as read from YAML, checked. Raises UserError naming the key, the closest known key and ``source``."""
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError as error:
        # a misspelt key first: the one that is missing for it is no second mistake
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise UserError(_sentence(model, problems, source)) from error


def _sentence(model: type[BaseModel], problems: Sequence[Any], source: str) -> str:
    """The first key with a problem, as one sentence."""
    key, place = _locate_key(model, problems[0])
    if problems[0]["type"] == "extra_forbidden":
        prefix, _, last = key.rpartition(".")
        names = [f"{prefix}.{name}" if prefix else name for name in place.model_fields]
        close = get_close_matches(last, place.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {names[list(place.model_fields).index(close[0])]}?" if close else f"known are {', '.join(names)}."
        return f"{source}: unknown key {key}; {hint}"
    said = [problem["msg"].removeprefix("Value error, ") for problem in problems if _locate_key(model, problem)[0] == key]
    where = f"{source}: {key}" if key else source
    if all(text.startswith("Input should be ") for text in said):
        wanted = " or ".join("a mapping" if "valid dictionary" in text else text.removeprefix("Input should be ") for text in said)
        return f"{where} should be {wanted}, not {problems[0]['input']!r}."
    return f"{where}: {said[0]}."


def _locate_key(model: type[BaseModel], problem: Any) -> tuple[str, type[BaseModel]]:
    """The dotted key of a problem and the model it is in; pydantic's ``loc`` also names the branches of unions."""
    path: list[str] = []
    for part in problem["loc"]:
        if isinstance(part, int):
            path.append(str(part))
        elif part in model.model_fields:
            path.append(part)
            annotation = model.model_fields[part].annotation
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
        elif problem["type"] == "extra_forbidden":
            path.append(part)
    return ".".join(path), model
