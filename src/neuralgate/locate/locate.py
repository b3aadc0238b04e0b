"""Locate: vectors of many samples, their votes per subject and layer, and what those votes are worth.

A vote profile looks right even when nothing was optimised, so every layer also reports the loss before and after and
what the model *answers*: under each sample's own vector, with only the strong dimensions of the subject flipped, and
with as many random ones flipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.judges import judge
from neuralgate.locate.gate import Gate
from neuralgate.locate.vectors import Prepared, Sample, answers_under, fit_vectors
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import Pair, PairSet
from neuralgate.pairs.templates import REFUSAL_PREFIXES
from neuralgate.recipe import GateMode, LocateConfig

CHUNK_ROWS = 96  # rows of one batch
BINS = 10
STRONGEST = 8  # dimensions named in gate.json for each layer


@dataclass(frozen=True)
class Located:
    """A sample with the pair it came from."""

    pair: Pair
    sample: Sample


def make_samples(pairs: PairSet, config: LocateConfig) -> list[Located]:
    """The first ``samples_per_subject`` training pairs of every edited subject."""
    located = []
    for pair in pairs.split("train", "edit").per_subject(config.samples_per_subject):
        image = pairs.folder / pair.image
        refusal = REFUSAL_PREFIXES[0] if config.one_prefix else pair.refusal
        openings = pair.openings if config.contexts else ("",)
        sensitive = tuple(Example(image, opening + pair.sensitive_question, pair.word, refusal) for opening in openings)
        benign = Example(image, pair.benign_question, pair.word, pair.benign_target)
        located.append(Located(pair, Sample(pair.subject, sensitive, benign)))
    return located


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


def asked_under(lvlm: LVLM, located: Sequence[Located], layer: int, vectors_ND: Tensor, tokens: str) -> dict[str, float | int]:
    """What the model answers to each sample's two questions while its subject's tokens are scaled by its vector."""
    sensitive = answers_under(lvlm, [item.sample.sensitive[0] for item in located], layer, vectors_ND, tokens)
    benign = answers_under(lvlm, [item.sample.benign for item in located], layer, vectors_ND, tokens)
    return answer_shares(located, sensitive, benign)


def fit_layers(
    lvlm: LVLM,
    located: Sequence[Located],
    layers: Sequence[int],
    config: LocateConfig,
    report: Callable[..., None] | None,
    chunks: Chunks,
) -> list[dict[str, Tensor]]:
    """Fitted values of all samples at each layer, in chunks that a killed run finds again."""
    size = max(1, CHUNK_ROWS // (len(located[0].sample.sensitive) + 1))
    starts = range(0, len(located), size)
    # the layers of a batch after each other: what they share is computed once, where the batch fits whole
    places = {f"layer-{layer}/{start}": (layer, start) for start in starts for layer in layers}
    fitting = lvlm.fitting(size, "locating")

    held: dict[tuple[int, int], Prepared] = {}  # one at most: a recording is the largest thing in memory

    def prepared(first: int, count: int) -> Prepared:
        if (first, count) not in held:
            held.clear()
            held[first, count] = Prepared(lvlm, [item.sample for item in located[first : first + count]], min(layers), config)
        return held[first, count]

    def fit(key: str) -> bytes:
        layer, start = places[key]
        numbers = range(start, min(start + size, len(located)))
        fits = fitting.run(
            lambda part: fit_vectors(lvlm, [located[number].sample for number in part], layer, config, prepared(part[0], len(part))),
            numbers,
        )
        part = {name: torch.cat([vars(fit)[name].detach().float().cpu() for fit in fits]) for name in vars(fits[0])}
        if report:
            loss = round(part["sensitive_end_N"].mean().item(), 3)
            done = start * len(layers) + (list(layers).index(layer) + 1) * len(numbers)
            report(done=done, total=len(layers) * len(located), text=f"layer {layer}", loss=loss)
        return save(part)

    chunks.make(list(places), fit)
    fitted = []
    for layer in layers:
        parts = [load(piece) for piece in chunks.collect([f"layer-{layer}/{start}" for start in starts])]
        fitted.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    return fitted


def votes_of(fitted: dict[str, Tensor], owner_N: Tensor, count: int) -> Tensor:
    """``(S, D)``: for each of ``count`` subjects the share of its samples (``owner_N`` numbers the subject) whose value is negative."""
    flipped_ND = (fitted["vectors_ND"] < 0).float()
    return torch.stack([flipped_ND[owner_N == index].mean(0) for index in range(count)])


def locate(
    lvlm: LVLM,
    pairs: PairSet,
    config: LocateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> Gate:
    """Votes per subject and layer (Eq. 6) with the evidence of what they do, in ``gate.summary`` (gate.json).

    Raises:
        UserError: no training pairs, or a layer out of range.
    """
    layers = list(range(len(lvlm.layers) - 1)) if config.layers is None else config.layers
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
    votes_SLD = torch.zeros(len(subjects), len(layers), lvlm.hidden_size)
    chunks = chunks or Chunks()
    fits = fit_layers(lvlm, located, layers, config, report, chunks)
    for place, fitted in enumerate(fits):
        votes_SLD[:, place] = votes_of(fitted, owner_N, len(subjects))
    gate = Gate(votes_SLD, subjects, tuple(layers), lvlm.fingerprint, config.threshold)
    evidence = {f"evidence-{layer}": (layer, fitted) for layer, fitted in zip(layers, fits, strict=True)}
    chunks.make(list(evidence), lambda key: json.dumps(layer_evidence(lvlm, located, gate, *evidence[key], config)).encode())
    profile = [json.loads(row) for row in chunks.collect(list(evidence))]
    gate.summary = summarise(gate, profile, lvlm.name, config)
    return gate


def layer_evidence(
    lvlm: LVLM, located: Sequence[Located], gate: Gate, layer: int, fitted: dict[str, Tensor], config: LocateConfig
) -> dict[str, Any]:
    """One row of the profile: shares of dimensions, losses, and answers under three kinds of vector."""

    def flip(mode: GateMode) -> Tensor:
        return torch.stack([1.0 - 2.0 * gate.open_dimensions(item.pair.subject, layer, mode).float() for item in located])

    votes_SD = gate.votes_SLD[:, gate.layers.index(layer)]
    row = {
        "layer": layer,
        "inactive": (votes_SD == 0).float().mean().item(),
        "weak": ((votes_SD > 0) & (votes_SD <= gate.threshold)).float().mean().item(),
        "strong": (votes_SD > gate.threshold).float().mean().item(),
        "loss_start": fitted["sensitive_start_N"].mean().item(),
        "loss_end": fitted["sensitive_end_N"].mean().item(),
        "benign_start": fitted["benign_start_N"].mean().item(),
        "benign_end": fitted["benign_end_N"].mean().item(),
        "converged": fitted["converged_N"].mean().item(),
        "steps": fitted["steps_N"].mean().item(),
        "own": asked_under(lvlm, located, layer, fitted["vectors_ND"], config.tokens),
        "strong_flipped": asked_under(lvlm, located, layer, flip("strong"), config.tokens),
        "random_flipped": asked_under(lvlm, located, layer, flip("random"), config.tokens),
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


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
        "model": model,
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
