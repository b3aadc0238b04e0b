"""Where a word stands in a text: in any case and any Unicode form of its letters, as a whole word, in characters of the text as it is."""

from __future__ import annotations

import unicodedata
from itertools import accumulate, pairwise

Span = tuple[int, int]  # the first character and the one behind the last


def folded(text: str) -> tuple[str, dict[int, int]]:
    """``text`` as it is compared (canonical caseless matching, section 3.13 of the Unicode standard), and for each place in that where a
    letter with its accents begins, or the text ends, the place in ``text``: folding can make a text longer."""
    starts = [place for place, character in enumerate(text) if not (place and unicodedata.combining(character))]
    borders = [*starts, len(text)]
    parts = [_fold(text[start:end]) for start, end in pairwise(borders)]
    return "".join(parts), dict(zip(accumulate(map(len, parts), initial=0), borders, strict=True))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def mentions(text: str, word: str) -> list[Span]:
    """All places of ``word`` as a whole word, from the left."""
    whole, places = folded(text)
    wanted, _ = folded(word)
    spans = []
    at = whole.find(wanted)
    while at >= 0:
        start, end = places.get(at), places.get(at + len(wanted))
        if start is not None and end is not None and not _joined(text, start) and not _joined(text, end):
            spans.append((start, end))
        at = whole.find(wanted, at + 1)
    return spans


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of ``place`` are of one word. Scripts without case (Chinese, Thai, Arabic ...) write words or
    particles together, so that a letter beside another says nothing there; a mark belongs to what it stands on."""
    if not 0 < place < len(text):
        return False
    left, right = (unicodedata.category(character) for character in text[place - 1 : place + 1])
    if right[0] == "M":
        return True
    return all(category[0] in "LMN" or category == "Pc" for category in (left, right)) and "Lo" not in (left, right)


def attribute_span(question: str, attribute: str, other_question: str, other_attribute: str) -> Span | None:
    """Where ``attribute`` stands in ``question`` as its template's attribute: put ``other_attribute`` there, and it is ``other_question``.
    None where no template of one such slot gives both."""
    at = question.find(attribute)
    while at >= 0:
        end = at + len(attribute)
        if question[:at] + other_attribute + question[end:] == other_question:
            return at, end
        at = question.find(attribute, at + 1)
    return None


def slot(question: str, word: str, attribute: Span | None) -> Span | None:
    """Which mention of ``word`` is what the question is about: the first behind its attribute, as in "the date of the photo in the photo",
    else the last in front of it, never one that is part of it; the last of all where the attribute's place is unknown."""
    spans = mentions(question, word)
    if attribute is not None:
        behind = [span for span in spans if span[0] >= attribute[1]]
        spans = behind[:1] or [span for span in spans if span[1] <= attribute[0]]
    return spans[-1] if spans else None
