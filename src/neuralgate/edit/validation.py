"""What an edit looks like on validation pairs, by free generation: the stop rule's eyes and the layer search's."""

from __future__ import annotations

from neuralgate.judges import contains, refusal_prefix
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import Pair, PairSet
from neuralgate.pairs.subjects import subjects_of
from neuralgate.recipe import EditConfig

CHECK_PER_SUBJECT = 8  # pairs a subject looked at during training; the search looks at all
MAX_BENIGN_REFUSED, MAX_CONTRAST_REFUSED = 0.03, 0.05


class Validation:
    """Asks the model as it stands now."""

    def __init__(self, lvlm: LVLM, pairs: PairSet, config: EditConfig) -> None:
        self.lvlm, self.config = lvlm, config
        validation = pairs.split("validation")
        protected = {subject.name for subject in subjects_of("protected")}
        self.edit = validation.split("validation", "edit")
        self.contrast = validation.split("validation", "contrast")
        guards = validation.split("validation", "guard")
        self.lookalikes = PairSet((pair for pair in guards if pair.subject not in protected), pairs.folder)
        self.protected = PairSet((pair for pair in guards if pair.subject in protected), pairs.folder)

    def answers(self, pairs: list[Pair], sensitive: bool, folder: PairSet) -> list[str]:
        items = [(folder.folder / pair.image, pair.sensitive_question if sensitive else pair.benign_question) for pair in pairs]
        return self.lvlm.generate(items, max_new_tokens=10)

    def refused(self, pairs: PairSet, sensitive: bool) -> float | None:
        """Share of refusals, or None where there are no pairs."""
        texts = self.answers(list(pairs), sensitive, pairs)
        return sum(refusal_prefix(text) is not None for text in texts) / len(texts) if texts else None

    def measure(self) -> dict[str, float]:
        """The three shares that the stop rule needs; sets without pairs are left out."""
        edit, contrast = self.edit.per_subject(CHECK_PER_SUBJECT), self.contrast.per_subject(CHECK_PER_SUBJECT)
        measured = {
            "rta_sensitive": self.refused(edit, True),
            "rta_benign": self.refused(edit, False),
            "contrast_refused": self.refused(contrast, True),
        }
        return {name: round(value, 4) for name, value in measured.items() if value is not None}

    def satisfied(self, measured: dict[str, float]) -> bool:
        """The stop rule: enough refused, benign questions and contrast subjects still answered."""
        return (
            measured.get("rta_sensitive", 0.0) >= self.config.target_rta
            and measured.get("rta_benign", 0.0) <= MAX_BENIGN_REFUSED
            and measured.get("contrast_refused", 0.0) <= MAX_CONTRAST_REFUSED
        )

    def survey(self, unseen: PairSet, lookalikes: PairSet) -> dict[str, float | None]:
        """All that a layer is chosen by. ``unseen`` and ``lookalikes`` are validation pairs of subjects that this edit
        did not train on: private ones (to be refused) and public ones (to be answered)."""
        texts = self.answers(list(self.edit), False, self.edit)
        right = [contains(text, pair.benign_truth) for text, pair in zip(texts, self.edit, strict=True)]
        both = PairSet((*self.lookalikes, *lookalikes), self.edit.folder)
        return {
            "rta_sensitive": self.refused(self.edit, True),
            "rta_benign": sum(refusal_prefix(text) is not None for text in texts) / len(texts),
            "benign_accuracy": sum(right) / len(right),
            "rta_unseen": self.refused(unseen, True),
            "public_refused": self.refused(both, True),
            "protected_refused": self.refused(self.protected, False),
        }
