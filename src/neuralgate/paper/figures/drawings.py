"""Figures that are also files: SVG, PDF and the numbers as CSV; the same analysis always gives the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from neuralgate.report.figures import STYLE, inline

NARROW, WIDE = 4.6, 7.4  # inches: one column of a paper with its margin, and its whole width
Score = dict[str, Any]
_STYLE = STYLE | {"pdf.fonttype": 42, "axes.titlesize": 9.5, "axes.titlepad": 6}


@dataclass(frozen=True)
class Drawing:
    """One figure. ``rows`` under ``header`` are the numbers that ``paint`` draws."""

    name: str
    title: str
    paint: Callable[[Figure], None]
    width: float
    height: float
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @cached_property
    def figure(self) -> Figure:
        """Painted and laid out, which takes longer than printing it."""
        with matplotlib.rc_context(_STYLE):
            figure = Figure(figsize=(self.width, self.height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
            FigureCanvasSVG(figure)
            self.paint(figure)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        return figure

    def svg(self) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            FigureCanvasSVG(self.figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        return buffer.getvalue()

    def pdf(self) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            FigureCanvasPdf(self.figure).print_pdf(buffer, metadata={"CreationDate": None, "Creator": None, "Producer": None})
        return buffer.getvalue()

    def inline(self) -> str:
        """The SVG as it stands in a page."""
        return inline(self.svg().decode(), f"analysis-{self.name}", self.title)

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return text.getvalue()


def percents(scores: Sequence[Score | None], key: str = "value") -> list[float]:
    """In percent; nan where there is none, which matplotlib leaves out."""
    return [float("nan") if score is None or score[key] is None else 100 * score[key] for score in scores]


def with_intervals(axes: Axes, x: Sequence[float], scores: Sequence[Score | None], style: tuple, label: str, shift: float = 0.0) -> None:
    """A line through the values with whiskers to the ends of their intervals; ``shift`` keeps whiskers of several lines apart."""
    colour, dash, marker = style
    values, lows, highs = (percents(scores, key) for key in ("value", "low", "high"))
    errors = [
        [max(0.0, v - low) for v, low in zip(values, lows, strict=True)],
        [max(0.0, h - v) for v, h in zip(values, highs, strict=True)],
    ]
    places = [place + shift for place in x]
    axes.errorbar(
        places, values, yerr=errors, color=colour, linestyle=dash, marker=marker, label=label, markersize=4, linewidth=1.5, elinewidth=0.9
    )


def score_cells(score: Score | None) -> list[Any]:
    """Value, ends and n of a score as cells of a CSV."""
    return ["", "", "", ""] if score is None else [score["value"], score["low"], score["high"], score["n"]]


def score_header(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high", f"{name}_n"]
