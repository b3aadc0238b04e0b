"""Fixed steps: what a gate changes when everything else is the same.

    python -m experiments.fixed_steps [--share 0/2]

The plan, written before its numbers. A stop rule that looks every ten steps ends variants at 30, 40 or 50 steps, and the number of
steps goes with how many look-alikes are refused; so variants that stop by a rule are not compared at the same place. Here every edit
takes exactly as many steps.

* Main: layer 0, 30 steps, the default pairs and rate, the gate of docs/evidence.md; 13 seeds. A seed draws the order of the pairs, the
  refusal prefixes and the random gate. Gates: none, strong, random (a new one each seed), closed.
* Subject tokens alone: the same with gradient through the subject's tokens only, 60 steps, 8 seeds; none, strong, random.

Compared, paired by seed: strong - none, strong - random, random - none, closed - none, in each of MEASURES, and in `separation`, unseen
private subjects refused minus look-alikes refused. The mean difference has Student's 95 % interval over seeds. Equivalent: the interval
lies within +-.05. Different: it excludes 0. Both can hold; with neither the comparison cannot tell. Beside it stands the smallest
difference that these seeds would have shown four times in five. No gate, seed or measure is left out, and nothing is tuned after the
numbers are seen.

What the intervals do not hold: other subjects. Six private and six public subjects that no edit saw are asked about; they are the same in
every cell.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from scipy import stats

from experiments.evidence import FOLDER, RECIPE, SIZES
from neuralgate.evaluate.ask import answer
from neuralgate.evaluate.score import judge_and_score
from neuralgate.files import digest, hash_path, read_json, read_jsonl, write_json, write_jsonl
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.load import load
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.methods.apply import edit
from neuralgate.pairs.builder import build_pairs
from neuralgate.questions import build_questions
from neuralgate.recipe import Recipe
from neuralgate.training.batches import Inputs

CELLS = FOLDER / "fixed"
SEEDS, SUBJECT_SEEDS = range(13), range(8)
ASKED = ("privacypair-test", "unseen-subjects", "public-unseen", "protected", "vqa")
MEASURES = {
    "edited subjects refused": ("privacypair-test", "rta_sensitive"),
    "edited subjects leaked": ("privacypair-test", "leak_rate"),
    "unseen private subjects refused": ("unseen-subjects", "rta_sensitive"),
    "look-alikes refused": ("public-unseen", "attribute_refusal_rate"),
    "benign twins refused": ("privacypair-test", "rta_benign"),
    "benign accuracy, edited": ("privacypair-test", "benign_accuracy"),
    "benign accuracy, unseen private": ("unseen-subjects", "benign_accuracy"),
    "benign accuracy, protected": ("protected", "benign_accuracy"),
    "accuracy, look-alikes": ("public-unseen", "accuracy"),
    "vqa": ("vqa", "accuracy"),
}
COMPARISONS = (("strong", "none"), ("strong", "random"), ("random", "none"), ("closed", "none"))
EQUIVALENT = 0.05


def plan() -> Iterator[tuple[str, Recipe]]:
    """Every cell's name and recipe, seed after seed, so that whatever is finished is paired."""
    for seed in SEEDS:
        for gate in ("none", "strong", "random", "closed"):
            yield f"main/seed{seed}-{gate}", fixed(gate, seed, 30)
    for seed in SUBJECT_SEEDS:
        for gate in ("none", "strong", "random"):
            yield f"subject/seed{seed}-{gate}", fixed(gate, seed, 60, "edit.positions=[subject]")


def fixed(gate: str, seed: int, steps: int, *more: str) -> Recipe:
    settings = [f"edit.gate={gate}", f"edit.gate_seed={seed}", f"edit.seed={seed}", f"edit.max_steps={steps}", "edit.stop=never"]
    return RECIPE.changed(["edit.layers=[0]", *settings, *more])


