"""Cells: results of which each is one JSON file that is whole or not there, so that long work can be stopped and goes on.

A cell's key is the digest of its settings and of what they are about (the model's weights, the pairs, the questions). One that is there
with the same key is not made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralgate.files import digest, read_json, write_json

FOLDER = Path(__file__).parent / "evidence"

Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """``name``: its file below the model's folder, without ``.json``; cells of one folder take about equally long. ``settings``: all that
    the result of ``make`` depends on."""

    name: str
    settings: dict[str, Any]
    make: Callable[[], Result]


class OutOfTime(Exception):
    """The time given is over; everything made so far is kept."""


class Cells:
    """The cells below ``folder`` that are about ``identity``, made one after another for at most ``seconds``."""

    def __init__(self, folder: Path, identity: str, seconds: float | None = None, say: Callable[[str], None] = print) -> None:
        self.folder, self.identity, self.say = folder, identity, say
        self.end = None if seconds is None else time.monotonic() + seconds

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def key(self, settings: dict[str, Any]) -> str:
        return digest({"settings": settings, "about": self.identity})

    def known(self, cell: Cell) -> Result | None:
        """The cell's result, if it is there and was made with the same settings about the same things."""
        path = self.path(cell.name)
        found = read_json(path) if path.is_file() else None
        return found if found and found["key"] == self.key(cell.settings) else None

    def result(self, cell: Cell) -> Result:
        """The cell's result, made where it is not known.

        Raises:
            OutOfTime: it is not known, and the time is over.
        """
        if (found := self.known(cell)) is not None:
            return found
        found = self.made(cell)
        self.say(f"{cell.name:44s} {found['seconds']:7.1f} s   needed by others")
        return found

    def made(self, cell: Cell) -> Result:
        """The cell's result, made now. Raises OutOfTime."""
        if self.end is not None and time.monotonic() >= self.end:
            raise OutOfTime
        started = time.monotonic()
        made = cell.make()
        seconds = round(time.monotonic() - started, 1)
        result = {"key": self.key(cell.settings), "about": self.identity, "settings": cell.settings, "seconds": seconds, **made}
        write_json(self.path(cell.name), result)
        return result

    def run(self, cells: Sequence[Cell]) -> None:
        """Make what is missing of ``cells`` in their order, and say after each how long the rest will take."""
        missing = [cell for cell in cells if self.known(cell) is None]
        seconds = {cell.name: found["seconds"] for cell in cells if (found := self.known(cell))}
        for number, cell in enumerate(missing, start=1):
            seconds[cell.name] = (self.known(cell) or self.made(cell))["seconds"]  # another process may have made it meanwhile
            left = time_left(seconds, [other.name for other in missing[number:]])
            done = len(cells) - len(missing) + number
            self.say(f"{cell.name:44s} {seconds[cell.name]:7.1f} s   {done} of {len(cells)}, {span(left)} left")


def time_left(seconds: dict[str, float], names: Sequence[str]) -> float:
    """Seconds for the cells called ``names``: each as long as those of its folder took on average, or as all that are known did."""
    kinds: dict[str, list[float]] = {}
    for name, taken in seconds.items():
        kinds.setdefault(name.rpartition("/")[0], []).append(taken)
    overall = sum(seconds.values()) / max(len(seconds), 1)
    means = {kind: sum(taken) / len(taken) for kind, taken in kinds.items()}
    return sum(means.get(name.rpartition("/")[0], overall) for name in names)


def span(seconds: float) -> str:
    """A length of time for people."""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
