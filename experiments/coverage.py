"""How often do 95 % intervals cover the truth, where questions share subjects?

    python -m experiments.coverage

writes the table of docs/intervals.md. Each subject's own share is drawn from a beta distribution whose spread gives the correlation of two
questions about one subject, then eight questions are answered with it (a beta-binomial; correlation 1: all or nothing). Four kinds of
interval: Wilson's over questions; percentiles of a bootstrap over subjects, and over subjects and then questions of each; and the clustered
one of `neuralgate.evaluate.clusters`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from neuralgate.evaluate.clusters import clustered_difference, clustered_interval
from neuralgate.evaluate.intervals import Part, wilson

SUBJECTS = (4, 6, 12, 24)
CORRELATIONS = (0.0, 0.1, 0.3, 0.6, 1.0)
SHARES = (0.5, 0.8, 0.95)
QUESTIONS, ROUNDS, DRAWS = 8, 2000, 1000
METHODS = {
    "wilson": "Wilson",
    "subjects": "bootstrap: subjects",
    "pictures": "bootstrap: subjects, then questions",
    "clustered": "clustered",
}


def shares_of(uniform_RS: np.ndarray, correlation: float, share: float) -> np.ndarray:
    """A share for every subject of every round: of mean ``share``, and so spread that questions correlate."""
    from scipy.special import betaincinv

    if correlation == 0:
        return np.full(uniform_RS.shape, share)
    if correlation == 1:
        return (uniform_RS > 1 - share).astype(float)
    scale = (1 - correlation) / correlation
    return betaincinv(share * scale, (1 - share) * scale, uniform_RS)


def draw(subjects: int, questions: int, correlation: float, share: float, rounds: int, generator: np.random.Generator) -> np.ndarray:
    """Successes (rounds, subjects) of ``questions`` each."""
    return generator.binomial(questions, shares_of(generator.random((rounds, subjects)), correlation, share))


def draw_pairs(
    subjects: int, questions: int, correlation: float, first: float, second: float, rounds: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Two answers to every question, bool, and its subject: subjects that are high in the first are high in the second one half of the
    time, and so are questions."""
    units = np.repeat(np.arange(subjects), questions)
    for _ in range(rounds):
        uniform_2S, luck_2N = generator.random((2, subjects)), generator.random((2, len(units)))
        uniform_2S[1] = np.where(generator.random(subjects) < 0.5, uniform_2S[0], uniform_2S[1])
        luck_2N[1] = np.where(generator.random(len(units)) < 0.5, luck_2N[0], luck_2N[1])
        one, other = (luck_2N[i] < shares_of(uniform_2S[i], correlation, share)[units] for i, share in enumerate((first, second)))
        yield one, other, units


def ends(counts_S: np.ndarray, questions: int, method: str, generator: np.random.Generator) -> tuple[float, float]:
    """The interval of one round."""
    subjects = len(counts_S)
    n = subjects * questions
    if method == "wilson":
        return wilson(int(counts_S.sum()), n)
    if method == "clustered":
        values = np.arange(questions) < counts_S[:, None]
        found = clustered_interval([Part(values.ravel(), levels=(np.repeat(np.arange(subjects), questions),))])
        return found["low"], found["high"]
    drawn = counts_S[generator.integers(0, subjects, size=(DRAWS, subjects))]
    if method == "pictures":
        drawn = generator.binomial(questions, drawn / questions)
    low, high = np.quantile(drawn.sum(axis=1) / n, (0.025, 0.975))
    return float(low), float(high)


def share_covered(counts_RS: np.ndarray, questions: int, share: float, method: str, seed: int = 0) -> float:
    """Of the rounds, how many have the truth within their interval."""
    generator = np.random.default_rng(seed)
    found = [ends(counts_S, questions, method, generator) for counts_S in counts_RS]
    return float(np.mean([low - 1e-9 <= share <= high + 1e-9 for low, high in found]))


def rows() -> Iterator[list[str]]:
    for subjects in SUBJECTS:
        for correlation in CORRELATIONS:
            cells = []
            for method in METHODS:
                covered = []
                for share in SHARES:
                    generator = np.random.default_rng([subjects, int(100 * correlation), int(100 * share)])
                    counts = draw(subjects, QUESTIONS, correlation, share, ROUNDS, generator)
                    covered.append(share_covered(counts, QUESTIONS, share, method))
                cells.append(" / ".join(f"{100 * found:.0f}" for found in covered))
            yield [str(subjects), f"{correlation:g}", *cells]


def difference_rows() -> Iterator[list[str]]:
    """Coverage of the difference, and how often a test at 5 % sees one that is not there."""
    for subjects in SUBJECTS:
        for correlation in CORRELATIONS:
            cells = []
            for first, second in ((0.5, 0.5), (0.9, 0.9), (0.9, 0.5)):
                generator = np.random.default_rng([subjects, int(100 * correlation), int(100 * first), int(100 * second)])
                pairs = draw_pairs(subjects, QUESTIONS, correlation, first, second, ROUNDS // 2, generator)
                found = [clustered_difference([Part(one, levels=(units,))], [Part(other, levels=(units,))]) for one, other, units in pairs]
                covered = np.mean([entry["low"] - 1e-9 <= first - second <= entry["high"] + 1e-9 for entry in found])
                alarms = np.mean([entry["p"] <= 0.05 for entry in found])
                cells += [f"{100 * covered:.0f}", f"{100 * alarms:.0f}"]
            yield [str(subjects), f"{correlation:g}", *cells]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from experiments.tables import DOCS, fill, table

    header = ["subjects", "correlation", *METHODS.values()]
    pairs = [
        f"{first:g} and {second:g}: {what}" for first, second in ((0.5, 0.5), (0.9, 0.9), (0.9, 0.5)) for what in ("covered", "p <= .05")
    ]
    fill(
        DOCS / "intervals.md",
        {"coverage": table(header, rows()), "differences": table(["subjects", "correlation", *pairs], difference_rows())},
    )


if __name__ == "__main__":
    main()
