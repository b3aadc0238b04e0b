"""A model directory with a patch in it, and the base out of it again, byte for byte.

Only the files that hold an edited tensor are written anew, piece by piece; the rest is linked or copied. What taking the patch out
could not compute is kept in the patched directory: in ``neuralgate.json`` the small files as they were and the headers of weights
files whose types changed, and, where a tensor lost digits to the patch's type, the tensor in ``neuralgate.*.base``.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.files import blobs_of, hash_path, inside, write_folder, write_json
from neuralgate.interventions.card import Evidence, model_card
from neuralgate.interventions.header import Sha256, read_sealed, sealed
from neuralgate.interventions.patch import Patch, Side
from neuralgate.interventions.values import as_bits, sha256
from neuralgate.lvlm.checkpoint import CODES, INDEX, Checkpoint, Header, copy_or_link

FORMAT = 2  # of the record
RECORD, CARD, BASE_CARD = "neuralgate.json", "README.md", "README.base.md"
Small = Literal["README.md", "README.base.md", "config.json", "model.safetensors.index.json", "neuralgate.json"]

#: Weights in other formats would still be the unedited ones.
OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5", ".index.json")


class Shard(BaseModel):
    """What is known of a weights file that holds an edited tensor, as it was."""

    model_config = ConfigDict(extra="forbid")

    sha256: Sha256
    header: Base64Bytes


class Record(BaseModel):
    """What ``neuralgate.json`` says of a directory with a patch in it."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[2]
    patch: Sha256  # Patch.identity
    originals: dict[Small, Base64Bytes | None]  # None: it was not there
    shards: dict[str, Shard]
    left_out: list[str]  # weights in other formats

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """That of ``folder``, if it has one. Raises UserError when it is damaged."""
        if not (folder / RECORD).is_file():
            return None
        try:
            return cls.model_validate(read_sealed(folder / RECORD, (FORMAT,)))
        except ValidationError as error:
            raise UserError(f"{folder / RECORD} is no record of a patch; export the model again.") from error


@dataclass(frozen=True)
class Change:
    """One tensor of a checkpoint, as it is stored and on the patch's other side, in the patch's type."""

    key: str
    stored: Tensor
    other: Tensor


def change_of(checkpoint: Checkpoint, patch: Patch, role: str, side: Side = "base_sha256") -> Change:
    """The change that ``patch`` makes to the tensor of ``role``, from the ``side`` that the checkpoint is on.

    Raises:
        UserError: it is not the tensor that the patch was made on, or is on the other side.
    """
    entry = patch.tensors[role]
    key = checkpoint.find(role, entry["name"], entry["shape"])
    stored = checkpoint.read(key)
    checksum = sha256(stored.to(getattr(torch, entry["dtype"])))
    if checksum != entry[side]:
        if checksum == entry["result_sha256"]:
            raise UserError(f"The patch is applied already to {checkpoint.folder}; revert it before applying it again.")
        if checksum == entry["base_sha256"]:
            raise UserError(f"The patch is not applied to {checkpoint.folder}; there is nothing to revert.")
        raise UserError(
            f"Wrong base: {key} of {checkpoint.folder} is not the tensor that the patch was made on "
            f"({patch.information.get('base_model', 'unknown')}, {entry['dtype']})."
        )
    return Change(key, stored, patch.other_side(role, stored.to(getattr(torch, entry["dtype"])), side))


def changes_of(checkpoint: Checkpoint, patch: Patch, side: Side = "base_sha256") -> list[Change]:
    """All changes of a patch. Raises UserError as `change_of` does."""
    return [change_of(checkpoint, patch, role, side) for role in patch.tensors]


def kept_name(patch: Patch) -> str:
    """The file of tensors that lost digits; its name is no weights file's, or other tools would load it."""
    return f"neuralgate.{patch.identity[:8]}.base"


def write_patched(base: Path, patch: Patch, folder: Path, evidence: str | Evidence = "") -> list[str]:
    """Fill ``folder`` with ``base`` and the patch in it; returns the files that were left out, other forms of the unedited weights.

    Where the patch was made in another type than the checkpoint's (float32 for a bfloat16 file), the edited tensors keep the
    patch's type and config.json says so, because rounding would serve another model than the one that was measured.

    Raises:
        UserError: wrong base, or the patch is applied already.
    """
    checkpoint = Checkpoint(base)
    changes = changes_of(checkpoint, patch)
    changed = {change.key: change.other for change in changes}
    shards = {}
    for name in sorted({checkpoint.tensors[key].file for key in changed}):
        checkpoint.rewrite(name, {key: value for key, value in changed.items() if checkpoint.tensors[key].file == name}, folder / name)
        shards[name] = Shard(sha256=hash_path(base / name), header=base64.b64encode(checkpoint.headers[name].raw))
    for name in checkpoint.headers.keys() - shards.keys():
        copy_or_link(base / name, folder / name)
    left_out = copy_rest(base, folder, [*checkpoint.headers, *([INDEX] if checkpoint.index else [])])

    lost = {change.key: change.stored for change in changes if not comes_back(change.stored, change.other.dtype)}
    if lost:
        (folder / kept_name(patch)).write_bytes(save(lost))
    small: dict[str, bytes] = {CARD: model_card(patch.information, patch.tensors, merged=True, evidence=evidence).encode()}
    if (base / CARD).is_file():
        small[BASE_CARD] = (base / CARD).read_bytes()
    if any(change.other.dtype != change.stored.dtype for change in changes):
        small["config.json"] = with_type(base / "config.json", changes[0].other.dtype)
    if checkpoint.index is not None:
        index = json.loads((base / INDEX).read_text(encoding="utf-8"))
        growth = sum(change.other.nbytes - change.stored.nbytes for change in changes)
        if growth and isinstance(checkpoint.index.metadata.get("total_size"), int):
            index["metadata"]["total_size"] += growth
            small[INDEX] = dumped(index)
        else:
            shutil.copyfile(base / INDEX, folder / INDEX)
    names = [*small, RECORD]
    originals = {name: base64.b64encode((base / name).read_bytes()) if (base / name).is_file() else None for name in names}
    record = Record.model_validate(
        {"format": FORMAT, "patch": patch.identity, "originals": originals, "shards": shards, "left_out": left_out}
    )
    for name, content in small.items():
        (folder / name).write_bytes(content)
    write_json(folder / RECORD, sealed(record.model_dump(mode="json")))
    return left_out


