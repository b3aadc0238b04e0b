"""Fine-tuning: teach the refusal to those values of the named tensors whose gradient is largest.

    minimise  L_sen + lambda L_ben + mu L_contrast        over the values v with the largest |dLoss / dv| at the first step

The plainest of the methods that look for their parameters before they train them: it says what the gate is worth, as it has none, and an
edit of any tensor. Its control trains as many values drawn at random, which such methods have been found not to beat.

Paper: https://arxiv.org/abs/2505.16252 (whether finding parameters informs unlearning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import TrainedConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.batches import Inputs
    from neuralgate.training.loop import Trainer
    from neuralgate.training.watch import Watch

PAPER = "https://arxiv.org/abs/2505.16252"
EDITS = "any tensors of decoder layers"
TRAINED = "a share of each tensor"


class Config(TrainedConfig):
    """Which values are trained; the rest is the loop's."""

    parts: Annotated[list[Literal["ffn", "attention", "norm", "all"]], Field(min_length=1)] = Field(
        ["ffn"], description="Parts of the layers to train; `all` is everything in them."
    )
    share: float = Field(0.1, gt=0, le=1, description="Share of each tensor's values that is trained.")
    values: Literal["largest", "random"] = Field("largest", description="Those with the largest gradient, or as many drawn at random.")


def trainer_of(lvlm: LVLM, pairs: PairSet, config: Config, layers: list[int], inputs: Inputs | None = None) -> Trainer:
    from neuralgate.training.loop import Trainer
    from neuralgate.training.masks import largest_values, random_values

    def picking(gradients: dict) -> dict:
        return (
            largest_values(gradients, config.share) if config.values == "largest" else random_values(gradients, config.share, config.seed)
        )

    return Trainer(lvlm, pairs, config, lvlm.parts_of(layers, config.parts), layers, picking=picking, inputs=inputs)


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError for what cannot be trained, see `neural_gate.edit`."""
    from neuralgate.interventions.patch import Patch
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.rate import with_rate
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    check_trainable(lvlm.parts_of(layers, config.parts).values())
    pairs = training_pairs(lvlm, pairs, config.stop)
    config = with_rate(lvlm, pairs, config, layers, trainer_of)
    trainer = trainer_of(lvlm, pairs, config, layers)
    task = f"fine-tuning {', '.join(config.parts)} of layer {', '.join(map(str, layers))}"
    watch.begin(pairs, task, layers, looks=config.stop == "validation" or config.sequential)
    base, trained = trainer.run(watch)
    patch = Patch.between(lvlm, base, trained, {"method": f"fine-tuning ({config.values} values)"})
    watch.training.values_changed = sum(entry["changed"] for entry in patch.tensors.values())
    return patch


def controls(config: Config) -> dict[str, Config]:
    """As many values, drawn at random."""
    return {"random": config.model_copy(update={"values": "random"})}
