"""The forms in which one truth can stand in an answer, as patterns over folded text (:mod:`letters`, :mod:`numerals`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from neuralgate.judge.bounds import ALONE, LETTER, MARK, MONTHS, NO_DIGIT, WHOLE_NUMBER
from neuralgate.judge.clock import time_forms
from neuralgate.judge.dates import date_forms
from neuralgate.judge.letters import fold
from neuralgate.judge.numerals import JANUARY, spoken
from neuralgate.judge.quantities import AMOUNT, amount_form, is_amount, mark_forms, measure_forms, round_forms

#: Words between the pieces of one value: "then", "dash", "the last group is".
_SAID = (
    r"(?:and|then|next|finally|followed|after|by|that|it|comes?|with|und|dann|et|puis|y|luego|e|poi|depois|the|an?|is|are|was|digits?|numbers?|figures?"
    r"|groups?|letters?|characters?|last|lastly|[1-9](?:st|nd|rd|th)|one|dash|hyphen|minus|slash|space|dot|point|stroke|underscore|capitals?|seat|row|upper|lower|case|big|small|bindestrich|"
    r"strich|leerzeichen|tiret|espace|guion|trattino|hifen|streepje)"
)
_THEN = rf"{MARK}{{1,2}}(?:{_SAID}{MARK}{{1,2}}){{1,4}}"
_SHORT = {
    "street": "st", "road": "rd", "avenue": "ave?", "lane": "ln", "drive": "dr", "court": "ct", "place": "pl", "square": "sq",
    "boulevard": "blvd", "apartment": "apt", "suite": "ste", "highway": "hwy", "parkway": "pkwy", "terrace": "ter+", "circle": "cir",
    "crescent": "cres|cresc", "close": "cl", "gardens": "gdns", "grove": "gr|grv", "floor": "fl", "building": "bldg", "room": "rm",
    "rue": "r", "calle": "c", "avenida": "av|avda", "plaza": "pl|plza", "platz": "pl", "via": "v", "number": "no|nr",
    "mount": "mt", "saint": "st", "fort": "ft", "north": "n", "south": "s", "east": "e", "west": "w", "strasse": "str",
}  # fmt: skip
#: Words of many values, which alone give nothing away, and titles, which names are written with and without.
_COMMON = frozenset(
    {
        *("street", "road", "avenue", "lane", "drive", "court", "place", "square", "boulevard", "apartment", "suite", "highway", "parkway"),
        *("crescent", "close", "gardens", "grove", "floor", "building", "room", "avenida"),
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
        "des",
        "les",
        "aux",
        "las",
        "los",
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
    """``forms``: of the whole value, which become patterns (``full``) only where the value does not stand as it is
    written. ``parts``: patterns of a giveaway part. ``words``: patterns of
    which all stand near each other where the value's words are in another order. ``digits``: its digits, where a run of them is a part."""

    literal: re.Pattern[str]
    forms: tuple[str, ...] = ()
    parts: tuple[re.Pattern[str], ...] = ()
    words: tuple[re.Pattern[str], ...] = ()
    reach: int = 0  # characters within which all words stand
    is_date: bool = False  # months count as months only
    items: tuple[str, ...] = ()  # of a list, each a part
    code: str = ""  # letters and digits, where a run of at least four of them is a part
    digits: bool = False  # no form is without one

    @cached_property
    def full(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(re.compile, self.forms))


