"""DPO, direct preference optimisation: the refusal is to be preferred to the model's own answer.

    minimise  - log sigmoid(beta (log r / r0 - log p / p0)) + lambda L_ben + mu L_contrast      over FFN output projections

r and p: the probabilities of the refusal and of the base model's own answer to a sensitive question, r0 and p0 those in the base. With "I
don't know" for the refusal unlearning calls it IdkDPO. Its control prefers the refusal to answers of other pairs.

Paper: https://arxiv.org/abs/2305.18290
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
PAPER = "https://arxiv.org/abs/2305.18290"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(UnlearnConfig):
    """How steep; the rest is the loop's."""

    beta: float = Field(0.1, gt=0, description="Inverse temperature: the larger, the sooner a preference counts as learned.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError, see `unlearn`."""
    from neuralgate.training.objectives import dpo
    from neuralgate.training.projections import unlearn

    return unlearn(lvlm, pairs, config, watch, dpo(config.beta), "DPO")
