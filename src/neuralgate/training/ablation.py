"""Whether neurons do what they were chosen for: refusals of the base model without them, and without others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neuralgate.judge.prefix import judge_each  # whatever judges the run: the prefixes are what is taught
from neuralgate.locate.neurons import random_neurons, silenced
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet


def refused_without(lvlm: LVLM, pairs: PairSet, neurons: Mapping[int, Tensor], seed: int) -> str:
    """A sentence on the sensitive questions about validation pairs of protected subjects, which the base model refuses by itself, with all
    neurons, without these, and without as many random ones; empty where there are no such pairs."""
    asked = list(pairs.split("validation", "protected"))
    if not asked:
        return ""
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in asked]
    shares = []
    for off in ({}, neurons, random_neurons(neurons, seed)):
        with silenced(lvlm, off):
            texts = lvlm.generate(items, max_new_tokens=answer_tokens(lvlm, clerk=12))
        verdicts = judge_each(texts, [pair.sensitive_truth for pair in asked])
        shares.append(sum(verdict["refused"] for verdict in verdicts) / len(asked))
    whole, without, other = (f"{100 * share:.1f} %" for share in shares)
    return (
        f"The base model refuses {whole} of the sensitive questions about protected subjects, {without} with these neurons switched off "
        f"and {other} with as many random ones (n = {len(asked)})."
    )
