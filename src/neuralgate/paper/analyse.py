"""The whole analysis of a located run, as plain data: the content of analysis.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import optimise_layers
from neuralgate.locate.samples import PairSample, make_samples
from neuralgate.locate.votes import votes_at_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.templates import REFUSAL_PREFIXES
from neuralgate.paper.activation import describe_activations
from neuralgate.paper.edits import Trials, neighbourhoods
from neuralgate.paper.overlap import between_halves, between_layers, between_subjects, mean_overlap
from neuralgate.paper.profile import Flips, describe_layers, gradient_by_position, vote_bins
from neuralgate.paper.sensitivity import locate_variants
from neuralgate.paper.sweeps import BINS, HALVES
from neuralgate.recipe import EditConfig, LocateConfig
from neuralgate.records.choice import Choice
from neuralgate.text import shown_name

SCHEMA = 1
MAX_VOTES_CHANGED = 0.1  # share of all votes; rounding of another machine flips a few values near zero


def analyse(
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate,
    choice: Choice,
    locate_config: LocateConfig,
    edit_config: EditConfig,
    report: Callable[..., None] = lambda **_: None,
    chunks: Chunks | None = None,
) -> dict[str, Any]:
    """Fit the run's vectors again, and take from them and from further layer_vectors and trial edits what the figures show.

    Raises:
        UserError: there are no validation pairs to look at trial edits with, or the vectors fitted now do not give the gate's votes.
    """
    if not len(pairs.split("validation", "edit")):
        raise UserError("The pair set holds no validation pairs of role edit; the analysis needs them to look at trial edits.")
    chunks = chunks or Chunks()
    layers, subjects = list(gate.layers), list(gate.subjects)
    located = make_samples(pairs, locate_config)
    owner_N = torch.tensor([subjects.index(item.pair.subject) for item in located])
    layer_vectors = optimise_layers(lvlm, located, layers, locate_config, report, chunks.within("vectors"))
    votes_SLD = votes_at_layers(layer_vectors, owner_N, len(subjects))
    changed = refuse_other_votes(gate, votes_SLD)
    strong_SLD = (gate.votes_SLD > gate.threshold).numpy()
    chosen, centre = edited_layer(gate, choice, edit_config), int(layers[int(strong_SLD.mean((0, 2)).argmax())])
    looked_at = sorted({chosen, centre})

    again = {}
    for name, other in other_draws(pairs, locate_config).items():
        owner_M = torch.tensor([subjects.index(item.pair.subject) for item in other])
        others = optimise_layers(lvlm, other, layers, locate_config, report, chunks.within(name))
        strong_again = (votes_at_layers(others, owner_M, len(subjects)) > gate.threshold).numpy()
        again[name] = [{"layer": layer, **overlap_at(strong_SLD, strong_again, place)} for place, layer in enumerate(layers)]

    gradients = gradient_rows(lvlm, pairs, located, edit_config, layers, report, chunks.within("gradient"))
    variants, variant_gates = locate_variants(
        lvlm, located, owner_N, gate, looked_at, chosen, locate_config, report, chunks.within("variants")
    )
    trials = Trials(lvlm, pairs, gate, edit_config, chosen, locate_config.lambda_benign, variant_gates)
    sweeps = trials.run(report, chunks.within("edits"))
    # samples whose loss stayed a number, as in the votes
    flips = {layer: Flips(vectors, owner_N) for layer, vectors in zip(layers, layer_vectors, strict=True)}
    halves = [between_halves(flips[layer].flipped_ND, flips[layer].owner_N, gate.threshold) for layer in layers]
    return {
        "schema": SCHEMA,
        "model": shown_name(lvlm.name),
        "fingerprint": gate.model,
        "subjects": subjects,
        "layers": layers,
        "hidden_size": lvlm.hidden_size,
        "decoder_layers": len(lvlm.layers),
        "threshold": gate.threshold,
        "samples": {subject: int((owner_N == place).sum()) for place, subject in enumerate(subjects)},
        "locate": locate_config.model_dump(mode="json"),
        "edit": edit_config.model_dump(mode="json"),
        "chosen_layer": chosen,
        "edited_layers": [chosen] if edit_config.layers == "search" else sorted(edit_config.layers),
        "centre_layer": centre,
        "votes_changed": round(changed, 6),
        "bins": {
            "edges": [round(edge / BINS, 2) for edge in range(BINS + 1)],
            "subjects": {
                subject: [[round(share, 5) for share in vote_bins(votes_D)] for votes_D in gate.votes_SLD[place]]
                for place, subject in enumerate(subjects)
            },
        },
        "profile": describe_layers(gate.summary, flips, gate.threshold, gradients),
        "overlap": {
            "subjects": between_subjects(strong_SLD, subjects, layers),
            "layers": between_layers(strong_SLD, layers),
            "halves": [{"layer": layer, **(half or {"value": None})} for layer, half in zip(layers, halves, strict=True)],
            "splits": HALVES,
            "again": again,
        },
        "activation": describe_activations(lvlm, located, owner_N, gate, locate_config.tokens, chosen),
        "sensitivity": variants,
        "radius": neighbourhoods(lvlm, pairs, gate, choice, edit_config, centre, report, chunks.within("search")),
        "sweeps": sweeps,
    }


def refuse_other_votes(gate: Gate, votes_SLD: Tensor) -> float:
    """Which share of the votes, of the gate or of vectors fitted anew, is not in both. Raises UserError when that is more than rounding."""
    all_votes = float(torch.maximum(gate.votes_SLD, votes_SLD).sum())
    changed = float((gate.votes_SLD - votes_SLD).abs().sum()) / all_votes if all_votes else 0.0
    if changed > MAX_VOTES_CHANGED:
        raise UserError(
            f"Fitted again, the vectors give other votes than the gate holds ({changed:.0%} differ): it was located by another "
            "version or on another kind of machine; delete the run's gate folder and run the same command again."
        )
    return changed


def edited_layer(gate: Gate, choice: Choice, config: EditConfig) -> int:
    """The layer that the run edits: the search's choice, or the first named one that is located, or else the first located one."""
    if config.layers == "search":
        return choice["chosen_layer"]
    return next((layer for layer in config.layers if layer in gate.layers), gate.layers[0])


