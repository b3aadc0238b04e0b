"""The figures of an analysis that show trial edits and locate variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure

from neuralgate.paper.figures.drawings import NARROW, WIDE, Drawing, percents, score_cells, score_header, with_intervals
from neuralgate.paper.sweeps import GATES
from neuralgate.report.figures import QUIET, STYLES
from neuralgate.report.summary import control_title

#: What a trial edit is looked at by: the effect, then the damage.
MEASURES = {
    "eta": "EtA",
    "rta_sensitive": "sensitive refused",
    "rta_unseen": "left-out private subject refused",
    "rta_benign": "benign refused",
    "public_refused": "public look-alikes refused",
    "protected_refused": "protected benign refused",
    "benign_accuracy": "benign correct",
}
#: The same where there is little room.
TITLES = {
    "rta_unseen": "left-out private\nsubject refused",
    "public_refused": "public look-alikes\nrefused",
    "protected_refused": "protected benign\nrefused",
}
EFFECT = ("eta", "rta_sensitive", "rta_unseen")


def radius(analysis: dict[str, Any]) -> Drawing:
    """Table 4 as a figure: what a larger neighbourhood holds."""
    rows = analysis["radius"]["rows"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = [row["radius"] for row in rows]
        with_intervals(axes, places, [row["max"] for row in rows], STYLES[0], "highest", -0.06)
        with_intervals(axes, places, [row["mean"] for row in rows], STYLES[1], "mean", 0.06)
        axes.set_xlabel(f"radius around layer {analysis['radius']['centre']}")
        axes.set_ylabel("EtA, %")
        axes.set_xticks(places)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=8.5, handlelength=2.6)

    header = ["radius", "layers", "best_layer", *score_header("max"), *score_header("mean")]
    cells = [
        [row["radius"], " ".join(map(str, row["layers"])), row["best_layer"], *score_cells(row["max"]), *score_cells(row["mean"])]
        for row in rows
    ]
    return Drawing("radius", "EtA around the search centre", paint, NARROW, 3.0, header, cells)


def sweep(analysis: dict[str, Any], name: str, title: str, x_label: str) -> Drawing:
    """Fig. 4 and the threshold sweep: one panel per measure, one line per gate."""
    rows = analysis["sweeps"][name]
    values = list(dict.fromkeys(row["value"] for row in rows))
    apart = 0.08 * min((b - a for a, b in pairwise(values)), default=1)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(2, 4)
        for axes, (measure, label) in zip(grid.flat, MEASURES.items(), strict=False):
            for place, (gate, style) in enumerate(zip(GATES, STYLES, strict=False)):
                scores = [row[measure] for row in rows if row["gate"] == gate]
                with_intervals(axes, values, scores, style, control_title(gate), apart * (place - 1))
            axes.set_title(TITLES.get(measure, label), fontsize=8.5)
            axes.set_xlabel(x_label)
            axes.set_ylabel("%")
            axes.set_xticks(values, [f"{value:g}" if place % 2 == 0 or len(values) < 6 else "" for place, value in enumerate(values)])
            axes.tick_params(labelsize=8)
            axes.set_ylim(-4, 104)
        last = grid.flat[-1]
        handles, names = grid.flat[0].get_legend_handles_labels()
        last.axis("off")
        last.legend(handles, names, loc="center", title="95 % intervals", handlelength=2.6)

    plain = ["value", "gate", "threshold", "strong", "steps", "stopped"]
    header = [*plain, *(cell for measure in MEASURES for cell in score_header(measure))]
    cells = [
        [
            *("" if row[key] is None else row[key] for key in plain),
            *(cell for measure in MEASURES for cell in score_cells(row[measure])),
        ]
        for row in rows
    ]
    return Drawing(name, title, paint, WIDE, 4.3, header, cells)


def sensitivity(analysis: dict[str, Any]) -> Drawing:
    """One row per setting tried; one colour per layer."""
    rows = analysis["sensitivity"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    names = list(dict.fromkeys((row["setting"], row["value"]) for row in rows))
    own = {(row["setting"], row["value"]) for row in rows if row["is_own"]}
    places = {name: -number for number, name in enumerate(names)}

    def paint(figure: Figure) -> None:
        strong, loss, refused, overlap = figure.subplots(1, 4, sharey=True)
        for number, layer in enumerate(layers):
            colour, _, marker = STYLES[number]
            mine = [row for row in rows if row["layer"] == layer]
            heights = [places[row["setting"], row["value"]] + 0.16 * (0.5 - number) for row in mine]
            points = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 4.5}
            strong.plot([100 * row["strong"] for row in mine], heights, label=f"layer {layer}", **points)
            loss.plot([row["loss_end"] for row in mine], heights, **points)
            for measure, filled in (("refused_sensitive", True), ("refused_benign", False)):
                scores = [row["own"][measure] for row in mine]
                refused.plot(percents(scores), heights, **points, fillstyle="full" if filled else "none")
                if filled:
                    refused.hlines(heights, percents(scores, "low"), percents(scores, "high"), color=colour, linewidth=0.9)
            overlaps = [(row["overlap"], height) for row, height in zip(mine, heights, strict=True) if row["overlap"]]
            overlap.plot([score["value"] for score, _ in overlaps], [height for _, height in overlaps], **points)
            overlap.plot(
                [score["chance"] for score, _ in overlaps], [height for _, height in overlaps], color=QUIET, marker="|", linestyle="none"
            )
        strong.set_yticks(
            list(places.values()),
            [f"{setting} {value}{' (own)' if (setting, value) in own else ''}" for setting, value in names],
            fontsize=8,
        )
        largest = max(row["loss_end"] for row in rows)
        for axes, label, end in (
            (strong, "strong\ndimensions, %", 100),
            (loss, "sensitive loss\nafter", largest),
            (refused, "refused, own vector,\n% (hollow: benign)", 100),
            (overlap, "Jaccard to own gate\n(tick: chance)", 1),
        ):
            axes.set_xlabel(label, fontsize=8)
            axes.tick_params(axis="x", labelsize=8)
            axes.set_xlim(-0.05 * end, 1.05 * end)
        handles, labels = strong.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), fontsize=8.5)

    header, cells = sensitivity_cells(rows)
    return Drawing("sensitivity", "How votes depend on the settings of locate", paint, WIDE, 1.5 + 0.21 * len(names), header, cells)


def sensitivity_cells(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    plain = [
        "setting",
        "value",
        "is_own",
        "layer",
        "inactive",
        "weak",
        "strong",
        "loss_start",
        "loss_end",
        "benign_start",
        "benign_end",
        "converged",
    ]
    kinds = [(kind, measure) for kind in ("own", "strong_flipped", "random_flipped") for measure in ("refused_sensitive", "refused_benign")]
    header = [*plain, *(cell for kind, measure in kinds for cell in score_header(f"{kind}_{measure}")), "jaccard", "jaccard_chance"]
    cells = [
        [
            *(row[key] for key in plain),
            *(cell for kind, measure in kinds for cell in score_cells(row[kind][measure])),
            *((row["overlap"] or {}).get(key, "") for key in ("value", "chance")),
        ]
        for row in rows
    ]
    return header, cells


def table_of_radius(analysis: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Table 4, and below it every layer's trial edits with their damage."""
    header = ["radius", "layers", "highest EtA", "mean EtA"]
    rows = [
        [
            str(row["radius"]),
            ", ".join(map(str, row["layers"])),
            f"{interval_text(row['max'])} (layer {row['best_layer']})",
            interval_text(row["mean"]),
        ]
        for row in analysis["radius"]["rows"]
    ]
    return header, rows


