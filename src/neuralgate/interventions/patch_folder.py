"""The files of a patch: patch.safetensors holds the differences, patch.json says of what and carries the checksums.

Format 3 adds sparse differences (``ROLE:places`` and ``ROLE:bits`` in place of ``ROLE``), tensors of any role and any number of
dimensions, and a strength; format 2, in which every tensor had its `energy_ranks`, is read as well.
"""

from __future__ import annotations

import hashlib
import os
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.files import blobs_of, hash_path, json_text, refuse_links, write_bytes
from neuralgate.interventions.card import Evidence, model_card
from neuralgate.interventions.header import Sha256, described, read_sealed, sealed
from neuralgate.interventions.hub import local_folder
from neuralgate.interventions.values import BITS, Difference, Sparse
from neuralgate.lvlm.roles import ROLE

FORMAT, FORMATS = 3, (2, 3)
HEADER, TENSORS = "patch.json", "patch.safetensors"
PLACES, XOR = ":places", ":bits"

Role = Annotated[str, StringConstraints(pattern=rf"^(?:{ROLE.pattern})$")]


class Entry(BaseModel):
    """What patch.json says of one tensor."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    shape: list[Annotated[int, Field(ge=0, le=2**48)]]
    dtype: Literal["float32", "bfloat16", "float16"]
    encoding: Literal["xor", "sparse xor"]
    base_sha256: Sha256
    result_sha256: Sha256
    changed: int
    relative_change: float | None
    energy_ranks: dict[Literal["0.5", "0.9", "0.99"], int] = {}  # of format 2


class Description(BaseModel):
    """patch.json without its checksum; what is not named here (method, gate, recipe digest ...) is information."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    format: Literal[2, 3]
    base_model: str
    base_fingerprint: Sha256
    prompt_style: str
    strength: float = 1.0
    safetensors_sha256: Sha256
    tensors: dict[Role, Entry] = Field(min_length=1)


def write_patch_folder(
    folder: Path,
    differences: dict[str, Difference],
    tensors: dict[str, dict[str, Any]],
    information: dict[str, Any],
    strength: float,
    evidence: str | Evidence,
) -> None:
    """Write patch.safetensors, patch.json and a model card, each in one piece."""
    held: dict[str, Tensor] = {}
    for role, change in differences.items():
        if isinstance(change, Sparse):
            held |= {role + PLACES: change.places_N.cpu(), role + XOR: change.bits_N.cpu()}
        else:
            held[role] = change.contiguous()
    data = save(held)
    header = {
        "format": FORMAT,
        **information,
        **({} if strength == 1 else {"strength": strength}),
        "safetensors_sha256": hashlib.sha256(data).hexdigest(),
        "tensors": tensors,
    }
    write_bytes(folder / TENSORS, data)
    write_bytes(folder / HEADER, json_text(sealed(header)).encode())
    write_bytes(folder / "README.md", model_card(information, tensors, evidence=evidence).encode())


def patch_folder(folder: Path | str, revision: str | None, endpoint: str | None) -> Path:
    """The folder of a patch, here or of the hub. Raises UserError when it is none, or there are links among its files."""
    folder = local_folder(folder, revision, endpoint, [HEADER, TENSORS, "README.md"])
    for name in (HEADER, TENSORS):
        if not os.path.isfile(os.path.join(folder, name)):  # unlike Path's, it knows names that no file can have
            raise UserError(f"{folder} is not a patch folder (no {name} in it).")
    refuse_links(folder, blobs_of(folder))
    return Path(folder)


def read_patch_folder(folder: Path) -> tuple[dict[str, Difference], dict[str, dict[str, Any]], dict[str, Any], float]:
    """Differences and entries by role, information, strength.

    Raises:
        UserError: files are broken, of a newer format, or do not match their checksum.
    """
    header = read_sealed(folder / HEADER, FORMATS)
    description = described(Description, header, folder / HEADER, "patch")
    if hash_path(folder / TENSORS) != description.safetensors_sha256:
        raise UserError(f"{folder / TENSORS} does not match its checksum: bytes were lost or changed; get the patch again.")
    differences: dict[str, Difference] = {}
    try:
        with safe_open(folder / TENSORS, framework="pt") as file:
            expected = {key for role, entry in description.tensors.items() for key in keys_of(role, entry)}
            strange = set(file.keys()) != expected
            for role, entry in description.tensors.items():
                if strange:
                    break
                change = [file.get_tensor(key) for key in keys_of(role, entry)]
                differences[role] = Sparse(*change) if len(change) == 2 else change[0]
                strange = not fits(differences[role], entry)
    except SafetensorError as error:
        raise UserError(f"{folder / TENSORS} is broken ({error}); get the patch again.") from error
    if strange:
        raise UserError(f"{folder}: {HEADER} and {TENSORS} list different tensors; get the patch again.")
    information = {key: value for key, value in header.items() if key not in ("format", "strength", "safetensors_sha256", "tensors")}
    tensors = {role: entry.model_dump(exclude_defaults=True) for role, entry in description.tensors.items()}
    return differences, tensors, information, description.strength


def keys_of(role: str, entry: Entry) -> list[str]:
    return [role] if entry.encoding == "xor" else [role + PLACES, role + XOR]


def fits(change: Difference, entry: Entry) -> bool:
    """Whether a difference is one of the tensor that its entry describes."""
    bits = BITS[getattr(torch, entry.dtype).itemsize]
    if not isinstance(change, Sparse):
        return (list(change.shape), change.dtype) == (entry.shape, bits)
    places_N = change.places_N
    return (
        (places_N.dtype, change.bits_N.dtype) == (torch.int64, bits)
        and places_N.ndim == change.bits_N.ndim == 1
        and len(places_N) == len(change.bits_N)
        and (not len(places_N) or (int(places_N[0]) >= 0 and int(places_N[-1]) < prod(entry.shape)))
        and bool((places_N.diff() > 0).all())
    )
