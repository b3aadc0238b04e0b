"""The figures of an analysis that show votes: how often dimensions flip, what that is worth, and whether other samples agree."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from neuralgate.paper.figures.drawings import NARROW, WIDE, Drawing, percents, score_cells, score_header, with_intervals
from neuralgate.report.figures import POSITIONS, QUIET, STYLES

LAYER = "decoder layer"


def flips(analysis: dict[str, Any]) -> Drawing:
    """Fig. 2(c) and 7: one map per subject."""
    bins, layers, size = analysis["bins"], analysis["layers"], analysis["hidden_size"]
    edges = bins["edges"]
    columns = ["0", *(f"({low:g}, {high:g}]" for low, high in pairwise(edges))]
    subjects = list(bins["subjects"])
    across = min(3, len(subjects))
    down = math.ceil(len(subjects) / across)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        colours = matplotlib.colormaps["cividis"].with_extremes(bad="#ffffff")
        smallest = 1 / size  # one dimension
        mesh = None
        for axes, subject in zip(grid.flat, subjects, strict=False):
            shares = [[share if share > 0 else math.nan for share in row] for row in bins["subjects"][subject]]
            mesh = axes.pcolormesh(shares, cmap=colours, norm=LogNorm(smallest, 1), edgecolors="white", linewidth=0.4)
            axes.set_title(subject)
            axes.grid(False)
            axes.set_xticks(
                [0.5, *range(2, len(edges), 2)], ["0", *(f"{edge:g}" for edge in edges[1::2])][: 1 + len(range(2, len(edges), 2))]
            )
            axes.set_yticks([place + 0.5 for place in range(len(layers))], layers)
        for axes in list(grid.flat)[len(subjects) :]:
            axes.remove()
        figure.supxlabel("M: share of samples that flip the dimension", fontsize=9.5)
        figure.supylabel(LAYER, fontsize=9.5)
        if mesh is not None:
            bar = figure.colorbar(mesh, ax=list(grid.flat)[: len(subjects)], label="% of dimensions", pad=0.02)
            ticks = [10.0**power for power in range(math.ceil(math.log10(smallest)), 1)]
            bar.set_ticks(ticks, labels=[f"{100 * tick:g}" for tick in ticks])

    rows = [
        [subject, layer, column, share]
        for subject in subjects
        for layer, shares in zip(layers, bins["subjects"][subject], strict=True)
        for column, share in zip(columns, shares, strict=True)
    ]
    height = 1.0 + down * (0.75 + 0.13 * len(layers))
    return Drawing("flips", "How often dimensions flip", paint, WIDE, height, ["subject", "layer", "votes", "share"], rows)


def shares(analysis: dict[str, Any]) -> Drawing:
    """Fig. 2(d) and 6."""
    profile = analysis["profile"]
    layers = [row["layer"] for row in profile]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for style, name in zip(STYLES, ("strong", "weak", "inactive"), strict=False):
            with_intervals(axes, layers, [row[name] for row in profile], style, name)
        axes.axhline(10, color=QUIET, linewidth=1)
        axes.text(1, 10, "10 %", transform=axes.get_yaxis_transform(), ha="right", va="bottom", color="#5a6570", fontsize=8.5)
        finish(axes, layers, "% of dimensions")
        axes.set_ylim(0, 100)
        below(axes, 3)

    header = ["layer", *(cell for name in ("inactive", "weak", "strong", "rare") for cell in score_header(name))]
    rows = [
        [row["layer"], *(cell for name in ("inactive", "weak", "strong", "rare") for cell in score_cells(row[name]))] for row in profile
    ]
    return Drawing("shares", "Inactive, weak and strong dimensions over layers", paint, NARROW, 3.2, header, rows)


def losses(analysis: dict[str, Any]) -> Drawing:
    profile = analysis["profile"]
    layers = [row["layer"] for row in profile]
    lines = {
        "loss_start": "sensitive, before",
        "loss_end": "sensitive, after",
        "benign_start": "benign, before",
        "benign_end": "benign, after",
    }

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for place, ((name, label), (colour, dash, marker)) in enumerate(zip(lines.items(), STYLES, strict=False)):
            values, lows, highs = ([row[name][key] for row in profile] for key in ("value", "low", "high"))
            places = [layer + 0.1 * (place - 1.5) for layer in layers]
            left.plot(places, values, color=colour, linestyle=dash, marker=marker, markersize=4, label=label)
            left.vlines(places, lows, highs, color=colour, linewidth=0.9)
        finish(left, layers, "mean loss, nats a token")
        left.set_ylim(bottom=0)
        below(left, 2)
        with_intervals(right, layers, [row["converged"] for row in profile], STYLES[0], "converged")
        finish(right, layers, "% of vectors that converged")
        right.set_ylim(-3, 103)

    header = ["layer", *(cell for name in (*lines, "converged") for cell in score_header(name))]
    rows = [[row["layer"], *(cell for name in (*lines, "converged") for cell in score_cells(row[name]))] for row in profile]
    return Drawing("losses", "What the vectors reach", paint, WIDE, 3.2, header, rows)


def answers(analysis: dict[str, Any]) -> Drawing:
    profile = analysis["profile"]
    layers = [row["layer"] for row in profile]
    kinds = {"own": "each sample's own vector", "strong_flipped": "aggregated gate", "random_flipped": "random set of equal size"}
    panels = {"refused_sensitive": "% of sensitive questions refused", "refused_benign": "% of benign questions refused"}

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, 2, sharey=True)
        for axes, (measure, label) in zip(grid, panels.items(), strict=True):
            for place, ((kind, title), style) in enumerate(zip(kinds.items(), STYLES, strict=False)):
                with_intervals(axes, layers, [row[kind][measure] for row in profile], style, title, 0.12 * (place - 1))
            finish(axes, layers, label)
            axes.set_ylim(-3, 103)
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8.5, handlelength=2.6)

    cells = list(product(kinds, ("refused_sensitive", "refused_benign", "leak", "degenerate")))
    header = ["layer", *(cell for kind, measure in cells for cell in score_header(f"{kind}_{measure}"))]
    rows = [[row["layer"], *(cell for kind, measure in cells for cell in score_cells(row[kind][measure]))] for row in profile]
    return Drawing("answers", "Answers under vectors, gate and random set", paint, WIDE, 3.1, header, rows)


def gradient(analysis: dict[str, Any]) -> Drawing:
    profile = analysis["profile"]
    layers = [row["layer"] for row in profile]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for name, style in zip(POSITIONS, STYLES, strict=False):
            with_intervals(axes, layers, [row["gradient"][name] for row in profile], style, f"{name} tokens")
        finish(axes, layers, "% of the gradient's norm")
        axes.set_ylim(bottom=0)
        below(axes, 2)

    header = ["layer", *(cell for name in POSITIONS for cell in score_header(name))]
    rows = [[row["layer"], *(cell for name in POSITIONS for cell in score_cells(row["gradient"][name]))] for row in profile]
    return Drawing("gradient", "Where the gradient arrives", paint, NARROW, 3.3, header, rows)


def subjects(analysis: dict[str, Any]) -> Drawing:
    """Overlap of the subjects' gates: every two at the edited layer, and the mean over layers."""
    overlap, chosen = analysis["overlap"]["subjects"], analysis["chosen_layer"]
    names, layers = overlap["subjects"], analysis["layers"]
    at_chosen = next(row for row in overlap["rows"] if row["layer"] == chosen)

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
        index, chance = at_chosen["jaccard"], at_chosen["chance"]
        # above the diagonal what is found, below it what chance gives
        cells = [[(index if b > a else chance)[a][b] if a != b else None for b in range(len(names))] for a in range(len(names))]
        heat(left, cells)
        left.set_xticks([place + 0.5 for place in range(len(names))], names, rotation=40, ha="right", rotation_mode="anchor")
        left.set_yticks([place + 0.5 for place in range(len(names))], names)
        left.invert_yaxis()
        left.set_title(f"Layer {chosen}: found above, chance below", fontsize=8.5)
        against_chance(right, layers, {"mean over subjects": [row["mean"] for row in overlap["rows"]]})

    rows = [
        [row["layer"], names[a], names[b], row["jaccard"][a][b], row["chance"][a][b]]
        for row in overlap["rows"]
        for a, b in product(range(len(names)), repeat=2)
        if a < b
    ]
    header = ["layer", "first", "second", "jaccard", "chance"]
    return Drawing("subjects", "Overlap of the subjects' gates", paint, WIDE, 3.6, header, rows)


