"""A patch leaves as something that other tools load: a merged model directory, or a PEFT adapter.

Merged: only the files that hold an edited tensor are written anew, piece by piece; the rest is linked. PEFT: the change
of each tensor as a product of two thin matrices (truncated singular value decomposition, the best there is for its rank
by Eckart and Young), with the error said beforehand, because an edit need not be of low rank.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from neuralgate.edit.patch import Patch, sha256
from neuralgate.errors import UserError
from neuralgate.files import write_folder
from neuralgate.lvlm.checkpoint import CODES, INDEX, Checkpoint, copy_or_link

#: Weights in other formats would still be the unedited ones.
OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5", ".index.json")

MAX_ERROR = 0.1  # of a change's norm that an adapter may lose unasked


def edited_tensor(checkpoint: Checkpoint, patch: Patch, role: str) -> tuple[str, Tensor, Tensor]:
    """A tensor's name in the files, its values there, and the edited ones in the patch's type.

    Raises:
        UserError: it is not the one that the patch was made on.
    """
    entry, key = patch.tensors[role], checkpoint.find(role)
    stored = checkpoint.read(key)
    base = stored.to(getattr(torch, entry["dtype"]))
    if sha256(base) != entry["base_sha256"]:
        raise UserError(
            f"Wrong base: {key} of {checkpoint.folder} is not the tensor that the patch was made on "
            f"({patch.information.get('base_model', 'unknown')}, {entry['dtype']})."
        )
    edited = patch.other_side(role, base)
    if sha256(edited) != entry["result_sha256"]:
        raise UserError(f"The patch does not lead to what its patch.json names for {role}; get the patch again.")
    return key, stored, edited


def export_merged(base: Path, patch: Patch, out: Path, evidence: str = "") -> None:
    """Write ``base`` with the patch in it as a model directory that plain transformers loads: whole or not at all.

    Where the patch was made in another type than the checkpoint's (float32 for a bfloat16 file), the edited tensors keep the
    patch's type and config.json says so, because rounding would serve another model than the one that was measured.

    Raises:
        UserError: wrong base, ``out`` exists, or the disk refuses.
    """
    checkpoint = Checkpoint(base)
    changed = {}
    for role in patch.tensors:
        key, _, changed[key] = edited_tensor(checkpoint, patch, role)

    def write(folder: Path) -> None:
        growth = 0
        for name in checkpoint.headers:
            here = {key: tensor for key, tensor in changed.items() if checkpoint.tensors[key].file == name}
            if here:
                checkpoint.rewrite(name, here, folder / name)
                growth += sum(tensor.nbytes - checkpoint.tensors[key].size for key, tensor in here.items())
            else:
                copy_or_link(base / name, folder / name)
        for path in sorted(base.rglob("*")):  # a second tokenizer or chat template may have a folder of its own
            inside = path.relative_to(base)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.is_file() and not hidden and not path.name.endswith(OTHER_WEIGHTS):
                (folder / inside).parent.mkdir(exist_ok=True, parents=True)
                shutil.copyfile(path, folder / inside)
        if (base / INDEX).is_file():
            index = json.loads((base / INDEX).read_text(encoding="utf-8"))
            if "total_size" in index.get("metadata", {}):
                index["metadata"]["total_size"] += growth
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        types = {key: CODES[checkpoint.tensors[key].code] for key in changed}
        if any(tensor.dtype != types[key] for key, tensor in changed.items()):
            name_type(folder / "config.json", str(next(iter(changed.values())).dtype).removeprefix("torch."))
        (folder / "README.md").write_text(patch.card(merged=True, evidence=evidence), encoding="utf-8")

    write_folder(out, write)


def name_type(path: Path, dtype: str) -> None:
    """Set the type that a configuration asks its weights to be loaded in."""
    config = {**json.loads(path.read_text(encoding="utf-8")), "dtype": dtype}
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in ("dtype", "torch_dtype"):
            if name in part:
                part[name] = dtype
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class LowRank:
    """``up_DR @ down_RF`` in place of a change; ``error`` is the norm of what is lost over the norm of the change."""

    up_DR: Tensor
    down_RF: Tensor
    error: float


def low_rank(change_DF: Tensor, rank: int | None, energy: float) -> LowRank:
    """The best approximation of ``rank``, or of the lowest rank that keeps ``energy`` of the squared norm."""
    left_DK, values_K, right_KF = torch.linalg.svd(change_DF.double(), full_matrices=False)
    kept_K = values_K.square().cumsum(0) / values_K.square().sum()
    if not float(values_K.sum()):
        raise UserError("The patch changes nothing in one of its tensors; there is no adapter to make.")
    if rank is None:
        rank = int((kept_K < energy).sum()) + 1
    rank = min(rank, len(values_K))
    error = float((1 - kept_K[rank - 1]).clamp(min=0).sqrt())
    root_R = values_K[:rank].sqrt()
    return LowRank((left_DK[:, :rank] * root_R).float(), (root_R[:, None] * right_KF[:rank]).float(), error)


def decompose(base: Path, patch: Patch, rank: int | None = None, energy: float = 0.99) -> dict[str, LowRank]:
    """Role -> the low-rank form of its change. Raises UserError on a wrong base or a rank below 1."""
    if (rank is not None and rank < 1) or not 0 < energy <= 1:
        raise UserError("The rank must be 1 or more, the energy above 0 and at most 1.")
    checkpoint = Checkpoint(base)
    parts = {}
    for role in patch.tensors:
        _, stored, edited = edited_tensor(checkpoint, patch, role)
        parts[role] = low_rank(edited.float() - stored.float(), rank, energy)
    return parts


def export_peft(model: Any, base: str, parts: dict[str, LowRank], out: Path) -> None:
    """Write a LoRA adapter for `PeftModel.from_pretrained(model, out)`.

    Args:
        model: the base model, which may be on the meta device: only the names of its modules are read.
        base: what the adapter names as its base.

    Raises:
        UserError: ``out`` exists, or the disk refuses.
    """
    from neuralgate.lvlm.roles import find_role

    names = {id(parameter): name.removesuffix(".weight") for name, parameter in model.named_parameters()}
    modules = {role: names[id(find_role(model, role))] for role in parts}
    ranks = {modules[role]: len(part.down_RF) for role, part in parts.items()}
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": max(ranks.values()),
        "lora_alpha": max(ranks.values()),
        "rank_pattern": ranks,
        "alpha_pattern": ranks,  # alpha = r: the product is added as it is
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": list(modules.values()),
    }
    tensors = {}
    for role, part in parts.items():
        tensors[f"base_model.model.{modules[role]}.lora_A.weight"] = part.down_RF.contiguous()
        tensors[f"base_model.model.{modules[role]}.lora_B.weight"] = part.up_DR.contiguous()

    def write(folder: Path) -> None:
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    write_folder(out, write)
