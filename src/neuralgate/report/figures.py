"""The report's figures as inline SVG strings: same numbers, same bytes; text stays text, so that it is small and can be selected."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

ACCENT = "#0b5cad"
INK = "#1d2329"
QUIET = "#8a939c"
#: Lines that must be told apart: by colour, by dash and by marker, so that they survive a grey print.
STYLES = (
    (ACCENT, "-", "o"),
    ("#c2571a", "--", "s"),
    ("#5a6570", ":", "^"),
    ("#2f7d4f", "-.", "D"),
    ("#8b4a9c", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#a08400", (0, (1, 1)), "P"),
)
#: Inches. Narrow, so that the text is still readable on a phone 375 px wide.
WIDTH = 4.6

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neuralgate",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "grid.linewidth": 0.7,
    "text.color": INK,
    # Names come from the run: a "$" in one is no formula.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def drawn(name: str, description: str, paint: Callable[[Axes], None], height: float = 3.0) -> str:
    """One figure with one pair of axes. ``name`` makes the ids of this SVG unique in the page, ``description`` is read aloud."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
        canvas = FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        buffer = io.StringIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return inline(buffer.getvalue(), name, description)


def inline(svg: str, name: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'{head} role="img" aria-label="{label}">{rest}'.strip()


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _lines(
    name: str,
    title: str,
    x: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    x_label: str,
    share: bool = False,
    layers: bool = True,
) -> str:
    """One line per entry of ``lines``. ``share``: the values are shares and the axis runs from 0 to 100 %."""

    def paint(axes: Axes) -> None:
        for (label, values), (colour, dash, marker) in zip(lines.items(), cycle(len(lines)), strict=True):
            heights = [100 * value for value in _numbers(values)] if share else _numbers(values)
            axes.plot(x, heights, color=colour, linestyle=dash, marker=marker if layers else None, label=label, clip_on=False)
        axes.set_title(title)
        axes.set_xlabel(x_label)
        if layers:
            axes.set_xticks(list(x))
        if share:
            axes.set_ylim(0, 100)
            axes.set_ylabel("%")
        else:
            axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, columnspacing=1.2, handlelength=2.6)

    return drawn(name, f"{title}: {', '.join(lines)}", paint, height=2.9 + 0.22 * math.ceil(len(lines) / 2) * (len(lines) > 1))


def cycle(count: int) -> list[tuple]:
    return [STYLES[place % len(STYLES)] for place in range(count)]


def layer_profile(gate: Mapping[str, Any]) -> list[str]:
    """The strong share over layers (Fig. 2d of the paper), and beside it what votes alone cannot say: losses and answers."""
    profile = gate["profile"]
    layers = [row["layer"] for row in profile]

    def strong(axes: Axes) -> None:
        shares = [100 * row["strong"] for row in profile]
        axes.plot(layers, shares, color=ACCENT, marker="o", clip_on=False)
        axes.axhline(10, color=QUIET, linewidth=1, linestyle="--")
        # Blended transform: the label sits at the right end of the line whatever the layers are.
        place = axes.get_yaxis_transform()
        axes.text(1, 10, "10 %, the paper's bound", transform=place, ha="right", va="bottom", color="#5a6570", fontsize=8.5)
        axes.set_title(f"Strong dimensions (M > {gate['threshold']:g})")
        axes.set_xlabel("decoder layer")
        axes.set_ylabel("% of dimensions")
        axes.set_xticks(layers)
        axes.set_ylim(0, max(12.0, 1.15 * max(shares)))

    losses = {
        "sensitive, before": [row["loss_start"] for row in profile],
        "sensitive, after": [row["loss_end"] for row in profile],
        "benign, before": [row["benign_start"] for row in profile],
        "benign, after": [row["benign_end"] for row in profile],
    }

    def answers(key: str) -> list[float | None]:
        return [(row["own"] or {}).get(key) for row in profile]

    own = {"sensitive refused": answers("refused_sensitive"), "benign refused": answers("refused_benign"), "leaked": answers("leak")}
    aggregated = {
        f"{title}, {kind}": [(row[group] or {}).get(key) for row in profile]
        for key, kind in (("refused_sensitive", "sensitive refused"), ("refused_benign", "benign refused"))
        for group, title in (("strong_flipped", "gate"), ("random_flipped", "random"))
    }
    return [
        drawn("strong", "Strong share of dimensions over layers", strong),
        _lines("losses", "Loss of the vectors' samples", layers, losses, "decoder layer"),
        _lines("own", "Answers under each sample's own vector", layers, own, "decoder layer", share=True),
        _lines("flipped", "Answers under the aggregated gate", layers, aggregated, "decoder layer", share=True),
    ]


