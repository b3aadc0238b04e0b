"""A pipeline that is killed again and again: every process works until it has put a few files in place, then dies by SIGKILL.

    python killed_run.py RECIPE FOLDER FILES

Each process is forked from this one after the imports and the loading, so that a death costs little. Prints the number
of deaths.
"""

import os
import signal
import sys
from pathlib import Path

import torch

import neuralgate.edit
import neuralgate.evaluate.answers
import neuralgate.evaluate.benchmarks
import neuralgate.locate  # noqa: F401
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.pipeline import execute
from neuralgate.recipe import Machine, Recipe
from neuralgate.run import Run


def work_and_die(lvlm: LVLM, recipe: Recipe, folder: Path, files: int, before: bool) -> None:
    """Every file of a run is put in place by os.replace; the last one is (not) put in place before the end. Images are
    drawn anew by the next process, so a process that died of drawing too many would never get on: they count little."""
    replace, count = os.replace, 0.0

    def counted(source: str | Path, target: str | Path) -> None:
        nonlocal count
        count += 0.01 if Path(target).suffix == ".png" else 1
        last = count >= files
        if not (before and last):
            replace(source, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    with Run.open(folder, recipe, lvlm.fingerprint) as run:
        execute(run, lambda: lvlm, Machine(), until="evaluate")


def main(recipe: Recipe, folder: Path, files: int) -> int:
    lvlm = load(recipe.model)
    for deaths in range(200):
        child = os.fork()
        if child == 0:
            work_and_die(lvlm, recipe, folder, files, before=deaths % 2 == 0)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return deaths
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"ended by itself with status {status} after {deaths} deaths")
    sys.exit("no progress")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(main(Recipe.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
