"""Tables and figures of docs/evidence.md from the cells that `python -m experiments.evidence` left.

python -m experiments.tables
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from experiments import fixed_steps
from experiments.evidence import FOLDER
from neuralgate.files import digest, read_json, write_text
from neuralgate.locate.summary import verdict
from neuralgate.lvlm.families import FAMILIES, HEADER

DOCS = Path(__file__).parent.parent / "docs"
FIGURE = "![Effect and damage over the edited layer](layers.svg)\n\n"
LADDER = ("privacypair-test", "contexts", "paraphrases", "unseen-attributes", "unseen-subjects", "unseen-both")
COLUMNS: tuple[tuple[str, str, str], ...] = (
    *((name, "rta_sensitive", f"refused: {name}") for name in ("privacypair-test", "unseen-attributes", "unseen-subjects", "unseen-both")),
    ("privacypair-test", "leak_rate", "leak"),
    ("privacypair-test", "rta_benign", "benign refused"),
    ("public-contrast", "attribute_refusal_rate", "harmless words refused: public (contrast)"),
    ("public-unseen", "attribute_refusal_rate", "harmless words refused: public (unseen)"),
    ("public-unseen", "accuracy", "public (unseen) accuracy"),
    ("protected", "rta_benign", "protected, benign refused"),
    ("awareness", "accuracy", "awareness"),
    ("vqa", "accuracy", "vqa"),
)


def cells(folder: str) -> dict[str, dict[str, Any]]:
    """The cells below ``folder``; stops where a cell's settings do not belong to the gate's model."""
    found = {path.stem: read_json(path) for path in sorted((FOLDER / folder).glob("*.json"))}
    model = read_json(FOLDER / "gate" / "gate.json")["fingerprint"]
    for name, cell in found.items():
        if cell["key"] != digest({"settings": cell["settings"], "model": model}):
            sys.exit(f"{folder}/{name}.json was made on another model, or its settings were changed; remove it and run `make evidence`.")
    return found


def share(entry: dict[str, Any]) -> str:
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    return (
        "\n".join(["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0]), *("| " + " | ".join(row) + " |" for row in lines[1:])])
        + "\n"
    )


def score_rows(found: dict[str, dict[str, Any]], base: bool = True) -> str:
    """One row a cell, one column a measure, each with its 95 % interval."""
    if not found:
        return "(not measured)\n"
    first = next(iter(found.values()))["scores"]
    columns = [(bench, metric, title) for bench, metric, title in COLUMNS if bench in first["edited"]]
    header = ["variant", "steps", *(f"{title} (n = {first['edited'][bench][metric]['n']})" for bench, metric, title in columns)]
    rows = []
    if base:
        rows.append(["base", "", *(share(first["base"][bench][metric]) for bench, metric, _ in columns)])
    for name, cell in found.items():
        training = cell["training"]
        steps = f"{training['steps']}{' (limit)' if training['stopped'] == 'limit' else ''}"
        rows.append([name, steps, *(share(cell["scores"]["edited"][bench][metric]) for bench, metric, _ in columns)])
    return table(header, rows)


README_ROWS = ("edited subjects refused", "edited subjects leaked", "look-alikes refused", "vqa")


def readme_rows() -> str:
    """Four rows: base, and the means over seeds of the edits without and with the gate, Student's intervals over seeds."""
    found = {gate: list(fixed_steps.values("main", gate).values()) for gate in ("none", "strong", "random")}
    base = read_json(next((FOLDER / "fixed" / "main").glob("seed0-none.json")))["scores"]["base"]
    rows = []
    for title in README_ROWS:
        bench, metric = fixed_steps.MEASURES[title]
        cells_of = [fixed_steps.interval([row[title] for row in rows_of]) for rows_of in found.values()]
        rows.append(
            [
                title,
                share(base[bench][metric]),
                *(share({"value": mean, "low": max(low, 0), "high": min(high, 1)}) for mean, low, high in cells_of),
            ]
        )
    return table(["share", "base", "edited, no gate", "edited, gate", "edited, random gate"], rows)


def ladder_rows(found: dict[str, dict[str, Any]]) -> str:
    """EtA on the whole ladder."""
    if not found:
        return "(not measured)\n"
    rows = [[name, *(share(cell["scores"]["edited"][bench]["eta"]) for bench in LADDER)] for name, cell in found.items()]
    return table(["variant", *(f"EtA {bench}" for bench in LADDER)], rows)


def spread_rows(found: dict[str, dict[str, Any]]) -> str:
    """Seed 0: every gate, and where the gated edit lies among the random gates of equal size (mean, smallest, largest)."""
    random = [cell for name, cell in found.items() if name.startswith("seed0-random")]
    named = {mode: found[f"seed0-{mode}"] for mode in ("none", "strong", "inverted", "closed")}
    rows = [
        [title, *(f"{value(cell, bench, metric):.3f}" for cell in named.values()), spread(random, bench, metric)]
        for bench, metric, title in COLUMNS
    ]
    return table(["measure", *named, f"random, {len(random)} gates"], rows)


