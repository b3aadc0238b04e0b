"""Batches that fit: the largest that does is found by halving, once, and said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from neuralgate.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Fitting:
    """Work on batches of at most ``size`` items; ``size`` halves when the accelerator's memory is exhausted.

    ``found`` keeps what fitted from one piece of work to the next (``LVLM.fitting``).
    """

    def __init__(self, size: int, what: str, found: dict[str, int]) -> None:
        self.what, self.found = what, found
        self.size = min(size, found.get(what, size))

    def run(self, work: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> list[Result]:
        """The results of ``work`` on consecutive batches. What ``work`` did to a batch that did not fit must not matter.

        Raises:
            UserError: not even one item fits.
        """
        results: list[Result] = []
        start = 0
        while start < len(items):
            batch = items[start : start + self.size]
            try:
                results.append(work(batch))
                start += len(batch)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise UserError(
                        f"{self.what}: the accelerator's memory does not hold a single one; use a smaller dtype, a larger device, or "
                        "--machine device=split."
                    ) from error
                self.size = self.found[self.what] = len(batch) // 2
                print(f"{self.what}: {len(batch)} at a time do not fit into memory; going on with {self.size}.", file=sys.stderr)
                torch.cuda.empty_cache()
        return results
