"""What docs/analysis.md says of Clerk, from an analysed run:

make demo
neuralgate locate runs/demo --analyse
python -m experiments.analysis runs/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.cells import FOLDER
from experiments.tables import DOCS, fill
from neuralgate.files import read_json, write_bytes, write_json
from neuralgate.paper.figures import ANALYSIS, exhibits

DRAWN = ("shares", "answers", "stability", "sensitivity")  # the others are in the run's folder and report


def main() -> None:
    analysis = read_json(Path(sys.argv[1]) / "analysis" / ANALYSIS)
    write_json(FOLDER / ANALYSIS, analysis)
    parts = []
    for exhibit in exhibits(analysis):
        drawing = exhibit.drawing
        lines = [f"### {drawing.title} (`{drawing.name}`)"]
        if drawing.name in DRAWN:
            write_bytes(DOCS / f"analysis-{drawing.name}.svg", drawing.svg())
            lines.append(f"![{drawing.title}](analysis-{drawing.name}.svg)")
        parts.append("\n\n".join([*lines, *exhibit.words.sentences]))
    fill(DOCS / "analysis.md", {"clerk": "\n" + "\n\n".join(parts) + "\n\n"})


if __name__ == "__main__":
    main()
