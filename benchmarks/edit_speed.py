"""How long an edit's step takes: the plain form against packed rows, and against packed rows that are known already.

    python -m benchmarks.edit_speed [--layer 0]

All three compute the same loss and gradient (tests/test_gradient.py, tests/test_inputs.py). They follow each other within each
batch of one run, so that the ratio hardly depends on what else the machine does. Writes benchmarks/evidence/edit_speed.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.evidence import EDITED_LAYER, FOLDER, RECIPE
from neuralgate.edit.inputs import Inputs
from neuralgate.edit.trainer import Row, Trainer, minibatches
from neuralgate.files import write_json
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs

STEPS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=int, default=EDITED_LAYER)
    layer = parser.parse_args().layer
    lvlm = load("clerk")
    with TemporaryDirectory() as folder:
        few = RECIPE.changed(["pairs.per_subject=32", "pairs.contrast_per_subject=16"]).pairs
        pairs = with_own_answers(lvlm, build_pairs(few, 0, Path(folder)))
        trainer = Trainer(lvlm, pairs, None, RECIPE.edit, [layer])
        weight = trainer.parameters[layer].requires_grad_(True)
        batches = list(islice(minibatches(trainer.edit, trainer.contrast, RECIPE.edit.batch_size, np.random.default_rng(0)), STEPS))

        def plain(rows: list[Row]) -> None:
            batch = encode_examples(lvlm, [row.example for row in rows])
            losses_B = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)
            (losses_B * losses_B.new_tensor(trainer.row_weights(rows))).sum().backward()

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
    middle = {name: statistics.median(values[2:]) for name, values in seconds.items()}
    ratios = {name: round(middle["plain"] / value, 2) for name, value in middle.items()}
    result = {
        "layer": layer,
        "rows": len(batches[0]),
        "threads": torch.get_num_threads(),
        "seconds_a_step": {name: round(value, 4) for name, value in middle.items()},
        "times_as_fast_as_plain": ratios,
    }
    write_json(FOLDER / "edit_speed.json", result)
    for name, value in middle.items():
        print(f"{name:18s} {value:7.3f} s a step   {ratios[name]:5.2f} x")


if __name__ == "__main__":
    main()