def stability(analysis: dict[str, Any]) -> Drawing:
    """The gate of other samples, of other refusal prefixes, and of half of the samples against the other half."""
    overlap, layers = analysis["overlap"], analysis["layers"]
    lines = {"halves of the samples": overlap["halves"], **overlap["again"]}

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
        for axes, (name, rows) in zip(grid, lines.items(), strict=True):
            against_chance(axes, layers, {name: [row if row["value"] is not None else None for row in rows]})
            axes.set_title(name)

    header = ["compared", "layer", "jaccard", "low", "high", "chance", "chance_low", "chance_high", "n"]
    rows = [[name, *(row.get(key, "") for key in ("layer", "value", *header[3:]))] for name, entries in lines.items() for row in entries]
    return Drawing("stability", "Is the gate stable?", paint, WIDE if len(lines) > 1 else NARROW, 3.2, header, rows)


def between_layers(analysis: dict[str, Any]) -> Drawing:
    layers = analysis["layers"]
    overlaps = {(row["first"], row["second"]): row["overlap"] for row in analysis["overlap"]["layers"]["rows"]}

    def cell(a: int, b: int) -> float | None:
        overlap = overlaps.get((min(a, b), max(a, b)))
        return None if overlap is None else overlap["value" if b > a else "chance"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        heat(axes, [[cell(a, b) for b in layers] for a in layers])
        axes.set_xticks([place + 0.5 for place in range(len(layers))], layers)
        axes.set_yticks([place + 0.5 for place in range(len(layers))], layers)
        axes.invert_yaxis()
        axes.set_xlabel(LAYER)
        axes.set_ylabel(LAYER)
        axes.set_title("Jaccard: found above, chance below the diagonal")

    keys = ("value", "chance", "chance_low", "chance_high", "n")
    rows = [[a, b, *((overlap or {}).get(key, "") for key in keys)] for (a, b), overlap in overlaps.items()]
    return Drawing("layers", "Overlap of the gate between layers", paint, NARROW, 3.6, ["first", "second", "jaccard", *keys[1:]], rows)


def activation(analysis: dict[str, Any]) -> Drawing:
    """Votes against size at the edited layer."""
    activations = analysis["activation"]
    here = next(row for row in activations["rows"] if row["layer"] == activations["layer"])
    massive = {entry["dimension"] for entry in here["massive"]}
    kept = [point for dimension, point in enumerate(activations["points"]) if dimension not in massive]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        # thousands of points as text would make a page of megabytes
        axes.scatter(
            [size for size, _ in kept], [votes for _, votes in kept], s=9, color=STYLES[0][0], alpha=0.5, rasterized=len(kept) > 1000
        )
        axes.set_xlabel(f"mean |h| at the subject's tokens, layer {activations['layer']}")
        axes.set_ylabel("mean votes M")
        axes.set_ylim(bottom=0)

    header = ["dimension", "mean_size", "mean_votes", "massive"]
    rows = [[dimension, size, votes, dimension in massive] for dimension, (size, votes) in enumerate(activations["points"])]
    return Drawing("activation", "Votes against the size of the activation", paint, NARROW, 3.0, header, rows)


def activation_layers(analysis: dict[str, Any]) -> Drawing:
    """How far votes follow size, over layers."""
    rows, layers = analysis["activation"]["rows"], analysis["layers"]

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        rho = [row["rho"] or {"value": math.nan, "low": math.nan, "high": math.nan} for row in rows]
        errors = [[max(0.0, score["value"] - score["low"]) for score in rho], [max(0.0, score["high"] - score["value"]) for score in rho]]
        left.errorbar(layers, [score["value"] for score in rho], yerr=errors, color=STYLES[0][0], marker="o", markersize=4, elinewidth=0.9)
        left.axhline(0, color=QUIET, linewidth=1)
        finish(left, layers, "Spearman's rho")
        left.set_ylim(-1, 1)
        against_chance(right, layers, {"gate": [row["top"] for row in rows]}, "share of the gate among the largest")

    keys = ("value", "chance", "chance_low", "chance_high", "n")
    header = ["layer", *score_header("rho"), *(f"top_{key}" for key in keys), "first_token_ratio"]
    header += ["massive_dimensions", "massive_at_first_token"]
    cells = [
        [
            row["layer"],
            *score_cells(row["rho"]),
            *((row["top"] or {}).get(key, "") for key in keys),
            row["first_token"],
            *(" ".join(str(entry["dimension"]) for entry in row[key]) for key in ("massive", "first_massive")),
        ]
        for row in rows
    ]
    return Drawing("activation-layers", "Do votes follow size?", paint, WIDE, 3.0, header, cells)


# --- parts of figures -----------------------------------------------------------------------------------------------


def finish(axes: Axes, layers: list[int], y_label: str) -> None:
    axes.set_xlabel(LAYER)
    axes.set_ylabel(y_label)
    axes.set_xticks(layers)


def below(axes: Axes, columns: int) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, columnspacing=1.2, handlelength=2.6, fontsize=8.5)


