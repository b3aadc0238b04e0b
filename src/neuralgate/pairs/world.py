"""Where pictures come from: a world says which subjects there are, what a picture shows, and what its file holds.

There are three: Clerk's grid of short values (`drawn/clerk_world.py`), documents as photographs (`drawn/photograph.py`), and a user's
own images (`own_images.py`). Pairs and questions are made of any of them in the same way.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from neuralgate.errors import UserError
from neuralgate.files import disk_errors
from neuralgate.pairs.boxes import Box, write_boxes
from neuralgate.pairs.subjects import Subject

CHUNK = 4  # pictures that a process draws at a time: as many are waited for when a person ends it
MAX_ATTEMPTS = 30  # to draw a document that no other picture of the set shows

Split = Literal["train", "validation", "test"]


class AnyPicture(Protocol):
    """What one picture shows."""

    def values(self, subject: str) -> dict[str, str]:
        """Attribute -> truth of the attributes that can be asked about; the truth is empty where nobody wrote it down."""
        ...

    def identity(self) -> frozenset[str]:
        """The documents shown, so that no two pictures of a set show the same one; empty for scenes."""
        ...

    def to_dict(self) -> dict[str, Any]: ...


class World(Protocol):
    """A source of pictures. Drawing is cheap and in one process; ``image`` does the work and may run in another."""

    @property
    def subjects(self) -> tuple[Subject, ...]: ...

    def draw(self, subject: Subject, companions: Sequence[Subject], rng: np.random.Generator, split: Split, number: int) -> AnyPicture:
        """A picture of ``subject``, perhaps with one of ``companions``."""
        ...

    def image(self, picture: AnyPicture, large: bool = False) -> bytes:
        """The content of the file of a picture that this world drew, or of a scene (`documents.sample_scene`); ``large`` asks for
        one for people."""
        ...

    def suffix(self, picture: AnyPicture) -> str:
        """The end of that file's name, as ``.png``."""
        ...

    def boxes(self, picture: AnyPicture) -> list[Box] | None:
        """Where private values stand in it, None where nobody wrote that down."""
        ...

    def capacity(self, subject: Subject, split: Split) -> int | None:
        """How many pictures there are at most, None for any number."""
        ...


def with_companion(subject: Subject, companions: Sequence[Subject], share: float, rng: np.random.Generator) -> tuple[Subject, ...]:
    """``subject`` alone, or (with probability ``share``) before or after another one."""
    pictured = [subject]
    choices = [other for other in companions if other.name != subject.name]
    if choices and rng.random() < share:
        pictured.append(choices[rng.integers(len(choices))])
        if rng.random() < 0.5:
            pictured.reverse()
    return tuple(pictured)


class Gallery:
    """The pictures of one pair set: drawn first, no document twice, and then written to ``folder``, in several processes."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.pictures: dict[str, AnyPicture] = {}
        self._large: list[str] = []
        self._documents: set[str] = set()

    def add(
        self, name: str, key: Sequence[int], draw: Callable[[np.random.Generator], AnyPicture], large: bool = False
    ) -> tuple[AnyPicture, np.random.Generator]:
        """A new picture and the stream that it was drawn from, which begins at ``key``.

        Raises:
            UserError: everything that comes is in the set already.
        """
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng([*key, attempt] if attempt else list(key))
            picture = draw(rng)
            documents = picture.identity()
            if not documents & self._documents:
                break
        else:
            raise UserError(
                f"No document is left for the picture {name}: its values have too few possibilities for so many different ones; ask for "
                "fewer pairs, or give its fields patterns with more digits or letters."
            )
        self._documents |= documents
        self.pictures[name] = picture
        if large:
            self._large.append(name)
        return picture, rng

    def path(self, name: str) -> str:
        """The picture's file, relative to the folder."""
        return f"images/{name}{self.world.suffix(self.pictures[name])}"

    def save(self, processes: int = 1, report: Callable[..., None] | None = None) -> None:
        """Write all pictures, those for people to ``large`` under the same names, and where private values stand. The bytes do not depend
        on ``processes``."""
        for place in ("images", "large"):
            with disk_errors(self.folder):
                (self.folder / place).mkdir(parents=True, exist_ok=True)
        jobs = [(self.folder / self.path(name), picture, False) for name, picture in self.pictures.items()]
        jobs += [(self.folder / "large" / Path(self.path(name)).name, self.pictures[name], True) for name in self._large]
        write = partial(_write, self.world)
        # a forked process would share locks with whatever threads there are; a fresh interpreter shares nothing
        pool = ProcessPoolExecutor(processes, get_context("forkserver"), _ends_with_parent) if processes > 1 else None
        try:
            for done, _ in enumerate(pool.map(write, jobs, chunksize=CHUNK) if pool else map(write, jobs), start=1):
                if report and (done % 50 == 0 or done == len(jobs)):
                    report(done=done, total=len(jobs), text="drawing")
        except BrokenProcessPool as error:
            raise UserError(
                f"A process that draws for {self.folder} was ended from outside, often for want of memory; try again with fewer processes."
            ) from error
        finally:
            if pool:
                pool.shutdown(cancel_futures=True)
        boxes = {Path(self.path(name)).name: self.world.boxes(picture) for name, picture in self.pictures.items()}
        if known := {name: held for name, held in boxes.items() if held is not None}:
            write_boxes(self.folder / "images", known)


def _ends_with_parent() -> None:
    """Ctrl-C is the parent's to answer, which lets the pictures at hand be finished; and nobody draws on for one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write(world: World, job: tuple[Path, AnyPicture, bool]) -> None:
    path, picture, large = job
    content = world.image(picture, large)
    with disk_errors(path):  # not atomic: a set counts only when its pairs.jsonl is there, which is written last
        path.write_bytes(content)
