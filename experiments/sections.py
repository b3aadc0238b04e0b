"""The sections of docs/evidence.md on one model, all of what its cells hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from experiments.claims import (
    COMPARED,
    Evidence,
    Family,
    cue_variants,
    curve_estimates,
    edited_layer,
    main_family,
    named,
    named_layers,
    ranges,
    scores_on_test,
)
from experiments.comparison import (
    EQUIVALENT,
    MEASURES,
    PRIMARY,
    SEPARATION,
    SUMS,
    WITH_CUE,
    Variant,
    adjusted,
    difference,
    is_called,
    is_equivalent,
    level,
)
from experiments.dimensions import KEPT
from experiments.study import EQUAL
from experiments.variety import COUNTS
from experiments.votes import vote_shares
from experiments.words import number, seen, told
from neuralgate.pairs.subjects import subjects_of

MISSING = "(not measured)\n"
ROUTES = {"all": "all routes", "subject": "subject tokens alone"}
GATES = ("none", "strong", "random", "inverted", "closed", "sparse", "sparse-random")
PATHS = ("subject", "question", "image", "answer")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    if len(lines) == 1:
        return MISSING
    ruled = ["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0]), *("| " + " | ".join(row) + " |" for row in lines[1:])]
    return "\n".join(ruled) + "\n"


def levels(evidence: Evidence, variants: dict[str, Variant], measures: Iterable[str]) -> str:
    """Means of every variant that is there, with their intervals."""
    there = {name: variant for name, variant in variants.items() if variant.shares(evidence.found, PRIMARY[0])}
    if not there:
        return MISSING
    seeds = [str(len(variant.shares(evidence.found, PRIMARY[0]))) for variant in there.values()]
    rows = [[name, *(told(level(evidence.found, variant, name), signed=name in SUMS) for variant in there.values())] for name in measures]
    return table(["", *there], [["seeds", *seeds], *rows])


def differences(made: Family) -> str:
    """A family of comparisons with p after Holm."""
    p = adjusted(made)
    rows = []
    for key, estimate in made.items():
        if estimate is not None:
            same = f"within {number(EQUIVALENT, signed=False)}" if is_equivalent(estimate) else ""
            rows.append([f"{key[0]} - {key[1]}", key[2], told(estimate), f"{p[key]:.3g}", seen(estimate), same])
    return table(["comparison", "measure", "difference", "p (Holm)", "would have been seen from", "equivalent"], rows)


def gate_section(evidence: Evidence) -> str:
    """Means and differences at the step that decides on either route, and the comparisons over all looks."""
    parts = []
    for route, title in ROUTES.items():
        variants = {name: evidence.gate(name, route) for name in GATES}
        parts += [f"**{title}, {evidence.size.middle} steps**\n", levels(evidence, variants, [*MEASURES, SEPARATION])]
        parts.append(differences(main_family(evidence, route)))
    rows = []
    for route, title in ROUTES.items():
        for stop in evidence.stops:
            for first, other in COMPARED:
                one, two = evidence.gate(first, route, stop), evidence.gate(other, route, stop)
                found = [difference(evidence.found, one, two, measure) for measure in (*PRIMARY[:3], SEPARATION)]
                if found[0]:
                    rows.append([title, stop, f"{first} - {other}", str(found[0].seeds), *map(told, found)])
    header = ["route", "after steps", "comparison", "seeds", *PRIMARY[:3], SEPARATION]
    return "\n".join([*parts, "**At every look**\n", table(header, rows), reached(evidence)])


def reached(evidence: Evidence) -> str:
    """At which steps edits come to the given loss, and how many do not."""
    rows = []
    for route, title in ROUTES.items():
        for name in GATES:
            cells = [
                cell for found, cell in evidence.found.below(f"gates/{route}/seed").items() if is_called(found.partition("-")[2], name)
            ]
            steps = [cell["looks"][EQUAL]["step"] for cell in cells if EQUAL in cell["looks"]]
            if cells:
                paths = [f"{np.mean([cell['gradient_share'][part] for cell in cells]):.2f}" for part in PATHS]
                middle = f"{np.median(steps):g} ({min(steps)} to {max(steps)})" if steps else "-"
                rows.append([title, name, f"{len(steps)} of {len(cells)}", middle, *paths])
    header = ["route", "gate", "came to equal L_sen", "after steps, median (range)"]
    shown = table([*header, *(f"gradient, before the gate: {part}" for part in PATHS)], rows)
    return f"{shown}\n{early_said(evidence)}" if rows else shown


def early_said(evidence: Evidence) -> str:
    """What equal L_sen compares: an early look, where edits get there before the first fixed one."""
    cells = evidence.found.below("gates/all/seed").values()
    steps = [cell["looks"][EQUAL]["step"] for cell in cells if EQUAL in cell["looks"]]
    first = evidence.size.stops[0]
    if not steps or max(steps) >= first:
        return ""
    return (
        f"On all routes equal L_sen is reached after {min(steps)} to {max(steps)} steps, before the first fixed look at {first}: it "
        "compares early edits, whose gates have hardly had time to differ in that loss.\n"
    )


def cue_section(evidence: Evidence) -> str:
    return levels(evidence, cue_variants(), (*PRIMARY, SEPARATION, *WITH_CUE))


def curve_section(evidence: Evidence) -> str:
    rows = []
    layers = sorted(int(name.removeprefix("layer")) for name in evidence.found.below("curve/"))
    for layer in layers:
        for kind in (0, 1):
            estimates = [curve_estimates(evidence, layer, percent) for percent in KEPT]
            title = "located" if kind == 0 else "located - random"
            rows.append([str(layer), title, *(told(pair[kind], signed=bool(kind)) if pair else "-" for pair in estimates)])
    return table(["layer", "flipped", *(f"{percent} %" for percent in KEPT)], rows)


def profile_section(evidence: Evidence) -> str:
    """``strong``: dimensions above the threshold that both are located with; a sparse gate opens those above one of its own."""
    rows = []
    for kind in ("located", "sparse"):
        cells = evidence.found.below(f"{kind}/layer")
        for name, cell in sorted(cells.items(), key=lambda item: int(item[0].partition("-")[0])):
            if name.endswith("-seed0"):
                (row,) = cell["profile"]
                losses = f"{row['loss_start']:.2f} to {row['loss_end']:.2f}"
                shares = [
                    number(row[key], signed=False) for key in ("inactive", "strong", "own_refused", "strong_refused", "random_refused")
                ]
                votes = "default" if kind == "located" else "sparse"
                opened = [number(opened_share(cell, row["layer"]), signed=False), f"{cell['threshold']:.2f}"]
                samples = next(iter(map(str, cell["samples"].values())))
                rows.append([votes, str(row["layer"]), samples, losses, *shares, str(row["n"]), *opened])
    refused = ("own vectors refuse", "strong flipped", "as many random flipped")
    header = ["votes", "layer", "samples a subject", "L_sen", "inactive", "strong (M > .3)", *refused, "n", "the gate opens", "with M >"]
    shown = table(header, rows)
    return f"{shown}\n{samples_section(evidence)}"


def opened_share(cell: dict[str, Any], layer: int) -> float:
    """Share of the dimensions that the cell's gate opens, over subjects."""
    return float((vote_shares(cell, layer) > cell["threshold"]).float().mean())


