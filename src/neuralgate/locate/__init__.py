"""Locate: scaling vectors, their votes, and what the votes are worth."""

from neuralgate.locate.gate import Gate
from neuralgate.locate.locate import locate

__all__ = ["Gate", "locate"]
