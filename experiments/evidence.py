"""The whole picture on Clerk: does the gate earn its name, at which layer, in which regime?

    python -m experiments.evidence [--only main,regimes,search,locate,layers]

Every cell (one edit with one gate in one regime, evaluated on the ladder) is one JSON file below experiments/evidence/;
what is there and was made by the same settings is not done again, so the script can be stopped and started. Each
variant stops by the same rule on the same validation pairs, so variants are compared where they refuse equally often.
`python -m experiments.tables` turns the cells into the tables and figures of docs/evidence.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch

from neuralgate.choose.layer import TRIAL_PAIRS, TRIAL_STEPS, try_layer
from neuralgate.evaluate.ask import answer
from neuralgate.evaluate.score import judge_and_score
from neuralgate.files import digest, hash_path, read_json, write_json
from neuralgate.locate.gate import Gate
from neuralgate.locate.locate import locate_gate
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.methods.apply import edit
from neuralgate.pairs.builder import build_pairs
from neuralgate.pairs.schema import PairSet
from neuralgate.questions import build_questions
from neuralgate.recipe import LocateConfig, Recipe
from neuralgate.training.batches import Inputs

FOLDER = Path(__file__).parent / "evidence"
TRIAL = [TRIAL_PAIRS, TRIAL_STEPS]
EDIT_SEEDS = (0, 1, 2, 3)
RANDOM_SEEDS = (0, 1, 2, 3, 4)
GATES = ("none", "strong", "random", "inverted", "closed")
EDITED_LAYER = 0  # the best of the trial edits (`--only search`), and where the subject's tokens decide (experiments.causality)
HIGH_LAYER = 4  # the next best; here the tokens after the subject decide
MANY_PAIRS = 288
RECIPE = Recipe(name="evidence").changed(["locate.layers=[0, 1, 2, 3, 4, 5]", "locate.samples_per_subject=6", "locate.steps=50"])
#: Questions a cell: fewer where there are many cells. n stands in every cell.
SIZES = {
    "full": RECIPE.changed(["pairs.test_per_subject=16", "evaluate.vqa=100"]),
    "small": RECIPE.changed(["pairs.test_per_subject=10", "evaluate.vqa=60"]),
}


@dataclass(frozen=True)
class Regime:
    """Changes to the default edit, and which pairs it may see."""

    name: str
    settings: tuple[str, ...] = ()
    choose: Callable[[PairSet], PairSet] = field(default=lambda pairs: pairs)
    per_subject: int = RECIPE.pairs.per_subject
    gates: tuple[str, ...] = ("none", "strong", "random")


def first_pairs(pairs: PairSet, count: int) -> PairSet:
    """``count`` training pairs a private subject, half as many a contrast subject; all of validation."""
    edited, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    return PairSet((*edited.per_subject(count), *contrast.per_subject(max(count // 2, 1)), *pairs.split("validation")), pairs.folder)


def one_template(pairs: PairSet) -> PairSet:
    return PairSet((pair for pair in pairs if pair.split != "train" or pair.template == 4), pairs.folder)


def one_subject(pairs: PairSet) -> PairSet:
    return PairSet((pair for pair in pairs if pair.role != "edit" or pair.subject == "passport"), pairs.folder)


def no_contrast(pairs: PairSet) -> PairSet:
    return PairSet((pair for pair in pairs if pair.role != "contrast"), pairs.folder)


def regimes(layer: int) -> list[Regime]:
    here, high, middle = f"edit.layers=[{layer}]", f"edit.layers=[{HIGH_LAYER}]", "edit.layers=[0,1,2]"
    limit = "edit.max_steps=100"
    two = ("none", "strong")
    return [
        Regime("few pairs (4)", (here, limit), per_subject=4),
        Regime("many pairs (288)", (here, limit), per_subject=MANY_PAIRS, gates=two),
        Regime("one pair after another", (here, *SEQUENTIAL), no_contrast, per_subject=6),
        Regime("one template", (here, limit), one_template, gates=two),
        Regime("one subject", (here, limit), one_subject, gates=two),
        Regime("no contrast", (here, limit), no_contrast),
        Regime("no gradient at answer positions", (here, limit, "edit.positions=[subject,question,image]")),
        Regime("subject tokens alone", (here, limit, "edit.positions=[subject]")),
        Regime("layers 0 to 2", (middle, limit)),
        Regime("layers 0 to 2, gate at the layer's output", (middle, limit, "edit.gate_at=layer"), gates=("strong",)),
        Regime("a third of the rate", (here, limit, "edit.rate=1e-3"), gates=two),
        Regime("three times the rate", (here, limit, "edit.rate=1e-2"), gates=two),
        Regime("Adam's eps 1e-3, ten times the rate", (here, limit, "edit.rate=3e-2", "edit.eps=1e-3"), gates=two),
        Regime("layer 4", (high, limit)),
    ]


#: Pair after pair with a fresh optimiser, as the authors do, at a rate that has an effect in so few steps here.
SEQUENTIAL = ("edit.sequential=true", "edit.steps_per_pair=10", "edit.rate=3e-4", "edit.stop=never")

LOCATE_SETTINGS: dict[str, tuple[str, ...]] = {
    "default": (),
    "authors' preset": ("locate=authors",),
    "paper's preset": ("locate=paper",),
    "eps 1e-8": ("locate.eps=1e-8",),
    "25 steps": ("locate.steps=25",),
    "180 steps": ("locate.steps=180",),
    "rate 2": ("locate.rate=2",),
    "lambda 0.5": ("locate.lambda_benign=0.5",),
    "clamp": ("locate.parametrisation=clamp",),
    "start 2": ("locate.start=2.0",),
    "gamma 1": ("locate.gamma=1.0",),
    "gamma 0.1": ("locate.gamma=0.1",),
    "last token": ("locate.tokens=last",),
    "21 prefixes": ("locate.one_prefix=false",),
}


class Evidence:
    """The model, its pairs and questions, made once; and the cells."""

    def __init__(self) -> None:
        self.work = Path(gettempdir()) / "neuralgate-evidence"
        self.lvlm: LVLM = load("clerk")
        many = RECIPE.changed([f"pairs.per_subject={MANY_PAIRS}", f"pairs.contrast_per_subject={MANY_PAIRS // 2}"])
        self.many = with_own_answers(self.lvlm, build_pairs(many.pairs, RECIPE.seed, self.work / "full" / "pairs"))
        self.pairs = first_pairs(self.many, RECIPE.pairs.per_subject)  # a pair does not depend on how many there are
        for name, recipe in SIZES.items():
            build_questions(recipe, self.work / name / "pairs")
        self.bases: dict[str, list[dict[str, Any]]] = {}
        self.inputs = Inputs(self.lvlm, 0)

    def cell(self, name: str, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of ``make``, from its file when that was made by the same settings on the same model."""
        path = FOLDER / f"{name}.json"
        key = digest({"settings": settings, "model": self.lvlm.fingerprint})
        if path.is_file() and read_json(path)["key"] == key:
            return read_json(path)
        started = time.perf_counter()
        result = {"key": key, "settings": settings, **make(), "seconds": round(time.perf_counter() - started, 1)}
        write_json(path, result)
        print(f"{name:60s} {result['seconds']:7.1f} s", flush=True)
        return result

    def gate(self) -> Gate:
        """PairSample once and kept beside the cells, so that an interrupted map goes on with the same votes."""
        settings = {"pairs": self.pairs.hash(), "locate": RECIPE.locate.digest}

        def make() -> dict[str, Any]:
            locate_gate(self.lvlm, self.pairs, RECIPE.locate).save(FOLDER / "gate")
            return {}

        self.cell("gate", settings, make)
        return Gate.load(FOLDER / "gate", self.lvlm.fingerprint)

    def scores(self, patch: Any, size: str) -> dict[str, Any]:
        """Scores of one patch on the ladder; the base is asked once per size."""
        recipe = SIZES[size]
        rows = answer(self.lvlm, self.work / size / "pairs", {"edited": patch}, recipe.evaluate, base=self.bases.get(size))
        self.bases[size] = rows
        _, result = judge_and_score(rows, "clerk", "edited", "wilson", "prefix")  # as the cells that are there
        return {name: result[name] for name in ("base", "edited", "difference")}

    def edited(self, name: str, recipe: Recipe, pairs: PairSet, gate: Gate, size: str) -> dict[str, Any]:
        """One cell: edit, then the ladder."""

        def make() -> dict[str, Any]:
            lowest = min(recipe.edit.layers)
            if self.inputs.layer != lowest:  # cells that follow each other mostly edit the same layer on the same rows
                self.inputs = Inputs(self.lvlm, lowest)
            patch, training = edit(self.lvlm, pairs, gate, recipe.edit, inputs=self.inputs)
            return {"training": training.to_dict(), "scores": self.scores(patch, size)}

        settings = {
            "edit": recipe.edit.model_dump(mode="json"),
            "pairs": pairs.hash(),
            "questions": hash_path(self.work / size / "pairs" / "questions.jsonl"),
            "size": size,
            "gate": digest(gate.votes_SLD.tolist()),
        }
        return self.cell(name, settings, make)


