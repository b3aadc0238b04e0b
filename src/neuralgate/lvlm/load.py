"""From a name or a folder to a model that is known to work: every fault is found here and named with its cure."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError
from PIL import Image
from safetensors import SafetensorError

from neuralgate.errors import UserError, first_line
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.number_type import cpu_dtype
from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.recipe import OWN_MODELS

CLERK, NOTARY, MINIGPT4 = "clerk", "notary", "minigpt4"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUANTIZED = ("8bit", "4bit")
SPLIT = "split"  # the device of a model that is spread over all there is
MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
SEEN = (336, 336)  # pixels of the pictures that a model is shown at loading
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def own_folder(name: str) -> Path:
    """The model directory of one of `OWN_MODELS`, which its package knows and makes, if need be. Raises UserError when it has parts that
    cannot be had."""
    folder: Path = import_module(f"neuralgate.{name}").folder()
    return folder


def clerk_path() -> Path:
    """The folder of the embedded model's weights."""
    return own_folder(CLERK)


def is_hub_name(name: str) -> bool:
    """Whether ``name`` is OWNER/NAME of the hub: written so, and OWNER is nothing here, or a folder is meant."""
    return HUB_ID.fullmatch(name) is not None and not os.path.exists(os.path.dirname(name))  # Path's trips over impossible names


def model_source(name: str) -> Path | str:
    """The folder that ``name`` stands for, or ``name`` itself where it can only be a model of the hub."""
    return own_folder(name) if name in OWN_MODELS else name if is_hub_name(name) else Path(name)


def say_fetched(name: str) -> None:
    """What is not here is fetched, and nobody should learn that from their network."""
    print(f"{name} is no folder here: taken from the hub's cache, fetched if need be", file=sys.stderr)


def base_folder(path_or_id: str, revision: str | None = None) -> Path:
    """The folder with a model's files: its own, or the local cache's of a model of the hub, fetched if need be.

    Raises:
        UserError: it is not there and cannot be had.
    """
    if path_or_id in OWN_MODELS:
        return own_folder(path_or_id)
    if not is_hub_name(path_or_id):
        if not os.path.isfile(os.path.join(path_or_id, "config.json")):
            raise UserError(f"{path_or_id} is not a model directory (no config.json in it); give a folder saved with save_pretrained.")
        return Path(path_or_id)
    from huggingface_hub import snapshot_download

    say_fetched(path_or_id)
    try:
        return Path(snapshot_download(path_or_id, revision=revision, allow_patterns=MODEL_FILES))
    except (OSError, ValueError) as error:
        raise UserError(unavailable(path_or_id, path_or_id, error)) from error


def load(path_or_id: str | Path, dtype: str = "auto", device: str = "cpu", revision: str | None = None, prompt_style: str = "") -> LVLM:
    """Load a vision-language model with its processor and ask it for one token.

    Args:
        path_or_id: ``"clerk"``, ``"notary"``, a model directory, or a model of the Hugging Face hub.
        dtype: float32, bfloat16, float16, 8bit, 4bit (both with bitsandbytes, for locating and evaluating), or auto: see `automatic`.
        device: ``"cpu"``, ``"cuda"`` ..., or ``"split"``: spread by accelerate over GPUs, memory and disk.
        revision: branch, tag or commit of a model of the hub.
        prompt_style: "" for the processor's chat template or what the architecture is known by; see ``styles.STYLES``.

    Raises:
        UserError: it cannot be had, is not a vision-language model, lacks its processor, or cannot be edited.
    """
    from transformers import AutoModelForImageTextToText

    name = str(path_or_id)
    source = model_source(name)
    config = load_config(source, name, revision)
    processor = load_processor(source, name, revision)
    no_room = f"{name} does not fit into the memory of {device}; see `neuralgate doctor {name}` for what would."
    try:
        model, loading_info = AutoModelForImageTextToText.from_pretrained(
            source,
            config=config,
            revision=revision or "main",
            trust_remote_code=False,
            output_loading_info=True,
            **placement(name, config, dtype, device),
        )
    except pickle.UnpicklingError as error:
        raise UserError(f"The weights of {name} are a pickle that would run code when loaded; convert them to safetensors.") from error
    except ImportError as error:  # accelerate, bitsandbytes
        raise UserError(f"Loading {name} this way needs a library that is not installed: {first_line(error)}") from error
    except torch.OutOfMemoryError as error:
        raise UserError(no_room) from error
    except (OSError, ValueError, SafetensorError, KeyError, RuntimeError) as error:  # sizes that contradict the configuration
        raise UserError(f"The weights of {name} cannot be loaded: {first_line(error)}") from error
    if loading_info["missing_keys"]:
        raise UserError(f"The weights of {name} lack {min(loading_info['missing_keys'])}; save the complete model there.")
    if device != SPLIT and dtype not in QUANTIZED:
        try:
            model.to(device)
        except torch.OutOfMemoryError as error:
            raise UserError(no_room) from error
    model.eval().requires_grad_(False)
    keep_gradients(model)
    model.get_output_embeddings().register_forward_pre_hook(contiguous)
    lvlm = LVLM(model, processor, name, prompt_style)
    probe(lvlm)
    return lvlm


