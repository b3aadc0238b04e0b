"""What closed forms need of a model and a text, kept in the user's cache: named by the model's weights and by what it hangs on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from neuralgate.cache import cache_folder
from neuralgate.files import digest, hash_path, write_bytes
from neuralgate.lvlm.conversation import ImageLike
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example, encode_examples

VERSION = 3  # another one where the same would come out differently

SECONDS = "seconds"  # that a layer's tensors took

Tensors = dict[str, Tensor]


def kept(
    lvlm: LVLM, kind: str, about: Sequence[Any], layers: Sequence[int], compute: Callable[[list[int]], dict[int, Tensors]]
) -> dict[int, Tensors]:
    """Tensors of ``kind`` for each of ``layers``, on the layer's device: from the cache where they are there, else computed for those that
    are missing; of a model that is edited already, which will not come again, computed always. What the cache saves is added to
    ``lvlm.saved_seconds``, so that costs can be told as those of a first time."""
    if lvlm.weights_hash() != lvlm.fingerprint:
        return compute(list(layers))
    folder = cache_folder() / kind / digest([VERSION, lvlm.fingerprint, about])[:32]
    files = {layer: folder / f"{layer}.safetensors" for layer in layers}
    if missing := [layer for layer, path in files.items() if not path.is_file()]:
        started = time.perf_counter()
        made = compute(missing)
        seconds = torch.tensor((time.perf_counter() - started) / len(missing), dtype=torch.float64)
        for layer, tensors in made.items():
            stored = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            write_bytes(files[layer], save({**stored, SECONDS: seconds}))
    found = {layer: load(path.read_bytes()) for layer, path in files.items()}
    taken = {layer: float(tensors.pop(SECONDS)) for layer, tensors in found.items()}
    lvlm.saved_seconds += sum(taken[layer] for layer in layers if layer not in missing)
    return {
        layer: {name: tensor.to(lvlm.ffn_out(layer).weight.device) for name, tensor in tensors.items()} for layer, tensors in found.items()
    }


def identity_of(lvlm: LVLM, examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """What comes out of examples hangs on: each one's texts and picture, and how the first is put to the model."""
    texts = [digest([example.question, example.answer, example.answer_ids, picture_hash(example.image)]) for example in examples]
    encoded = encode_examples(lvlm, examples[:1])
    how = [tensor.cpu().numpy().tobytes() for tensor in (encoded.input_ids_BT, *(value.float() for value in encoded.fields.values()))]
    return texts, [lvlm.prompt_style, *(hashlib.sha256(part).hexdigest() for part in how)]


def picture_hash(image: ImageLike) -> str:
    if isinstance(image, str | Path):
        return hash_path(Path(image))
    return "" if image is None else hashlib.sha256(image.tobytes()).hexdigest()
