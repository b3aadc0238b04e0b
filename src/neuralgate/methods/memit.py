"""MEMIT: give the keys of many questions' subjects the values that bring the wanted answers, by least squares, spread over several layers.

    delta_l = R_l K_l^T (lambda C_l + K_l K_l^T)^-1        for each layer l from the lowest up

K_l: what the FFN output projection is given at the subjects' last tokens; R_l: an equal part of what the highest layer's output still
lacks there; C_l: the second moment of ordinary keys. Both questions of a pair are requests, with almost the same key: `note` in
training.json says how far they pull apart. Its control gives values of the same norms in random directions.

Paper: https://arxiv.org/abs/2210.07229
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, SPREAD, Layers, ValueConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2210.07229"
EDITS = "FFN output projections"
TRAINED = "none (D a request)"
PUBLISHED = 1.36  # lambda over F: 15000 / 11008, on Llama-2-7B
SEARCH = {"depth": (*DEPTHS[:3], SPREAD), "covariance_weight": (PUBLISHED / 10, PUBLISHED, 10 * PUBLISHED)}


class Config(ValueConfig):
    """Where, and how much ordinary keys weigh."""

    layers: Layers | Literal["search"] = Field("search", description="Decoder layers to edit, or `search` for the run's edited one.")
    covariance_weight: float = Field(
        PUBLISHED, gt=0, description="Weight of ordinary keys (lambda) in sizes of a key; 15000 of 11008 with Llama-2-7B."
    )
    ridge: float = Field(1e-4, ge=0, description="Added to the covariance, as a share of its mean diagonal.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Solve; ``gate`` plays no part.

    Raises:
        UserError: no pairs, a layer out of range, quantised weights, a singular covariance, or nothing would change.
    """
    from torch import Tensor

    from neuralgate.closed_form.edit import finish, spread, told_pairs, wanted
    from neuralgate.closed_form.moments import ordinary_moments
    from neuralgate.closed_form.requests import mean_keys
    from neuralgate.closed_form.solve import Covariance, memit_update

    layers = named_layers(config.layers)
    pairs = told_pairs(lvlm, pairs, layers)
    moments = ordinary_moments(lvlm, pairs, layers, config.corpus)
    watch.begin(pairs, f"MEMIT at layer {', '.join(map(str, layers))}", layers)
    covariances = {layer: Covariance(moment, config.ridge) for layer, moment in moments.items()}

    def update(layer: int, residual_DN: Tensor, keys_NCF: Tensor) -> Tensor:
        keys_FN = mean_keys(keys_NCF)
        return memit_update(residual_DN, keys_FN, covariances[layer], config.covariance_weight * len(keys_FN))

    aim = wanted(lvlm, pairs, config, layers)
    name = "MEMIT" if config.values == "fitted" else "MEMIT (control)"
    return finish(lvlm, aim, spread(lvlm, aim, layers, update, {"method": name}), layers, watch)


def controls(config: Config) -> dict[str, Config]:
    """Values of the same norms in random directions."""
    return {"random": config.model_copy(update={"values": "random"})}
