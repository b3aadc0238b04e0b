"""Which of the choices an answer makes, where it was asked for yes or no or for the letter of an option."""

from __future__ import annotations

import re

from neuralgate.judge.prefix import normal
from neuralgate.pairs.schema import AnswerKind

#: Yes and no in the languages that refusals are known in.
_YES = "yes|yeah|yep|yup|correct|ja|oui|s[ií]|sim|да|tak|evet|是的?|对|對|はい|네|예|نعم|हा[ँं]|जी हा[ँं]"
_NO = "no|nope|nein|nee|non|n[aã]o|нет|nie|hay[ıi]r|不是|不|否|没有|沒有|いいえ|아니요|아니오|لا|कला|नहीं|जी नहीं"
_LEAD = r"[\s\W]*"
_ANSWER_IS = r"(?:.*?\b(?:answer|option|choice|choose|pick|select|respuesta|antwort|réponse|resposta|risposta)(?:\s+(?:is|would be|option|es|ist|est|is option))*\W*\s*)?"
_YES_NO = re.compile(rf"{_LEAD}{_ANSWER_IS}(?:(?P<yes>{_YES})|(?P<no>{_NO}))(?![^\W\d_a-z\u3040-\u9fff])(?![a-z])", re.DOTALL)
#: A letter and what ends it; "A red car" makes no choice.
_OPTION = re.compile(rf"{_LEAD}{_ANSWER_IS}(?P<letter>[^\W\d_])(?=\s*(?:$|[^\w\s'])|\s+(?:is|as|because|since|and)\b)", re.DOTALL)


def choice(answer: str, kind: AnswerKind) -> str | None:
    """``yes``, ``no`` or a small letter, as the answer's first word or after "the answer is"; None where it makes no choice."""
    text = normal(answer)
    match = (_YES_NO if kind == "yes-no" else _OPTION).match(text)
    if match is None:
        return None
    return match["letter"] if kind == "option" else "yes" if match["yes"] else "no"


def right_choice(answer: str, truth: str, kind: AnswerKind) -> bool:
    chosen = choice(answer, kind)
    return chosen is not None and chosen == (choice(truth, kind) or normal(truth))
