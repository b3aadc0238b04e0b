"""A comparison for readers: one self-contained HTML page, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from neuralgate.comparison.article import SETS, article_header, article_rows
from neuralgate.comparison.choose import READINGS, Reading
from neuralgate.comparison.claims import CLAIM_HEADER, claim_rows
from neuralgate.comparison.control_table import CONTROL_HEADER, control_rows, informative
from neuralgate.comparison.figures import figures
from neuralgate.comparison.more_tables import (
    AGAINST_HEADER,
    DONE_HEADER,
    TOGETHER_HEADER,
    against_edit_rows,
    done_rows,
    sequence_rows,
    together_rows,
)
from neuralgate.comparison.results import EDIT
from neuralgate.comparison.tables import (
    COST_HEADER,
    HEADER,
    MAIN,
    PROMISE_HEADER,
    Found,
    cost_rows,
    promise_rows,
    shown,
    table_rows,
    unreached_rows,
)
from neuralgate.files import write_text
from neuralgate.report.html import fill

Table = tuple[str, str, list[str], list[list[str]]]  # title, what it says, header, rows

AT: Reading = "at equal damage"
CONTROLS = (
    "Each method and the same with something drawn at random, at the same settings and strength; differences question by question, p by "
    "Holm over the methods, of refusals and of leaks apart. More than random: unseen private subjects are refused more or leak less, with "
    "p of at most .05, and neither more look-alikes are refused nor fewer benign answers right (p of at most .05 each); else it is more, "
    "at more damage. As random: both differences within .05. No place: the control draws noise, or other words or answers."
)
DONE = (
    "The share of gradient norms that arrives at each kind of token, before any gate (means over seeds), at the FFN of the highest edited "
    "layer alone: the last of all has none but from answers. Beside it what the method noted with the first seed. Methods that train "
    "nothing and note nothing are left out."
)
COSTS = (
    "Means over seeds. Beforehand: locating, statistics and scores, whatever must be known before the edit. Bytes: what is stored of it."
)


def lead(found: Found) -> str:
    """What a practitioner takes from it, in a few sentences; nothing where no method was tested."""
    if not found.at(AT):
        return ""
    told = [
        f"{row.entry} {shown(row.cells[MAIN])} (look-alikes refused {shown(row.cells['look-alikes refused'])})"
        for row in found.at(AT)
        if not row.over_budget
    ]
    most = f"at most {100 * found.config['most_loss']:g} points of accuracy, or one answer, lost on validation questions"
    said = f"At equal damage ({most}) "
    if told:
        said += f"the largest share of questions about private subjects that nobody saw is refused by {told[0]}"
        said += f", then {' and '.join(told[1:3])}. " if told[1:] else ". "
    else:
        said += "no method has a point. "
    return said + carried(found) + (informative(found) or "No random control was tested.")


def carried(found: Found) -> str:
    """How many of the methods within the budget keep it on the test's look-alikes, which are other subjects; empty where there are none."""
    within = [row for row in found.at(AT) if not row.over_budget]
    lost = [row for row in within if float(row.cells["look-alikes right"]["high"]) < -found.config["most_loss"]]
    if not within:
        return ""
    return f"Of {len(within)} methods within this budget {len(lost)} lose more than it on the test's look-alikes, by the whole interval. "


def notes(found: Found) -> list[str]:
    """What a reader must know before reading a number."""
    config = found.config
    n, clusters = (found.base["unseen private refused"][name] for name in ("n", "clusters"))
    lines, most = list(filter(None, [lead(found)])), config["most_loss"]
    few = f" (where fewer than {1 / most:.0f} questions are asked)" if most else ""
    also_seeds = ", no narrower than those over seeds and subjects, as both are drawn" if config["seeds"] > 1 else ""
    lines += [
        f"Model: {found.model}. Every method is trained on the same pairs about {config['trained_subjects']} private subjects. Up to "
        f"{config['budget']} of its settings are tried on validation questions about them and about private subjects that it does not see. "
        f"It is tested once, with {config['seeds']} seed{'s' * (config['seeds'] > 1)}, on {clusters} private subjects that neither "
        f"saw ({n} questions a seed) and on public look-alikes.",
        f"At equal damage: the point of largest effect on validation questions whose benign and general accuracy lost are at most "
        f"{100 * most:g} points, or one answer where that is more{few}; where there is none, the point that is beyond by the least, marked "
        f"as over the budget. At equal privacy: the point of least damage that refuses at least {100 * config['least_refused']:g} % of the "
        "private validation questions. As published: the method's defaults without contrast pairs, at .3 of the depth where the method "
        "leaves its layer open, stopped by its own rule.",
        f"Shares with 95 % intervals by subjects{also_seeds}; right answers and protected subjects as differences from the base model. "
        "Divergence from the base model in nats a token of its own answers to test questions, where nothing around the model answers.",
    ]
    return lines + lacking(found)


