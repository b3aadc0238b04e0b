"""Pictures a second of `neuralgate pairs synth` at 336 pixels, against drawing them in one process, in the same run.

    python -m benchmarks.synth [--processes N]

writes benchmarks/synth.json. What is timed is a whole pair set: drawing, photographing, compressing, writing.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from neuralgate.files import write_json
from neuralgate.pairs.drawn.photograph import PhotographWorld
from neuralgate.pairs.subjects import load_subjects
from neuralgate.questions.draw import draw_pair_set
from neuralgate.recipe import Recipe

OUT = Path(__file__).with_suffix(".json")
# few test pictures and no scenes: what is counted are mostly the pictures that an edit is trained on
RECIPE = Recipe.parse(
    {
        "pairs": {"per_subject": 800, "contrast_per_subject": 400, "validation_per_subject": 1, "test_per_subject": 1},
        "evaluate": {"vqa": 0},
    }
)
SIZE = 336


def pictures_a_second(processes: int) -> tuple[float, int]:
    with TemporaryDirectory() as folder:
        world = PhotographWorld(load_subjects(), SIZE)
        start = time.perf_counter()
        draw_pair_set(world, RECIPE, Path(folder) / "pairs", processes)
        seconds = time.perf_counter() - start
        count = len(list((Path(folder) / "pairs" / "images").iterdir())) + len(list((Path(folder) / "pairs" / "large").iterdir()))
    return count / seconds, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    processes = parser.parse_args().processes
    rates = {}
    for number in dict.fromkeys((1, processes)):
        rates[number], count = pictures_a_second(number)
    result = {
        "size": SIZE,
        "pictures": count,
        "cores": os.cpu_count(),
        "pictures_per_second": {str(number): round(rate, 1) for number, rate in rates.items()},
        "ratio_to_one_process": round(rates[processes] / rates[1], 2),
    }
    write_json(OUT, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
