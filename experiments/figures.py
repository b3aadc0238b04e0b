"""The figures of docs/evidence.md, as SVG: one panel a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from experiments.claims import COMPARED, LOOKALIKES, PRIVATE, Evidence, curve_estimates, named_layers, scores_on_test
from experiments.comparison import EQUIVALENT, Variant, difference, level
from experiments.dimensions import KEPT
from experiments.variety import COUNTS
from neuralgate.evaluate.crossed import Estimate

matplotlib.use("svg")
import matplotlib.pyplot as plt

MEASURED = (PRIVATE, LOOKALIKES, "edited refused")


def band(axis: Any, places: Any, estimates: list[Estimate | None], **style: Any) -> None:
    """A line through the means, and their intervals."""
    there = [(place, estimate) for place, estimate in zip(places, estimates, strict=True) if estimate]
    if there:
        xs, means = [place for place, _ in there], [estimate.mean for _, estimate in there]
        (line,) = axis.plot(xs, means, marker="o", markersize=3, **style)
        lows, highs = ([getattr(estimate, end) for _, estimate in there] for end in ("low", "high"))
        axis.fill_between(xs, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)


def gates(axis: Any, evidence: Evidence) -> None:
    """Differences between gates at every look, all routes."""
    lines: list[tuple[str, Estimate]] = []
    for first, other in COMPARED:
        for measure in MEASURED[:2]:
            for stop in evidence.stops:
                estimate = difference(evidence.found, evidence.gate(first, stop=stop), evidence.gate(other, stop=stop), measure)
                if estimate:
                    lines.append((f"{first} - {other}, {measure}, {stop}", estimate))
    places = np.arange(len(lines))[::-1]
    for place, (_, estimate) in zip(places, lines, strict=True):
        axis.plot([estimate.low, estimate.high], [place, place], color="C0", linewidth=1.2)
        axis.plot([estimate.mean], [place], "o", color="C0", markersize=3)
    axis.axvspan(-EQUIVALENT, EQUIVALENT, color="0.92", zorder=0)
    axis.axvline(0, color="0.5", linewidth=0.8)
    axis.set_yticks(places, [name for name, _ in lines], fontsize=6)
    axis.set_xlabel("difference")


def dimensions(axis: Any, evidence: Evidence) -> None:
    """Held-out samples that refuse, over the share of dimensions flipped."""
    layers = sorted(int(name.removeprefix("layer")) for name in evidence.found.below("curve/"))
    for number, layer in enumerate(layers):
        pairs = [curve_estimates(evidence, layer, percent) for percent in KEPT]
        band(axis, KEPT, [pair[0] if pair else None for pair in pairs], color=f"C{number}", label=f"layer {layer}")
        random = [pair[0].mean - pair[1].mean if pair else np.nan for pair in pairs]
        axis.plot(KEPT, random, "--", color=f"C{number}", linewidth=0.8)
    axis.set(xlabel="% of the dimensions flipped (dashed: random ones)", ylabel="share refused", ylim=(-0.02, 1.02), xscale="log")
    axis.set_xticks(KEPT, [str(percent) for percent in KEPT])
    axis.legend(fontsize=6, frameon=False)


def variety(axis: Any, evidence: Evidence) -> None:
    for measure in (*MEASURED, "protected, benign refused"):
        estimates = [level(evidence.found, Variant("variety", f"{count:02d}"), measure) for count in COUNTS]
        band(axis, COUNTS, estimates, label=measure, linestyle="-" if measure in (PRIVATE, "edited refused") else "--")
    axis.set(xlabel="edited subjects, equally many pairs in all", ylabel="share", ylim=(-0.02, 1.02), xscale="log")
    axis.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axis.legend(fontsize=6, frameon=False)


def layers(axis: Any, evidence: Evidence) -> None:
    """The test score over the layers, and what the criteria say, each on its own scale."""
    scores = scores_on_test(evidence)
    axis.plot(list(scores), [np.mean(values) for values in scores.values()], marker="o", markersize=3, label="test score")
    for name, values in named_layers(evidence).items():
        axis.plot(list(values), list(values.values()), "--", marker=".", markersize=3, label=name)
    axis.set(xlabel="layer", ylabel="score or share", ylim=(-1.02, 1.02))
    axis.legend(fontsize=6, frameon=False)


#: Figure -> what draws a panel, what must be there, and a panel's size.
FIGURES: dict[str, tuple[Callable[[Any, Evidence], None], str, tuple[float, float]]] = {
    "gates": (gates, "gates/", (6.5, 4.5)),
    "dimensions": (dimensions, "curve/", (4.5, 3.4)),
    "layers": (layers, "layers/test/", (4.5, 3.4)),
    "variety": (variety, "variety/", (4.5, 3.4)),
}


def draw(evidences: list[Evidence], folder: Path) -> None:
    """Every figure of which a model has cells, to ``folder``."""
    matplotlib.rcParams["svg.hashsalt"] = "neuralgate"
    for name, (panel, needed, (width, height)) in FIGURES.items():
        shown = [evidence for evidence in evidences if evidence.found.below(needed)]
        if not shown:
            continue
        figure, axes = plt.subplots(1, len(shown), figsize=(width * len(shown), height), squeeze=False)
        for axis, evidence in zip(axes[0], shown, strict=True):
            panel(axis, evidence)
            axis.set_title(evidence.model.capitalize(), fontsize=9)
        figure.tight_layout()
        figure.savefig(folder / f"evidence-{name}.svg", metadata={"Date": None})
        plt.close(figure)
