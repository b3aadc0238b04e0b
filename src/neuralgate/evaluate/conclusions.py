"""What scores leave open, in words."""

from __future__ import annotations

from neuralgate.evaluate.intervals import wilson
from neuralgate.questions import BENCHMARKS
from neuralgate.records.scores import Score, Scores

FEW_SUBJECTS = 10
FEWEST_TO_DIFFER = 6  # all of k subjects in one direction: p is 2 of 2^k, which five subjects cannot bring to 0.05


def cannot_conclude(scores: Scores) -> list[str]:
    """A sentence for each number of subjects below ten, and for what is asked about one picture; none for scores that do not know their
    subjects."""
    groups: dict[int, list[str]] = {}
    single = []
    for benchmark, metrics in scores["base"].items():
        counts = [len(subjects) for subjects in scores.get("subjects", {}).get("base", {}).get(benchmark, {}).values()]
        if counts and max(counts) < FEW_SUBJECTS:
            groups.setdefault(max(counts), []).append(_title(benchmark))
        if all(_is_of_one_picture(score) for score in metrics.values()):
            single.append(_title(benchmark))
    sentences = [_of_subjects(count, groups[count]) for count in sorted(groups, reverse=True)]
    if single:
        sentences.append(f"{'; '.join(single)}: all about one picture. The intervals say nothing about other pictures.")
    return sentences


def _title(benchmark: str) -> str:
    return BENCHMARKS[benchmark].title if benchmark in BENCHMARKS else benchmark


def _is_of_one_picture(score: Score) -> bool:
    return score.get("clusters") == 1 < score["n"]


def _of_subjects(count: int, titles: list[str]) -> str:
    listed = "; ".join(titles)
    if count == 1:
        return f"{listed}: one subject. The intervals are over its pictures and say nothing about other subjects."
    beyond = f"even where all {count} agree, a share among others may lie {100 * (1 - wilson(count, count)[0]):.0f} points away"
    if count < FEWEST_TO_DIFFER:
        beyond += f", and no difference of two variants, however large, has a p below {2 / 2**count:.2g}"
    each = " each" if len(titles) > 1 else ""
    return f"{listed}: {count} subjects{each}. What holds for them need not hold for others: {beyond}."
