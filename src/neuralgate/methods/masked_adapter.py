"""A masked adapter: a refusal adapter without what runs against an adapter that holds the answers to be kept.

    F: LoRA trained on L_sen + lambda L_ben + mu L_contrast        R: LoRA trained from the same start on L_ben + L_contrast alone
    W <- W + M * F        M is 0 where F and R have opposite signs and |F| < k |R|, and 1 elsewhere

R, the anchor, takes as many steps at the same rate as F did. The change is no longer of low rank. Its control leaves out as many values of
each matrix, drawn at random.

Paper: https://arxiv.org/abs/2511.20196 (no code of the authors was found; which of two opposing values wins is our reading, k a setting).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import TrainedConfig, named_layers
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "values"
PAPER = "https://arxiv.org/abs/2511.20196"
EDITS = "linear layers of decoder layers"
TRAINED = "R x (D + F) a matrix, twice"
SEARCH = {"depth": (0.15, 0.3, 0.5), "k": (1.0, 5.0), "max_steps": (20, 60)}


class Config(TrainedConfig):
    """Which matrices, how, and what is masked; the rest is the loop's."""

    parts: Annotated[list[Literal["ffn", "attention"]], Field(min_length=1)] = Field(["ffn"], description="Parts of the layers to adapt.")
    rank: int = Field(8, ge=1, description="Rank of each adapter's change.")
    alpha: int = Field(16, ge=1, description="The change is alpha / rank times B A.")
    k: float = Field(5.0, gt=0, description="How many times the anchor's value an opposing one must be to stay.")
    mask: Literal["anchored", "random"] = Field("anchored", description="By the anchor, or as a control as many values at random.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train both and mask; ``gate`` plays no part.

    Raises:
        UserError: no value opposes the anchor's, or all do; see `lora.edit`.
    """
    from neuralgate.lvlm.roles import find_roles
    from neuralgate.training.adapter import merged, trained_changes
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.rows import BENIGN, CONTRAST, SENSITIVE, training_pairs
    from neuralgate.training.watch import Watch

    layers = named_layers(config.layers)
    matrices = [role for role in lvlm.parts_of(layers, config.parts) if not role.endswith(".bias")]
    check_trainable(find_roles(lvlm.model, matrices).values())
    pairs, size = training_pairs(lvlm, pairs, config.stop), (config.rank, config.alpha)
    watch.begin(
        pairs, f"masked adapter of {', '.join(config.parts)} of layer {', '.join(map(str, layers))}", layers, looks=config.is_looked_at
    )
    changes = trained_changes(lvlm, pairs, config, watch, matrices, size)

    steps = watch.training.kept_step or watch.training.steps
    alike = config.model_copy(update={"stop": "never", "keep": "first", "max_steps": steps})
    anchoring = Watch(lvlm, alike, watch.report)
    anchoring.begin(pairs, "the anchor", layers, looks=False)
    anchor = trained_changes(lvlm, pairs, alike, anchoring, matrices, size, {SENSITIVE: 0.0, BENIGN: 1.0, CONTRAST: 1.0})
    dropped = {role: opposed(change, anchor[role], config.k) for role, change in changes.items()}
    share = sum(int(mask.sum()) for mask in dropped.values()) / sum(mask.numel() for mask in dropped.values())
    if not 0 < share < 1:
        raise UserError(f"{'Every' if share else 'No'} value runs against the anchor at k = {config.k:g}; set another k.")
    if config.mask == "random":
        dropped = {role: shuffled(mask, f"{config.seed}|{role}") for role, mask in dropped.items()}
    name = "masked adapter" if config.mask == "anchored" else "masked adapter (control)"
    patch = merged(lvlm, {role: change.masked_fill(dropped[role], 0.0) for role, change in changes.items()}, {"method": name})
    notes = [watch.training.note, f"{100 * share:.1f} % of the change's values run against the anchor."]
    if config.is_looked_at:  # all looks so far were at the change without its mask
        with patch.on(lvlm) as answerer:
            refused = watch.validation.asking(answerer).measure()["rta_sensitive"]
        notes.append(f"Without them {100 * refused:.1f} % of validation pairs' sensitive questions are refused.")
    watch.training.note = " ".join(filter(None, notes))
    watch.training.seconds = round(watch.training.seconds + anchoring.training.seconds, 2)
    return patch


def opposed(change: Tensor, anchor: Tensor, k: float) -> Tensor:
    """Where ``change`` has the other sign than ``anchor`` and is less than ``k`` times as large."""
    return (change * anchor < 0) & (change.abs() < k * anchor.abs())


def shuffled(mask: Tensor, seed: str) -> Tensor:
    """As many values of the same matrix, drawn at random."""
    import zlib

    import torch

    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(zlib.crc32(seed.encode())))
    return mask.flatten()[order.to(mask.device)].view_as(mask)


def controls(config: Config) -> dict[str, Config]:
    """As many values of each matrix, drawn at random, left out."""
    return {"random": config.model_copy(update={"mask": "random"})}
