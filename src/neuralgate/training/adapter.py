"""A LoRA adapter of peft's in a model, for as long as it is trained: W + scale B A in place of W."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neuralgate.errors import UserError
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import all_roles

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
