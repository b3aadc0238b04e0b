"""Values that look like the real thing and are nobody's: what stands on a photographed document.

Names, streets, places and companies come from Faker; everything with a number is invalid by construction: telephone numbers
from the range kept for fiction (555-01xx), card numbers that fail the Luhn check, accounts of a country that does not exist,
e-mail addresses of example.org. Passport and other numbers of our patterns follow no authority's format.
"""

from __future__ import annotations

import string
from functools import cache

import numpy as np
from faker import Faker

from neuralgate.pairs.drawn.documents import MONTHS
from neuralgate.pairs.subjects import Script, Value

#: Faker's locales for each script. The values of `latin` are plain ASCII, so that an answer is compared with what any model can write.
LOCALES: dict[Script, tuple[str, ...]] = {
    "latin": ("en_US", "en_GB", "en_IN", "en_NZ"),
    "accented": ("pl_PL", "cs_CZ", "de_DE", "fr_FR", "es_ES", "tr_TR"),
    "greek": ("el_GR",),
    "cyrillic": ("uk_UA", "ru_RU"),
    "armenian": ("hy_AM",),
    "georgian": ("ka_GE",),
}
LONGEST = 24  # characters: what stays readable across a document
POOL = 600  # draws of a locale from Faker; people are a first name and a last name of it, so there are many more


def sample_value(value: Value, script: Script, rng: np.random.Generator) -> str:
    """One value of a kind (at most :data:`LONGEST` characters), of a pattern or of a list of choices."""
    if isinstance(value, tuple):
        return value[rng.integers(len(value))]
    match value:
        case "digits":
            return fill("#######", rng)
        case "code":
            return fill("??-###?", rng)
        case "year":
            return str(rng.integers(1998, 2030))
        case "version":
            return f"{rng.integers(1, 10)}.{rng.integers(0, 30)}"
        case "date":
            return _date(rng)
        case "amount":
            return f"{rng.integers(11, 9990):,}.{rng.integers(100):02d}"
        case "account":
            return fill("UT## #### #### ##", rng)
        case "phone":
            return f"{fill('###', rng)}-555-01{rng.integers(100):02d}"
        case "card":
            return _card(rng)
        case "name" | "street" | "place" | "company" | "email":
            return _from_faker(value, script, rng)
    return fill(value, rng)


def fill(pattern: str, rng: np.random.Generator) -> str:
    """``pattern`` with a random digit for each # and a random capital for each ?."""
    digits, letters = iter(rng.integers(10, size=len(pattern))), iter(rng.integers(26, size=len(pattern)))
    return "".join(str(next(digits)) if mark == "#" else string.ascii_uppercase[next(letters)] if mark == "?" else mark for mark in pattern)


def _date(rng: np.random.Generator) -> str:
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1945, 2030))
    forms = (f"{day:02d} {MONTHS[month - 1]} {year}", f"{year}-{month:02d}-{day:02d}", f"{day:02d}.{month:02d}.{year}")
    return forms[rng.integers(len(forms))]


def _card(rng: np.random.Generator) -> str:
    """Sixteen digits whose Luhn sum is off by one to nine, so that no card has this number."""
    digits = [int(digit) for digit in rng.integers(10, size=15)]
    total = sum(sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    digits.append((-total + int(rng.integers(1, 10))) % 10)
    text = "".join(map(str, digits))
    return " ".join(text[place : place + 4] for place in range(0, 16, 4))


def _from_faker(kind: str, script: Script, rng: np.random.Generator) -> str:
    locales = LOCALES[script]
    locale = locales[rng.integers(len(locales))]

    def one(what: str) -> str:
        pool = _pool(locale, what)
        return pool[rng.integers(len(pool))]

    match kind:
        case "name":
            return f"{one('first_name')} {one('last_name')}"
        case "street":
            return f"{rng.integers(1, 200)} {one('street_name')}"
        case "place":
            return one("city")
        case "company":
            return one("company")
    return f"{one('user_name')}@example.org"


@cache
def _pool(locale: str, what: str) -> tuple[str, ...]:
    """Different values of one of Faker's providers, short enough for a document, and ASCII where the script is plain Latin."""
    fake = Faker(locale)
    fake.seed_instance(POOL)
    longest = {"first_name": LONGEST // 2 - 1, "last_name": LONGEST // 2, "street_name": LONGEST - 4, "user_name": LONGEST - 12}.get(
        what, LONGEST
    )
    drawn = dict.fromkeys(getattr(fake, what)() for _ in range(POOL))
    return tuple(text for text in drawn if len(text) <= longest and (locale not in LOCALES["latin"] or text.isascii()))
