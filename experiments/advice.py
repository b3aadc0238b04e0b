"""The first paragraph of docs/evidence.md: what somebody who edits a model should do, said by the numbers alone."""

from __future__ import annotations

import numpy as np

from experiments.claims import (
    LOOKALIKES,
    PRIVATE,
    Evidence,
    control,
    deciding,
    edited_layer,
    mean_level,
    named,
    named_layers,
    number,
    scores_on_test,
    told,
)
from experiments.comparison import EQUIVALENT, Variant, difference, level
from experiments.variety import COUNTS


def advice(evidences: list[Evidence]) -> str:
    """A paragraph a model; what was not measured is left out."""
    return (
        "\n\n".join(" ".join(sentence for sentence in sentences(evidence) if sentence) for evidence in evidences)
        or "(nothing is measured yet)"
    )


def sentences(evidence: Evidence) -> list[str]:
    return [*edit_said(evidence), gate_said(evidence), control_said(evidence), layer_said(evidence), variety_said(evidence)]


def edit_said(evidence: Evidence) -> list[str]:
    edited, private, lookalikes = (mean_level(evidence, "none", name) for name in ("edited refused", PRIVATE, LOOKALIKES))
    if edited is None:
        return [f"**{evidence.model.capitalize()}**: no edit is measured yet."]
    refused = [told(estimate, signed=False) for estimate in (edited, private, lookalikes)]
    return [
        f"**{evidence.model.capitalize()}**, edited at layer {edited_layer(evidence)} for {evidence.size.middle} steps without a gate, "
        f"refuses {refused[0]} of the sensitive questions about edited subjects, {refused[1]} about private subjects that no edit saw, and "
        f"{refused[2]} of the same words about public ones."
    ]


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
        }[located.word]
        return f"Use the gate: it makes the edit {' and '.join(helps)} ({effect.text}; {spared.text}), {which}."
    if effect.word == spared.word == "refuted":
        return f"Leave the gate out: it has no advantage of {number(EQUIVALENT, signed=False)} ({effect.text}; {spared.text})."
    return f"Do not count on the gate: no advantage is shown ({effect.text}; {spared.text})."


def control_said(evidence: Evidence) -> str:
    return {
        "confirmed": "The same design does see a gate that matters: one that shuts a planted cue out wins.",
        "refuted": "But the design did not see even a gate that shuts a planted cue out, so that no difference says little.",
        "undecided": "Whether this design would see a gate that matters is not shown.",
        "not measured": "",
    }[control(evidence).word]


def layer_said(evidence: Evidence) -> str:
    scores = {layer: float(np.mean(values)) for layer, values in scores_on_test(evidence).items()}
    criteria = {
        name: {layer: value for layer, value in values.items() if layer in scores} for name, values in named_layers(evidence).items()
    }
    criteria = {name: values for name, values in criteria.items() if scores and len(values) == len(scores)}
    if not criteria:
        return ""
    lost = {name: max(scores.values()) - scores[named(values)] for name, values in criteria.items()}
    best = min(lost, key=lambda name: lost[name])
    others = ", ".join(f"{name} {number(loss, signed=False)}" for name, loss in lost.items() if name != best)
    return f"To choose the layer go by the {best}: it loses {number(lost[best], signed=False)} of the best layer's test score ({others})."


def variety_said(evidence: Evidence) -> str:
    few, many = (Variant("variety", f"{count:02d}") for count in (COUNTS[0], COUNTS[-1]))
    more = difference(evidence.found, many, few, PRIVATE)
    if more is None:
        return ""
    ends = [level(evidence.found, variant, name) for name in (PRIVATE, LOOKALIKES) for variant in (few, many)]
    said = [told(end, signed=False) for end in ends]
    verb = "Edit with many kinds of subjects" if more.low > 0 else "More kinds of subjects reach no further"
    return (
        f"{verb}: with equally many pairs in all, from {COUNTS[0]} to {COUNTS[-1]} subjects unseen private ones go from {said[0]} to "
        f"{said[1]} refused, look-alikes from {said[2]} to {said[3]}."
    )
