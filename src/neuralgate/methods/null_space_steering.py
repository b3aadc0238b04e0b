"""Null-space steering: add the direction to refusals by as much as a hidden state has of what benign ones have not.

    h_l <- h_l + a v_l (k_l . h_l)
    k_l = argmin  sum over sensitive states (k . h - 1)^2 + l |k|^2        over k where benign states hardly lie

v_l is the refusal direction of `steering`, which is the special case in which k . h is 1. The matrix v k^T is the least-squares one that
takes sensitive states to v and benign ones, at all tokens of their questions and answers, to next to nothing: solved, not trained.
Validation pairs choose a. Its control adds a random direction of the same length by the same k.

Paper: https://arxiv.org/abs/2603.22094
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, Layers, MethodConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.steering import Steering
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2603.22094"
EDITS = "outputs of decoder layers"
TRAINED = "none (2 D computed a layer)"
SEARCH = {"depth": DEPTHS, "energy": (0.01, 0.05, 0.2)}


class Config(MethodConfig):
    """Where to steer, how strongly, and past what."""

    keep: Literal["first", "strongest"] = Field("strongest", description="See the other methods; here a look is a strength.")
    layers: Layers | Literal["search"] = Field("search", description="Decoder layers to steer at, or `search` for the run's edited one.")
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        [0.25, 0.5, 1.0, 2.0], description="Multiples of the direction to try, in this order."
    )
    energy: float = Field(0.05, gt=0, lt=1, description="Share of benign states' squared norm that the null space may hold.")
    threshold: float | None = Field(None, gt=0, description="Eigenvalue below which a direction counts to it instead.")
    ridge: float = Field(0.01, gt=0, description="Weight of |k|^2 (l), in mean squares of a sensitive state's coordinates, a state.")
    direction: Literal["refusal", "random"] = Field("refusal", description="The difference of means, or a random vector of its length.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Steering:
    """Compute the vectors, solve for the readers and try the strengths; ``gate`` plays no part.

    Raises:
        UserError: no pairs, a layer out of range, or an empty null space.
    """
    from neuralgate.closed_form.directions import (
        kept_examples,
        moments_at,
        null_space_reader,
        refused_examples,
        states_at,
        steered_along,
        telling,
    )
    from neuralgate.closed_form.solve import null_space
    from neuralgate.interventions.steering import Steering
    from neuralgate.methods.steering import tried
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    for layer in layers:
        lvlm.ffn_out(layer)  # says so if it is out of range
    pairs = training_pairs(lvlm, pairs)
    watch.begin(pairs, f"steering past benign states at layer {', '.join(map(str, layers))}", layers)
    vectors = steered_along(lvlm, pairs, layers, config.direction, config.seed)
    sensitive, moments = lvlm.once(
        ("states", tuple(layers)),
        lambda: (states_at(lvlm, refused_examples(pairs), layers, telling), moments_at(lvlm, kept_examples(pairs), layers)),
    )
    bases = {layer: null_space(moments[layer], config.threshold, config.energy) for layer in layers}
    readers = {layer: null_space_reader(sensitive[layer], bases[layer], config.ridge) for layer in layers}
    steering = Steering.for_model(lvlm, vectors, {"method": f"null-space steering ({config.direction} direction)"}, readers)
    watch.training.values_changed = 2 * len(layers) * lvlm.hidden_size
    return tried(steering, config.strengths, watch)


def controls(config: Config) -> dict[str, Config]:
    """A random direction of the same length, by the same k."""
    return {"random": config.model_copy(update={"direction": "random"})}
