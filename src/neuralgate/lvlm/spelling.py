"""Answers as the tokens that the model itself would say: the same text has several spellings, and teaching another than the model's own
aims beside what it says.

With byte-level BPE the prompt ``Assistant:`` is followed by ``ĠI'm Ġsorry``, where the text by itself would be ``I'm Ġsorry``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neuralgate.lvlm.styles import CHAT, MARK, render, render_answered

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM


def text_of(lvlm: LVLM, ids: Sequence[int]) -> str:
    """The text of an answer's tokens, its words with single blanks between them."""
    return " ".join(lvlm.tokenizer.decode(list(ids), skip_special_tokens=True).split())


def first_words(lvlm: LVLM, ids: Sequence[int], count: int) -> tuple[int, ...]:
    """The tokens of an answer up to the one that completes its first ``count`` words."""
    wanted = text_of(lvlm, ids).split()[:count]
    return tuple(next((ids[:size] for size in range(len(ids)) if text_of(lvlm, ids[:size]).split()[:count] == wanted), ids))


def template_separator(lvlm: LVLM) -> str | None:
    """The blanks that the chat template puts between the opening of an answer and its text; None where it does not say."""
    if lvlm.prompt_style != CHAT:
        return None
    (prompt,) = render(lvlm.processor, lvlm.model_type, CHAT, [(False, "?")])
    answered = render_answered(lvlm.processor, "?", MARK)
    between, mark, _ = answered.removeprefix(prompt).partition(MARK)
    return between if answered.startswith(prompt) and mark and not between.strip() else None


def separator(lvlm: LVLM, prompt: str) -> str:
    """What stands between ``prompt`` and its answer: what the chat template puts there, else a blank behind a word."""
    if lvlm.template_separator is not None:
        return lvlm.template_separator
    return "" if prompt[-1:].isspace() or prompt.endswith(tuple(lvlm.tokenizer.get_added_vocab())) else " "


def answer_ids(lvlm: LVLM, prompt: str, answer: str, own: Sequence[int] = ()) -> list[int]:
    """The tokens of ``answer`` behind ``prompt`` (text with an unexpanded image placeholder): those that the model said, ``own``, where
    they spell it, else what the tokenizer makes of prompt and answer together.

    Where the answer would change the prompt's last token (a blank that becomes part of a word), the model reads the prompt as it is, and
    the answer is tokenised by itself.
    """
    if not answer:
        return []
    if own and text_of(lvlm, own) == answer:
        return list(own)
    texts = [prompt, prompt + separator(lvlm, prompt) + answer, answer]
    alone, together, apart = lvlm.tokenizer(texts, add_special_tokens=False)["input_ids"]
    return together[len(alone) :] if together[: len(alone)] == alone else apart


def continuation_ids(lvlm: LVLM, prompt: str, prefill: str, continuation: str) -> list[int]:
    """The tokens of ``continuation`` behind ``prompt`` and the beginning of an answer, behind which it stands exactly as it is written."""
    if not prefill:
        return answer_ids(lvlm, prompt, continuation)
    before, whole = answer_ids(lvlm, prompt, prefill), answer_ids(lvlm, prompt, prefill + continuation)
    if whole[: len(before)] == before:
        return whole[len(before) :]
    return lvlm.tokenizer(continuation, add_special_tokens=False)["input_ids"]
