"""Fine-tuning: teach the refusal to those values of the named tensors whose gradient is largest.

    minimise  L_sen + lambda L_ben + mu L_contrast        over the values v with the largest |dLoss / dv| at the first step

The plainest of the methods that look for their parameters before they train them: it says what the gate is worth, as it has none, and an
edit of any tensor. Its control trains as many values drawn at random, which such methods have been found not to beat.

Paper: https://arxiv.org/abs/2505.16252 (whether finding parameters informs unlearning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, STEPS, TrainedConfig, named_layers

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "values"
PAPER = "https://arxiv.org/abs/2505.16252"
EDITS = "any tensors of decoder layers"
TRAINED = "a share of each tensor"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(TrainedConfig):
    """Which values are trained; the rest is the loop's."""

    parts: Annotated[list[Literal["ffn", "attention", "norm", "all"]], Field(min_length=1)] = Field(
        ["ffn"], description="Parts of the layers to train; `all` is everything in them."
    )
    share: float = Field(0.1, gt=0, le=1, description="Share of each tensor's values that is trained.")
    values: Literal["largest", "random"] = Field("largest", description="Those with the largest gradient, or as many drawn at random.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError for what cannot be trained, see `neural_gate.edit`."""
    from neuralgate.training.masks import largest_values, random_values
    from neuralgate.training.objectives import REFUSE
    from neuralgate.training.projections import train_parameters

    def picking(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        if config.values == "largest":
            return largest_values(gradients, config.share)
        return random_values(gradients, config.share, config.seed)

    parameters = lvlm.parts_of(named_layers(config.layers), config.parts)
    name = f"fine-tuning of {', '.join(config.parts)}"
    return train_parameters(lvlm, pairs, config, watch, REFUSE, parameters, name, config.values == "random", picking)


def controls(config: Config) -> dict[str, Config]:
    """As many values, drawn at random."""
    return {"random": config.model_copy(update={"values": "random"})}
