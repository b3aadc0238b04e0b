"""Model directories in the user's cache: made once, whole or not there, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from neuralgate.cache import VARIABLE
from neuralgate.errors import UserError
from neuralgate.files import disk_errors, hash_path, remove, write_folder, write_json
from neuralgate.progress import Display

if TYPE_CHECKING:
    from torch import Tensor

LOCK, WEIGHTS = ".lock", "model.safetensors"
RECORD = ".made/made.json"  # in a hidden folder, which no copy of the model takes along
Report = Callable[[float, float, str], None]  # done, of how much, what


class Made(BaseModel):
    """What a folder of the cache says of itself: sha256 of its weights, and bytes of every file."""

    model_config = ConfigDict(strict=True, extra="forbid")

    sha256: str
    files: dict[str, int]


@contextmanager
def alone(cache: Path, display: Display) -> Iterator[None]:
    """Work in the cache as its only process; where another one does, wait for it and say so.

    Raises:
        UserError: ``cache`` cannot be made or written.
    """
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        handle = os.open(cache / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it even after kill -9
        except BlockingIOError:
            display.line(f"another process is at work in {cache}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def needs_room(cache: Path, size: int, what: str) -> None:
    """Raises UserError when fewer than ``size`` bytes are free for ``what``: better before a download than after it."""
    with disk_errors(cache):
        free = shutil.disk_usage(cache).free
    if free < size:
        raise UserError(
            f"{what} needs {size / 1e6:.0f} MB in {cache}, where {free / 1e6:.0f} MB are free; free some, or name another folder with "
            f"{VARIABLE}."
        )


def is_made(folder: Path, sha256: str | None, thorough: bool = False) -> bool:
    """Whether ``folder`` is whole and its weights are those with ``sha256`` (None: any).

    Args:
        thorough: hash the weights again; else the sizes of all files are compared with what was noted when they were made and hashed.
    """
    try:
        made = Made.model_validate_json((folder / RECORD).read_bytes())
        sizes = {name: (folder / name).stat().st_size for name in made.files}
    except (OSError, ValidationError):
        return False
    return (
        sizes == made.files
        and made.files.keys() >= {WEIGHTS, "config.json"}
        and sha256 in (None, made.sha256)
        and (not thorough or hash_path(folder / WEIGHTS) == made.sha256)
    )


def make(folder: Path, sha256: str | None, write: Callable[[Path], str], wrong: str, display: Display) -> None:
    """Let ``write`` fill ``folder``, in the place of what is there and is not whole, and note what it wrote. Only within `alone`.

    Args:
        sha256: that the weights must have; None takes any.
        write: fills the folder that it is given and returns the sha256 of the weights.
        wrong: the sentence about weights that have another.
    """
    with disk_errors(folder):
        if os.path.lexists(folder):
            display.line(f"{folder} is damaged or of another version: made again")
            folder.unlink() if folder.is_symlink() else remove(folder)

    def fill(new: Path) -> None:
        made = write(new)
        if sha256 not in (None, made):
            raise UserError(f"{wrong} (sha256 {made} instead of {sha256}).")
        sizes = {path.name: path.stat().st_size for path in sorted(new.iterdir()) if path.is_file()}
        write_json(new / RECORD, Made(sha256=made, files=sizes).model_dump())

    write_folder(folder, fill)
    for other in sorted(folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*")):
        if other != folder and (other / RECORD).is_file():
            display.line(f"{other} was made by another version of neuralgate; delete it where none uses it any more")


def write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], tensor_of: Callable[[str], Tensor], report: Report, doing: str) -> str:
    """Write tensors as bfloat16 into a safetensors file, one after another, so that memory holds one at a time.

    The header is our own, so that the same tensors are the same bytes whatever version of that library is installed.

    Args:
        shapes: of every tensor by name.
        tensor_of: makes one of them.
        doing: what the progress bar says.

    Returns:
        sha256 of the file.
    """
    import torch

    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(shapes):
        start, end = end, end + prod(shapes[name]) * torch.bfloat16.itemsize
        entries[name] = {"dtype": "BF16", "shape": list(shapes[name]), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        header = len(text).to_bytes(8, "little") + text
        digest.update(header)
        file.write(header)
        for done, name in enumerate(sorted(shapes), start=1):
            tensor = tensor_of(name)
            if tuple(tensor.shape) != tuple(shapes[name]):
                raise ValueError(f"{name} is {tuple(tensor.shape)}, not {tuple(shapes[name])}")
            data = tensor.to(torch.bfloat16).contiguous().view(torch.uint8).numpy().data
            digest.update(data)
            file.write(data)
            report(done, len(shapes), doing)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
