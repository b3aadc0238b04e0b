"""The gate question on one model: makes the cells of docs/plan.md that are not there yet.

    python -m experiments.gate_question --model clerk [--seconds N] [--only a,b] [--seeds 0-6]

Can be stopped at any time and goes on when it is called again; processes can work side by side, each best on seeds or questions of its own.
`python -m experiments.tables` makes docs/evidence.md of what is there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from experiments import cue, dimensions, gates, layer_choice, regimes, variety
from experiments.cells import Cell, OutOfTime
from experiments.products import with_fast_products
from experiments.study import SIZES, Study
from neuralgate.errors import UserError
from neuralgate.lvlm.load import load

QUESTIONS = "abcdefg"


def planned(study: Study, only: str = QUESTIONS, seeds: range | None = None) -> list[Cell]:
    """All cells in their order: a, b, d and g seed after seed, so that what is finished is balanced; then the rest of b, c, e, f. With
    ``seeds`` those of a, b, d and g alone, of these seeds."""
    size = study.size
    by_seed: dict[str, Callable[[int], list[Cell]]] = {
        "a": lambda seed: gates.cells(study, seed),  # and the sparse gates of b, in the same table
        "d": lambda seed: cue.cells(study, seed),
        "g": lambda seed: variety.cells(study, seed) if seed < variety.SEEDS else [],
    }
    made = [study.base]
    for seed in seeds or range(size.seeds):
        made += [cell for name, of in by_seed.items() if name in only for cell in of(seed)]
    only = only if seeds is None else ""
    if "b" in only:
        made += dimensions.cells(study)
    if "c" in only:
        made += [cell for seed in range(size.authors_seeds) for cell in regimes.authors(study, seed)]
    if "e" in only:
        made += [cell for seed in range(size.several_seeds) for cell in regimes.several(study, seed)]
    if "f" in only:
        made += layer_choice.cells(study)
    return list({cell.name: cell for cell in made}.values())


def seeds_of(text: str) -> range:
    """``0-6`` -> 0 to 6."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="clerk", choices=list(SIZES))
    parser.add_argument("--seconds", type=float, help="begin no cell after so many")
    parser.add_argument("--only", default=",".join(QUESTIONS), help="questions of the plan, as in a,b,d")
    parser.add_argument("--seeds", type=seeds_of, help="questions a, b, d and g of these alone, as in 0-6")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    try:
        with TemporaryDirectory() as work:
            size = SIZES[arguments.model]
            study = Study(with_fast_products(load(arguments.model, size.dtype)), size, Path(work), seconds=arguments.seconds)
            study.cells.run(planned(study, arguments.only, arguments.seeds))
    except OutOfTime:
        print("The time is over; the same command goes on.")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