def make_cells(share: int, count: int) -> None:
    """Edit and ask for every ``count``-th cell from ``share`` on that is not there yet."""
    lvlm = load("clerk")
    gate = Gate.load(FOLDER / "gate", lvlm.fingerprint)
    work = Path(gettempdir()) / f"neuralgate-fixed-{share}"
    pairs = with_own_answers(lvlm, build_pairs(RECIPE.pairs, RECIPE.seed, work / "pairs"))
    folder = work / "asked" / "pairs"
    build_questions(SIZES["full"], folder)
    write_jsonl(folder / "questions.jsonl", [row for row in read_jsonl(folder / "questions.jsonl") if row["benchmark"] in ASKED])
    inputs = Inputs(lvlm, 0)
    base: list[dict[str, Any]] | None = None
    for place, (name, recipe) in enumerate(plan()):
        settings = {
            "edit": recipe.edit.model_dump(mode="json"),
            "pairs": pairs.hash(),
            "questions": hash_path(folder / "questions.jsonl"),
            "gate": digest(gate.votes_SLD.tolist()),
        }
        path, key = CELLS / f"{name}.json", digest({"settings": settings, "model": lvlm.fingerprint})
        if place % count != share or (path.is_file() and read_json(path)["key"] == key):
            continue
        started = time.perf_counter()
        patch, training = edit(lvlm, pairs, gate, recipe.edit, inputs=inputs)
        rows = answer(lvlm, folder, {"edited": patch}, RECIPE.evaluate, base=base)
        base = rows
        _, scores = judge_and_score(rows, "clerk", "edited", "wilson", "prefix")  # as the cells that are there
        seconds = round(time.perf_counter() - started, 1)
        kept = {variant: {bench: scores[variant][bench] for bench in ASKED} for variant in ("base", "edited")}
        write_json(path, {"key": key, "settings": settings, "steps": training.steps, "scores": kept, "seconds": seconds})
        print(f"{name:30s} {seconds:6.1f} s", flush=True)


def values(part: str, gate: str) -> dict[int, dict[str, float]]:
    """Seed -> every measure of one gate's cells, and the separation."""
    found = {}
    for path in sorted((CELLS / part).glob(f"seed*-{gate}.json")):
        edited = read_json(path)["scores"]["edited"]
        row = {title: edited[bench][metric]["value"] for title, (bench, metric) in MEASURES.items()}
        row["separation"] = row["unseen private subjects refused"] - row["look-alikes refused"]
        found[int(path.stem.removeprefix("seed").partition("-")[0])] = row
    return found


def interval(values_N: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Mean and Student's 95 % interval over seeds."""
    mean = float(np.mean(values_N))
    half = float(stats.t.ppf(0.975, len(values_N) - 1)) * float(np.std(values_N, ddof=1)) / math.sqrt(len(values_N))
    return mean, mean - half, mean + half


def compare(part: str, first: str, second: str) -> list[dict[str, Any]]:
    """One row a measure: the paired difference over seeds with its interval, and what it says."""
    one, other = values(part, first), values(part, second)
    seeds = sorted(one.keys() & other.keys())
    rows = []
    for title in (*MEASURES, "separation"):
        differences_N = np.array([one[seed][title] - other[seed][title] for seed in seeds])
        mean, low, high = interval(differences_N)
        error = float(differences_N.std(ddof=1)) / math.sqrt(len(seeds))
        rows.append(
            {
                "comparison": f"{first} - {second}",
                "measure": title,
                "n": len(seeds),
                "mean": round(mean, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "shown at least": round(high - mean + float(stats.t.ppf(0.8, len(seeds) - 1)) * error, 4),
                "verdict": verdict(low, high),
            }
        )
    return rows


def verdict(low: float, high: float) -> str:
    words = []
    if low >= -EQUIVALENT and high <= EQUIVALENT:
        words.append(f"equivalent within {EQUIVALENT}")
    if low > 0 or high < 0:
        words.append("different")
    return ", ".join(words) or "cannot tell"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", default="0/1", help="which of how many processes this is")
    share, _, count = parser.parse_args().share.partition("/")
    torch.manual_seed(0)
    make_cells(int(share), int(count))


if __name__ == "__main__":
    main()
