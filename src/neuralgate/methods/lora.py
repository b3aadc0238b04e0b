"""LoRA: teach the refusal to a change of low rank.

    minimise  L_sen + lambda L_ben + mu L_contrast        over A and B, where each named matrix W is W + (alpha / r) B A

What most people would reach for. The change is merged into the weights and kept as a patch like any other (`export --format peft` gives it
back as an adapter). Its control is a change of the same matrices, rank and norms, drawn at random.

Paper: https://arxiv.org/abs/2106.09685 (the adapter is peft's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, STEPS, TrainedConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2106.09685"
EDITS = "linear layers of decoder layers"
TRAINED = "R x (D + F) a matrix"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(TrainedConfig):
    """Which matrices, and how; the rest is the loop's."""

    parts: Annotated[list[Literal["ffn", "attention"]], Field(min_length=1)] = Field(["ffn"], description="Parts of the layers to adapt.")
    rank: int = Field(8, ge=1, description="Rank of each change.")
    alpha: int = Field(16, ge=1, description="The change is alpha / rank times B A.")
    change: Literal["trained", "random"] = Field("trained", description="The trained one, or as a control one of its norms at random.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError for what cannot be trained or adapted, see `neural_gate.edit`."""
    from neuralgate.lvlm.roles import find_roles
    from neuralgate.training.adapter import merged, trained_changes
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.projections import random_like
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    matrices = [role for role in lvlm.parts_of(layers, config.parts) if not role.endswith(".bias")]
    check_trainable(find_roles(lvlm.model, matrices).values())
    pairs = training_pairs(lvlm, pairs, config.stop)
    task = f"LoRA of {', '.join(config.parts)} of layer {', '.join(map(str, layers))}"
    watch.begin(pairs, task, layers, looks=config.is_looked_at)
    changes = trained_changes(lvlm, pairs, config, watch, matrices, (config.rank, config.alpha))
    if config.change == "random":
        changes = {role: random_like(change, config.rank, f"{config.seed}|{role}") for role, change in changes.items()}
    return merged(lvlm, changes, {"method": "LoRA" if config.change == "trained" else "random change (control)"})


def controls(config: Config) -> dict[str, Config]:
    """A random change of the same matrices, rank and norms."""
    return {"random": config.model_copy(update={"change": "random"})}
