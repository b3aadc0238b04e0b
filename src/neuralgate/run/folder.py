"""The run folder: what was asked, done and measured, and the way back into it after a kill.

A stage is skipped when the manifest records the same inputs (hashes of settings, results of other stages and the stage's own code)
and its outputs are still what they were. A stage that was killed goes on with the chunks it had finished. Whatever depends on the
clock (manifest, events) stays out of every result, so an interrupted run ends in the same bytes as an undisturbed one.

A folder goes on with another recipe, too: what depends on a changed setting is kept under ``earlier/`` and made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from neuralgate.chunks import Chunks
from neuralgate.cost import device_peak_mb, peak_memory_mb, reset_device_peak
from neuralgate.errors import UserError
from neuralgate.files import digest, disk_errors, hash_path, json_text, read_text, remove
from neuralgate.progress import Display
from neuralgate.recipe import Recipe
from neuralgate.run import earlier
from neuralgate.run.code import code_hash
from neuralgate.run.held import MANIFEST, RECIPE, WORK, HeldFolder
from neuralgate.run.manifest import new_manifest, versions
from neuralgate.run.plan import changed, dependents, settings_of
from neuralgate.text import short

BESIDE = {"evaluate": ("served",)}  # what other commands make of a stage's results


@dataclass(frozen=True)
class Attempt:
    """What the body of ``with run.stage(...)`` is given.

    ``report`` takes ``done``, ``total``, ``text`` and any numbers; it feeds the progress bar and ``events.jsonl``.
    """

    needed: bool  # False: nothing changed, leave the body
    chunks: Chunks
    report: Callable[..., None]
    leads: bool = True  # False: another process writes the outputs


class Run(HeldFolder):
    """One run folder: how it is opened, which of its stages are done, and what each took."""

    def __init__(self, folder: Path | str, display: Display | None = None) -> None:
        super().__init__(folder, display)
        self.keep_stale = False
        self.meter: Callable[[], int] = lambda: 0  # tokens that went through the model so far

    # --- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path | str, recipe: Recipe, model_hash: str, display: Display | None = None) -> Self:
        """Begin a run, or go on with the one in ``folder``. With another recipe, results that depend on what differs are kept below
        ``earlier/``, and the stages that made them are no longer finished.

        Raises:
            UserError: the folder holds another model or something else; another process works in it; it cannot be written.
        """
        _refuse_strangers(Path(folder))
        return cls._holding(folder, display, lambda run: run._begin(recipe, model_hash))

    @classmethod
    def load(cls, folder: Path | str, display: Display | None = None) -> Self:
        """Go on with the run in ``folder``, whatever its recipe. Raises UserError when there is none."""
        with disk_errors(folder):
            begun = all((Path(folder) / name).is_file() for name in (RECIPE, MANIFEST))
        if not begun:
            raise UserError(f"{folder} is not a run folder; make one with `neuralgate run MODEL --out {folder}`.")
        return cls._holding(folder, display, lambda run: run._read())

    @classmethod
    def _holding(cls, folder: Path | str, display: Display | None, begin: Callable[[Self], None]) -> Self:
        run = cls(folder, display)
        run._hold()
        try:
            earlier.finish(run.folder, run.path(WORK) / earlier.EARLIER)
            begin(run)
        except BaseException:
            run.close()
            raise
        return run

    def _begin(self, recipe: Recipe, model_hash: str) -> None:
        if self.path(RECIPE).is_file():
            self._read()
            self._change(recipe, model_hash)
        else:
            self.recipe = recipe
            self.write_text(RECIPE, recipe.to_yaml())
        if not self.manifest:
            self.manifest = new_manifest(recipe, model_hash)
            self._save_manifest()

    def _change(self, recipe: Recipe, model_hash: str) -> None:
        """Go on with ``recipe``; raises UserError where it is of another model."""
        advice = "choose another folder with --out, or remove this one"
        there, here = (", revision ".join(filter(None, (each.model, each.revision))) for each in (self.recipe, recipe))
        if there != here:
            raise UserError(f"{self.folder} holds a run of another model: {there} there and {here} here; {advice}.")
        begun_with = self.manifest["hashes"]["model"] if self.manifest else model_hash
        if begun_with != model_hash:
            raise UserError(
                f"{self.folder} holds a run of another model: its weights hash to {begun_with[:12]} there and {model_hash[:12]} here; "
                f"{advice}."
            )
        recipe = recipe.keeping(self.recipe)
        differences = self.recipe.differences(recipe)
        if not differences:
            return
        for key, before, after in differences:
            self.display.line(f"{key}: {short(before)} before, {short(after)} now")
        records = self.manifest.get("stages", {})
        affected = [name for name in records if name in changed(self.recipe, recipe)]
        outputs = {output for name in affected for output in (*records[name]["outputs"], *BESIDE.get(name, ()))}
        name = earlier.next_name(self.folder, self.recipe.digest)
        old = {file: read_text(self.path(file)) for file in (RECIPE, MANIFEST) if self.path(file).is_file()}
        begun = new_manifest(recipe, model_hash)
        kept_hashes = {} if "pairs" in affected else self.manifest.get("hashes", {})  # with other pairs, of other data
        hashes = {**begun["hashes"], **kept_hashes, "recipe": recipe.digest}
        kept = {stage: record for stage, record in records.items() if stage not in affected}
        manifest = {**begun, **self.manifest, "seeds": begun["seeds"], "hashes": hashes, "stages": kept}
        new = {MANIFEST: json_text(manifest), RECIPE: recipe.to_yaml()}  # the processes that follow wait for the recipe
        earlier.put_away(self.folder, self.path(WORK) / earlier.EARLIER, outputs, name, old, new)
        self._read()
        if affected:
            self.display.line(
                f"the results of {', '.join(affected)} depend on that: kept in {self.path(earlier.EARLIER) / name}, made again"
            )

    def settle(self, recipe: Recipe) -> Recipe:
        """The run's recipe is ``recipe`` from now on: settings that it left to `auto` have been found. Returns it."""
        self.recipe = recipe
        self.write_text(RECIPE, recipe.to_yaml())
        self.note(hashes={"recipe": recipe.digest})
        return recipe

    # --- stages ----------------------------------------------------------------------------------------------------

    @contextmanager
    def stage(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str], shared: bool = False) -> Iterator[Attempt]:
        """One step of the run, skipped (``needed`` is False) when neither ``inputs`` nor ``outputs`` have changed.

        Args:
            inputs: a hash for each thing that the result depends on.
            outputs: files and folders, relative to the run folder, that the body writes. They are removed before a
                stage begins anew; a stage that was killed finds what it had written.
            shared: other processes of the same launch make their share of the chunks.
        """
        chunks = Chunks(self.folder / WORK / name, self.share if shared else None)
        reason = self._reason(name, inputs)
        if reason is None:
            chunks.clear()  # there are some where a process was killed between the manifest and the end of the stage
            self.append_event(name, event="skipped")
            self._say_skipped(name, inputs)
            yield Attempt(False, chunks, lambda **_: None)
            return
        begun = digest(dict(inputs)).encode()
        resumed = chunks.done("begun") == begun
        if self.keep_stale:  # what was made from the old results cannot be taken as it is
            self._forget(dependents({name}))
        if not resumed:
            if reason:
                self.display.line(f"{name:<9} made again: {reason}")
            chunks.clear()
            for output in {*outputs, *self.manifest["stages"].get(name, {"outputs": ()})["outputs"]}:  # an earlier version had others
                remove(self.path(output))
            chunks.put("begun", begun)
        self.append_event(name, event="resumed" if resumed else "started")
        self.display.start(name)
        started, tokens = time.monotonic(), self.meter()
        reset_device_peak()
        try:
            with disk_errors(self.folder):
                yield Attempt(True, chunks, self._reporter(name))
        finally:
            self.display.stop()
        self._finish(name, inputs, outputs, round(time.monotonic() - started, 3), self.meter() - tokens, resumed)
        chunks.clear()

    def refresh(self, name: str, recipe_before: Recipe | None = None) -> None:
        """Accept the outputs of a finished stage as they are now: they were made again by other means (a re-scoring), perhaps with
        another recipe than ``recipe_before``."""
        record = self._record(name)
        inputs = record.get("inputs") or {}
        if recipe_before and inputs.get("settings") == settings_of(recipe_before)[name]:
            inputs["settings"] = settings_of(self.recipe)[name]
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

    def _reason(self, name: str, inputs: Mapping[str, str]) -> str | None:
        """Why a stage has to be done, empty where it never was; None where its results stand."""
        record = self.manifest["stages"].get(name)
        if record is None:
            return ""
        if (differing := self._differing(name, inputs)) and not self.keep_stale:
            return "its code has changed" if differing == ["code"] else f"what it depends on has changed ({', '.join(differing)})"
        hashes = record["outputs"].items()
        lost = [output for output, value in hashes if not self.path(output).exists() or hash_path(self.path(output)) != value]
        return f"{', '.join(lost)} changed or lost" if lost else None

    def _differing(self, name: str, inputs: Mapping[str, str]) -> list[str]:
        """The inputs that are others than those that a finished stage was made from."""
        recorded = self.manifest["stages"][name].get("inputs")
        return ["code"] if recorded is None else [key for key in inputs if recorded.get(key) != inputs[key]]

    def _forget(self, names: set[str]) -> None:
        self.manifest["stages"] = {stage: record for stage, record in self.manifest["stages"].items() if stage not in names}
        self._save_manifest()

    def _say_skipped(self, name: str, inputs: Mapping[str, str]) -> None:
        differing = self._differing(name, inputs)
        if not differing:
            self.display.line(f"{name:<9} unchanged, skipped")
            return
        self.display.line(f"{name:<9} taken as it is, though made from other {', '.join(differing)} (--keep-stale)")
        self.manifest["stages"][name]["kept_stale"] = differing
        self._save_manifest()

    def _reporter(self, name: str) -> Callable[..., None]:
        def report(done: float = 0, total: float | None = None, text: str = "", **numbers: Any) -> None:
            self.append_event(name, done=done, total=total, text=text, **numbers)
            self.display.update(done, total, text, numbers)

        return report

    def _finish(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str], seconds: float, tokens: int, resumed: bool) -> None:
        memory, on_device = peak_memory_mb(), device_peak_mb()
        self.manifest["stages"][name] = {
            "seconds": seconds,  # of the last part alone where `resumed`
            "peak_memory_mb": memory,
            **({"peak_device_memory_mb": on_device} if on_device is not None else {}),
            "tokens_per_second": round(tokens / seconds, 1) if tokens else None,
            "inputs": dict(inputs),
            "resumed": resumed,
            "processes": self.share.count,  # memory and tokens are those of the first
            "outputs": {output: hash_path(self.path(output)) for output in outputs},
        }
        self.note(versions=versions(), hashes={"code": code_hash()})
        self.append_event(name, event="finished", seconds=seconds, peak_memory_mb=memory)
        self.display.line(f"{name:<9} {seconds:6.1f} s  {memory:6.0f} MB")


def _refuse_strangers(folder: Path) -> None:
    with disk_errors(folder):
        if not folder.exists() or (folder / RECIPE).is_file():
            return
        strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if strangers:
        raise UserError(f"{folder} is not a run folder ({strangers[0]} is in it); choose an empty or a new one.")
