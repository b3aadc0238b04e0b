"""The scores in rows and in words, for the report, the terminal and the comparison of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuralgate.edit_settings import GATE_TITLES
from neuralgate.questions import BENCHMARKS
from neuralgate.records.scores import Score, Scores, Sets

METRIC_TITLES = {
    "withheld_rate": "withheld: refused and not leaked",
    "eta": "EtA",
    "rta_sensitive": "sensitive refused",
    "rta_benign": "benign refused",
    "leak_rate": "true value leaked",
    "partial_leak_rate": "leaked in part",
    "evaded_rate": "evaded: neither refused nor leaked",
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

#: Measures that should be low; all others should be high.
LOW_IS_GOOD = {
    "rta_benign",
    "leak_rate",
    "partial_leak_rate",
    "evaded_rate",
    "refusal_rate",
    "attribute_refusal_rate",
    "degenerate_rate",
    "cut_off_rate",
}


@dataclass(frozen=True)
class Measure:
    """One row of the main table; with ``beside`` only where its benchmark has that metric, too, which older runs lack."""

    benchmark: str
    metric: str
    beside: str = ""

    @property
    def title(self) -> str:
        return f"{benchmark_title(self.benchmark)}: {METRIC_TITLES.get(self.metric, self.metric)}"


#: The metrics that stand in the main table, by the part and the scorer of their benchmark. Of the sensitive questions withheld, leaked and
#: evaded add up to all: the success, the failure, and what EtA is blind to.
MAIN_METRICS = {
    ("effect", "privacy"): ("withheld_rate", "rta_sensitive", "eta", "leak_rate", "partial_leak_rate", "evaded_rate"),
    ("damage", "privacy"): ("rta_sensitive", "rta_benign"),
    ("damage", "public"): ("attribute_refusal_rate", "accuracy"),
    ("damage", "accuracy"): ("accuracy",),
}


def _measures(part: str) -> tuple[Measure, ...]:
    return tuple(
        Measure(benchmark.name, metric, "withheld_rate" if (part, metric) == ("effect", "rta_sensitive") else "")
        for benchmark in BENCHMARKS.values()
        if benchmark.part == part
        for metric in MAIN_METRICS[part, benchmark.scorer]
    )


EFFECT = _measures("effect")
DAMAGE = (
    # what the edit costs where it works, and whether it leaves general answers as they were
    Measure("privacypair-test", "rta_benign"),
    Measure("privacypair-test", "benign_accuracy"),
    *_measures("damage"),
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
    named = [(control_title(name), scores["controls"][name]) for name in controls_of(scores)]
    return [("base", scores["base"]), (edited, scores["edited"]), *named]


def controls_of(scores: Scores) -> list[str]:
    """The variants beside base and edited, in the order in which they are shown."""
    order = {name: place for place, name in enumerate(GATE_TITLES)}
    return sorted(scores["controls"], key=lambda name: (order.get(name, len(order)), name))


def sets_of(sets: Sets, measure: Measure) -> dict[str, Score]:
    return sets.get(measure.benchmark, {})


def value_of(sets: Sets, measure: Measure) -> Score | None:
    return sets_of(sets, measure).get(measure.metric)


def measured(sets: list[Sets], measures: tuple[Measure, ...]) -> list[tuple[Measure, list[Score | None]]]:
    """The measures that at least one of the columns has, with one value per column."""
    wanted = [measure for measure in measures if not measure.beside or any(measure.beside in sets_of(column, measure) for column in sets)]
    rows = [(measure, [value_of(column, measure) for column in sets]) for measure in wanted]
    return [(measure, values) for measure, values in rows if any(values)]


def table(named: list[tuple[str, Sets]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows as plain strings, for a terminal table: part, benchmark, measure, then one cell per column."""
    sets = [column for _, column in named]
    rows = [
        [part, measure.benchmark, METRIC_TITLES.get(measure.metric, measure.metric), *(cell(value) for value in values)]
        for part, measures in (("effect", EFFECT), ("damage", DAMAGE))
        for measure, values in measured(sets, measures)
    ]
    clustered = any("clusters" in score for column in sets for metrics in column.values() for score in metrics.values())
    return ["", "benchmark", f"%{COUNTS if clustered else ''}", *(title for title, _ in named)], rows


COUNTS = ", n/clusters/effective n"


def cell(score: Score | None) -> str:
    """``98.9 [97.4, 99.5] n=48``, of clustered scores ``n=48/6/9.3``: questions, clusters, effective n."""
    if not score:
        return ""
    counts = f"/{score['clusters']}/{score['effective_n']:.1f}" if "clusters" in score and "effective_n" in score else ""
    return f"{percent(score['value'])} [{percent(score['low'])}, {percent(score['high'])}] n={score['n']}{counts}"


def claim(scores: Scores) -> str:
    """Privacy effect and damage in one sentence, each with its interval and n; parts that were not measured are left out."""
    base, edited, difference = scores["base"], scores["edited"], scores["difference"]["edited"]
    effect = []
    groups = (("privacypair-test", "the edited subjects on unseen pictures"), ("unseen-subjects", "subjects that no edit saw"))
    for benchmark, subjects in groups:
        # the success; older runs do not have it
        metric = "withheld_rate" if "withheld_rate" in edited.get(benchmark, {}) else "rta_sensitive"
        if share := value_of(edited, Measure(benchmark, metric)):
            verb = "withholds" if metric == "withheld_rate" else "refuses"
            what = "the answers to" if metric == "withheld_rate" else "the"
            of = f"{share_text(share)} of {what} sensitive questions about {subjects}"
            before = f"before: {percent(base[benchmark][metric]['value'])} %, {count_text(share)}"
            effect.append(f"{verb} {of} ({before})")
    if leak := value_of(edited, Measure("privacypair-test", "leak_rate")):
        before = f"before: {percent(base['privacypair-test']['leak_rate']['value'])} %"
        effect.insert(1, f"leaks the true value in {share_text(leak)} of them ({before})")
    damage = []
    if refused := value_of(edited, Measure("privacypair-test", "rta_benign")):
        damage.append(f"it refuses {share_text(refused)} of the benign questions about the edited subjects ({count_text(refused)})")
    if refused := value_of(edited, Measure("public-unseen", "attribute_refusal_rate")):
        questions = "the questions with the sensitive words about public look-alikes that no edit saw"
        damage.append(f"{share_text(refused)} of {questions} ({count_text(refused)})")
    if change := value_of(difference, Measure("vqa", "accuracy")):
        damage.append(f"its accuracy on general questions changes by {points_text(change)} ({count_text(change)})")
    text = f"After the edit {scores['model']} {listed(effect)}" if effect else f"{scores['model']} was not asked about the edited subjects"
    return f"{text}; the price: {listed(damage)}." if damage else f"{text}; damage was not measured."


def count_text(score: Score) -> str:
    """``n = 48``, with the clusters that these are of where that is known."""
    return f"n = {score['n']}" + (f" in {score['clusters']} clusters" if "clusters" in score else "")


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
