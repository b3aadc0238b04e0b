"""How to do it here, which is in no hash; what to do is the recipe's (`recipe.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field

from neuralgate.settings import Settings, parse_settings, split_setting


class Machine(Settings):
    """How to do it here. Nothing of this is in a hash."""

    device: str = Field(
        "auto", description="`cpu`, `cuda`, `cuda:1` ...; `auto` takes a GPU if there is one, `split` spreads the model over all there is."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"] = Field(
        "auto",
        description="Type of the weights while working; `auto` is float32 on a CPU, bfloat16 there for Notary where that is faster, the "
        "checkpoint's own elsewhere, and what it was begun with for a run that goes on. 8 and 4 bit (bitsandbytes) can be located on and "
        "evaluated, not edited.",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; null leaves it to torch.")
    batch_size: int | None = Field(None, ge=1, description="Questions answered at a time; null takes the recipe's.")

    @classmethod
    def parse(cls, settings: Sequence[str]) -> Self:
        """From ``key=value`` settings as on the command line."""
        return parse_settings(cls, {".".join(keys): value for keys, value in map(split_setting, settings)}, "--machine")