def table_of_layers(analysis: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    header = ["layer", *MEASURES.values()]
    return header, [[str(row["layer"]), *(interval_text(row[measure]) for measure in MEASURES)] for row in analysis["radius"]["layers"]]


def table_of_sweep(analysis: dict[str, Any], name: str) -> tuple[list[str], list[list[str]]]:
    header = ["value", "gate", "strong dimensions", "steps", *MEASURES.values()]
    rows = [
        [
            f"{row['value']:g}",
            control_title(row["gate"]),
            "" if row["strong"] is None else f"{100 * row['strong']:.1f}",
            str(row["steps"]),
            *(interval_text(row[measure]) for measure in MEASURES),
        ]
        for row in analysis["sweeps"][name]
    ]
    return header, rows


def table_of_sensitivity(analysis: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    kinds = {"own": "own vector", "strong_flipped": "gate", "random_flipped": "random"}
    header = [
        "setting",
        "layer",
        "strong",
        "loss before, after",
        "converged",
        *(f"{title}: sensitive / benign refused" for title in kinds.values()),
        "Jaccard (chance)",
    ]
    rows = [
        [
            f"{row['setting']} {row['value']}{' (own)' if row['is_own'] else ''}",
            str(row["layer"]),
            f"{100 * row['strong']:.1f}",
            f"{row['loss_start']:.2f}, {row['loss_end']:.2f}",
            f"{100 * row['converged']:.0f}",
            *(f"{interval_text(row[kind]['refused_sensitive'])} / {interval_text(row[kind]['refused_benign'])}" for kind in kinds),
            f"{row['overlap']['value']:.2f} ({row['overlap']['chance']:.2f})" if row["overlap"] else "",
        ]
        for row in analysis["sensitivity"]
    ]
    return header, rows


def interval_text(score: dict[str, Any] | None) -> str:
    """``98.9 [97.4, 99.5]`` in percent."""
    if score is None or math.isnan(score["value"]):
        return ""
    return f"{100 * score['value']:.1f} [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"
