"""What a person sees while a stage works: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from neuralgate.text import for_terminal

SECONDS_BETWEEN_LINES = 5.0


class Display:
    """Shows one stage at a time on standard error, so that standard output holds results alone."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.stage = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last_line = 0.0

    def start(self, stage: str) -> None:
        self.stage = stage
        self._last_line = time.monotonic()
        if self.console.is_terminal:
            columns = (TextColumn("{task.fields[stage]:<9}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.description}", markup=False), console=self.console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, stage=stage)

    def update(self, done: float, total: float | None, text: str, numbers: dict[str, Any]) -> None:
        figures = "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in numbers.items())
        words = for_terminal("  ".join(part for part in (text, figures) if part))
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, description=words)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            count = "" if total is None else f" {done:g}/{total:g}"
            self.line(f"{self.stage}{count}  {words}".rstrip())

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def line(self, text: str) -> None:
        self.console.print(for_terminal(text), markup=False, soft_wrap=True)
