"""Gradient ascent: make the model's own answers to sensitive questions less likely, and hold everything else.

    minimise  - NLL(own answer | sensitive question) + lambda L_ben + mu L_contrast      over the FFN output projections of the named layers

Nothing takes the place of what is forgotten: without a bound the model ends in noise, which no judge counts as a refusal. Its control
forgets answers of other pairs, which the model never gave here.

Paper: https://arxiv.org/abs/2310.10683 (with the descent on what is to stay).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralgate.edit_settings import DEPTHS, STEPS, UnlearnConfig

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2310.10683"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}

Config = UnlearnConfig


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError, see `unlearn`."""
    from neuralgate.training.objectives import FORGET
    from neuralgate.training.projections import unlearn

    return unlearn(lvlm, pairs, config, watch, FORGET, "gradient ascent")


def controls(config: Config) -> dict[str, Config]:
    """Other answers, drawn at random."""
    return {"random": config.model_copy(update={"forget": "other"})}
