"""What closed forms need of a model and a text, kept in the user's cache: named by the model's weights and by what it hangs on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from neuralgate.cache import cache_folder
from neuralgate.files import digest, hash_path, write_bytes
from neuralgate.lvlm.conversation import ImageLike
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example, encode_examples

VERSION = 2  # another one where the same would come out differently

Tensors = dict[str, Tensor]


def kept(
    lvlm: LVLM, kind: str, about: Sequence[Any], layers: Sequence[int], compute: Callable[[list[int]], dict[int, Tensors]]
) -> dict[int, Tensors]:
    """Tensors of ``kind`` for each of ``layers``, on the layer's device: from the cache where they are there, else computed for those that
    are missing; of a model that is edited already, which will not come again, computed always."""
    if lvlm.weights_hash() != lvlm.fingerprint:
        return compute(list(layers))
    folder = cache_folder() / kind / digest([VERSION, lvlm.fingerprint, about])[:32]
    files = {layer: folder / f"{layer}.safetensors" for layer in layers}
    if missing := [layer for layer, path in files.items() if not path.is_file()]:
        for layer, tensors in compute(missing).items():
            write_bytes(files[layer], save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))
    found = {layer: load(path.read_bytes()) for layer, path in files.items()}
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