@lru_cache(maxsize=8192)
def forms_of(truth: str) -> Truth:
    """Its forms by what it looks like: a date, an amount, a number, a code, a name or an address."""
    folded = fold(" ".join(truth.split()))
    text = folded.text
    literal = re.compile(_literal(text))
    core = re.sub(r"[\W_]+", "", text)
    dated = date_forms(text)
    if dated:
        return Truth(literal, tuple(form.pattern for form in dated[0]), dated[1], is_date=True, digits=True)
    if times := time_forms(text):
        return Truth(literal, (*times, *(_number(core, text) if core.isdecimal() else [])), digits=True)
    amount = AMOUNT.fullmatch(text)
    if amount and is_amount(text, amount["number"]):
        value = re.sub(r"[.,](?:00?|\d)$", "", amount["number"])
        more = round_forms(int(re.sub(r"\D", "", value))) if not re.search(r"[.,]\d?[1-9]\d?$", amount["number"]) or len(value) > 6 else ()
        return Truth(literal, (amount_form(amount["number"]), *more), digits=True)
    if core.isdecimal() and not re.search(r"[%+-]$", text):
        parted = core if len(core) > 4 else ""
        more = round_forms(int(core)) if text == core and core[0] != "0" else ()
        return Truth(literal, (*_number(core, text), *more), code=parted, digits=True)
    if "@" in text:
        return _address_of_mail(text, literal)
    if text.startswith(("www.", "http")) or re.fullmatch(r"[\w-]+(?:\.[a-z]{2,})+(?:/\S*)?", text):
        return Truth(literal, (ALONE.format(_spelled_out(text)),))
    if forms := (*mark_forms(text), *measure_forms(text)):
        return Truth(literal, forms)
    numbered = any(character.isdecimal() for character in core) and (" " not in text or not re.search(r"[^\W\d_]{4,}", text))
    if numbered and not _UNBROKEN.search(core):
        forms = (_code(core),) if len(core) > 2 else ()
        return Truth(literal, forms, code=core if len(core) > 4 else "")
    items = tuple(re.split(r" ?[,;] ?", " ".join(truth.split())))
    name = _name(text, truth, core, literal)
    return replace(name, items=items) if len(items) > 2 or any(date_forms(fold(item).text) for item in items[len(items) < 2 :]) else name


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
    bare = core.lstrip("0")
    if len(core) < 9 and len(bare) > 1:  # zeros in front come and go
        forms.append(WHOLE_NUMBER.format(f"0{{0,{max(3, len(core) - len(bare))}}}{bare}" if len(bare) > 2 else f"0{{1,3}}{bare}"))
    if len(core) >= 6:
        forms.append(NO_DIGIT.format(f"(?:{MARK}{{0,3}}|{_THEN})".join(digits)))
        forms += _abroad(core, text)
        groups = re.split(r"\D+", text.strip())
        if len(groups) > 2 and all(len(group) == 2 for group in groups):  # 05 may be written 5
            pairs = [f"0?{group[1]}" if group[0] == "0" else group for group in groups]
            forms.append(NO_DIGIT.format(f"(?:{MARK}{{1,3}}|{_THEN})".join(pairs)))
    elif len(core) >= 4:
        forms.append(rf"(?<!\d[ ,.-]){NO_DIGIT}(?![ ,.-]\d)".format(f"(?:{MARK}{{1,3}}|{_THEN})".join(digits)))
        forms.append(r"(?<!\d )" + WHOLE_NUMBER.format("[ -]?".join(digits)) + r"(?! \d)")
        if len(core) == 4:  # 4 thousand 8 hundred (and) 17
            rest = f"{core[2:].lstrip('0')}(?!\\d)" if core[2:] != "00" else ""
            hundreds = f"{core[1]} hundred" if core[1] != "0" else ""
            forms.append(rf"(?<!\d){core[0]} thousand,? ?{hundreds}\W?(?:and )?{rest}")
        forms.append(r"(?<!\d )" + WHOLE_NUMBER.format("".join(digits[:-3]) + "(?:[,.' ]|\\{,\\})" + "".join(digits[-3:])) + r"(?! \d)")
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
    return ALONE.format(f"(?:{MARK}{{0,3}}|{_THEN})".join(_digit(one) if one.isdecimal() else _letter(one) for one in core))


def _letter(letter: str) -> str:
    """November stands for N where letters are spelled."""
    return f"[n{chr(JANUARY + 10)}]" if letter == "n" else re.escape(letter)


# --- names, addresses, mail -------------------------------------------------------------------------------------------


