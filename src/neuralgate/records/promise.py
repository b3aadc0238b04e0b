"""What ``promise/promise.json`` holds: which strength of the edit keeps a promise, and what was found at each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from neuralgate.records import Count, Name, Quantity, Share


class RiskFound(TypedDict):
    """Of one risk: its mean over so many units, and the smallest level that could be promised of it alone."""

    mean: Share
    at_most: Share
    units: Count


class StrengthRow(TypedDict):
    """One strength, in the order of testing. ``refused``: of the sensitive questions whose leaks are counted; None where none are."""

    strength: Quantity
    p: Share
    kept: bool
    refused: Share | None
    risks: dict[Name, RiskFound]


class PromiseRecord(TypedDict):
    """See :func:`neuralgate.evaluate.strengths.find_strength`. ``strength`` keeps the promise where ``kept`` says so, else it is the
    nearest to it."""

    strength: Quantity
    kept: bool
    sentence: Annotated[str, Field(max_length=2000)]
    levels: dict[Name, Share]
    confidence: Share
    judge: Name
    tested: Annotated[list[StrengthRow], Field(min_length=1)]


PROMISE_FILE = "promise/promise.json"
PROMISE: TypeAdapter[PromiseRecord] = TypeAdapter(PromiseRecord)