def seed_rows(found: dict[str, dict[str, Any]]) -> str:
    """The same gates over all orders of the training pairs: mean, smallest, largest."""
    groups = {mode: [cell for name, cell in found.items() if name.endswith(f"-{mode}")] for mode in ("none", "strong", "random-0")}
    rows = [[title, *(spread(group, bench, metric) for group in groups.values())] for bench, metric, title in COLUMNS]
    return table(["measure", *(f"{mode}, {len(group)} seeds" for mode, group in groups.items())], rows)


def value(cell: dict[str, Any], bench: str, metric: str) -> float:
    return cell["scores"]["edited"][bench][metric]["value"]


def spread(group: list[dict[str, Any]], bench: str, metric: str) -> str:
    values = [value(cell, bench, metric) for cell in group]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def locate_rows() -> str:
    if not cells("locate"):
        return "(not measured)\n"
    rows = []
    for cell in cells("locate").values():
        for row in cell["gate"]["profile"]:
            own, flipped, chance = row["own"], row["strong_flipped"], row["random_flipped"]
            rows.append(
                [
                    cell["settings"]["name"],
                    str(row["layer"]),
                    f"{row['loss_start']:.2f} to {row['loss_end']:.2f}",
                    f"{row['benign_start']:.2f} to {row['benign_end']:.2f}",
                    f"{row['converged']:.2f}",
                    f"{row['inactive']:.2f} / {row['weak']:.2f} / {row['strong']:.3f}",
                    f"{own['refused_sensitive']:.2f} / {own['refused_benign']:.2f} / {own['leak']:.2f}",
                    f"{flipped['refused_sensitive']:.2f} / {flipped['refused_benign']:.2f}",
                    f"{chance['refused_sensitive']:.2f} / {chance['refused_benign']:.2f}",
                    str(own["n"]),
                ]
            )
    header = [
        "settings",
        "layer",
        "L_sen",
        "L_ben",
        "converged",
        "inactive / weak / strong",
        "own vector: refuses sensitive / benign / leaks",
    ]
    return table([*header, "strong flipped", "random flipped", "n"], rows)


def regime_rows() -> str:
    """One row for each gate of each regime."""
    rows = []
    for folder in sorted(path for path in (FOLDER / "regimes").iterdir() if path.is_dir()):
        found = cells(f"regimes/{folder.name}")
        for name, cell in found.items():
            scores, training = cell["scores"]["edited"], cell["training"]
            rows.append(
                [
                    folder.name,
                    name,
                    f"{training['steps']}{' (limit)' if training['stopped'] == 'limit' else ''}",
                    f"{training['gradient_share'].get('subject', 0):.3f}",
                    *(share(scores[bench][metric]) for bench, metric, _ in COLUMNS if bench in scores),
                ]
            )
    return (
        table(["regime", "gate", "steps", "subject's gradient share, before the gate", *(title for _, _, title in COLUMNS)], rows)
        if rows
        else ""
    )


