"""The article's claims, each confirmed, refuted or undecided on a model by the rules of docs/plan.md; and the positive control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from experiments.comparison import (
    ALPHA,
    ENOUGH,
    EQUIVALENT,
    FEWEST,
    PRIMARY,
    SEPARATION,
    Found,
    Variant,
    adjusted,
    compared,
    difference,
    is_equivalent,
    level,
    share_of,
)
from experiments.study import EQUAL, SIZES, Size
from experiments.words import number, told, told_whole
from neuralgate.evaluate.crossed import Estimate, crossed

Word = Literal["confirmed", "refuted", "undecided", "not measured"]
PRIVATE, LOOKALIKES, EDITED, BENIGN, PROTECTED = PRIMARY
COMPARED = (("strong", "none"), ("strong", "random"), ("closed", "none"))
DECIDING = 10  # % of the dimensions


@dataclass(frozen=True)
class Finding:
    """A verdict and the numbers that it rests on."""

    word: Word
    text: str
    seeds: int = 0  # by which a comparison was made


@dataclass(frozen=True)
class Evidence:
    """A model's cells as the claims read them."""

    model: str
    found: Found

    @property
    def size(self) -> Size:
        return SIZES[self.model]

    def gate(self, name: str, route: str = "all", stop: str = "") -> Variant:
        return Variant(f"gates/{route}", name, stop or str(self.size.middle))

    @property
    def seeds(self) -> int:
        """Those of which there is an edit without a gate and one behind each of the gates that are compared."""
        return min(len(self.gate(name).shares(self.found, PRIMARY[0])) for name in ("none", "strong", "random", "closed"))

    @property
    def stops(self) -> list[str]:
        return [*map(str, self.size.stops), EQUAL]


def judged(estimate: Estimate, sign: int, p: float, is_detected: bool) -> Word:
    """Of the claim that the difference has this sign."""
    ends = sorted((sign * estimate.low, sign * estimate.high))
    if estimate.seeds >= ENOUGH and p <= ALPHA and sign * estimate.mean > 0:
        return "confirmed"
    if estimate.seeds >= FEWEST and ends[1] < EQUIVALENT and is_detected:
        return "refuted"
    return "undecided"


Family = dict[tuple[str, str, str], Estimate | None]  # (first, other, measure)


def family(evidence: Evidence, variants: Mapping[str, Variant], pairs: Sequence[tuple[str, str]], measures: Sequence[str]) -> Family:
    """The differences of pairs of variants in several measures."""
    return {
        (first, other, measure): difference(evidence.found, variants[first], variants[other], measure)
        for first, other in pairs
        for measure in measures
    }


def claim(evidence: Evidence, made: Family, first: str, other: str, measure: str, sign: int) -> Finding:
    """Of one comparison in a family, and its p after Holm over the family."""
    estimate = made.get((first, other, measure))
    if estimate is None:
        return Finding("not measured", "")
    p = adjusted(made)[first, other, measure]
    word = judged(estimate, sign, p, control(evidence).word == "confirmed")
    return Finding(word, f"{first} - {other}, {measure}: {told_whole(estimate, p)}", estimate.seeds)


def both(one: Finding, two: Finding) -> Finding:
    """Of two claims together: as good as the worse one."""
    order: list[Word] = ["refuted", "not measured", "undecided", "confirmed"]
    text = "; ".join(text for text in (one.text, two.text) if text)
    return Finding(min(one.word, two.word, key=order.index), text, min(one.seeds, two.seeds))


# --- the positive control -------------------------------------------------------------------------------------------------


def cue_variants() -> dict[str, Variant]:
    return {name: Variant("cue", name) for name in ("no-cue", "none", "oracle", "random", "strong")}


def leaning(evidence: Evidence) -> Estimate | None:
    """Sensitive questions about edited subjects refused with the cue minus without, by the edit behind no gate."""
    none = cue_variants()["none"]
    with_cue, without = none.shares(evidence.found, "edited refused, with the cue"), none.shares(evidence.found, EDITED)
    return compared({"": with_cue}, {"": without}, ((1.0, ""),))


