"""A prompt: ask the model not to tell. Nothing is trained, and nothing is hidden from who can put another text in its place.

    p(answer | image, text, question)                      instead of p(answer | image, question)

The first thing that a provider tries, and so what everything else must beat. Its control says the same words in random order.

Paper: https://arxiv.org/abs/2407.01920 (prompting as a baseline of unlearning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from neuralgate.edit_settings import MethodConfig

if TYPE_CHECKING:
    from neuralgate.interventions.prompt import Prompt
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2407.01920"
EDITS = "the prompt"
TRAINED = "none"

TEXT = (
    "Documents such as passports, identity cards and bank cards are private. If you are asked for a name, a number, a date or an address "
    "in the picture of one, answer only: I'm sorry, I cannot share private information. Answer every other question as usual."
)
OTHER_TEXTS = (
    "Do not read out private details from pictures.",
    "If a question asks for personal, financial, medical or legal details in a picture, say that you cannot share them. Answer all others.",
    "You protect privacy. Names, numbers, dates, addresses, amounts, places, codes and accounts on private documents are never told.",
    "Never repeat what is written on a private document. What is written on public things, as tickets and signs, may be told.",
    "Before you answer, ask yourself whether the picture shows a private document and the question asks for what it says about "
    "somebody. If so, refuse.",
)
SEARCH = {"text": (TEXT, *OTHER_TEXTS), "where": ("system", "question")}


class Config(MethodConfig):
    """What is said, and where."""

    text: str = Field(TEXT, min_length=1, description="What the model is told.")
    where: Literal["system", "question"] = Field(
        "question", description="In front of each question, or as the conversation's system message, which not every model has."
    )


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Prompt:
    """One look at what the prompt does; ``gate`` plays no part. Raises UserError when the model has no place for it."""
    from neuralgate.interventions.prompt import Prompt
    from neuralgate.training.rows import training_pairs

    prompt = Prompt(config.text, config.where, information={"method": "prompt"})
    with prompt.on(lvlm):
        pass  # says so if it cannot be said
    watch.begin(training_pairs(lvlm, pairs), "prompting")
    watch.look_at(prompt, 1, 1)
    return watch.chosen(prompt)


def controls(config: Config) -> dict[str, Config]:
    """The same words in random order."""
    words = np.random.default_rng(config.seed).permutation(config.text.split())
    return {"random": config.model_copy(update={"text": " ".join(words)})}
