"""The safetensors files of a model directory, read and rewritten tensor by tensor, without loading the model.

Layout of a file (https://huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header that names each
tensor's type, shape and place, then the tensors' bytes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.files import read_json
from neuralgate.lvlm.roles import FFN_OUT, OTHER_TOWERS, OUT_NAMES, layer_of

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CODES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
NAMES = {dtype: code for code, dtype in CODES.items()}
PIECE = 16 * 2**20  # bytes copied at a time
MAX_HEADER = 100 * 2**20  # the format's own limit

Model = TypeVar("Model", bound=BaseModel)
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]{1,200}\.safetensors$")]
Count = Annotated[int, Field(ge=0, le=2**48)]


class Index(BaseModel):
    """Which file holds which tensor."""

    model_config = ConfigDict(strict=True)

    weight_map: dict[str, FileName] = Field(min_length=1)
    metadata: dict[str, Any] = {}


class Place(BaseModel):
    """What a header says of one tensor."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dtype: str  # the format's name of the type
    shape: list[Count] = Field(max_length=16)
    data_offsets: list[Count] = Field(min_length=2, max_length=2)  # from the end of the header

    @property
    def size(self) -> int:
        """Bytes."""
        return self.data_offsets[1] - self.data_offsets[0]


PLACES = TypeAdapter(dict[str, Place])


@dataclass(frozen=True)
class Header:
    """The beginning of a file: its bytes as they stand, and what they say."""

    raw: bytes
    metadata: dict[str, Any] | None
    places: dict[str, Place]  # in the order of the tensors' bytes

    @classmethod
    def parse(cls, raw: bytes) -> Header:
        """Raises ValueError when the bytes are no header, or a type, a shape and a place contradict each other."""
        entries = from_json(raw[8:])
        if not isinstance(entries, dict):
            raise ValueError("no mapping")
        metadata = entries.pop("__metadata__", None)
        places = dict(sorted(PLACES.validate_python(entries).items(), key=lambda item: item[1].data_offsets))
        end = 0
        for place in places.values():
            if place.data_offsets[0] != end or place.size < 0:
                raise ValueError("tensors that overlap or leave a gap")
            if place.dtype in CODES and prod(place.shape) * CODES[place.dtype].itemsize != place.size:
                raise ValueError("a shape and a size that contradict each other")
            end = place.data_offsets[1]
        return cls(raw, metadata, places)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.raw) + sum(place.size for place in self.places.values())

    def with_types(self, changed: Mapping[str, Tensor]) -> Header:
        """The same with the types of ``changed``; where they are those that it has, byte for byte the same."""
        if all(self.places[key].dtype == NAMES[tensor.dtype] for key, tensor in changed.items()):
            return self
        entries: dict[str, Any] = {} if self.metadata is None else {"__metadata__": self.metadata}
        end = 0
        for key, place in self.places.items():
            start, end = end, end + (changed[key].nbytes if key in changed else place.size)
            code = NAMES[changed[key].dtype] if key in changed else place.dtype
            entries[key] = {"dtype": code, "shape": place.shape, "data_offsets": [start, end]}
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        return Header.parse(len(text).to_bytes(8, "little") + text)


@dataclass(frozen=True)
class Stored:
    """Where one tensor lies."""

    file: str
    code: str  # the format's name of the type
    shape: tuple[int, ...]
    start: int  # offset in the file
    size: int  # bytes


