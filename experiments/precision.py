"""How many signs of the vectors does the model's dtype change, and what do the vectors do in it?

    python -m experiments.precision

Clerk, locate's default settings, 8 samples for each of eight subjects, layers 0 and 4. The weights are cast to bfloat16 (float16 is slow on
CPUs, and chosen on none); the vectors and their optimiser are float32 in each. Two controls: float32 in batches of another size (rounding
alone), and hidden states that are multiplied by the vectors in float32. Signs are compared with float32's, dimension by dimension; the gate
is what more than the threshold of a subject's samples flip, compared by Jaccard's index. Wilson intervals over the 64 samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from experiments.cells import FOLDER
from neuralgate.chunks import Chunks
from neuralgate.evaluate.intervals import wilson
from neuralgate.files import write_json
from neuralgate.locate import layers as layers_module
from neuralgate.locate import vectors as vectors_module
from neuralgate.locate.evidence import shares_under
from neuralgate.locate.layers import optimise_layers
from neuralgate.locate.samples import make_samples
from neuralgate.locate.votes import votes_of
from neuralgate.lvlm.load import load
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs
from neuralgate.pairs.subjects import subjects_of
from neuralgate.recipe import LocateConfig, PairsConfig

LAYERS = [0, 4]
CASES = (
    ("float32", "float32", False),
    ("float32, other batches", "float32", False),
    ("bfloat16", "bfloat16", False),
    ("bfloat16, multiplied in float32", "bfloat16", True),
)


def scaled_wide(hidden_BTD: Tensor, vectors_BD: Tensor, positions_BT: Tensor) -> Tensor:
    """The hidden states, multiplied in float32."""
    return torch.where(positions_BT[..., None], (hidden_BTD * vectors_BD[:, None]).to(hidden_BTD.dtype), hidden_BTD)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    edited = [subject.name for subject in subjects_of("edit")][:8]
    pairs = build_pairs(PairsConfig(subjects=edited), 0, Path(gettempdir()) / "neuralgate-precision" / "pairs")
    config = LocateConfig(layers=LAYERS)
    train = with_own_answers(load("clerk"), pairs.split("train", "edit").per_subject(config.samples_per_subject))
    located = make_samples(train, config)
    subjects = train.subjects()
    owner_N = torch.tensor([subjects.index(item.pair.subject) for item in located])
    rows: list[dict[str, Any]] = []
    known: list[dict[str, Tensor]] = []
    for name, dtype, wide in CASES:
        lvlm = load("clerk", dtype)
        multiply = scaled_wide if wide else vectors_module.scaled
        size = 6 if "batches" in name else layers_module.CHUNK_ROWS
        with mock.patch.object(vectors_module, "scaled", multiply), mock.patch.object(layers_module, "CHUNK_ROWS", size):
            fits = [dict(fitted) for fitted in optimise_layers(lvlm, located, LAYERS, config, None, Chunks())]
        known = known or fits
        for layer, fitted, reference in zip(LAYERS, fits, known, strict=True):
            strong, same = (votes_of(which, owner_N, len(subjects)) > config.threshold for which in (fitted, reference))
            own = shares_under(lvlm, located, [layer], fitted["vectors_ND"][:, None], config.tokens)
            low, high = wilson(round(own["refused_sensitive"] * own["n"]), int(own["n"]))
            rows.append(
                {
                    "case": name,
                    "layer": layer,
                    "signs": round(float(((fitted["vectors_ND"] < 0) != (reference["vectors_ND"] < 0)).float().mean()), 4),
                    "gate": round(float((strong & same).sum() / (strong | same).sum()), 4),
                    "loss_end": round(float(fitted["sensitive_end_N"].mean()), 3),
                    "own": {"value": own["refused_sensitive"], "low": round(low, 4), "high": round(high, 4), "n": own["n"]},
                }
            )
            print(rows[-1], flush=True)
    write_json(FOLDER / "precision.json", {"rows": rows})


if __name__ == "__main__":
    main()
