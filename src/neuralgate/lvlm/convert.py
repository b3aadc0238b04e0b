"""The published parts of MiniGPT-4 (llama2-7b), put together into one model directory."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralgate.errors import UserError, first_line
from neuralgate.files import write_folder
from neuralgate.lvlm.checkpoint import Checkpoint

#: Names in eva_vit_g.pth -> in transformers' Blip2VisionModel.
RENAMED = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.layers.\1.layer_norm1."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.layers.\1.layer_norm2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
)
PROJECTION = "llama_proj"
QFORMER_WIDTH = 768  # what the Vicuna variants' projection reads


def load_pickle(path: Path) -> dict[str, Any]:
    """A published .pth without running any code in it. Raises UserError when it wants to, or cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} wants to run code when it is loaded, which weights do not need; get it from its authors again.") from error
    except Exception as error:  # a foreign file can break an unpickler in any way
        raise UserError(f"{path} is not a file of PyTorch weights ({type(error).__name__}).") from error


def read_projection(path: Path, merge: int, vision_size: int, hidden_size: int) -> tuple[Tensor, Tensor]:
    """Weight ``(hidden size, merge * vision size)`` and bias of the projection.

    Raises:
        UserError: another file, or a projection of another variant, told by its shape.
    """
    stored = load_pickle(path)
    state = stored.get("model", stored) if isinstance(stored, dict) else {}
    try:
        weight, bias = state[f"{PROJECTION}.weight"], state[f"{PROJECTION}.bias"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} holds no {PROJECTION}; give pretrained_minigpt4_llama2_7b.pth.") from error
    if weight.shape[1] == QFORMER_WIDTH != merge * vision_size:
        raise UserError(
            f"{path} is the projection of a Vicuna variant: it reads the Q-Former's {QFORMER_WIDTH} numbers, and the llama2 "
            "variant has no Q-Former; give pretrained_minigpt4_llama2_7b.pth."
        )
    if weight.shape != (hidden_size, merge * vision_size):
        raise UserError(
            f"{path} holds a projection of shape {list(weight.shape)} where {[hidden_size, merge * vision_size]} is needed; it belongs to "
            "another language model or vision tower."
        )
    return weight, bias


def from_eva(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The vision tower's tensors by transformers' names, from eva_vit_g.pth: blocks beyond the ``blocks`` used, norm and head left out."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if (block := re.match(r"blocks\.(\d+)\.", name)) and int(block[1]) >= blocks:
            continue
        for pattern, replacement in RENAMED:
            if re.search(pattern, name):
                renamed[re.sub(pattern, replacement, name)] = tensor
    for index in range(blocks):
        query, value = (state.get(f"blocks.{index}.attn.{part}_bias") for part in ("q", "v"))
        if query is not None and value is not None:
            renamed[f"encoder.layers.{index}.self_attn.qkv.bias"] = torch.cat([query, torch.zeros_like(value), value])
    return renamed


def read_vision(path: Path, blocks: int, warn: Callable[[str], None]) -> dict[str, Tensor]:
    """The vision tower's tensors from eva_vit_g.pth or from a BLIP-2 model directory, without the norm behind it."""
    if path.is_dir():
        if any("-coco" in part.lower() for part in path.resolve().parts):  # in the hub's cache the last part is a hash
            warn(f"{path} looks like a -coco BLIP-2, whose vision tower was trained further; MiniGPT-4 uses that of the plain ones.")
        checkpoint = Checkpoint(path)
        prefix = "vision_model."
        return {
            name.removeprefix(prefix): checkpoint.read(name)
            for name in checkpoint.tensors
            if name.startswith(prefix) and ".post_layernorm." not in f".{name}"
        }
    return from_eva(load_pickle(path), blocks)


def convert_minigpt4(llm: Path, vision: Path, projection: Path, out: Path, warn: Callable[[str], None], vision_config: Any = None) -> None:
    """Write ``out``, a model directory of ``MiniGPT4ForConditionalGeneration``, from the parts: whole or not at all.

    Args:
        llm: directory of Llama-2-7b-chat with its tokenizer.
        vision: eva_vit_g.pth, or the directory of a BLIP-2 model.
        projection: pretrained_minigpt4_llama2_7b.pth.
        warn: told what the user should know.
        vision_config: sizes of the vision tower; None for EVA ViT-g's.

    Raises:
        UserError: a part is missing, broken or of another variant, or ``out`` exists.
    """
    from transformers import AutoTokenizer, Blip2VisionConfig, BlipImageProcessor, GenerationConfig, LlamaForCausalLM

    from neuralgate.lvlm.minigpt4 import MiniGPT4Config, MiniGPT4ForConditionalGeneration, MiniGPT4Processor

    try:
        language = LlamaForCausalLM.from_pretrained(llm, dtype="auto", trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(llm, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{llm} cannot be loaded as a Llama model with its tokenizer: {first_line(error)}") from error
    config = MiniGPT4Config(vision_config=vision_config or Blip2VisionConfig(), text_config=language.config)
    config.dtype = language.dtype
    sizes = config.vision_config
    weight, bias = read_projection(projection, config.merge, sizes.hidden_size, language.config.hidden_size)
    with torch.device("meta"):
        model = MiniGPT4ForConditionalGeneration(config)
    tower = read_vision(vision, sizes.num_hidden_layers, warn)
    # the published checkpoint never fills the norm behind the tower, so it runs with weight 1 and bias 0
    tower |= {"post_layernorm.weight": torch.ones(sizes.hidden_size), "post_layernorm.bias": torch.zeros(sizes.hidden_size)}
    state = {f"model.language_model.{name}": tensor for name, tensor in language.model.state_dict().items()}
    state |= {f"model.vision_tower.{name}": tensor for name, tensor in tower.items()}
    state |= {f"model.multi_modal_projector.{name}": tensor for name, tensor in (("weight", weight), ("bias", bias))}
    state["lm_head.weight"] = language.lm_head.weight
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if missing := sorted(wanted.keys() - state.keys()):
        raise UserError(f"{vision} lacks {missing[0]}; it is not the vision tower of MiniGPT-4 (EVA ViT-g).")
    for name, shape in wanted.items():
        if state[name].shape != shape:
            raise UserError(f"{name} has shape {list(state[name].shape)} where {list(shape)} is needed; the parts do not belong together.")
    model.load_state_dict({name: state[name].to(language.dtype) for name in wanted}, assign=True)
    generation = language.generation_config  # its sampling settings would contradict greedy answers
    model.generation_config = GenerationConfig(
        bos_token_id=generation.bos_token_id, eos_token_id=generation.eos_token_id, pad_token_id=generation.pad_token_id, do_sample=False
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    patches = (sizes.image_size // sizes.patch_size) ** 2
    images = BlipImageProcessor(size={"height": sizes.image_size, "width": sizes.image_size})  # bicubic, the shape is not kept
    processor = MiniGPT4Processor(images, tokenizer, image_seq_length=patches // config.merge, image_token_id=config.image_token_id)

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)

    write_folder(out, write)
