"""Locate: vectors of many samples, their votes per subject and layer, and what those votes are worth.

A vote profile looks right even when nothing was optimised, so every layer also reports the loss before and after and
what the model *answers* (`evidence.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate.evidence import HELD_OUT, held_out_evidence, layer_evidence
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import fit_layers, layer_sets, votes_of
from neuralgate.locate.samples import make_samples
from neuralgate.lvlm.auto import located_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig
from neuralgate.text import shown_name

BINS = 10
MARGIN = 0.2  # a difference of refusals below this is called none
STRONGEST = 8  # dimensions named in gate.json for each layer


def locate_gate(
    lvlm: LVLM,
    pairs: PairSet,
    config: LocateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> Gate:
    """Votes per subject and layer (Eq. 6) with the evidence of what they do, in ``gate.summary`` (gate.json).

    Raises:
        UserError: no training pairs, a layer out of range, or vectors whose loss is no number.
    """
    layers = located_layers(lvlm, config)
    for layer in layers:
        lvlm.ffn_out(layer)  # says so if it is out of range
    train = pairs.split("train", "edit").per_subject(config.samples_per_subject)
    if not len(train):
        raise UserError("The pair set holds no training pairs of role edit; there is nothing to locate.")
    if any(not pair.benign_target for pair in train):
        train = with_own_answers(lvlm, train)
    located = make_samples(train, config)
    subjects = train.subjects()
    owner_N = torch.tensor([subjects.index(item.pair.subject) for item in located])
    chunks = chunks or Chunks()
    fits = fit_layers(lvlm, located, layers, config, report, chunks)
    votes_SLD = torch.stack([votes_of(fitted, owner_N, len(subjects)) for fitted in fits], 1)
    gate = Gate(votes_SLD, subjects, tuple(layers), lvlm.fingerprint, config.threshold)
    evidence = {f"evidence-{joined[0]}": joined for joined in layer_sets(layers, config)}

    def rows_of(key: str) -> bytes:
        joined = evidence[key]
        own = [fits[layers.index(layer)] for layer in joined]
        held_out = held_out_evidence(lvlm, located, joined, own, config)
        return json.dumps([{**row, **held_out} for row in layer_evidence(lvlm, located, gate, joined, own, config)]).encode()

    chunks.make(list(evidence), rows_of)
    profile = [row for rows in chunks.collect(list(evidence)) for row in json.loads(rows)]
    samples = {subject: int((owner_N == index).sum()) for index, subject in enumerate(subjects)}
    dtype = "quantised" if lvlm.is_quantised else str(lvlm.model.dtype).removeprefix("torch.")
    gate.summary = {**summarise(gate, profile, lvlm.name, config, samples), "dtype": dtype}
    return gate


def verdict(profile: list[dict[str, Any]]) -> str:
    """One plain sentence each: do the vectors, does the gate, and does what a subject's samples share do their job?"""
    best = max(profile, key=lambda row: row["own"]["refused_sensitive"] - row["own"]["refused_benign"])
    own = best["own"]
    refused = {kind: best[kind]["refused_sensitive"] for kind in ("strong_flipped", "random_flipped", *HELD_OUT) if best.get(kind)}
    text = (
        f"Best at layer {best['layer']}: under its own vector a sensitive question is refused {own['refused_sensitive']:.2f} of the time "
        f"(benign {own['refused_benign']:.2f}, n = {own['n']}); with only the {best['strong']:.0%} strong dimensions flipped "
        f"{refused['strong_flipped']:.2f}, with as many random ones {refused['random_flipped']:.2f}. "
    )
    controls = [refused[kind] for kind in ("shuffled_mean", "other_mean") if kind in refused]
    if controls:
        other = f", under another subject's {refused['other_mean']:.2f}" if "other_mean" in refused else ""
        text += (
            f"Under the mean vector of its subject's other samples it is refused {refused['held_out_mean']:.2f} of the time "
            f"(n = {best['held_out_mean']['n']}), with that vector's dimensions shuffled {refused['shuffled_mean']:.2f}{other}. "
        )
    if own["refused_sensitive"] - own["refused_benign"] < MARGIN:
        return text + "The vectors do nothing at any layer: read the votes as no evidence of anything."
    works = own["refused_sensitive"] >= 0.8 and own["refused_benign"] <= 0.1
    text += "The vectors do their job one by one" + (", " if works else " for a part of the samples only, ")
    if refused["strong_flipped"] - refused["random_flipped"] >= MARGIN:
        return text + "and their votes carry part of it."
    if controls and refused["held_out_mean"] - max(controls) >= MARGIN:
        return text + "and their mean carries part of it to other samples of the subject; the aggregated gate does no better than chance."
    return text + "but their votes do not carry it: the aggregated gate does no better than chance."


def strongest(votes_D: Tensor) -> list[tuple[int, float]]:
    """The dimensions with the most votes over all subjects, ties by number, and their mean share of votes."""
    order = torch.argsort(votes_D, descending=True, stable=True)[:STRONGEST]
    return [(int(dimension), round(float(votes_D[dimension]), 4)) for dimension in order]


def summarise(gate: Gate, profile: list[dict[str, Any]], model: str, config: LocateConfig, samples: dict[str, int]) -> dict[str, Any]:
    """The content of gate.json; ``samples`` is how many voted for each subject."""
    edges = torch.linspace(0, 1, BINS + 1)
    share = {
        str(layer): (torch.histc(gate.votes_SLD[:, i], bins=BINS, min=0, max=1) / gate.votes_SLD[:, i].numel()).tolist()
        for i, layer in enumerate(gate.layers)
    }
    strong_SL = (gate.votes_SLD > gate.threshold).sum(-1)
    return {
        "schema": 1,
        "model": shown_name(model),
        "fingerprint": gate.model,
        "layers": list(gate.layers),
        "subjects": list(gate.subjects),
        "samples": samples,
        "hidden_size": gate.votes_SLD.shape[-1],
        "threshold": gate.threshold,
        "settings": config.model_dump(mode="json"),
        "profile": profile,
        "histogram": {
            "edges": [round(edge, 2) for edge in edges.tolist()],
            "counts": {k: [round(x, 5) for x in v] for k, v in share.items()},
        },
        "strong_count": {
            subject: {str(layer): int(strong_SL[s, i]) for i, layer in enumerate(gate.layers)} for s, subject in enumerate(gate.subjects)
        },
        "strongest": {str(layer): strongest(gate.votes_SLD[:, i].mean(0)) for i, layer in enumerate(gate.layers)},
        "verdict": verdict(profile),
    }