def other_draws(pairs: PairSet, config: LocateConfig) -> dict[str, list[PairSample]]:
    """The samples that locate might as well have been given: the next training pairs of each subject, and, where each sample has a
    refusal prefix of its own, the same samples with other prefixes."""
    train, count = pairs.split("train", "edit"), config.samples_per_subject
    draws = {}
    blocks = {subject: train.subset([subject]).pairs[count : 2 * count] for subject in train.subjects()}
    if all(len(block) == min(count, len(train.subset([subject]))) for subject, block in blocks.items()):
        draws["other samples"] = make_samples(PairSet([pair for block in blocks.values() for pair in block], pairs.folder), config)
    if not config.one_prefix:
        generator = np.random.default_rng(1)
        drawn = [replace(pair, refusal=REFUSAL_PREFIXES[generator.integers(len(REFUSAL_PREFIXES))]) for pair in train.per_subject(count)]
        draws["other prefixes"] = make_samples(PairSet(drawn, pairs.folder), config)
    return draws


def overlap_at(first_SLD: np.ndarray, second_SLD: np.ndarray, place: int) -> dict[str, Any]:
    return mean_overlap(first_SLD[:, place], second_SLD[:, place]) or {"value": None}


def gradient_rows(
    lvlm: LVLM,
    pairs: PairSet,
    located: Sequence[PairSample],
    config: EditConfig,
    layers: Sequence[int],
    report: Callable[..., None],
    chunks: Chunks,
) -> dict[int, dict[str, Any]]:
    """Layer -> where the gradient arrives; each layer is a chunk."""
    places = {f"layer-{layer}": layer for layer in layers}

    def measure(key: str) -> bytes:
        report(done=list(places).index(key) + 1, total=len(places), text=f"gradient at layer {places[key]}")
        return json.dumps(gradient_by_position(lvlm, pairs, located, config, places[key])).encode()

    chunks.make(list(places), measure)
    return {places[key]: json.loads(piece) for key, piece in zip(places, chunks.collect(list(places)), strict=True)}
