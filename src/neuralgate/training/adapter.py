"""A LoRA adapter of peft's in a model, for as long as it is trained: W + scale B A in place of W; and what it was trained to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neuralgate.edit_settings import TrainedConfig
from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import all_roles, find_roles
from neuralgate.pairs.schema import PairSet
from neuralgate.training.loop import Trainer
from neuralgate.training.rate import with_rate
from neuralgate.training.watch import Watch

NAME = "neuralgate"


class Adapter:
    """The adapter of each role (of a linear layer's weight): ``parameters`` are its ``A`` ``(R, in)`` and ``B`` ``(out, R)``, of which A
    has no gradient while B is zero, as it is at first."""

    def __init__(self, layers: dict[str, Any]) -> None:
        self.layers = layers
        self.parameters: dict[str, nn.Parameter] = {}
        for role, layer in layers.items():
            self.parameters[f"{role} (A)"], self.parameters[f"{role} (B)"] = layer.lora_A[NAME].weight, layer.lora_B[NAME].weight
        self.still = [name for name in self.parameters if name.endswith("(A)")]

    def changes(self) -> dict[str, Tensor]:
        """Role -> scale B A as it stands, in float32."""
        return {role: layer.get_delta_weight(NAME).detach().float() for role, layer in self.layers.items()}


@contextmanager
def adapted(lvlm: LVLM, roles: Sequence[str], rank: int, alpha: int, seed: int) -> Iterator[Adapter]:
    """The model with an adapter at each of ``roles``; afterwards it is bit for bit, and module for module, itself.

    Raises:
        UserError: peft is not installed, or one of the tensors is not the weight of a linear layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("LoRA needs the library peft: pip install 'neuralgate[peft]'.") from error

    model: Any = lvlm.model
    parameters = all_roles(model)
    owners = {id(module.weight): name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for role in roles:
        if id(parameters[role]) not in owners:
            raise UserError(f"{role} of {lvlm.name} is not the weight of a linear layer, so it takes no LoRA; name other parts.")
    names = {role: owners[id(parameters[role])] for role in roles}
    plain = {name: model.get_submodule(name) for name in names.values()}
    lvlm.fingerprint  # noqa: B018  of the model without the adapter
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(plain)), model, adapter_name=NAME)
    try:
        yield Adapter({role: model.get_submodule(name) for role, name in names.items()})
    finally:
        for name, module in plain.items():
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, module)
        del model.peft_config


def trained_changes(
    lvlm: LVLM,
    pairs: PairSet,
    config: TrainedConfig,
    watch: Watch,
    matrices: Sequence[str],
    size: tuple[int, int],
    weights: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Role -> the change of each of ``matrices``, in float32, that an adapter of ``size`` (rank, alpha) is trained to; the model is left as
    it was. ``pairs`` have their targets, ``watch`` has begun; ``weights`` of the parts of the loss stand in for those of ``config``.

    Raises:
        UserError: see :func:`adapted` and `neural_gate.edit`.
    """
    with adapted(lvlm, matrices, *size, config.seed) as adapter:

        def trainer_of(lvlm: LVLM, pairs: PairSet, config: TrainedConfig, layers: list[int], inputs: object = None) -> Trainer:
            return Trainer(lvlm, pairs, config, adapter.parameters, layers, still=adapter.still)

        layers = sorted({int(role.split(".")[1]) for role in matrices})
        trainer = trainer_of(lvlm, pairs, with_rate(lvlm, pairs, config, layers, trainer_of), layers)
        trainer.weights |= weights or {}
        _, trained = trainer.run(watch)
        with trainer.masters.at(trained):
            return adapter.changes()


def merged(lvlm: LVLM, changes: Mapping[str, Tensor], information: dict[str, Any]) -> Patch:
    """The patch that adds the changes to the weights. Raises UserError where no value changes."""
    base = {role: parameter.detach().clone() for role, parameter in find_roles(lvlm.model, changes).items()}
    edited = {role: (values.float() + changes[role].to(values.device)).to(values.dtype) for role, values in base.items()}
    return Patch.between(lvlm, base, edited, information)