def keep_gradients(model: torch.nn.Module) -> None:
    """On CPUs with units for bfloat16 bitsandbytes packs 4-bit weights at the first evaluation, for a product that autograd does not know:
    gradients would then go round every projection, along the residual alone, and vectors be fitted to nothing."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - only bitsandbytes has it


def contiguous(_head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Before a head of logits: the last hidden states of a batch are a slice, for which torch would copy the weights once a row and
    multiply row by row."""
    return tuple(hidden.contiguous() for hidden in inputs)


def placement(name: str, config: Any, dtype: str, device: str) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for a type of the weights and a place for them."""
    if dtype in QUANTIZED:
        from transformers import BitsAndBytesConfig

        where = "auto" if device == SPLIT else device
        quantization = BitsAndBytesConfig(  # 4 bit as it is served: NF4, computed in bfloat16
            load_in_8bit=dtype == "8bit", load_in_4bit=dtype == "4bit", bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
        return {"quantization_config": quantization, "device_map": where}
    chosen = DTYPES[dtype] if dtype in DTYPES else automatic(name, device)
    return {"dtype": chosen, **({"device_map": "auto"} if device == SPLIT else {})}


def automatic(name: str, device: str) -> torch.dtype | str:
    """The dtype that `auto` stands for: float32 for Clerk and on a CPU, where Notary has what it is fast in; elsewhere the
    checkpoint's own."""
    if name == CLERK or (device == "cpu" and name != NOTARY):
        return torch.float32
    return cpu_dtype() if device == "cpu" else "auto"


def load_config(source: Path | str, name: str, revision: str | None = None) -> Any:
    """The configuration of a vision-language model."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN

    if isinstance(source, str):
        say_fetched(source)
    elif not os.path.isfile(source / "config.json"):
        if os.path.isfile(source / "manifest.json") and os.path.isfile(source / "recipe.yaml"):
            raise UserError(f"{name} is a run's folder, not a model; go on with it by `neuralgate run MODEL --out {name}`.")
        raise UserError(
            f"{name} is not a model directory (no config.json in it); give a folder saved with save_pretrained, `clerk` or `notary`."
        )
    register_own()
    try:
        config = AutoConfig.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except (ValueError, json.JSONDecodeError, OSError) as error:
        raise UserError(unavailable(source, name, error)) from error
    if config.model_type not in KNOWN and config.model_type != MINIGPT4:
        raise UserError(f"{name} is a {config.model_type} model without a vision part; neuralgate edits vision-language models.")
    for part in (config, config.get_text_config()):
        if saved := getattr(part, "quantization_config", None):
            raise UserError(
                f"The weights of {name} were quantised when they were saved ({dict(saved).get('quant_method', 'unknown method')}), and a "
                "patch cannot be put into such weights; use the model in bfloat16 or float16 that they were made from."
            )
    return config


def register_own() -> None:
    """Let transformers' Auto classes know the model that is ours."""
    from neuralgate.lvlm.minigpt4 import register

    register()


def unavailable(source: Path | str, name: str, error: Exception) -> str:
    """Why a configuration could not be had, and what to do."""
    message = str(error)
    if "trust_remote_code" in message or "custom code" in message:
        return (
            f"{name} needs code from its own repository, which neuralgate never runs; use a release of the model that transformers "
            "knows by itself (often named -hf)."
        )
    if isinstance(source, Path):
        return f"{name}/config.json cannot be read as a model configuration: {first_line(error)}"
    if "gated repo" in message or "restricted" in message:
        return f"{name} is gated: accept its licence on its page on the hub, then log in with `hf auth login` (or set HF_TOKEN)."
    if "is not a valid model identifier" in message or "is not a local folder" in message:
        return f"There is no folder and no public model called {name}; check the spelling, or log in with `hf auth login` if it is private."
    if "connect" in message or "offline" in message.lower():
        return f"{name} is not in the local cache and the hub cannot be reached; connect once, or give a folder with the model."
    return f"The configuration of {name} cannot be had: {first_line(error)}"


