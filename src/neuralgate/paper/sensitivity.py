"""How the votes depend on settings that the publications leave open or set differently: locate again with one setting changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.locate.evidence import layer_evidence
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import layer_sets, optimise_layers
from neuralgate.locate.samples import PairSample
from neuralgate.locate.votes import votes_at_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.paper.overlap import mean_overlap
from neuralgate.paper.scores import answers_score
from neuralgate.paper.sweeps import LOCATE_SWEEP, variant_name, variants
from neuralgate.recipe import LocateConfig

COPIED = ("layer", "loss_start", "loss_end", "benign_start", "benign_end", "converged", "inactive", "weak", "strong")


def locate_variants(
    lvlm: LVLM,
    located: Sequence[PairSample],
    owner_N: Tensor,
    gate: Gate,
    layers: Sequence[int],
    chosen: int,
    config: LocateConfig,
    report: Callable[..., None],
    chunks: Chunks,
) -> tuple[list[dict[str, Any]], dict[str, Gate]]:
    """Rows of all variants at ``layers`` (those of the run's own settings come from gate.json), and each variant's gate by name.

    The weights of the benign loss are tried at ``chosen`` alone: they are there for the trial edits.
    """
    tried = variants(config)
    keys = {f"variant/{name}": name for name in tried}

    def attempt(key: str) -> bytes:
        name, tried_config = keys[key], tried[keys[key]]
        optimised = list(gate.layers) if config.joint else layers_of(name, layers, chosen)
        # one piece of work: what it makes on the way is not kept
        vectors = dict(zip(optimised, optimise_layers(lvlm, located, optimised, tried_config, None, Chunks()), strict=True))
        votes_SLD = votes_at_layers(vectors.values(), owner_N, len(gate.subjects))
        other = Gate(votes_SLD, gate.subjects, tuple(optimised), gate.model, gate.threshold)
        rows = [
            row_of(gate, other, row)
            for joined in layer_sets(optimised, tried_config)
            for row in layer_evidence(lvlm, located, other, joined, [vectors[layer] for layer in joined], tried_config)
            if row["layer"] in layers
        ]
        report(done=list(keys).index(key) + 1, total=len(keys), text=f"located with {name}", strong=rows[0]["strong"])
        return json.dumps({"layers": optimised, "rows": rows, "votes": votes_SLD.tolist()}).encode()

    chunks.make(list(keys), attempt)
    made = {name: json.loads(piece) for name, piece in zip(tried, chunks.collect(list(keys)), strict=True)}
    gates = {
        name: Gate(torch.tensor(variant["votes"]), gate.subjects, tuple(variant["layers"]), gate.model, gate.threshold)
        for name, variant in made.items()
    }
    own = [row_of(gate, gate, row) for row in gate.summary["profile"] if row["layer"] in layers]
    return [
        {"setting": setting, "value": value, "is_own": value == getattr(config, setting), **row}
        for setting, values in LOCATE_SWEEP.items()
        for value in values
        for row in (own if value == getattr(config, setting) else made[variant_name(setting, value)]["rows"])
    ], gates


def layers_of(name: str, layers: Sequence[int], chosen: int) -> list[int]:
    return [chosen] if name.startswith("lambda_benign") else list(layers)


def row_of(gate: Gate, other: Gate, evidence: dict[str, Any]) -> dict[str, Any]:
    """What one variant gives at one layer, and how much its strong dimensions are the run's own."""
    layer = evidence["layer"]
    strong, same = (
        torch.stack([which.votes(subject, layer) > which.threshold for subject in gate.subjects]).numpy() for which in (other, gate)
    )
    return {
        **{name: evidence[name] for name in COPIED},
        **{name: answers_score(evidence[name]) for name in ("own", "strong_flipped", "random_flipped")},
        "overlap": mean_overlap(strong, same),
    }
