"""docs/methods.md and its figures, of the results below benchmarks/methods/, which `neuralgate compare` makes:

neuralgate compare clerk --methods all --out benchmarks/methods/clerk
neuralgate compare notary --methods FINALISTS --out benchmarks/methods/notary
python -m experiments.methods
"""

from __future__ import annotations

import sys
from pathlib import Path

from neuralgate.comparison.figures import figures
from neuralgate.comparison.page import markdown
from neuralgate.comparison.tables import read_comparison
from neuralgate.errors import UserError
from neuralgate.files import write_text

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "benchmarks" / "methods", ROOT / "docs"
HEAD = """# Methods compared

Made by `python -m experiments.methods` of the results in `benchmarks/methods/`, one JSON file each, which
`neuralgate compare MODEL --out benchmarks/methods/MODEL` makes (`make methods` for Clerk).
[The plan](methods-plan.md) was committed before the numbers; it says how settings are chosen and what is compared. Every method:
`neuralgate ls methods`. A method of your own: [CONTRIBUTING](../CONTRIBUTING.md).

What is there is not made again, and processes that are given one folder share what is missing: `accelerate launch -m neuralgate compare
MODEL ...`, a Slurm array (`sbatch --array=1-8 --wrap="neuralgate compare MODEL ..."`), or the same command typed twice.
"""


def page(results: Path, docs: Path) -> str:
    """The page, a part for each model; figures are written beside it.

    Raises:
        UserError: there is no comparison below ``results``, or one cannot be read.
    """
    folders = sorted(path.parent for path in results.glob("*/base.json"))
    if not folders:
        raise UserError(f"{results} holds no comparison; make one with `neuralgate compare clerk --methods all --out {results}/clerk`.")
    parts = [HEAD]
    for folder in folders:
        found = read_comparison(folder)
        parts.append(f"## {folder.name.capitalize()}\n")
        for figure in figures(found):
            file = f"methods-{folder.name}-{figure.name}.svg"
            write_text(docs / file, figure.svg)
            parts.append(f"![{figure.says}]({file})\n")
        parts.append(markdown(found))
    return "\n".join(parts)


def main() -> None:
    try:
        write_text(DOCS / "methods.md", page(RESULTS, DOCS))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
