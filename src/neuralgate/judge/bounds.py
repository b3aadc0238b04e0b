"""What stands around a value and between its pieces, in patterns over folded text."""

from __future__ import annotations

from neuralgate.judge.numerals import JANUARY

MONTHS = f"{chr(JANUARY)}-{chr(JANUARY + 11)}"
#: What may stand between the pieces of one value: no letter, digit or month.
MARK = rf"(?:[^\w{MONTHS}]|_)"
#: Scripts without blanks between words, where a value may touch its neighbours, do not bound it.
LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
ALONE = rf"(?<!{LETTER})(?<!\d)(?:{{}})(?!{LETTER})(?!\d)"
NO_DIGIT = r"(?<!\d)(?:{})(?!\d)"
WHOLE_NUMBER = r"(?<!\d)(?<!\d[.,])(?:{})(?![.,]?\d)"
