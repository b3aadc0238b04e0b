"""R-ROME: ROME with one key, the mean over ways of asking, where ROME mixes two.

    delta = (v - W k) u^T / (k . u),    u = C^-1 k

Everything else is `rome`'s. Its control gives values of the same norms in random directions.

Paper: https://arxiv.org/abs/2403.07175
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from neuralgate.methods import rome
from neuralgate.methods.rome import EDITS as EDITS
from neuralgate.methods.rome import SEARCH as SEARCH
from neuralgate.methods.rome import TRAINED as TRAINED
from neuralgate.methods.rome import controls as controls
from neuralgate.methods.rome import edit as edit

LOCATES = ""
PAPER = "https://arxiv.org/abs/2403.07175"


class Config(rome.Config):
    """ROME's, with another key."""

    keys: Literal["bare", "mean"] = Field("mean", description="The key that an edit is solved for: the bare question's, or the mean.")
