"""Steering: add the direction from answers to refusals to a layer's output; nothing is trained.

    v_l = mean of h_l over the tokens of refusals - mean of h_l over the tokens of the model's own answers
    h_l <- h_l + a g v_l                                  at every token, for the strengths a in turn

Refusals are read behind sensitive questions, own answers behind their benign twins, both of training pairs; validation pairs choose a. g is
1, or, with `when: sensitive`, how far h_l lies from the mean of what is to be answered (0) to that of sensitive questions (1), along the
difference of these means. Its control adds a random direction of the same length.

Paper: https://arxiv.org/abs/2312.06681 (contrastive activation addition).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import Layers, MethodConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.steering import Steering
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2312.06681"
EDITS = "outputs of decoder layers"
TRAINED = "none (D computed a layer, 2 D with a condition)"
SEARCH = {"depth": (0.0, 0.15, 0.25, 0.4, 0.5, 0.65, 0.75, (0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.0, 0.5), (0.25, 0.75))}


class Config(MethodConfig):
    """Where to steer, how strongly, and whereto."""

    keep: Literal["first", "strongest"] = Field("strongest", description="See the other methods; here a look is a strength.")
    layers: Layers | Literal["search"] = Field("search", description="Decoder layers to steer at, or `search` for the run's edited one.")
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        [0.25, 0.5, 1.0, 2.0], description="Multiples of the difference of means to try, in this order."
    )
    when: Literal["always", "sensitive"] = Field(
        "always", description="At every hidden state alike, or by how much it looks like that of a sensitive question."
    )
    direction: Literal["refusal", "random"] = Field("refusal", description="The difference of means, or a random vector of its length.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Steering:
    """Compute the vectors and try the strengths; ``gate`` plays no part.

    Raises:
        UserError: no pairs, or a layer out of range.
    """
    from neuralgate.closed_form.directions import (
        kept_examples,
        mean_reader,
        refused_examples,
        states_at,
        steered_along,
        telling,
    )
    from neuralgate.interventions.steering import Steering
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    for layer in layers:
        lvlm.ffn_out(layer)  # says so if it is out of range
    pairs = training_pairs(lvlm, pairs)
    watch.begin(pairs, f"steering at layer {', '.join(map(str, layers))}", layers)
    vectors = steered_along(lvlm, pairs, layers, config.direction, config.seed)
    readers = {}
    if config.when == "sensitive":
        sensitive, kept = (states_at(lvlm, examples, layers, telling) for examples in (refused_examples(pairs), kept_examples(pairs)))
        readers = {layer: mean_reader(sensitive[layer], kept[layer]) for layer in layers}
    steering = Steering.for_model(lvlm, vectors, {"method": f"steering ({config.direction} direction, {config.when})"}, readers)
    watch.training.values_changed = (1 + bool(readers)) * len(layers) * lvlm.hidden_size
    return tried(steering, config.strengths, watch)


def tried(steering: Steering, strengths: list[float], watch: Watch) -> Steering:
    """The steering at the strength that the looks choose."""
    for number, strength in enumerate(strengths, start=1):
        if watch.look_at(steering.at(strength), number, len(strengths)):
            break
    return watch.chosen(steering.at(strength))


def controls(config: Config) -> dict[str, Config]:
    """A random direction of the same length."""
    return {"random": config.model_copy(update={"direction": "random"})}
