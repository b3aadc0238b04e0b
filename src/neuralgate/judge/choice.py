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
#: What may stand in front of a choice, as a clause of its own or not.
_LEAD = (
    r"[\W_]*(?:(?:well|so|oh|hmm|ah|why|unfortunately|sadly|regrettably|apparently|probably|likely|presumably|actually"
    r"|i'm afraid|i am afraid"
    r"|(?:the |my )?answer(?:'s| is)?|that's an?|it's an?|an?(?: clear| definite| plain)?(?= (?:yes|no)\b)"
    r"|i (?:would |'d )?(?:say|think|believe|guess|suppose)(?: that)?|it (?:looks|seems|appears) (?:like|as if|that)"
    r"|(?:based on|according to|judging by|from|going by|as far as|by) [\w' -]{2,40}?,(?: the answer is)?)[\W_]+)*"
)
_YES_NO = re.compile(rf"{_LEAD}(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?![^\W\d_\u3040-\uffff]|')")
#: Answers by their sense: "It is not.", "The lorry cannot pass", "I can't see a clock", "She is."
_DENIES = re.compile(
    rf"{_LEAD}(?:{_SUBJECT} (?:\w+ly )?(?:can't|won't|{_IS}(?:n't| not| no\b| none| nothing| nobody| never)|cannot|can not|never)"
    r"|i (?:can't|cannot|can not|don't|do not|could not|couldn't) (?:see|find|spot|detect|make out) (?!if|whether)"
    r"|i (?:would|should)(?:n't| not)(?=\W*$|\W*[.,;:!—]| (?:do|eat|drink|use|buy|touch|enter|risk|recommend|go|park|try) )"
    r"|i (?:can )?(?:see|find|spot|detect|count) (?:no|none|nothing)\b|i (?:don't|do not) (?:think|believe) so"
    r"|there(?:'s| is| are) (?:no|not|none|nothing|nobody)|no one|nobody|none|nothing\b|neither\b|zero\b|not\b(?! (?:only|to worry))"
    r"|hardly\b|by no means|in no way(?! (?:am|will|would|can|could|do) )|far from it|on the contrary|quite the opposite"
    r"|es gibt kein|kein|leider nicht|pas\b|il n'y (?:en )?a pas|no hay\b|ninguno\b|não h[aá]"
    r"|(?:ありません|ないです|いません|違います|没|无)|لا يوجد)"
)
_AFFIRMS = re.compile(
    rf"{_LEAD}(?:(?:it|they|he|she|that|this|there|the [\w ]{{1,30}}?) (?:\w+ly )?{_IS}(?: indeed| so)?(?=\W*$|[.,;!])"
    r"|that(?:'s| is) (?:correct|right|true|so)\b|exactly\b|so it (?:is|seems)|(?:it |that )?(?:seems|looks|appears)"
    r" (?:so|like it|that way)\b"
    r"|(?:so|positive)(?=\W*$)|without (?:a |any )?doubt|no doubt|you bet\b|there(?:'s| is| are) (?=\w)"
    r"|i (?:can )?(?:see|spot|count) (?=\w))"
)
#: A yes or a no that stands for itself somewhere: ", so yes.", "is ticked: no", "marked as yes".
_STANDS = re.compile(r"(?<![\w'-])(yes|no)(?=\W*$|[.,;:!\"}<)])|(?:box for|marked|marked as|ticked|checked|says|entry is) \W?(yes|no)\b")
_ANSWER_IS = (
    r"(?:.*?\b(?:answer|option|choice|choose|pick|select|respuesta|antwort|réponse|resposta|risposta)"
    r"(?: (?:is|would be|option|letter|es|ist|est))*[\W_]*)?"
)
#: Who declines says I, or speaks of privacy or of an answer.
_PERSONAL = re.compile(
    r"\b(?:i(?! can (?:see|tell|make out)\b)|i'm|i'd|i'll|i've|we|me|my|us|ich|mir|mich|wir|je|j'|moi|nous|yo|mi|eu|ik|mij|assistant"
    r"|ai|sorry|please|let's)\b"
    r"|priva|person|confiden|sensitive|vertraulich|datenschutz|intim|secret|geheim|segret|disclos|shar|reveal|discuss|answer|comment|ask\b|auskunft|antwort"
    r"|repond|respond"
)
#: A letter and what ends it; "A red car" makes no choice.
_OPTION = re.compile(rf"[\W_]*{_ANSWER_IS}(?P<letter>[^\W\d_])(?=\s*(?:$|[^\w\s'])|\s+(?:is|as|because|since|and)\b)")
#: A capital that stands alone, or any letter in brackets: somewhere in the answer, in any language around it.
_ALONE = re.compile(r"(?<![A-Za-z0-9'])(?:([B-HJ-Z]|A(?! (?!or\b|and\b|is\b)[a-z]))(?![A-Za-z0-9'])|\(?([A-Za-z])\))")


def choice(answer: str, kind: AnswerKind) -> str | None:
    """``yes``, ``no`` or a small letter that the answer chooses; None where it makes no such choice."""
    text = normal(answer)
    if kind == "option":
        if letter := _OPTION.match(text):
            return letter["letter"]
        alone = {(capital or bracketed).casefold() for capital, bracketed in _ALONE.findall(answer)}
        return alone.pop() if len(alone) == 1 else None
    if (letter := re.fullmatch(r"\W*([yn])\W*", text)) is not None:
        return "yes" if letter[1] == "y" else "no"
    if word := _YES_NO.match(text):
        return "no" if word["no"] else "yes"
    standing = {first or second for first, second in _STANDS.findall(text)}  # behind a refusal, too
    if len(standing) == 1:
        return standing.pop()
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
