"""The ideas that are tried: each with what it fixes, the rest is searched as with every method."""

from __future__ import annotations

from experiments.beyond import flip, plus
from neuralgate.comparison.entries import Entry

WITHOUT_ANSWER = {"positions": ["subject", "question", "image"]}
VOTES = {"by": "votes", "gate": "strong"}
IDEAS: dict[str, Entry] = {
    "no_answer_positions": Entry("beyond", WITHOUT_ANSWER, own=plus),
    "tenth_by_votes": Entry("beyond", {**VOTES, "share": 0.1}, own=plus),
    "weighted_votes": Entry("beyond", {**VOTES, "weighted": True}, own=plus),
    "tenth_by_attribution": Entry("beyond", {"by": "attribution", "share": 0.1}, own=plus),
    "carriers": Entry("beyond", {**VOTES, "acts_on": "carriers"}, own=plus),
    "held_by_divergence": Entry("beyond", {"kl": 1.0}, own=plus),
    "null_space": Entry("beyond", {"energy": 0.01}, own=plus),
    "all_that_holds": Entry("beyond", {**WITHOUT_ANSWER, "kl": 1.0, "energy": 0.01}, own=plus),
    "flip": Entry("flip", {"gate": "strong"}, own=flip),
}
#: What a winner must beat, from the comparison of methods.
RIVALS = ("neural_gate", "ungated", "dinm", "lora")
