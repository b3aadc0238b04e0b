"""The scores in rows and in words, for the report, the terminal and the comparison of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuralgate.edit_settings import GATE_TITLES
from neuralgate.questions import BENCHMARKS
from neuralgate.records.gate import GateSummary
from neuralgate.records.scores import Score, Scores, Sets

#: The shares inactive, weak and strong depend on how many samples vote, and stop to do so about here (docs/evidence.md, section 1).
ENOUGH_SAMPLES = 24
#: How many signs of Clerk's vectors the dtype of the weights changes, in %, at most over two layers (`python -m experiments.precision`).
SIGNS_CHANGED = {"bfloat16": 13, "float16": 6}

METRIC_TITLES = {
    "eta": "EtA",
    "rta_sensitive": "sensitive refused",
    "rta_benign": "benign refused",
    "leak_rate": "true value leaked",
    "benign_accuracy": "benign answered correctly",
    "refusal_rate": "refused",
    "accuracy": "answered correctly",
    "attribute_refusal_rate": "harmless attribute words refused",
    "attribute_accuracy": "harmless attribute words answered correctly",
    "valid_rate": "valid answers",
    "degenerate_rate": "degenerate answers",
    "cut_off_rate": "answers cut off",
    "agreement": "same answer as the base",
}

MANY_CUT_OFF = 0.05  # share of answers from which on they are warned about

#: Measures that should be low; all others should be high.
LOW_IS_GOOD = {"rta_benign", "leak_rate", "refusal_rate", "attribute_refusal_rate", "degenerate_rate", "cut_off_rate"}


@dataclass(frozen=True)
class Measure:
    """One row of the main table."""

    benchmark: str
    metric: str

    @property
    def title(self) -> str:
        return f"{benchmark_title(self.benchmark)}: {METRIC_TITLES.get(self.metric, self.metric)}"


#: The metrics that stand in the main table, by the part and the scorer of their benchmark.
SHOWN = {
    ("effect", "privacy"): ("eta", "leak_rate"),
    ("damage", "privacy"): ("rta_sensitive", "rta_benign"),
    ("damage", "public"): ("attribute_refusal_rate", "accuracy"),
    ("damage", "accuracy"): ("accuracy",),
}


def _shown(part: str) -> tuple[Measure, ...]:
    return tuple(
        Measure(benchmark.name, metric)
        for benchmark in BENCHMARKS.values()
        if benchmark.part == part
        for metric in SHOWN[part, benchmark.scorer]
    )


EFFECT = _shown("effect")
DAMAGE = (
    # what the edit costs where it works, and whether it leaves general answers as they were
    Measure("privacypair-test", "rta_benign"),
    Measure("privacypair-test", "benign_accuracy"),
    *_shown("damage"),
    Measure("vqa", "agreement"),
)


def benchmark_title(name: str) -> str:
    return BENCHMARKS[name].title if name in BENCHMARKS else name


def control_title(name: str) -> str:
    return GATE_TITLES.get(name, name)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def share_text(score: Mapping[str, Any]) -> str:
    """``98.9 % [97.4, 99.5]``"""
    return f"{percent(score['value'])} % [{percent(score['low'])}, {percent(score['high'])}]"


def points_text(score: Mapping[str, Any]) -> str:
    """``-0.3 points [-1.2, +0.6]``"""
    value, low, high = (_signed(score[key]) for key in ("value", "low", "high"))
    return f"{value} points [{low}, {high}]"


def _signed(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def columns(scores: Scores, edited_gate: str | None = None) -> list[tuple[str, Sets]]:
    """The columns (title, {benchmark: {metric: score}}) of the main table: base, edited, then the controls."""
    edited = f"edited ({control_title(edited_gate)})" if edited_gate else "edited"
    order = {name: place for place, name in enumerate(GATE_TITLES)}
    controls = sorted(scores["controls"], key=lambda name: (order.get(name, len(order)), name))
    named = [(control_title(name), scores["controls"][name]) for name in controls]
    return [("base", scores["base"]), (edited, scores["edited"]), *named]


def value_of(sets: Sets, measure: Measure) -> Score | None:
    return sets.get(measure.benchmark, {}).get(measure.metric)


def measured(sets: list[Sets], measures: tuple[Measure, ...]) -> list[tuple[Measure, list[Score | None]]]:
    """The measures that at least one of the columns has, with one value per column."""
    rows = [(measure, [value_of(column, measure) for column in sets]) for measure in measures]
    return [(measure, values) for measure, values in rows if any(values)]


def table(named: list[tuple[str, Sets]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows as plain strings, for a terminal table: part, benchmark, measure, then one cell per column."""
    sets = [column for _, column in named]
    rows = [
        [part, measure.benchmark, METRIC_TITLES.get(measure.metric, measure.metric), *(cell(value) for value in values)]
        for part, measures in (("effect", EFFECT), ("damage", DAMAGE))
        for measure, values in measured(sets, measures)
    ]
    return ["", "benchmark", "%", *(title for title, _ in named)], rows


