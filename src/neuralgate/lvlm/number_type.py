"""Which type of number a CPU is fast in: some have units for bfloat16, others take many times longer with it than in float32."""

from __future__ import annotations

import time
from functools import cache

import torch

SIDE, REPEATS = 768, 5
WORTH = 0.7  # of float32's time: below it bfloat16 pays, although norms and casts gain nothing


@cache
def cpu_dtype() -> torch.dtype:
    """bfloat16 where a product of matrices takes clearly less time in it than in float32, float32 elsewhere; timed once a process."""
    return torch.bfloat16 if _seconds(torch.bfloat16) < WORTH * _seconds(torch.float32) else torch.float32


def _seconds(dtype: torch.dtype) -> float:
    """The shortest of a few products."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    matrix @ matrix  # the first one prepares
    taken = []
    for _ in range(REPEATS):
        before = time.perf_counter()
        matrix @ matrix
        taken.append(time.perf_counter() - before)
    return min(taken)
