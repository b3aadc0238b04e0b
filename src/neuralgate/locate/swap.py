"""Is the subject causal? Swap hidden states between two questions and see whose answer comes out (activation patching).

After layer l the residual stream of question A at some of its tokens is replaced by that of question B at the same
tokens. If the answer becomes B's, those tokens carry the decision up to layer l.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from neuralgate.lvlm.fast.recorded import record
from neuralgate.lvlm.forward import output_changed
from neuralgate.lvlm.generate import continuations
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import ANSWER, SUBJECT, Batch, Example, encode_examples

Tokens = Literal["span", "after"]


def token_places(batch: Batch, tokens: Tokens) -> list[Tensor]:
    """Per row, the indices of the tokens to swap: the span that the example calls its subject, or all tokens after it
    up to where the answer begins."""
    places = []
    for row, classes_T in enumerate(batch.classes_BT):
        span = torch.nonzero((classes_T == SUBJECT) & batch.attention_mask_BT[row].bool()).flatten()
        if tokens == "after":
            end = torch.nonzero(classes_T == ANSWER).flatten()[0]
            span = torch.arange(int(span[-1]) + 1, int(end) + 1)
        places.append(span)
    return places


@torch.inference_mode()
def swapped_answers(
    lvlm: LVLM,
    receivers: Sequence[Example],
    donors: Sequence[Example],
    layers: Sequence[int],
    tokens: Tokens = "span",
    max_new_tokens: int = 10,
) -> dict[int, list[str]]:
    """Greedy answers of each receiver with the donor's states in place, per layer.

    ``Example.subject`` names the span to swap (the subject, or the attribute word); receiver and donor of a pair must
    have equally many tokens there, otherwise ValueError.
    """
    prompts_a, prompts_b = ([replace(example, answer="") for example in examples] for examples in (receivers, donors))
    batch_a, batch_b = encode_examples(lvlm, prompts_a, padding="left"), encode_examples(lvlm, prompts_b)
    places_a, places_b = token_places(batch_a, tokens), token_places(batch_b, tokens)
    if any(len(a) != len(b) for a, b in zip(places_a, places_b, strict=True)):
        raise ValueError("receiver and donor must have equally many tokens in the swapped span")
    recorded = record(lvlm, batch_b)
    answers = {}
    for layer in layers:

        def change(hidden_BTD: Tensor, layer: int = layer) -> Tensor:
            if hidden_BTD.shape[1] == 1:
                return hidden_BTD  # a generated token, after the prefill
            changed_BTD = hidden_BTD.clone()
            for row, (a, b) in enumerate(zip(places_a, places_b, strict=True)):
                changed_BTD[row, a] = recorded.calls[layer].output[row, b]
            return changed_BTD

        with output_changed(lvlm.layers[layer], change):
            answers[layer] = [answer.text for answer in continuations(lvlm, batch_a.prompt, max_new_tokens)]
    return answers