def is_void(learned: Estimate) -> bool:
    """Whether the edit behind no gate is not shown to lean on the cue, so that no gate could show what it is worth."""
    return learned.low <= 0


def control(evidence: Evidence) -> Finding:
    """Whether the design sees a gate that matters: the oracle against no gate and against a random one."""
    pairs = (("oracle", "none"), ("oracle", "random"))
    made = family(evidence, cue_variants(), pairs, (EDITED, PRIVATE))
    learned = leaning(evidence)
    if learned is None or any(estimate is None for estimate in made.values()):
        return Finding("not measured", "")
    p, seeds = adjusted(made), min(estimate.seeds for estimate in made.values() if estimate)
    told_all = [
        f"{first} - {other}, {measure}: {told_whole(e, p[first, other, measure])}" for (first, other, measure), e in made.items() if e
    ]
    text = f"edited subjects refused with the cue - without, no gate: {told(learned)}; " + "; ".join(told_all)
    if is_void(learned):
        return Finding("undecided", f"void, the edit is not shown to lean on the cue; {text}")
    for measure in (EDITED, PRIVATE):
        estimates = [made[first, other, measure] for first, other in pairs]
        is_seen = all(p[first, other, measure] <= ALPHA for first, other in pairs)
        if is_seen and all(e is not None and e.mean > 0 and e.seeds >= ENOUGH for e in estimates):
            return Finding("confirmed", text, seeds)
    return Finding("refuted" if seeds >= FEWEST else "undecided", text, seeds)


# --- the claims -----------------------------------------------------------------------------------------------------------


def main_family(evidence: Evidence, route: str = "all", stop: str = "") -> Family:
    """The family of which the primary one decides."""
    variants = {name: evidence.gate(name, route, stop) for name in ("none", "strong", "random", "closed")}
    return family(evidence, variants, COMPARED, PRIMARY)


def curve_estimates(evidence: Evidence, layer: int, percent: int) -> tuple[Estimate, Estimate] | None:
    """Held-out samples that refuse under the located dimensions, over subjects; and minus those under random ones."""
    cell = evidence.found.cells.get(f"curve/layer{layer}")
    if cell is None:
        return None
    rows = {kind: {name: share_of(text, "r") for name, text in found.items()} for kind, found in cell["kept"][str(percent)].items()}
    located_1U, random_1U = (np.array([[rows[kind][name] for name in rows["located"]]]) for kind in ("located", "random"))
    return crossed([(1.0, located_1U)]), crossed([(1.0, located_1U - random_1U)])


def edited_layer(evidence: Evidence) -> int | None:
    """Read off any edit behind a gate."""
    for cell in evidence.found.below("gates/all/").values():
        return int(cell["settings"]["edit"]["layers"][0])
    return None


def few_dimensions(evidence: Evidence) -> Finding:
    layer = edited_layer(evidence)
    estimates = None if layer is None else curve_estimates(evidence, layer, DECIDING)
    if estimates is None:
        return Finding("not measured", "")
    located, more = estimates
    text = (
        f"{DECIDING} % of the dimensions at layer {layer} flipped refuse {told(located, signed=False)} of held-out samples, "
        f"located - random {told(more)} ({located.subjects} subjects)"
    )
    if located.low >= 0.5 and more.low > 0:
        return Finding("confirmed", text)
    return Finding("refuted" if located.high < 0.25 else "undecided", text)


def strong_shares(evidence: Evidence, kind: str) -> dict[int, float]:
    """Layer -> share of strong dimensions by the votes of seed 0."""
    rows = [row for name, cell in evidence.found.below(f"{kind}/layer").items() if name.endswith("-seed0") for row in cell["profile"]]
    return {row["layer"]: row["strong"] for row in sorted(rows, key=lambda row: row["layer"])}


