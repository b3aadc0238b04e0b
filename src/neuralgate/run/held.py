"""The files of a run folder, held by one process at a time."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from neuralgate.chunks import launched
from neuralgate.errors import UserError
from neuralgate.files import disk_errors, open_within, refuse_links, remove_litter, write_bytes, write_json, write_text
from neuralgate.progress import Display
from neuralgate.recipe import Recipe
from neuralgate.records import read_record
from neuralgate.records.manifest import MANIFEST as MANIFEST_RECORD

RECIPE, MANIFEST, EVENTS, LOCK, WORK = "recipe.yaml", "manifest.json", "events.jsonl", ".lock", ".work"


class HeldFolder:
    """A folder with a recipe, a manifest and events. Use as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path | str, display: Display | None = None) -> None:
        self.folder = Path(folder)
        self.display = display or Display()
        self.share = launched()
        self._lock: IO[bytes] | None = None
        self.recipe = Recipe()
        self.manifest: dict[str, Any] = {}

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

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

    def append_event(self, stage: str, **values: Any) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": stage, **values}, default=float)
        with disk_errors(self.path(EVENTS)), open_within(self.path(EVENTS), "ab") as file:
            file.write(line.encode() + b"\n")

    def _save_manifest(self) -> None:
        self.write_json(MANIFEST, self.manifest)

    def _hold(self) -> None:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        refuse_links(self.folder)
        self._lock = open_within(self.path(LOCK), "ab")  # which empties nothing
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it even after kill -9, which no lock file does
        except BlockingIOError as error:
            self.close()
            raise UserError(f"Another process is working in {self.folder}; wait for it or choose another folder.") from error
        with disk_errors(self.folder):
            remove_litter(self.folder)
            _drop_torn_line(self.path(EVENTS))

    def _read(self) -> None:
        self.recipe = Recipe.load(self.path(RECIPE))
        self.manifest = {}
        if self.path(MANIFEST).is_file():
            manifest = read_record(MANIFEST_RECORD, self.path(MANIFEST))
            self.manifest = dict(manifest)
        _bring_up_to_date(self.manifest.get("stages", {}))


def _bring_up_to_date(stages: dict[str, Any]) -> None:
    """Earlier versions kept the choice of the layer in gate.json: 0.1 made it within the stage locate, the next one in a stage `search`,
    with what locating alone had found in another file beside it."""
    if (searched := stages.pop("search", None)) is not None:
        stages["choose"] = {**searched, "outputs": {}}
        if "locate" in stages:
            stages["locate"]["outputs"] |= searched["outputs"]
    elif "gate" in stages.get("locate", {"outputs": ()})["outputs"]:
        stages.setdefault("choose", {**stages["locate"], "outputs": {}})


def _drop_torn_line(path: Path) -> None:
    """A kill can end a line halfway; the next event must not be glued to it."""
    if path.is_file():
        with open_within(path, "r+b") as file:
            if not (data := file.read()).endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
