"""The model's own answers as targets: what a benign question must keep being answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet

OWN_WORDS = 5  # the authors take the first five words


def with_own_answers(lvlm: LVLM, pairs: PairSet, report: Callable[..., None] | None = None) -> PairSet:
    """The pairs with ``benign_target`` (and, where the sensitive question must stay answered too, ``sensitive_target``)
    set to the first five words of the base model's own greedy answer."""
    items = [(pairs.folder / pair.image, pair.benign_question) for pair in pairs]
    answered = [pair for pair in pairs if pair.role != "edit"]
    items += [(pairs.folder / pair.image, pair.sensitive_question) for pair in answered]
    texts = lvlm.generate(items, max_new_tokens=12, report=report)
    words = [" ".join(text.split()[:OWN_WORDS]) for text in texts]
    sensitive = {pair.id: target for pair, target in zip(answered, words[len(pairs) :], strict=True)}
    return PairSet(
        (
            replace(pair, benign_target=target, sensitive_target=sensitive.get(pair.id, ""))
            for pair, target in zip(pairs, words[: len(pairs)], strict=True)
        ),
        pairs.folder,
    )
