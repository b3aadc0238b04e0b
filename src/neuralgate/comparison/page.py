"""A comparison for readers: one self-contained HTML page, the same as Markdown, and the figure of effect against damage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from neuralgate.comparison.choose import READINGS, worst
from neuralgate.comparison.claims import CLAIM_HEADER, claim_rows
from neuralgate.comparison.more_tables import TOGETHER_HEADER, sequence_rows, together_rows
from neuralgate.comparison.tables import (
    ARTICLE_HEADER,
    COST_HEADER,
    HEADER,
    MAIN,
    PROMISE_HEADER,
    Found,
    article_rows,
    cost_rows,
    frontiers,
    informative,
    promise_rows,
    shown,
    table_rows,
)
from neuralgate.files import write_text
from neuralgate.report.figures import INK, QUIET, STYLES, drawn
from neuralgate.report.html import fill

SHOWN = 6  # frontiers drawn in colour; the others are grey

Table = tuple[str, str, list[str], list[list[str]]]  # title, what it says, header, rows


def lead(found: Found) -> str:
    """What a practitioner takes from it, in a few sentences; nothing where no method was tested."""
    rows = [row for row in found.at("at equal damage") if not row.over_budget]
    if not rows:
        return ""
    first, *others = (
        f"{row.entry} {shown(row.cells[MAIN])} (look-alikes refused {shown(row.cells['look-alikes refused'])})" for row in rows[:3]
    )
    most = f"{100 * found.config['most_loss']:g} points"
    said = (
        f"At equal damage (at most {most} of accuracy lost on validation questions) the largest share of questions about private subjects "
        f"that nobody saw is refused by {first}" + (f", then {' and '.join(others)}. " if others else ". ")
    )
    words: dict[str, list[str]] = {}
    for row in found.at("at equal damage"):
        if row.against:
            words.setdefault(informative(row), []).append(row.entry)
    controls = [
        f"{word}: {', '.join(words[word])}" for word in ("more than random", "as random", "less than random", "undecided") if word in words
    ]
    return said + (f"Against random controls of the same size, {'; '.join(controls)}." if controls else "No random control was tested.")


def notes(found: Found) -> list[str]:
    """What a reader must know before reading a number."""
    config = found.config
    n, clusters = (found.base["unseen private refused"][name] for name in ("n", "clusters"))
    lines = list(filter(None, [lead(found)]))
    also_seeds = ", no narrower than those over seeds and subjects, as both are drawn" if config["seeds"] > 1 else ""
    lines += [
        f"Model: {found.model}. Every method is trained on the same pairs about {config['trained_subjects']} private subjects. Up to "
        f"{config['budget']} of its settings are tried on validation questions about them and about private subjects that it does not see. "
        f"It is tested once, with {config['seeds']} seed{'s' * (config['seeds'] > 1)}, on {clusters} private subjects that neither "
        f"saw ({n} questions a seed) and on public look-alikes.",
        f"At equal damage: the point of largest effect on validation questions whose benign and general accuracy lost are at most "
        f"{100 * config['most_loss']:g} points. At equal privacy: the point of least damage that refuses at least "
        f"{100 * config['least_refused']:g} % of the private validation questions. As published: the method's defaults, with its own rule "
        "of when to stop.",
        f"Shares with 95 % intervals by subjects{also_seeds}; right answers and protected subjects as differences from the base model. "
        "The random control has the same settings and strength; its difference is in unseen private subjects refused, with Holm's "
        "correction over the methods.",
    ]
    lines += [f"Not in the tables: {name} ({why})." for name, why in found.missing.items()]
    return lines


def tables(found: Found) -> list[Table]:
    """All of them, in their order."""
    made: list[Table] = [("The article's sentences", "Each beside the number that it is held against.", CLAIM_HEADER, claim_rows(found))]
    for reading in reversed(READINGS):
        if found.at(reading):
            made.append((f"Effect and damage, {reading}", "", HEADER, table_rows(found, reading)))
    for reading in reversed(READINGS):
        if found.at(reading):
            title = f"In the shape of the article's tables, {reading}"
            says = (
                "Subjects that no edit saw, EtA by the default judge. The article's numbers are of its own models and its edited subjects."
            )
            made.append((title, says, ARTICLE_HEADER, article_rows(found, reading)))
    if found.together:
        says = (
            "The edit at the strength of largest effect at which the whole stays within the budget of damage, on validation questions; "
            "each combination beside the same without the edit."
        )
        made.append(("The edit with what people already put around a model", says, TOGETHER_HEADER, together_rows(found)))
    header, rows = sequence_rows(found)
    if rows:
        says = (
            "Each edit on the model that those before left, at the settings of equal damage; trained methods take a fourth of the steps. "
            "Validation questions, one seed; divergence in nats a token at benign answers."
        )
        made.append(("Subjects one after another", says, header, rows))
    promises = (
        "Upper bounds at 95 % by subjects, for subjects drawn as these were (evaluate/promise.py); no attack is covered. Each seed's edit "
        "has a bound of its own, of which the largest stands here; leaks are of subjects of which the base model leaks something."
    )
    made.append(("What can be promised, at equal damage", promises, PROMISE_HEADER, promise_rows(found, "at equal damage")))
    made.append(("Cost, at equal damage", "Means over seeds.", COST_HEADER, cost_rows(found, "at equal damage")))
    return made


def frontier_figure(found: Found) -> str:
    """The largest effect at each damage on validation questions, a line a method; as SVG."""
    lines = sorted(frontiers(found).items(), key=lambda item: -max(point["effect"] - worst(point) for point in item[1]))

    def paint(axes: Axes) -> None:
        for place, (entry, points) in reversed(list(enumerate(lines))):
            colour, dash, marker = STYLES[place] if place < SHOWN else (QUIET, "-", "")
            axes.plot(
                [100 * worst(point) for point in points],
                [100 * point["effect"] for point in points],
                color=colour,
                linestyle=dash,
                marker=marker,
                linewidth=1.8 if place < SHOWN else 0.8,
                drawstyle="steps-post",
                label=entry if place < SHOWN else None,
            )
        axes.axvline(100 * found.config["most_loss"], color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("accuracy lost, points (the larger loss)")
        axes.set_ylabel("private questions refused, %")
        axes.set_title("Effect against damage, validation questions")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)

    return drawn("frontier", "The largest effect at each damage, a line a method.", paint, height=4.2)


def page(found: Found) -> str:
    """The HTML page; every text of the results escaped."""
    figure = [Markup(frontier_figure(found))] if frontiers(found) else []
    values: dict[str, Any] = {"model": found.model, "notes": notes(found), "tables": tables(found), "figures": figure}
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