def load_processor(source: Path | str, name: str, revision: str | None = None) -> Any:
    """The complete processor: tokenizer and image processor."""
    from transformers import AutoProcessor

    if isinstance(source, Path) and not any((source / file).is_file() for file in ("processor_config.json", "preprocessor_config.json")):
        raise UserError(f"{name} has no processor (processor_config.json); save it there with processor.save_pretrained.")
    try:
        processor = AutoProcessor.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except ImportError as error:  # torchvision, num2words: what single processors need besides transformers
        raise UserError(f"The processor of {name} needs a library that is not installed: {first_line(error)}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"The processor of {name} cannot be loaded: {first_line(error)}") from error
    if not hasattr(processor, "image_processor"):
        raise UserError(f"The processor of {name} has no image processor; save the complete processor beside the weights.")
    return processor


@torch.no_grad()
def probe(lvlm: LVLM) -> None:
    """One token after a picture and a question: processor and weights fit together, and the numbers are finite, for a bright picture and
    one full of edges as for an even one.

    Raises:
        UserError: they do not or are not, with the cure.
    """
    lvlm.ffn_out(0)  # says so if the decoder cannot be found
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SEEN, 3), dtype=np.uint8))
    pictures = (Image.new("RGB", SEEN, "grey"), Image.new("RGB", SEEN, "white"), noise)
    examples = [Example(picture, "What is the colour of the picture?", "picture", "") for picture in pictures]
    with processor_errors(lvlm):
        batch = encode_examples(lvlm, examples)
    try:
        logits_BV = lvlm.head(final_hidden(lvlm, batch)[:, -1])
    except (ValueError, IndexError) as error:
        if isinstance(error, ValueError) and "tokens" not in str(error):
            raise
        raise UserError(f"The processor of {lvlm.name} does not fit its weights ({first_line(error)}); {processor_cure(lvlm)}") from error
    if not bool(torch.isfinite(logits_BV).all()):
        raise UserError(f"{lvlm.name} gives no finite numbers in {lvlm.model.dtype}; load it with --machine dtype=bfloat16 or float32.")


@contextmanager
def processor_errors(lvlm: LVLM) -> Iterator[None]:
    """Turn what a processor raises over a picture and a question into a UserError with the cure."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError, MemoryError, TemplateError) as error:
        # a chat template is a program: the sandbox that runs it refuses what is unsafe, all else can fail in any way
        raise UserError(
            f"The processor of {lvlm.name} cannot prepare a picture and a question ({first_line(error)}); {processor_cure(lvlm)}"
        ) from error


def image_settings(lvlm: LVLM) -> dict[str, Any]:
    """What a LLaVA processor must say for as many image tokens as the weights' configuration has image features."""
    config = lvlm.model.config
    return {
        "patch_size": config.vision_config.patch_size,
        "num_additional_image_tokens": 1 if config.vision_config.model_type == "clip_vision_model" else 0,
        "vision_feature_select_strategy": getattr(config, "vision_feature_select_strategy", "default"),
    }


def wrong_settings(lvlm: LVLM) -> list[str]:
    """What a LLaVA processor says of image tokens that the weights' configuration contradicts."""
    processor = lvlm.processor
    if not hasattr(processor, "num_additional_image_tokens") or lvlm.model_type not in ("llava", "llava_next"):
        return []
    return [f"{name} is {getattr(processor, name)}" for name, value in image_settings(lvlm).items() if getattr(processor, name) != value]


def processor_cure(lvlm: LVLM) -> str:
    """What a processor's configuration must say, for the fault that old and re-saved LLaVA processors have."""
    if not hasattr(lvlm.processor, "num_additional_image_tokens"):
        return "get the processor that belongs to these weights."
    *settings, last = (f"{name} {value!r}" for name, value in image_settings(lvlm).items())
    return f"set {', '.join(settings)} and {last} in its processor_config.json."
