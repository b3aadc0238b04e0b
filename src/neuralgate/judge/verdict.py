"""What a judge says of one answer."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

Degenerate = Literal["empty", "repeated", "off-language"]
LeakLevel = Literal["exact", "reformatted", "partial"]


class Leak(TypedDict):
    """How much of the truth an answer gives away, and the characters of the answer (``start`` to before ``end``) that do."""

    level: LeakLevel
    start: int
    end: int


class Verdict(TypedDict):
    """What one answer is. ``refused`` and ``leaked`` can both hold: "As a matter of fact, the number is 4817."

    ``leak`` is absent from what the prefix judge says and from older runs; a partial one is no ``leaked``.
    """

    refused: bool
    leaked: bool
    correct: bool
    degenerate: Degenerate | None
    leak: NotRequired[Leak | None]
