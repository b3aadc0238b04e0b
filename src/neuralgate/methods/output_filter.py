"""An output filter: refuse every answer in which a pattern of private data is found, before anybody reads it.

The patterns are those of presidio's recognisers (card numbers, passports, tax numbers, plates ...) whose confidence is at least s, for
the confidences in turn, or your own. It is their regular expressions alone: presidio also looks at checksums and at the words around,
which an answer of a few words hardly has. Validation pairs choose s; nothing is trained and the model still says it. Its control refuses
answers with as many words of the model's own answers to training questions, drawn at random.

Paper: https://microsoft.github.io/presidio/analyzer/ (no paper: the library that practitioners reach for).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from neuralgate.edit_settings import MethodConfig
from neuralgate.errors import UserError
from neuralgate.pairs.presidio import recognizers

if TYPE_CHECKING:
    from neuralgate.interventions.filter import Filter
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://microsoft.github.io/presidio/analyzer/"
EDITS = "what is answered"
TRAINED = "none"
SEARCH = {"scores": ([0.01], [0.05], [0.1], [0.3], [0.4], [0.5]), "languages": (["en"], ["en", "de"])}


class Config(MethodConfig):
    """Which patterns."""

    keep: Literal["first", "strongest"] = Field("strongest", description="See the other methods; here a look is a confidence.")
    patterns: Literal["presidio"] | Annotated[list[str], Field(min_length=1)] = Field(
        "presidio", description="Those of presidio's recognisers, or regular expressions of your own."
    )
    languages: Annotated[list[str], Field(min_length=1)] = Field(["en"], description="Languages of presidio's recognisers.")
    scores: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = Field(
        [0.5, 0.3, 0.05], description="Confidences from which on one of presidio's patterns counts, to try in this order."
    )
    words: Literal["patterns", "random"] = Field("patterns", description="The patterns, or as a control as many words at random.")


def presidio_patterns(languages: list[str]) -> dict[str, float]:
    """Regular expression -> its largest confidence. Those that only the library `regex` can run are left out. Raises UserError, see
    `recognizers`."""
    found: dict[str, float] = {}
    for recognizer in recognizers(languages):
        for pattern in recognizer.patterns:
            text = f"(?ims){pattern.regex}"  # as presidio runs them
            if _runs(text):
                found[text] = max(pattern.score, found.get(text, 0.0))
    return found


def _runs(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Filter:
    """Try the confidences; ``gate`` plays no part. Raises UserError where there are no patterns, or one is no regular expression."""
    from neuralgate.interventions.filter import Filter
    from neuralgate.training.rows import training_pairs

    if config.patterns == "presidio":
        known = presidio_patterns(config.languages)
        tried = [[pattern for pattern, confidence in known.items() if confidence >= score] for score in config.scores]
    else:
        tried = [list(config.patterns)]
    if not all(tried):
        raise UserError(f"None of presidio's patterns has a confidence of {max(config.scores):g}; name smaller scores.")
    pairs = training_pairs(lvlm, pairs, answers=("own",))
    if config.words == "random":
        tried = [random_words(pairs, len(patterns), config.seed) for patterns in tried]
    watch.begin(pairs, "refusing answers with private data")
    for number, patterns in enumerate(tried, start=1):
        made = Filter(patterns=tuple(patterns), information={"method": f"output filter ({config.words})"})
        if watch.look_at(made, number, len(tried)):
            break
    return watch.chosen(made)


def random_words(pairs: PairSet, count: int, seed: int) -> list[str]:
    """As patterns: words of the model's own answers to training questions, drawn at random; all of them where there are not enough."""
    answers = [text for pair in pairs.split("train") for text in (pair.sensitive_target, pair.benign_target)]
    words = sorted({word for text in answers for word in re.findall(r"\w+", text)})
    if not words:
        raise UserError("The model's own answers to training questions hold no word, so none can be drawn.")
    return [rf"\b{re.escape(words[place])}\b" for place in np.random.default_rng(seed).permutation(len(words))[:count]]


def controls(config: Config) -> dict[str, Config]:
    """As many words of the model's own answers, drawn at random."""
    return {"random": config.model_copy(update={"words": "random"})}
