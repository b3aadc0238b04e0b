"""The first paragraph of docs/evidence.md: what somebody who edits a model should do, said by the numbers alone."""

from __future__ import annotations

import numpy as np

from experiments.claims import (
    LOOKALIKES,
    PRIVATE,
    Evidence,
    control,
    cue_variants,
    deciding,
    edited_layer,
    is_void,
    leaning,
    mean_level,
    named,
    named_layers,
    scores_on_test,
)
from experiments.comparison import ENOUGH, EQUIVALENT, SEPARATION, Variant, base_level, difference, is_equivalent, level
from experiments.variety import COUNTS
from experiments.words import number, told


def advice(evidences: list[Evidence]) -> str:
    """A paragraph a model; what was not measured is left out."""
    return (
        "\n\n".join(" ".join(sentence for sentence in sentences(evidence) if sentence) for evidence in evidences)
        or "(nothing is measured yet)"
    )


def sentences(evidence: Evidence) -> list[str]:
    edited = mean_level(evidence, "none", "edited refused")
    if edited is not None and edited.seeds < ENOUGH:
        return [f"**{evidence.model.capitalize()}**: edits of one seed are made so far, which decides nothing."]
    others = (gate_said, route_said, control_said, layer_said, variety_said)
    return [*edit_said(evidence), *(say(evidence) for say in others)]


def edit_said(evidence: Evidence) -> list[str]:
    edited, private, lookalikes = (mean_level(evidence, "none", name) for name in ("edited refused", PRIVATE, LOOKALIKES))
    if edited is None:
        return [f"**{evidence.model.capitalize()}**: no edit is measured yet."]
    refused = [told(estimate, signed=False) for estimate in (edited, private, lookalikes)]
    return [
        f"**{evidence.model.capitalize()}**, edited at layer {edited_layer(evidence)} for {evidence.size.middle} steps without a gate, "
        f"refuses {refused[0]} of the sensitive questions about edited subjects, {refused[1]} about private subjects that no edit saw, and "
        f"{refused[2]} of the same words about public ones.",
        price_said(evidence),
    ]


def price_said(evidence: Evidence) -> str:
    """What the edit breaks, beside the base model."""
    lost = {"protected, benign refused": "{} of the benign questions about protected subjects are refused"}
    lost |= {f"{name} accuracy": f"{{}} of the questions about {name} answered right" for name in ("look-alikes", "scenes")}
    said = []
    for measure, text in lost.items():
        now = mean_level(evidence, "none", measure)
        if now is None:
            return ""
        base = base_level(evidence.found, measure, [evidence.gate("none")])
        said.append(f"{text.format(told(now, signed=False))} (the base model: {told(base, signed=False)})")
    return f"Its price: {', '.join(said[:-1])} and {said[-1]}."


def gate_said(evidence: Evidence) -> str:
    """Whether to use the gate, by what it does for unseen private subjects, for look-alikes, and beside a random one."""
    effect, spared = deciding(evidence, "strong", "none", PRIVATE, 1), deciding(evidence, "strong", "none", LOOKALIKES, -1)
    located = deciding(evidence, "strong", "random", PRIVATE, 1)
    if effect.word == "not measured":
        return ""
    helps = [
        text
        for finding, text in ((effect, "refuse more unseen private subjects"), (spared, "spare look-alikes"))
        if finding.word == "confirmed"
    ]
    if helps:
        which = {
            "confirmed": "and the located dimensions do it better than random ones",
            "refuted": "but a random gate of its size does as much",
            "undecided": "and whether a random gate of its size would do as much is not decided",
            "not measured": "and a random gate of its size was not tried",
        }[located.word]
        closed = deciding(evidence, "closed", "none", PRIVATE, 1)
        if effect.word == closed.word == "confirmed":
            which += f"; to close the subject's tokens altogether does it, too ({closed.text})"
        apart = difference(evidence.found, evidence.gate("strong"), evidence.gate("none"), SEPARATION)
        verb = "Use the gate" if apart and apart.low > 0 else "The gate is a trade, not a gain"
        return f"{verb}: it makes the edit {' and '.join(helps)} ({effect.text}; {spared.text}; separation {told(apart)}), {which}."
    if effect.word == spared.word == "refuted":
        return f"Leave the gate out: it has no advantage of {number(EQUIVALENT, signed=False)} ({effect.text}; {spared.text})."
    private = difference(evidence.found, evidence.gate("strong"), evidence.gate("none"), PRIVATE)
    alike = private is not None and is_equivalent(private)
    same = f", unseen private subjects are refused alike with and without it, within {number(EQUIVALENT, signed=False)}" if alike else ""
    return f"Do not count on the gate: no advantage is shown{same} ({effect.text}; {spared.text})."


