"""What a process has needed so far."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

PEAK = "/proc/self/clear_refs"


def peak_memory_mb() -> float:
    """The process's largest resident memory since `reset_peak`; without one it never falls, so a stage shows at least what earlier ones
    needed."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)  # bytes there, kilobytes on Linux


def reset_peak() -> None:
    """Begin to measure the largest memory anew, where the system can (Linux), and what is needed on a GPU."""
    if os.access(PEAK, os.W_OK):
        Path(PEAK).write_text("5", encoding="ascii")  # https://docs.kernel.org/filesystems/proc.html: resets the peak
    reset_device_peak()


def reset_device_peak() -> None:
    """Begin to measure anew what is needed on a GPU, if torch is in use on one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def device_peak_mb() -> float | None:
    """The most that torch has held on the GPU since the last reset; None without one."""
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return None