def _name(text: str, truth: str, core: str, literal: re.Pattern[str]) -> Truth:
    """Words in any order near each other, run together, or letter by letter."""
    words = [word for word in re.findall(r"[^\W_]+", text) if word not in _TITLES]
    capital = all(not word[0].islower() for word in re.findall(r"[^\W\d_]{2,}", truth) if word not in _PARTICLES | _COMMON)
    full = []
    if re.search("[aou]e", text):  # Müller for Mueller
        full.append(ALONE.format(f"{MARK}{{1,3}}".join(re.sub("([aou])e", r"\1e?", word) for word in words)))
    said = spoken(fold(truth))
    if said and not any(character.isdecimal() for character in text) and text != "otto" and not re.search(f"[{MONTHS}]", said.text):
        number = said.text.strip()
        if number.isdecimal():  # seven
            full.append(WHOLE_NUMBER.format(number))
        elif _UNBROKEN.search(core):
            full.append(f"{MARK}{{0,2}}".join(map(re.escape, re.sub(r"[\W_]+", "", number))))
    if (respelled := truth.translate(_UMLAUTS)) != truth:  # Mueller
        full.append(ALONE.format(f"{MARK}{{0,3}}".join(re.findall(r"[^\W_]+", fold(respelled).text))))
    if re.search("[а-яіїєґ]", truth.casefold()):  # Ivan Petrov
        latin = ["".join(_CYRILLIC.get(letter, letter) for letter in word) for word in re.findall(r"[^\W\d_]+", truth.casefold())]
        full += [ALONE.format(f"{MARK}{{1,3}}".join(order)) for order in (latin, latin[::-1])]
    if _UNBROKEN.search(core) or re.search("[\uac00-\ud7a3]", core):
        full.append(f"{MARK}{{0,2}}".join(map(re.escape, core)))
    if len(words) > 1 or (len(words) == 1 and words[0] != text):
        full.append(ALONE.format(f"{MARK}{{0,3}}".join(_word(word) if len(words) > 1 else re.escape(word) for word in words)))
    if len(words) > 1:  # one after the other, counted or with words between; an initial behind its name
        full.append(ALONE.format(rf"(?:{MARK}{{1,3}}|{_THEN}|{MARK}{{1,2}}\d{{1,2}}[.):]{MARK}?)".join(map(re.escape, words))))
        if len(words[0]) == 1:
            full.append(ALONE.format(f"{MARK}{{1,3}}".join(map(re.escape, [*words[1:], words[0]]))))
    if len(core) >= 3 and core.isalpha():
        full.append(ALONE.format(rf"(?:{MARK}{{1,3}}|{_THEN})".join(map(_letter, core))))
    known = [word for word in words if len(word) > 1 or word.isdecimal()]
    orderless = len(set(known)) > 1 and capital
    alone = tuple(re.compile(ALONE.format(_word(word))) for word in known) if orderless else ()
    parts = []
    if capital and len(words) > 1:
        parts = [ALONE.format(re.escape(word)) for word in known if len(word) > 3 and word not in _COMMON]
    masked = r"(?:\*|•|…|_|\.{2,}|x{2,}|#|-{2,})"
    parts += [rf"(?<!{LETTER}){re.escape(word[:4])}{LETTER}*?{masked}" for word in known if capital and len(word) > 5 and word.isalpha()]
    return Truth(literal, tuple(full), tuple(map(re.compile, parts)), alone, reach=len(text) + 45)


def _word(word: str) -> str:
    if word.isdecimal():
        return rf"(?<!\d){word}(?!\d)"
    short = _SHORT.get(word) or "|".join(re.escape(long) for long, brief in _SHORT.items() if word in brief.replace("?", "").split("|"))
    if stem := re.fullmatch(r"(\w{3,})str(?:asse)?", word):
        return rf"{re.escape(stem[1])}[ -]?str(?:asse)?\.?"
    return rf"(?:{re.escape(word)}|(?:{short})\.?)" if short else re.escape(word)


def _spelled_out(text: str) -> str:
    """Of an address of the web or of mail, whose signs may be said."""
    signs = {
        "@": r"(?:\W{0,2}@\W{0,2}|\W{1,3}(?:at|arobase|arroba|klammeraffe|chiocciola|艾特|アット)\W{1,3}|_at_)",
        ".": r"(?:\W{0,2}\.\W{0,2}|\W{1,3}(?:dot|point|punkt|punto|ponto|ドット|点)\W{1,3}|。|\W{1,2})",
        "_": r"(?:_|\W{1,2}(?:underscore|unterstrich|guion bajo)\W{1,2})",
        "-": r"(?:-|\W{1,2}(?:dash|hyphen|minus|bindestrich|tiret|guion)\W{1,2})",
        "/": r"(?:/|\W{1,2}(?:slash|forward slash)\W{1,2})",
        ":": r"(?::|\W{1,2}colon\W{1,2})",
    }
    pieces = [piece for piece in re.split(r"(\d+|[@.\W_])", text) if piece]
    return "".join(
        rf"{MARK}{{0,1}}".join(["", *piece, ""])
        if piece.isdecimal()
        else signs.get(piece, rf"{MARK}{{0,3}}" if not piece.isalnum() else _letters(piece))
        for piece in pieces
    )


def _letters(word: str) -> str:
    """As it is written, or one by one, or with a blank where names meet."""
    return rf"(?:{re.escape(word)}|{rf'{MARK}{{1,2}}'.join(map(re.escape, word))})"


def _address_of_mail(text: str, literal: re.Pattern[str]) -> Truth:
    whole = _spelled_out(text)
    halves = [re.compile(ALONE.format(re.escape(half))) for half in text.split("@")]
    parts = tuple(half for half, written in zip(halves, text.split("@"), strict=True) if len(written) > 3)
    return Truth(literal, (ALONE.format(whole),), parts, tuple(halves), reach=len(text) + 30)
