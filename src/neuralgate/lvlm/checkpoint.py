"""The safetensors files of a model directory, read and rewritten tensor by tensor, without loading the model.

Layout of a file (https://huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header that names each
tensor's type, shape and place, then the tensors' bytes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.lvlm.roles import OTHER_TOWERS, OUT_NAMES, ROLE

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CODES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
NAMES = {dtype: code for code, dtype in CODES.items()}
PIECE = 16 * 2**20  # bytes copied at a time
MAX_HEADER = 100 * 2**20  # the format's own limit


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
        self.headers: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, Stored] = {}
        for name in shard_names(folder):
            header, start = read_header(folder / name)
            self.headers[name] = header
            for key, entry in header.items():
                if key != "__metadata__":
                    first, last = entry["data_offsets"]
                    self.tensors[key] = Stored(name, entry["dtype"], tuple(entry["shape"]), start + first, last - first)

    def read(self, key: str) -> Tensor:
        """One tensor, in memory of its own."""
        place = self.tensors[key]
        if place.code not in CODES:
            raise UserError(f"{key} is stored as {place.code}; export needs a base in {', '.join(CODES)}.")
        with (self.folder / place.file).open("rb") as file:
            file.seek(place.start)
            data = bytearray(file.read(place.size))
        if len(data) != place.size:
            raise UserError(f"{self.folder / place.file} is cut off; get it again.")
        return torch.frombuffer(data, dtype=CODES[place.code]).reshape(place.shape)

    def find(self, role: str) -> str:
        """The name that the tensor of ``role`` (``decoder.<l>.ffn.out``) has in these files.

        Raises:
            UserError: there is no such tensor.
        """
        match = ROLE.fullmatch(role)
        layer = match[1] if match else ""
        pattern = re.compile(rf"(?:^|\.)layers\.{layer}\.(?:\w+\.)*(?:{'|'.join(OUT_NAMES)})\.weight$")
        found = [
            key
            for key in self.tensors
            if pattern.search(key)
            and ".experts." not in key
            and not key.startswith("mtp.")  # layers that guess further tokens ahead
            and not any(word in part for part in key.lower().split(".") for word in OTHER_TOWERS)
        ]
        if len(found) != 1:
            raise UserError(f"{self.folder} holds no single tensor {role} ({len(found)} found); it is not the model of the patch.")
        return found[0]

    def rewrite(self, name: str, changed: Mapping[str, Tensor], out: Path) -> None:
        """Write the file ``name`` to ``out`` with the tensors of ``changed`` in place of its own, of whatever type."""
        header = {key: dict(entry) for key, entry in self.headers[name].items()}
        keys = sorted((key for key in header if key != "__metadata__"), key=lambda key: header[key]["data_offsets"][0])
        place = 0
        for key in keys:
            tensor = changed.get(key)
            size = self.tensors[key].size if tensor is None else tensor.nbytes
            header[key]["data_offsets"] = [place, place + size]
            if tensor is not None:
                header[key]["dtype"] = NAMES[tensor.dtype]
            place += size
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with (self.folder / name).open("rb") as source, out.open("wb") as target:
            target.write(len(text).to_bytes(8, "little") + text)
            for key in keys:
                if key in changed:
                    target.write(changed[key].contiguous().view(torch.uint8).numpy().data)
                else:
                    source.seek(self.tensors[key].start)
                    copy_bytes(source, target, self.tensors[key].size)


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count:
        piece = source.read(min(count, PIECE))
        if not piece:
            raise UserError(f"{source.name} is cut off; get it again.")
        target.write(piece)
        count -= len(piece)


def shard_names(folder: Path) -> list[str]:
    """The safetensors files of a model directory. Raises UserError when there are none or one is missing."""
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{folder / INDEX} is not an index of weights; get the model again.") from error
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise UserError(f"{folder / INDEX} names {name}, which is not there; get the model again.")
        return names
    if (folder / SINGLE).is_file():
        return [SINGLE]
    raise UserError(f"{folder} holds no {SINGLE}; convert its weights to safetensors first (load it once and save_pretrained).")


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file and where its data begins. Raises UserError when it is broken."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise UserError(f"{path} is not a safetensors file or is cut off; get it again.")
        try:
            header = json.loads(file.read(length))
            entries = [entry for key, entry in header.items() if key != "__metadata__"]
            ends = [checked_end(entry) for entry in entries]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"The header of {path} is broken; get it again.") from error
    if 8 + length + max(ends, default=0) != size:
        raise UserError(f"{path} has {size:,} bytes where its header promises {8 + length + max(ends, default=0):,}; get it again.")
    return header, 8 + length


def checked_end(entry: dict[str, Any]) -> int:
    """Where a tensor's bytes end. Raises ValueError when its type, shape and place contradict each other."""
    first, last = entry["data_offsets"]
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last):
        raise ValueError("odd offsets")
    if entry["dtype"] in CODES and prod(entry["shape"]) * CODES[entry["dtype"]].itemsize != last - first:
        raise ValueError("shape and bytes contradict each other")
    return last


def copy_or_link(source: Path, target: Path) -> None:
    """Another name for the same bytes where the file system can, else a copy."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
