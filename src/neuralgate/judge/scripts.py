"""A name in another script than the truth's: told by its consonants, which survive where vowels do not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

FEWEST = 4  # consonants (and vowels in front of a word) of a name that are no chance
#: Of a sign's name in Unicode (KATAKANA LETTER TA, HANGUL SYLLABLE GIM, DEVANAGARI LETTER GHA), and of Latin words.
_CLASSES = {
    **dict.fromkeys("bp", "P"), **dict.fromkeys("td", "T"), **dict.fromkeys("szj", "S"), **dict.fromkeys("kgq", "K"),
    **dict.fromkeys("lr", "R"), "f": "F", "m": "M", "n": "N", "x": "KS",
}  # fmt: skip
_CYRILLIC_AND_GREEK = {
    **dict.fromkeys("бпπ", "P"), **dict.fromkeys("дтδθτ", "T"), **dict.fromkeys("жзсцчшщζσς", "S"), **dict.fromkeys("гґкхγκχ", "K"),
    **dict.fromkeys("лрλρ", "R"), **dict.fromkeys("фφ", "F"), **dict.fromkeys("мμ", "M"), **dict.fromkeys("нν", "N"), "ξ": "KS", "ψ": "PS",
    **dict.fromkeys("аеёиійоуыэюяїєαεηιουω", "A"),
}  # fmt: skip
_ARABIC = {
    "ب": "P", "پ": "P", **dict.fromkeys("تدثذضط", "T"), **dict.fromkeys("جزسشصظچ", "S"), **dict.fromkeys("خغقكکگ", "K"),
    **dict.fromkeys("رل", "R"), "ف": "F", "م": "M", "ن": "N", **dict.fromkeys("اأإآعيیىئ", "A"),
}  # fmt: skip
_DIGRAPHS = (
    (re.compile("ng(?![aeiouy])"), "n"),
    (re.compile("sch|tch|sh|ch(?!r)|zh|ts|tz|cz|sz|dzh|dj|c(?=[eiy])"), "s"),
    (re.compile("kh|gh|ck|ch|c"), "k"),
    (re.compile("ph"), "f"),
)
_SMALL_WORDS = frozenset(["mr", "mrs", "ms", "miss", "dr", "prof", "al", "el", "as", "ad", "ar", "bin", "ibn", "bint", "de", "van", "von"])
_WORDS = {
    "latin": re.compile(r"[A-Z\u00c0-\u00de][a-z\u00df-\u017f]+|[A-Z]{3,}|(?<=-)[a-z]{2,}"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]+"),
    "greek": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]+"),
    "arabic": re.compile(r"[\u0620-\u06d3]+"),
    "hindi": re.compile(r"[\u0900-\u0963\u0970-\u097f]+"),
    "kana": re.compile(r"[\u30a1-\u30fa\u30fc]+"),
    "hangul": re.compile(r"[\uac00-\ud7a3]+"),
}
_FIRST = {name: re.compile(pattern.pattern.rstrip("+")) for name, pattern in _WORDS.items() if name != "latin"}
_HAN = re.compile(r"[\u3400-\u9fff]")


def respelled(answer: str, truth: str) -> tuple[int, int] | None:
    """Where ``answer`` gives the two or more words of a name ``truth`` in another script (Latin, Cyrillic, Greek, Arabic, Devanagari,
    Katakana, Hangul); one of both is in Latin letters. Han characters are read in no one way, so that they are not seen."""
    if answer.isascii() and truth.isascii():
        return None
    wanted = _of_truth(truth)
    if wanted is None:
        return None
    own, orders = wanted
    others = [script for script, first in _FIRST.items() if first.search(answer)] if own == "latin" else ["latin"]
    for script in others:
        merged = "kana" in (script, own)  # where "th" is an s
        keys = {_merge(order) if merged else order for order in orders}
        words = list(_in(answer, script))
        for first in range(len(words)):
            joined = ""
            for count, (_, end, key) in enumerate(words[first : first + 4], 1):
                joined += key
                spelled = _collapse(_merge(joined) if merged else joined)
                begun = script == "hangul" and any(spelled.startswith(key) for key in keys)  # a particle is stuck to it
                if begun or (spelled in keys and (count > 1 or "hangul" in (script, own))):
                    return words[first][0], end
                if len(spelled) > max(map(len, keys)):
                    break
    return None


@lru_cache(maxsize=8192)
def _of_truth(truth: str) -> tuple[str, frozenset[str]] | None:
    """Its script and its consonants with the words in order and with the last word in front; None where it is no name."""
    if any(character.isdecimal() for character in truth) or _HAN.search(truth):
        return None
    script = next((name for name, first in _FIRST.items() if first.search(truth)), "latin")
    words = list(_in(truth, script))
    letters = sum(character.isalpha() or unicodedata.category(character)[0] == "M" for character in truth)
    spelled = sum(end - start for start, end, _ in words)
    keys = [key for _, _, key in words]
    if spelled < 0.7 * letters or not (2 <= len(keys) <= 4 or script == "hangul"):
        return None
    orders = frozenset(_collapse("".join(order)) for order in (keys, [*keys[-1:], *keys[:-1]], [*keys[1:], *keys[:1]]))
    return (script, orders) if min(map(len, orders)) >= FEWEST else None


def _in(text: str, script: str) -> Iterator[tuple[int, int, str]]:
    for match in _WORDS[script].finditer(text):
        if script == "latin" and match.group().casefold() in _SMALL_WORDS:
            continue
        yield match.start(), match.end(), _consonants(match.group(), script)


@lru_cache(maxsize=16384)
def _consonants(word: str, script: str) -> str:
    if script == "latin":
        return _of_latin(_plain(word))
    if script == "arabic":
        word = word[2:] if word.startswith("ال") and len(word) > 4 else word
        return _marked([_ARABIC.get(letter, "") for letter in word])
    if script in ("cyrillic", "greek"):
        return _marked([_CYRILLIC_AND_GREEK.get(letter, "") for letter in _plain(word)])
    return _marked([_sign(letter) for letter in word])


@lru_cache(maxsize=4096)
def _sign(letter: str) -> str:
    """Of a syllable, by its name in Unicode."""
    name = unicodedata.name(letter, "")
    if "VOWEL SIGN" in name or "SMALL" in name or "SOUND MARK" in name or "VIRAMA" in name or "NUKTA" in name:
        return ""
    if "ANUSVARA" in name or "CANDRABINDU" in name:
        return "N"
    sound = name.rsplit(" ", 1)[-1].lower()
    if letter in "チツヂヅ":
        return "S"
    if name.startswith("KATAKANA") and sound == "hu":
        return "F"
    if name.startswith("DEVANAGARI"):
        special = {"ca": "S", "cha": "S", "jha": "S", "nya": "N", "ddda": "R", "rha": "R", "pha": "F", "fa": "F", "nga": "N"}
        return special.get(sound) or (_CLASSES.get(sound[0], "") if sound[0] not in "aeiou" else "A")
    return _of_latin(sound)


def _of_latin(word: str) -> str:
    vowel = word[:1] in tuple("aeiouy")
    for pattern, sound in _DIGRAPHS:
        word = pattern.sub(sound, word)
    return ("A" if vowel else "") + "".join(_CLASSES.get(letter, "") for letter in word)


def _marked(sounds: Sequence[str]) -> str:
    """Vowels count in front of a word alone."""
    return sounds[0] + "".join(sounds[1:]).replace("A", "") if sounds else ""


def _plain(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", word.casefold()) if unicodedata.category(letter) != "Mn")


def _merge(key: str) -> str:
    return _collapse(key.replace("S", "T"))


def _collapse(key: str) -> str:
    return re.sub(r"(.)\1+", r"\1", key)
