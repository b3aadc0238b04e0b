"""MemFlex: train the tensors where sensitive questions pull hard and benign ones pull another way.

    region    = { p : cos(g_sen[p], g_ben[p]) < mu }, by mean |g_sen[p]| from the largest down, up to a budget of values
    minimise    L_sen + lambda L_ben + mu' L_contrast       over the region

g: the gradients of both losses over all training pairs, at the matrices of the candidate layers. `teach: refusal` is the form that the
paper of Neural Gate compares (MemFlex*); `ascent` makes the model's own answers less likely, as it was published. Cut by a budget instead
of an absolute gradient, which no two models share; `region: similar` turns the test around, as some describe it. Its control trains other
tensors of the same shapes, drawn at random.

Paper: https://arxiv.org/abs/2407.01920
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import Layers, TrainedConfig, named_layers
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "tensors"
PAPER = "https://arxiv.org/abs/2407.01920"
EDITS = "matrices of decoder layers"
TRAINED = "up to a budget"
SEARCH = {"budget": (1.0, 2.0, 4.0), "max_cosine": (0.5, 0.92), "max_steps": (20, 60)}


class Config(TrainedConfig):
    """Which tensors may be trained, and how they are chosen; the rest is the loop's."""

    layers: Layers | Literal["all", "search"] = Field(  # type: ignore[assignment]  # more ways to name them than others have
        "all", description="Candidate layers: `all`, named ones, or the run's edited one (`search`)."
    )
    parts: Annotated[list[Literal["ffn", "attention"]], Field(min_length=1)] = Field(
        ["ffn"], description="Candidate parts of these layers."
    )
    budget: float = Field(1.0, gt=0, description="Values to train at most, in FFN output projections (D x F).")
    max_cosine: float = Field(0.92, ge=-1, le=1, description="Cosine of the two gradients (mu) below which they pull another way.")
    region: Literal["dissimilar", "similar", "random"] = Field(
        "dissimilar", description="Tensors whose gradients have a cosine below `max_cosine`, or not below it, or, as a control, others."
    )
    teach: Literal["refusal", "ascent"] = Field("refusal", description="What is taught about sensitive questions.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Find the region and train it; ``gate`` plays no part.

    Raises:
        UserError: no tensor is in the region or within the budget; see `neural_gate.edit`.
    """
    from neuralgate.lvlm.roles import find_roles
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.objectives import FORGET, REFUSE
    from neuralgate.training.projections import train_parameters
    from neuralgate.training.regions import opposed_region, part_gradients, pulls, random_region
    from neuralgate.training.rows import training_pairs

    candidates = list(range(len(lvlm.layers))) if config.layers == "all" else named_layers(config.layers)
    parameters = {role: values for role, values in lvlm.parts_of(candidates, config.parts).items() if values.ndim == 2}
    check_trainable(parameters.values())
    objective = REFUSE if config.teach == "refusal" else FORGET
    pairs = training_pairs(lvlm, pairs, config.stop, objective.answers)
    budget = round(config.budget * lvlm.ffn_out(candidates[0]).weight.numel())
    key = ("pulls", tuple(candidates), tuple(config.parts), objective)
    found = lvlm.once(key, lambda: pulls(*part_gradients(lvlm, pairs, config, candidates, config.parts, objective)))
    of_matrices = {role: found[role] for role in parameters}
    region = opposed_region(of_matrices, budget, config.max_cosine, config.region == "similar")
    if not region:
        raise UserError(
            f"No tensor of the candidate layers of {lvlm.name} is in MemFlex's region within {budget:,} values; raise methods.memflex's "
            "budget, or max_cosine."
        )
    if config.region == "random":
        region = random_region(region, {role: values.shape for role, values in parameters.items()}, config.seed)
    chosen = find_roles(lvlm.model, region)
    return train_parameters(lvlm, pairs, config, watch, objective, chosen, "MemFlex", config.region == "random")


def controls(config: Config) -> dict[str, Config]:
    """Other tensors of the same shapes, drawn at random."""
    return {"random": config.model_copy(update={"region": "random"})}
