"""The model card of a patch or of a model with one in it: what it changes, of which base, how to use it, and its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from neuralgate.interventions.values import relative_text
from neuralgate.lvlm.load import HUB_ID

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")


def escaped(text: Any) -> str:
    """Text of any origin as one line of Markdown that means nothing but itself."""
    return MARKDOWN.sub(r"\\\1", " ".join("".join(c if c.isprintable() else " " for c in str(text)).split()))


def model_card(information: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]], merged: bool = False, evidence: str = "") -> str:
    """A short model card: what it changes, of which base, how to use it, and its limits.

    Args:
        information, tensors: of a `Patch`.
        merged: of a whole model with the patch in it.
        evidence: effect and damage as Markdown.
    """
    rows = "\n".join(
        f"| `{role}` | {escaped(entry['name'])} | {' x '.join(map(str, entry['shape']))} "
        f"| {entry['changed']:,} | {relative_text(entry['relative_change'])} |"
        for role, entry in tensors.items()
    )
    base, method = str(information.get("base_model")), information.get("method")
    dtype = next((entry["dtype"] for entry in tensors.values()), "float32")
    front = f"---\nbase_model: {base}\n---\n\n" if HUB_ID.fullmatch(base) else ""
    if merged:
        title = f"# {escaped(base)} with a Neural Gate patch in it"
        usage = (
            "from transformers import AutoModelForImageTextToText\n"
            f'model = AutoModelForImageTextToText.from_pretrained("this-folder", dtype="{dtype}")'
        )
    else:
        title = f"# A Neural Gate patch of {escaped(base)}"
        usage = (
            f'import neuralgate\nlvlm = neuralgate.load({json.dumps(base)}, dtype="{dtype}")\n'
            'patch = neuralgate.Patch.from_pretrained("this-folder")\n'
            "with patch.applied(lvlm.model):\n    print(lvlm.generate([(image, question)]))"
        )
    return (
        f"{front}{title}\n\nMethod: {escaped(method)}. Recipe: {escaped(information.get('recipe_digest', ''))}. "
        f"Base fingerprint: {escaped(information.get('base_fingerprint', ''))}, loaded in {dtype}.\n\n"
        f"| role | tensor | shape | values changed | norm of the change / norm |\n|---|---|---|---|---|\n{rows}\n\n"
        f"```python\n{usage}\n```\n\n{evidence}"
        "Limits: it changes what the model says, not what it has seen, and it is no proof against somebody who retrains the weights. "
        "What it refuses and what it breaks is in the report of the run that made it; do not use it without that.\n"
    )