def gate_variants(gates: tuple[str, ...], seeds: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
    """Cell name and settings of every gate mode; random once per seed."""
    for mode in gates:
        for seed in seeds if mode == "random" else (0,):
            yield (f"{mode}-{seed}" if mode == "random" else mode), [f"edit.gate={mode}", f"edit.gate_seed={seed}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="main,regimes,search,locate,layers")
    wanted = parser.parse_args().only.split(",")
    torch.manual_seed(0)
    evidence = Evidence()

    gate, layer = evidence.gate(), EDITED_LAYER

    if "main" in wanted:
        for seed in EDIT_SEEDS:  # the order of the training pairs moves the result more than the gate does
            for name, settings in gate_variants(GATES if seed == 0 else GATES[:3], RANDOM_SEEDS if seed == 0 else RANDOM_SEEDS[:1]):
                recipe = RECIPE.changed([f"edit.layers=[{layer}]", f"edit.seed={seed}", *settings])
                evidence.edited(f"main/seed{seed}-{name}", recipe, evidence.pairs, gate, "full")
    if "regimes" in wanted:
        for regime in regimes(layer):
            for name, settings in gate_variants(regime.gates, RANDOM_SEEDS[:1]):
                recipe = RECIPE.changed([*regime.settings, *settings])
                slug = "".join(character if character.isalnum() else "-" for character in regime.name)
                pairs = regime.choose(first_pairs(evidence.many, regime.per_subject))
                evidence.edited(f"regimes/{slug}/{name}", recipe, pairs, gate, "small")
    if "search" in wanted:
        for place in gate.layers:
            trial = RECIPE.edit.model_copy(update={"gate": "none"})
            settings = {"edit": trial.model_dump(mode="json"), "pairs": evidence.pairs.hash(), "layer": place, "trial": TRIAL}
            evidence.cell(
                f"search/{place}", settings, lambda p=place, c=trial: {"row": try_layer(evidence.lvlm, evidence.pairs, gate, c, p)}
            )
    if "locate" in wanted:
        for name, settings in LOCATE_SETTINGS.items():
            config: LocateConfig = RECIPE.changed(["locate.samples_per_subject=8", *settings]).locate
            config = config.model_copy(update={"samples_per_subject": 8, "layers": [layer, HIGH_LAYER]})
            slug = "".join(character if character.isalnum() else "-" for character in name)
            evidence.cell(
                f"locate/{slug}",
                {"name": name, "pairs": evidence.pairs.hash(), **config.model_dump(mode="json")},
                lambda config=config: {"gate": locate_gate(evidence.lvlm, evidence.pairs, config).summary},
            )
    if "layers" in wanted:
        for place in range(len(evidence.lvlm.layers) - 1):  # the last can only write the answer, not decide it
            for kind, pairs in (("contrast", evidence.pairs), ("plain", no_contrast(evidence.pairs))):
                recipe = RECIPE.changed([f"edit.layers=[{place}]", "edit.gate=none", "edit.max_steps=150"])
                evidence.edited(f"layers/{kind}-{place}", recipe, pairs, gate, "small")


if __name__ == "__main__":
    main()
