"""docs/evidence.md, the tables of the README and docs/models.md, all of what the cells hold; no number is written by hand.

python -m experiments.tables
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from experiments import figures
from experiments.advice import advice
from experiments.cells import FOLDER
from experiments.claims import (
    CLAIMS,
    COMPARED,
    Evidence,
    Family,
    Finding,
    control,
    cue_variants,
    curve_estimates,
    edited_layer,
    main_family,
    named,
    named_layers,
    number,
    ranges,
    scores_on_test,
    told,
)
from experiments.comparison import (
    EQUIVALENT,
    MEASURES,
    PRIMARY,
    SEPARATION,
    WITH_CUE,
    Estimate,
    Found,
    Variant,
    adjusted,
    crossed,
    difference,
    is_called,
    level,
    shares,
)
from experiments.dimensions import KEPT
from experiments.study import EQUAL, SIZES
from experiments.variety import COUNTS
from neuralgate.errors import UserError
from neuralgate.files import read_json, write_text
from neuralgate.lvlm.families import FAMILIES, HEADER

DOCS = Path(__file__).parent.parent / "docs"
MISSING = "(not measured)\n"
ROUTES = {"all": "all routes", "subject": "subject tokens alone"}
GATES = ("none", "strong", "random", "inverted", "closed", "sparse", "sparse-random")
README_ROWS = ("edited refused", "unseen private refused", "look-alikes refused", "scenes accuracy")
PATHS = ("subject", "question", "image", "answer")
INTRODUCTION = """This page is made by `python -m experiments.tables` of the cells in `experiments/evidence/`, one JSON file each, which
`make evidence` makes. [The plan](plan.md) was written before the numbers; it says what is asked and measured and how verdicts come about.
Brackets are 95 % intervals over seeds and subjects.
"""
VERDICTS = {"confirmed": "**confirmed**", "refuted": "**refuted**", "undecided": "undecided", "not measured": "not measured"}


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
    rows = [[name, *(told(level(evidence.found, variant, name), signed=False) for variant in there.values())] for name in measures]
    return table(["", *there], [["seeds", *seeds], *rows])


def differences(made: Family) -> str:
    """A family of comparisons with p after Holm."""
    p = adjusted(made)
    rows = []
    for key, estimate in made.items():
        if estimate is not None:
            same = f"within {number(EQUIVALENT, signed=False)}" if estimate.is_equivalent else ""
            rows.append([f"{key[0]} - {key[1]}", key[2], told(estimate), f"{p[key]:.3g}", number(estimate.seen, signed=False), same])
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
    return table([*header, *(f"gradient, before the gate: {part}" for part in PATHS)], rows)


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
                rows.append([votes, str(row["layer"]), next(iter(map(str, cell["samples"].values()))), losses, *shares, str(row["n"])])
    refused = ("own vectors refuse", "strong flipped", "random flipped")
    shown = table(["votes", "layer", "samples a subject", "L_sen", "inactive", "strong", *refused, "n"], rows)
    return f"{shown}\n{samples_section(evidence)}"


def samples_section(evidence: Evidence) -> str:
    """How the shares depend on how many samples vote, at the edited layer."""
    cell = evidence.found.cells.get(f"sparse/layer{edited_layer(evidence)}-seed0")
    rows = (
        [] if cell is None else [[count, *(number(share, signed=False) for share in row.values())] for count, row in cell["shares"].items()]
    )
    return table(["samples a subject (sparse votes, edited layer)", "inactive", "strong"], rows)


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
    return levels(evidence, {str(count): Variant("variety", f"{count:02d}") for count in COUNTS}, (*PRIMARY, "edited leaked", SEPARATION))


def precision_section() -> str:
    """What the dtype of the weights changes of vectors and gate."""
    rows = []
    for row in read_json(FOLDER / "precision.json")["rows"]:
        own = row["own"]
        refused = f"{own['value']:.2f} [{own['low']:.2f}, {own['high']:.2f}]"
        rows.append(
            [row["case"], str(row["layer"]), f"{row['signs']:.3f}", f"{row['gate']:.2f}", f"{row['loss_end']:.2f}", refused, str(own["n"])]
        )
    return table(["weights", "layer", "signs unlike float32's", "gate: Jaccard", "L_sen after", "own vector refuses", "n"], rows)


def claims_section(evidences: list[Evidence]) -> str:
    findings = {name: [of(evidence) for evidence in evidences] for name, of in CLAIMS}
    header = ["", "claim", *(evidence.model.capitalize() for evidence in evidences)]
    rows = [[str(place), name, *(VERDICTS[f.word] for f in found)] for place, (name, found) in enumerate(findings.items(), start=1)]
    controls = [control(evidence) for evidence in evidences]
    seen = {"confirmed": "**detected**", "refuted": "not detected", "undecided": "undecided", "not measured": "not measured"}
    rows.append(["", "(positive control)", *(seen[finding.word] for finding in controls)])
    lines = [table(header, rows), "The numbers that each verdict rests on:\n"]
    for place, (_name, found) in enumerate(findings.items(), start=1):
        lines += [f"{place}. {bullets(evidences, found)}"]
    return "\n".join([*lines, f"\nPositive control. {bullets(evidences, controls)}\n"])


def bullets(evidences: list[Evidence], findings: list[Finding]) -> str:
    said = [
        f"{evidence.model.capitalize()}: {finding.text or finding.word}." for evidence, finding in zip(evidences, findings, strict=True)
    ]
    return " ".join(said)


def progress(evidences: list[Evidence]) -> str:
    """How much of the plan is there."""
    found = {evidence.model: evidence.seeds for evidence in evidences}
    made = "; ".join(f"{model.capitalize()} {found.get(model, 0)} of {size.seeds}" for model, size in SIZES.items())
    return f"Seeds of the comparison of gates that are made: {made}. Fewer than five decide nothing but confirmations."


def page(evidences: list[Evidence]) -> str:
    """docs/evidence.md."""
    parts = [
        "# The evidence\n",
        advice(evidences) + "\n",
        INTRODUCTION,
        progress(evidences) + "\n",
        "## The article's claims\n",
        claims_section(evidences),
    ]
    sections = (
        ("The positive control", "cue", cue_section),
        ("Gates and routes", "gates", gate_section),
        ("The vote profile", "", profile_section),
        ("How few dimensions make it refuse", "dimensions", curve_section),
        ("The authors' regime", "", authors_section),
        ("Several layers", "", several_section),
        ("Which layer?", "layers", layer_section),
        ("Reach by variety", "variety", variety_section),
    )
    for title, figure, section in sections:
        parts.append(f"## {title}\n")
        if (DOCS / f"evidence-{figure}.svg").is_file():
            parts.append(f"![{title}](evidence-{figure}.svg)\n")
        for evidence in evidences:
            parts += [f"### {evidence.model.capitalize()}\n", section(evidence)]
    parts += [
        "## The dtype of the weights\n",
        "Clerk, default settings of locate, 8 samples a subject (`python -m experiments.precision`).\n",
    ]
    return "\n".join([*parts, precision_section()])


def readme_rows(evidences: list[Evidence]) -> str:
    """Two rows of effect and two of damage for each model, over the seeds that have all three gates."""
    rows = []
    for evidence in evidences:
        edited = [evidence.gate(name) for name in ("none", "strong", "random")]
        for measure in README_ROWS:
            seeds = set.intersection(*(set(variant.shares(evidence.found, measure)) for variant in edited))
            values = [base_level(evidence, measure), *(level(evidence.found, variant, measure, seeds) for variant in edited)]
            size = next((f"{value.seeds} x {value.subjects}" for value in values[1:] if value), "")
            rows.append([evidence.model.capitalize(), measure, size, *(told(value, signed=False) for value in values)])
    return table(["model", "share", "seeds x subjects", "base", "edited, no gate", "edited, gate", "edited, random gate"], rows)


def base_level(evidence: Evidence, measure: str) -> Estimate:
    found = shares(evidence.found.cells["base"]["answers"], measure)
    return crossed([(1.0, np.array([list(found.values())]))])


def main() -> None:
    try:
        evidences = [Evidence(model, found) for model in SIZES if (found := Found(FOLDER / model))]
    except UserError as error:
        sys.exit(str(error))
    figures.draw(evidences, DOCS)
    write_text(DOCS / "evidence.md", page(evidences))
    fill(DOCS.parent / "README.md", {"results": readme_rows(evidences)})
    fill(DOCS / "models.md", {"families": table(HEADER, FAMILIES)})


def fill(page: Path, parts: dict[str, str]) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    text = page.read_text(encoding="utf-8")
    for name, content in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(start)
        text = before + start + content + end + rest.split(end, 1)[1]
    write_text(page, text)


if __name__ == "__main__":
    main()
