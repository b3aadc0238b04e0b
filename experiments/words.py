"""Numbers and estimates in words, as all pages have them."""

from __future__ import annotations

from neuralgate.evaluate.crossed import Estimate
from neuralgate.evaluate.intervals import wilson


def number(value: float, signed: bool = True) -> str:
    """Two digits behind the point, as .05 or -.12."""
    text = f"{abs(value):.2f}"
    sign = "-" if value < 0 and text != "0.00" else "+" if signed and text != "0.00" else ""
    return sign + (text[1:] if text.startswith("0") else text)


def told(estimate: Estimate | None, signed: bool = True) -> str:
    """An estimate with its interval; of a share (``signed`` is False) that is alike for all, Wilson's for the units."""
    if estimate is None:
        return "-"
    if signed and not estimate.is_spread:
        return f"{number(estimate.mean)} (no spread)"
    low, high = estimate.low, estimate.high
    if not signed:
        low, high = (max(low, 0.0), min(high, 1.0)) if estimate.is_spread else wilson(estimate.mean * estimate.units, estimate.units)
    return f"{number(estimate.mean, signed)} [{number(low, signed)}, {number(high, signed)}]"


def told_whole(estimate: Estimate, p: float) -> str:
    """The same with what stands behind it."""
    if estimate.seeds == 1:
        return f"{told(estimate)} (1 seed, interval over {estimate.subjects} subjects alone, p {p:.3g})"
    smallest = f", would have been seen from {seen(estimate)}" if estimate.is_spread else ""
    return f"{told(estimate)} ({estimate.seeds} seeds x {estimate.subjects} subjects, p {p:.3g}{smallest})"


def seen(estimate: Estimate) -> str:
    """The smallest difference that would have been; unknown of one seed, and where nothing is spread."""
    return number(estimate.seen, signed=False) if estimate.seeds > 1 and estimate.is_spread else "-"
