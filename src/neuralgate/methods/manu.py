"""MANU: take out the neurons that matter to what is to be forgotten and not to what is to be kept, in both towers.

    S_n = I(forget, n) / I(retain, n)        forget: sensitive questions; retain: their benign twins, and contrast subjects'
    W[:, n] <- 0 for the share of largest S, of the decoder's neurons and of the vision tower's        nothing is trained

I tells how differently a neuron behaves with the picture and without; see `locate/importance.py`, with the authors' code as the other
`form`. Without its neurons a model forgets rather than refuses; `action: teach` trains the decoder's to refuse instead, as Precise Shield
does with its own. Its control takes as many random neurons of each layer.

Paper: https://arxiv.org/abs/2502.15910
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from neuralgate.edit_settings import Layers, TrainedConfig, named_layers
from neuralgate.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "neurons"
PAPER = "https://arxiv.org/abs/2502.15910"
EDITS = "columns of FFN output projections, of both towers"
TRAINED = "none (D set to zero a neuron)"
SEARCH = {"share": (0.01, 0.02, 0.05), "form": ("paper", "code"), "towers": (["language"], ["language", "vision"])}


class Config(TrainedConfig):
    """Which neurons; what the loop is told matters with `action: teach` alone."""

    layers: Layers | Literal["all", "search"] = Field(  # type: ignore[assignment]  # more ways to name them than others have
        "all", description="Decoder layers to take neurons of: `all`, named ones, or the run's edited one (`search`)."
    )
    towers: Annotated[list[Literal["language", "vision"]], Field(min_length=1)] = Field(
        ["language", "vision"], description="Where neurons are taken out."
    )
    share: float = Field(0.02, gt=0, lt=1, description="Share of each tower's neurons.")
    form: Literal["paper", "code"] = Field("paper", description="The paper's importance, or that of the authors' code.")
    action: Literal["prune", "teach"] = Field("prune", description="Take the neurons out, or train the decoder's to refuse.")
    neurons: Literal["important", "random"] = Field("important", description="Those found, or as many others of each layer at random.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Find the neurons and take them out, or train them; ``gate`` plays no part.

    Raises:
        UserError: the vision tower has no FFN of a known kind or there is no contrast subject's picture to compare with; see
            `neural_gate.edit`.
    """
    from neuralgate.locate.importance import language_scores, largest_of_all, vision_scores
    from neuralgate.locate.neurons import input_rows, random_neurons
    from neuralgate.lvlm.roles import find_roles, role_of, vision_projections
    from neuralgate.lvlm.targets import example_of
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.objectives import REFUSE
    from neuralgate.training.projections import train_parameters
    from neuralgate.training.rows import training_pairs

    layers = list(range(len(lvlm.layers))) if config.layers == "all" else named_layers(config.layers)
    towers = ["language"] if config.action == "teach" else config.towers
    for layer in layers:
        lvlm.ffn_out(layer)  # says so if it is out of range
    projections = [role_of(layer) for layer in layers] if "language" in towers else []
    seeing = vision_projections(lvlm.model) if "vision" in towers else {}
    check_trainable(find_roles(lvlm.model, [*projections, *seeing]).values())
    pairs = training_pairs(lvlm, pairs, config.stop)
    edited, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    if "vision" in towers and not (seeing and len(contrast)):
        missing = "pairs of contrast subjects to compare pictures with" if seeing else f"FFN of a known kind in {lvlm.name}'s vision tower"
        raise UserError(f"There is no {missing}; set towers: [language].")

    forget = [example_of(pair, "sensitive", pairs.folder) for pair in edited]
    others = [example_of(pair, kind, pairs.folder) for pair in contrast for kind in ("sensitive", "benign")]
    neurons: dict[str, Tensor] = {}
    if "language" in towers:
        retain = [example_of(pair, "benign", pairs.folder) for pair in edited] + others
        key = ("importance", tuple(layers), config.form)
        scores = lvlm.once(key, lambda: language_scores(lvlm, forget, retain, layers, config.form))
        neurons |= largest_of_all({role_of(layer): score_F for layer, score_F in scores.items()}, config.share)
    if seeing:
        seen = lvlm.once(("importance of seeing",), lambda: vision_scores(lvlm, forget, others, seeing))
        neurons |= largest_of_all(seen, config.share)
    if is_control := config.neurons == "random":
        neurons = random_neurons(neurons, config.seed)
    neurons = {role: chosen_F for role, chosen_F in neurons.items() if bool(chosen_F.any())}
    name = f"MANU ({sum(int(chosen_F.sum()) for chosen_F in neurons.values())} neurons)"
    if config.action == "teach":
        masks = input_rows(lvlm, {int(role.split(".")[1]): chosen_F for role, chosen_F in neurons.items()})
        found = find_roles(lvlm.model, masks)
        return train_parameters(lvlm, pairs, config, watch, REFUSE, found, name, is_control, lambda _gradients: masks)
    return pruned(lvlm, pairs, neurons, f"{name} (control)" if is_control else name, layers, watch)


def pruned(lvlm: LVLM, pairs: PairSet, neurons: dict[str, Tensor], name: str, layers: list[int], watch: Watch) -> Patch:
    """The patch that takes the neurons out, looked at once."""
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.roles import find_roles

    base = {role: parameter.detach().clone() for role, parameter in find_roles(lvlm.model, neurons).items()}
    edited = {role: weight_DF.masked_fill(neurons[role].to(weight_DF.device), 0.0) for role, weight_DF in base.items()}
    patch = Patch.between(lvlm, base, edited, {"method": name})
    watch.begin(pairs, f"taking out {name}", layers)
    watch.look_at(patch, 1, 1)
    return watch.chosen(patch)


def controls(config: Config) -> dict[str, Config]:
    """As many random neurons of each layer."""
    return {"random": config.model_copy(update={"neurons": "random"})}
