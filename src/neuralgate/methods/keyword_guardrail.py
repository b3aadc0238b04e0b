"""A keyword guardrail: refuse every question that holds one of the words which tell sensitive training questions from benign ones.

    log-odds(w) = log (s + 1/2) / (S - s + 1/2) - log (b + 1/2) / (B - b + 1/2)

s of the S sensitive training questions and b of the B others hold the word w. The words of the largest log-odds are the filter. The model
is left as it is and never asked; a paraphrase passes. Its control refuses as many words of the same questions, drawn at random.

Paper: https://arxiv.org/abs/2603.12598 (section 4.5, the guardrail that it compares with).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from neuralgate.edit_settings import MethodConfig
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.interventions.filter import Filter
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2603.12598"
EDITS = "what is asked"
TRAINED = "none"
SEARCH = {"count": (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 40)}


class Config(MethodConfig):
    """How many words, and which."""

    count: int = Field(10, ge=1, description="Words at most.")
    words: Literal["log-odds", "random"] = Field("log-odds", description="Those of the largest log-odds, or as many drawn at random.")


def log_odds(pairs: PairSet) -> dict[str, float]:
    """The log-odds of every word of the training questions, in the order of the alphabet."""
    sensitive: list[set[str]] = []
    others: list[set[str]] = []
    for pair in pairs.split("train"):
        words = {kind: set(re.findall(r"\w+", pair.question(kind).casefold())) for kind in ("sensitive", "benign")}
        (sensitive if pair.role == "edit" else others).append(words["sensitive"])
        others.append(words["benign"])
    s, b = (Counter(word for words in questions for word in words) for questions in (sensitive, others))

    def odds(count: int, total: int) -> float:
        return math.log((count + 0.5) / (total - count + 0.5))

    return {word: odds(s[word], len(sensitive)) - odds(b[word], len(others)) for word in sorted({*s, *b})}


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Filter:
    """Choose the words and take one look; ``gate`` plays no part. Raises UserError when no word tells the questions apart."""
    from neuralgate.interventions.filter import Filter
    from neuralgate.training.rows import training_pairs

    pairs = training_pairs(lvlm, pairs)
    scores = log_odds(pairs)
    words = sorted((word for word, score in scores.items() if score > 0), key=lambda word: -scores[word])[: config.count]
    if not words:
        raise UserError("No word is more frequent in sensitive training questions than in the others, so no keyword tells them apart.")
    if config.words == "random":
        words = [str(word) for word in np.random.default_rng(config.seed).permutation(list(scores))[: len(words)]]
    guardrail = Filter(tuple(words), information={"method": f"keyword guardrail ({config.words})"})
    watch.begin(pairs, f"refusing {len(words)} words")
    watch.look_at(guardrail, 1, 1)
    return watch.chosen(guardrail)


def controls(config: Config) -> dict[str, Config]:
    """As many words of the same questions, drawn at random."""
    return {"random": config.model_copy(update={"words": "random"})}
