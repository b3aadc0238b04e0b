"""The model card of an intervention or of a model with a patch in it: what it changes, of which base, how to use it, and its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from neuralgate.interventions.values import relative_text
from neuralgate.lvlm.load import HUB_ID
from neuralgate.records.scores import Sets

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")


@dataclass(frozen=True)
class Evidence:
    """Effect and damage: as Markdown, and as the scores of the edited model for the card's metadata."""

    text: str = ""
    scores: Sets = field(default_factory=dict)  # benchmark -> metric -> score


def escaped(text: Any) -> str:
    """Text of any origin as one line of Markdown that means nothing but itself."""
    return MARKDOWN.sub(r"\\\1", " ".join("".join(c if c.isprintable() else " " for c in str(text)).split()))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows))


def model_card(
    information: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]], merged: bool = False, evidence: str | Evidence = ""
) -> str:
    """The card of a patch, or of a whole model with the patch in it.

    Args:
        information, tensors: of a `Patch`.
        merged: of a whole model with the patch in it.
        evidence: effect and damage as Markdown, or with the scores, which then stand in the card's metadata.
    """
    rows = [
        [
            f"`{role}`",
            escaped(entry["name"]),
            " x ".join(map(str, entry["shape"])),
            f"{entry['changed']:,}",
            relative_text(entry["relative_change"]),
        ]
        for role, entry in tensors.items()
    ]
    base, method = str(information.get("base_model")), information.get("method")
    dtype = next((entry["dtype"] for entry in tensors.values()), "float32")
    if merged:
        title = f"{base} with a Neural Gate patch in it"
        usage = (
            "from transformers import AutoModelForImageTextToText\n"
            f'model = AutoModelForImageTextToText.from_pretrained("this-folder", dtype="{dtype}")'
        )
    else:
        title = f"A Neural Gate patch of {base}"
        usage = (
            f'import neuralgate\nlvlm = neuralgate.load({json.dumps(base)}, dtype="{dtype}")\n'
            'patch = neuralgate.Patch.from_pretrained("this-folder")\n'
            "with patch.applied(lvlm.model):\n    print(lvlm.generate([(image, question)]))"
        )
    body = (
        f"Method: {escaped(method)}. Recipe: {escaped(information.get('recipe_digest', ''))}. "
        f"Base fingerprint: {escaped(information.get('base_fingerprint', ''))}, loaded in {dtype}.\n\n"
        + markdown_table(["role", "tensor", "shape", "values changed", "norm of the change / norm"], rows)
    )
    limits = "it changes what the model says, not what it has seen, and it is no proof against somebody who retrains the weights."
    return card(title, base, "transformers" if merged else "neuralgate", body, usage, limits, evidence)


def intervention_card(
    kind: str, information: Mapping[str, Any], table: tuple[list[str], list[list[str]]], evidence: str | Evidence = ""
) -> str:
    """The card of an intervention that is no patch. ``table``: its `Intervention.table`."""
    base = str(information.get("base_model", ""))
    header, rows = table
    body = f"Method: {escaped(information.get('method', kind))}.\n\n" + markdown_table(header, [list(map(escaped, row)) for row in rows])
    usage = (
        "import neuralgate\nfrom neuralgate.interventions.load import load_intervention\n"
        f"lvlm = neuralgate.load({json.dumps(base or 'MODEL')})\n"
        'with load_intervention("this-folder").on(lvlm) as answerer:\n    print(answerer.generate_answers([(image, question)]))'
    )
    limits = "it changes what is said as long as it is on, and nothing of what the model knows: whoever has the weights leaves it out."
    return card(f"A {kind}" + (f" for {base}" if base else ""), base, "neuralgate", body, usage, limits, evidence)


def card(title: str, base: str, library: str, body: str, usage: str, limits: str, evidence: str | Evidence) -> str:
    """The parts in their order, behind the metadata that the hub reads."""
    if isinstance(evidence, str):
        evidence = Evidence(evidence)
    results = [
        EvalResult("visual-question-answering", benchmark, benchmark, metric, score["value"])
        for benchmark, metrics in evidence.scores.items()
        for metric, score in metrics.items()
    ]
    data = ModelCardData(
        base_model=base if HUB_ID.fullmatch(base) else None,
        library_name=library,
        model_name=title if results else None,
        eval_results=results or None,
    )
    text = (
        f"# {escaped(title)}\n\n{body}\n\n```python\n{usage}\n```\n\n{evidence.text}Limits: {limits} "
        "What it refuses and what it breaks is in the report of the run that made it; do not use it without that.\n"
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))