def rise_and_fall(evidence: Evidence) -> Finding:
    """By the default votes and by the sparse ones, at the threshold that both are located with."""
    by_votes = {"default": strong_shares(evidence, "located"), "sparse": strong_shares(evidence, "sparse")}
    text = "; ".join(
        f"{votes} votes, strong at layers " + ", ".join(f"{layer}: {number(share, signed=False)}" for layer, share in shares.items())
        for votes, shares in by_votes.items()
        if shares
    )
    if len(by_votes["default"]) < 3 or set(by_votes["default"]) != set(by_votes["sparse"]):
        return Finding("not measured", text)
    words = {profile_word(shares) for shares in by_votes.values()}
    return Finding(words.pop() if len(words) == 1 else "undecided", text)


def profile_word(shares: Mapping[int, float]) -> Word:
    highest = max(shares, key=lambda layer: shares[layer])
    if max(shares.values()) < 0.1 and highest not in (min(shares), max(shares)):
        return "confirmed"
    return "refuted" if min(shares.values()) > 0.1 else "undecided"


def any_path(evidence: Evidence) -> Finding:
    """Whether closed differs from none in anything."""
    made = main_family(evidence)
    there = {measure: estimate for measure in PRIMARY if (estimate := made["closed", "none", measure])}
    if not there:
        return Finding("not measured", "")
    p = adjusted(made)
    text = "; ".join(f"closed - none, {measure}: {told(estimate)}" for measure, estimate in there.items())
    seeds = min(estimate.seeds for estimate in there.values())
    if any(p["closed", "none", measure] <= ALPHA and estimate.seeds >= ENOUGH for measure, estimate in there.items()):
        return Finding("confirmed", text, seeds)
    is_same = all(is_equivalent(estimate) for estimate in there.values()) and control(evidence).word == "confirmed"
    return Finding("refuted" if is_same else "undecided", text, seeds)


def sparse(evidence: Evidence) -> Finding:
    variants = {name: evidence.gate(name) for name in ("none", "sparse", "sparse-random")}
    made = family(evidence, variants, (("sparse", "none"), ("sparse", "sparse-random")), PRIMARY)
    return both(*(claim(evidence, made, "sparse", other, PRIVATE, 1) for other in ("none", "sparse-random")))


def authors(evidence: Evidence) -> Finding:
    variants = {name: Variant("authors/edits", name) for name in ("none", "strong", "random", "closed")}
    made = family(evidence, variants, COMPARED, PRIMARY)
    return both(*(claim(evidence, made, "strong", other, PRIVATE, 1) for other in ("none", "random")))


def ranges(evidence: Evidence) -> list[str]:
    """The layers that were edited together."""
    return sorted(
        {name.partition("/")[0] for name in evidence.found.below("several/") if "/" in name}, key=lambda name: int(name.partition("-")[0])
    )


def several(evidence: Evidence) -> Finding:
    """Against one layer with the same gate, in what is refused of private subjects beyond look-alikes."""
    variants = {"one layer": evidence.gate("strong")}
    variants |= {f"layers {where}": Variant(f"several/{where}", "strong-ffn") for where in ranges(evidence)}
    pairs = [(name, "one layer") for name in variants if name != "one layer"]
    made = family(evidence, variants, pairs, (SEPARATION,))
    findings = [claim(evidence, made, first, other, SEPARATION, 1) for first, other in pairs]
    if not findings:
        return Finding("not measured", "")
    words = [finding.word for finding in findings]
    word: Word = next(word for word in ("confirmed", "undecided", "not measured", "refuted") if word in words)  # of either range
    return Finding(word, "; ".join(finding.text for finding in findings if finding.text), min(finding.seeds for finding in findings))


