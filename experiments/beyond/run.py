"""Try the ideas on one model, as every method is tried, and write docs/beyond.md.

python -m experiments.beyond.run --model clerk     (can be stopped, and started twice at once)
python -m experiments.beyond.run --model notary --ideas THOSE_THAT_WON_ON_CLERK
python -m experiments.beyond.run --page            the page alone, of what is there
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.beyond.entries import IDEAS
from experiments.beyond.page import page
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.entries import Entry
from neuralgate.comparison.run import compare_methods
from neuralgate.errors import UserError
from neuralgate.files import write_text
from neuralgate.lvlm.load import load

ROOT = Path(__file__).parents[2]
#: What the comparison of methods sets on each model (docs/methods-plan.md).
AS_COMPARED: dict[str, dict[str, int]] = {"clerk": {}, "notary": {"batch_size": 3}}
RESULTS, RIVALS = ROOT / "benchmarks" / "beyond", ROOT / "benchmarks" / "methods"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="clerk", choices=["clerk", "notary"])
    parser.add_argument("--ideas", default=",".join(IDEAS), help="names with commas; all where left out")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    arguments = parser.parse_args()
    try:
        if not arguments.page:
            config = ComparisonConfig(model=arguments.model, sequence=False, together=False, **AS_COMPARED[arguments.model])
            compare_methods(load(arguments.model), config, chosen_ideas(arguments.ideas), RESULTS / arguments.model)
        write_text(ROOT / "docs" / "beyond.md", page(RESULTS, RIVALS))
    except UserError as error:
        sys.exit(str(error))


def chosen_ideas(names: str) -> dict[str, Entry]:
    """Raises UserError for a name that is no idea."""
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in IDEAS]:
        raise UserError(f"There is no idea {unknown[0]!r}; known are {', '.join(IDEAS)}.")
    return {name: IDEAS[name] for name in chosen}


if __name__ == "__main__":
    main()
