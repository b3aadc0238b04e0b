"""The run folder: what was asked, done and measured, and the way back into it after a kill.

A stage is skipped when the manifest records the same input hash and its outputs are still what they were. A stage that
was killed goes on with the chunks it had finished. Whatever depends on the clock (manifest, events) stays out of every
result, so an interrupted run ends in the same bytes as an undisturbed one.
"""

from __future__ import annotations

import fcntl
import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from neuralgate.chunks import Chunks, launched
from neuralgate.errors import UserError
from neuralgate.files import (
    digest,
    disk_errors,
    hash_path,
    open_within,
    read_json,
    refuse_links,
    remove_litter,
    write_bytes,
    write_json,
    write_text,
)
from neuralgate.progress import Display
from neuralgate.recipe import Recipe

RECIPE, MANIFEST, EVENTS, LOCK, WORK = "recipe.yaml", "manifest.json", "events.jsonl", ".lock", ".work"
VERSIONS = ("neuralgate", "torch", "transformers", "safetensors", "numpy", "pillow")


@dataclass(frozen=True)
class Stage:
    """What the body of ``with run.stage(...)`` is given.

    ``report`` takes ``done``, ``total``, ``text`` and any numbers; it feeds the progress bar and ``events.jsonl``.
    """

    needed: bool  # False: nothing changed, leave the body
    chunks: Chunks
    report: Callable[..., None]
    leads: bool = True  # False: another process writes the outputs


class Run:
    """One run folder, held by one process at a time. Use as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path | str, display: Display | None = None) -> None:
        self.folder = Path(folder)
        self.display = display or Display()
        self.share = launched()
        self._lock: IO[bytes] | None = None
        self.recipe = Recipe()
        self.manifest: dict[str, Any] = {}
        self.meter: Callable[[], int] = lambda: 0  # tokens that went through the model so far

    # --- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path | str, recipe: Recipe, model_hash: str, display: Display | None = None) -> Self:
        """Begin a run, or go on with the one in ``folder``.

        Raises:
            UserError: the folder holds another recipe, another model or something else; another process works in it;
                it cannot be written.
        """
        run = cls(folder, display)
        _refuse_strangers(run.folder)
        run._hold()
        try:
            if run.path(RECIPE).is_file():
                run._read()
                run._refuse_other(recipe, model_hash)
            else:
                run.recipe = recipe
                run.write_text(RECIPE, recipe.to_yaml())
            if not run.manifest:
                run.manifest = _new_manifest(recipe, model_hash)
                run._save_manifest()
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def load(cls, folder: Path | str, display: Display | None = None) -> Self:
        """Go on with the run in ``folder``, whatever its recipe. Raises UserError when there is none."""
        with disk_errors(folder):
            begun = all((Path(folder) / name).is_file() for name in (RECIPE, MANIFEST))
        if not begun:
            raise UserError(f"{folder} is not a run folder; make one with `neuralgate run MODEL --out {folder}`.")
        run = cls(folder, display)
        run._hold()
        try:
            run._read()
        except BaseException:
            run.close()
            raise
        return run

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _hold(self) -> None:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        refuse_links(self.folder)
        self._lock = open_within(self.path(LOCK), "ab")  # which empties nothing
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it even after kill -9
        except BlockingIOError as error:
            self.close()
            raise UserError(f"Another process is working in {self.folder}; wait for it or choose another folder.") from error
        with disk_errors(self.folder):
            remove_litter(self.folder)
            _drop_torn_line(self.path(EVENTS))

    def _read(self) -> None:
        self.recipe = Recipe.load(self.path(RECIPE))
        self.manifest = read_json(self.path(MANIFEST)) if self.path(MANIFEST).is_file() else {}

    def _refuse_other(self, recipe: Recipe, model_hash: str) -> None:
        advice = "choose another folder with --out, or remove this one"
        differences = self.recipe.differences(recipe)
        if differences:
            key, there, here = differences[0]
            more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
            raise UserError(f"{self.folder} holds a run of another recipe: {key} is {there!r} there and {here!r} here{more}; {advice}.")
        known = self.manifest.get("hashes", {}).get("model", model_hash)
        if known != model_hash:
            raise UserError(
                f"{self.folder} holds a run of another model: its weights hash to {known[:12]} there and {model_hash[:12]} here; {advice}."
            )

    # --- files -----------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.folder / name

    def write_bytes(self, name: str, data: bytes) -> None:
        write_bytes(self.path(name), data)

    def write_text(self, name: str, text: str) -> None:
        write_text(self.path(name), text)

    def write_json(self, name: str, data: Any) -> None:
        write_json(self.path(name), data)

    def note(self, **entries: Any) -> None:
        """Add to the manifest: ``note(device="cpu", hashes={"data": ...})``; mappings are merged."""
        for key, value in entries.items():
            self.manifest[key] = {**self.manifest.get(key, {}), **value} if isinstance(value, dict) else value
        self._save_manifest()

    def settle(self, recipe: Recipe) -> Recipe:
        """The run's recipe is ``recipe`` from now on: settings that it left to `auto` have been found. Returns it."""
        self.recipe = recipe
        self.write_text(RECIPE, recipe.to_yaml())
        self.note(hashes={"recipe": recipe.digest})
        return recipe

    def append_event(self, stage: str, **values: Any) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, **values}, default=float)
        with disk_errors(self.path(EVENTS)), open_within(self.path(EVENTS), "ab") as file:
            file.write(line.encode() + b"\n")

    def _save_manifest(self) -> None:
        self.write_json(MANIFEST, self.manifest)

    # --- stages ----------------------------------------------------------------------------------------------------

    @contextmanager
    def stage(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str], shared: bool = False) -> Iterator[Stage]:
        """One step of the run, skipped (``needed`` is False) when neither ``inputs`` nor ``outputs`` have changed.

        Args:
            inputs: a hash for each thing that the result depends on.
            outputs: files and folders, relative to the run folder, that the body writes. They are removed before a
                stage begins anew; a stage that was killed finds what it had written.
            shared: other processes of the same launch make their share of the chunks.
        """
        inputs_hash = digest(dict(inputs))
        chunks = Chunks(self.folder / WORK / name, self.share if shared else None)
        if self._unchanged(name, inputs_hash):
            chunks.clear()  # there are some where a process was killed between the manifest and the end of the stage
            self.append_event(name, event="skipped")
            self.display.line(f"{name:<9} unchanged, skipped")
            yield Stage(False, chunks, lambda **_: None)
            return
        begun = inputs_hash.encode()
        resumed = chunks.done("begun") == begun
        if not resumed:
            chunks.clear()
            for output in outputs:
                _remove(self.path(output))
            chunks.put("begun", begun)
        self.append_event(name, event="resumed" if resumed else "started")
        self.display.start(name)
        started, tokens = time.monotonic(), self.meter()
        reset_device_peak()
        try:
            with disk_errors(self.folder):
                yield Stage(True, chunks, self._reporter(name))
        finally:
            self.display.stop()
        self._finish(name, inputs_hash, outputs, round(time.monotonic() - started, 3), self.meter() - tokens, resumed)
        chunks.clear()

    def refresh(self, name: str) -> None:
        """Accept the outputs of a finished stage as they are now: they were made again by other means (a re-scoring)."""
        record = self._record(name)
        there = {output: self.path(output) for output in record["outputs"] if self.path(output).exists()}
        record["outputs"] |= {output: hash_path(path) for output, path in there.items()}  # one that is lost stays so
        self._save_manifest()

    def outputs(self, name: str) -> str:
        """One hash over all outputs of a finished stage: an input of the next. Raises UserError when it has not run."""
        return digest(self._record(name)["outputs"])

    def _record(self, name: str) -> dict[str, Any]:
        if name not in self.manifest["stages"]:
            raise UserError(f"{self.folder} has no finished stage {name} yet; run it first.")
        return self.manifest["stages"][name]

    def _unchanged(self, name: str, inputs_hash: str) -> bool:
        record = self.manifest["stages"].get(name)
        if record is None or record["input_hash"] != inputs_hash:
            return False
        return all(self.path(output).exists() and hash_path(self.path(output)) == known for output, known in record["outputs"].items())

    def _reporter(self, name: str) -> Callable[..., None]:
        def report(done: float = 0, total: float | None = None, text: str = "", **numbers: Any) -> None:
            self.append_event(name, done=done, total=total, text=text, **numbers)
            self.display.update(done, total, text, numbers)

        return report

    def _finish(self, name: str, inputs_hash: str, outputs: Sequence[str], seconds: float, tokens: int, resumed: bool) -> None:
        memory, on_device = peak_memory_mb(), device_peak_mb()
        self.manifest["stages"][name] = {
            "code": code_hash(),
            "seconds": seconds,  # of the last part alone where `resumed`
            "peak_memory_mb": memory,
            **({"peak_device_memory_mb": on_device} if on_device is not None else {}),
            "tokens_per_second": round(tokens / seconds, 1) if tokens else None,
            "input_hash": inputs_hash,
            "resumed": resumed,
            "processes": self.share.count,  # memory and tokens are those of the first
            "outputs": {output: hash_path(self.path(output)) for output in outputs},
        }
        self._save_manifest()
        self.append_event(name, event="finished", seconds=seconds, peak_memory_mb=memory)
        self.display.line(f"{name:<9} {seconds:6.1f} s  {memory:6.0f} MB")


