"""How likely a model holds given answers: the log-probabilities of their tokens, and the likeliest of several choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import Conversation, Item, conversation_of
from neuralgate.lvlm.forward import final_hidden, token_losses
from neuralgate.lvlm.inputs import process, with_answers
from neuralgate.lvlm.prompts import batch_of
from neuralgate.lvlm.spelling import answer_ids, continuation_ids

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM


@torch.inference_mode()
def log_probabilities(
    lvlm: LVLM, items: Sequence[Item], continuations: Sequence[str], batch_size: int, report: Callable[..., None] | None
) -> list[list[float]]:
    """The natural logarithm of the probability of each token of each item's continuation, given all before it.

    Raises:
        UserError: a continuation has no token.
    """
    conversations = [conversation_of(item) for item in items]
    if len(conversations) != len(continuations):
        raise ValueError("give one continuation an item")
    results: dict[int, list[float]] = {}

    def measure(numbers: Sequence[int]) -> None:
        chosen = [conversations[number] for number in numbers]
        texts, encoded = process(lvlm, chosen)
        prefills = [answer_ids(lvlm, text, conversation.prefill) for text, conversation in zip(texts, chosen, strict=True)]
        wanted = [
            continuation_ids(lvlm, text, conversations[number].prefill, continuations[number])
            for text, number in zip(texts, numbers, strict=True)
        ]
        for number, ids in zip(numbers, wanted, strict=True):
            if not ids:
                raise UserError(f"The answer {continuations[number]!r} to {conversations[number].question!r} has no token; leave it out.")
        inputs = with_answers(lvlm, encoded, [[*first, *ids] for first, ids in zip(prefills, wanted, strict=True)], "right")
        labels_BT = inputs["labels"]
        for row, prefill in enumerate(prefills):  # given, not to be predicted
            places = (labels_BT[row] >= 0).nonzero().flatten()
            labels_BT[row, places[: len(prefill)]] = -100
        hidden_BTD = final_hidden(lvlm, batch_of(lvlm, inputs, torch.zeros_like(labels_BT)))
        losses = token_losses(lvlm, hidden_BTD, labels_BT).split([len(ids) for ids in wanted])
        results.update((number, (-loss_T).tolist()) for number, loss_T in zip(numbers, losses, strict=True))
        if report:
            report(done=len(results), total=len(conversations), text="measuring answers")

    batches = lvlm.batches(batch_size, "measuring answers")
    order = sorted(range(len(conversations)), key=lambda number: (len(conversations[number].images), len(conversations[number].question)))
    for _, group in groupby(order, lambda number: len(conversations[number].images)):
        batches.run(measure, list(group))
    return [results[number] for number in range(len(conversations))]


def choose(lvlm: LVLM, conversations: Sequence[Conversation], batch_size: int, report: Callable[..., None] | None) -> list[int]:
    """The number of each conversation's likeliest choice as a whole answer, the first where two are equally likely.

    Raises:
        UserError: a conversation has fewer than two choices.
    """
    for conversation in conversations:
        if len(conversation.choices) < 2:
            raise UserError(f"The question {conversation.question!r} has {len(conversation.choices)} choices; give it two or more.")
    items = [replace(conversation, choices=()) for conversation in conversations for _ in conversation.choices]
    texts = [choice for conversation in conversations for choice in conversation.choices]
    totals = iter([sum(logs) for logs in log_probabilities(lvlm, items, texts, batch_size, report)])
    scores = [[next(totals) for _ in conversation.choices] for conversation in conversations]
    return [row.index(max(row)) for row in scores]
