"""A run in a process that only helps: it makes its share of the pieces of a stage and writes nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from neuralgate.chunks import POLL_SECONDS, Chunks, StageOver, launched
from neuralgate.files import digest
from neuralgate.progress import Display
from neuralgate.recipe import Recipe
from neuralgate.run.folder import Attempt, Run
from neuralgate.run.held import MANIFEST, RECIPE, WORK

SECONDS_UNTIL_SAID = 60.0


def run_class() -> type[Run]:
    """`Run` in the process that leads (or is alone), `Follower` in the others."""
    return Run if launched().leads else Follower


class Follower(Run):
    """Follows the process that holds the run folder, through the files that it writes."""

    @classmethod
    def open(cls, folder: Path | str, recipe: Recipe, model_hash: str, display: Display | None = None) -> Self:
        run = cls(folder, display)
        run._await(lambda: run._begun() and run.recipe == recipe.keeping(run.recipe))
        return run

    @classmethod
    def load(cls, folder: Path | str, display: Display | None = None) -> Self:
        run = cls(folder, display)
        run._await(run._begun)
        return run

    def note(self, **entries: Any) -> None:
        pass

    def settle(self, recipe: Recipe) -> Recipe:
        """Wait until the leader has found what ``recipe`` has found, and take what it found."""
        self._await(lambda: self._begun() and set(self.recipe.automatic()) <= set(recipe.automatic()))
        return self.recipe

    def append_event(self, stage: str, **values: Any) -> None:
        pass

    @contextmanager
    def stage(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str], shared: bool = False) -> Iterator[Attempt]:
        """Take part in a ``shared`` stage, sit out any other; leave when the leader has finished it."""

        seen: tuple[int, int] | None = None

        def finished() -> bool:
            """Looks again only at another manifest: outputs are hashed, and can be large."""
            nonlocal seen
            written = self.path(MANIFEST).stat()
            now = written.st_ino, written.st_mtime_ns
            if now == seen:
                return False
            self._read()
            try:
                done = self._reason(name, inputs) is None
            except FileNotFoundError:  # the leader is just removing what it makes anew
                return False
            seen = None if done else now
            return done

        chunks = Chunks(self.folder / WORK / name, self.share, finished)
        begun = digest(dict(inputs)).encode()
        self._await(lambda: finished() or (shared and chunks.done("begun") == begun))
        if finished():
            yield Attempt(False, chunks, lambda **_: None, leads=False)
            return
        with suppress(StageOver):
            yield Attempt(True, chunks, lambda **_: None, leads=False)
        self._await(finished)

    def _begun(self) -> bool:
        if not (self.path(RECIPE).is_file() and self.path(MANIFEST).is_file()):
            return False
        self._read()
        return True

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait; a launcher ends all its processes when one of them fails, so there is nobody to wait for in vain."""
        started, is_told = time.monotonic(), False
        while not condition():
            if not is_told and time.monotonic() - started > SECONDS_UNTIL_SAID:
                is_told = True
                self.display.line(f"process {self.share.rank} waits for process 0, which leads the run in {self.folder}")
            time.sleep(POLL_SECONDS)
