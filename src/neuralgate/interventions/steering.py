"""Steering: a vector added to what decoder layers put out, at every token of the question and the answer.

h_l <- h_l + strength * v_l. The weights stay as they are.
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
OUTPUT = re.compile(r"decoder\.(0|[1-9][0-9]{0,3})\.output")


def plus(added_D: Tensor, hidden_BTD: Tensor) -> Tensor:
    return hidden_BTD + added_D.to(hidden_BTD.device, hidden_BTD.dtype)


class Description(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    format: Literal[1]
    kind: Literal["steering"]
    base_model: str
    base_fingerprint: Sha256
    dtype: Literal["float32", "bfloat16", "float16"]  # of the base when it was hashed
    strength: float
    safetensors_sha256: Sha256


@dataclass
class Steering:
    """``vectors[layer]`` is of shape ``(D,)``, in float32."""

    vectors: dict[int, Tensor]
    information: dict[str, Any] = field(default_factory=dict)
    strength: float = 1.0

    @classmethod
    def for_model(cls, lvlm: LVLM, vectors: Mapping[int, Tensor], information: Mapping[str, Any]) -> Steering:
        """Raises UserError when there is no vector, one is zero or no finite numbers, or ``lvlm`` has no room for one."""
        if not vectors:
            raise UserError("A steering needs a vector for at least one layer; none was given.")
        dtype = str(lvlm.model.dtype).removeprefix("torch.")
        base_model = {"base_model": published_name(lvlm.name), "base_fingerprint": lvlm.fingerprint, "dtype": dtype}
        held = {layer: vector.detach().float().cpu() for layer, vector in sorted(vectors.items())}
        for layer, vector in held.items():
            if not bool(torch.isfinite(vector).all()) or not bool(vector.any()):
                raise UserError(f"The vector of layer {layer} is zero or no finite numbers, so it steers nowhere; fit it again.")
        steering = cls(held, {**base_model, **information})
        steering.check(lvlm)
        return steering

    @property
    def identity(self) -> str:
        """sha256 over the vectors and the strength."""
        return digest({"strength": self.strength, **{str(layer): sha256(vector) for layer, vector in self.vectors.items()}})

    def at(self, strength: float) -> Steering:
        """See `Intervention.at`."""
        return replace(self, strength=self.strength * checked_strength(strength))

    def check(self, lvlm: LVLM) -> None:
        """Raises UserError unless ``lvlm`` is the model that the vectors were made for."""
        for layer, vector_D in self.vectors.items():
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
                hooks.enter_context(output_changed(lvlm.layers[layer], partial(plus, self.strength * vector_D)))
            yield lvlm

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        rows = [[f"decoder.{layer}.output", str(len(vector)), f"{float(vector.norm()):.4g}"] for layer, vector in self.vectors.items()]
        return ["added to", "size", "norm of the vector"], rows

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        data = save({f"decoder.{layer}.output": vector for layer, vector in self.vectors.items()})
        write_bytes(Path(folder) / TENSORS, data)
        content = {"strength": self.strength, "safetensors_sha256": hashlib.sha256(data).hexdigest()}
        write_intervention(Path(folder), "steering", self, content, evidence)

    @classmethod
    def read(cls, folder: Path, header: dict[str, Any]) -> Steering:
        """What `save` wrote, behind a header that is whole. Raises UserError when the vectors are others or broken."""
        description = described(Description, header, folder / HEADER, "steering")
        path, vectors = folder / TENSORS, {}
        if not path.is_file() or hash_path(path) != description.safetensors_sha256:
            raise UserError(f"{path} is missing or does not match its checksum: bytes were lost or changed; get the steering again.")
        try:
            with safe_open(path, framework="pt") as file:
                held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        except SafetensorError as error:
            raise UserError(f"{path} is broken ({error}); get the steering again.") from error
        for key, vector in held.items():
            match = OUTPUT.fullmatch(key)
            if not match or vector.ndim != 1 or vector.dtype != torch.float32 or not bool(torch.isfinite(vector).all()):
                raise UserError(f"{path} holds something else than vectors of decoder layers; get the steering again.")
            vectors[int(match[1])] = vector
        if not vectors:
            raise UserError(f"{path} holds no vector; get the steering again.")
        return cls(dict(sorted(vectors.items())), information_of(header, Description), description.strength)
