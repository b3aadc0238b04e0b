"""The folder of an intervention that is no patch: intervention.json says its kind, what it is, and carries the checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from neuralgate.files import json_text, write_text
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.card import Evidence, intervention_card
from neuralgate.interventions.header import sealed

FORMAT, HEADER, CARD = 1, "intervention.json", "README.md"


def write_intervention(folder: Path, kind: str, intervention: Intervention, content: dict[str, Any], evidence: str | Evidence) -> None:
    """Write intervention.json and a model card, each in one piece."""
    header = sealed({"format": FORMAT, "kind": kind, **intervention.information, **content})
    write_text(folder / HEADER, json_text(header))
    write_text(folder / CARD, intervention_card(kind, intervention.information, intervention.table(), evidence))


def information_of(header: dict[str, Any], description: type[BaseModel]) -> dict[str, Any]:
    """What a header says beside its kind's own keys, and of the base model."""
    own = description.model_fields.keys() - {"base_model", "base_fingerprint", "dtype"}
    return {key: value for key, value in header.items() if key not in own}
