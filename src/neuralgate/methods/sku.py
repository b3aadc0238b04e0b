"""SKU: train towards many answers at once, and, as it was published, take the opposite of what was learned.

    refusal     theta = argmin  CE(refusal) + e2 CE(another refusal) + e3 KL(p0 || p) + lambda L_ben + mu L_contrast
    negation    bad   = argmin  CE(own answer) + e2 CE(another answer) - e3 min(KL(p0 || p), c),    theta = theta0 - s (bad - theta0)

KL is between the distributions at the answers of benign and contrast questions. `teach: refusal` is the form that the paper of Neural Gate
compares (SKU*), where nothing is negated and the divergence holds instead of pushing away; after a negation one epoch teaches the refusal
(`finish`). The divergence is bounded, which in the original it is not. Its control is a change of the same norms at random.

Paper: https://arxiv.org/abs/2402.10058
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neuralgate.edit_settings import DEPTHS, STEPS, TrainedConfig, named_layers

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.objectives import Objective
    from neuralgate.training.watch import Watch

LOCATES = ""
PAPER = "https://arxiv.org/abs/2402.10058"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(TrainedConfig):
    """What is taught, and how its parts weigh; the rest is the loop's."""

    teach: Literal["refusal", "negation"] = Field("refusal", description="SKU* towards refusals, or the opposite of telling everything.")
    other_weight: float = Field(1.0, ge=0, description="Weight of another pair's answer (e2).")
    divergence_weight: float = Field(1.0, gt=0, description="Weight of the divergence on what is to stay (e3).")
    most: float = Field(5.0, gt=0, description="Nats a token that the divergence counts at most in a negation (c).")
    negation: float = Field(1.0, gt=0, description="How far to go the other way (s).")
    finish: bool = Field(True, description="Whether one epoch teaches the refusal after a negation.")
    change: Literal["trained", "random"] = Field("trained", description="The trained one, or as a control one of its norms at random.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Train; ``gate`` plays no part. Raises UserError for what cannot be trained, see `neural_gate.edit`."""
    from neuralgate.interventions.patch import Patch
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.objectives import REFUSE, refuse_all, tell_all
    from neuralgate.training.projections import random_like
    from neuralgate.training.rate import with_rate
    from neuralgate.training.rows import training_pairs
    from neuralgate.training.watch import Watch as Unwatched

    layers = named_layers(config.layers)
    check_trainable(lvlm.ffn_out(layer).weight for layer in layers)
    is_negated = config.teach == "negation"
    taught = refuse_all(config.other_weight, config.divergence_weight)
    if is_negated:
        taught = tell_all(config.other_weight, config.divergence_weight, config.most)
    pairs = training_pairs(lvlm, pairs, config.stop, taught.answers)
    config = with_rate(lvlm, pairs, config, layers)
    watch.begin(pairs, f"SKU at layer {', '.join(map(str, layers))}", layers, looks=config.is_looked_at)
    if not is_negated:
        base, edited = trained(lvlm, pairs, config, layers, taught, watch)
    else:
        blind = Unwatched(lvlm, config.model_copy(update={"stop": "never", "keep": "first"}))
        blind.begin(pairs, "", layers, looks=False)
        base, bad = trained(lvlm, pairs, config.model_copy(update={"stop": "never", "keep": "first"}), layers, taught, blind)
        edited = {role: (base[role].float() - config.negation * (bad[role].float() - base[role].float())).to(base[role]) for role in base}
        if config.finish:
            steps = -(-len(pairs.split("train", "edit")) // config.batch_size)
            with Patch.between(lvlm, base, edited, {}).on(lvlm):
                _, edited = trained(lvlm, pairs, config.model_copy(update={"max_steps": steps}), layers, REFUSE, watch)
    if config.change == "random":
        changes = {role: edited[role].float() - base[role].float() for role in base}
        drawn = {role: random_like(change, min(change.shape), f"{config.seed}|{role}") for role, change in changes.items()}
        edited = {role: (base[role].float() + drawn[role]).to(base[role]) for role in base}
    name = ("SKU" if is_negated else "SKU*") + (" (control)" if config.change == "random" else "")
    patch = Patch.between(lvlm, base, edited, {"method": name})
    return patch


def trained(
    lvlm: LVLM, pairs: PairSet, config: Config, layers: list[int], objective: Objective, watch: Watch
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the FFN output projections are and what they become, by role."""
    from neuralgate.lvlm.roles import role_of
    from neuralgate.training.loop import Trainer

    parameters = {role_of(layer): lvlm.ffn_out(layer).weight for layer in layers}
    return Trainer(lvlm, pairs, config, parameters, layers, objective=objective).run(watch)


def controls(config: Config) -> dict[str, Config]:
    """A random change of the same norms."""
    return {"random": config.model_copy(update={"change": "random"})}
