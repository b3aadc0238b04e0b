"""Any saved intervention by its folder."""

from __future__ import annotations

from pathlib import Path

from neuralgate.interventions.base import Intervention
from neuralgate.interventions.patch import Patch


def load_intervention(folder: Path | str, revision: str | None = None, endpoint: str | None = None) -> Intervention:
    """Read an intervention's folder, or one of the Hugging Face hub by its ``owner/name``.

    Raises:
        UserError: files are missing, broken, of a newer format, or do not match their checksum; there are links among them.
    """
    return Patch.from_pretrained(folder, revision, endpoint)
