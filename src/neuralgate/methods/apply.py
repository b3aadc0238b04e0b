"""Any method, applied to a model: with a watch, and what it took."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from neuralgate.edit_settings import EditConfig, MethodConfig
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.methods import METHODS, neural_gate
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs
from neuralgate.training.watch import Training, Watch

Made = TypeVar("Made", bound=Intervention)


def apply_method(
    name: str,
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate | None,
    config: MethodConfig,
    report: Callable[..., None] | None = None,
    own: ModuleType | None = None,
    **information: Any,
) -> tuple[Intervention, Training]:
    """What the method ``name`` of METHODS makes of ``lvlm``, which is left bit for bit as it was, and how it went.

    Args:
        gate: needed by the neural gate's modes strong, random and inverted.
        own: the module of a method that is not in METHODS.
        information: goes into the header of what is saved (recipe digest and the like).

    Raises:
        UserError: the method cannot serve this model, or lacks pairs, a gate or a layer.
    """
    watch = Watch(lvlm, config, report)
    return finished(name, (own or METHODS[name]).edit(lvlm, pairs, gate, config, watch), watch, information)


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
    return finished("neural_gate", patch, watch, information)


def finished(name: str, made: Made, watch: Watch, information: dict[str, Any]) -> tuple[Made, Training]:
    """What a method made and how it went, with what is written down of every method."""
    made.information.update(information)
    watch.training.method = name
    if isinstance(made, Patch):
        watch.training.values_changed = sum(entry["changed"] for entry in made.tensors.values())
    return made, watch.training
