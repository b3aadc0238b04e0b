"""Neural Gate: teach a refusal where a private subject is asked for, through the dimensions of its tokens that decide about refusing.

    minimise  L_sen + lambda L_ben + mu L_contrast        over the FFN output projections W of the named layers
    grad W  = sum over tokens t of (g_t * delta_t) a_t^T   (Eq. 7), out = W a, delta = dLoss / d out

g_t is 1 at every token but the subject's, and there the located gate: 1 in the dimensions that had to flip for a refusal. Its controls are
the same training behind other gates: none, as many dimensions drawn at random, the complement, nothing (`ls methods`).

Paper: https://arxiv.org/abs/2603.12598; docs/evidence.md says what the gate is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralgate.edit_settings import DEPTHS, GATE_MODES, STEPS, EditConfig, named_layers

if TYPE_CHECKING:
    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.batches import Inputs
    from neuralgate.training.watch import Watch

LOCATES = "dimensions"
PAPER = "https://arxiv.org/abs/2603.12598"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}

Config = EditConfig


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch, inputs: Inputs | None = None) -> Patch:
    """Train; the model itself is left bit for bit as it was.

    Args:
        pairs: train pairs of role edit and contrast, validation pairs for the stop rule.
        gate: needed for the gate modes strong, random and inverted.
        inputs: those of another edit of the same model with the same lowest layer, to compute nothing twice.

    Raises:
        UserError: no pairs, no validation pairs where ``stop`` needs them, no gate where one is needed, a layer out of range, quantised
            weights, or nothing would change.
    """
    from neuralgate.interventions.patch import Patch
    from neuralgate.training.gated import check_gate, gated_trainer
    from neuralgate.training.masters import check_trainable
    from neuralgate.training.rate import with_rate
    from neuralgate.training.rows import training_pairs

    layers = named_layers(config.layers)
    check_gate(lvlm, gate, config)
    check_trainable(lvlm.ffn_out(layer).weight for layer in layers)
    pairs = training_pairs(lvlm, pairs, config.stop)
    config = with_rate(lvlm, pairs, config, layers)
    trainer = gated_trainer(lvlm, pairs, gate, config, layers, inputs)
    task = f"editing layer {', '.join(map(str, layers))} (gate: {config.gate})"
    watch.begin(pairs, task, layers, config.gate, looks=config.is_looked_at)
    base, trained = trainer.run(watch)
    method = {"strong": "neural gate", "none": "ungated gradient"}.get(config.gate, f"{config.gate} gate (control)")
    patch = Patch.between(lvlm, base, trained, {"method": method, "gate": config.gate})
    return patch


def controls(config: Config) -> dict[str, Config]:
    """The same training behind every other gate."""
    return {mode: config.model_copy(update={"gate": mode}) for mode in GATE_MODES if mode != config.gate}
