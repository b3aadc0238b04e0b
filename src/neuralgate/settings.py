"""Settings that people write in YAML: read, checked, and refused in one sentence that names the key. (pydantic-settings reads environments
and names no key that was meant.)"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from neuralgate.errors import UserError
from neuralgate.files import digest, open_plain
from neuralgate.text import clipped, short

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all settings, those left at their defaults included."""
        return digest(self.model_dump(mode="json"))


MAX_LENGTH = 1_000_000
MAX_DEPTH = 32  # lists and mappings inside each other
MAX_DIGITS = 19  # what 64 bits hold


def read_yaml(path: Path | str, what: str) -> Any:
    """The content of a YAML file; ``what`` begins the sentence that refuses it. Raises UserError when it cannot be read or
    :func:`load_yaml` refuses it."""
    try:
        with open_plain(path) as file:
            text = file.read(MAX_LENGTH + 1).decode()  # what is longer is refused whole
    except UserError as error:
        reason = getattr(error.__cause__, "strerror", None) or "it is not a file"
        raise UserError(f"{what} {clipped(str(path), 200)} cannot be read ({reason}); give the path of a YAML file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} cannot be read (it is not text); give the path of a YAML file.") from error
    return load_yaml(text, str(path))


def load_yaml(text: str, source: str) -> Any:
    """YAML as people write it: text, numbers, lists and mappings.

    Raises:
        UserError: no YAML; more than a megabyte or 32 levels; a key given twice; what only programs write, that is aliases
            (a few lines of which can stand for gigabytes), tags, very long numbers and characters that no file holds.
    """
    if len(text) > MAX_LENGTH:
        raise UserError(f"{source} is longer than a megabyte; a file of settings is not.")
    try:
        return _Plain(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        verdict = "cannot be used" if isinstance(error, _Refusal) else "is not YAML"
        problem = " ".join(part for part in (error.context, error.problem) if part)
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise UserError(f"{source} {verdict}: {problem}{line}.") from error
    except (yaml.YAMLError, ValueError) as error:  # a date or a number that is none is a ValueError
        raise UserError(f"{source} is not YAML: {' '.join(str(error).split())}; put what is meant as text in quotes.") from error


class _Refusal(yaml.MarkedYAMLError):
    """YAML that has no place in a file of settings."""


class _Plain(yaml.SafeLoader):
    """Builds what :func:`load_yaml` allows."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused(event, "& or * begins an alias, which is not read; write it out or put the text in quotes")
        if event.tag not in (None, "!"):
            raise _refused(event, "! begins a tag, which is not read; put the text in quotes")
        if self.depth == MAX_DEPTH:
            raise _refused(event, f"lists and mappings lie more than {MAX_DEPTH} deep in each other")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode):
            if re.search("[\0\ud800-\udfff]", node.value):
                raise _refused(event, "a NUL or half a surrogate pair stands in a text")
            if node.tag.endswith(":int") and len(node.value) > MAX_DIGITS:
                raise _refused(event, f"a number has more than {MAX_DIGITS} digits; put it in quotes if it is text")
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := [key for key, count in Counter(keys).items() if count > 1]:
                raise _refused(event, f"the key {short(twice[0])} is given twice")
        return node


def _refused(event: Any, why: str) -> _Refusal:
    return _Refusal(problem=why, problem_mark=event.start_mark)


def parse_settings(model: type[Model], data: Any, source: str) -> Model:
    """``data`` as read from YAML, checked. Raises UserError naming the key, the closest known key and ``source``."""
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError as error:
        # a misspelt key first: the one that is missing for it is no second mistake
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise UserError(_sentence(model, problems, source)) from error


def split_setting(setting: str) -> tuple[list[str], Any]:
    """The keys and the value of ``edit.rate=1e-4``, as on the command line. Raises UserError when it is no such setting."""
    key, equals, value = setting.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"{short(setting)} is not a setting; write key=value, for example edit.rate=1e-4.")
    return key.split("."), load_yaml(value, f"The value of {short(setting)}")


def _sentence(model: type[BaseModel], problems: Sequence[Any], source: str) -> str:
    """The first key with a problem, as one sentence."""
    key, place = _locate_key(model, problems[0])
    if problems[0]["type"] == "extra_forbidden":
        last = str(problems[0]["loc"][-1])  # which may hold dots itself
        prefix = key.removesuffix(last).removesuffix(".")
        names = [f"{prefix}.{name}" if prefix else name for name in place.model_fields]
        close = get_close_matches(last[:60], place.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {names[list(place.model_fields).index(close[0])]}?" if close else f"known are {', '.join(names)}."
        return f"{source}: unknown key {clipped(key)}; {hint}"
    messages = [problem["msg"].removeprefix("Value error, ") for problem in problems if _locate_key(model, problem)[0] == key]
    where = f"{source}: {clipped(key)}" if key else source
    if all(text.startswith("Input should be ") for text in messages):
        wanted = " or ".join("a mapping" if "valid dictionary" in text else text.removeprefix("Input should be ") for text in messages)
        return f"{where} should be {wanted}, not {short(problems[0]['input'])}."
    return f"{where}: {clipped(messages[0], 300)}."


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
