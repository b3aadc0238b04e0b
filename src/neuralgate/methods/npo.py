"""NPO, negative preference optimisation: gradient ascent on the model's own answers that fades as they become unlikely.

    minimise  2 / beta log(1 + (p / p0)^beta) + lambda L_ben + mu L_contrast      over the FFN output projections of the named layers

p and p0: the probability of the base model's own answer to a sensitive question, now and in the base. Its control forgets answers of
other pairs, which the model never gave here.

Paper: https://arxiv.org/abs/2404.05868
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, STEPS, UnlearnConfig
from neuralgate.methods.grad_ascent import controls as controls

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2404.05868"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(UnlearnConfig):
    """How steep; the rest is the loop's."""

    beta: float = Field(0.1, gt=0, description="Inverse temperature: the larger, the sooner an answer counts as forgotten.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError, see `unlearn`."""
    from neuralgate.training.objectives import npo
    from neuralgate.training.projections import unlearn

    return unlearn(lvlm, pairs, config, watch, npo(config.beta), "NPO")
