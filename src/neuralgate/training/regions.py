"""Where the losses pull: the gradient of each part of the loss at every tensor, over all training pairs; and regions chosen by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from neuralgate.edit_settings import TrainedConfig
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.training.loop import Trainer
from neuralgate.training.objectives import Objective
from neuralgate.training.rows import BENIGN, SENSITIVE, rows_of


def part_gradients(
    lvlm: LVLM, pairs: PairSet, config: TrainedConfig, layers: Sequence[int], parts: Sequence[str], objective: Objective
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of the objective's loss on sensitive questions and of L_ben, role -> tensor in float32: means over the training pairs
    of edited subjects, which have their targets, without context sentences and whatever the batches."""
    parameters = lvlm.parts_of(layers, parts)
    trainer = Trainer(lvlm, pairs, config, parameters, layers, objective=objective, still=parameters)
    rng = np.random.default_rng(0)  # not drawn from: a plain pair has one version
    plain = [replace(pair, contexts=()) for pair in pairs.split("train", "edit")]
    rows = [row for pair in plain for row in rows_of(pair, pairs, rng, objective.answers)]
    found: list[dict[str, Tensor]] = []
    with torch.enable_grad(), trainer.masters.unlocked():
        for part in (SENSITIVE, BENIGN):
            trainer.weights = {part: 1.0}
            trainer.gradients([row for row in rows if row.part == part])
            found.append({role: copy.grad.clone() for role, copy in trainer.masters.copies.items() if copy.grad is not None})
    return found[0], found[1]


@dataclass(frozen=True)
class Pull:
    """On a tensor of ``size`` values: the mean |gradient| on sensitive questions, and the cosine between that gradient and the one on
    benign questions."""

    strength: float
    cosine: float
    size: int


def pulls(sensitive: Mapping[str, Tensor], benign: Mapping[str, Tensor]) -> dict[str, Pull]:
    """Role -> what the two gradients come to."""
    return {
        role: Pull(
            float(gradient.abs().mean()), float(cosine_similarity(gradient.flatten(), benign[role].flatten(), dim=0)), gradient.numel()
        )
        for role, gradient in sensitive.items()
    }


def opposed_region(found: Mapping[str, Pull], budget: int, max_cosine: float, similar: bool = False) -> list[str]:
    """The tensors of largest pull on sensitive questions whose two gradients have a cosine below ``max_cosine`` (``similar``: not below
    it), as long as their values are within ``budget``; what is too large for the rest of it is passed over."""
    fitting = [role for role, pull in found.items() if pull.strength and (pull.cosine < max_cosine) != similar]
    region, left = [], budget
    for role in sorted(fitting, key=lambda role: found[role].strength, reverse=True):
        if found[role].size <= left:
            region.append(role)
            left -= found[role].size
    return region


def random_region(region: Sequence[str], sizes: Mapping[str, torch.Size], seed: int) -> list[str]:
    """For each tensor of ``region`` another one of its shape, drawn at random from the candidates ``sizes``; one of the region itself where
    there are not enough others."""
    rng = np.random.default_rng([seed, 17])
    left = [role for role in rng.permutation(sorted(sizes)).tolist() if role not in region]
    left += [role for role in rng.permutation(sorted(region)).tolist()]
    chosen = []
    for role in region:
        chosen.append(next(other for other in left if sizes[other] == sizes[role]))
        left.remove(chosen[-1])
    return chosen
