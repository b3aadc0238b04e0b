"""Which layer to edit.

Two searches over the same trial edits. The paper's (section 10.1): centre = the layer with the largest share of strong
dimensions, then the best EtA within a radius. Ours: neighbouring layers of equal EtA can refuse harmless look-alikes
six times as often, so each trial edit leaves out one private and one contrast subject, and a layer's score is its worst
effect minus its worst damage on validation pairs:

    min(refused: edited subjects, left-out private subject) - max(refused: benign twins, left-out public subjects,
                                                                  benign questions about protected subjects)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from neuralgate.edit.trainer import Trainer
from neuralgate.edit.validation import Validation
from neuralgate.files import Chunks
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EditConfig

RADIUS = 3
TRIAL_PAIRS, TRIAL_STEPS = 48, 150  # a trial edit needs to rank layers, not to ship


def last_subjects(pairs: PairSet) -> dict[str, str]:
    """Role -> its last subject, where a role has more than one: what a trial edit leaves out."""
    names = {role: pairs.split("train", role).subjects() for role in ("edit", "contrast")}
    return {role: found[-1] for role, found in names.items() if len(found) > 1}


def split_off(pairs: PairSet, left_out: dict[str, str]) -> tuple[PairSet, PairSet, PairSet]:
    """The pairs without the subjects left out (role -> subject), and the validation pairs of the private and the
    contrast subject among those."""
    kept = PairSet((pair for pair in pairs if pair.subject not in left_out.values()), pairs.folder)
    validation = pairs.split("validation")
    unseen, public = (
        PairSet((pair for pair in validation if pair.subject == left_out.get(role)), pairs.folder) for role in ("edit", "contrast")
    )
    return kept, unseen, public


def layer_score(measured: dict[str, Any]) -> float:
    """Worst effect minus worst damage; measures that could not be taken (None) do not count."""
    effect = min(value for value in (measured["rta_sensitive"], measured["rta_unseen"]) if value is not None)
    damage = max(
        value for value in (measured["rta_benign"], measured["public_refused"], measured["protected_refused"]) if value is not None
    )
    return effect - damage


def try_layer(
    lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: EditConfig, layer: int, left_out: dict[str, str] | None = None
) -> dict[str, Any]:
    """Edit one layer on the reduced pairs and look at it from all sides; the model is left as it was."""
    kept, unseen, public = split_off(pairs, last_subjects(pairs) if left_out is None else left_out)
    small = PairSet((*kept.split("train").per_subject(TRIAL_PAIRS), *kept.split("validation")), pairs.folder)
    trial = config.model_copy(update={"layers": [layer], "max_steps": min(config.max_steps, TRIAL_STEPS), "sequential": False})
    _, edited, training = Trainer(lvlm, small, gate, trial, [layer]).run(None)
    weight = lvlm.ffn_out(layer).weight
    base = weight.detach().clone()
    weight.data.copy_(edited[f"decoder.{layer}.ffn.out"])
    try:
        measured = Validation(lvlm, small, trial).survey(unseen, public)
    finally:
        weight.data.copy_(base)
    eta = (measured["rta_sensitive"] + 1 - measured["rta_benign"]) / 2  # type: ignore[operator]
    rounded = {name: None if value is None else round(value, 4) for name, value in measured.items()}
    return {
        "layer": layer,
        "steps": training.steps,
        "stopped": training.stopped,
        **rounded,
        "eta": round(eta, 4),
        "score": round(layer_score(measured), 4),
    }


def paper_choice(search: list[dict[str, Any]], strong_share: dict[int, float]) -> int:
    """Best EtA within RADIUS of the layer with the most strong dimensions; ties go to the layer nearest the centre."""
    centre = max(strong_share, key=lambda layer: strong_share[layer])
    near = [row for row in search if abs(row["layer"] - centre) <= RADIUS]
    return max(near, key=lambda row: (row["eta"], -abs(row["layer"] - centre)))["layer"]


def search_layer(
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate,
    config: EditConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> dict[str, Any]:
    """Try every located layer. Returns ``search`` (one row a layer), ``paper_layer`` and ``chosen_layer``."""
    rows = []
    for done, layer in enumerate(gate.layers, start=1):
        key = f"search/{layer}"
        stored = chunks.done(key) if chunks else None
        row = json.loads(stored) if stored else try_layer(lvlm, pairs, gate, config, layer)
        if chunks and not stored:
            chunks.put(key, json.dumps(row).encode())
        rows.append(row)
        if report:
            report(done=done, total=len(gate.layers), text=f"trying layer {layer}", score=row["score"], eta=row["eta"])
    strong = (gate.votes_SLD > gate.threshold).float().mean((0, 2))
    shares = dict(zip(gate.layers, strong.tolist(), strict=True))
    best = rows[int(np.argmax([row["score"] for row in rows]))]["layer"]
    return {"search": rows, "paper_layer": paper_choice(rows, shares), "chosen_layer": best}
