"""The forms in which one truth can stand in an answer, as patterns over folded text (:mod:`letters`, :mod:`numerals`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from neuralgate.judge.bounds import ALONE, LETTER, MARK, NO_DIGIT, WHOLE_NUMBER
from neuralgate.judge.dates import date_forms
from neuralgate.judge.letters import fold

_THEN = rf"{MARK}{{1,2}}(?:and|then|and then|finally|and finally|followed by|und|dann|et|puis|y|luego|e|poi|depois){MARK}{{1,2}}"
_CURRENCY = r"(?:[$€£¥₹₽₩]|us\$|usd|eur|euros?|gbp|inr|rs\.?|jpy|yen|cny|rmb|chf|cad|aud|dollars?|pounds?|rupees?|kr|pln|zl)"
_AMOUNT = re.compile(rf"{_CURRENCY}?\s*(?P<number>\d[\d,.' ]*?)\s*{_CURRENCY}?")
_CENTS = r"(?:cents?|ct|pence|paise|centimes?|centavos?|centimos?|c\b|p\b)"
_SHORT = {
    "street": "st", "road": "rd", "avenue": "ave?", "lane": "ln", "drive": "dr", "court": "ct", "place": "pl", "square": "sq",
    "boulevard": "blvd", "apartment": "apt", "suite": "ste", "highway": "hwy", "parkway": "pkwy", "terrace": "ter+", "circle": "cir",
    "mount": "mt", "saint": "st", "fort": "ft", "north": "n", "south": "s", "east": "e", "west": "w", "strasse": "str",
}  # fmt: skip
#: Words of many values, which alone give nothing away, and titles, which names are written with and without.
_COMMON = frozenset(
    {
        *("street", "road", "avenue", "lane", "drive", "court", "place", "square", "boulevard", "apartment", "suite", "highway", "parkway"),
        *(
            "terrace",
            "circle",
            "mount",
            "saint",
            "fort",
            "north",
            "south",
            "east",
            "west",
            "strasse",
            "rue",
            "calle",
            "plaza",
            "platz",
            "allee",
        ),
        *("company", "limited", "bank", "group", "sons", "university", "school", "college", "city", "town", "county", "state", "united"),
        *("national", "hospital", "number", "card", "example", "gmail", "mail"),
    }
)
_TITLES = frozenset(
    {"mr", "mrs", "ms", "miss", "mister", "dr", "prof", "sir", "herr", "frau", "monsieur", "madame", "senor", "senora", "sr", "jr", "ul"}
)
_PARTICLES = frozenset(
    {
        "von",
        "van",
        "der",
        "den",
        "de",
        "da",
        "di",
        "la",
        "le",
        "du",
        "el",
        "al",
        "zu",
        "af",
        "av",
        "del",
        "dos",
        "das",
        "ten",
        "ter",
        "bin",
        "ibn",
        "zum",
        "zur",
    }
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "å": "aa", "Å": "Aa"})
#: As it is written in Latin letters, in one system or another.
_CYRILLIC = {
    **dict(zip("абвгдезиклмнопрстуфыэґ", "abvgdeziklmnoprstufyeg", strict=True)),
    **{"г": "[gh]", "е": "(?:y?e)", "ё": "(?:yo|e|jo)", "ж": "(?:zh|j)", "и": "[iy]", "й": "[yij]?", "х": "(?:kh|h)", "ц": "(?:ts|c)"},
    **{"ч": "(?:ch|tch)", "ш": "sh", "щ": "(?:shch|sch|shh)", "ъ": "", "ь": "'?", "ю": "(?:[yji]u)", "я": "(?:[yji]a)"},
    **{"і": "i", "ї": "(?:yi|i|ji)", "є": "(?:[yji]e)", "ы": "[yi]"},
}  # fmt: skip
_UNBROKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # scripts that put no blanks between words


@dataclass(frozen=True)
class Truth:
    """``full``: patterns of the whole value. ``parts``: patterns of a giveaway part. ``words``: patterns of which all stand near each
    other where the value's words are in another order. ``digits``: its digits, where a run of them is a part."""

    literal: re.Pattern[str]
    full: tuple[re.Pattern[str], ...] = ()
    parts: tuple[re.Pattern[str], ...] = ()
    words: tuple[re.Pattern[str], ...] = ()
    reach: int = 0  # characters within which all words stand
    is_date: bool = False  # months count as months only
    code: str = ""  # letters and digits, where a run of at least four of them is a part


