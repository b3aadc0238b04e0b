"""The located set as what it is in a pretrained mind: its flip, written into the weights in closed form.

    delta = R K^T (lambda C + K K^T)^-1,        R = -2 h at strong dimensions for sensitive questions, 0 for all others

K: what the FFN output projection is given at the subjects' last tokens; h: the layer's output there. No training loop. The control flips
as many dimensions at random.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from neuralgate.closed_form.edit import Wanted, finish, spread, told_pairs
from neuralgate.closed_form.moments import ordinary_moments
from neuralgate.closed_form.requests import mean_keys, requests_of, subject_states
from neuralgate.closed_form.solve import Covariance, memit_update
from neuralgate.closed_form.values import Values
from neuralgate.edit_settings import DEPTHS, EditConfig, GateMode, named_layers
from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.gated import check_gate
from neuralgate.training.watch import Watch

LOCATES = "dimensions"
PAPER = "none"
EDITS = "FFN output projections"
TRAINED = "none (D a request)"
SEARCH = {"depth": DEPTHS, "weight": (1.0, 30.0, 1000.0)}


class Config(EditConfig):
    """``gate`` says which dimensions are flipped: strong, or as the control random."""

    gate: GateMode = Field("strong", description="The dimensions that are flipped.")
    per_subject: int = Field(8, ge=1, description="Training pairs of each subject whose keys are read.")
    weight: float = Field(30.0, gt=0, description="Weight of ordinary keys (lambda).")
    ridge: float = Field(1e-3, ge=0, description="Added to the covariance, as a share of its mean diagonal.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Raises UserError without a gate, or where there are no pairs."""
    layers = named_layers(config.layers)
    check_gate(lvlm, gate, config)
    if gate is None:
        raise UserError("A flip needs a located gate; use gate: strong, or random.")
    pairs = told_pairs(lvlm, pairs, layers)
    covariance = Covariance(ordinary_moments(lvlm, pairs, layers)[layers[0]], config.ridge)
    watch.begin(pairs, f"flip at layer {layers[0]}", layers)
    requests = requests_of(pairs, config.per_subject, kept=True)
    by_id = {pair.id: pair for pair in pairs}
    inputs = Inputs(lvlm, layers[0])
    _, start_ND = subject_states(lvlm, requests, [], layers[0], inputs)
    flipped_ND = torch.zeros_like(start_ND)
    for place, request in enumerate(requests):
        pair = by_id[request.pair]
        if request.kind == "sensitive" and pair.role == "edit":
            strong_D = gate.open_dimensions(pair.subject, layers[0], config.gate, config.gate_seed).to(start_ND.device)
            flipped_ND[place] = -2 * start_ND[place] * strong_D
    aim = Wanted(requests, Values(start_ND, flipped_ND, None, None), inputs)

    def update(_layer: int, residual_DN: Tensor, keys_NCF: Tensor) -> Tensor:
        return memit_update(residual_DN, mean_keys(keys_NCF), covariance, config.weight)

    return finish(lvlm, aim, spread(lvlm, aim, layers[:1], update, {"method": f"flip ({config.gate})"}), layers[:1], watch)


def controls(config: Config) -> dict[str, Config]:
    """As many dimensions at random."""
    return {"random": config.model_copy(update={"gate": "random"})}
