"""What an edit looks like on validation pairs, by free generation: the stop rule's eyes and the layer search's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from neuralgate.edit_settings import MethodConfig
from neuralgate.interventions.base import Answerer
from neuralgate.judge.prefix import contains, judge  # whatever judges the run: the prefixes are what is taught
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.conversation import ImageLike
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet

CHECK_PER_SUBJECT = 12  # pairs a subject looked at during training; the search looks at all
MAX_LESS_LIKELY = 0.5  # nats a token by which a contrast subject's own answer may become less likely and still count as kept


@dataclass(frozen=True)
class Kept:
    """A question about a contrast subject and what the base model makes of it."""

    example: Example  # its answer is the base model's own
    truth: str  # what an answer must contain; empty where there is none or the base model does not say it
    loss: float  # of the own answer, nats a token


class Validation:
    """Asks the model as it stands now, or what answers in its stead (:meth:`asking`)."""

    def __init__(self, lvlm: LVLM, pairs: PairSet, config: MethodConfig) -> None:
        self.lvlm, self.config = lvlm, config
        self.answerer: Answerer = lvlm
        validation = pairs.split("validation")
        self.edit = validation.split("validation", "edit")
        self.contrast = validation.split("validation", "contrast")
        self.lookalikes = validation.split("validation", "lookalike")
        self.protected = validation.split("validation", "protected")
        self.kept: list[Kept] = []

    def asking(self, answerer: Answerer) -> Validation:
        """The same questions, put to ``answerer``."""
        other = copy.copy(self)
        other.answerer = answerer
        return other

    def remember(self) -> None:
        """Note what the model answers about contrast subjects before it is edited."""
        if not self.config.holds_contrast:
            return
        contrast = self.contrast.per_subject(CHECK_PER_SUBJECT)
        questions = [
            (example, truth)
            for pair in contrast
            for example, truth in (
                (example_of(pair, "sensitive", contrast.folder), pair.sensitive_truth),
                (example_of(pair, "benign", contrast.folder), pair.benign_truth),
            )
        ]
        examples = [example for example, _ in questions]
        answers = zip(questions, self.texts(examples), self.losses(examples), strict=True)
        self.kept = [
            Kept(example, truth if truth and judge(text, truth)["correct"] else "", loss) for (example, truth), text, loss in answers
        ]

    def texts(self, examples: list[Example]) -> list[str]:
        return self.answers([(example.image, example.question) for example in examples])

    def answers(self, items: Sequence[tuple[ImageLike, str]]) -> list[str]:
        """Free answers, as long as they need to be to tell a refusal."""
        return [answer.text for answer in self.answerer.generate_answers(items, max_new_tokens=answer_tokens(self.lvlm, clerk=12))]

    @torch.no_grad()
    def losses(self, examples: list[Example]) -> list[float]:
        """Of each example's answer, nats a token."""

        def work(chosen: Sequence[Example]) -> list[float]:
            batch = encode_examples(self.lvlm, chosen)
            return target_losses(self.lvlm, final_hidden(self.lvlm, batch), batch.labels_BT).tolist()

        return [loss for part in self.lvlm.batches(64, "validation rows").run(work, examples) for loss in part]

    def lost(self) -> list[bool]:
        """Whether each question about a contrast subject is lost: a truth that the base model said is no longer said or is refused,
        or, where it said none, its own answer is less likely by more than MAX_LESS_LIKELY. Where something stands in front of the model
        or behind it, whose likelihoods are not the model's, the latter is lost where the answer is refused or degenerate."""
        with_truth, free = [one for one in self.kept if one.truth], [one for one in self.kept if not one.truth]
        texts = self.texts([one.example for one in with_truth])
        wrong = [not judge(text, one.truth)["correct"] for text, one in zip(texts, with_truth, strict=True)]
        if self.answerer is not self.lvlm:
            verdicts = [judge(text, "") for text in self.texts([one.example for one in free])]
            return wrong + [verdict["refused"] or verdict["degenerate"] is not None for verdict in verdicts]
        losses = self.losses([one.example for one in free])
        return wrong + [loss - one.loss > MAX_LESS_LIKELY for loss, one in zip(losses, free, strict=True)]

    def ask(self, sets: dict[str, tuple[PairSet, bool]]) -> dict[str, list[str]]:
        """Free answers to each set's sensitive (True) or benign questions, all in one go, so that images are shared."""
        items = [
            (pairs.folder / pair.image, pair.sensitive_question if sensitive else pair.benign_question)
            for pairs, sensitive in sets.values()
            for pair in pairs
        ]
        texts = iter(self.answers(items))
        return {name: [next(texts) for _ in pairs] for name, (pairs, _) in sets.items()}

    def refused(self, sets: dict[str, tuple[PairSet, bool]]) -> dict[str, float | None]:
        """Share of refusals in each set, None where there are no pairs. Degenerate text is a refusal where refusing is
        damage, and none where it is wanted."""
        shares = {}
        for name, texts in self.ask(sets).items():
            pairs, sensitive = sets[name]
            hits = []
            for text, pair in zip(texts, pairs, strict=True):
                verdict = judge(text, pair.sensitive_truth if sensitive else pair.benign_truth)
                wanted = sensitive and pair.role == "edit"
                hits.append(verdict["refused"] or (verdict["degenerate"] is not None and not wanted))
            shares[name] = share(hits)
        return shares

    def measure(self) -> dict[str, float]:
        """The three shares that the stop rule needs; sets without pairs are left out. ``contrast_lost``: of the questions about contrast
        subjects (:meth:`lost`), if the model was asked before."""
        edit = self.edit.per_subject(CHECK_PER_SUBJECT)
        measured = self.refused({"rta_sensitive": (edit, True), "rta_benign": (edit, False)})
        measured["contrast_lost"] = share(self.lost())
        return {name: round(value, 4) for name, value in measured.items() if value is not None}

    def satisfied(self, measured: Mapping[str, float]) -> bool:
        """The stop rule: enough refused, benign questions and contrast subjects still answered."""
        return measured.get("rta_sensitive", 0.0) >= self.config.target_rta and not self.excess(measured)

    def excess(self, measured: Mapping[str, float]) -> float:
        """By how much the damage is beyond its limits, the larger of the two; 0 within them."""
        benign = measured.get("rta_benign", 0.0) - self.config.max_benign_refused
        contrast = measured.get("contrast_lost", 0.0) - self.config.max_contrast_lost
        return max(0.0, benign, contrast)

    def survey(self, unseen: PairSet, lookalikes: PairSet) -> dict[str, float | None]:
        """All that a layer is chosen by. ``unseen`` and ``lookalikes`` are validation pairs of subjects that this edit
        did not train on: private ones (to be refused) and public ones (to be answered)."""
        texts = self.ask({"benign": (self.edit, False)})["benign"]
        benign = [judge(text, pair.benign_truth) for text, pair in zip(texts, self.edit, strict=True)]
        public = PairSet((*self.lookalikes, *lookalikes), self.edit.folder)
        refused = self.refused(
            {"sensitive": (self.edit, True), "unseen": (unseen, True), "public": (public, True), "protected": (self.protected, False)}
        )
        return {
            "rta_sensitive": refused["sensitive"],
            "rta_benign": share([verdict["refused"] or verdict["degenerate"] is not None for verdict in benign]),
            "benign_accuracy": share([contains(text, pair.benign_truth) for text, pair in zip(texts, self.edit, strict=True)]),
            "rta_unseen": refused["unseen"],
            "public_refused": refused["public"],
            "protected_refused": refused["protected"],
        }


def share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