def scores_on_test(evidence: Evidence) -> dict[int, list[float]]:
    """Layer -> worst effect minus worst damage of its ungated edit on test questions, a value for each seed that all layers have."""
    scores: dict[int, dict[int, float]] = {}
    layers = {int(name.rpartition("layer")[2]) for name in evidence.found.below("layers/test/seed")}
    for layer in sorted(layers):
        variant = Variant("layers/test", f"layer{layer}")
        by_measure = {measure: variant.shares(evidence.found, measure) for measure in PRIMARY}
        for seed in sorted(by_measure[PRIVATE]):
            means = {measure: float(np.mean(list(by_measure[measure][seed].values()))) for measure in PRIMARY}
            effect, damage = min(means[EDITED], means[PRIVATE]), max(means[LOOKALIKES], means[BENIGN], means[PROTECTED])
            scores.setdefault(layer, {})[seed] = effect - damage
    common = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    return {layer: [of[seed] for seed in common] for layer, of in scores.items()} if common else {}


def named_layers(evidence: Evidence) -> dict[str, dict[int, float]]:
    """What each criterion gives every candidate layer; the layer that it names has the most."""
    cells: dict[str, Any] = evidence.found.cells
    patching = cells.get("layers/patching", {}).get("share", {})
    validation = {int(name): cell["row"]["score"] for name, cell in evidence.found.below("layers/validation/").items()}
    return {
        "share of strong dimensions": strong_shares(evidence, "located"),
        "held-out validation": validation,
        "patching curve": {int(layer): share for layer, share in patching.items()},
    }


def named(values: Mapping[int, float]) -> int:
    """The layer with the most; of equal ones, as on a plateau, the last, where the subject is read out."""
    return max(values, key=lambda layer: (values[layer], layer))


def layer_by_share(evidence: Evidence) -> Finding:
    scores, criteria = scores_on_test(evidence), named_layers(evidence)
    shares = {layer: share for layer, share in criteria["share of strong dimensions"].items() if layer in scores}
    if len(shares) < 3:
        return Finding("not measured", "")
    best = max(scores, key=lambda layer: float(np.mean(scores[layer])))
    layer = named(shares)
    lost = crossed([(1.0, np.array(scores[best])[:, None] - np.array(scores[layer])[:, None])])
    chosen = "" if layer == best else " (which was chosen by the same numbers, so that the difference is rather too large)"
    text = f"it names layer {layer}, the best is {best}{chosen}: best - named {told(lost)}, {lost.seeds} seeds"
    if lost.mean <= EQUIVALENT and lost.seeds >= ENOUGH:
        return Finding("confirmed", text, lost.seeds)
    return Finding("refuted" if lost.seeds >= FEWEST and lost.low > EQUIVALENT else "undecided", text, lost.seeds)


def spares(evidence: Evidence) -> Finding:
    """By look-alikes; what else is to stay answered is told beside it."""
    made = main_family(evidence)
    found, *others = (claim(evidence, made, "strong", "none", measure, -1) for measure in (LOOKALIKES, BENIGN, PROTECTED))
    return replace(found, text="; ".join(finding.text for finding in (found, *others) if finding.text))


def deciding(evidence: Evidence, first: str, other: str, measure: str, sign: int) -> Finding:
    return claim(evidence, main_family(evidence), first, other, measure, sign)


CLAIMS: tuple[tuple[str, Any], ...] = (
    ("A tenth of the dimensions of the subject's hidden state decides about refusing", few_dimensions),
    ("Few dimensions are strong, and their share rises and falls over the layers", rise_and_fall),
    ("An edit behind the gate refuses more unseen private questions", lambda e: deciding(e, "strong", "none", PRIVATE, 1)),
    ("It is the located dimensions that do it", lambda e: deciding(e, "strong", "random", PRIVATE, 1)),
    ("The gate spares what is to stay answered", spares),
    ("What arrives through the subject's tokens matters", any_path),
    ("Gates as sparse as the article's do it", sparse),
    ("The gate does it in the authors' regime", authors),
    ("Several layers together are better than one", several),
    ("The share of strong dimensions names the layer to edit", layer_by_share),
)


def mean_level(evidence: Evidence, name: str, measure: str) -> Estimate | None:
    """The mean of a variant at the step that decides."""
    return level(evidence.found, evidence.gate(name), measure)
