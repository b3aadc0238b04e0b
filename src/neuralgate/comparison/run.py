"""The jobs of a comparison, one JSON file each, made by as many processes as are started; what is there is not made again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from neuralgate.comparison import final
from neuralgate.comparison.bench import Bench
from neuralgate.comparison.choose import Reading
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.entries import Entry
from neuralgate.comparison.results import SCHEMA, TOGETHER, checked
from neuralgate.comparison.search import search
from neuralgate.comparison.sequence import one_after_another
from neuralgate.comparison.together import ALL, together
from neuralgate.files import read_json, write_json
from neuralgate.lvlm.model import LVLM
from neuralgate.run.manifest import versions

Say = Callable[[str], None]
WAIT = 2.0  # seconds between two looks at what other processes do


@dataclass(frozen=True)
class Job:
    """``name``: its file below the comparison's folder, without ``.json``; ``after``: the jobs that it goes on from."""

    name: str
    make: Callable[[], dict[str, Any]]
    after: tuple[str, ...] = ()


class Comparison:
    """Results of ``entries`` on ``lvlm`` below ``folder``.

    Raises:
        UserError: ``folder`` holds results about another model, other settings, or of another schema.
    """

    def __init__(self, lvlm: LVLM, config: ComparisonConfig, entries: dict[str, Entry], folder: Path, work: Path, say: Say = print) -> None:
        self.config, self.entries, self.folder, self.say = config, entries, folder, say
        self.bench = Bench(lvlm, config, work)
        self.identity = self.bench.identity
        self.about: dict[str, Any] = {
            "schema": SCHEMA,
            "model": lvlm.name,
            "identity": self.identity,
            "config": config.model_dump(mode="json"),
        }

    # --- files ----------------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def known(self, name: str) -> dict[str, Any] | None:
        """A job's result, None where it is not there. Raises UserError where it is about something else."""
        path = self.path(name)
        if not path.is_file():
            return None
        return checked(read_json(path), path, self.identity)

    # --- jobs -----------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """All, a method's search first, then its test seed by seed, so that what is finished is balanced."""
        seeds = range(self.config.seeds)
        found = [Job("base", lambda: final.kept(self.bench.base("test")))]
        found += [Job(f"{name}/search", self._search(name)) for name in self.entries]
        for seed in seeds:
            found += [Job(f"{name}/seed{seed}", self._test(name, seed), (f"{name}/search",)) for name in self.entries]
            for draw in range(self.config.controls):
                found += [
                    Job(f"{name}/seed{seed}-control{draw}", self._control(name, seed, draw), (f"{name}/search",)) for name in self.entries
                ]
        if self.config.together and set(ALL) <= set(self.entries):
            needed = tuple(f"{name}/search" for name in ALL)
            found += [Job(f"{TOGETHER}/seed{seed}", self._together(seed), needed) for seed in seeds]
        if self.config.sequence:
            found += [Job(f"{name}/sequence", self._sequence(name), (f"{name}/search",)) for name in self.entries]
        return found

    def _search(self, name: str) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            journal = self.folder / "journals" / f"{name}-{self.identity[:12]}.journal"
            return {"trials": search(self.bench, self.entries[name], journal, lambda line: self.say(f"  {name}: {line}"))}

        return make

    def _chosen(self, name: str) -> dict[Reading, Any]:
        found = self.known(f"{name}/search")
        assert found is not None, "a job that goes on from it has begun"
        return final.readings(found["trials"], self.config)

    def _test(self, name: str, seed: int) -> Callable[[], dict[str, Any]]:
        return lambda: {"seed": seed, "results": final.test(self.bench, self.entries[name], self._chosen(name), seed)}

    def _control(self, name: str, seed: int, draw: int) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            point = self._chosen(name)["at equal damage"]
            return {"seed": seed, "draw": draw, "results": [final.control(self.bench, self.entries[name], point, seed, draw)]}

        return make

    def _sequence(self, name: str) -> Callable[[], dict[str, Any]]:
        return lambda: one_after_another(self.bench, self.entries[name], self._chosen(name)["at equal damage"])

    def _together(self, seed: int) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            points = {name: self._chosen(name)["at equal damage"] for name in ALL}
            if lacking := [name for name, point in points.items() if point is None]:
                return {"refused": f"no setting of {lacking[0]} could be tried"}
            return together(self.bench, self.entries, points, seed)

        return make

    def run(self) -> None:
        """Make all that is missing; several processes can do so side by side.

        Raises:
            UserError: what is there is about something else.
        """
        jobs = self.jobs()
        for job in jobs:
            self.known(job.name)  # says so
        while missing := [job for job in jobs if not self.path(job.name).is_file()]:
            ready = [job for job in missing if all(self.path(name).is_file() for name in job.after)]
            if not any(self.attempt(job, len(jobs) - len(missing) + 1, len(jobs)) for job in ready):
                time.sleep(WAIT)  # others are at all of them

    def attempt(self, job: Job, number: int, total: int) -> bool:
        """Whether the job was there to be made, and is made now; not where another process is at it."""
        path = self.path(job.name)
        lock = self.folder / "locks" / f"{job.name.replace('/', '-')}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                if path.is_file():
                    return True
                started = time.perf_counter()
                made = job.make()
                seconds = round(time.perf_counter() - started, 1)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {**self.about, "versions": versions(), "seconds": seconds, **made})
                self.say(f"{job.name}: {seconds:.1f} s, {number} of {total}")
                return True
        except Timeout:
            return False


def compare_methods(lvlm: LVLM, config: ComparisonConfig, entries: dict[str, Entry], folder: Path, say: Say = print) -> None:
    """Make all results of a comparison below ``folder``; those that are there are taken as they are."""
    with TemporaryDirectory() as work:
        Comparison(lvlm, config, entries, folder, Path(work), say).run()
