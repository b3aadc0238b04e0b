"""What all methods of a comparison share: a model, pairs to learn from, questions to choose by and questions of the test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from neuralgate.comparison.answers import Asked, draw_questions, letters
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.measures import LOOKALIKES, PROTECTED, SCENES, SEEN, UNSEEN, Answers
from neuralgate.files import digest
from neuralgate.interventions.base import Answerer, Intervention
from neuralgate.interventions.guard import stacked
from neuralgate.locate.gate import Gate
from neuralgate.locate.locate import locate_votes
from neuralgate.lvlm.conversation import Item
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs, drawn_anew
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.pairs.subjects import subjects_of
from neuralgate.recipe import LocateConfig, PairsConfig
from neuralgate.training.batches import Inputs, SharedWork
from neuralgate.training.losses import answer_logits, divergence

TOKENS = 24  # of an answer at most
VALIDATION_SEED = 1_000_000  # of validation pictures; those of the test are drawn from 0
BATCH = 32


@dataclass(frozen=True)
class Heard:
    """Answers to a set of questions by the default judge and by the article's, and how far the model has moved where it is held: the mean
    divergence KL(base || now), nats a token of the base model's own answers; None where something around the model answers. ``seconds``:
    what answering took."""

    answers: Answers
    by_prefix: Answers
    divergence: dict[str, float | None]
    seconds: float


class Bench:
    """On ``lvlm``, with pictures drawn into ``work``."""

    def __init__(self, lvlm: LVLM, config: ComparisonConfig, work: Path) -> None:
        self.lvlm, self.config, self.work = lvlm, config, work
        edit, contrast = subjects_of("edit"), subjects_of("contrast")
        trained, held = edit[: config.trained_subjects], edit[config.trained_subjects :]
        self.pairs_config = PairsConfig(
            subjects=[subject.name for subject in trained],
            contrast=[subject.name for subject in contrast[: config.trained_contrast]],
            per_subject=config.per_subject,
            contrast_per_subject=config.contrast_per_subject,
            validation_per_subject=1,
        )
        self.drawn = build_pairs(self.pairs_config, 0, work / "pairs")
        pictures, few = config.validation_pictures, {"sensitive": 1, "benign": 1}
        both, more = {"sensitive": 2, "benign": 2}, {"sensitive": 2, "benign": 3}
        choosing = {
            SEEN: Asked(trained, pictures, more),
            UNSEEN: Asked(held, 3 * pictures, more),
            LOOKALIKES: Asked(contrast[config.trained_contrast :], 3 * pictures, {"sensitive": 3, "benign": 3}),
            PROTECTED: Asked(subjects_of("protected"), pictures, few),
        }
        groups = {SEEN: trained, UNSEEN: subjects_of("held_out"), LOOKALIKES: subjects_of("public"), PROTECTED: subjects_of("protected")}
        testing = {name: Asked(group, config.test_pictures, both) for name, group in groups.items()}
        self.questions = {
            "validation": draw_questions(choosing, config.validation_scenes, work / "validation", VALIDATION_SEED),
            "test": draw_questions(testing, config.test_scenes, work / "test"),
        }
        self.below, self.inputs = Below(lvlm, 0), Inputs(lvlm, 0)
        self.gates: dict[tuple[int, tuple[int, ...]], tuple[Gate, float]] = {}
        self.shared: tuple[int, SharedWork] | None = None
        self.heard: dict[str, Heard] = {}  # of the model itself, by part
        self.held: dict[tuple[str, str], tuple[list[Example], Tensor]] = {}

    @cached_property
    def identity(self) -> str:
        """What all results of the comparison are about."""
        asked = {name: [question.row() for question in questions] for name, questions in self.questions.items()}
        return digest([self.lvlm.fingerprint, self.drawn.hash(), asked, self.config.model_dump(mode="json")])

    @cached_property
    def pairs(self) -> PairSet:
        """With the model's own answers to all questions, which some methods unlearn; asked for once."""
        return with_own_answers(self.lvlm, self.drawn, all_sensitive=True)

    def training(self, seed: int) -> PairSet:
        """The pairs in the seed's order and with its refusal prefixes; validation pairs are all the same."""
        return self.pairs.with_pairs((*drawn_anew(self.pairs.split("train"), seed), *self.pairs.split("validation")))

    def gate(self, seed: int, layers: Sequence[int]) -> tuple[Gate, float]:
        """Votes of the seed's first samples, of several layers jointly (Eq. 8), and the seconds that they took; kept."""
        key = (seed, tuple(layers))
        if key not in self.gates:
            started = time.perf_counter()
            samples, steps = self.config.voters, self.config.vector_steps
            config = LocateConfig(layers=list(layers), joint=len(layers) > 1, samples_per_subject=samples, steps=steps)
            self.gates[key] = locate_votes(self.lvlm, self.training(seed), config).gate, time.perf_counter() - started
        return self.gates[key]

    def shared_by(self, seed: int) -> SharedWork:
        """What the edits of a seed share; those of the last seed are kept."""
        if self.shared is None or self.shared[0] != seed:
            self.shared = seed, SharedWork(self.lvlm)
        return self.shared[1]

    # --- asking ---------------------------------------------------------------------------------------------------------

    def base(self, part: str) -> Heard:
        """What the model itself answers to the questions of ``part``; asked once."""
        if part not in self.heard:
            self.heard[part] = self.ask([], part)
        return self.heard[part]

    def ask(self, interventions: Sequence[Intervention], part: str, fresh: bool = False) -> Heard:
        """The questions of ``part`` (validation or test), of the model with all ``interventions`` on it; see `stacked`. ``fresh``: nothing
        is taken from earlier asks, so that times can be compared."""
        if interventions:
            self.base(part)  # what the divergence is from, of the model as it is
        questions = self.questions[part]
        lowest = min((one.unchanged_below(self.lvlm) for one in interventions), default=0)
        if fresh or self.below.layer != lowest:
            self.below, self.inputs = Below(self.lvlm, lowest), Inputs(self.lvlm, lowest)
        items: list[Item] = [(self.work / part / str(question.image), question.question) for question in questions]
        with stacked(self.lvlm, interventions) as answerer, self.below.used():
            started = time.perf_counter()
            texts = [answer.text for answer in answerer.generate_answers(items, max_new_tokens=TOKENS)]
            seconds = time.perf_counter() - started
            moved = self.divergence(answerer, part, texts)
        return Heard(letters(questions, texts), letters(questions, texts, "prefix"), moved, round(seconds, 2))

    def divergence(self, answerer: Answerer, part: str, texts: Sequence[str]) -> dict[str, float | None]:
        """See :class:`Heard`, at benign questions and at scenes. The base model's own logits are kept at the first call, which must be its
        own."""
        groups = {"benign": lambda question: question.kind == "benign" and bool(question.subject), "scenes": is_scene}
        found: dict[str, float | None] = {}
        for name, belongs in groups.items():
            if (part, name) not in self.held:
                said = [
                    Example(self.work / part / str(question.image), question.question, None, text)
                    for question, text in zip(self.questions[part], texts, strict=True)
                    if belongs(question) and text
                ]
                self.held[part, name] = said, self.logits(said)
                found[name] = 0.0
                continue
            said, base_TV = self.held[part, name]
            is_around = answerer is not self.lvlm
            found[name] = None if is_around else round(float(divergence(self.logits(said), base_TV).mean()), 5)
        return found

    @torch.no_grad()
    def logits(self, examples: Sequence[Example]) -> Tensor:
        """The logits of all target tokens of ``examples``, ``(T, V)``."""

        def measure(chosen: Sequence[Example]) -> Tensor:
            return answer_logits(self.lvlm, self.inputs.batch(chosen), is_below_top=True)[0]

        return torch.cat(self.lvlm.batches(BATCH, "measuring answers").run(measure, examples))


def is_scene(question: Question) -> bool:
    return question.benchmark == SCENES
