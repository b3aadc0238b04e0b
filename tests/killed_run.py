"""Work that is disturbed again and again: each process of it changes a number of files and is then killed, or finds the disk full.

    python killed_run.py RECIPE FOLDER

Writes into FOLDER: `undisturbed` and `run`, the same run without and with disturbances, and the folders that each of `COMMANDS` makes.
Prints how often each was disturbed, as JSON. Every process is forked from this one after the imports and the loading, so that a death
costs little.

Python tells an audit hook of every change of the file system before it is made: nothing that writes can be forgotten here.
"""

import errno
import itertools
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft  # noqa: F401 - it takes seconds, which every process would
import torch

import neuralgate.evaluate.ask
import neuralgate.interventions.export
import neuralgate.locate
import neuralgate.questions
import neuralgate.report.html  # noqa: F401
from neuralgate.cli.main import main as command_line
from neuralgate.lvlm.load import load
from neuralgate.machine import Machine
from neuralgate.recipe import Recipe
from neuralgate.run.folder import Run
from neuralgate.run.pipeline import execute

MAKES = ("tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir", "os.link")
CHANGES = {*MAKES, "open", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SUBJECTS = "- {name: work permit, sensitive: {number: digits}, benign: {edition: year}}\n"


class Disturbance:
    """From the change after ``allowed`` ones on: death, or a full disk."""

    def __init__(self) -> None:
        self.allowed, self.kills, self.count = float("inf"), True, 0.0
        sys.addaudithook(self.heard)  # for the life of the process

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not (arguments[2] or 0) & WRITES):
            return
        # pictures, and what stands where in them, are drawn anew by the next process: one that died of drawing too many would never get on
        self.count += 0.01 if event == "open" and str(arguments[0]).endswith((".png", ".jpg", "boxes.json")) else 1
        if self.count > self.allowed:
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if event in MAKES or event == "open":
                raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))


def ended(work: Callable[[], object], disturbance: Disturbance, allowed: float, kills: bool, said: Path) -> tuple[int, float]:
    """Do ``work`` in a process of its own: its exit code, -9 for a death, and how many changes it made."""
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader) as pipe:
            return os.waitstatus_to_exitcode(status), float(pipe.read() or 0)
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    disturbance.count, disturbance.allowed, disturbance.kills = 0, allowed, kills
    try:
        work()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os.write(writer, str(disturbance.count).encode())
    os._exit(code)


def checked(code: int, kills: bool, said: Path) -> None:
    """Raises AssertionError unless it ended as it should."""
    text = said.read_text(errors="replace")
    if code == 0 or (kills and code == -signal.SIGKILL):
        return
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert not kills and code == 2 and len(lines) == 1 and "no space left" in lines[0] and "Traceback" not in text, (code, text)


def called(*arguments: object) -> Callable[[], None]:
    def call() -> None:
        sys.argv = ["neuralgate", *map(str, arguments)]
        command_line()

    return call


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main(recipe: Recipe, folder: Path) -> dict[str, int]:
    lvlm = load(recipe.model)
    disturbance, said = Disturbance(), folder / "said.txt"
    told: dict[str, int] = {}

    def work(name: str) -> None:
        from neuralgate.cli import main as cli

        def begun(*_: object, **__: object) -> None:
            with Run.open(folder / name, recipe, lvlm.fingerprint) as run:
                execute(run, lambda: lvlm, Machine())

        cli.go_on = begun  # the command line's way of ending, with the model that is loaded already
        called("edit", folder / name)()

    code, changes = ended(lambda: work("undisturbed"), disturbance, float("inf"), True, said)
    assert code == 0, said.read_text()
    draw = random.Random(0)
    for life in itertools.count():
        assert life < 200, "no progress"
        kills = life % 2 == 0
        code, _ = ended(lambda: work("run"), disturbance, draw.randrange(8, int(changes) // 5), kills, said)
        checked(code, kills, said)
        if code == 0:
            told["run"] = life
            break

    (folder / "mine.yaml").write_text(SUBJECTS)
    patch, model = folder / "undisturbed/patch", recipe.model
    small = "--count 2 --validation 1 --test 1 --vqa 2 --size 112 --processes 1"
    commands = {
        "synth": ["pairs", "synth", folder / "mine.yaml", "--out", "{out}", *small.split()],
        "peft": ["export", model, patch, "{out}", "--format", "peft", "--force"],
        "apply": ["patch", "apply", model, patch, "{out}"],
        "revert": ["patch", "revert", folder / "apply/again", patch, "{out}"],
        "mix": ["pairs", "mix", folder / "synth/again", folder / "undisturbed/pairs", "--out", "{out}"],
    }
    for name, words in commands.items():
        place = folder / name
        place.mkdir()

        def attempt(out: Path, words: list = words) -> Callable[[], None]:
            return called(*(out if word == "{out}" else word for word in words))

        code, changes = ended(attempt(place / "whole"), disturbance, float("inf"), True, said)
        assert code == 0, said.read_text()
        whole, out = tree(place / "whole"), place / "again"
        told[name] = 0
        last = int(changes) - 1
        for allowed, kills in ((last // 3, True), (2 * last // 3, False), (last, True)):
            code, _ = ended(attempt(out), disturbance, allowed, kills, said)
            checked(code, kills, said)
            told[name] += code != 0
            if out.exists():
                assert tree(out) == whole, (name, allowed)
                shutil.rmtree(out)
        code, _ = ended(attempt(out), disturbance, float("inf"), True, said)
        assert code == 0, said.read_text()
        assert tree(out) == whole, name
        left = sorted(path.name for path in place.iterdir())
        assert left == ["again", "whole"], left
    return told


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(Recipe.load(sys.argv[1]), Path(sys.argv[2]))))
