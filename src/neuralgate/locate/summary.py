"""What is said of a gate in gate.json: how many votes there are, what they are worth, and a verdict in plain words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neuralgate.locate.evidence import HELD_OUT
from neuralgate.locate.gate import Gate
from neuralgate.recipe import LocateConfig
from neuralgate.text import shown_name

BINS = 10
MARGIN = 0.2  # a difference of refusals below this is called none
STRONGEST = 8  # dimensions named in gate.json for each layer


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
