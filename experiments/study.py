"""What all cells share: a model, its pairs and questions, the gates located on it, and an edit that is looked at on its way.

The plan, written before the numbers, is docs/plan.md; the sizes here are those of its table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.answers import EDITED, TOKENS, Answers, draw_questions, letters
from experiments.cells import FOLDER, Cell, Cells, Result
from experiments.votes import locate, unpacked
from neuralgate.edit_settings import named_layers
from neuralgate.files import digest
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import example_of, with_own_answers
from neuralgate.pairs.builder import build_pairs, drawn_anew
from neuralgate.pairs.schema import Pair, PairSet
from neuralgate.pairs.subjects import subjects_of
from neuralgate.pairs.templates import REFUSAL_PREFIXES
from neuralgate.recipe import EditConfig, LocateConfig, PairsConfig
from neuralgate.training.batches import Inputs
from neuralgate.training.gated import gated_trainer
from neuralgate.training.loop import Trainer
from neuralgate.training.rate import middle, with_rate
from neuralgate.training.watch import Watch

EQUAL = "equal L_sen"  # the look of an edit at a given training loss
SMOOTH, LEVEL = 5, 0.1  # steps of which the loss is a mean; where between floor and start that look is


@dataclass(frozen=True)
class Size:
    """How much of everything a model's cells take; docs/plan.md has the table."""

    seeds: int
    random_gates: int  # a seed
    stops: tuple[int, ...]  # steps at which an edit is looked at, ascending
    per_subject: int  # training pairs
    contrast_per_subject: int
    batch_size: int
    pictures: int  # test pictures a subject
    sensitive: int  # questions about each
    benign: int
    scenes: int
    dtype: str = "float32"  # of the weights on every machine, so that all can add cells
    voters: int = 8  # samples a subject of the default gate
    vector_steps: int = 60
    sparse_steps: int = 100
    sparse_once: bool = False  # whether all seeds share the sparse gate of the first
    held_out: int = 8  # samples a subject that have no vote
    random_sets: int = 5  # of dimensions that each of these is asked under
    depths: tuple[float, ...] = ()  # of the candidate layers; () takes all but the last
    edited: int = 8  # subjects
    variety_pairs: int = 192
    authors_pairs: int = 32  # a subject
    authors_seeds: int = 5
    several_seeds: int = 5
    validation: int = 6  # pairs a subject

    @property
    def middle(self) -> int:
        """The fixed step that decides."""
        return self.stops[len(self.stops) // 2]


CLERK = Size(13, 5, (10, 20, 40), 48, 24, batch_size=12, pictures=2, sensitive=2, benign=2, scenes=40)
NOTARY = Size(
    *(5, 1, (8, 15, 30), 32, 16),
    batch_size=5,
    pictures=1,
    sensitive=3,
    benign=2,
    scenes=24,
    dtype="bfloat16",
    vector_steps=40,
    sparse_steps=60,
    sparse_once=True,
    held_out=4,
    random_sets=1,
    depths=(0.2, 0.35, 0.5, 0.65),
    variety_pairs=96,
    authors_pairs=16,
    authors_seeds=1,
    several_seeds=3,
)
SIZES = {"clerk": CLERK, "notary": NOTARY}


@dataclass(frozen=True)
class Look:
    """An edit as it stood after ``step`` steps."""

    step: int
    patch: Patch


class Study:
    """``lvlm`` and what it is asked. Pictures are drawn into ``work`` anew; results stand below ``folder``."""

    def __init__(self, lvlm: LVLM, size: Size, work: Path, folder: Path | None = None, seconds: float | None = None) -> None:
        self.lvlm, self.size, self.work = lvlm, size, work
        self.drawn = build_pairs(self.pairs_config(subjects=self.edited, per_subject=size.per_subject), 0, work)
        self.questions = draw_questions(
            size.pictures, {"sensitive": size.sensitive, "benign": size.benign}, size.scenes, work / "questions"
        )
        about = {"model": lvlm.fingerprint, "pairs": self.drawn.hash(), "questions": [question.row() for question in self.questions]}
        self.cells = Cells(folder or FOLDER / lvlm.name, digest(about), seconds)
        self.kept_inputs: tuple[tuple[int, str], Inputs] | None = None
        self.below = Below(lvlm, 0)

    # --- pairs ----------------------------------------------------------------------------------------------------------

    @property
    def edited(self) -> list[str]:
        """The subjects that are edited, unless a cell says otherwise."""
        return [subject.name for subject in subjects_of("edit")][: self.size.edited]

    def pairs_config(self, **settings: Any) -> PairsConfig:
        config = PairsConfig(contrast_per_subject=self.size.contrast_per_subject, validation_per_subject=self.size.validation)
        return config.model_copy(update=settings)

    @cached_property
    def pairs(self) -> PairSet:
        """Training pairs, and for the search for a layer validation pairs, with the model's own answers, which are asked for once."""

        def make() -> Result:
            told = with_own_answers(self.lvlm, self.drawn)
            return {"targets": {pair.id: [[text, " ".join(map(str, ids))] for text, ids in targets_of(pair)] for pair in told}}

        known = self.cells.result(Cell("targets", {}, make))["targets"]

        def told(pair: Pair) -> Pair:
            (benign, benign_ids), (sensitive, sensitive_ids) = ((text, tuple(map(int, ids.split()))) for text, ids in known[pair.id])
            fields = {"benign_target": benign, "benign_target_ids": benign_ids}
            return replace(pair, **fields, sensitive_target=sensitive, sensitive_target_ids=sensitive_ids)

        return self.drawn.with_pairs(map(told, self.drawn))

    def training(self, seed: int) -> PairSet:
        """The training pairs in an order and with refusal prefixes of the seed's own, so that the first of a subject are others."""
        return drawn_anew(self.pairs.split("train"), seed)

    def inputs(self, layer: int, pairs: PairSet) -> Inputs:
        """What enters ``layer``, kept for the edits of the same pairs that follow each other."""
        key = (layer, digest([vars(pair) for pair in pairs]))
        if self.kept_inputs is None or self.kept_inputs[0] != key:
            self.kept_inputs = (key, Inputs(self.lvlm, layer))
        return self.kept_inputs[1]

    # --- asking ---------------------------------------------------------------------------------------------------------

    def ask(self, subjects: Sequence[str], patch: Patch | None = None) -> Answers:
        """What the model answers, with ``patch`` if there is one, about the edited ``subjects`` and everything else."""
        chosen = [question for question in self.questions if question.benchmark != EDITED or question.subject in subjects]
        items = [(self.work / "questions" / str(question.image), question.question) for question in chosen]

        lowest = patch.unchanged_below(self.lvlm) if patch else 0
        if self.below.layer != lowest:
            self.below = Below(self.lvlm, lowest)
        with patch.on(self.lvlm) if patch else nullcontext(), self.below.used():
            texts = self.lvlm.generate(items, max_new_tokens=TOKENS)
        return letters(chosen, texts)

    @property
    def base(self) -> Cell:
        every = [subject.name for subject in subjects_of("edit")]
        return Cell("base", {"subjects": every}, lambda: {"answers": self.ask(every)})

    # --- layers, rates and losses ---------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[int]:
        """The candidates."""
        count = len(self.lvlm.layers)
        return [int(depth * count) for depth in self.size.depths] or list(range(count - 1))

    @cached_property
    def layer(self) -> int:
        """The edited one: where the strong dimensions alone make most samples refuse beyond what random ones do, by the votes of seed 0;
        of equal ones where own vectors do, then where they end at the smallest loss."""
        rows = [row for layer in self.layers for row in self.cells.result(self.gate_at(layer, 0))["profile"]]
        return max(rows, key=lambda row: (row["strong_refused"] - row["random_refused"], row["own_refused"], -row["loss_end"]))["layer"]

    @cached_property
    def rate(self) -> float:
        """The default rate: Clerk's, or the one that is found on training pairs at the middle one of the candidate layers."""
        layers = middle(self.layers)
        config = EditConfig(layers=layers, batch_size=self.size.batch_size, stop="never")

        def make() -> Result:
            return {"rate": with_rate(self.lvlm, self.pairs.split("train"), config, layers).rate}

        return self.cells.result(Cell("rate", config.model_dump(mode="json"), make))["rate"]

    @cached_property
    def level(self) -> float:
        """The loss on sensitive training questions at which edits are looked at, in nats a token; see docs/plan.md."""

        def make() -> Result:
            pairs = self.pairs.split("train", "edit").per_subject(2)
            asked = [example_of(pair, "sensitive", pairs.folder) for pair in pairs]
            losses: list[float] = []
            for example in asked:
                batch = encode_examples(self.lvlm, [replace(example, answer=prefix) for prefix in REFUSAL_PREFIXES])
                with torch.no_grad():
                    losses += target_losses(self.lvlm, final_hidden(self.lvlm, batch), batch.labels_BT).tolist()
            counts = [len(self.lvlm.tokenizer(prefix, add_special_tokens=False)["input_ids"]) for prefix in REFUSAL_PREFIXES]
            start, floor = float(np.mean(losses)), float(np.mean([math.log(len(counts)) / count for count in counts]))
            return {"start": round(start, 4), "floor": round(floor, 4), "level": round(floor + LEVEL * (start - floor), 4)}

        return self.cells.result(Cell("level", {"share": LEVEL}, make))["level"]

    # --- gates ----------------------------------------------------------------------------------------------------------

    def located(self, name: str, config: LocateConfig, seed: int) -> Cell:
        """Votes of samples that the seed draws, and what the model answers to the voters' sensitive questions under them."""
        return Cell(name, {"locate": settings_of(config), "seed": seed}, lambda: locate(self.lvlm, self.training(seed), config))

    def gate_at(self, layer: int, seed: int) -> Cell:
        """The default gate."""
        config = LocateConfig(layers=[layer], samples_per_subject=self.size.voters, steps=self.size.vector_steps)
        return self.located(f"located/layer{layer}-seed{seed}", config, seed)

    def gate(self, cell: Cell | None) -> Gate | None:
        """The gate of a cell that :func:`locate` makes."""
        if cell is None:
            return None
        found = self.cells.result(cell)
        subjects, layers = tuple(found["samples"]), [int(layer) for layer in found["votes"]]
        counts_SLD = torch.tensor([[unpacked(found["votes"][str(layer)][subject]) for layer in layers] for subject in subjects])
        samples_S11 = torch.tensor([found["samples"][subject] for subject in subjects])[:, None, None]
        return Gate(counts_SLD / samples_S11, subjects, tuple(layers), self.lvlm.fingerprint, found["threshold"])

    # --- edits ----------------------------------------------------------------------------------------------------------

    def edit_config(self, layers: list[int], seed: int, **changes: Any) -> EditConfig:
        """The settings of an edit that takes exactly as many steps as it is told."""
        steps = {"batch_size": self.size.batch_size, "stop": "never", "max_steps": self.size.stops[-1], "rate": self.rate}
        return EditConfig(layers=layers, seed=seed, **{**steps, **changes})

    def looks(
        self,
        pairs: PairSet,
        gate: Gate | None,
        config: EditConfig,
        stops: Sequence[int] = (),
        level: float | None = None,
        change: Callable[[Trainer], None] | None = None,
    ) -> tuple[dict[str, Look], Result]:
        """An edit as it stood after each of ``stops`` steps (at its end where none are given) and where its loss on sensitive questions
        first was below ``level``; and its record. ``change`` is done to the trainer before it begins."""
        layers = named_layers(config.layers)
        trainer = gated_trainer(self.lvlm, pairs, gate, config, layers, self.inputs(layers[0], pairs))
        if change:
            change(trainer)
        watch = Stops(trainer, config, stops, level)
        watch.begin(pairs, "", layers, config.gate, looks=False)
        base, last = trainer.run(watch)
        steps = watch.training.steps
        kept = {name: (int(name), values) for name, values in watch.kept.items()} if stops else {str(steps): (steps, last)}
        if watch.equal:
            kept[EQUAL] = watch.equal
        looks = {name: Look(step, Patch.between(self.lvlm, base, values, {})) for name, (step, values) in kept.items()}
        return looks, {"steps": steps, "loss": watch.losses, "gradient_share": watch.training.gradient_share}

    def edit(
        self,
        name: str,
        config: EditConfig,
        seed: int,
        gate: Cell | None = None,
        stops: Sequence[int] = (),
        level: float | None = None,
    ) -> Cell:
        """A cell: an edit of the seed's training pairs behind the gate that ``gate`` makes, and what is answered at each look."""

        def make() -> Result:
            looks, record = self.looks(self.training(seed), self.gate(gate), config, stops, level)
            return {"looks": self.ask_at(looks, self.edited), **record}

        settings = {"edit": settings_of(config), "seed": seed, "gate": gate and gate.settings, "stops": list(stops), "level": level}
        return Cell(name, settings, make)

    def ask_at(self, looks: dict[str, Look], subjects: Sequence[str]) -> dict[str, Result]:
        """The answers at each look; two at one step are asked once."""
        answers: dict[int, Answers] = {}
        for look in looks.values():
            answers[look.step] = answers.get(look.step) or self.ask(subjects, look.patch)
        return {name: {"step": look.step, "answers": answers[look.step]} for name, look in looks.items()}


class Stops(Watch):
    """Lets an edit take all its steps, and keeps what it has become at some of them."""

    def __init__(self, trainer: Trainer, config: EditConfig, stops: Sequence[int], level: float | None) -> None:
        super().__init__(trainer.lvlm, config)
        self.trainer, self.stops, self.level = trainer, stops, level
        self.losses: list[float] = []
        self.kept: dict[str, dict[str, torch.Tensor]] = {}
        self.equal: tuple[int, dict[str, torch.Tensor]] | None = None

    def note(self, step: int, limit: int, losses: Any, state: Any = None, answerer: Any = None) -> bool:
        super().note(step, limit, losses)  # without its state there is no look at validation pairs
        self.losses.append(round(losses["sensitive"], 4))
        if step in self.stops:
            self.kept[str(step)] = self.trainer.masters.values()
        if self.level is not None and self.equal is None and is_below(self.losses, self.level):
            self.equal = (step, self.trainer.masters.values())
        return False


def is_below(losses: Sequence[float], level: float) -> bool:
    """Whether the mean of the last SMOOTH losses is below ``level``; not known before there are so many."""
    return len(losses) >= SMOOTH and float(np.mean(losses[-SMOOTH:])) < level


def settings_of(config: EditConfig | LocateConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")


def targets_of(pair: Pair) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return (pair.benign_target, pair.benign_target_ids), (pair.sensitive_target, pair.sensitive_target_ids)
