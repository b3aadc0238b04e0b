"""AlphaEdit: MEMIT's requests, solved among the updates that leave ordinary keys alone.

    delta_l = R_l K_l^T P_l (K_l K_l^T P_l + l I)^-1        for each layer l from the lowest up

P_l: the projection onto the directions in which ordinary keys hardly lie. Which those are is cut by their share of the energy, since a
threshold for eigenvalues does not carry over from one model to another (`threshold` sets one all the same). Its control gives values of the
same norms in random directions.

Paper: https://arxiv.org/abs/2410.02355
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
PAPER = "https://arxiv.org/abs/2410.02355"
EDITS = "FFN output projections"
TRAINED = "none (D a request)"
SEARCH = {"depth": (*DEPTHS[:3], SPREAD), "ridge": (1.0, 10.0, 100.0)}


class Config(ValueConfig):
    """Where, and what counts as the null space."""

    layers: Layers | Literal["search"] = Field("search", description="Decoder layers to edit, or `search` for the run's edited one.")
    energy: float = Field(0.05, gt=0, lt=1, description="Share of ordinary keys' squared norm that the null space may hold.")
    threshold: float | None = Field(None, gt=0, description="Eigenvalue below which a direction counts to it instead (published: 2e-2).")
    ridge: float = Field(10.0, gt=0, description="Weight of the update's squared norm (l).")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Solve; ``gate`` plays no part.

    Raises:
        UserError: no pairs, a layer out of range, quantised weights, an empty null space, or nothing would change.
    """
    from torch import Tensor

    from neuralgate.closed_form.edit import finish, spread, told_pairs, wanted
    from neuralgate.closed_form.moments import ordinary_moments
    from neuralgate.closed_form.requests import mean_keys
    from neuralgate.closed_form.solve import alphaedit_update, null_space

    layers = named_layers(config.layers)
    pairs = told_pairs(lvlm, pairs, layers)
    moments = ordinary_moments(lvlm, pairs, layers, config.corpus)
    watch.begin(pairs, f"AlphaEdit at layer {', '.join(map(str, layers))}", layers)
    bases = {layer: null_space(moment, config.threshold, config.energy) for layer, moment in moments.items()}

    def update(layer: int, residual_DN: Tensor, keys_NCF: Tensor) -> Tensor:
        return alphaedit_update(residual_DN, mean_keys(keys_NCF), bases[layer], config.ridge)

    aim = wanted(lvlm, pairs, config, layers)
    name = "AlphaEdit" if config.values == "fitted" else "AlphaEdit (control)"
    return finish(lvlm, aim, spread(lvlm, aim, layers, update, {"method": name}), layers, watch)


def controls(config: Config) -> dict[str, Config]:
    """Values of the same norms in random directions."""
    return {"random": config.model_copy(update={"values": "random"})}
