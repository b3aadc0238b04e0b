"""Files that are whole or not there, their hashes, and the disk's refusals as sentences."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, mkstemp
from typing import IO, Any, BinaryIO

from pydantic_core import from_json

from neuralgate.errors import UserError
from neuralgate.text import clipped, short

#: What `write_bytes` calls a file that is not whole.
_LITTER = re.compile(r"\..+\.\w{8}\.tmp", re.DOTALL)


@contextmanager
def disk_errors(place: Path | str) -> Iterator[None]:
    """Turn what a disk refuses (space, rights, a name, a link, a file in the way) into a UserError that names the file, or ``place``;
    other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"There is no space left for {place}; free some and run the same command again, it continues where it stopped."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(
                f"There is no right to read or write {error.filename or place}; change its rights or choose another folder."
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"No file can be called {clipped(str(error.filename or place), 120)}; choose a shorter name.") from error
        if error.errno == errno.ELOOP:
            raise _no_link(str(error.filename or place)) from error
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
            there = error.filename2 or error.filename or place
            raise UserError(
                f"{there} is in the way: it is a file where a folder is needed or the reverse; choose another place."
            ) from error
        raise


def _no_link(path: str) -> UserError:
    return UserError(
        f"{path} is a link or a pipe, through which this folder would reach out of itself; remove it, or put the file itself there."
    )


