"""What a model would need, from its configuration alone: nothing is downloaded but that, and no weights are read."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import Conversation
from neuralgate.lvlm.inputs import process
from neuralgate.lvlm.load import QUANTIZED, load_config, load_processor, model_source, processor_cure, processor_errors, wrong_settings
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import find_decoder

GIB = 2**30
BYTES = {"float32": 4.0, "bfloat16": 2.0, "8bit": 1.0, "4bit": 0.5}
SUFFIX = 64  # tokens from the subject to the end of a target, generously
ROWS = 8  # rows at a time for which activations are counted
LIBRARIES = ("neuralgate", "torch", "transformers", "accelerate", "bitsandbytes", "peft", "torchvision")


@dataclass(frozen=True)
class Memory:
    """GiB for one type of the weights, with ``ROWS`` questions at a time (halved by itself where they do not fit)."""

    dtype: str
    weights: float
    evaluate: float
    locate: float
    edit: float | None  # None: quantised weights are not edited
    edit_least: float | None  # with one row at a time


@dataclass(frozen=True)
class Diagnosis:
    """Everything that ``neuralgate doctor MODEL`` says."""

    architecture: str
    parameters: int
    decoder: str
    layers: int
    edited: str  # the FFN output projection of the first layer that has one, as a path
    shape: tuple[int, ...]
    refused: dict[int, str]  # layer -> why it cannot be edited
    prompt_style: str
    processor: str
    tokens: int  # of a picture of 336 x 336 pixels and a question
    memory: list[Memory]


def library_versions() -> dict[str, str]:
    """Library -> version, or that it is not installed."""
    version_of = {}
    for library in LIBRARIES:
        try:
            version_of[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            version_of[library] = "not installed"
    return version_of


def devices() -> list[tuple[str, float]]:
    """(name, GiB of memory) of what there is to compute on."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    places = [(f"cpu, {os.cpu_count()} cores", pages / GIB)]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        places.append((f"cuda:{index}, {properties.name}", properties.total_memory / GIB))
    return places


def examine(path_or_id: str, revision: str | None = None, prompt_style: str = "") -> Diagnosis:
    """Look at a model's configuration and processor. Raises UserError with the cure for what would stop `load`."""
    source = model_source(path_or_id)
    config = load_config(source, path_or_id, revision)
    processor = load_processor(source, path_or_id, revision)
    lvlm = LVLM(skeleton(config), processor, path_or_id, prompt_style)
    refused: dict[int, str] = {}
    projections = {}
    for layer in range(len(lvlm.layers)):
        try:
            projections[layer] = lvlm.ffn_out(layer)
        except UserError as error:
            refused[layer] = str(error)
    if not projections:
        raise UserError(refused[0])
    first = next(iter(projections.values())).weight
    names = {id(parameter): name for name, parameter in lvlm.model.named_parameters()}
    tokens = count_tokens(lvlm)
    return Diagnosis(
        architecture=type(lvlm.model).__name__,
        parameters=sum(parameter.numel() for parameter in lvlm.model.parameters()),
        decoder=find_decoder(lvlm.model)[1],
        layers=len(lvlm.layers),
        edited=names[id(first)],
        shape=tuple(first.shape),
        refused=refused,
        prompt_style=lvlm.prompt_style,
        processor=type(processor).__name__,
        tokens=tokens,
        memory=[memory(lvlm, dtype, first.shape, tokens) for dtype in BYTES],
    )


def count_tokens(lvlm: LVLM) -> int:
    """Tokens of a picture and a question. Raises UserError when the processor cannot make them or makes too many or few."""
    with processor_errors(lvlm):
        _, inputs = process(lvlm, [Conversation("What is the number of the passport?", (Image.new("RGB", (336, 336), "grey"),))])
    wrong = wrong_settings(lvlm)
    if wrong:
        raise UserError(f"The processor of {lvlm.name} does not fit its weights ({', '.join(wrong)}); {processor_cure(lvlm)}")
    return inputs["input_ids"].shape[1]


def memory(lvlm: LVLM, dtype: str, shape: tuple[int, ...], tokens: int) -> Memory:
    """An estimate by counting, not a measurement.

    A layer keeps about 8 D + 4 F numbers a token for its backward pass (norms, attention's inputs and output, the FFN's
    gate, up, product); the cache keeps keys and values. Locating computes backwards through all layers, where attention
    is plainly causal only over the tokens from the subject on; editing through the upper half, for the middle layer. The
    edited tensor itself needs its base, its gradient, and in float32 the master, its gradient and Adam's two moments.
    """
    text, size = lvlm.text_config, BYTES[dtype]
    half = min(size, 2.0) if dtype in QUANTIZED else size
    linear = sum(module.weight.numel() for module in lvlm.model.modules() if isinstance(module, nn.Linear))
    total = sum(parameter.numel() for parameter in lvlm.model.parameters())
    weights = linear * size + (total - linear) * (2.0 if dtype in QUANTIZED else size)
    layers, (hidden, ffn) = len(lvlm.layers), shape
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    cache = 2 * heads * (hidden // text.num_attention_heads) * layers * half * tokens
    backward = (8 * hidden + 4 * ffn) * half
    logits = text.vocab_size * 4
    reached = min(tokens, SUFFIX) if lvlm.is_plain else tokens
    tensor = hidden * ffn * (2 * half + 16)

    def gib(number: float) -> float:
        return round((weights + number) / GIB, 1)

    def edit(rows: int) -> float | None:
        return None if dtype in QUANTIZED else gib(tensor + rows * (tokens * backward * layers / 2 + 8 * logits))

    return Memory(
        dtype=dtype,
        weights=gib(0),
        evaluate=gib(ROWS * (cache + logits)),
        locate=gib(ROWS * (cache + hidden * half * layers * tokens + reached * backward * layers + 8 * logits)),
        edit=edit(ROWS),
        edit_least=edit(1),
    )


def advice(name: str, diagnosis: Diagnosis, machine: list[tuple[str, float]]) -> str:
    """A command to begin with on this machine."""
    place, room = machine[-1]  # the last GPU, or the CPU where there is none
    device = place.partition(",")[0]
    for need in diagnosis.memory:
        if need.edit_least is not None and need.edit_least <= room * 0.95 and (need.dtype == "float32" or device != "cpu"):
            dtype = "" if need.dtype == "float32" else f" --machine dtype={need.dtype}"
            return f"try: neuralgate run {name} --machine device={device}{dtype}"
    return f"An edit does not fit into {room:.0f} GiB ({place}); try: neuralgate run {name} --machine device=split --machine dtype=bfloat16"


def skeleton(config: Any) -> Any:
    """The model without weights."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()  # transformers 5.0 leaves that to loading
    return model