def peak_memory_mb() -> float:
    """The process's largest resident memory so far; it never falls, so a stage shows at least what earlier ones needed."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)  # bytes there, kilobytes on Linux


def reset_device_peak() -> None:
    """Begin to measure anew what is needed on a GPU, if torch is in use on one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def device_peak_mb() -> float | None:
    """The most that torch has held on the GPU since the last reset; None without one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return None


def code_hash() -> str:
    """sha256 over the names and bytes of this package's modules, templates and YAML."""
    root = Path(__file__).parent
    found = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".jinja", ".css", ".yaml"))
    return digest([[path.relative_to(root).as_posix(), hash_path(path)] for path in found])


def _new_manifest(recipe: Recipe, model_hash: str) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in VERSIONS}},
        "device": "cpu",
        "seeds": {"recipe": recipe.seed, "edit": recipe.edit.seed, "gate": recipe.edit.gate_seed},
        "hashes": {"model": model_hash, "data": None, "code": code_hash(), "recipe": recipe.digest},
        "stages": {},
    }


def _refuse_strangers(folder: Path) -> None:
    with disk_errors(folder):
        if not folder.exists() or (folder / RECIPE).is_file():
            return
        strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if strangers:
        raise UserError(f"{folder} is not a run folder ({strangers[0]} is in it); choose an empty or a new one.")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # run from the source tree without being installed
        return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _drop_torn_line(path: Path) -> None:
    """A kill can end a line halfway; the next event must not be glued to it."""
    if path.is_file():
        with open_within(path, "r+b") as file:
            if not (data := file.read()).endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
