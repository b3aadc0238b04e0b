"""Answers of a model to the questions about documents, our generation against the plain forms, in one run.

    python -m benchmarks.answers [--model notary]

adds the model's row to benchmarks/answers.json. `one by one` is transformers' `generate` on one question at a time, its picture included;
`batched` is the same in padded batches of 64; `shared` is ours, each picture once; `shared, cache as it is` has a cache that is copied
for every token, and `shared, head as it is` is without what loading puts before the head of logits. `shared, again` is what a look at an
edit of the middle layer takes when the same was asked before: what stands below that layer is kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import torch
from torch import Tensor
from transformers import Cache

from experiments.answers import TOKENS, draw_questions
from neuralgate.files import read_json, write_json
from neuralgate.lvlm import generate as generate_module
from neuralgate.lvlm.conversation import Item
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.generate import generate
from neuralgate.lvlm.load import contiguous, load
from neuralgate.lvlm.model import LVLM

OUT = Path(__file__).with_suffix(".json")
QUESTIONS, ALONE, ROUNDS = 128, 8, 3


def seconds(lvlm: LVLM, items: list[Item], batch_size: int, share_images: bool) -> float:
    """Of an answer."""
    started = time.perf_counter()
    generate(lvlm, items, TOKENS, batch_size, None, share_images)
    return (time.perf_counter() - started) / len(items)


def copied_rows(cache: Cache, rows_B: Tensor, room: int) -> Cache:
    cache.batch_select_indices(rows_B)
    return cache


def shared_forms(lvlm: LVLM, items: list[Item]) -> dict[str, float]:
    """One after another, the shortest time of a few rounds, since they differ by little."""
    hooks = lvlm.head._forward_pre_hooks
    (number,) = (number for number, hook in hooks.items() if hook is contiguous)
    rounds: dict[str, list[float]] = {"shared": [], "shared, again": [], "shared, cache as it is": [], "shared, head as it is": []}
    below = Below(lvlm, len(lvlm.layers) // 2)
    with below.used():
        seconds(lvlm, items, 64, True)
    for _ in range(ROUNDS):
        with below.used():
            rounds["shared, again"].append(seconds(lvlm, items, 64, True))
        rounds["shared"].append(seconds(lvlm, items, 64, True))
        with mock.patch.object(generate_module, "with_rows", copied_rows):
            rounds["shared, cache as it is"].append(seconds(lvlm, items, 64, True))
        hook = hooks.pop(number)
        rounds["shared, head as it is"].append(seconds(lvlm, items, 64, True))
        hooks[number] = hook
    return {name: min(taken) for name, taken in rounds.items()}


def measure(lvlm: LVLM, items: list[Item]) -> dict[str, float]:
    seconds(lvlm, items[:64], 64, True)  # warms up
    plain = {"batched": seconds(lvlm, items, 64, False), "one by one": seconds(lvlm, items[:ALONE], 1, False)}
    return shared_forms(lvlm, items) | plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="notary")
    name = parser.parse_args().model
    torch.set_num_threads(2)
    lvlm = load(name)
    with TemporaryDirectory() as folder:
        questions = draw_questions(1, {"sensitive": 2, "benign": 2}, 0, Path(folder))[:QUESTIONS]
        taken = measure(lvlm, [(Path(folder) / str(question.image), question.question) for question in questions])
    ratios = {f"{form} over shared": round(value / taken["shared"], 2) for form, value in taken.items() if form != "shared"}
    row = {"dtype": str(lvlm.model.dtype).removeprefix("torch."), "threads": 2, "torch": torch.__version__}
    row |= {f"{form}, s": round(value, 4) for form, value in taken.items()}
    known = read_json(OUT) if OUT.is_file() else {}
    write_json(OUT, {**known, name: {**row, **ratios}})
    print(row, ratios)


if __name__ == "__main__":
    main()
