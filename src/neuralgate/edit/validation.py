"""What an edit looks like on validation pairs, by free generation: the stop rule's eyes and the layer search's."""

from __future__ import annotations

from neuralgate.judges import contains, judge
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import OWN_WORDS
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EditConfig

CHECK_PER_SUBJECT = 12  # pairs a subject looked at during training; the search looks at all
MAX_BENIGN_REFUSED, MAX_CONTRAST_LOST = 0.03, 0.05


class Validation:
    """Asks the model as it stands now."""

    def __init__(self, lvlm: LVLM, pairs: PairSet, config: EditConfig) -> None:
        self.lvlm, self.config = lvlm, config
        validation = pairs.split("validation")
        self.edit = validation.split("validation", "edit")
        self.contrast = validation.split("validation", "contrast")
        self.lookalikes = validation.split("validation", "lookalike")
        self.protected = validation.split("validation", "protected")

    def ask(self, sets: dict[str, tuple[PairSet, bool]]) -> dict[str, list[str]]:
        """Free answers to each set's sensitive (True) or benign questions, all in one go, so that images are shared."""
        items = [
            (pairs.folder / pair.image, pair.sensitive_question if sensitive else pair.benign_question)
            for pairs, sensitive in sets.values()
            for pair in pairs
        ]
        texts = iter(self.lvlm.generate(items, max_new_tokens=answer_tokens(self.lvlm, clerk=12)))
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
        """The three shares that the stop rule needs; sets without pairs are left out. ``contrast_lost``: questions about
        contrast subjects that are no longer answered with the base model's own first words."""
        edit, contrast = self.edit.per_subject(CHECK_PER_SUBJECT), self.contrast.per_subject(CHECK_PER_SUBJECT)
        measured = self.refused({"rta_sensitive": (edit, True), "rta_benign": (edit, False)})
        if not self.config.contrast_weight:  # nothing holds their answers
            contrast = PairSet((), contrast.folder)
        texts = self.ask({"words": (contrast, True), "twins": (contrast, False)})
        targets = [pair.sensitive_target for pair in contrast] + [pair.benign_target for pair in contrast]
        measured["contrast_lost"] = share(
            [" ".join(text.split()[:OWN_WORDS]) != target for text, target in zip(texts["words"] + texts["twins"], targets, strict=True)]
        )
        return {name: round(value, 4) for name, value in measured.items() if value is not None}

    def satisfied(self, measured: dict[str, float]) -> bool:
        """The stop rule: enough refused, benign questions and contrast subjects still answered."""
        return (
            measured.get("rta_sensitive", 0.0) >= self.config.target_rta
            and measured.get("rta_benign", 0.0) <= MAX_BENIGN_REFUSED
            and measured.get("contrast_lost", 0.0) <= MAX_CONTRAST_LOST
        )

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
