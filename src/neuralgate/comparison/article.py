"""A comparison in the shape of the article's tables 1 and 2 (https://arxiv.org/abs/2603.12598), its own numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neuralgate.comparison.choose import Reading
from neuralgate.comparison.measures import SEEN, UNSEEN, Answers, interval
from neuralgate.comparison.tables import BASE, NONE, Found, number, shown, unreached_rows

Both = tuple[float, float]  # of LLaVA-1.5 and of MiniGPT-4


@dataclass(frozen=True)
class Theirs:
    """``eta`` on PrivacyPair-test, ``refused`` on MLLMGuard, ``utility``: the mean accuracy on ScienceQA, MME and POPE."""

    refused: Both
    eta: Both | None = None
    utility: Both | None = None


#: Other models, other pictures, other questions; beside ours for the order of the methods alone.
ARTICLE: dict[str, Theirs] = {
    BASE: Theirs((0.3669, 0.4036), (0.5110, 0.5556), (0.7231, 0.5416)),
    "memit": Theirs((0.5443, 0.6635), (0.7843, 0.7110), (0.7016, 0.5483)),
    "alphaedit": Theirs((0.4525, 0.5963), (0.8049, 0.7243), (0.7098, 0.5451)),
    "dinm": Theirs((0.6972, 0.7522), (0.9402, 0.9312), (0.7321, 0.6350)),
    "sku": Theirs((0.6330, 0.7247), (0.6579, 0.6940), (0.7134, 0.5337)),
    "memflex": Theirs((0.6697, 0.8715), (0.6211, 0.6397), (0.7027, 0.2649)),
    "neural_gate": Theirs((0.7522, 0.8440), (0.9610, 0.9395), (0.7230, 0.6330)),
    "neural_gate_layers": Theirs((0.8715, 0.7476), (0.9823, 0.9213), (0.7249, 0.4553)),
    "ungated": Theirs((0.7156, 0.6147), (0.9550, 0.9014), (0.7321, 0.6042)),
    "ungated_layers": Theirs((0.7614, 0.9082), (0.9775, 0.7391), (0.7211, 0.4241)),
    # section 4.5: it looks at the question alone, so that the model plays no part
    "keyword_guardrail": Theirs((0.1743, 0.1743)),
}

#: Set of questions -> what the article asks that is most like it, and what it gives of that.
SETS = {SEEN: ("PrivacyPair-test", "EtA"), UNSEEN: ("MLLMGuard", "RtA")}


def article_header(name: str) -> list[str]:
    like, measure = SETS[name]
    ours = ("sensitive refused", "benign refused", "EtA")
    theirs = [f"the article's {measure} on {like}: LLaVA, MiniGPT-4", "the article's utility: LLaVA, MiniGPT-4"]
    return ["method", *(f"{column}, its judge" for column in ours), *ours, "scenes right", *theirs]


def article_rows(found: Found, reading: Reading, name: str) -> list[list[str]]:
    """The base model, then every method: refusals of both kinds of questions about the subjects of one set, ``name``, and EtA of these, by
    the article's judge and by the default one; accuracy at scenes as utility."""
    rows = [cells_of(BASE, [found.base_by_prefix], [found.base_answers], name)]
    for row in found.at(reading):
        rows.append(cells_of(row.entry, [result["by_prefix"] for result in row.results], found.answers[row.entry, reading], name))
    return rows + unreached_rows(found, reading, len(article_header(name)))


def cells_of(entry: str, by_prefix: Sequence[Answers], answers: Sequence[Answers], name: str) -> list[str]:
    theirs = ARTICLE.get(entry)
    beside = (theirs.eta if name == SEEN else theirs.refused, theirs.utility) if theirs else (None, None)
    return [
        entry,
        *refusals(by_prefix, name),
        *refusals(answers, name),
        shown(interval(answers, "scenes right")),
        *(", ".join(map(number, both)) if both else NONE for both in beside),
    ]


def refusals(answers: Sequence[Answers], name: str) -> list[str]:
    """Of sensitive questions, of benign ones, and EtA: the mean of the first and of what is left by the second."""
    sensitive, benign = (interval(answers, measure) for measure in (f"{name} refused", f"{name}, benign refused"))
    return [shown(sensitive), shown(benign), number((float(sensitive["value"]) + 1 - float(benign["value"])) / 2)]
