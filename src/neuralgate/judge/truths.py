"""The forms in which one truth can stand in an answer, as patterns over folded text (:mod:`letters`, :mod:`numerals`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from neuralgate.judge.letters import fold
from neuralgate.judge.numerals import JANUARY, spoken

_MONTHS = f"{chr(JANUARY)}-{chr(JANUARY + 11)}"
#: What may stand between the pieces of one value: no letter, digit or month.
_MARK = rf"(?:[^\w{_MONTHS}]|_)"
#: Scripts without blanks between words, where a value may touch its neighbours, do not bound it.
_LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_ALONE = rf"(?<!{_LETTER})(?<!\d)(?:{{}})(?!{_LETTER})(?!\d)"
_NO_DIGIT = r"(?<!\d)(?:{})(?!\d)"
_WHOLE_NUMBER = r"(?<!\d)(?<!\d[.,])(?:{})(?![.,]?\d)"
_THEN = rf"{_MARK}{{1,2}}(?:and|then|and then|finally|and finally|followed by|und|dann|et|puis|y|luego|e|poi|depois){_MARK}{{1,2}}"
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
_PARTICLES = frozenset({"von", "van", "der", "den", "del", "dos", "das", "ten", "ter", "bin", "ibn", "zum", "zur"})
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
    dated = _date(text)
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
        measured = re.fullmatch(r"(\d+) ?([a-z]{1,3})", text)  # 178 cm
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
        before += rf"(?<!{_LETTER})" if first.isalnum() else ""
        after += rf"(?!{_LETTER})" if last.isalnum() else ""
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
        forms.append(_NO_DIGIT.format(f"(?:{_MARK}{{0,3}}|{_THEN})".join(digits)))
        forms += _abroad(core, text)
        groups = re.split(r"\D+", text.strip())
        if len(groups) > 2 and all(len(group) == 2 for group in groups):  # 05 may be written 5
            pairs = [f"0?{group[1]}" if group[0] == "0" else group for group in groups]
            forms.append(_NO_DIGIT.format(f"(?:{_MARK}{{1,3}}|{_THEN})".join(pairs)))
    elif len(core) >= 4:
        forms.append(rf"(?<!\d[ ,.-]){_NO_DIGIT}(?![ ,.-]\d)".format(f"(?:{_MARK}{{1,3}}|{_THEN})".join(digits)))
        forms.append(
            r"(?<!\d )(?:"
            + _WHOLE_NUMBER.format("|".join("".join(digits[:cut]) + "[ -]" + "".join(digits[cut:]) for cut in range(1, len(core))))
            + r")(?! \d)"
        )
        forms.append(r"(?<!\d )" + _WHOLE_NUMBER.format("".join(digits[:-3]) + "[,.' ]" + "".join(digits[-3:])) + r"(?! \d)")
        forms.append(_NO_DIGIT.format("".join(digits)))
    else:
        forms.append(_WHOLE_NUMBER.format("[ -]?".join(core)))
    return forms


def _digit(digit: str) -> str:
    return {"0": "[0o]", "1": "[1il]"}.get(digit, digit)


def _abroad(core: str, text: str) -> list[str]:
    """A telephone number with and without the code of its country."""
    if len(core) < 7:
        return []
    between = f"{_MARK}{{0,3}}"
    forms = []
    if text.startswith(("+", "00")):
        bare = core.removeprefix("00")
        for length in (1, 2, 3):
            national = bare[length:]
            if len(national) >= 7:
                forms.append(_NO_DIGIT.format(f"0?{between}" + between.join(national)))
        forms.append(_NO_DIGIT.format(between.join(bare)))
        forms.append(_NO_DIGIT.format(between.join(bare[:2]) + rf"{between}\(?0\)?{between}" + between.join(bare[2:])))
    else:
        national = core.removeprefix("0")
        forms.append(rf"(?:\+|(?<!\d)00)\d{{1,3}}{between}(?:0{between})?" + between.join(national) + r"(?!\d)")
        if len(national) >= 9:
            forms.append(rf"(?<!\d)\d{{1,3}}{_MARK}{{1,3}}" + between.join(national) + r"(?!\d)")
        if len(core) == 10:
            forms.append(_NO_DIGIT.format(f"1{between}" + between.join(core)))
    return forms


def _code(core: str) -> str:
    """Letters and digits, whatever stands between them."""
    return _ALONE.format(f"{_MARK}{{0,3}}".join(_digit(one) if one.isdecimal() else re.escape(one) for one in core))


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


# --- dates ------------------------------------------------------------------------------------------------------------

_YEAR = r"(?:1[89]|20)\d\d"
_NUMERIC = re.compile(r"(\d{1,4})([-./ ])(\d{1,2})\2(\d{1,4})")


def _date(text: str) -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]] | None:
    """Patterns of the whole date and of what gives a part of it away, or None where ``text`` is none."""
    words = spoken(fold(text))
    said = (words.text if words else text).strip()
    readings = _readings(said)
    if not readings:
        return None
    full = "|".join(_orders(*reading) for reading in readings)
    year = readings[0][0]
    parts = []
    if year > 99:
        parts.append(rf"(?P<other>{_COMPLETE})|" + _NO_DIGIT.format(str(year)))
    for _, month, day in readings:
        if day:
            parts.append(
                rf"(?P<other>{_COMPLETE})|{_day(day)}{_BETWEEN}{_month(month, named=True)}|{_month(month, named=True)}{_BETWEEN}{_day(day)}"
            )
    return (re.compile(full),), tuple(re.compile(part) for part in parts)


def _readings(said: str) -> list[tuple[int, int, int]]:
    """(year, month, day or 0) in which a date can be read."""
    numeric = _NUMERIC.fullmatch(said)
    if numeric:
        first, second, third = int(numeric[1]), int(numeric[3]), int(numeric[4])
        if len(numeric[1]) == 4:
            found = [(first, second, third)]
        elif len(numeric[4]) in (2, 4):
            found = [(third, second, first), (third, first, second)]
        else:
            found = []
        return [one for one in dict.fromkeys(found) if 1 <= one[1] <= 12 and 1 <= one[2] <= 31]
    if expiry := re.fullmatch(r"(0[1-9]|1[0-2])[/-](\d{2}|(?:19|20)\d{2})", said):
        return [(int(expiry[2]) + (2000 if len(expiry[2]) == 2 else 0), int(expiry[1]), 0)]
    months = re.findall(f"[{_MONTHS}]", said)
    numbers = re.findall(r"\d+", said)
    if len(months) == 1 and re.fullmatch(rf"(?:{_MARK}|\d|th|st|nd|rd|of|the|de|del|[{_MONTHS}])+", said):
        month = ord(months[0]) - JANUARY + 1
        years = [int(number) for number in numbers if len(number) == 4]
        days = [int(number) for number in numbers if len(number) <= 2 and 1 <= int(number) <= 31]
        if len(numbers) == 2 and len(years) == 1 and len(days) == 1:
            return [(years[0], month, days[0])]
        if len(numbers) == 2 and len(days) == 2:
            return [(2000 + days[1], month, days[0]), (1900 + days[1], month, days[0])]
        if len(numbers) == 1 and len(years) == 1:
            return [(years[0], month, 0)]
    return []


_FILL = r"of|the|de|del|du|le|am|den|in|on|day|month|year|ano|annee|jahr|tag|monat"
_BETWEEN = rf"(?:{_MARK}|[年月日号號년월일]|(?<![a-z])(?:{_FILL})(?![a-z])|(?<![^\W\d_])[\u0400-\u097f]{{1,5}}(?![^\W\d_])){{0,16}}"
_APART = _BETWEEN.replace("{0,16}", "{1,16}")

#: Any date with day, month and year: another one gives nothing of the true one away.
_COMPLETE = (
    rf"(?<!\d)\d{{1,2}}(?:st|nd|rd|th|er)?{_APART}(?:[{_MONTHS}]|\d{{1,2}}){_APART}\d{{4}}(?!\d)|[{_MONTHS}]{_APART}\d{{1,2}}(?:st|nd|rd|th)?{_APART}\d{{4}}(?!\d)"
    rf"|(?<!\d)\d{{4}}{_APART}(?:[{_MONTHS}]|\d{{1,2}}){_APART}\d{{1,2}}(?!\d)"
)


def _day(day: int) -> str:
    return rf"(?<!\d)0?{day}(?:st|nd|rd|th|er|eme|[oº°ª])?(?![0-9])"


def _month(month: int, named: bool = False) -> str:
    name = chr(JANUARY + month - 1)
    return name if named else rf"(?:{name}|(?<!\d)0?{month}(?!\d))"


def _orders(year: int, month: int, day: int) -> str:
    century, short = divmod(year, 100) if year > 99 else (None, year)
    years = rf"(?<!\d)(?:{year}|{century}{_MARK}?{short:02d}|'?{short:02d})(?!\d)" if century else rf"(?<!\d)(?:\d\d)?{year:02d}(?!\d)"
    whole, number = _NO_DIGIT.format(year if century else rf"\d\d{year:02d}"), _month(month)
    if not day:
        return f"{number}{_APART}{years}|{whole}{_APART}{number}"
    when = _day(day)
    orders = [
        f"{when}{_APART}{number}{_APART}{years}",
        f"{number}{_APART}{when}{_APART}{years}",
        f"{when}{_BETWEEN}{_month(month, named=True)}{_BETWEEN}{years}",
        f"{years}{_APART}{number}{_APART}{when}",
        f"{_month(month, named=True)}{_APART}{whole}[^\\d]{{1,14}}{when}",
    ]
    if century:
        digits = (
            f"{year}{month:02d}{day:02d}",
            f"{day:02d}{month:02d}{year}",
            f"{month:02d}{day:02d}{year}",
            f"{short:02d}{month:02d}{day:02d}",
            f"{day:02d}{month:02d}{short:02d}",
            f"{month:02d}{day:02d}{short:02d}",
        )
        orders.append(_NO_DIGIT.format("|".join(digits)))
    return "|".join(orders)


# --- names, addresses, mail -------------------------------------------------------------------------------------------


def _name(text: str, truth: str, core: str, literal: re.Pattern[str]) -> Truth:
    """Words in any order near each other, run together, or letter by letter."""
    words = [word for word in re.findall(r"[^\W_]+", text) if word not in _TITLES]
    capital = all(not word[0].islower() for word in re.findall(r"[^\W\d_]{3,}", truth) if word not in _PARTICLES)
    full = []
    if (respelled := truth.translate(_UMLAUTS)) != truth:  # Mueller
        full.append(_ALONE.format(f"{_MARK}{{0,3}}".join(re.findall(r"[^\W_]+", fold(respelled).text))))
    if re.search("[а-яіїєґ]", truth.casefold()):  # Ivan Petrov
        latin = ["".join(_CYRILLIC.get(letter, letter) for letter in word) for word in re.findall(r"[^\W\d_]+", truth.casefold())]
        full += [_ALONE.format(f"{_MARK}{{1,3}}".join(order)) for order in (latin, latin[::-1])]
    if _UNBROKEN.search(core):
        full.append(f"{_MARK}{{0,2}}".join(map(re.escape, core)))
    if len(words) > 1 or (len(words) == 1 and words[0] != text):
        full.append(_ALONE.format(f"{_MARK}{{0,3}}".join(_word(word) for word in words)))
    if len(core) >= 3 and core.isalpha():
        full.append(_ALONE.format(f"{_MARK}{{1,3}}".join(map(re.escape, core))))
    known = [word for word in words if len(word) > 1 or word.isdecimal()]
    orderless = len(known) > 1 and capital
    alone = tuple(re.compile(_ALONE.format(_word(word))) for word in known) if orderless else ()
    parts = []
    if orderless:
        parts = [_ALONE.format(re.escape(word)) for word in known if len(word) > 3 and word not in _COMMON]
    masked = r"(?:\*|•|…|_|\.{2,}|x{2,}|#|-{2,})"
    parts += [rf"(?<!{_LETTER}){re.escape(word[:4])}{_LETTER}*?{masked}" for word in known if capital and len(word) > 5 and word.isalpha()]
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
    whole = "".join(signs.get(piece, rf"{_MARK}{{0,3}}" if not piece.isalnum() else re.escape(piece)) for piece in pieces if piece)
    halves = [re.compile(_ALONE.format(re.escape(half))) for half in text.split("@")]
    parts = tuple(half for half, written in zip(halves, text.split("@"), strict=True) if len(written) > 3)
    return Truth(literal, (re.compile(_ALONE.format(whole)),), parts, tuple(halves), reach=len(text) + 30)