def cell(score: Score | None) -> str:
    return f"{percent(score['value'])} [{percent(score['low'])}, {percent(score['high'])}] n={score['n']}" if score else ""


def claim(scores: Scores) -> str:
    """Privacy effect and damage in one sentence, each with its interval and n; parts that were not measured are left out."""
    base, edited, difference = scores["base"], scores["edited"], scores["difference"]["edited"]
    effect = []
    asked = (("privacypair-test", "the edited subjects on unseen pictures"), ("unseen-subjects", "subjects that no edit saw"))
    for benchmark, subjects in asked:
        if refused := value_of(edited, Measure(benchmark, "rta_sensitive")):
            before = f"before: {percent(base[benchmark]['rta_sensitive']['value'])} %, n = {refused['n']}"
            effect.append(f"refuses {share_text(refused)} of the sensitive questions about {subjects} ({before})")
    if leak := value_of(edited, Measure("privacypair-test", "leak_rate")):
        before = f"before: {percent(base['privacypair-test']['leak_rate']['value'])} %"
        effect.insert(1, f"leaks the true value in {share_text(leak)} of them ({before})")
    damage = []
    if refused := value_of(edited, Measure("privacypair-test", "rta_benign")):
        damage.append(f"it refuses {share_text(refused)} of the benign questions about the edited subjects (n = {refused['n']})")
    if refused := value_of(edited, Measure("public-unseen", "attribute_refusal_rate")):
        asked_of = "the questions with the sensitive words about public look-alikes that no edit saw"
        damage.append(f"{share_text(refused)} of {asked_of} (n = {refused['n']})")
    if change := value_of(difference, Measure("vqa", "accuracy")):
        damage.append(f"its accuracy on general questions changes by {points_text(change)} (n = {change['n']})")
    text = f"After the edit {scores['model']} {_listed(effect)}" if effect else f"{scores['model']} was not asked about the edited subjects"
    return f"{text}; the price: {_listed(damage)}." if damage else f"{text}; damage was not measured."


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def comparisons(scores: Scores, edited_gate: str | None = None) -> list[str]:
    """For each control, whether the edit differs from it, in words computed from the paired differences; and whether the
    gate differs from a random one where both are controls."""
    told = [_compare("Edited", edited_gate, control, sets) for control, sets in scores.get("edited_minus", {}).items()]
    between = scores.get("strong_minus_random")
    return [*told, _compare(control_title("strong").capitalize(), "strong", "random", between)] if between else told


_INTERVALS = "the 95 % intervals of their paired differences"
#: What it means when two variants do not differ.
_NO_DIFFERENCE = {
    frozenset(("none", "strong")): "This run does not show that a gate changes anything.",
    frozenset(("strong", "random")): "This run does not show that it matters which dimensions the gate picks.",
}


