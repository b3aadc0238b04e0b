"""The analysis as a section of a run's report, which has it from whoever draws it: `report` knows nothing of this room. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from neuralgate.paper.figures import exhibits, load_analysis
from neuralgate.report.html import NOTHING, environment


def analysis_section(run_folder: Path) -> Markup:
    """Figures, texts and tables of the run's analysis; empty where :func:`load_analysis` finds none. Raises UserError as it does."""
    analysis = load_analysis(run_folder)
    if analysis is None:
        return NOTHING
    template = environment("neuralgate.paper").get_template("analysis.html.jinja")
    return Markup(template.render(exhibits=exhibits(analysis)))
