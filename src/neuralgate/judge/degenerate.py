"""Whether an answer's text has fallen apart: empty, a loop, or no language. Which language it is in does not matter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from neuralgate.judge.letters import HOMOGLYPHS
from neuralgate.judge.prefix import normal
from neuralgate.judge.verdict import Degenerate

#: Filler that people write on purpose: masks, rules of markdown and tables, the chevrons of a machine-readable line.
_FILLER = re.compile(r"[x*#•●■█▪._\-–—=~<>|+:…\s]+", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[\s*#•●■█▪◼_-]{3,}")
_UNBROKEN = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")  # scripts that put no blanks between words
_ORDINARY = frozenset("'.,;:!?()-/\"$%&@#+*_=~|<>`[]…–—•·°“”‘’«»„¿¡、。，．：；！？（）「」『』【】《》〈〉・～￥€£¥₹₽₩।॥،؛؟×→✓✔№§")
_BROKEN = re.compile(r"[\ufffd\ue000-\uf8ff\u0000-\u0008\u000e-\u001f]|<0x[0-9A-Fa-f]{2}>|</?s>|<(?:unk|pad)>|[ĠĊ▁](?=\w)")
#: Pairs of letters that stand in the words of no language with Latin letters, or of hardly any.
_IMPOSSIBLE = re.compile(
    "b[qx]|c[jvx]|d[qx]|f[qvxz]|g[qx]|h[qx]|j[qxwz]|k[qx]|l[qx]|m[qx]|p[qvx]|q[cdefghjklmnpqrsvwxyz]|r[qx]|s[qx]|t[qx]|v[bfhjmpqwx]"
    "|w[qvx]|x[jkqzg]|yq|z[fqx]"
)
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{7,}")
_QUOTED = re.compile(r"[\"“„«「][^\"“”„«»「」]{3,80}[\"”»」]")
_CODE = re.compile(r"[\w.,:/@+$%&'’<-]*\d[\w.,:/@+$%&'’<-]*|[A-Z0-9<]{1,20}|[A-Z0-9<]*<[A-Z0-9<]*|[a-z]+://\S+")


def degenerate(answer: str, truth: str = "") -> Degenerate | None:
    """What is broken about the answer's text, or None.

    empty         no letter and no digit
    repeated      a run of words (characters, where a script has no blanks) follows itself again and again and fills half of the answer
    off-language  broken characters, letters of scripts that no text mixes, or mostly letter strings that cannot be words

    The truth is taken out before the last test, because a code such as "XKCD" is no word either. Real words in a senseless order are
    not seen here; they show as wrong answers.
    """
    text = normal(answer)
    if not any(character.isalnum() for character in text):
        return None if _PLACEHOLDER.fullmatch(text) else "empty"
    if not any(character.isalnum() for character in re.sub(r"</?[a-z]{1,10}>", "", text)):  # marks and tags
        return "off-language"
    unquoted = _QUOTED.sub(" ", text)
    if sum(character.isalpha() for character in unquoted) >= 12:  # a song may go la la la
        text = unquoted
    if _repeats(text):
        return "repeated"
    rest = re.sub(rf"(?<!\w){re.escape(truth)}(?!\w)", " ", answer, flags=re.IGNORECASE) if truth else answer
    return "off-language" if any(character.isalnum() for character in rest) and _is_no_language(rest) else None


def _repeats(text: str) -> bool:
    for match in re.finditer(r"([^\W\d_]{1,4}?)\1{7,}", text):
        if not _FILLER.fullmatch(match.group()):
            return True
    # longer than any number that is written down
    if re.search(r"(\d{1,8}?)\1{15,}|(\d{1,6}[\W_]{1,2})\2{7,}|(?:\d[ ,.-]?){70,}", text):
        return True
    words = [word for word in (word.strip(".,;:!?\"'()*_…") for word in text.split()) if word and not _FILLER.fullmatch(word)]
    if _loops(words, longest=24, fewest=5 if all(word.isdecimal() for word in words) else 4):
        return True
    if len(words) >= 12 and 3 * len(set(words)) <= len(words) and not any(character.isdecimal() for character in text):
        return True
    if not _UNBROKEN.search(text):
        return False
    letters = [character for character in text if character.isalnum() and not character.isdecimal()]
    return _loops(letters, longest=16, fewest=7)


def _loops(units: Sequence[str], longest: int, fewest: int) -> bool:
    """Whether a run of up to ``longest`` units follows itself and fills half: one unit ``fewest`` times, more of them three times."""
    for size in range(1, min(longest, len(units) // 3) + 1):
        wanted = fewest if size == 1 else 8 if size == 2 else 9 if size == 3 else 3 * size + size // 2  # a sentence said again is none
        run = 0
        for place in range(size, len(units)):
            run = run + 1 if units[place] == units[place - size] else 0
            length = run + size
            if length >= wanted and (2 * length >= len(units) or length >= max(4 * wanted, 40)):
                return True
            if place == len(units) - 1 and length >= max(2 * wanted, 8):  # a sound beginning breaks off into it
                return True
    return False


def _is_no_language(text: str) -> bool:
    broken = _BROKEN.findall(text)
    visible = [character for character in text if not character.isspace()]
    if 8 * sum(map(len, broken)) >= len(visible):
        return True
    text = _BROKEN.sub(" ", text)
    ordinary = sum(_is_ordinary(character) for character in visible)
    if 10 * ordinary < 7 * len(visible):
        return True
    marks = [word for word in text.split() if len(word) == 1 and word in "()/,.;:\"'!?{}[]&%$+^~"]
    if len(marks) >= 6 and 3 * len(marks) >= len(text.split()):
        return True
    words = [word for word in text.split() if not _FILLER.fullmatch(word)]
    if _mixes_scripts(re.findall(r"[^\W\d_]+", text)):
        return True
    sounds = "".join(_plain(word) for word in words if not word.isupper() and not _CODE.fullmatch(word))
    if len(sounds) >= 20 and not 0.2 <= sum(letter in "aeiouy" for letter in sounds) / len(sounds) <= 0.7:
        return True
    senseless = [word for word in words if not _can_be_word(word)]
    if (2 * len(senseless) > len(words) > 1) or _breaks_off(words, senseless) or _stutters(_QUOTED.sub(" ", text).split()):
        return True
    # one of many codes is no wonder, a text of them is
    mixed = [word for word in words if re.search(r"\d", word) and re.search(r"[a-z]\d|\d[a-z]", word) and re.search(r"[A-Z]", word)]
    return len(mixed) >= 5 and 2 * (len(mixed) + len(senseless)) > len(words)


def _breaks_off(words: Sequence[str], senseless: Sequence[str]) -> bool:
    """Whether six words on end are, but for one, none."""
    flags = [word in senseless for word in words]
    return any(sum(flags[place : place + 6]) >= 5 for place in range(len(flags) - 5))


def _stutters(words: Sequence[str]) -> bool:
    """Whether a quarter of the words, and at least four, are said twice, doubled or without a vowel."""
    said = [word.casefold() for word in words]
    odd = sum(
        first == second
        or re.fullmatch(r"([a-z]{2,})\1s?", second) is not None
        or re.fullmatch("[bcdfghjklmnpqrstvwxz]{3,}", second) is not None
        for first, second in pairwise(said)
        if second.isalpha()
    )
    return odd >= 4 and 4 * odd >= len(said)


@lru_cache(maxsize=4096)
def _is_ordinary(character: str) -> bool:
    return character.isalnum() or character in _ORDINARY or unicodedata.category(character) in ("Mn", "Mc", "So", "Sc", "Sk", "Sm", "Cf")


@lru_cache(maxsize=8192)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "?").split()
    script = name[1] if name[0] in ("FULLWIDTH", "HALFWIDTH") and len(name) > 1 else name[0]
    return {"CJK": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA", "KATAKANA-HIRAGANA": "KANA", "IDEOGRAPHIC": "HAN"}.get(script, script)


def _scripts(word: str) -> set[str]:
    """Of its letters. A word with a look-alike letter of another script is still one of the first."""
    found = {_script(letter) for letter in word if letter.isalpha()}
    if len(found) > 1:
        found = {_script(letter) for letter in word.translate(HOMOGLYPHS) if letter.isalpha()}
    return found


def _mixes_scripts(words: Sequence[str]) -> bool:
    """Whether the words change their script as no text does. Latin among another script is common, and so are Japan's."""
    if all(word.isascii() for word in words):
        return False
    together = ({"HAN", "KANA"}, {"HAN", "HANGUL"})
    scripts: list[set[str]] = [_scripts(word) for word in words]
    inside = sum(len(found - {"LATIN"}) > 1 and found - {"LATIN"} not in together for found in scripts)
    inside += sum(
        "LATIN" in found and len(found) == 2 and not found & {"HAN", "KANA", "HANGUL", "THAI", "MICRO", "OHM"} for found in scripts
    )
    if inside >= 2 and 4 * inside >= len(words):
        return True
    flat = [next(iter(found)) for found in scripts if len(found) == 1]
    others = {script for script in flat if script != "LATIN"}
    if {"HAN", "KANA"} <= others:
        others.discard("KANA")
    changes = sum(first != second for first, second in pairwise(flat))
    return len(others) >= 3 or (len(others) == 2 and 2 * changes >= len(flat) >= 2 * flat.count("LATIN"))