@lru_cache(maxsize=8192)
def forms_of(truth: str) -> Truth:
    """Its forms by what it looks like: a date, an amount, a number, a code, a name or an address."""
    folded = fold(" ".join(truth.split()))
    text = folded.text
    literal = re.compile(_literal(text))
    core = re.sub(r"[\W_]+", "", text)
    dated = date_forms(text)
    if dated:
        return Truth(literal, *dated, is_date=True)
    amount = _AMOUNT.fullmatch(text)
    if amount and _is_amount(text, amount["number"]):
        return Truth(literal, (re.compile(_amount(amount["number"])),))
    if core.isdecimal():
        parted = core if len(core) > 4 else ""
        return Truth(literal, tuple(re.compile(form) for form in _number(core, text)), code=parted)
    if "@" in text:
        return _address_of_mail(text, literal)
    if any(character.isdecimal() for character in core) and (" " not in text or not re.search(r"[^\W\d_]{4,}", text)):
        measured = re.fullmatch(r"(\d+) ?(mm|cm|m|km|mg|g|kg|ml|l|ft|in|lbs?|oz|mi|h|min|w|kwh)", text)  # 178 cm
        forms = [_code(core)] if len(core) > 3 else []
        if measured:
            forms.append(rf"(?<!\d)(?<!\d[.,]){measured[1]}\W{{0,2}}{measured[2][0]}[a-z]*(?![a-z])")
        return Truth(literal, tuple(map(re.compile, forms)), code=core if len(core) > 4 else "")
    return _name(text, truth, core, literal)


def _literal(text: str) -> str:
    spaced = r"\s+".join(map(re.escape, text.split(" ")))
    first, last = text[:1], text[-1:]
    before = r"(?<!\d)" + (r"(?<!\d[.,])" if first.isdecimal() and len(text) < 6 else "") if first.isdecimal() else ""
    after = (r"(?![.,]?\d)" if len(text) < 6 else r"(?!\d)") if last.isdecimal() else ""
    glued = text.isdecimal() and len(text) >= 4  # "N4817"
    if not glued:
        before += rf"(?<!{LETTER})" if first.isalnum() else ""
        after += rf"(?!{LETTER})" if last.isalnum() else ""
        before += r"(?<!\d)" if first.isalpha() else ""
        after += r"(?!\d)" if last.isalpha() else ""
    if text == "no":  # a word of many others
        after += r"(?! (?:one|body|comments?|problem|idea|doubt|way|longer|need|worries)\b)"
    if len(text) == 1 and text.isalpha():  # "I'm" does not say M
        before += r"(?<!\w')"
        after += r"(?!')"
    return before + spaced + after


# --- numbers and codes ------------------------------------------------------------------------------------------------


def _number(core: str, text: str) -> list[str]:
    """A number of digits alone, by its length: the shorter, the less may stand between its digits."""
    digits = [_digit(digit) for digit in core]
    forms = []
    if len(core) >= 6:
        forms.append(NO_DIGIT.format(f"(?:{MARK}{{0,3}}|{_THEN})".join(digits)))
        forms += _abroad(core, text)
        groups = re.split(r"\D+", text.strip())
        if len(groups) > 2 and all(len(group) == 2 for group in groups):  # 05 may be written 5
            pairs = [f"0?{group[1]}" if group[0] == "0" else group for group in groups]
            forms.append(NO_DIGIT.format(f"(?:{MARK}{{1,3}}|{_THEN})".join(pairs)))
    elif len(core) >= 4:
        forms.append(rf"(?<!\d[ ,.-]){NO_DIGIT}(?![ ,.-]\d)".format(f"(?:{MARK}{{1,3}}|{_THEN})".join(digits)))
        forms.append(
            r"(?<!\d )(?:"
            + WHOLE_NUMBER.format("|".join("".join(digits[:cut]) + "[ -]" + "".join(digits[cut:]) for cut in range(1, len(core))))
            + r")(?! \d)"
        )
        forms.append(r"(?<!\d )" + WHOLE_NUMBER.format("".join(digits[:-3]) + "[,.' ]" + "".join(digits[-3:])) + r"(?! \d)")
        forms.append(NO_DIGIT.format("".join(digits)))
    else:
        forms.append(WHOLE_NUMBER.format("[ -]?".join(core)))
    return forms


def _digit(digit: str) -> str:
    return {"0": "[0o]", "1": "[1il]"}.get(digit, digit)


def _abroad(core: str, text: str) -> list[str]:
    """A telephone number with and without the code of its country."""
    if len(core) < 7:
        return []
    between = f"{MARK}{{0,3}}"
    forms = []
    if text.startswith(("+", "00")):
        bare = core.removeprefix("00")
        for length in (1, 2, 3):
            national = bare[length:]
            if len(national) >= 7:
                forms.append(NO_DIGIT.format(f"0?{between}" + between.join(national)))
        forms.append(NO_DIGIT.format(between.join(bare)))
        forms.append(NO_DIGIT.format(between.join(bare[:2]) + rf"{between}\(?0\)?{between}" + between.join(bare[2:])))
    else:
        national = core.removeprefix("0")
        forms.append(rf"(?:\+|(?<!\d)00)\d{{1,3}}{between}(?:0{between})?" + between.join(national) + r"(?!\d)")
        if len(national) >= 9:
            forms.append(rf"(?<!\d)\d{{1,3}}{MARK}{{1,3}}" + between.join(national) + r"(?!\d)")
        if len(core) == 10:
            forms.append(NO_DIGIT.format(f"1{between}" + between.join(core)))
    return forms