class Checkpoint:
    """The tensors of a model directory by the names that they have in its files."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError when there are no safetensors files, one is missing, or a header is broken."""
        self.folder = folder
        self.index, names = weight_files(folder)
        self.headers = {name: read_header(folder / name) for name in names}
        self.tensors: dict[str, Stored] = {}
        for name, header in self.headers.items():
            for key, place in header.places.items():
                if key in self.tensors:
                    raise UserError(f"{key} stands in {self.tensors[key].file} and in {name} of {folder}; get the model again.")
                start = len(header.raw) + place.data_offsets[0]
                self.tensors[key] = Stored(name, place.dtype, tuple(place.shape), start, place.size)

    def read(self, key: str) -> Tensor:
        """One tensor, in memory of its own."""
        place = self.tensors[key]
        if place.code not in CODES:
            raise UserError(
                f"{key} is stored as {place.code}, a patch needs {', '.join(CODES)}; load the model once and save it with save_pretrained."
            )
        try:
            with safe_open(self.folder / place.file, framework="pt") as file:
                return file.get_tensor(key).clone()
        except SafetensorError as error:
            raise UserError(f"{self.folder / place.file} is broken ({error}); get it again.") from error

    def find(self, role: str, name: str = "", shape: Sequence[int] = ()) -> str:
        """The name that the tensor of ``role`` has in these files.

        Args:
            name, shape: of the parameter, which are needed for another role than ``decoder.<l>.ffn.out``: prefixes differ between a
                model and its files, so the tensor of that shape is meant whose name has most of its last parts in common.

        Raises:
            UserError: there is no such tensor, or several are.
        """
        if not FFN_OUT.fullmatch(role):
            return self.find_named(role, name, shape)
        pattern = re.compile(rf"(?:^|\.)layers\.{layer_of(role)}\.(?:\w+\.)*(?:{'|'.join(OUT_NAMES)})\.weight$")
        keys = [
            key
            for key in self.tensors
            if pattern.search(key)
            and ".experts." not in key
            and not key.startswith("mtp.")  # layers that guess further tokens ahead
            and not any(word in part for part in key.lower().split(".") for word in OTHER_TOWERS)
        ]
        if len(keys) != 1:
            raise UserError(f"{self.folder} holds no single tensor {role} ({len(keys)} found); it is not the model of the patch.")
        return keys[0]

    def find_named(self, role: str, name: str, shape: Sequence[int]) -> str:
        if name in self.tensors:
            return name
        ending = name.split(".")[::-1]

        def common(key: str) -> int:
            parts = zip(key.split(".")[::-1], ending, strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], parts))

        fitting = [key for key, stored in self.tensors.items() if stored.shape == tuple(shape)]
        most = max((common(key) for key in fitting), default=0)
        nearest = [key for key in fitting if most and common(key) == most]
        if len(nearest) != 1:
            raise UserError(
                f"{self.folder} holds no single tensor {role} ({name}; {len(nearest)} found); it is not the model of the patch."
            )
        return nearest[0]

    def rewrite(self, name: str, changed: Mapping[str, Tensor], out: Path, header: Header | None = None) -> None:
        """Write the file ``name`` to ``out`` with the tensors of ``changed`` in place of its own, of whatever type.

        Args:
            header: the new file's, which says the order of its tensors; without it the old one with the new types.
        """
        header = header or self.headers[name].with_types(changed)
        with (self.folder / name).open("rb") as source, out.open("wb") as target:
            target.write(header.raw)
            for key, place in header.places.items():
                if place.size != (changed[key].nbytes if key in changed else self.tensors[key].size):
                    raise UserError(f"{key} of {self.folder / name} has another size than it had; get the model again.")
                if key in changed:
                    target.write(changed[key].contiguous().view(torch.uint8).numpy().data)
                else:
                    source.seek(self.tensors[key].start)
                    copy_bytes(source, target, place.size)


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count:
        piece = source.read(min(count, PIECE))
        if not piece:
            raise UserError(f"{source.name} is cut off; get it again.")
        target.write(piece)
        count -= len(piece)


def read_as(model: type[Model], path: Path, broken: str) -> Model:
    """A JSON file in its form. Raises UserError, which says ``broken``, when it has another."""
    try:
        return model.model_validate(read_json(path))
    except (UserError, ValidationError) as error:
        raise UserError(broken) from error


def weight_files(folder: Path) -> tuple[Index | None, list[str]]:
    """The safetensors files that transformers reads of a model directory, and their index where it reads one: a single file goes
    before an index. Raises UserError when there are none or one is missing."""
    if (folder / SINGLE).is_file():
        return None, [SINGLE]
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder} holds no {SINGLE}; convert its weights to safetensors first (load it once and save_pretrained).")
    index = read_as(Index, folder / INDEX, f"{folder / INDEX} is not an index of weights; get the model again.")
    names = sorted(set(index.weight_map.values()))
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder / INDEX} names {name}, which is not there; get the model again.")
    return index, names


def read_header(path: Path) -> Header:
    """The header of a safetensors file. Raises UserError when it is broken."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(first := file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise UserError(f"{path} is not a safetensors file or is cut off; get it again.")
        try:
            header = Header.parse(first + file.read(length))
        except ValueError as error:
            raise UserError(f"The header of {path} is broken; get it again.") from error
    if header.size != size:
        raise UserError(f"{path} has {size:,} bytes where its header promises {header.size:,}; get it again.")
    return header


def copy_or_link(source: Path, target: Path) -> None:
    """Another name for the same bytes where the file system can, else a copy."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