def revert_folder(model: Path, patch: Patch, out: Path) -> list[str]:
    """Write a copy of ``model``, a directory with the patch in it, without the patch: whole or not at all. Of a directory that
    `write_patched` made every file is the base's again, but for those that it left out, which are returned.

    Raises:
        UserError: the patch is not in it, or another is on top of it, ``out`` exists, or the disk refuses.
    """
    left_out: list[str] = []
    patch.check_way_back()

    def write(folder: Path) -> None:
        checkpoint = Checkpoint(model)
        changed = {change.key: change.other for change in changes_of(checkpoint, patch, "result_sha256")}
        record = Record.read(model)
        if record and record.patch != patch.identity:
            raise UserError(f"The last patch that was put into {model} is another one; revert that first.")
        kept = kept_tensors(model / kept_name(patch))
        edited = sorted({checkpoint.tensors[key].file for key in changed})
        for name in edited:
            here = {key: value for key, value in changed.items() if checkpoint.tensors[key].file == name}
            shard = record.shards.get(name) if record else None
            header = header_of(shard, checkpoint, name) if shard else checkpoint.headers[name]
            values = {key: kept.get(key, value.to(CODES.get(header.places[key].dtype, value.dtype))) for key, value in here.items()}
            checkpoint.rewrite(name, values, folder / name, header)
            if shard and hash_path(folder / name) != shard.sha256:
                raise UserError(
                    f"{name} of {model} was changed after the patch was put in, so it is not the base's any more; get the base."
                )
        for name in checkpoint.headers.keys() - edited:
            copy_or_link(model / name, folder / name)
        originals = record.originals if record else {}
        copy_rest(model, folder, [*checkpoint.headers, INDEX, *originals, kept_name(patch)])
        if checkpoint.index is not None and INDEX not in originals:
            shutil.copyfile(model / INDEX, folder / INDEX)
        for original, content in originals.items():
            if content is not None:
                (folder / original).write_bytes(content)
        changes_of(Checkpoint(folder), patch)  # what was written is the base
        left_out.extend(record.left_out if record else [])

    write_folder(out, write)
    return left_out


def header_of(shard: Shard, checkpoint: Checkpoint, name: str) -> Header:
    """The header that a file had. Raises UserError when it is not of these tensors."""
    try:
        header = Header.parse(shard.header)
    except ValueError as error:
        raise UserError(f"{checkpoint.folder / RECORD} holds a broken header of {name}; get the base again.") from error
    if header.places.keys() != checkpoint.headers[name].places.keys():
        raise UserError(f"{checkpoint.folder / RECORD} was written for other tensors than {name} holds; get the base again.")
    return header


def kept_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors that lost digits to the patch's type, as they were."""
    try:
        return load(path.read_bytes()) if path.is_file() else {}
    except SafetensorError as error:
        raise UserError(f"{path} is broken, so the base cannot be had from this directory; get it again.") from error


def comes_back(stored: Tensor, dtype: torch.dtype) -> bool:
    """Whether a tensor is the same bits again after it was cast to ``dtype`` and back."""
    return torch.equal(as_bits(stored.to(dtype).to(stored.dtype)), as_bits(stored))


def copy_rest(source: Path, target: Path, names: Iterable[str]) -> list[str]:
    """Copy all files but those of ``names``, hidden folders (.git, .cache) and weights in other formats, whose names are returned.

    Raises:
        UserError: a file is a link that leads out of ``source``: a private one would be given away with the copy.
    """
    names, left_out, blobs = set(names), [], blobs_of(source)
    for path in sorted(source.rglob("*")):  # a second tokenizer or chat template may have a folder of its own
        name = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") for part in name.parts[:-1]):
            continue
        is_weights = path.name.endswith(OTHER_WEIGHTS)
        if not is_weights and not (blobs and path.resolve().parent == blobs):
            inside(source, name.as_posix(), f"{source} cannot be copied")
        if str(name) in names:
            continue
        if is_weights:
            left_out.append(name.as_posix())
            continue
        (target / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(path, target / name)
    return left_out


def with_type(path: Path, dtype: torch.dtype) -> bytes:
    """A configuration that asks for its weights to be loaded in ``dtype``."""
    name = str(dtype).removeprefix("torch.")
    config = {**json.loads(path.read_text(encoding="utf-8")), "dtype": name}
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in ("dtype", "torch_dtype"):
            if key in part:
                part[key] = name
    return dumped(config)


def dumped(data: Any) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()
