"""ROME: rank-one edits of one layer, one question after another, each of which gives its subject's key the value that brings the answer.

    delta = (v - W k) u^T / (k . u),    u = C^-1 k_mean

k: what the FFN output projection is given at the subject's last token of the bare question, k_mean over ways of asking it. With
`keys: mean` k_mean stands for both, as R-ROME corrects it: the mixture is what breaks models in ROME. The values are found on the unedited
model, all at once. Its control gives values of the same norms in random directions.

Paper: https://arxiv.org/abs/2202.05262
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, Layers, ValueConfig, named_layers
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2202.05262"
EDITS = "the FFN output projection of one layer"
TRAINED = "none (D a request)"
SEARCH = {"depth": DEPTHS, "ridge": (1e-4, 1e-2, 1.0)}


class Config(ValueConfig):
    """Where, and along what."""

    layers: Annotated[Layers, Field(max_length=1)] | Literal["search"] = Field(
        "search", description="The decoder layer to edit, or `search` for the run's edited one."
    )
    keys: Literal["bare", "mean"] = Field("bare", description="The key that an edit is solved for: the bare question's, or the mean.")
    covariance: bool = Field(True, description="Whether directions are turned away from ordinary keys (u = C^-1 k).")
    ridge: float = Field(1e-4, ge=0, description="Added to the covariance, as a share of its mean diagonal.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Solve; ``gate`` plays no part.

    Raises:
        UserError: more than one layer; see `memit.edit`.
    """
    from torch import Tensor

    from neuralgate.closed_form.edit import finish, spread, told_pairs, wanted
    from neuralgate.closed_form.moments import ordinary_moments
    from neuralgate.closed_form.requests import mean_keys
    from neuralgate.closed_form.solve import Covariance, rome_updates

    layers = named_layers(config.layers)
    pairs = told_pairs(lvlm, pairs, layers)
    if len(layers) > 1:
        raise UserError(f"ROME edits one layer, not {len(layers)}; name one (MEMIT spreads an edit over several).")
    covariance = Covariance(ordinary_moments(lvlm, pairs, layers, config.corpus)[layers[0]], config.ridge) if config.covariance else None
    watch.begin(pairs, f"ROME at layer {layers[0]}", layers)

    def update(layer: int, residual_DN: Tensor, keys_NCF: Tensor) -> Tensor:
        mean_FN, weight_DF = mean_keys(keys_NCF), lvlm.ffn_out(layer).weight
        asked_FN = mean_FN if config.keys == "mean" else keys_NCF[:, 0].T
        values_DN = weight_DF.double() @ asked_FN.double() + residual_DN.double()
        return rome_updates(weight_DF, values_DN, mean_FN, asked_FN, covariance)

    aim = wanted(lvlm, pairs, config, layers)
    name = ("R-ROME" if config.keys == "mean" else "ROME") + ("" if config.values == "fitted" else " (control)")
    return finish(lvlm, aim, spread(lvlm, aim, layers, update, {"method": name}), layers, watch)


def controls(config: Config) -> dict[str, Config]:
    """Values of the same norms in random directions."""
    return {"random": config.model_copy(update={"values": "random"})}
