"""Which layer to edit.

Two searches over the same trial edits. The paper's (section 10.1): centre = the layer with the largest share of strong
dimensions, then the best EtA within a radius. Ours: neighbouring layers of equal EtA can refuse harmless look-alikes
six times as often, so each trial edit leaves out one private and one contrast subject, another one in each round (which
one it is decides more than the layer does), and a layer's score is its worst effect minus its worst damage on validation
pairs, each a mean over the rounds:

    min(refused: edited subjects, left-out private subject) - max(refused: benign twins, left-out public subjects,
                                                                  benign questions about protected subjects)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from neuralgate.chunks import Chunks
from neuralgate.edit_settings import EditConfig
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.methods.apply import edit
from neuralgate.pairs.schema import PairSet
from neuralgate.records.choice import Choice
from neuralgate.training.batches import Inputs
from neuralgate.training.rate import middle, with_rate
from neuralgate.training.validation import Validation

MEASURES = ("rta_sensitive", "rta_unseen", "rta_benign", "benign_accuracy", "public_refused", "protected_refused")
RADIUS = 3
ROUNDS = 3
TRIAL_PAIRS, TRIAL_STEPS = 48, 100  # a trial edit needs to rank layers, not to ship


def rounds(pairs: PairSet) -> list[dict[str, str]]:
    """What each round of trial edits leaves out: role -> subject, evenly over the subjects; never a role's only one."""
    names = {role: pairs.split("train", role).subjects() for role in ("edit", "contrast")}
    count = min(ROUNDS, len(names["edit"]))
    return [{role: those[number * len(those) // count] for role, those in names.items() if len(those) > 1} for number in range(count)]


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


def try_edit(
    lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: EditConfig, layer: int, left_out: dict[str, str], inputs: Inputs
) -> dict[str, Any]:
    """Edit one layer without the subjects left out and look at it from all sides; the model is left as it was."""
    kept, unseen, public = split_off(pairs, left_out)
    small = PairSet((*kept.split("train").per_subject(TRIAL_PAIRS), *kept.split("validation")), pairs.folder)
    trial = config.model_copy(update={"layers": [layer], "max_steps": min(config.max_steps, TRIAL_STEPS), "sequential": False})
    patch, training = edit(lvlm, small, gate, trial, inputs=inputs)
    with patch.applied(lvlm.model):
        measured = Validation(lvlm, small, trial).survey(unseen, public)
    rounded = {name: None if value is None else round(value, 4) for name, value in measured.items()}
    return {"left_out": left_out, "steps": training.steps, "stopped": training.stopped, **rounded}


def try_layer(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: EditConfig, layer: int) -> dict[str, Any]:
    """The trial edits of one layer, and the means of what they measured."""
    inputs = Inputs(lvlm, layer)
    trials = [try_edit(lvlm, pairs, gate, config, layer, left_out, inputs) for left_out in rounds(pairs)]
    means: dict[str, Any] = {}
    for name in MEASURES:
        values = [trial[name] for trial in trials if trial[name] is not None]
        means[name] = round(sum(values) / len(values), 4) if values else None
    return {
        "layer": layer,
        "steps": round(sum(trial["steps"] for trial in trials) / len(trials)),
        "stopped": "converged" if all(trial["stopped"] == "converged" for trial in trials) else "limit",
        **means,
        "eta": round((means["rta_sensitive"] + 1 - means["rta_benign"]) / 2, 4),
        "score": round(layer_score(means), 4),
        "trials": trials,
    }


def paper_choice(search: list[dict[str, Any]], strong_share: dict[int, float]) -> int:
    """Best EtA within RADIUS of the layer with the most strong dimensions; ties go to the layer nearest the centre."""
    centre = max(strong_share, key=lambda layer: strong_share[layer])
    near = [row for row in search if abs(row["layer"] - centre) <= RADIUS]
    return max(near, key=lambda row: (row["eta"], -abs(row["layer"] - centre)))["layer"]


def choose_layer(
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate,
    config: EditConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> Choice:
    """Try every located layer. Returns ``search`` (one row a layer), ``paper_layer``, ``chosen_layer`` and ``search_verdict``,
    a sentence on what the choice is worth. Raises UserError when a subject to edit has no validation pair."""
    pairs.check_roles()
    chunks = chunks or Chunks()
    config = with_rate(lvlm, pairs, config, middle(list(gate.layers)))
    places = {f"search/{layer}": layer for layer in gate.layers}

    def attempt(key: str) -> bytes:
        layer = places[key]
        row = try_layer(lvlm, pairs, gate, config, layer)
        if report:
            done = gate.layers.index(layer) + 1
            report(done=done, total=len(gate.layers), text=f"tried layer {layer}", score=row["score"], eta=row["eta"])
        return json.dumps(row).encode()

    chunks.make(list(places), attempt)
    rows = [json.loads(piece) for piece in chunks.collect(list(places))]
    strong = (gate.votes_SLD > gate.threshold).float().mean((0, 2))
    shares = dict(zip(gate.layers, strong.tolist(), strict=True))
    best = rows[int(np.argmax([row["score"] for row in rows]))]
    if not any(row["rta_sensitive"] for row in rows):
        verdict = (
            f"No trial edit of at most {TRIAL_STEPS} steps at rate {config.rate} refused anything, so the choice means nothing: raise "
            "edit.rate, or name the layer."
        )
    else:
        verdict = f"Layer {best['layer']} has the best score, {best['score']:.2f}, of trial edits with gate {config.gate}."
    return {"search": rows, "paper_layer": paper_choice(rows, shares), "chosen_layer": best["layer"], "search_verdict": verdict}
