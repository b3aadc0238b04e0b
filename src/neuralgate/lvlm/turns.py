"""Where an answer ends: the tokens that end a turn, and the words that would open the next one."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from neuralgate.lvlm.styles import CHAT, STYLES

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

ASKED = (("user", "Is it blue"), ("assistant", "It is blue indeed"), ("user", "What else is there"))


def end_tokens(lvlm: LVLM) -> frozenset[int]:
    """The ids of the tokens that end an answer, by whoever names them: generation_config.json, config.json, the tokenizer, or the chat
    template by what it writes behind an answer.

    What config.json names must be one of the tokenizer's special tokens: where a checkpoint is silent, transformers puts the number there
    that its architecture began with, and in another tokenizer that is a word.
    """
    added = lvlm.tokenizer.added_tokens_decoder
    named = [*end_ids(lvlm.model.generation_config), lvlm.tokenizer.eos_token_id]
    named += [token for config in (lvlm.model.config, lvlm.text_config) for token in end_ids(config) if token in added]
    for tail in (after_answer(lvlm, 2), after_answer(lvlm, 3)):
        follows = [(len(token.content), number) for number, token in added.items() if tail.lstrip().startswith(token.content)]
        named += [number for _, number in sorted(follows)[-1:]]
    return frozenset(token for token in named if token is not None)


def end_ids(config: Any) -> list[int]:
    named = getattr(config, "eos_token_id", None)
    return named if isinstance(named, list) else [] if named is None else [named]


def after_answer(lvlm: LVLM, turns: int) -> str:
    """What the chat template writes between an answer and the end, or with three ``turns`` the next question; "" where it cannot."""
    if lvlm.prompt_style != CHAT:
        return ""
    listed_parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in ASKED[:turns]]
    plain = [{"role": role, "content": text} for role, text in ASKED[:turns]]  # what some templates want of an assistant
    for messages in (listed_parts, plain):
        with suppress(TemplateError, TypeError):  # made for a single question, or for the other form
            before, answer, after = lvlm.processor.apply_chat_template(messages, tokenize=False).rpartition(ASKED[1][1])
            if answer and "'type'" not in before:  # else a list is written out as Python would
                return after.partition(ASKED[2][1])[0]
    return ""


def next_turn(lvlm: LVLM) -> re.Pattern[str] | None:
    """What a model writes that runs on into a next question of its own, as "USER:" or "[INST]"; None where the prompts' form parts the
    turns by special tokens alone, which end an answer by themselves."""
    if lvlm.prompt_style == CHAT:
        opening = after_answer(lvlm, 3)
    else:
        opening = STYLES[lvlm.prompt_style].partition("{question}")[0].replace("<Img>{image}</Img>", "").replace("{image}", "")
    parting = "|".join(re.escape(token.content) for token in lvlm.tokenizer.added_tokens_decoder.values())
    words = [part.strip() for part in re.split(parting, opening) if part.strip()]
    marker = "" if not words else words[-1] if lvlm.prompt_style == CHAT else words[-1].split()[-1]
    if not re.search(r"[^\w\s]", marker):
        return None  # a bare "user", between special tokens, is a word like any other
    return re.compile((r"\b" if marker[0].isalnum() else "") + re.escape(marker))
