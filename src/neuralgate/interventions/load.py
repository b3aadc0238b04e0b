"""Any saved intervention by its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from neuralgate.errors import UserError
from neuralgate.files import blobs_of, refuse_links
from neuralgate.interventions import folder as others
from neuralgate.interventions import patch_folder
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.header import read_sealed
from neuralgate.interventions.hub import local_folder
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.prompt import Prompt
from neuralgate.interventions.redaction import Redaction
from neuralgate.interventions.steering import TENSORS, Steering
from neuralgate.text import short


class Reader(Protocol):
    def __call__(self, folder: Path, header: dict[str, Any]) -> Intervention: ...


KINDS: dict[str, Reader] = {"steering": Steering.read, "prompt": Prompt.read, "filter": Filter.read, "redaction": Redaction.read}
FILES = (patch_folder.HEADER, patch_folder.TENSORS, others.HEADER, TENSORS, others.CARD)


def load_intervention(folder: Path | str, revision: str | None = None, endpoint: str | None = None) -> Intervention:
    """Read an intervention's folder, or one of the Hugging Face hub by its ``owner/name``.

    Raises:
        UserError: files are missing, broken, of a newer format, or do not match their checksum; there are links among them.
    """
    folder = local_folder(folder, revision, endpoint, FILES)
    if os.path.isfile(os.path.join(folder, patch_folder.HEADER)):
        return Patch.from_pretrained(folder)
    if not os.path.isfile(os.path.join(folder, others.HEADER)):
        raise UserError(f"{folder} is no intervention's folder (neither {patch_folder.HEADER} nor {others.HEADER} in it).")
    folder = Path(folder)
    refuse_links(folder, blobs_of(folder))
    header = read_sealed(folder / others.HEADER, (others.FORMAT,))
    kind = header.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(
            f"{folder / others.HEADER} is of the kind {short(kind)}, known are {', '.join(KINDS)}; use the version that wrote it."
        )
    return KINDS[kind](folder, header)
