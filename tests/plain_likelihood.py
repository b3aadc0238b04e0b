"""Likelihoods the plain way, as an oracle: the whole model once for every row, and the softmax over its whole vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralgate.lvlm.conversation import Conversation
from neuralgate.lvlm.inputs import TOKEN_FIELDS, encode_prompts
from neuralgate.lvlm.model import LVLM

#: What tokens behind the prompt are called: PaliGemma reads those of type 1 causally.
TYPES = {"paligemma": 1}


@torch.no_grad()
def plain_logits(lvlm: LVLM, conversation: Conversation, ids: list[int]) -> Tensor:
    """What the model says at the last token of the prompt and at each of ``ids`` behind it, ``(T, V)``."""
    inputs = encode_prompts(lvlm, [conversation])
    for token in ids:
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for name in TOKEN_FIELDS:
            if name in inputs:
                last = inputs[name][:, -1:].clone()
                if name == "token_type_ids":
                    last.fill_(TYPES.get(lvlm.model_type, 0))
                inputs[name] = torch.cat([inputs[name], last], 1)
    return lvlm.model(**inputs, use_cache=False).logits[0, -len(ids) - 1 :]


def plain_log_probabilities(lvlm: LVLM, conversation: Conversation, ids: list[int]) -> list[float]:
    logs_TV = plain_logits(lvlm, conversation, ids).float().log_softmax(-1)
    return [float(logs_TV[place, token]) for place, token in enumerate(ids)]