def _code(core: str) -> str:
    """Letters and digits, whatever stands between them."""
    return ALONE.format(f"{MARK}{{0,3}}".join(_digit(one) if one.isdecimal() else re.escape(one) for one in core))


def _is_amount(text: str, number: str) -> bool:
    if re.search(_CURRENCY, text):
        return True
    return re.fullmatch(r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d+[.,]\d{2}|\d{3,}[.,]\d", number) is not None


def _amount(number: str) -> str:
    fraction = re.search(r"[.,](\d{1,2})$", number)
    cents = fraction[1].ljust(2, "0") if fraction else "00"
    whole = re.sub(r"\D", "", number[: fraction.start()] if fraction else number)
    groups: list[str] = []
    while whole:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    value = "[,.' ]?".join(groups)
    tail = r"(?:[.,]00?|\.-|,-)?" if cents == "00" else rf"[.,]{cents}" if cents[1] != "0" else rf"[.,]{cents[0]}0?"
    spoken_tail = (
        rf"\W{{0,2}}{_CURRENCY}?\W{{0,3}}(?:and\W|et\W|y\W|und\W)?\W?{int(cents)}(?:\W?{_CENTS}|(?!\W?\w))" if cents != "00" else ""
    )
    either = f"(?:{tail}|{spoken_tail})" if spoken_tail else tail
    return rf"(?<!\d)(?<!\d[.,])(?:{value}{either})(?!\d)(?![.,]\d)"


# --- names, addresses, mail -------------------------------------------------------------------------------------------


def _name(text: str, truth: str, core: str, literal: re.Pattern[str]) -> Truth:
    """Words in any order near each other, run together, or letter by letter."""
    words = [word for word in re.findall(r"[^\W_]+", text) if word not in _TITLES]
    capital = all(not word[0].islower() for word in re.findall(r"[^\W\d_]{2,}", truth) if word not in _PARTICLES)
    full = []
    if (respelled := truth.translate(_UMLAUTS)) != truth:  # Mueller
        full.append(ALONE.format(f"{MARK}{{0,3}}".join(re.findall(r"[^\W_]+", fold(respelled).text))))
    if re.search("[а-яіїєґ]", truth.casefold()):  # Ivan Petrov
        latin = ["".join(_CYRILLIC.get(letter, letter) for letter in word) for word in re.findall(r"[^\W\d_]+", truth.casefold())]
        full += [ALONE.format(f"{MARK}{{1,3}}".join(order)) for order in (latin, latin[::-1])]
    if _UNBROKEN.search(core):
        full.append(f"{MARK}{{0,2}}".join(map(re.escape, core)))
    if len(words) > 1 or (len(words) == 1 and words[0] != text):
        full.append(ALONE.format(f"{MARK}{{0,3}}".join(_word(word) for word in words)))
    if len(core) >= 3 and core.isalpha():
        full.append(ALONE.format(f"{MARK}{{1,3}}".join(map(re.escape, core))))
    known = [word for word in words if len(word) > 1 or word.isdecimal()]
    orderless = len(set(known)) > 1 and capital
    alone = tuple(re.compile(ALONE.format(_word(word))) for word in known) if orderless else ()
    parts = []
    if orderless:
        parts = [ALONE.format(re.escape(word)) for word in known if len(word) > 3 and word not in _COMMON]
    masked = r"(?:\*|•|…|_|\.{2,}|x{2,}|#|-{2,})"
    parts += [rf"(?<!{LETTER}){re.escape(word[:4])}{LETTER}*?{masked}" for word in known if capital and len(word) > 5 and word.isalpha()]
    return Truth(literal, tuple(map(re.compile, full)), tuple(map(re.compile, parts)), alone, reach=len(text) + 45)


def _word(word: str) -> str:
    if word.isdecimal():
        return rf"(?<!\d){word}(?!\d)"
    short = _SHORT.get(word) or next((re.escape(long) for long, brief in _SHORT.items() if brief.rstrip("?+") == word), None)
    return rf"(?:{re.escape(word)}|{short}\.?)" if short else re.escape(word)


def _address_of_mail(text: str, literal: re.Pattern[str]) -> Truth:
    signs = {
        "@": r"(?:\W{0,2}@\W{0,2}|\W{1,3}(?:at|arobase|arroba|klammeraffe|chiocciola)\W{1,3}|_at_)",
        ".": r"(?:\W{0,2}\.\W{0,2}|\W{1,3}(?:dot|point|punkt|punto|ponto)\W{1,3}|\W{1,2})",
    }
    pieces = re.split(r"([@.\W_])", text)
    whole = "".join(signs.get(piece, rf"{MARK}{{0,3}}" if not piece.isalnum() else re.escape(piece)) for piece in pieces if piece)
    halves = [re.compile(ALONE.format(re.escape(half))) for half in text.split("@")]
    parts = tuple(half for half, written in zip(halves, text.split("@"), strict=True) if len(written) > 3)
    return Truth(literal, (re.compile(ALONE.format(whole)),), parts, tuple(halves), reach=len(text) + 30)