def _plain(word: str) -> str:
    """Its Latin letters without accents."""
    if not word.isascii():
        word = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in word.casefold() if letter.isascii() and letter.isalpha())


def _can_be_word(token: str) -> bool:
    """Generous: numbers, dates, prices, addresses, codes in capitals and other scripts pass, "xqzvt" and "a#b{c" do not."""
    core = token.strip("'\".,;:!?()[]*_`~#<>|\u201c\u201d\u2018\u2019\u00ab\u00bb\u2026")
    if not core:
        return len(token) <= 3
    if not core.isascii():
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", core) if not unicodedata.combining(letter))
        if not re.fullmatch(r"[\w'’./-]*[a-zA-Z][\w'’./-]*", plain) or not plain.isascii():
            # a vowel sign of India's scripts or a combining mark stands behind a letter
            return not unicodedata.category(core[0]).startswith("M")
        return len(plain) <= 40
    if _CODE.fullmatch(core):
        return len(core) <= 60
    if re.fullmatch(r"[\w.,:/@+$%&=*#|()<>\"\[\]'\\{}^±≈~!-]+", core) is None:
        return False
    parts = [part for part in re.split(r"[\W_\d]+", core) if part]
    return all(len(part) <= 30 and (part.isupper() or _sounds(part.casefold())) for part in parts)


def _sounds(part: str) -> bool:
    """Whether these Latin letters can be said. Abbreviations such as "Mrs" or "kg" need no vowel."""
    if len(part) <= 3:
        return True
    return re.search("[aeiouy]", part) is not None and not _CONSONANTS.search(part) and not _IMPOSSIBLE.search(part)