def samples_section(evidence: Evidence) -> str:
    """How the shares depend on how many samples vote, at the edited layer."""
    cell = evidence.found.cells.get(f"sparse/layer{edited_layer(evidence)}-seed0")
    rows = (
        [] if cell is None else [[count, *(number(share, signed=False) for share in row.values())] for count, row in cell["shares"].items()]
    )
    return table(["samples a subject (sparse votes, edited layer)", "inactive", "strong (M > .3)"], rows)


def authors_section(evidence: Evidence) -> str:
    variants = {name: Variant("authors/edits", name) for name in ("none", "strong", "random", "closed")}
    steps = [cell["steps"] for cell in evidence.found.below("authors/edits/").values()]
    said = f"{min(steps)} to {max(steps)} single-pair steps.\n\n" if steps else ""
    return said + levels(evidence, variants, (*PRIMARY, "edited leaked", SEPARATION))


def several_section(evidence: Evidence) -> str:
    names = ["none-ffn", *(f"{gate}-{place}" for gate in ("strong", "random", "closed") for place in ("ffn", "layer"))]
    parts = []
    for where in ranges(evidence):
        parts += [
            f"**layers {where}**\n",
            levels(evidence, {name: Variant(f"several/{where}", name) for name in names}, (*PRIMARY, SEPARATION)),
        ]
    return "\n".join(parts) or MISSING


def layer_section(evidence: Evidence) -> str:
    scores, criteria = scores_on_test(evidence), named_layers(evidence)
    if not scores:
        return MISSING
    means = {layer: float(np.mean(values)) for layer, values in scores.items()}
    rows = [["test score", *(number(means[layer], signed=False) for layer in means), "", "", ""]]
    for name, values in criteria.items():
        known = {layer: value for layer, value in values.items() if layer in means}
        if len(known) < len(means):
            continue
        lost = max(means.values()) - means[named(known)]
        given, scored = [known[layer] for layer in means], list(means.values())
        is_flat = min(len(set(given)), len(set(scored))) < 2
        agreement = "-" if is_flat else number(float(spearmanr(given, scored).statistic))
        row = [number(known[layer], signed=False) for layer in means]
        rows.append([name, *row, str(named(known)), number(lost, signed=False), agreement])
    return table(["", *(f"layer {layer}" for layer in means), "names", "below the best by", "rank correlation"], rows)


def variety_section(evidence: Evidence) -> str:
    variants = {str(count): Variant("variety", f"{count:02d}") for count in COUNTS}
    shown = levels(evidence, variants, (*PRIMARY, "edited leaked", SEPARATION))
    size = evidence.size
    contrast = size.contrast_per_subject * len(subjects_of("contrast"))
    return shown + (
        "\nEdited subjects differ by seed, so that intervals of what they are part of are over seeds alone. Here "
        f"{contrast} contrast pairs stand beside {size.variety_pairs} edited ones, above beside {size.per_subject * size.edited}: "
        "8 is not the edit without a gate above.\n"
    )
