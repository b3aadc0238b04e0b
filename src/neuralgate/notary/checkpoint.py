"""Where a stage of Notary's training stands, in one file that appears whole: tensors, what was measured, and the seconds so far."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass
class Progress:
    """``done``: steps; ``measured``: smoothed over them; ``before``: seconds of earlier sittings."""

    done: int = 0
    measured: dict[str, float] = field(default_factory=dict)
    before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def step(self, now: Mapping[str, float]) -> None:
        """One more, and what it measured."""
        self.done += 1
        self.measured |= {name: 0.9 * self.measured.get(name, value) + 0.1 * value for name, value in now.items()}

    @property
    def seconds(self) -> float:
        """Of all sittings."""
        return self.before + time.monotonic() - self.started


def write(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    about = {"done": progress.done, "measured": progress.measured, "before": progress.seconds}
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata={"progress": json.dumps(about)})
    partial.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """No tensors, and a beginning, where there is no file."""
    if not path.is_file():
        return {}, Progress()
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["progress"])
    return load_file(path), Progress(**about)


def adam_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by names that `restore_adam` knows."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {f"adam.{number}.{name}": value for number, entry in state.items() for name, value in entry.items()}


def restore_adam(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
