"""A vision-language model with its processor, and the few things the rest of the package asks of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from neuralgate.errors import UserError
from neuralgate.files import disk_errors
from neuralgate.lvlm.images import open_image

CLERK = "clerk"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ImageLike = Image.Image | Path | str | None


@dataclass
class LVLM:
    """``model`` in evaluation mode without parameter gradients, ``processor``, and ``name`` as the user gave it.

    Letters: ``B`` batch, ``T`` tokens, ``D`` hidden size, ``F`` FFN width, ``L`` decoder layers.
    """

    model: Any  # a transformers model; its class decides its attributes, so no static type knows them
    processor: Any
    name: str

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @cached_property
    def decoder(self) -> Any:
        """The language model's stack: ``.layers`` (L of them) and ``.norm``. The vision tower is never in it."""
        return self.model.get_decoder()

    @property
    def layers(self) -> Any:
        return self.decoder.layers

    @property
    def hidden_size(self) -> int:
        return self.model.config.get_text_config().hidden_size

    def ffn_out(self, layer: int) -> nn.Linear:
        """The FFN output projection of decoder layer ``layer``: out = W a with W ``(D, F)``."""
        if not 0 <= layer < len(self.layers):
            raise UserError(f"Layer {layer} is out of range: {self.name} has decoder layers 0 to {len(self.layers) - 1}.")
        return self.layers[layer].mlp.down_proj

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over names, shapes and bytes of all parameters: the identity of the base model."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor_bytes(tensor))
        return digest.hexdigest()

    def save(self, folder: Path | str) -> None:
        """Write the model as it stands, with its complete processor, as a normal model directory: whole or not at all.

        Raises:
            UserError: ``folder`` exists already, or there is no space or no right to write.
        """
        folder = Path(folder)
        if folder.exists():
            raise UserError(f"{folder} exists already; choose a new folder.")
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
                try:
                    self.model.save_pretrained(Path(partial) / "model", safe_serialization=True)
                except SafetensorError as error:  # how the library reports a full disk
                    raise UserError(f"{folder} cannot be written ({error}); free some space or choose another folder.") from error
                self.processor.save_pretrained(Path(partial) / "model")
                (Path(partial) / "model").replace(folder)

    def generate(
        self,
        items: Sequence[tuple[ImageLike, str]],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
    ) -> list[str]:
        """Greedy free generation, one answer per ``(image or None, question)``, in the order given."""
        from neuralgate.lvlm.generate import generate

        return generate(self, items, max_new_tokens, batch_size, report)


def role_of(layer: int) -> str:
    """The name under which patches keep the FFN output projection of a layer: parameter names move between releases."""
    return f"decoder.{layer}.ffn.out"


def find_role(model: Any, role: str) -> nn.Parameter:
    """The parameter that plays ``role`` in ``model``. Raises UserError if there is none."""
    match = re.fullmatch(r"decoder\.(\d+)\.ffn\.out", role)
    layers = model.get_decoder().layers
    if not match or int(match[1]) >= len(layers):
        raise UserError(f"The model has no tensor {role} (it has {len(layers)} decoder layers); the patch belongs to another model.")
    return layers[int(match[1])].mlp.down_proj.weight


def tensor_bytes(tensor: Tensor) -> bytes:
    """The raw bytes of a tensor, whatever its dtype."""
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def clerk_path() -> Path:
    """The folder of the embedded model's weights."""
    return Path(str(resources.files("neuralgate.lvlm.clerk").joinpath("weights")))


def load(path_or_id: str | Path, dtype: str = "float32", device: str = "cpu") -> LVLM:
    """Load a vision-language model directory (or ``"clerk"``) with its processor.

    Raises:
        UserError: the directory is missing, is not a vision-language model, or lacks its processor.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    name = str(path_or_id)
    folder = clerk_path() if name == CLERK else Path(name)
    if not (folder / "config.json").is_file():
        raise UserError(f"{name} is not a model directory (no config.json in it); give a folder saved with save_pretrained, or `clerk`.")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, json.JSONDecodeError, OSError) as error:
        raise UserError(f"{name}/config.json cannot be read as a model configuration: {str(error).splitlines()[0]}") from error
    if not hasattr(config, "vision_config"):
        raise UserError(f"{name} is a {config.model_type} model without a vision part; neuralgate edits vision-language models.")
    if config.model_type != "llava":
        raise UserError(f"{name} is a {config.model_type} model; this version edits models of the LLaVA architecture (model_type llava).")
    if not any((folder / file).is_file() for file in ("processor_config.json", "preprocessor_config.json")):
        raise UserError(f"{name} has no processor (processor_config.json); save it there with processor.save_pretrained.")
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"The processor of {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    if not hasattr(processor, "image_processor"):
        raise UserError(f"The processor of {name} has no image processor; save the complete processor beside the weights.")
    if not processor.chat_template:
        raise UserError(f"The processor of {name} has no chat template, so its prompts are unknown; save one with the processor.")
    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder, config=config, dtype=DTYPES[dtype], trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"The weights of {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    if found["missing_keys"]:
        raise UserError(f"The weights of {name} lack {min(found['missing_keys'])}; save the complete model there.")
    model.to(device).eval().requires_grad_(False)
    return LVLM(model, processor, name)


__all__ = ["LVLM", "clerk_path", "find_role", "load", "open_image", "role_of", "tensor_bytes"]
