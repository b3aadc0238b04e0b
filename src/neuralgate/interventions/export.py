"""A patch leaves as something that other tools load: a merged model directory, or a PEFT adapter.

Merged: what is served is what was measured. The base is loaded as the run loaded it and must be the run's, tensor by tensor; the
written directory is loaded again and must be the patched base, tensor by tensor and in its answers. PEFT: the low-rank form of each
change (`low_rank`), with the error said beforehand, because an edit need not be of low rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import pad

from neuralgate.errors import UserError
from neuralgate.files import write_folder
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.directory import changes_of, write_patched
from neuralgate.interventions.hub import published_name
from neuralgate.interventions.low_rank import LowRank
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.values import sha256
from neuralgate.lvlm.checkpoint import Checkpoint
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import find_roles

MAX_ERROR = 0.1  # of a change's norm that an adapter may lose unasked
QUESTIONS = ("What is the colour of the picture?", "What is written in the picture?", "What is the number of the passport?")


def export_merged(base: Path, patch: Patch, out: Path, evidence: str | Evidence = "") -> list[str]:
    """Write ``base`` with the patch in it as a model directory that plain transformers loads: whole or not at all.

    Returns the files of ``base`` that were left out: other forms of the unedited weights. See `write_patched` for types.

    Raises:
        UserError: ``base`` is not the model that the patch was made on, what was written is not the patched base when it is
            loaded again, ``out`` exists, or the disk refuses.
    """
    left_out: list[str] = []

    def write(folder: Path) -> None:
        changes_of(Checkpoint(base), patch)  # says of a wrong base at once which tensor is another
        lvlm = measured_base(base, patch)
        exact = patch.resolved(lvlm.model)
        exact.apply_(lvlm.model)
        expected = identity(lvlm)
        how = {"dtype": str(lvlm.model.dtype).removeprefix("torch."), "prompt_style": lvlm.prompt_style}
        del lvlm  # there may be no room for two
        left_out.extend(write_patched(base, exact, folder, evidence))
        written = identity(load(folder, **how))
        if other := sorted(name for name in expected.keys() | written.keys() if expected.get(name) != written.get(name)):
            raise UserError(
                f"{out} is not written: loaded again, {other[0]} would not be what was measured; save {base} anew with save_pretrained "
                "and export from that."
            )

    write_folder(out, write)
    return left_out


def measured_base(base: Path, patch: Patch) -> LVLM:
    """The model in ``base``, loaded as it was for the patch. Raises UserError when it is not the model that the patch was made on."""
    dtype = next(iter(patch.tensors.values()))["dtype"]
    lvlm = load(base, dtype=dtype, prompt_style=patch.information.get("prompt_style", ""))
    if difference := other_base(lvlm, patch):
        raise UserError(f"{base} is not the model that was measured: {difference}; export from the base of the run.")
    return lvlm


def other_base(lvlm: LVLM, patch: Patch) -> str:
    """How a model without the patch differs from the one that the patch was made on, in words; empty where it does not."""
    expected = str(patch.information.get("base_fingerprint"))
    if lvlm.fingerprint == expected:
        return ""
    return (
        f"tensors beside the edited ones are others than in {patch.information.get('base_model')} "
        f"(fingerprint {lvlm.fingerprint[:12]}, not {expected[:12]})"
    )


def identity(lvlm: LVLM) -> dict[str, str]:
    """Every tensor's name with its shape, type and hash, and three questions with their answers."""
    picture = Image.merge("RGB", (Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256), 128)))
    answers = lvlm.generate([(picture, question) for question in QUESTIONS])
    tensors = {name: f"{tuple(tensor.shape)} {tensor.dtype} {sha256(tensor)}" for name, tensor in lvlm.model.state_dict().items()}
    return {**tensors, **{f"the answer to {question!r}": answer for question, answer in zip(QUESTIONS, answers, strict=True)}}


def export_peft(model: Any, base: str, parts: dict[str, LowRank], out: Path) -> None:
    """Write a LoRA adapter for `PeftModel.from_pretrained(model, out)`.

    All tensors get the same rank, zeros in the directions that one of them does not need: readers that scale by a tensor's own rank
    and readers that scale by the adapter's then add the same.

    Args:
        model: the base model, which may be on the meta device: only the names of its modules are read.
        base: what the adapter names as its base.

    Raises:
        UserError: peft is not installed, a tensor is not the weight of a linear layer, ``out`` exists, or the disk refuses.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError("An adapter needs the library peft: pip install 'neuralgate[peft]'.") from error
    owners = {id(module.weight): name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    modules = {role: owners.get(id(parameter), "") for role, parameter in find_roles(model, parts).items()}
    if others := [role for role, name in modules.items() if not name]:
        raise UserError(f"{', '.join(others)}: not the weight of a linear layer, which alone an adapter can change; export merged.")
    rank = max(len(part.down_RF) for part in parts.values())
    tensors = {}
    for role, part in parts.items():
        tensors[f"base_model.model.{modules[role]}.lora_A.weight"] = pad(part.down_RF, (0, 0, 0, rank - len(part.down_RF))).contiguous()
        tensors[f"base_model.model.{modules[role]}.lora_B.weight"] = pad(part.up_DR, (0, rank - len(part.down_RF))).contiguous()
    config = LoraConfig(
        base_model_name_or_path=published_name(base),
        inference_mode=True,
        r=rank,
        lora_alpha=rank,  # alpha = r: the product is added as it is
    )
    config.target_modules = list(modules.values())  # given to it, they would become a set, written in any order

    def write(folder: Path) -> None:
        config.save_pretrained(str(folder))
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    write_folder(out, write)
