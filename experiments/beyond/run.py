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
from neuralgate.comparison.entries import chosen_entries
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
    parser.add_argument("--ideas", default="all", help="names with commas, or all")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    arguments = parser.parse_args()
    try:
        if not arguments.page:
            config = ComparisonConfig(model=arguments.model, sequence=False, together=False, **AS_COMPARED[arguments.model])
            compare_methods(load(arguments.model), config, chosen_entries(arguments.ideas.split(","), IDEAS), RESULTS / arguments.model)
        write_text(ROOT / "docs" / "beyond.md", page(RESULTS, RIVALS))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
