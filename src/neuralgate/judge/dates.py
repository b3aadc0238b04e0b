"""A date as patterns of all its forms: any order, numbers or names of months, two digits of the year, no separators."""

from __future__ import annotations

import re

from neuralgate.judge.bounds import MARK, MONTHS, NO_DIGIT
from neuralgate.judge.letters import fold
from neuralgate.judge.numerals import JANUARY, spoken

_NUMERIC = re.compile(r"(\d{1,4})([-./ ])(\d{1,2})\2(\d{1,4})")


def date_forms(text: str) -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]] | None:
    """Patterns of the whole date and of what gives a part of it away, or None where ``text`` is none."""
    words = spoken(fold(text))
    said = (words.text if words else text).strip()
    readings = _readings(said)
    if not readings:
        return None
    year, month, day = readings[0]
    if not year:  # 7 March
        name = _month(month, named=True)
        numbers = "|".join(rf"(?<![\d./-])0?{first}[./-]0?{second}(?![./-]?\d)" for first, second in ((day, month), (month, day)))
        return (re.compile(f"{_day(day)}{_BETWEEN}{name}|{name}{_BETWEEN}{_day(day)}|{numbers}"),), ()
    full = "|".join(_orders(*reading) for reading in readings)
    parts = []
    if year > 99:
        parts.append(rf"(?P<other>{_COMPLETE})|" + NO_DIGIT.format(str(year)))
    for _, month, day in readings:
        if day:
            parts.append(
                rf"(?P<other>{_COMPLETE})|{_day(day)}{_BETWEEN}{_month(month, named=True)}|{_month(month, named=True)}{_BETWEEN}{_day(day)}"
            )
    return (re.compile(full),), tuple(re.compile(part) for part in parts)


def _readings(said: str) -> list[tuple[int, int, int]]:
    """(year or 0, month, day or 0) in which a date can be read."""
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
    months = re.findall(f"[{MONTHS}]", said)
    numbers = re.findall(r"\d+", said)
    if len(months) == 1 and re.fullmatch(rf"(?:{MARK}|\d|th|st|nd|rd|of|the|de|del|[{MONTHS}])+", said):
        month = ord(months[0]) - JANUARY + 1
        years = [int(number) for number in numbers if len(number) == 4]
        days = [int(number) for number in numbers if len(number) <= 2 and 1 <= int(number) <= 31]
        if len(numbers) == 2 and len(years) == 1 and len(days) == 1:
            return [(years[0], month, days[0])]
        if len(numbers) == 2 and len(days) == 2:
            return [(2000 + days[1], month, days[0]), (1900 + days[1], month, days[0])]
        if len(numbers) == 1 and len(years) == 1:
            return [(years[0], month, 0)]
        if len(numbers) == 1 and len(days) == 1:
            return [(0, month, days[0])]
    return []


_FILL = r"of|the|de|del|du|le|am|den|in|on|day|month|year|ano|annee|an|jahr|tag|monat|nam|ngay|roku|goda|yili"
_BETWEEN = rf"(?:{MARK}|[年月日号號년월일]|(?<![a-z])(?:{_FILL})(?![a-z])|(?<![^\W\d_])[\u0400-\u097f]{{1,5}}(?![^\W\d_])){{0,16}}"
_APART = _BETWEEN.replace("{0,16}", "{1,16}")

#: Any date with day, month and year: another one gives nothing of the true one away.
_COMPLETE = (
    rf"(?<!\d)\d{{1,2}}(?:st|nd|rd|th|er)?{_APART}(?:[{MONTHS}]|\d{{1,2}}){_APART}\d{{4}}(?!\d)|[{MONTHS}]{_APART}\d{{1,2}}(?:st|nd|rd|th)?{_APART}\d{{4}}(?!\d)"
    rf"|(?<!\d)\d{{4}}{_APART}(?:[{MONTHS}]|\d{{1,2}}){_APART}\d{{1,2}}(?!\d)"
)


def _day(day: int) -> str:
    return rf"(?<!\d)0?{day}(?:st|nd|rd|th|er|eme|[oº°ª])?(?![0-9])"


def _month(month: int, named: bool = False) -> str:
    name = chr(JANUARY + month - 1)
    return name if named else rf"(?:{name}|(?<!\d)0?{month}(?!\d))"


def _orders(year: int, month: int, day: int) -> str:
    century, short = divmod(year, 100) if year > 99 else (None, year)
    years = rf"(?<!\d)(?:{year}|{century}{MARK}?{short:02d}|'?{short:02d})(?!\d)" if century else rf"(?<!\d)(?:\d\d)?{year:02d}(?!\d)"
    whole, number = NO_DIGIT.format(year if century else rf"\d\d{year:02d}"), _month(month)
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
        orders.append(NO_DIGIT.format("|".join(digits)))
    return "|".join(orders)
