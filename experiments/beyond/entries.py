"""The ideas that are tried: each with what it fixes, the rest is searched as with every method."""

from __future__ import annotations

from experiments.beyond import flip, plus
from neuralgate.comparison.entries import Entry
from neuralgate.methods import METHODS

METHODS |= {"beyond": plus, "flip": flip}  # a comparison finds methods there

WITHOUT_ANSWER = {"positions": ["subject", "question", "image"]}
VOTES = {"by": "votes", "gate": "strong"}
IDEAS: dict[str, Entry] = {
    "no_answer_positions": Entry("beyond", WITHOUT_ANSWER),
    "tenth_by_votes": Entry("beyond", {**VOTES, "share": 0.1}),
    "weighted_votes": Entry("beyond", {**VOTES, "weighted": True}),
    "tenth_by_attribution": Entry("beyond", {"by": "attribution", "share": 0.1}),
    "carriers": Entry("beyond", {**VOTES, "acts_on": "carriers"}),
    "held_by_divergence": Entry("beyond", {"kl": 1.0}),
    "null_space": Entry("beyond", {"energy": 0.01}),
    "all_that_holds": Entry("beyond", {**WITHOUT_ANSWER, "kl": 1.0, "energy": 0.01}),
    "flip": Entry("flip", {"gate": "strong"}),
}
#: What a winner must beat, from the comparison of methods.
RIVALS = ("neural_gate", "ungated", "dinm", "lora")
