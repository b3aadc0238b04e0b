"""Batches that fit: the largest that does is found by halving, once, and said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

from neuralgate.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def free_bytes(device: torch.device) -> int | None:
    """What an accelerator has left for this process; None on a CPU, whose memory is not all ours to plan with."""
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """A context that counts what the graph built in it keeps for its backward pass, each storage once, those of ``tensors`` not."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        seen = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self.count = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                self.count += storage.nbytes()
            return tensor

        super().__init__(pack, lambda tensor: tensor)


class Batches:
    """Work on batches of at most ``size`` items; ``size`` halves when the accelerator's memory is exhausted.

    ``sizes`` keeps what there was room for from one piece of work to the next (``LVLM.batches``).
    """

    def __init__(self, size: int, what: str, sizes: dict[str, int]) -> None:
        self.what, self.sizes = what, sizes
        self.size = min(size, sizes.get(what, size))

    def run(self, work: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> list[Result]:
        """The results of ``work`` on consecutive batches. What ``work`` did to a batch that had no room must not matter.

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
                self.size = self.sizes[self.what] = len(batch) // 2
                print(f"{self.what}: {len(batch)} at a time do not fit into memory; going on with {self.size}.", file=sys.stderr)
                torch.cuda.empty_cache()
        return results
