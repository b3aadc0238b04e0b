"""A time of the day as patterns of its forms: of 12 and of 24 hours, and in words."""

from __future__ import annotations

import re

_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::\d{2})? ?(a\.?m\.?|p\.?m\.?)?(?: ?(?:h|hrs|uhr|o'clock))?")
_MORNING = r"\W{0,2}(?:a\.?\W?m\b|in the morning|morgens|du matin|de la manana|of the morning)"
_EVENING = r"\W{0,2}(?:p\.?\W?m\b|in the (?:afternoon|evening)|at night|nachmittags|abends|de l'apres-midi|du soir|de la (?:tarde|noche))"
_HOUR = r"\W?[:.h時时点點시]\W?"


def time_forms(text: str) -> tuple[str, ...]:
    """None for what is no time: "14:30", "2:30 pm", "9 a.m." are."""
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[3]) or int(match[1]) > 24 or int(match[2] or 0) > 59:
        return ()
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "")[:1]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    short = hour % 12 or 12
    day = _EVENING if hour >= 12 else _MORNING
    minutes = f"(?:{_HOUR}|[ -]){minute:02d}" if minute else rf"(?:{_HOUR}00)?"
    forms = [rf"(?<!\d)0?{short}{minutes}{day}", rf"(?:下午|晚上|午後|오후) ?{short}{_HOUR}{minute or ''}" if hour >= 12 else ""]
    if half or hour > 12 or len(match[1]) == 2 or minute:
        forms.append(
            rf"(?<![\d.,:])0?{hour}{_HOUR}0?{minute}(?!\d)" if minute else rf"(?<![\d.,:])0?{hour}{_HOUR}(?:00)?(?=\W|$|[時时点點시])"
        )
        forms.append(rf"(?<![\d.,:])0?{hour}{minute:02d} (?:hours|hrs|h\b|uhr)")
    words = {15: "(?:a )?quarter (?:past|after)", 30: "half(?: past)?"}.get(minute)
    if words:
        forms.append(rf"\b{words} {short}(?!\d)")
    if minute == 45:
        forms.append(rf"\b(?:a )?quarter (?:to|of|before) {short % 12 + 1}(?!\d)")
    if minute == 30:
        forms.append(rf"\bhalb {short % 12 + 1}(?!\d)|(?<!\d){short}[点點時时]半|(?<!\d){short} (?:y media|et demie)")
    return tuple(form for form in forms if form)
