"""The gated gradient in the loop: a trainer of FFN output projections whose gradient passes the gate (Eq. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from torch import Tensor

from neuralgate.edit_settings import WITHOUT_VOTES, EditConfig
from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.packing import Packed
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs, Unpacked
from neuralgate.training.loop import Trainer
from neuralgate.training.masks import gated, gradient_mask, row_gates
from neuralgate.training.rows import Row


def check_gate(lvlm: LVLM, gate: Gate | None, config: EditConfig) -> None:
    """Raises UserError when ``config.gate`` needs votes that ``gate`` does not have."""
    if config.gate in WITHOUT_VOTES:
        return
    if gate is None:
        raise UserError(f"Gate mode {config.gate!r} needs a located gate; run locate first or use gate: none.")
    if gate.model != lvlm.fingerprint:
        raise UserError(f"The gate was located on another model ({gate.model[:12]}, not {lvlm.fingerprint[:12]}); locate again.")


def gated_trainer(
    lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: EditConfig, layers: Sequence[int], inputs: Inputs | None = None
) -> Trainer:
    """Trains the FFN output projections of ``layers``.

    Raises:
        UserError: a layer is out of range or cannot be trained; the gate does not fit.
    """
    check_gate(lvlm, gate, config)
    parameters = {role_of(layer): lvlm.ffn_out(layer).weight for layer in layers}

    def masks(batch: Packed | Unpacked, rows: Sequence[Row]) -> dict[int, Tensor]:
        """Where gradient may pass, ``(B, T, D)`` for each edited layer."""
        subjects, are_gated = [row.subject for row in rows], [row.is_gated for row in rows]
        mask_of = {}
        for layer in layers:
            open_ND = row_gates(gate, subjects, are_gated, layer, lvlm.hidden_size, config.gate, config.gate_seed)
            open_BTD = open_ND.to(lvlm.device)[batch.examples_BT]
            mask_of[layer] = gradient_mask(batch.classes_BT, open_BTD, config.positions, config.tokens)
        return mask_of

    def gating(batch: Packed | Unpacked, rows: Sequence[Row]) -> AbstractContextManager[None]:
        return gated(lvlm, masks(batch, rows), config.gate_at)

    return Trainer(lvlm, pairs, config, parameters, layers, gating, inputs=inputs, gate=gate)
