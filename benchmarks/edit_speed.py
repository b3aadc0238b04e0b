"""How long an edit's step takes: the plain form against packed rows, and against packed rows that are known already.

    python -m benchmarks.edit_speed

At every layer. All three compute the same loss and gradient (tests/test_gradient.py, tests/test_inputs.py). They follow each other
within each batch of one run, so that the ratio hardly depends on what else the machine does. "Packed and
known" is a batch all of whose rows were met before, as from the second epoch on where every question has one wording. Writes
experiments/evidence/edit_speed.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from experiments.cells import FOLDER
from neuralgate.files import write_json
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import Recipe
from neuralgate.training.batches import Inputs
from neuralgate.training.gated import gated_trainer
from neuralgate.training.losses import row_weights
from neuralgate.training.rows import Row, minibatches

STEPS = 12


def measure(lvlm: LVLM, pairs: PairSet, layer: int) -> dict[str, Any]:
    trainer = gated_trainer(lvlm, pairs, None, Recipe().edit, [layer])
    weight = lvlm.ffn_out(layer).weight.requires_grad_(True)
    chosen, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    batches = list(islice(minibatches(chosen, contrast, Recipe().edit.batch_size, np.random.default_rng(0)), STEPS))

    def plain(rows: list[Row]) -> None:
        batch = encode_examples(lvlm, [row.example for row in rows])
        losses_B = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)
        (losses_B * losses_B.new_tensor(row_weights(rows, trainer.weights))).sum().backward()

    def packed(rows: list[Row]) -> None:
        trainer.inputs = Inputs(lvlm, layer)
        trainer.gradients(rows)

    def known(rows: list[Row]) -> None:  # after `packed`, whose inputs are still there
        trainer.gradients(rows)

    seconds: dict[str, list[float]] = {"plain": [], "packed": [], "packed and known": []}
    forms: list[Callable[[list[Row]], None]] = [plain, packed, known]
    for rows in batches:
        for name, form in zip(seconds, forms, strict=True):
            started = time.perf_counter()
            form(rows)
            seconds[name].append(time.perf_counter() - started)
            weight.grad = None
    weight.requires_grad_(False)
    middle = {name: statistics.median(values[2:]) for name, values in seconds.items()}
    return {
        "layer": layer,
        "rows": len(batches[0]),
        "seconds_a_step": {name: round(value, 4) for name, value in middle.items()},
        "times_as_fast_as_plain": {name: round(middle["plain"] / value, 2) for name, value in middle.items()},
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    lvlm = load("clerk")
    layers = []
    with TemporaryDirectory() as folder:
        few = Recipe().changed(["pairs.per_subject=32", "pairs.contrast_per_subject=16"]).pairs
        pairs = with_own_answers(lvlm, build_pairs(few, 0, Path(folder)))
        for layer in range(len(lvlm.layers) - 1):
            layers.append(measure(lvlm, pairs, layer))
            print(json.dumps(layers[-1]), flush=True)
    totals = {name: sum(row["seconds_a_step"][name] for row in layers) for name in layers[0]["seconds_a_step"]}
    ratios = {name: round(totals["plain"] / value, 2) for name, value in totals.items()}
    write_json(FOLDER / "edit_speed.json", {"threads": torch.get_num_threads(), "layers": layers, "over_all_layers": ratios})
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