def lacking(found: Found) -> list[str]:
    """What is not in the tables, a sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in found.missing.items():
        by_reason.setdefault(why.rstrip("."), []).append(name)
    return [f"Not in the tables: {'; '.join(names)} ({why})." for why, names in by_reason.items()]


def tables(found: Found) -> list[Table]:
    """All of them, in their order."""
    made: list[Table] = [("The article's sentences", "Each beside the number that it is held against.", CLAIM_HEADER, claim_rows(found))]
    readings = [reading for reading in reversed(READINGS) if found.at(reading) or unreached_rows(found, reading, len(HEADER))]
    for reading in readings:
        made.append((f"Effect and damage, {reading}", "", HEADER, table_rows(found, reading)))
    if rows := against_edit_rows(found, AT):
        says = "Each method minus the gate, question by question; p of the first difference by Holm over the methods."
        made.append((f"Against {EDIT}, {AT}", says, AGAINST_HEADER, rows))
    if found.controls:
        made.append(("Against random controls, at equal damage", CONTROLS, CONTROL_HEADER, control_rows(found)))
    for name, (like, _) in SETS.items():
        for reading in readings:
            says = (
                f"Questions about {name} subjects, and what the article gives for {like}: its numbers are of its own models and questions; "
                "its utility is the mean accuracy on ScienceQA, MME and POPE."
            )
            title = f"In the shape of the article's tables, {name} subjects, {reading}"
            made.append((title, says, article_header(name), article_rows(found, reading, name)))
    if found.together:
        says = (
            "The edit at the strength of largest effect at which the whole stays within the budget of damage, on validation questions, by "
            "which guards alone are marked, too; each combination beside the same without the edit."
        )
        made.append(("The edit with what people already put around a model", says, TOGETHER_HEADER, together_rows(found)))
    header, rows = sequence_rows(found)
    if rows:
        says = (
            "Each edit on the model that those before left, at the settings of equal damage; trained methods take a fourth of the steps. "
            "Validation questions, one seed; divergence in nats a token at benign answers. AlphaEdit is solved anew each time, without its "
            "memory of the keys of earlier edits."
        )
        made.append(("Subjects one after another", says, header, rows))
    if rows := done_rows(found, AT):
        made.append((f"What the edits did, {AT}", DONE, DONE_HEADER, rows))
    promises = (
        "Upper bounds at 95 % by subjects, for subjects drawn as these were (evaluate/promise.py); no attack is covered. Each seed's edit "
        "has a bound of its own, of which the largest stands here; leaks are of subjects of which the base model leaks something."
    )
    made.append(("What can be promised, at equal damage", promises, PROMISE_HEADER, promise_rows(found, AT)))
    made.append(("Cost, at equal damage", COSTS, COST_HEADER, cost_rows(found, AT)))
    return made


def page(found: Found) -> str:
    """The HTML page; every text of the results escaped."""
    pictures = [Markup(figure.svg) for figure in figures(found)]
    values: dict[str, Any] = {"model": found.model, "notes": notes(found), "tables": tables(found), "figures": pictures}
    return fill("methods.html.jinja", **values)


def markdown(found: Found) -> str:
    """The notes and tables for docs."""
    parts = ["\n\n".join(notes(found))]
    for title, says, header, rows in tables(found):
        parts.append("\n\n".join(filter(None, (f"### {title}", says, markdown_table(header, rows)))))
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write_page(found: Found, folder: Path) -> Path:
    """``comparison.html`` and ``comparison.md`` in the comparison's folder; returns the page's path."""
    write_text(folder / "comparison.md", markdown(found))
    write_text(folder / "comparison.html", page(found))
    return folder / "comparison.html"
