"""What stands under the figures that show trial edits and locate variants, and the criterion of every claim."""

from __future__ import annotations

import math
from typing import Any

from neuralgate.paper.figures.edit_figures import EFFECT, MEASURES
from neuralgate.paper.figures.record import PAPER_LAMBDA, PAPER_RADIUS, PAPER_THRESHOLD
from neuralgate.paper.figures.words import Answer, Words, chosen_layer, difference, score_text
from neuralgate.paper.sweeps import GATES
from neuralgate.report.summary import points_text

PARTS = tuple(measure for measure in MEASURES if measure != "eta")  # EtA is made of two of the others


def radius(analysis: dict[str, Any]) -> Words:
    """Claims (10.1, Table 4): beyond radius 3 the neighbourhood's mean falls, and the best layer lies within it. Criteria: the mean at the
    largest radius below (above) that at 3, intervals apart; the best layer within radius 3, or another one better by more than the
    intervals. The paper's edits are gated: others can only tell of themselves."""
    radii, rows = analysis["radius"], {row["radius"]: row for row in analysis["radius"]["rows"]}
    inner, outer = rows[PAPER_RADIUS], rows[max(rows)]
    about = (
        f"Highest and mean EtA of trial edits (gate: {radii['gate']}) at the layers within each radius of layer {radii['centre']}, the one "
        f"with most strong dimensions; means over {radii['rounds']} trial edits a layer, intervals from n = {inner['max']['n']} validation "
        f"questions, each counted once. {by_the_rule(radii['layers'], 'layers')} The table below has each layer's damage."
    )
    means = f"mean EtA {score_text(inner['mean'])} within radius {PAPER_RADIUS}, {score_text(outer['mean'])} within {outer['radius']}"
    if outer["layers"] == inner["layers"]:
        falls: tuple[Answer, str] = ("open", f"no located layer is farther than {PAPER_RADIUS} from the centre.")
    elif outer["mean"]["high"] < inner["mean"]["low"]:
        falls = ("agrees", f"beyond radius {PAPER_RADIUS} the mean falls ({means}).")
    elif outer["mean"]["low"] > inner["mean"]["high"]:
        falls = ("against", f"beyond radius {PAPER_RADIUS} the mean rises ({means}).")
    else:
        falls = ("open", f"the means differ by less than the intervals ({means}).")
    verdicts = falls, best_is_near(radii, inner)
    if radii["gate"] == "strong":
        return Words(about, verdicts)
    return Words(about, tuple(("open", f"these edits are not the paper's gated ones; {text}") for _, text in verdicts))


def by_the_rule(rows: list[dict[str, Any]], what: str) -> str:
    """How many trial edits a stop rule ended, and why that matters."""
    ended = sum(row["stopped"] == "converged" for row in rows)
    if not ended:
        return "No trial edit met a stop rule before its limit of steps."
    return (
        f"At {ended} of the {len(rows)} {what} the stop rule ended the edit, which looks at these very questions: their EtA says that the "
        "rule was met; what differs is the steps it took, what became of the left-out subjects, and the damage."
    )


def best_is_near(radii: dict[str, Any], inner: dict[str, Any]) -> tuple[Answer, str]:
    """Agrees: the best layer within the radius is above every layer outside it, intervals apart; against: one outside is above it."""
    outside = [row for row in radii["layers"] if row["layer"] not in inner["layers"]]
    near = f"within radius {PAPER_RADIUS} the best layer is {inner['best_layer']} with EtA {score_text(inner['max'])}"
    if not outside:
        return "open", f"{near}; no located layer is outside."
    gaps = {row["layer"]: difference(inner["max"], row["eta"]) for row in outside}
    best = max(outside, key=lambda row: row["eta"]["value"])
    text = f"{near}, outside it layer {best['layer']} with {score_text(best['eta'])}"
    if all(gap["low"] > 0 for gap in gaps.values()):
        return "agrees", f"{text}."
    return ("against", f"{text}.") if any(gap["high"] < 0 for gap in gaps.values()) else ("open", f"{text}: within the intervals.")


def sweep_about(analysis: dict[str, Any], name: str, of: str) -> str:
    first = analysis["sweeps"][name][0]
    counts = ", ".join(f"{title} {first[measure]['n']}" for measure, title in MEASURES.items() if first[measure])
    return (
        f"Trial edits at {chosen_layer(analysis)} for {of}, each with the strong gate, a random one of equal size and none, on "
        f"validation pairs (one left-out private and one left-out public subject; n: {counts}). One edit and one random gate each: the "
        f"95 % intervals are over questions only. {by_the_rule(analysis['sweeps'][name], 'points')}"
    )


def best_value(analysis: dict[str, Any], name: str, claimed: float) -> tuple[Answer, str]:
    """Is the paper's value the best one in EtA with the strong gate? Agrees: above every other, intervals of the differences apart;
    against: some other above it, intervals apart. Edits that the stop rule ended all met it: nothing can be told."""
    strong = [row for row in analysis["sweeps"][name] if row["gate"] == "strong" and row["eta"]]
    if all(row["stopped"] == "converged" for row in strong):
        steps = ", ".join(f"{row['steps']} at {row['value']:g}" for row in strong)
        unseen = ", ".join(f"{score_text(row['rta_unseen'])} at {row['value']:g}" for row in strong if row["rta_unseen"])
        text = f"every edit with the strong gate met the stop rule, in so many steps: {steps}"
        return "open", f"{text}; refused of the left-out private subject: {unseen or 'not measured'}."
    eta = {row["value"]: row["eta"] for row in strong}
    others = {value: difference(eta[claimed], score) for value, score in eta.items() if value != claimed}
    top = max(eta, key=lambda value: eta[value]["value"])
    listed = f"EtA at {claimed:g} is {score_text(eta[claimed])}; the highest is {score_text(eta[top])} at {top:g}"
    if all(gap["low"] > 0 for gap in others.values()):
        return "agrees", f"{listed}, above every other value beyond the intervals."
    worse = [value for value, gap in others.items() if gap["high"] < 0]
    if worse:
        return "against", f"{listed}; better beyond the intervals: {', '.join(f'{value:g}' for value in worse)}."
    below = [value for value, gap in others.items() if gap["low"] > 0]
    apart = f"only {', '.join(f'{value:g}' for value in below)} can be told from it" if below else "no other value can be told from it"
    return "open", f"{listed}; {apart}."


