"""The model of a run, loaded as the machine's settings say."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neuralgate.errors import UserError
from neuralgate.machine import Machine
from neuralgate.recipe import Recipe

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM


def loader(recipe: Recipe, machine: Machine, begun_with: str = "auto") -> Callable[[], LVLM]:
    """Loads the recipe's model as ``machine`` wants it; torch is imported only then.

    Args:
        begun_with: the dtype that a run was begun with, which changes bytes: it stays where ``machine`` leaves it to `auto`.
    """
    dtype = begun_with if machine.dtype == "auto" else machine.dtype

    def load() -> LVLM:
        import torch

        if machine.threads:
            torch.set_num_threads(machine.threads)
        device = machine.device
        if device == "auto":
            # the processes of one launch take a GPU each
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        try:
            torch.zeros(1, device="cpu" if device == "split" else device).item()
        except (RuntimeError, AssertionError, ImportError) as error:  # how torch says that a device is unknown or not there
            reason = str(error).splitlines()[0]
            raise UserError(f"The device {device!r} cannot be used ({reason}); give --machine device=cpu or leave it out.") from error
        return load_quietly(recipe.model, dtype, device, revision=recipe.revision, prompt_style=recipe.prompt_style)

    return load


def load_quietly(model: str, dtype: str, device: str = "cpu", **how: Any) -> LVLM:
    """`load` without transformers' bar among ours."""
    from transformers.utils.logging import disable_progress_bar

    from neuralgate.lvlm.load import load

    disable_progress_bar()
    return load(model, dtype=dtype, device=device, **how)