def refuse_links(folder: Path | str, blobs: Path | None = None) -> None:
    """A folder may come from somebody else. What is read, written and deleted in it by name must not be elsewhere, by a link, and
    must not wait for ever, as opening a pipe does.

    Args:
        blobs: a folder that links may lead into, see `blobs_of`.

    Raises:
        UserError: something below ``folder`` is neither a file nor a folder.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        with disk_errors(folder), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    target = Path(os.path.realpath(entry.path))
                    if not (blobs and target.parent == blobs and target.is_file()):
                        raise _no_link(entry.path)


def blobs_of(folder: Path | str) -> Path | None:
    """Where a hub's cache keeps the files of ``folder``, if that is a snapshot in one (models--OWNER--NAME/snapshots/COMMIT): there all
    files are links."""
    cached = Path(os.path.realpath(folder)).parent
    return cached.with_name("blobs") if cached.name == "snapshots" else None


def open_within(path: Path | str, mode: str) -> IO[bytes]:
    """A file that is written in place. Raises UserError when it is a link."""
    with disk_errors(path):
        return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either its old content or all of the new one, whenever the process ends."""
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp gives 0600, which nobody else could read
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def write_folder(out: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder that takes the name ``out`` when it is whole. Raises UserError if ``out`` exists."""
    with disk_errors(out):
        partial_name = f".partial-{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:8]}-"
        for left in out.parent.glob(f"{partial_name}*"):
            with holding(left) as is_left:  # by a process that was killed, not at work
                if is_left:
                    shutil.rmtree(left)
        with suppress(FileNotFoundError):  # an impossible name is another error, said before the work
            os.lstat(out)
            raise UserError(f"{out} exists already; choose a new folder.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=partial_name) as partial, holding(partial):
            (folder := Path(partial) / "new").mkdir()
            write(folder)
            folder.replace(out)


@contextmanager
def holding(folder: Path | str) -> Iterator[bool]:
    """Keep ``folder`` for this process; False where another one does. The system lets go of it even after kill -9."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = True
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_litter(folder: Path) -> None:
    """Remove what writes that were killed have left in a folder that nobody else writes to; folders that are hidden do not count."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _LITTER.fullmatch(name):
                os.unlink(os.path.join(place, name))


def write_text(path: Path | str, text: str) -> None:
    write_bytes(path, text.encode())


def json_text(data: Any) -> str:
    """JSON that a person can read and a diff can follow; the same data always gives the same bytes."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path | str, data: Any) -> None:
    write_text(path, json_text(data))


def write_jsonl(path: Path | str, rows: list[dict]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def open_plain(path: Path | str) -> BinaryIO:
    """A file opened for reading. Raises UserError when it is missing, is a folder or a pipe, may not be read or cannot be a name."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            raise UserError(f"{path} is not a file; remove it and run the stage that writes it.")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it.") from error
    except (OSError, ValueError) as error:  # a ValueError is a NUL in the name
        reason = getattr(error, "strerror", None) or "it holds a NUL"
        raise UserError(f"{clipped(str(path), 200)} cannot be read ({reason}); give another path.") from error


def read_text(path: Path | str) -> str:
    """Raises UserError when the file cannot be read or is not UTF-8."""
    with open_plain(path) as file:
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is damaged: it is not text in UTF-8; write it again.") from error


def read_json(path: Path | str) -> Any:
    """Raises UserError when the file is missing or not JSON (see :func:`parse_json`)."""
    with open_plain(path) as file:
        return parse_json(file.read(), path)


def read_jsonl(path: Path | str) -> list[dict]:
    """Raises UserError when the file is missing or a line is not a JSON object."""
    rows = []
    for line, place in read_lines(path):
        row = parse_json(line, place)
        if not isinstance(row, dict):
            raise damaged(place, f"{short(row)} is not a mapping")
        rows.append(row)
    return rows


def read_lines(path: Path | str) -> Iterator[tuple[bytes, str]]:
    """The lines of a file that are not empty, one at a time, each with the words for where it stands."""
    with open_plain(path) as file:
        # bytes end a line at \n alone: an answer may hold U+2028, which ends one for str.splitlines() but not in JSON
        for number, line in enumerate(file, start=1):
            if line := line.rstrip(b"\n"):
                yield line, f"{path}, line {number},"


def parse_json(data: bytes, source: Path | str) -> Any:
    """JSON as this package writes it. Raises UserError naming ``source`` for anything else: no UTF-8, half a surrogate pair, NaN,
    infinity or numbers beyond 64 bits, hundreds of nested brackets."""
    try:
        parsed = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise damaged(source, str(error)) from error
    if _LONG_NUMBER.search(data) and _beyond(parsed):
        raise damaged(source, "a number is out of range")
    return parsed


#: What a number out of range looks like; so does many a hash, which only costs a closer look.
_LONG_NUMBER = re.compile(rb"[0-9](?:[0-9]{18}|[0-9.]*[eE]\+?[0-9]{3})")


def _beyond(data: Any) -> bool:
    """Whether a number is there that a float or 64 bits cannot hold."""
    if isinstance(data, dict | list):
        return any(map(_beyond, data.values() if isinstance(data, dict) else data))
    return not math.isfinite(data) if isinstance(data, float) else isinstance(data, int) and data.bit_length() > 64


def damaged(source: Path | str, reason: str) -> UserError:
    """The one sentence about a file whose content is not what this package writes."""
    return UserError(f"{source} is damaged: {reason}; delete it and run the stage that writes it.")


def one_component(name: str) -> str:
    """``name``, which becomes a part of a path. Raises ValueError when no file can be called so, or it is more than one part."""
    try:
        possible = 0 < len(os.fsencode(name)) <= 255 and name not in (".", "..") and not set(name) & {"/", "\0"}
    except UnicodeEncodeError:  # half a surrogate pair
        possible = False
    if not possible:
        raise ValueError(f"no file can be called {short(name)}: a name has 1 to 255 bytes and no slash, and is not . or ..")
    return name


def inside(folder: Path, name: str, place: str) -> Path:
    """``folder/name`` for a ``name`` that stands in a file: the one place where such a name is joined to a folder. ``place`` begins
    the sentence.

    Raises:
        UserError: the name is absolute, climbs out or leads out by a link, or no file can be called so.
    """
    path = PurePosixPath(name)
    # by name first, so that it does not matter which folders there are beside this one
    outside = path.is_absolute() or ".." in path.parts
    if not outside:
        try:
            for part in path.parts if 0 < len(name) <= 1024 else ("",):
                one_component(part)
        except ValueError as error:
            raise UserError(f"{place}: {error}; give it another name.") from error
    if outside or not Path(os.path.realpath(folder / path)).is_relative_to(os.path.realpath(folder)):
        raise UserError(f"{place}: {name} is outside {folder}; copy it into the folder.")
    return folder / path


def digest(data: Any) -> str:
    """sha256 of the canonical JSON of ``data``: sorted keys, no spaces."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()).hexdigest()


def hash_path(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and hashes of all files below a folder; hidden files do not count.

    Raises:
        UserError: it is neither.
    """
    if not path.is_dir():
        if path.exists() and not path.is_file():  # opening a pipe would wait for its other end
            raise UserError(f"{path} is neither a file nor a folder; give another path.")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return digest([[name, hash_path(path / name)] for name in names])


def _umask() -> int:
    """The process's umask can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