def gate_against_random(analysis: dict[str, Any], name: str) -> tuple[Answer, str]:
    """Claim (3.3, Table 2): which dimensions the gate lets through matters. Differences of strong and random over all measures, and over
    all values with a gate of their own; beyond their intervals more often than 97.5 % of draws by chance (binomial, 5 % each), all for the
    better (worse), agrees (is against)."""
    rows = {(row["value"], row["gate"]): row for row in analysis["sweeps"][name]}
    better: list[str] = []
    worse: list[str] = []
    compared, largest = 0, (0.0, "")
    thresholds = {row["value"]: row["threshold"] for row in analysis["sweeps"][name]}
    of_gate: dict[float, float] = {}  # the first value of those that open the same dimensions
    for value, threshold in thresholds.items():
        of_gate.setdefault(threshold, value)
    for value in of_gate.values() if name == "threshold" else thresholds:
        for measure in PARTS:
            first, second = rows[value, GATES[0]][measure], rows[value, GATES[1]][measure]
            if not first or not second:
                continue
            gap = difference(first, second)
            compared += 1
            is_better = (gap["value"] > 0) == (measure in (*EFFECT, "benign_accuracy"))
            if gap["low"] > 0 or gap["high"] < 0:
                (better if is_better else worse).append(f"{MEASURES[measure]} at {value:g}, {points_text(gap)}")
            if abs(gap["value"]) > largest[0]:
                largest = (abs(gap["value"]), f"{MEASURES[measure]} at {value:g}, {points_text(gap)}")
    by_chance = f"about {0.05 * compared:.1f} of {compared} would by chance"
    if not better and not worse:
        most = f" (largest: {largest[1]})" if largest[1] else ""
        return "open", f"strong gate and random gate differ beyond the intervals in none of {compared} comparisons{most}."
    sentence = f"strong gate and random gate differ beyond the intervals in {len(better) + len(worse)} comparisons ({by_chance}): "
    sentence += (
        "; ".join([*(f"{text}, the strong one better" for text in better), *(f"{text}, the strong one worse" for text in worse)]) + "."
    )
    if (better and worse) or len(better) + len(worse) <= by_chance_at_most(compared):
        return "open", sentence
    return ("agrees" if better else "against"), sentence


def by_chance_at_most(count: int) -> int:
    """How many of ``count`` 95 % intervals miss the truth in at most 97.5 % of draws."""
    below = 0.0
    for missed in range(count + 1):
        below += math.comb(count, missed) * 0.05**missed * 0.95 ** (count - missed)
        if below >= 0.975:
            return missed
    return count


def weight(analysis: dict[str, Any]) -> Words:
    """Claim (Fig. 4): the default lambda is best, 1.0 and 1.5 are inferior; its value is lost in the text, 1.25 is the code's."""
    about = sweep_about(analysis, "lambda", "each weight lambda of the benign loss, when the gate is located and in the edit")
    about += f" The paper's best value is lost in its text; {PAPER_LAMBDA} is the authors' code's, 1.0 and 1.5 are called inferior."
    return Words(about, (best_value(analysis, "lambda", PAPER_LAMBDA), gate_against_random(analysis, "lambda")))


def threshold(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3): 30 % balances consistency and coverage."""
    about = sweep_about(analysis, "threshold", "each threshold of the gate")
    same = {row["value"]: row["threshold"] for row in analysis["sweeps"]["threshold"] if row["value"] != row["threshold"]}
    if same:
        about += " The same gate, and so the same edit: " + ", ".join(f"{value:g} as {other:g}" for value, other in same.items()) + "."
    return Words(about, (best_value(analysis, "threshold", PAPER_THRESHOLD), gate_against_random(analysis, "threshold")))


def sensitivity(analysis: dict[str, Any]) -> Words:
    rows = analysis["sensitivity"]
    n = rows[0]["own"]["refused_sensitive"]["n"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    about = (
        f"Locate again with one setting changed, at layer {' and '.join(map(str, layers))} (n = {n} samples): strong share, sensitive loss "
        "after, refusals under each sample's own vector with 95 % intervals, and Jaccard's index of the strong dimensions with the run's "
        "own. The table has the aggregated gate and the random set beside them."
    )
    if analysis["locate"]["start"] != 1:
        about += " The other parametrisation starts at 1."
    sentences = []
    for layer in layers:
        mine = [row for row in rows if row["layer"] == layer and not row["is_own"]]
        least, most = min(mine, key=lambda row: row["strong"]), max(mine, key=lambda row: row["strong"])
        far = [row["overlap"]["value"] for row in mine if row["overlap"]]
        sentences.append(
            f"at layer {layer} the strong share runs from {100 * least['strong']:.1f} % ({named(least)}) to {100 * most['strong']:.1f} % "
            f"({named(most)})" + (f", the overlap with the own gate from {min(far):.2f} to {max(far):.2f}" if far else "")
        )
    return Words(about, (("none", f"it fixes these settings without a comparison, but for lambda. Here {'; '.join(sentences)}."),))


def named(row: dict[str, Any]) -> str:
    return f"{row['setting']} {row['value']}"
