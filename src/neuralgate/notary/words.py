"""What each image token of Notary says: one token of its mind's own vocabulary, so that a picture reads like a text.

A document's row of tokens is `receipt number 4 4 7 1 receipt name - Eva Kim`: label before value, in the order of reading. The copying
heads of a pretrained mind work on such a text as they do on any other; a patch that sums several words would have to be taken
apart first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from neuralgate.notary.build import SIDE
from neuralgate.pairs.drawn.documents import (
    CODE_LETTERS,
    DOCUMENT_ROWS,
    FIGURE,
    FIRST_NAMES,
    LAST_NAMES,
    MONTHS,
    SHAPE_COLOURS,
    SHAPES,
    STREETS,
    Document,
    Picture,
    layout,
)
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, load_subjects

NOTHING = " -"  # where there is nothing to say
LOOK_COLUMN = 5  # of a document's first row of tokens: what it looks like stands from here on, its kind before


@cache
def all_words() -> tuple[str, ...]:
    """Every word that a token may stand for; all but digits and the letters within codes carry the space before them."""
    spaced = [*SHAPES, *SHAPE_COLOURS, *MONTHS, *STREETS, *FIRST_NAMES, *LAST_NAMES, *VISUAL_ATTRIBUTES]
    spaced += [value for values in VISUAL_ATTRIBUTES.values() for value in values]
    for subject in load_subjects():
        spaced += [kind_of(subject.name), *subject.written]
    return tuple(dict.fromkeys([NOTHING, *"0123456789", *CODE_LETTERS, *(f" {word}" for word in spaced)]))


def kind_of(subject: str) -> str:
    """The word by which a document is known among all others: its subject's last."""
    return subject.split()[-1]


def word_ids(tokenizer: Any) -> dict[str, int]:
    """Word -> its token. Raises ValueError for a word that is not one token of the tokenizer."""
    ids = {}
    for word in all_words():
        tokens = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(tokens) != 1:
            raise ValueError(f"{word!r} is {len(tokens)} tokens of Notary's mind; a picture can only say words of one")
        ids[word] = tokens[0]
    return ids


def value_words(value: str) -> list[str]:
    """The four tokens on which a value stands: characters one each, words whole, and together without a gap."""
    words: list[str] = []
    for part in value.split(" "):
        words += [f" {part}"] if part.isalpha() else list(part)
    before = 1 if len(words) == 2 else 0  # two words stand on the inner halves of their cells
    return [*[NOTHING] * before, *words, *[NOTHING] * (4 - before - len(words))]


def picture_words(picture: Picture) -> list[list[str]]:
    """What the tokens of a picture say, ``SIDE`` rows of as many words."""
    rows = [[NOTHING] * SIDE for _ in range(SIDE)]
    for document in picture.documents:
        _put_document(rows, document)
    for shape in picture.shapes:
        middle, left = 2 * shape.row + FIGURE - 1, 2 * shape.column + FIGURE - 2
        rows[middle][left : left + 2] = [f" {shape.shape}", f" {shape.colour}"]  # as on documents, what it is comes first
    return rows


def _put_document(rows: list[list[str]], document: Document) -> None:
    subject = next(subject for subject in load_subjects() if subject.name == document.subject)
    kind = f" {kind_of(subject.name)}"
    top, left = 2 * document.row, 2 * document.column
    look = [word for attribute in VISUAL_ATTRIBUTES for word in (f" {attribute}", f" {document.values[attribute]}")]
    rows[top][left + 2] = kind
    rows[top][left + LOOK_COLUMN : left + LOOK_COLUMN + len(look)] = look
    for attribute, (row, column) in layout(subject)[0].items():
        assert 0 < row < DOCUMENT_ROWS
        start = left + 2 * column - 2
        rows[top + 2 * row][start : start + 6] = [kind, f" {attribute}", *value_words(document.values[attribute])]
