"""Locate, the whole way: samples of the pairs, their vectors at every layer, the votes of these, the gate, and what it is worth.

A vote profile looks right even when nothing was optimised, so every layer also reports the loss before and after and
what the model *answers* (`evidence.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate.evidence import held_out_evidence, layer_evidence
from neuralgate.locate.gate import Gate
from neuralgate.locate.layers import LayerVectors, layer_sets, optimise_layers
from neuralgate.locate.samples import PairSample, make_samples
from neuralgate.locate.summary import summarise
from neuralgate.locate.votes import votes_at_layers
from neuralgate.lvlm.auto import located_layers
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig


@dataclass
class Located:
    """A gate with the samples that voted for it, whose they are among the gate's subjects, and, layer by layer, their vectors."""

    gate: Gate
    samples: list[PairSample]
    owner_N: Tensor
    vectors: LayerVectors


def locate_votes(
    lvlm: LVLM,
    pairs: PairSet,
    config: LocateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> Located:
    """Votes per subject and layer (Eq. 6), whose gate has an empty summary: nothing is asked under the vectors.

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
    samples, subjects = make_samples(train, config), train.subjects()
    owner_N = torch.tensor([subjects.index(item.pair.subject) for item in samples])
    vectors = optimise_layers(lvlm, samples, layers, config, report, chunks or Chunks())
    votes_SLD = votes_at_layers(vectors, owner_N, len(subjects))
    return Located(Gate(votes_SLD, subjects, tuple(layers), lvlm.fingerprint, config.threshold), samples, owner_N, vectors)


def locate_gate(
    lvlm: LVLM,
    pairs: PairSet,
    config: LocateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> Gate:
    """:func:`locate_votes` with the evidence of what the votes do, in ``gate.summary`` (gate.json); the same errors."""
    chunks = chunks or Chunks()
    found = locate_votes(lvlm, pairs, config, report, chunks)
    gate, samples = found.gate, found.samples
    evidence = {f"evidence-{joined[0]}": joined for joined in layer_sets(gate.layers, config)}

    def rows_of(key: str) -> bytes:
        joined = evidence[key]
        own = [found.vectors[gate.layers.index(layer)] for layer in joined]
        held_out = held_out_evidence(lvlm, samples, joined, own, config)
        return json.dumps([{**row, **held_out} for row in layer_evidence(lvlm, samples, gate, joined, own, config)]).encode()

    chunks.make(list(evidence), rows_of)
    profile = [row for rows in chunks.collect(list(evidence)) for row in json.loads(rows)]
    counts = {subject: int((found.owner_N == index).sum()) for index, subject in enumerate(gate.subjects)}
    dtype = "quantised" if lvlm.is_quantised else str(lvlm.model.dtype).removeprefix("torch.")
    gate.summary = {**summarise(gate, profile, lvlm.name, config, counts), "dtype": dtype}
    return gate