def heat(axes: Axes, values: list[list[float | None]]) -> None:
    """Indices between 0 and 1 with their numbers."""
    numbers = [[math.nan if value is None else value for value in row] for row in values]
    axes.pcolormesh(numbers, cmap="cividis", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for row, column in product(range(len(numbers)), repeat=2):
        value = numbers[row][column]
        if not math.isnan(value):
            colour = "black" if value > 0.55 else "white"
            axes.text(
                column + 0.5, row + 0.5, f"{value:.2f}"[1:] if value < 0.995 else "1", ha="center", va="center", fontsize=8, color=colour
            )
    axes.grid(False)


def against_chance(axes: Axes, layers: list[int], lines: dict[str, list[Any]], y_label: str = "Jaccard's index") -> None:
    """Lines of overlaps, each with the band that chance gives."""
    for (name, rows), (colour, dash, marker) in zip(lines.items(), STYLES, strict=False):
        low, high = ([value / 100 for value in percents(rows, f"chance_{end}")] for end in ("low", "high"))
        axes.fill_between(layers, low, high, color=QUIET, alpha=0.45, linewidth=0, label="chance, 95 %")
        axes.plot(layers, [value / 100 for value in percents(rows)], color=colour, linestyle=dash, marker=marker, label=name)
        spread = [row if row and "low" in row else None for row in rows]
        low, high = ([value / 100 for value in percents(spread, end)] for end in ("low", "high"))
        axes.vlines(layers, low, high, color=colour, linewidth=0.9)
    finish(axes, layers, y_label)
    axes.set_ylim(0, 1)
    axes.legend(loc="best", fontsize=8)
