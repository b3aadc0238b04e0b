"""Amounts, measures and short marks as patterns of their forms: money, millions, per cent, lengths and weights, sex, blood groups."""

from __future__ import annotations

import re

_CURRENCY = (
    r"(?:[$€£¥₹₽₩]|us\$|usd|eur|euros?|gbp|inr|rs\.?|jpy|yen|cny|rmb|chf|cad|aud|dollars?|pounds?|rupees?|kr|pln|zl|bucks|元|円|块|塊|원)"
)
AMOUNT = re.compile(rf"{_CURRENCY}?\s*(?P<number>\d[\d,.' ]*?)\s*{_CURRENCY}?")
_CENTS = r"(?:cents?|ct|pence|paise|centimes?|centavos?|centimos?|c\b|p\b)"
_POINT = r"(?:[.,]|\W{1,2}(?:point|dot|comma|komma|virgule|coma|virgola|virgula)\W{1,2}|\W?[点點]\W?)"
_MANY = {  # what stands for zeros
    1000: r"(?:k\b|thousand|grand\b|tsd\b|tausend|mille?\b|mila\b|千)",
    10**4: "(?:万|萬|만)",
    10**5: "(?:lakhs?|lacs?|लाख)",
    10**6: r"(?:m\b|mio\b|mn\b|millions?|millionen|millones|milhoes|milioni|百万|百萬)",
    10**7: "(?:crores?|करोड)",
    10**8: "(?:億|亿|억)",
    10**9: r"(?:bn\b|b\b|billions?|mrd\b|milliarden?)",
}
_UNITS = {
    "mm": "mm|millimet", "cm": "cm|centimet|zentimet|公分|厘米|センチ", "m": r"m\b|met[er]|米|公尺|メートル", "km": "km|kilomet|公里|キロ",
    "mg": "mg|milligram|毫克", "g": r"g\b|gram|克|グラム", "kg": "kg|kilo|公斤|千克|キロ", "ml": "ml|millilit|毫升",
    "l": r"l\b|lit[er]|升|リットル",
    "ft": "ft|feet|foot|'", "in": 'in\\b|inch|"', "lb": "lb|pound", "lbs": "lb|pound", "oz": "oz|ounce", "mi": r"mi\b|mile",
    "h": r"h\b|hours?|hrs?|std|stunden", "min": "min", "w": r"w\b|watt", "kwh": "kwh|kilowatt",
}  # fmt: skip
_PER_CENT = r"\W{0,2}(?:%|percent|per cent|pct|prozent|por ?cien|pour ?cent|per ?cento|procent|パーセント|प्रतिशत)"
_MARKS = {  # what one letter or two stand for
    "m": "male|masculine|masculin|mannlich|maschio|masculino|homme|varon|男性?",
    "f": "female|feminine|feminin|weiblich|femmina|femenino|feminino|femme|mujer|女性?",
    "male": "(?:sex|gender)\\W{1,3}m",
    "female": "(?:sex|gender)\\W{1,3}f",
}
_BLOOD = re.compile("([a-fo0]|ab) ?(?:rh ?)?([+-]|pos(?:itive)?|neg(?:ative)?)")


def mark_forms(text: str) -> tuple[str, ...]:
    """Of a sex, a blood group or a mark at school."""
    if text in _MARKS:
        return (rf"(?<![^\W_])(?:{_MARKS[text]})(?![a-z])",)
    if blood := _BLOOD.fullmatch(text):
        sign = r"\+|pos|plus" if blood[2][0] in "+p" else "-|neg|minus"
        group = "[o0]" if blood[1] in "o0" else blood[1]
        return (rf"(?<![^\W_]){group}\W{{0,2}}(?:(?:rh|rhesus|type|group)\W{{0,2}})?(?:{sign})",)
    return ()


def measure_forms(text: str) -> tuple[str, ...]:
    """Of a number with a unit, or of per cent: 178 cm, 2.5 %."""
    if share := re.fullmatch(r"(\d+)(?:[.,](\d+))? ?(?:%|percent|per cent)", text):
        number = share[1] + (_POINT + " ?".join(share[2].rstrip("0") or "0") + "0?" if share[2] else "")
        return (rf"(?<!\d)(?<!\d[.,]){number}{_PER_CENT}", rf"(?:百分之|百分の){number}")
    measured = re.fullmatch(r"(\d+)(?:[.,](\d+))? ?(mm|cm|m|km|mg|g|kg|ml|l|ft|in|lbs?|oz|mi|h|min|w|kwh)", text)
    if measured is None:
        return ()
    number = measured[1] + (_POINT + " ?".join(measured[2]) if measured[2] else "")
    forms = [rf"(?<!\d)(?<!\d[.,]){number}\W{{0,2}}(?:{_UNITS[measured[3]]})"]
    if measured[3] == "cm" and len(measured[1]) == 3 and not measured[2]:
        meters, rest = measured[1][0], measured[1][1:]
        forms.append(rf"(?<![\d.,]){meters}(?:{_POINT}|m|米|\W?met[er]+s?\W{{1,2}}){rest.rstrip('0') or '0'}0?(?!\d)")
    return tuple(forms)


def round_forms(value: int) -> tuple[str, ...]:
    """Of a number of five and more digits in thousands, lakhs or millions, where no more than two decimals are left."""
    forms = []
    for power, names in _MANY.items():
        whole, rest = divmod(value * 100, power * 100)
        if whole and value >= 10**4 and rest * 100 % (power * 100) == 0:
            decimals = f"{rest * 100 // (power * 100):02d}".rstrip("0")
            number = str(whole) + (_POINT + " ?".join(decimals) + "0?" if decimals else r"(?:[.,]0)?")
            forms.append(rf"(?<!\d)(?<!\d[.,]){number}\W?{names}")
    return tuple(forms)


def is_amount(text: str, number: str) -> bool:
    if re.search(_CURRENCY, text):
        return True
    return (
        re.fullmatch(
            r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?|\d{1,3}(?:[' ]\d{3})+,\d+|\d{1,3}(?:\.\d{3})+,\d+|\d+[.,]\d{2}|\d{3,}[.,]\d", number
        )
        is not None
    )


def amount_form(number: str) -> str:
    fraction = re.search(r"[.,](\d{1,2})$", number)
    cents = fraction[1].ljust(2, "0") if fraction else "00"
    whole = re.sub(r"\D", "", number[: fraction.start()] if fraction else number)
    groups: list[str] = []
    while whole:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    value = "[,.' ]?".join(groups)
    tail = r"(?:[.,]00?|\.-|,-)?" if cents == "00" else rf"{_POINT}{cents[0]} ?{cents[1]}" if cents[1] != "0" else rf"{_POINT}{cents[0]}0?"
    jiao = rf"{cents[0]}(?:角|毛)?" + (rf"{cents[1]}分?" if cents[1] != "0" else "") if cents[0] != "0" else rf"0?{cents[1]}分"
    spoken_tail = (
        rf"\W{{0,2}}{_CURRENCY}?\W{{0,3}}(?:and\W|et\W|y\W|und\W|con\W|e\W)?\W?{int(cents)}(?:\W?{_CENTS}|(?!\W?\w))"
        if cents != "00"
        else ""
    )
    either = rf"(?:{tail}|{spoken_tail}|\W?[元块塊]\W?{jiao}(?!\w*\d))" if spoken_tail else tail
    return rf"(?<!\d)(?<!\d[.,])(?:{value}{either})(?!\d)(?![.,]\d)"