def layer_figure() -> None:
    """Effect and damage over the edited layer, with and without contrast subjects."""
    found = cells("layers")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for axis, kind, title in ((axes[0], "plain", "no contrast subjects"), (axes[1], "contrast", "with contrast subjects")):
        names = sorted((name for name in found if name.startswith(kind)), key=lambda name: int(name.rsplit("-", 1)[1]))
        layers = [int(name.rsplit("-", 1)[1]) for name in names]
        for bench, metric, label, style in (
            ("privacypair-test", "rta_sensitive", "edited subjects refused", "-"),
            ("unseen-both", "rta_sensitive", "unseen subjects and attributes refused", "-"),
            ("public-unseen", "attribute_refusal_rate", "unseen public subjects' harmless words refused", "--"),
            ("protected", "rta_benign", "protected subjects' benign questions refused", "--"),
        ):
            entries = [found[name]["scores"]["edited"][bench][metric] for name in names]
            line = axis.plot(layers, [entry["value"] for entry in entries], style, marker="o", markersize=3, label=label)[0]
            axis.fill_between(
                layers, [e["low"] for e in entries], [e["high"] for e in entries], color=line.get_color(), alpha=0.15, linewidth=0
            )
        axis.set(title=title, xlabel="edited layer", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("share")
    axes[1].legend(fontsize=6.5, frameon=False)
    figure.tight_layout()
    matplotlib.rcParams["svg.hashsalt"] = "neuralgate"
    figure.savefig(DOCS / "layers.svg", metadata={"Date": None})


def fixed_rows(part: str) -> str:
    """Means over seeds of every measure and gate, then the paired differences with their intervals and what they say."""
    gates = [gate for gate in ("none", "strong", "random", "closed") if fixed_steps.values(part, gate)]
    found = {gate: list(fixed_steps.values(part, gate).values()) for gate in gates}
    titles = list(found["none"][0])
    means = [[title, *(f"{sum(row[title] for row in rows) / len(rows):.3f}" for rows in found.values())] for title in titles]
    compared = [row for first, other in fixed_steps.COMPARISONS if first in found for row in fixed_steps.compare(part, first, other)]
    differences = [
        [
            row["comparison"],
            row["measure"],
            f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            f"{row['shown at least']:.3f}",
            row["verdict"],
        ]
        for row in compared
    ]
    header = ["comparison", "measure", f"difference, {compared[0]['n']} seeds", "would have been shown from", "verdict"]
    return table([f"mean of {len(found['none'])} seeds", *gates], means) + "\n" + table(header, differences)


def held_out_rows() -> str:
    """Answers of held-out samples under each kind of vector, and the shares by the number of samples."""
    found = read_json(FOLDER / "held_out.json")
    answers = [
        [row["vector"], share(row["sensitive"]), f"{row['sensitive']['subjects']} of 6", share(row["benign"]), str(row["sensitive"]["n"])]
        for row in found["answers"]
    ]
    shares = [[str(row["samples"]), *(f"{row[name]:.3f}" for name in ("inactive", "weak", "strong"))] for row in found["shares"]]
    header = ["vector", "sensitive refused", "subjects with a refusal", "benign refused", "n"]
    return table(header, answers) + "\n" + table(["samples a subject", "inactive", "weak", "strong"], shares)


def precision_rows() -> str:
    """What the model's dtype changes of vectors and gate."""
    rows = [
        [
            row["case"],
            str(row["layer"]),
            f"{row['signs']:.3f}",
            f"{row['gate']:.2f}",
            f"{row['loss_end']:.2f}",
            share(row["own"]),
            str(row["own"]["n"]),
        ]
        for row in read_json(FOLDER / "precision.json")["rows"]
    ]
    header = ["weights", "layer", "signs unlike float32's", "gate: Jaccard with float32's", "L_sen after", "own vector refuses", "n"]
    return table(header, rows)


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    gate = read_json(FOLDER / "gate/gate.json")
    main_cells = cells("main")
    if cells("layers"):
        layer_figure()
    rows = sorted((cell["row"] for cell in cells("search").values()), key=lambda row: row["layer"])
    titles = {
        "layer": "layer",
        "steps": "steps",
        "rta_sensitive": "refused: edited",
        "rta_unseen": "refused: left-out private",
        "rta_benign": "benign refused",
        "public_refused": "left-out public refused",
        "protected_refused": "protected benign refused",
        "eta": "EtA",
        "score": "score",
    }
    search = table(titles.values(), ([str(row[key]) for key in titles] for row in rows)) if rows else "(not measured)\n"
    outs = [" and ".join(trial["left_out"].values()) for trial in rows[0]["trials"]] if rows else []
    scope = [
        [out, *(f"{row['trials'][place]['rta_unseen']:.2f} / {row['trials'][place]['public_refused']:.2f}" for row in rows)]
        for place, out in enumerate(outs)
    ]
    scope_header = ["left out", *(f"layer {row['layer']}" for row in rows)]
    profile = table(
        ["layer", "inactive", "weak", "strong", "L_sen", "own vector refuses", "strong flipped", "random flipped"],
        (
            [
                str(row["layer"]),
                *(f"{row[key]:.3f}" for key in ("inactive", "weak", "strong")),
                f"{row['loss_start']:.2f} to {row['loss_end']:.2f}",
                *(f"{row[key]['refused_sensitive']:.2f}" for key in ("own", "strong_flipped", "random_flipped")),
            ]
            for row in gate["profile"]
        ),
    )
    parts = {
        "gate": f"{verdict(gate['profile'])}\n\n{profile}",
        "search": search,
        "scope": table(scope_header, scope) if scope else "(not measured)\n",
        "main": score_rows(main_cells),
        "ladder": ladder_rows(main_cells),
        "spread": spread_rows(main_cells),
        "seeds": seed_rows(main_cells),
        "layers": FIGURE + score_rows(cells("layers"), base=False) if cells("layers") else "(not measured)\n",
        "fixed": fixed_rows("main"),
        "fixed-subject": fixed_rows("subject"),
        "held-out": held_out_rows(),
        "precision": precision_rows(),
        "regimes": regime_rows() if (FOLDER / "regimes").is_dir() else "(not measured)\n",
        "locate": locate_rows(),
    }
    fill(DOCS / "evidence.md", parts)
    fill(DOCS.parent / "README.md", {"results": readme_rows()})
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
