"""The gate: how often each dimension of a subject's hidden state had to flip, per subject and layer (Eq. 6)."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from typing_extensions import TypedDict

from neuralgate.edit_settings import WITHOUT_VOTES, GateMode
from neuralgate.errors import UserError
from neuralgate.files import digest, parse_json, refuse_links, write_bytes, write_json
from neuralgate.records import Layers, Name, Share, check, read_record


class Header(TypedDict):
    """What gate.safetensors holds beside the votes."""

    subjects: Annotated[list[Name], Field(min_length=1)]
    layers: Layers
    model: Name
    threshold: Share


HEADER: TypeAdapter[Header] = TypeAdapter(Header)
#: The summary is evidence and may be any; the report asks for its parts.
SUMMARY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


@dataclass
class Gate:
    """``votes[s, l, d]`` in [0, 1]: the share of samples of subject ``s`` whose vector at layer ``l`` is negative in
    dimension ``d``. Strong dimensions have more than ``threshold`` (0.3 in the paper)."""

    votes_SLD: Tensor
    subjects: tuple[str, ...]
    layers: tuple[int, ...]
    model: str  # fingerprint of the base model
    threshold: float = 0.3
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """sha256 of all that decides what it opens."""
        return digest([self.subjects, self.layers, self.threshold, hashlib.sha256(self.votes_SLD.cpu().numpy().tobytes()).hexdigest()])

    def votes(self, subject: str, layer: int) -> Tensor:
        """Votes of one subject at one layer, ``(D,)``.

        Raises:
            UserError: the gate does not hold that subject or layer.
        """
        if subject not in self.subjects:
            raise UserError(f"The gate holds no votes for {subject!r}; locate with pairs of it (held: {', '.join(self.subjects)}).")
        if layer not in self.layers:
            raise UserError(f"The gate holds no votes for layer {layer}; locate it first (held: {', '.join(map(str, self.layers))}).")
        return self.votes_SLD[self.subjects.index(subject), self.layers.index(layer)]

    def open_dimensions(self, subject: str, layer: int, mode: GateMode, seed: int = 0) -> Tensor:
        """Boolean ``(D,)``: through which dimensions the gradient at this subject's tokens may pass.

        ``strong`` is the method; ``none`` lets everything pass, ``closed`` nothing; ``inverted`` is the complement of
        strong; ``random`` opens as many dimensions as strong does, drawn from ``seed``, subject and layer.
        """
        if mode in WITHOUT_VOTES:
            return torch.full((self.votes_SLD.shape[-1],), mode == "none")
        strong = self.votes(subject, layer) > self.threshold
        if mode == "random":
            generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}|{subject}|{layer}".encode()))
            chosen = torch.zeros_like(strong)
            chosen[torch.randperm(len(strong), generator=generator)[: int(strong.sum())]] = True
            return chosen
        return ~strong if mode == "inverted" else strong

    def save(self, folder: Path | str) -> None:
        """Write gate.safetensors, and the summary as gate.json beside it."""
        folder = Path(folder)
        header = {"subjects": list(self.subjects), "layers": list(self.layers), "model": self.model, "threshold": self.threshold}
        data = save({"votes": self.votes_SLD.contiguous()}, metadata={"neuralgate": json.dumps(header)})
        write_bytes(folder / "gate.safetensors", data)
        write_json(folder / "gate.json", self.summary)

    @classmethod
    def load(cls, folder: Path | str, model: str | None = None) -> Gate:
        """Read a saved gate; ``model`` is the fingerprint of the model that it shall be used on.

        Raises:
            UserError: nothing to read, a broken file, or a gate that was located on another model.
        """
        from safetensors import safe_open

        path = Path(folder) / "gate.safetensors"
        if not path.is_file():
            raise UserError(f"{folder} has no gate.safetensors; run `neuralgate locate` first.")
        refuse_links(folder)
        try:
            with safe_open(path, "pt") as file:
                text = (file.metadata() or {})["neuralgate"]
            votes_SLD = load_file(path)["votes"]
        except (SafetensorError, KeyError, OSError) as error:
            raise UserError(f"{path} is not a gate or is broken ({error}); locate again.") from error
        header = check(HEADER, parse_json(text.encode(), path), path)
        # an earlier version wrote what locating found there, and gate.json when the layer was chosen
        name = "gate.json" if (Path(folder) / "gate.json").is_file() else "located.json"
        summary = read_record(SUMMARY, Path(folder) / name)
        places = len(header["subjects"]), len(header["layers"])
        # `not all` instead of `any outside`: a NaN is neither
        if votes_SLD.ndim != 3 or votes_SLD.shape[:2] != places or not bool(((votes_SLD >= 0) & (votes_SLD <= 1)).all()):
            raise UserError(f"{path} is broken: its votes are not shares for each of its subjects, layers and dimensions; locate again.")
        gate = cls(votes_SLD, tuple(header["subjects"]), tuple(header["layers"]), header["model"], header["threshold"], summary)
        if model is not None and gate.model != model:
            raise UserError(
                f"The gate in {folder} was located on another model ({gate.model[:12]}, not {model[:12]}); locate again on this one."
            )
        return gate