def vote_map(gate: Mapping[str, Any]) -> str:
    """Layers x bins of M: which share of the dimensions was flipped how often (Fig. 2c of the paper)."""
    edges = gate["histogram"]["edges"]
    layers = sorted(gate["histogram"]["counts"], key=int)
    shares = [[100 * share for share in gate["histogram"]["counts"][layer]] for layer in layers]
    colours = LinearSegmentedColormap.from_list("accent", ["#ffffff", ACCENT])

    def paint(axes: Axes) -> None:
        # Half of a square root: small shares, where the strong dimensions are, stay visible beside the first bin.
        axes.pcolormesh(shares, cmap=colours, norm=PowerNorm(0.4, 0, 100), edgecolors="white", linewidth=1.0)
        for row, values in enumerate(shares):
            for column, value in enumerate(values):
                text = "" if value == 0 else "<1" if value < 0.95 else f"{value:.0f}"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color="white" if value > 18 else INK)
        axes.set_title("Share of dimensions by votes, %")
        axes.set_xlabel("M: share of samples that flip the dimension")
        axes.set_ylabel("decoder layer")
        axes.set_xticks(range(len(edges)), [f"{edge:g}" for edge in edges])
        axes.set_yticks([place + 0.5 for place in range(len(layers))], layers)
        axes.grid(False)

    return drawn("votes", "Heat map of votes: layers by bins of M", paint, height=1.2 + 0.27 * len(layers))


CURVES = {
    "loss_sensitive": ("Loss, sensitive questions", False),
    "loss_benign": ("Loss, benign questions", False),
    "loss_contrast": ("Loss, contrast questions", False),
    "validation_rta_sensitive": ("Validation: sensitive refused", True),
    "validation_rta_benign": ("Validation: benign refused", True),
}


def training_curves(training: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> list[str]:
    """One figure per quantity with one line per variant; ``titles`` names the variants."""
    figures = []
    for key, (title, share) in CURVES.items():
        curves = {
            titles.get(variant, variant): [(point["step"], point[key]) for point in entry["curve"] if point.get(key) is not None]
            for variant, entry in training.items()
        }
        curves = {label: points for label, points in curves.items() if points}
        if curves:
            figures.append(_steps(key.replace("_", "-"), title, curves, share))
    return figures


def _steps(name: str, title: str, curves: Mapping[str, list[tuple[int, float]]], share: bool) -> str:
    def paint(axes: Axes) -> None:
        for (label, points), (colour, dash, marker) in zip(curves.items(), cycle(len(curves)), strict=True):
            steps, values = zip(*points, strict=True)
            heights = [100 * value for value in values] if share else list(values)
            few = marker if len(steps) <= 25 else None
            axes.plot(steps, heights, color=colour, linestyle=dash, marker=few, label=label, linewidth=1.5, markersize=3.5)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.set_ylabel("%" if share else "loss")
        axes.set_ylim(bottom=0)
        if share:
            axes.set_ylim(-2, 102)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, columnspacing=1.2, handlelength=2.6)

    return drawn(name, f"{title} over steps: {', '.join(curves)}", paint, height=2.9 + 0.22 * math.ceil(len(curves) / 2))


POSITIONS = {"subject": ACCENT, "question": "#7fa8d1", "image": "#c9d3dc", "answer": "#5a6570"}


def gradient_shares(training: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> str | None:
    """Where the gradient comes from, one bar per variant: the gate acts on the subject's part alone."""
    shares = {titles.get(variant, variant): entry["gradient_share"] for variant, entry in training.items() if entry.get("gradient_share")}
    if not shares:
        return None

    def paint(axes: Axes) -> None:
        labels = list(shares)[::-1]
        left = [0.0] * len(labels)
        for position, colour in POSITIONS.items():
            widths = [100 * (shares[label].get(position) or 0) for label in labels]
            axes.barh(labels, widths, left=left, color=colour, label=position, height=0.62, edgecolor="white", linewidth=0.8)
            for row, width in enumerate(widths):
                if width >= 7:
                    light = position in ("question", "image")
                    axes.text(
                        left[row] + width / 2, row, f"{width:.0f}", ha="center", va="center", fontsize=8.5, color=INK if light else "white"
                    )
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_title("Where the gradient arrives, before any gate")
        axes.set_xlabel("% of gradient norms at the highest edited layer, by token position")
        axes.set_xlim(0, max(100.0, *left))
        axes.grid(False, axis="y")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.3 if len(labels) < 4 else -0.2), ncols=4, columnspacing=1.2, handlelength=1.2
        )

    return drawn("gradient", "Gradient shares by token position", paint, height=1.6 + 0.36 * len(shares))


def patching_curves(causality: Mapping[str, Any]) -> str:
    """Share of answers that follow the other question when its residual stream is put in after a layer."""
    lines = {f"{swap['name']} ({swap['tokens']}, n = {swap['n']})": swap["share"] for swap in causality["swaps"]}

    def paint(axes: Axes) -> None:
        for (label, values), (colour, dash, marker) in zip(lines.items(), cycle(len(lines)), strict=True):
            heights = [100 * value for value in _numbers(values)]
            axes.plot(causality["layers"], heights, color=colour, linestyle=dash, marker=marker, label=label, clip_on=False)
        axes.set_title("Answers that follow the swapped-in state")
        axes.set_xlabel("decoder layer after which the state is swapped")
        axes.set_ylabel("%")
        axes.set_xticks(causality["layers"])
        axes.set_ylim(0, 100)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1, handlelength=2.8)

    return drawn("patching", "Patching curves over layers", paint, height=2.9 + 0.22 * len(lines))
