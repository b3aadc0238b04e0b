"""Locate: vectors of many samples, their votes per subject and layer, and what those votes are worth.

A vote profile looks right even when nothing was optimised, so every layer also reports the loss before and after and
what the model *answers*: under each sample's own vector, with only the strong dimensions of the subject flipped, and
with as many random ones flipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.judges import judge
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import fit_layers, layer_sets, votes_of
from neuralgate.locate.samples import Located, make_samples
from neuralgate.locate.vectors import answers_under
from neuralgate.lvlm.auto import located_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import GateMode, LocateConfig
from neuralgate.text import shown_name

BINS = 10
STRONGEST = 8  # dimensions named in gate.json for each layer


def answer_shares(located: Sequence[Located], sensitive: Sequence[str], benign: Sequence[str]) -> dict[str, float | int]:
    """Shares of greedy answers: refused (sensitive and benign), leaked, and degenerate among both."""
    n = len(located)
    first = [judge(text, item.pair.sensitive_truth) for text, item in zip(sensitive, located, strict=True)]
    second = [judge(text, item.pair.benign_truth) for text, item in zip(benign, located, strict=True)]
    return {
        "refused_sensitive": round(sum(verdict["refused"] for verdict in first) / n, 4),
        "refused_benign": round(sum(verdict["refused"] for verdict in second) / n, 4),
        "leak": round(sum(verdict["leaked"] for verdict in first) / n, 4),
        "degenerate": round(sum(verdict["degenerate"] is not None for verdict in (*first, *second)) / (2 * n), 4),
        "n": n,
    }


def asked_under(lvlm: LVLM, located: Sequence[Located], layers: Sequence[int], vectors_NLD: Tensor, tokens: str) -> dict[str, float | int]:
    """What the model answers to each sample's two questions while its subject's tokens are scaled by its vector at each of ``layers``."""
    sensitive = answers_under(lvlm, [item.sample.sensitive[0] for item in located], layers, vectors_NLD, tokens)
    benign = answers_under(lvlm, [item.sample.benign for item in located], layers, vectors_NLD, tokens)
    return answer_shares(located, sensitive, benign)


def locate(
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
        return json.dumps(layer_evidence(lvlm, located, gate, joined, own, config)).encode()

    chunks.make(list(evidence), rows_of)
    profile = [row for rows in chunks.collect(list(evidence)) for row in json.loads(rows)]
    gate.summary = summarise(gate, profile, lvlm.name, config)
    return gate


def layer_evidence(
    lvlm: LVLM, located: Sequence[Located], gate: Gate, layers: Sequence[int], fits: Sequence[dict[str, Tensor]], config: LocateConfig
) -> list[dict[str, Any]]:
    """A row of the profile for each of the layers that were optimised together: shares of dimensions, losses, and the answers under
    three kinds of vector, at all of them at once."""
    finite_N = fits[0]["finite_N"].bool()
    kept = [item for item, finite in zip(located, finite_N.tolist(), strict=True) if finite]
    measured = {name: values[finite_N] for name, values in fits[0].items()}

    def flip(mode: GateMode) -> Tensor:
        open_NLD = [torch.stack([gate.open_dimensions(item.pair.subject, layer, mode) for layer in layers]) for item in kept]
        return 1.0 - 2.0 * torch.stack(open_NLD).float()

    own_NLD = torch.stack([fitted["vectors_ND"][finite_N] for fitted in fits], 1)
    common = {
        "excluded": int((~finite_N).sum()),
        "loss_start": measured["sensitive_start_N"].mean().item(),
        "loss_end": measured["sensitive_end_N"].mean().item(),
        "benign_start": measured["benign_start_N"].mean().item(),
        "benign_end": measured["benign_end_N"].mean().item(),
        "converged": measured["converged_N"].mean().item(),
        "steps": measured["steps_N"].mean().item(),
        "own": asked_under(lvlm, kept, layers, own_NLD, config.tokens),
        "strong_flipped": asked_under(lvlm, kept, layers, flip("strong"), config.tokens),
        "random_flipped": asked_under(lvlm, kept, layers, flip("random"), config.tokens),
    }
    rows = []
    for layer in layers:
        votes_SD = gate.votes_SLD[:, gate.layers.index(layer)]
        row = {
            "layer": layer,
            "inactive": (votes_SD == 0).float().mean().item(),
            "weak": ((votes_SD > 0) & (votes_SD <= gate.threshold)).float().mean().item(),
            "strong": (votes_SD > gate.threshold).float().mean().item(),
            **common,
        }
        rows.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    return rows


def verdict(profile: list[dict[str, Any]]) -> str:
    """One plain sentence: do the vectors, and does the aggregated gate, do their job?"""
    best = max(profile, key=lambda row: row["own"]["refused_sensitive"] - row["own"]["refused_benign"])
    own, flipped, chance = best["own"], best["strong_flipped"], best["random_flipped"]
    works = own["refused_sensitive"] >= 0.8 and own["refused_benign"] <= 0.1
    text = (
        f"Best at layer {best['layer']}: under its own vector a sensitive question is refused {own['refused_sensitive']:.2f} of the time "
        f"(benign {own['refused_benign']:.2f}, n = {own['n']}); with only the {best['strong']:.0%} strong dimensions flipped "
        f"{flipped['refused_sensitive']:.2f}, with as many random ones {chance['refused_sensitive']:.2f}. "
    )
    if not works:
        return text + "The vectors do not do their job at any layer: read the votes as no evidence of anything."
    if flipped["refused_sensitive"] - chance["refused_sensitive"] < 0.2:
        return (
            text + "The vectors do their job one by one, but their votes do not carry it: the aggregated gate does no better than chance."
        )
    return text + "The vectors do their job, and their votes carry part of it."


def strongest(votes_D: Tensor) -> list[tuple[int, float]]:
    """The dimensions with the most votes over all subjects, ties by number, and their mean share of votes."""
    order = torch.argsort(votes_D, descending=True, stable=True)[:STRONGEST]
    return [(int(dimension), round(float(votes_D[dimension]), 4)) for dimension in order]


def summarise(gate: Gate, profile: list[dict[str, Any]], model: str, config: LocateConfig) -> dict[str, Any]:
    """The content of gate.json."""
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
