"""Precise Shield: teach the refusal to the few FFN neurons that sensitive questions wake and benign ones do not.

    S_i     = | mean h_i | ||W[:, i]||        at the last token before the answer, of each layer one in all
    neurons = the largest of S(sensitive) that are not among the largest of S(benign), layer by layer
    minimise  L_sen + lambda L_ben + mu L_contrast        over their rows of the FFN's input matrices

The rows themselves are trained, where the paper's form takes a masked change of low rank; every other value stays bit for bit. Whether
the neurons do what they are chosen for is asked by switching them off, and random ones beside them (`note` in training.json). Its control
trains as many random neurons of each layer.

Paper: https://arxiv.org/abs/2604.08881 (no code was published; what it leaves open is a setting here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neuralgate.edit_settings import STEPS, Layers, TrainedConfig, named_layers
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet, QuestionKind
    from neuralgate.training.watch import Watch

LOCATES = "neurons"
PAPER = "https://arxiv.org/abs/2604.08881"
EDITS = "rows of the FFN's input matrices"
TRAINED = "2 D a neuron"
SEARCH = {"share": (0.003, 0.01, 0.03, 0.1), "max_steps": STEPS}


class Config(TrainedConfig):
    """Which neurons; the rest is the loop's."""

    layers: Layers | Literal["all", "search"] = Field(  # type: ignore[assignment]  # more ways to name them than others have
        "all", description="Layers whose neurons may be trained: `all`, named ones, or the run's edited one (`search`)."
    )
    share: float = Field(0.01, gt=0, le=1, description="Share of each layer's neurons that counts as its largest.")
    mean: Literal["signed", "absolute"] = Field("signed", description="The mean of h_i, as published, or of |h_i|.")
    neurons: Literal["busy", "random"] = Field("busy", description="Those found, or as many others of each layer at random.")


def found_neurons(lvlm: LVLM, pairs: PairSet, config: Config) -> dict[int, Tensor]:
    """Layer -> booleans ``(F,)``. Raises UserError when there is none."""
    from neuralgate.locate.neurons import busy_alone, last_activations, saliency
    from neuralgate.lvlm.targets import example_of

    layers = list(range(len(lvlm.layers))) if config.layers == "all" else named_layers(config.layers)
    told = pairs.split("train", "edit")

    def scores(kind: QuestionKind) -> dict[int, Tensor]:
        return saliency(lvlm, last_activations(lvlm, [example_of(pair, kind, pairs.folder) for pair in told], layers), config.mean)

    sensitive, benign = lvlm.once(("saliency", tuple(layers), config.mean), lambda: (scores("sensitive"), scores("benign")))
    neurons = busy_alone(sensitive, benign, config.share)
    if not any(bool(chosen.any()) for chosen in neurons.values()):
        raise UserError("Sensitive and benign questions have the same largest neurons, so none is left to train; set another share.")
    return neurons


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Find the neurons and train their rows; ``gate`` plays no part.

    Raises:
        UserError: no neuron is found; see `neural_gate.edit`.
    """
    from neuralgate.locate.neurons import input_rows, random_neurons
    from neuralgate.lvlm.roles import find_roles
    from neuralgate.training.ablation import refused_without
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.objectives import REFUSE
    from neuralgate.training.projections import train_parameters
    from neuralgate.training.rows import training_pairs

    layers = range(len(lvlm.layers)) if config.layers == "all" else named_layers(config.layers)
    check_trainable(lvlm.parts_of(list(layers), ["ffn"]).values())
    pairs = training_pairs(lvlm, pairs, config.stop)
    neurons = found_neurons(lvlm, pairs, config)
    if config.neurons == "random":
        neurons = random_neurons(neurons, config.seed)
    masks = input_rows(lvlm, neurons)
    parameters = find_roles(lvlm.model, masks)
    count = sum(int(chosen.sum()) for chosen in neurons.values())
    name, is_control = f"Precise Shield ({count} neurons)", config.neurons == "random"
    patch = train_parameters(lvlm, pairs, config, watch, REFUSE, parameters, name, is_control, lambda _gradients: masks)
    watch.training.note = " ".join(filter(None, (watch.training.note, refused_without(lvlm, pairs, neurons, config.seed))))
    return patch


def controls(config: Config) -> dict[str, Config]:
    """As many neurons of each layer, drawn at random."""
    return {"random": config.model_copy(update={"neurons": "random"})}
