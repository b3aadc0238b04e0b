"""Steering: a vector added to what decoder layers put out, at every token of the question and the answer.

h_l <- h_l + strength * g v_l. The weights stay as they are. The gain g is 1, or what a reader makes of the hidden state: k . h_l + b, of
which, where it is `limited`, what is below 0 counts as 0 and what is above 1 as 1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.files import digest, hash_path, write_bytes
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.folder import HEADER, information_of, write_intervention
from neuralgate.interventions.header import Sha256, described
from neuralgate.interventions.hub import published_name
from neuralgate.interventions.values import checked_strength, sha256
from neuralgate.lvlm.forward import output_changed
from neuralgate.lvlm.model import LVLM

TENSORS = "steering.safetensors"
PLACE = re.compile(r"decoder\.(0|[1-9][0-9]{0,3})\.(output|reader|offset)")


@dataclass(frozen=True)
class Reader:
    """The gain of a steering by the hidden state: ``k_D`` . h + ``offset``, within 0 and 1 where it is ``limited``."""

    k_D: Tensor
    offset: float = 0.0
    limited: bool = False

    def gain(self, hidden_BTD: Tensor) -> Tensor:
        """``(B, T, 1)``, in float32."""
        gain_BT1 = (hidden_BTD.float() @ self.k_D.to(hidden_BTD.device) + self.offset)[..., None]
        return gain_BT1.clamp(0, 1) if self.limited else gain_BT1


def plus(added_D: Tensor, reader: Reader | None, hidden_BTD: Tensor) -> Tensor:
    added_D = added_D.to(hidden_BTD.device)
    return hidden_BTD + (added_D if reader is None else reader.gain(hidden_BTD) * added_D).to(hidden_BTD.dtype)


class Description(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    format: Literal[1]
    kind: Literal["steering"]
    base_model: str
    base_fingerprint: Sha256
    dtype: Literal["float32", "bfloat16", "float16"]  # of the base when it was hashed
    strength: float
    limited: bool = False  # whether the readers' gains are; there is none where no tensor is one
    safetensors_sha256: Sha256


@dataclass
class Steering:
    """``vectors[layer]`` is of shape ``(D,)``, in float32; a layer that has one of the ``readers`` is steered by its gain."""

    vectors: dict[int, Tensor]
    information: dict[str, Any] = field(default_factory=dict)
    strength: float = 1.0
    readers: dict[int, Reader] = field(default_factory=dict)

    @classmethod
    def for_model(
        cls, lvlm: LVLM, vectors: Mapping[int, Tensor], information: Mapping[str, Any], readers: Mapping[int, Reader] | None = None
    ) -> Steering:
        """Raises UserError when there is no vector, one (or a reader) is zero or no finite numbers, or ``lvlm`` has no room for one."""
        if not vectors:
            raise UserError("A steering needs a vector for at least one layer; none was given.")
        dtype = str(lvlm.model.dtype).removeprefix("torch.")
        base_model = {"base_model": published_name(lvlm.name), "base_fingerprint": lvlm.fingerprint, "dtype": dtype}
        held = {layer: vector.detach().float().cpu() for layer, vector in sorted(vectors.items())}
        held_readers = {layer: replace(reader, k_D=reader.k_D.detach().float().cpu()) for layer, reader in (readers or {}).items()}
        for layer, vector in [*held.items(), *((layer, reader.k_D) for layer, reader in held_readers.items())]:
            if not bool(torch.isfinite(vector).all()) or not bool(vector.any()):
                raise UserError(f"The vector of layer {layer} is zero or no finite numbers, so it steers nowhere; fit it again.")
        steering = cls(held, {**base_model, **information}, readers=held_readers)
        steering.check(lvlm)
        return steering

    @property
    def identity(self) -> str:
        """sha256 over the vectors, the readers and the strength."""
        readers = {f"reader {layer}": [sha256(reader.k_D), reader.offset, reader.limited] for layer, reader in self.readers.items()}
        return digest({"strength": self.strength, **{str(layer): sha256(vector) for layer, vector in self.vectors.items()}, **readers})

    def at(self, strength: float) -> Steering:
        """See `Intervention.at`."""
        return replace(self, strength=self.strength * checked_strength(strength))

    def check(self, lvlm: LVLM) -> None:
        """Raises UserError unless ``lvlm`` is the model that the vectors were made for."""
        for layer, vector_D in [*self.vectors.items(), *((layer, reader.k_D) for layer, reader in self.readers.items())]:
            if layer >= len(lvlm.layers) or vector_D.shape != (lvlm.hidden_size,):
                raise UserError(
                    f"The vector of layer {layer} has shape {list(vector_D.shape)}, but {lvlm.name} has {len(lvlm.layers)} layers "
                    f"of hidden size {lvlm.hidden_size}; load {self.information['base_model']}."
                )
        if lvlm.fingerprint != self.information["base_fingerprint"]:
            raise UserError(
                f"{lvlm.name} is not the model that the vectors were made for ({self.information['base_model']}, fingerprint "
                f"{self.information['base_fingerprint'][:12]}, not {lvlm.fingerprint[:12]}); load that model in its dtype."
            )

    def unchanged_below(self, lvlm: LVLM) -> int:
        """See `Intervention.unchanged_below`."""
        return min(self.vectors)

    @contextmanager
    def on(self, lvlm: LVLM) -> Iterator[LVLM]:
        """See `Intervention.on`."""
        self.check(lvlm)
        with ExitStack() as hooks:
            for layer, vector_D in self.vectors.items() if self.strength else ():
                hooks.enter_context(output_changed(lvlm.layers[layer], partial(plus, self.strength * vector_D, self.readers.get(layer))))
            yield lvlm

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        rows = [
            [f"decoder.{layer}.output", str(len(vector)), f"{float(vector.norm()):.4g}", self.gain_at(layer)]
            for layer, vector in self.vectors.items()
        ]
        return ["added to", "size", "norm of the vector", "times"], rows

    def gain_at(self, layer: int) -> str:
        """What the vector of a layer is multiplied by, in words."""
        reader = self.readers.get(layer)
        return "1" if reader is None else "what is read there, within 0 and 1" if reader.limited else "what is read there"

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        held = {f"decoder.{layer}.output": vector for layer, vector in self.vectors.items()}
        for layer, reader in self.readers.items():
            held |= {f"decoder.{layer}.reader": reader.k_D, f"decoder.{layer}.offset": torch.tensor([reader.offset], dtype=torch.float64)}
        data = save(held)
        write_bytes(Path(folder) / TENSORS, data)
        limited = any(reader.limited for reader in self.readers.values())
        content = {"strength": self.strength, "limited": limited, "safetensors_sha256": hashlib.sha256(data).hexdigest()}
        write_intervention(Path(folder), "steering", self, content, evidence)

    @classmethod
    def read(cls, folder: Path, header: dict[str, Any]) -> Steering:
        """What `save` wrote, behind a header that is whole. Raises UserError when the vectors are others or broken."""
        description = described(Description, header, folder / HEADER, "steering")
        path = folder / TENSORS
        if not path.is_file() or hash_path(path) != description.safetensors_sha256:
            raise UserError(f"{path} is missing or does not match its checksum: bytes were lost or changed; get the steering again.")
        try:
            with safe_open(path, framework="pt") as file:
                held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        except SafetensorError as error:
            raise UserError(f"{path} is broken ({error}); get the steering again.") from error
        parts: dict[str, dict[int, Tensor]] = {"output": {}, "reader": {}, "offset": {}}
        for key, vector in held.items():
            match = PLACE.fullmatch(key)
            dtype = torch.float64 if key.endswith("offset") else torch.float32
            if not match or vector.ndim != 1 or vector.dtype != dtype or not bool(torch.isfinite(vector).all()):
                raise UserError(f"{path} holds something else than vectors of decoder layers; get the steering again.")
            parts[match[2]][int(match[1])] = vector
        vectors, readers = dict(sorted(parts["output"].items())), parts["reader"]
        if not vectors:
            raise UserError(f"{path} holds no vector; get the steering again.")
        if (
            readers.keys() != parts["offset"].keys()
            or readers.keys() - vectors
            or any(len(offset) != 1 for offset in parts["offset"].values())
        ):
            raise UserError(f"{path} holds readers that do not belong to its vectors; get the steering again.")
        read = {layer: Reader(k_D, float(parts["offset"][layer]), description.limited) for layer, k_D in sorted(readers.items())}
        return cls(vectors, information_of(header, Description), description.strength, read)
