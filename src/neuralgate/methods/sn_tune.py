"""SN-Tune: teach the refusal to the neurons that matter with every sensitive question and not with every benign one.

    neurons   = those among the largest with each sensitive question, without those among the largest with each benign one
    minimise    L_sen + lambda L_ben + mu L_contrast        over their rows (of the FFN's output projection: columns)

FFN neurons are ranked by what is missing without them, |h_i| ||W[:, i]|| summed over a question's tokens (not the picture's), rows of the
attention's query, key and value matrices by the size of their outputs. What is not chosen stays bit for bit: neither momentum nor decay
moves it. Whether FFN neurons do what they are chosen for is asked by switching them off (`note` in training.json). Its control trains as
many others of each matrix, drawn at random.

Paper: https://openreview.net/forum?id=yR47RmND1m
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

LOCATES = "rows"
PAPER = "https://openreview.net/forum?id=yR47RmND1m"
EDITS = "rows of the FFN's and attention's matrices"
TRAINED = "3 D an FFN neuron, D a row"
SEARCH = {"share": (0.1, 0.2, 0.4, 0.6), "max_steps": STEPS}


class Config(TrainedConfig):
    """Which neurons; the rest is the loop's."""

    layers: Layers | Literal["all", "search"] = Field(  # type: ignore[assignment]  # more ways to name them than others have
        "all", description="Layers whose neurons may be trained: `all`, named ones, or the run's edited one (`search`)."
    )
    share: float = Field(0.2, gt=0, le=1, description="Share of each matrix's neurons that counts as its largest with a question.")
    neurons: Literal["busy", "random"] = Field("busy", description="Those found, or as many others of each matrix at random.")


def found_neurons(lvlm: LVLM, pairs: PairSet, config: Config, layers: list[int]) -> dict[str, Tensor]:
    """``decoder.<l>.ffn`` or a matrix's role -> booleans. Raises UserError when there is none."""
    from neuralgate.locate.neurons import always_busy
    from neuralgate.lvlm.targets import example_of

    told = pairs.split("train", "edit")
    rows = [
        role
        for role in lvlm.parts_of(layers, ["ffn", "attention"])
        if role.endswith(("attention.query", "attention.key", "attention.value"))
    ]

    def busy(kind: QuestionKind) -> dict[str, Tensor]:
        return always_busy(lvlm, [example_of(pair, kind, pairs.folder) for pair in told], layers, rows, config.share)

    sensitive, benign = lvlm.once(("always busy", tuple(layers), config.share), lambda: (busy("sensitive"), busy("benign")))
    neurons = {name: chosen & ~benign[name] for name, chosen in sensitive.items()}
    if not any(bool(chosen.any()) for chosen in neurons.values()):
        raise UserError("No neuron matters with every sensitive question and not with every benign one; set another share.")
    return neurons


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Find the neurons and train them; ``gate`` plays no part.

    Raises:
        UserError: no neuron is found; see `neural_gate.edit`.
    """
    from neuralgate.locate.neurons import input_rows, output_columns, random_neurons
    from neuralgate.lvlm.roles import find_roles
    from neuralgate.training.ablation import refused_without
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.objectives import REFUSE
    from neuralgate.training.projections import train_parameters
    from neuralgate.training.rows import training_pairs

    layers = list(range(len(lvlm.layers))) if config.layers == "all" else named_layers(config.layers)
    check_trainable(lvlm.parts_of(layers, ["ffn", "attention"]).values())
    pairs = training_pairs(lvlm, pairs, config.stop)
    neurons = found_neurons(lvlm, pairs, config, layers)
    if config.neurons == "random":
        neurons = random_neurons(neurons, config.seed)
    of_ffn = {int(name.split(".")[1]): chosen for name, chosen in neurons.items() if name.endswith(".ffn")}
    others = {name: chosen for name, chosen in neurons.items() if not name.endswith(".ffn") and bool(chosen.any())}
    masks = input_rows(lvlm, of_ffn) | output_columns(lvlm, of_ffn)
    masks |= {role: others[role][:, None].expand_as(parameter) for role, parameter in find_roles(lvlm.model, others).items()}
    parameters = find_roles(lvlm.model, masks)
    name = f"SN-Tune ({sum(int(chosen.sum()) for chosen in neurons.values())} neurons)"
    patch = train_parameters(lvlm, pairs, config, watch, REFUSE, parameters, name, config.neurons == "random", lambda _gradients: masks)
    watch.training.note = " ".join(filter(None, (watch.training.note, refused_without(lvlm, pairs, of_ffn, config.seed))))
    return patch


def controls(config: Config) -> dict[str, Config]:
    """As many others of each matrix, drawn at random."""
    return {"random": config.model_copy(update={"neurons": "random"})}