def route_said(evidence: Evidence) -> str:
    """Where alone a gate can matter: what it does when nothing but subject tokens teaches."""
    pairs = [(evidence.gate("strong", "subject"), evidence.gate(other, "subject")) for other in ("none", "random")]
    found = [difference(evidence.found, *pair, PRIVATE) for pair in pairs]
    if found[0] is None or found[1] is None:
        return ""
    return (
        f"Where subject tokens alone send gradient, unseen private refused: gate - no gate {told(found[0])}, gate - random gate "
        f"{told(found[1])}."
    )


def control_said(evidence: Evidence) -> str:
    oracle = difference(evidence.found, cue_variants()["oracle"], cue_variants()["none"], PRIVATE)
    learned = leaning(evidence)
    void = ""
    if learned is not None and is_void(learned):
        void = (
            f": edited subjects are not shown to lean on the planted cue (refused with it minus without: {told(learned)}), though a gate "
            f"that shuts it out makes {told(oracle)} of unseen private refused"
        )
    return {
        "confirmed": "The same design does see a gate that matters as much as one that shuts a planted cue out: "
        f"{told(oracle)} unseen private refused.",
        "refuted": "But the design did not see even a gate that shuts a planted cue out, so that no difference says little.",
        "undecided": f"Whether this design would see a gate that matters is not shown{void}.",
        "not measured": "",
    }[control(evidence).word]


def layer_said(evidence: Evidence) -> str:
    by_seed = scores_on_test(evidence)
    scores = {layer: float(np.mean(values)) for layer, values in by_seed.items()}
    criteria = {
        name: {layer: value for layer, value in values.items() if layer in scores} for name, values in named_layers(evidence).items()
    }
    criteria = {name: values for name, values in criteria.items() if scores and len(values) == len(scores)}
    if not criteria:
        return ""
    lost = {name: max(scores.values()) - scores[named(values)] for name, values in criteria.items()}
    least = min(lost.values())
    best = [name for name, loss in lost.items() if loss == least]
    others = ", ".join(f"{name} {number(loss, signed=False)}" for name, loss in lost.items() if name not in best)
    seeds = len(next(iter(by_seed.values())))
    return (
        f"The layer named by the {' and by the '.join(best)} comes nearest to the best layer's test score, {number(least, signed=False)} "
        f"below it{f' ({others})' if others else ''}; means of {seeds} seed{'s' if seeds > 1 else ''}."
    )


def variety_said(evidence: Evidence) -> str:
    few, many = (Variant("variety", f"{count:02d}") for count in (COUNTS[0], COUNTS[-1]))
    more, price, apart = (difference(evidence.found, many, few, measure) for measure in (PRIVATE, LOOKALIKES, SEPARATION))
    if more is None or price is None or apart is None:
        return ""
    ends = [level(evidence.found, variant, name) for name in (PRIVATE, LOOKALIKES) for variant in (few, many)]
    said = [told(end, signed=False) for end in ends]
    if more.seeds < ENOUGH:
        verb = "What more kinds of subjects do is not decided by one seed"
    elif apart.low > 0:
        verb = "Edit with many kinds of subjects"
    elif more.low > 0:
        verb = "With more kinds of subjects an edit reaches further" + (", and refuses more of what is harmless" if price.low > 0 else "")
    elif is_equivalent(more):
        verb = "More kinds of subjects reach no further"
    else:
        verb = "Whether more kinds of subjects reach further is not decided"
    return (
        f"{verb}: with equally many pairs in all, from {COUNTS[0]} to {COUNTS[-1]} subjects unseen private ones go from {said[0]} to "
        f"{said[1]} refused, look-alikes from {said[2]} to {said[3]}; separation {told(apart)} ({more.seeds} seeds). "
        f"The default edits all {COUNTS[-1]}."
    )
