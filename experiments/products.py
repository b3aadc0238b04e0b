"""Products of matrices in float32 for a model in bfloat16, on CPUs that are faster in the former: a study's cells are of one type on every
machine.

The numbers stay bfloat16's: either way factors are bfloat16, sums are float32, and a product is rounded to bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.number_type import cpu_dtype


def multiply_in_float32(lvlm: LVLM) -> None:
    """From now on, in every ``Linear``. What an edit may change is widened in each product, everything else once."""
    edited = {id(lvlm.ffn_out(layer)) for layer in range(len(lvlm.layers))}
    for module in lvlm.model.modules():
        if isinstance(module, nn.Linear):
            module.forward = Widened(module, keep=id(module) not in edited)


class Widened:
    """The forward of ``module``, whose weights it keeps in float32 where ``keep`` says so."""

    def __init__(self, module: nn.Linear, keep: bool) -> None:
        self.module, self.kept = module, widened(module) if keep else None

    def __call__(self, input: Tensor) -> Tensor:
        return linear(input.float(), *(self.kept or widened(self.module))).to(input.dtype)


def widened(module: nn.Linear) -> tuple[Tensor, Tensor | None]:
    return module.weight.float(), None if module.bias is None else module.bias.float()


def with_fast_products(lvlm: LVLM) -> LVLM:
    """``lvlm`` as it is, or in bfloat16 on a CPU without fast units for it, with products in float32."""
    if lvlm.model.dtype == torch.bfloat16 and cpu_dtype() == torch.float32:
        multiply_in_float32(lvlm)
    return lvlm
