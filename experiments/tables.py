"""docs/evidence.md, the tables of the README and docs/models.md, all of what the cells hold; no number is written by hand.

python -m experiments.tables
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments import figures
from experiments.advice import advice
from experiments.cells import FOLDER
from experiments.claims import CLAIMS, Evidence, Finding, control
from experiments.comparison import FEWEST, Found, base_level, level
from experiments.sections import (
    authors_section,
    cue_section,
    curve_section,
    gate_section,
    layer_section,
    profile_section,
    several_section,
    table,
    variety_section,
)
from experiments.study import SIZES
from experiments.words import told
from neuralgate.errors import UserError
from neuralgate.files import read_json, write_text
from neuralgate.lvlm.families import FAMILIES, HEADER

DOCS = Path(__file__).parent.parent / "docs"
README_ROWS = ("edited refused", "unseen private refused", "look-alikes refused", "protected, benign refused")
INTRODUCTION = """This page is made by `python -m experiments.tables` of the cells in `experiments/evidence/`, one JSON file each, which
`make evidence` makes. [The plan](plan.md) was written before the numbers; it says what is asked and measured and how verdicts come about.
Brackets are 95 % intervals over seeds and subjects: Student's t, cut at 0 and 1, where anything differs (too narrow for shares
near 0 or 1), Wilson's over the units where all are alike.
"""
VERDICTS = {"confirmed": "**confirmed**", "refuted": "**refuted**", "undecided": "undecided", "not measured": "not measured"}


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
    rows = [[str(place), name, *map(verdict, found)] for place, (name, found) in enumerate(findings.items(), start=1)]
    controls = [control(evidence) for evidence in evidences]
    seen = {"confirmed": "**detected**", "refuted": "not detected", "undecided": "undecided", "not measured": "not measured"}
    rows.append(["", "(positive control)", *(seen[finding.word] for finding in controls)])
    lines = [table(header, rows), "The numbers that each verdict rests on:\n"]
    for place, (_name, found) in enumerate(findings.items(), start=1):
        lines += [f"{place}. {bullets(evidences, found)}"]
    return "\n".join([*lines, f"\nPositive control. {bullets(evidences, controls)}\n"])


def verdict(finding: Finding) -> str:
    """With the number of seeds where they are few."""
    is_few = finding.word == "confirmed" and 0 < finding.seeds < FEWEST
    return VERDICTS[finding.word] + (f" ({finding.seeds} seeds alone)" if is_few else "")


def bullets(evidences: list[Evidence], findings: list[Finding]) -> str:
    said = [
        f"{evidence.model.capitalize()}: {finding.text or finding.word}." for evidence, finding in zip(evidences, findings, strict=True)
    ]
    return " ".join(said)


def progress(evidences: list[Evidence]) -> str:
    """How much of the plan is there."""
    found = {evidence.model: evidence.seeds for evidence in evidences}
    made = "; ".join(f"{model.capitalize()} {found.get(model, 0)} of {size.seeds}" for model, size in SIZES.items())
    return (
        f"Seeds of the comparison of gates that are made: {made}. Fewer than five decide nothing but confirmations, and two or three may "
        "be alike by chance: such a confirmation names their number."
    )


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
        for place, measure in enumerate(README_ROWS):
            seeds = set.intersection(*(set(variant.shares(evidence.found, measure)) for variant in edited))
            values = [base_level(evidence.found, measure, edited), *(level(evidence.found, variant, measure, seeds) for variant in edited)]
            size = next((f"{value.seeds}x{value.subjects}" for value in values[1:] if value), "-")
            name = evidence.model.capitalize() if place == 0 else ""
            rows.append([name, measure, size, *(told(value, signed=False) for value in values)])
    return table(["model", "share", "seeds x subjects", "base", "no gate", "gate", "random gate"], rows)


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
