"""Any method, applied to a model: with a watch, and what it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neuralgate.edit_settings import EditConfig, MethodConfig
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.methods import METHODS, neural_gate
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.watch import Training, Watch


def apply_method(
    name: str,
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate | None,
    config: MethodConfig,
    report: Callable[..., None] | None = None,
    **information: Any,
) -> tuple[Intervention, Training]:
    """What the method ``name`` of METHODS makes of ``lvlm``, which is left bit for bit as it was, and how it went.

    Args:
        gate: needed by the neural gate's modes strong, random and inverted.
        information: goes into the header of what is saved (recipe digest and the like).

    Raises:
        UserError: the method cannot serve this model, or lacks pairs, a gate or a layer.
    """
    watch = Watch(lvlm, config, report)
    intervention = METHODS[name].edit(lvlm, pairs, gate, config, watch)
    intervention.information.update(information)
    watch.training.method = name
    return intervention, watch.training


def edit(
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate | None,
    config: EditConfig,
    report: Callable[..., None] | None = None,
    inputs: Inputs | None = None,
    **information: Any,
) -> tuple[Patch, Training]:
    """The neural gate in one call: train and return the patch; the model itself is left bit for bit as it was.

    Args:
        pairs: train pairs of role edit and contrast, validation pairs for the stop rule.
        gate: needed for the gate modes strong, random and inverted.
        config: ``layers`` must be a list here; `choose_layer` resolves ``"search"``.
        inputs: those of another edit of the same model with the same lowest layer, to compute nothing twice.
        information: goes into patch.json (recipe digest and the like).

    Raises:
        UserError: no pairs, no validation pairs where ``stop`` needs them, no gate where one is needed, or a layer out of range.
    """
    watch = Watch(lvlm, config, report)
    patch = neural_gate.edit(lvlm, pairs, gate, config, watch, inputs)
    patch.information.update(information)
    watch.training.method = "neural_gate"
    return patch, watch.training
