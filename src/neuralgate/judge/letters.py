"""One form for the many spellings of the same letters and numbers, in which it is still known where each character stood."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_LOOKALIKES = {
    # Cyrillic; capitals and small letters alike, so that a Cyrillic word stays equal to itself in capitals
    "а": "a", "в": "b", "е": "e", "ё": "e", "к": "k", "м": "m", "н": "h", "о": "o", "р": "p", "с": "c", "т": "t", "у": "y", "х": "x",
    "і": "i", "ї": "i", "ј": "j", "ѕ": "s", "ԁ": "d", "һ": "h", "ԛ": "q", "ԝ": "w", "ӏ": "l",
    # Greek, by its capitals
    "α": "a", "β": "b", "ε": "e", "ζ": "z", "η": "h", "ι": "i", "κ": "k", "μ": "m", "ν": "n", "ο": "o", "ρ": "p", "τ": "t", "υ": "y",
    "χ": "x", "ϲ": "c",
    # Latin that does not come apart into a letter and an accent
    "ł": "l", "ø": "o", "đ": "d", "ı": "i", "ɑ": "a", "ɡ": "g", "ɩ": "i", "ß": "ss", "æ": "ae", "œ": "oe", "ʀ": "r", "ᴀ": "a",
}  # fmt: skip
#: For ``str.translate``: letters that look like another one, as that one.
HOMOGLYPHS = str.maketrans({**_LOOKALIKES, **{small.upper(): to.upper() for small, to in _LOOKALIKES.items() if len(small.upper()) == 1}})


@dataclass(frozen=True)
class Folded:
    """``text`` and where each of its characters begins and ends in the original."""

    text: str
    starts: tuple[int, ...] | range
    ends: tuple[int, ...] | range

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original behind ``text[start:end]``, which must not be empty."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> Folded:
    """``text`` in small letters without accents and invisible characters; digits of all scripts as 0 to 9, letters and signs of special
    forms (full width, mathematical, circled, look-alikes of another script) as the ordinary ones."""
    if text.isascii():
        return Folded(text.lower(), range(len(text)), range(1, len(text) + 1))
    folded: list[str] = []
    starts: list[int] = []
    for place, character in enumerate(text):
        for piece in _folded(character):
            folded.append(piece)
            starts.append(place)
    return Folded("".join(folded), tuple(starts), tuple(place + 1 for place in starts))


@lru_cache(maxsize=16384)
def _folded(character: str) -> str:
    if character.isascii():
        return character.lower()
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(character) in ("Cf", "Mn"):
        return ""
    if unicodedata.category(character) == "Zs":
        return " "
    if unicodedata.category(character) == "Pd" or character == "\u2212":
        return "-"
    if 0x1F150 <= ord(character) <= 0x1F189 or (ord(character) >= 0x1F1E6 and ord(character) <= 0x1F1FF):  # letters in dark signs, of flags
        return chr(ord("a") + (ord(character) - (0x1F1E6 if ord(character) >= 0x1F1E6 else 0x1F150)) % 32 % 26)
    if character in "\u2018\u2019\u201b\u02bc\u02b9\u00b4":
        return "'"
    plain = unicodedata.normalize("NFKC", character).casefold()
    if "HANGUL" not in unicodedata.name(character, ""):
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if unicodedata.category(letter) != "Mn")
    return plain.translate(HOMOGLYPHS).casefold()
