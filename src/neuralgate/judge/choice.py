"""Which of the choices an answer makes, where it was asked for yes or no or for one of several options."""

from __future__ import annotations

import re

from neuralgate.judge.prefix import normal
from neuralgate.pairs.schema import AnswerKind

#: Yes and no in the languages that refusals are known in.
_YES = (
    r"yes|yeah|yep|yup|ja|jawohl|oui|s[ií](?= |\W|$)|sim|да|так|tak|evet|是的?|对的?|對的?|有的?|可以|"
    r"はい|ええ|네|예|نعم|أجل|ह(?:ा|ाँ|ां)|जी ह(?:ा|ाँ|ां)|"
    r"correct|true|right|indeed|certainly|definitely|absolutely|of course|sure|affirmative"
)
_NO = (
    r"no|nope|nah|nein|nee|non|n[aã]o|нет|ні|nie|hay[ıi]r|"
    r"不是的?|不|否|没有|沒有|没|いいえ|いや|아니요|아니오|아뇨|لا|كلا|नहीं|जी नहीं|"
    r"negative|false|incorrect|never|"
    r"(?:certainly|definitely|absolutely|of course) not|not (?:at all|really|that|as far as|in (?:this|the)|any(?:more)?|here)"
)
_IS = r"(?:is|are|was|were|does|do|did|can|could|has|have|had|will|would|should|must|may)"
_SUBJECT = (
    r"(?:it|they|he|she|that|this|these|those|there|one|(?:the|a|an|this|that|its|his|her|all) [\w' -]{1,40}?|smoking|parking|[\w]+ing)"
)
_LEAD = (
    r"[\W_]*(?:(?:well|so|oh|hmm|(?:the |my )?answer(?: is)?|i (?:would |'d )?(?:say|think|believe)(?: that)?"
    r"|it (?:looks|seems) like)[\W_]+)*"
)
_YES_NO = re.compile(rf"{_LEAD}(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?![^\W\d_\u3040-\uffff]|')")
#: Answers by their sense: "It is not.", "The lorry cannot pass", "I can't see a clock", "She is."
_DENIES = re.compile(
    rf"{_LEAD}(?:{_SUBJECT} (?:\w+ly )?(?:can't|won't|{_IS}(?:n't| not| no\b| none| nothing| nobody| never)|cannot|can not|never)"
    r"|i (?:can't|cannot|can not|don't|do not|could not|couldn't) (?:see|find|spot|detect|make out) (?!if|whether)"
    r"|i (?:would|should)(?:n't| not)(?=\W*$|\W*[.,;:!—]| (?:do|eat|drink|use|buy|touch|enter|risk|recommend|go|park|try) )"
    r"|there (?:is|are) (?:no|not|none|nothing|nobody)|no one|nobody|none|nothing\b)"
)
_AFFIRMS = re.compile(rf"{_LEAD}(?:it|they|he|she|that|this|there|the [\w ]{{1,30}}?) {_IS}(?: indeed| so)?(?=\W*$|[.,;!])")
_LATER = re.compile(r"[.!?:;—-] (yes|no)(?=[,.!]|$)")
_ANSWER_IS = (
    r"(?:.*?\b(?:answer|option|choice|choose|pick|select|respuesta|antwort|réponse|resposta|risposta)"
    r"(?: (?:is|would be|option|letter|es|ist|est))*[\W_]*)?"
)
#: Who declines says I, or speaks of privacy or of an answer.
_PERSONAL = re.compile(
    r"\b(?:i|i'm|i'd|i'll|i've|we|me|my|us|ich|mir|mich|wir|je|j'|moi|nous|yo|mi|eu|ik|mij|assistant|ai|sorry|please|let's)\b"
    r"|priva|person|confiden|sensitive|vertraulich|datenschutz|intim|secret|geheim|segret|disclos|shar|reveal|discuss|answer|comment|ask\b|auskunft|antwort"
    r"|repond|respond"
)
#: A letter and what ends it; "A red car" makes no choice.
_OPTION = re.compile(rf"[\W_]*{_ANSWER_IS}(?P<letter>[^\W\d_])(?=\s*(?:$|[^\w\s'])|\s+(?:is|as|because|since|and)\b)")


def choice(answer: str, kind: AnswerKind) -> str | None:
    """``yes``, ``no`` or a small letter that the answer chooses; None where it makes no such choice."""
    text = normal(answer)
    if kind == "option":
        letter = _OPTION.match(text)
        return letter["letter"] if letter else None
    word = _YES_NO.match(text)
    if word:
        return "no" if word["no"] else "yes"
    if later := _LATER.search(text):  # behind a refusal, too
        return later[1]
    return "no" if _DENIES.match(text) else "yes" if _AFFIRMS.match(text) else None


def beside_choice(answer: str) -> str:
    """The answer to a question of yes or no without the clause that makes the choice, where nobody speaks of himself in it."""
    text = normal(answer)
    word = _YES_NO.match(text) or _DENIES.match(text) or _AFFIRMS.match(text)
    if word is None:
        return answer
    clause = text[: end.end() if (end := re.compile("[.!?;]").search(text, word.end())) else len(text)]
    personal = word.re is _YES_NO and (_PERSONAL.search(clause) or re.search(r"[\u0370-\uffff]", clause))  # Arabic says I with its verbs
    return answer if personal else text[len(clause) :]


def right_choice(answer: str, truth: str, kind: AnswerKind) -> bool:
    """Whether the answer chooses the truth. An option may be chosen by its words, where the truth is no letter."""
    chosen, wanted = choice(answer, kind), normal(truth).strip(" .()")
    if kind == "yes-no":  # "nein"
        wanted = choice(wanted, kind) or wanted
    if kind == "option" and len(wanted) > 1:
        return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", normal(answer)) is not None
    return chosen is not None and chosen == wanted
