"""What a process has needed so far."""

from __future__ import annotations

import resource
import sys


def peak_memory_mb() -> float:
    """The process's largest resident memory so far; it never falls, so a stage shows at least what earlier ones needed."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)  # bytes there, kilobytes on Linux


def reset_device_peak() -> None:
    """Begin to measure anew what is needed on a GPU, if torch is in use on one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def device_peak_mb() -> float | None:
    """The most that torch has held on the GPU since the last reset; None without one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return None