def _compare(first: str, gate: str | None, control: str, sets: Sets) -> str:
    # eta and leak_rate of the ladder, and the damage rows: the rows of the table above the sentence.
    found = [(measure, values[0]) for measure, values in measured([sets], EFFECT + DAMAGE) if values[0]]
    name = control_title(control)
    if not found:
        return f"{first} and {name} share no measure."
    apart = [(measure, score) for measure, score in found if score["low"] > 0 or score["high"] < 0]
    if not apart:
        measure, score = max(found, key=lambda pair: abs(pair[1]["value"]))
        largest = f"largest: {measure.title}, {points_text(score)}" if score["value"] else "all are zero"
        meaning = _NO_DIFFERENCE.get(frozenset((gate or "", control)), "")
        count = f"any of the {len(found)} measures" if len(found) > 1 else "the one measure"
        return f"{first} and {name} do not differ beyond {_INTERVALS} in {count} ({largest}). {meaning}".rstrip()
    listed = "; ".join(f"{measure.title}, {points_text(score)}, the first {_verdict(measure, score)}" for measure, score in apart)
    chance = f"With {len(found)} intervals, about {0.05 * len(found):.1f} would exclude zero by chance."
    return f"{first} and {name} differ beyond {_INTERVALS} in {len(apart)} of {len(found)} measures: {listed}. {chance}"


def _verdict(measure: Measure, score: Score) -> str:
    return "better" if (score["value"] < 0) == (measure.metric in LOW_IS_GOOD) else "worse"


def degenerate_note(scores: Scores) -> str | None:
    """A sentence when degenerate answers occurred anywhere, because every other share must be read beside them."""
    found = []
    for title, sets in columns(scores):
        rate, name = max((metrics["degenerate_rate"]["value"], name) for name, metrics in sets.items())
        if rate:
            found.append(f"{title} up to {percent(rate)} % (on {name})")
    return f"Degenerate answers (empty, repeated, off-language; never a success): {_listed(found)}." if found else None


def shares_note(gate: GateSummary) -> str:
    """How many samples the shares of a gate are of, and which votes its threshold can tell apart."""
    counts = sorted(set(gate.get("samples", {}).values()))
    if not counts:
        return ""
    low, high = counts[0], counts[-1]
    needed = int(low * gate["threshold"] + 1e-9) + 1  # votes are whole numbers
    few = f" With fewer than {ENOUGH_SAMPLES} samples a subject more dimensions seem inactive than are." if low < ENOUGH_SAMPLES else ""
    dtype = gate.get("dtype", "float32")
    changed = f"; on Clerk {dtype} changes {SIGNS_CHANGED[dtype]} % of them" if dtype in SIGNS_CHANGED else ""
    rounded = "" if dtype == "float32" else f" The votes are signs of vectors fitted on {dtype} weights, not on float32 ones{changed}."
    return (
        f"The shares are over {low if low == high else f'{low} to {high}'} samples a subject: M is a multiple of 1/{low}, and strong means "
        f"flipped in {needed} of {low} or more.{few}{rounded}"
    )


def unread_note(unread: Mapping[str, int]) -> str | None:
    """Which subjects' pairs were left out, in a sentence: where nothing is read, nothing leaks that an edit could prevent."""
    counts = [f"{subject} {count}" for subject, count in unread.items() if count]
    return f"Left out, because the base model does not read them: pairs of {', '.join(counts)}." if counts else None


def cut_off_shares(scores: Scores) -> dict[str, float]:
    """Of each column, the share of all its answers that were cut off; empty where that was not kept."""
    shares = {}
    for title, sets in columns(scores):
        found = [metrics["cut_off_rate"] for metrics in sets.values() if "cut_off_rate" in metrics]
        if found:
            shares[title] = sum(score["value"] * score["n"] for score in found) / sum(score["n"] for score in found)
    return shares


def cut_off_note(scores: Scores, tokens: int | None) -> str | None:
    """How many answers had no end within the ``tokens`` allowed, in a sentence: what would have followed, nobody has judged."""
    shares = cut_off_shares(scores)
    if not shares:
        return None
    at = "at the most tokens allowed" if tokens is None else f"at {tokens} tokens"
    if not any(shares.values()):
        return f"No answer was cut off {at}."
    said = ", ".join(f"{percent(share)} % {title}" for title, share in shares.items())
    more = " What would have followed is not judged: raise evaluate.max_new_tokens." if max(shares.values()) > MANY_CUT_OFF else ""
    return f"Answers cut off {at}: {said}.{more}"
