"""Base and delta -> the complete Notary, an ordinary model directory in the cache.

The delta holds what was trained: ``vision_tower.*`` and ``multi_modal_projector.*`` whole, and for matrices of the mind
``language_model.layers.{i}.{matrix}.lora_a`` (R, in) and ``.lora_b`` (out, R), which stand for base + lora_b lora_a
(https://arxiv.org/abs/2106.09685, the scale multiplied in). A matrix without them is the base's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

from neuralgate.cache import cache_folder
from neuralgate.errors import UserError
from neuralgate.files import digest, hash_path, read_json, write_json
from neuralgate.notary import base as bases
from neuralgate.notary import cache
from neuralgate.notary.cache import WEIGHTS, Report
from neuralgate.progress import Display

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.notary.base import Base

FORMAT = 1  # raised when another model directory is made of the same delta
DELTA, CONFIG, MERGED = "delta.safetensors", "config.json", "merged.json"
LORA = re.compile(r"language_model\.(layers\.\d+\.(?:self_attn|mlp)\.\w+)\.lora_([ab])")
WHOLE = ("vision_tower.", "multi_modal_projector.")
GRAIN = 2.0**-20  # every value of a lora_a or lora_b is a multiple of it,
LARGEST = 8.0  # smaller than this,
RANK = 128  # and no more of them are summed: see `merged`


def delta_folder() -> Path:
    """What comes with the package."""
    return Path(str(resources.files("neuralgate.notary").joinpath("weights")))


def notary_folder(
    delta: Path | None = None, base: Base | None = None, given: Path | None = None, thorough: bool = False, display: Display | None = None
) -> Path:
    """Notary as a model directory, with its base fetched and converted, and put together where it is not in the cache yet.

    Args:
        delta: a folder with ``delta.safetensors``, ``config.json`` and, once `seal` has written it, ``merged.json``.
        base, given, thorough: as `base_folder` takes them.

    Raises:
        UserError: the delta is not there, the base cannot be had, or the cache cannot be written.
    """
    home, display, delta, base = cache_folder(), display or Display(), delta or delta_folder(), base or bases.SMOLLM2
    for name in (DELTA, CONFIG):
        if not (delta / name).is_file():
            raise UserError(f"{delta / name} is missing, without which there is no Notary; install neuralgate again.")
    sha256 = read_json(delta / MERGED)["sha256"] if (delta / MERGED).is_file() else None
    folder = home / f"notary-{key(delta, base)}"
    if cache.is_made(folder, sha256, thorough):
        return folder
    size = base.weights_size + 2 * (delta / DELTA).stat().st_size
    mind = bases.base_folder(base, given, thorough, display, after=size)
    with cache.alone(home, display):
        if not cache.is_made(folder, sha256, thorough):
            cache.needs_room(home, size, "Notary")
            display.start("assemble")
            try:
                cache.make(
                    folder,
                    sha256,
                    lambda new: assemble(mind, delta, new, lambda done, total, text: display.update(done, total, text, {})),
                    f"{base.name} and {delta / DELTA} do not give the Notary that was measured; install neuralgate again",
                    display,
                )
            finally:
                display.stop()
    return folder


def key(delta: Path, base: Base) -> str:
    """Another one for everything that makes another folder: the code of the processor, too."""
    parts = (delta / DELTA, delta / CONFIG, Path(__file__).with_name("build.py"))
    return digest([FORMAT, base.key, *map(hash_path, parts)])[:12]


def seal(delta: Path, base: Base | None = None) -> str:
    """Note beside a delta the sha256 of the weights that it gives with its base; every other machine must get the same. Returns it."""
    base = base or bases.SMOLLM2
    (delta / MERGED).unlink(missing_ok=True)
    made = cache.Made.model_validate(read_json(notary_folder(delta, base, thorough=True) / cache.RECORD))
    write_json(delta / MERGED, {"base": base.weights_sha256, "sha256": made.sha256})
    return made.sha256


def assemble(mind: Path, delta: Path, folder: Path, report: Report) -> str:
    """Write the model directory into ``folder``. Returns the sha256 of its weights, in the names that checkpoints on the hub have, which
    transformers 5.0 needs and newer versions translate."""
    from safetensors import safe_open

    from neuralgate.notary.build import build_processor

    copyfile(delta / CONFIG, folder / CONFIG)
    text = read_json(delta / CONFIG)["text_config"]
    ends = {name: text[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id") if name in text}
    write_json(folder / "generation_config.json", {**ends, "do_sample": False})
    build_processor(mind).save_pretrained(folder)
    with safe_open(mind / WEIGHTS, framework="pt") as base, safe_open(delta / DELTA, framework="pt") as trained:
        parts: dict[str, dict[str, str]] = {"a": {}, "b": {}}
        sources: dict[str, tuple[str, str]] = {}  # name in the model -> name in the base or the delta, and which of them
        for name in base.keys():  # noqa: SIM118 - it is no mapping
            sources[f"language_model.{name}"] = (name, "base")
        for name in trained.keys():  # noqa: SIM118
            if found := LORA.fullmatch(name):
                parts[found[2]][f"language_model.model.{found[1]}.weight"] = name
            elif name.startswith(WHOLE):
                sources[re.sub(r"^vision_tower\.(?!vision_model\.)", "vision_tower.vision_model.", name)] = (name, "delta")
            else:
                raise ValueError(f"{name} has no place in Notary")
        if parts["a"].keys() != parts["b"].keys() or not parts["a"].keys() <= sources.keys():
            raise ValueError("a lora_a without its lora_b, or one of a matrix that the base does not have")

        def tensor_of(name: str) -> Tensor:
            stored, place = sources[name]
            tensor = (base if place == "base" else trained).get_tensor(stored)
            if name not in parts["a"]:
                return tensor
            return merged(tensor, trained.get_tensor(parts["a"][name]), trained.get_tensor(parts["b"][name]))

        shapes = {
            name: tuple((base if place == "base" else trained).get_slice(stored).get_shape()) for name, (stored, place) in sources.items()
        }
        return cache.write_weights(folder / WEIGHTS, shapes, tensor_of, report, "tensors of base and delta")


def merged(base_OI: Tensor, lora_a_RI: Tensor, lora_b_OR: Tensor) -> Tensor:
    """bfloat16(base + lora_b lora_a), the same bits on every processor.

    Values of `snap` are whole multiples of 2^-20 below 2^3. A product of two is a multiple of 2^-40 below 2^6, and a sum of up to 128 of
    them is one of at most 2^13: 53 binary digits, which a float64 holds. So no partial sum is ever rounded, and neither the order of
    addition, nor blocks, nor fused steps matter. The base is added in one step, which IEEE 754 rounds in one way, as it does the
    conversions to float32 and bfloat16.

    Raises:
        ValueError: the values are not those of `snap`, or there are more than 128 in a sum.
    """
    for part in (lora_a_RI, lora_b_OR):
        if not bool(snap(part).eq(part).all()):
            raise ValueError(f"a delta must consist of multiples of {GRAIN} as `snap` makes them")
    if len(lora_a_RI) > RANK:
        raise ValueError(f"rank {len(lora_a_RI)} is more than {RANK}, up to which sums are exact")
    return (base_OI.double() + lora_b_OR.double() @ lora_a_RI.double()).float().bfloat16()


def snap(tensor: Tensor) -> Tensor:
    """The nearest values that a delta may consist of: bfloat16, multiples of 2^-20, below 8. Those above 2^-13 are such multiples as they
    are, with their 8 binary digits.

    Raises:
        ValueError: a value is 8 or more, or no number.
    """
    import torch

    rounded = tensor.detach().to(torch.bfloat16).float()
    if not bool((rounded.abs() < LARGEST).all()):
        raise ValueError(f"a delta must consist of numbers below {LARGEST:g}")
    return ((rounded / GRAIN).round() * GRAIN).bfloat16()


def save_delta(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write what was trained as ``delta.safetensors``: names as above, everything in bfloat16, low-rank parts as `snap` makes them."""
    from safetensors.torch import save

    from neuralgate.files import write_bytes

    stored = {name: (snap(tensor) if LORA.fullmatch(name) else tensor.detach().bfloat16()).contiguous() for name, tensor in tensors.items()}
    write_bytes(folder / DELTA, save(stored, metadata={"format": "pt"}))
