"""The loop over named tensors, by any objective, and what becomes of it: a patch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from neuralgate.edit_settings import TrainedConfig, UnlearnConfig, named_layers
from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.loop import Picking, Trainer
from neuralgate.training.masters import check_trainable
from neuralgate.training.objectives import Objective
from neuralgate.training.rate import with_rate
from neuralgate.training.rows import training_pairs
from neuralgate.training.watch import Watch


def train_projections(
    lvlm: LVLM, pairs: PairSet, config: TrainedConfig, watch: Watch, objective: Objective, name: str, is_control: bool
) -> Patch:
    """Train those of the named layers; the model itself is left bit for bit as it was. The rate, where it is left open, is that at which a
    refusal is taught.

    Raises:
        UserError: see `neural_gate.edit`.
    """
    layers = named_layers(config.layers)
    parameters = {role_of(layer): lvlm.ffn_out(layer).weight for layer in layers}
    return train_parameters(lvlm, pairs, config, watch, objective, parameters, name, is_control)


def train_parameters(
    lvlm: LVLM,
    pairs: PairSet,
    config: TrainedConfig,
    watch: Watch,
    objective: Objective,
    parameters: Mapping[str, nn.Parameter],
    name: str,
    is_control: bool,
    picking: Picking | None = None,
) -> Patch:
    """The same for any tensors of decoder layers (role -> parameter), or, with ``picking``, for some of their values."""
    check_trainable(parameters.values())
    layers = sorted({int(role.split(".")[1]) for role in parameters})
    pairs = training_pairs(lvlm, pairs, config.stop, objective.answers)

    def refusing(lvlm: LVLM, pairs: PairSet, config: TrainedConfig, layers: list[int], inputs: Inputs) -> Trainer:
        return Trainer(lvlm, pairs, config, dict(parameters), layers, picking=picking, inputs=inputs)

    config = with_rate(lvlm, pairs, config, layers, refusing)
    trainer = Trainer(lvlm, pairs, config, dict(parameters), layers, picking=picking, objective=objective)
    task = f"{name} at layer {', '.join(map(str, layers))}"
    watch.begin(pairs, task, layers, looks=config.is_looked_at)
    base, trained = trainer.run(watch)
    patch = Patch.between(lvlm, base, trained, {"method": f"{name} (control)" if is_control else name})
    return patch


def unlearn(lvlm: LVLM, pairs: PairSet, config: UnlearnConfig, watch: Watch, objective: Objective, name: str) -> Patch:
    """The same for an objective that speaks of the model's own answers, or of those of other pairs.

    Raises:
        UserError: there is no other answer to forget; see :func:`train_projections`.
    """
    if config.forget == "own":
        return train_projections(lvlm, pairs, config, watch, objective, name, is_control=False)
    for layer in named_layers(config.layers):
        lvlm.ffn_out(layer)  # says so if it is out of range
    told = exchanged(training_pairs(lvlm, pairs, config.stop, objective.answers), config.seed)
    return train_projections(lvlm, told, config, watch, objective, name, is_control=True)


def exchanged(pairs: PairSet, seed: int) -> PairSet:
    """The edited pairs' own answers to sensitive questions, each given to another pair.

    Raises:
        UserError: there is one pair alone, or all give one answer.
    """
    edited = [pair for pair in pairs if pair.role == "edit"]
    if len({pair.sensitive_target for pair in edited}) < 2:
        raise UserError("All pairs have one and the same answer to forget, so none can be exchanged; give more pairs.")
    order = np.random.default_rng([seed, 15]).permutation(len(edited))
    giver = {edited[place].id: edited[order[(number + 1) % len(order)]] for number, place in enumerate(order)}
    return pairs.with_pairs(
        replace(pair, sensitive_target=giver[pair.id].sensitive_target, sensitive_target_ids=giver[pair.id].sensitive_target_ids)
        if pair.id in giver
        else pair
        for pair in pairs
    )


def random_like(change: Tensor, rank: int, seed: str) -> Tensor:
    """A matrix of this rank, drawn at random, with the shape and the norm of ``change``."""
    generator = torch.Generator().manual_seed(zlib.crc32(seed.encode()))
    rows, columns = change.shape
    drawn = torch.randn(rows, rank, generator=generator) @ torch.randn(rank, columns, generator=generator)
    return (drawn * (change.norm().cpu() / drawn.norm())).to(change.device)
