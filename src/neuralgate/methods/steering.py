"""Steering: add the direction from answers to refusals to a layer's output; nothing is trained.

    v_l = mean of h_l over the tokens of refusals - mean of h_l over the tokens of the model's own answers
    h_l <- h_l + a v_l                                    at every token, for the strengths a in turn

Refusals are read behind sensitive questions, own answers behind their benign twins, both of training pairs; validation pairs choose a. Its
control adds a random direction of the same length.

Paper: https://arxiv.org/abs/2312.06681 (contrastive activation addition).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import Layers, MethodConfig, named_layers

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.steering import Steering
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

PAPER = "https://arxiv.org/abs/2312.06681"
EDITS = "outputs of decoder layers"
TRAINED = "none (D computed a layer)"

BATCH = 32  # examples at a time


class Config(MethodConfig):
    """Where to steer, how strongly, and whereto."""

    keep: Literal["first", "strongest"] = Field("strongest", description="See the other methods; here a look is a strength.")
    layers: Layers | Literal["search"] = Field("search", description="Decoder layers to steer at, or `search` for the run's edited one.")
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        [0.25, 0.5, 1.0, 2.0], description="Multiples of the difference of means to try, in this order."
    )
    direction: Literal["refusal", "random"] = Field("refusal", description="The difference of means, or a random vector of its length.")


def answer_means(lvlm: LVLM, pairs: PairSet, kind: Literal["sensitive", "benign"], layers: list[int]) -> dict[int, Tensor]:
    """The mean output ``(D,)`` of each layer over all tokens of the wanted answers to the ``kind`` of question."""
    import torch

    from neuralgate.lvlm.forward import final_hidden, output_changed
    from neuralgate.lvlm.prompts import ANSWER, encode_examples
    from neuralgate.lvlm.targets import example_of

    examples = [example_of(pair, kind, pairs.folder) for pair in pairs.split("train", "edit")]
    sums = {layer: torch.zeros(lvlm.hidden_size, dtype=torch.float64) for layer in layers}
    count = 0
    for start in range(0, len(examples), BATCH):
        batch = encode_examples(lvlm, examples[start : start + BATCH])
        answer_BT = batch.is_class(ANSWER)
        count += int(answer_BT.sum())
        for layer in layers:

            def add(hidden_BTD: Tensor, layer: int = layer, answer_BT: Tensor = answer_BT) -> Tensor:
                sums[layer] += hidden_BTD[answer_BT.to(hidden_BTD.device)].double().sum(0).cpu()
                return hidden_BTD

            with torch.no_grad(), output_changed(lvlm.layers[layer], add):
                final_hidden(lvlm, batch)
    return {layer: total / count for layer, total in sums.items()}


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Steering:
    """Compute the vectors and try the strengths; ``gate`` plays no part.

    Raises:
        UserError: no pairs, or a layer out of range.
    """
    import torch

    from neuralgate.interventions.steering import Steering
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    for layer in layers:
        lvlm.ffn_out(layer)  # says so if it is out of range
    pairs = training_pairs(lvlm, pairs)
    watch.begin(pairs, f"steering at layer {', '.join(map(str, layers))}", layers)
    refused, answered = (answer_means(lvlm, pairs, kind, layers) for kind in ("sensitive", "benign"))
    vectors = {layer: refused[layer] - answered[layer] for layer in layers}
    if config.direction == "random":
        generator = torch.Generator().manual_seed(config.seed)
        for layer, vector_D in vectors.items():
            drawn_D = torch.randn(len(vector_D), generator=generator, dtype=torch.float64)
            vectors[layer] = drawn_D * (vector_D.norm() / drawn_D.norm())
    steering = Steering.for_model(lvlm, vectors, {"method": f"steering ({config.direction} direction)"})
    for number, strength in enumerate(config.strengths, start=1):
        if watch.look_at(steering.at(strength), number, len(config.strengths)):
            break
    watch.training.values_changed = len(layers) * lvlm.hidden_size
    return watch.chosen(steering.at(strength))


def controls(config: Config) -> dict[str, Config]:
    """A random direction of the same length."""
    return {"random": config.model_copy(update={"direction": "random"})}
