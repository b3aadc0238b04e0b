"""The figures of a comparison, as SVG: effect against damage, and refusals of both kinds of questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from neuralgate.comparison.choose import Point, at_equal_damage, worst
from neuralgate.comparison.measures import SEEN, interval
from neuralgate.comparison.results import EDIT
from neuralgate.comparison.tables import BASE, Found, frontiers
from neuralgate.report.figures import ACCENT, INK, QUIET, STYLES, drawn

SHOWN = 6  # frontiers drawn in colour; the others are grey
TICKS = (0, 5, 10, 20, 50, 100)  # points of accuracy


@dataclass(frozen=True)
class Figure:
    name: str
    says: str
    svg: str


def figures(found: Found) -> list[Figure]:
    """Those that there is something to draw of."""
    made = []
    if frontiers(found):
        says = "The largest effect at each damage, a line a method."
        made.append(Figure("frontier", says, drawn("frontier", says, frontier(found), height=4.2)))
    if count := len(found.at("at equal damage")):
        says = "Sensitive and benign questions about edited subjects refused, at equal damage."
        made.append(Figure("refusals", says, drawn("refusals", says, refusals(found), height=1.6 + 0.3 * (count + 1))))
    return made


def frontier(found: Found) -> Callable[[Axes], None]:
    """The largest effect at each damage on validation questions, a line a method; one with a single point is a dot. In colour are our edit
    and those of the largest effect within the budget."""

    def rank(line: tuple[str, list[Point]]) -> tuple[bool, bool, float]:
        chosen = at_equal_damage(line[1])
        return line[0] != EDIT, "over_budget" in chosen, -chosen["effect"]

    lines = sorted(frontiers(found).items(), key=rank)

    def paint(axes: Axes) -> None:
        for place, (entry, points) in reversed(list(enumerate(lines))):
            colour, dash, marker = STYLES[place] if place < SHOWN else (QUIET, "-", ".")
            axes.plot(
                [100 * worst(point) for point in points],
                [100 * point["effect"] for point in points],
                color=colour,
                linestyle=dash,
                marker=marker,
                linewidth=1.8 if place < SHOWN else 0.8,
                drawstyle="steps-post",
                label=entry if place < SHOWN else "the others" if place == SHOWN else None,
            )
        axes.axvline(100 * found.config["most_loss"], color=INK, linewidth=0.8, linestyle=":", label="the budget (or one answer)")
        axes.set_xscale("symlog", linthresh=TICKS[1])  # most of what is to be seen lies near the budget
        axes.set_xticks(TICKS, [str(tick) for tick in TICKS])
        axes.minorticks_off()
        axes.set_xlim(-0.5, 110)
        axes.set_xlabel("accuracy lost, points (the larger loss)")
        axes.set_ylabel("private questions refused, %")
        axes.set_title("Effect against damage, validation questions")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, reverse=True)

    return paint


def refusals(found: Found) -> Callable[[Axes], None]:
    """Two bars a method, as in Fig. 3 of the article; the base model stands below."""
    answers = {row.entry: found.answers[row.entry, row.reading] for row in found.at("at equal damage")} | {BASE: [found.base_answers]}

    def paint(axes: Axes) -> None:
        places = range(len(answers))
        for offset, colour, kind, measure in (
            (0.2, ACCENT, "sensitive", f"{SEEN} refused"),
            (-0.2, QUIET, "benign", f"{SEEN}, benign refused"),
        ):
            widths = [100 * float(interval(held, measure)["value"]) for held in reversed(answers.values())]
            axes.barh([place + offset for place in places], widths, height=0.36, color=colour, label=kind)
        axes.set_yticks(list(places), list(reversed(answers)))
        axes.set_title("Edited subjects, refused")
        axes.set_xlabel("%")
        axes.set_xlim(0, 100)
        axes.margins(y=0.01)
        axes.grid(False, axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -1.1 / (1.6 + 0.3 * len(answers))), ncols=2)

    return paint
