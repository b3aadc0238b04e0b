"""The patch: what an edit changed, small, exact and reversible.

For every edited tensor the patch stores the bitwise difference (xor) of the edited and the base values. Applying and
reverting are then the same exact operation, from either side, without a copy of the base; sha256 sums of both sides
refuse a wrong base. Tensors are keyed by role (``decoder.5.ffn.out``), because parameter names move between releases.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from neuralgate.errors import UserError, first_line
from neuralgate.files import blobs_of, digest, read_json, refuse_links, write_bytes
from neuralgate.interventions.card import model_card
from neuralgate.lvlm.load import HUB_ID
from neuralgate.lvlm.model import LVLM, tensor_bytes
from neuralgate.lvlm.roles import ROLE, find_roles

FORMAT = 2
BITS = {2: torch.int16, 4: torch.int32}
ENERGIES = (0.5, 0.9, 0.99)
FILES = ("patch.json", "patch.safetensors")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Role = Annotated[str, StringConstraints(pattern=rf"^{ROLE.pattern}$")]


class Entry(BaseModel):
    """What patch.json says of one tensor; read from a file that anybody may have written."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    shape: list[int]
    dtype: Literal["float32", "bfloat16", "float16"]
    encoding: Literal["xor"]
    base_sha256: Sha256
    result_sha256: Sha256
    changed: int
    relative_change: float
    energy_ranks: dict[Literal["0.5", "0.9", "0.99"], int]


class Description(BaseModel):
    """patch.json without its checksum; what is not named here (method, gate, recipe digest ...) is information."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[2]
    base_model: str
    base_fingerprint: Sha256
    prompt_style: str
    safetensors_sha256: Sha256
    tensors: dict[Role, Entry] = Field(min_length=1)


def sealed(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with the checksum of what it says."""
    return {**data, "checksum": digest(data)}


def read_sealed(path: Path) -> dict[str, Any]:
    """What `sealed` made. Raises UserError when it is not JSON, or says something else than when it was made."""
    cure = "get the folder again."
    try:
        data = read_json(path)
    except UserError as error:
        raise UserError(f"{path} is broken ({first_line(error)}); {cure}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is broken (no mapping); {cure}")
    if data.get("format") != FORMAT:  # before the checksum, which another version may make in another way
        raise UserError(
            f"{path} is of format {str(data.get('format'))[:20]}, this neuralgate reads format {FORMAT}; use the version that wrote it."
        )
    checksum = data.pop("checksum", None)
    try:
        whole = digest(data) == checksum
    except ValueError:  # NaN, half a character: nothing that was ever sealed
        whole = False
    if not whole:
        raise UserError(f"{path} does not match its checksum: something in it was lost or changed; {cure}")
    return data


def shown_name(name: str) -> str:
    """A model's name for other eyes: nobody else has this machine's folders."""
    return name if HUB_ID.fullmatch(name) and not os.path.exists(name) else Path(name).resolve().name


def fetched(repo_id: str, revision: str | None, endpoint: str | None) -> Path:
    """The folder of a patch of the hub, in the local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, revision=revision, endpoint=endpoint, allow_patterns=[*FILES, "README.md"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repo_id} is no folder here, and it cannot be had from the hub ({first_line(error)}); check the name, or "
            "log in with `hf auth login`."
        ) from error


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor_bytes(tensor)).hexdigest()


def energy_ranks(change_DF: Tensor) -> dict[str, int]:
    """How many singular directions hold half, 90 % and 99 % of the squared norm of a change: what a LoRA of it would cost.
    Empty where nothing changed, or not in numbers."""
    if not bool(torch.isfinite(change_DF).all()):
        return {}
    small = change_DF.double() if change_DF.shape[0] <= change_DF.shape[1] else change_DF.double().T
    squares_K = torch.linalg.eigvalsh(small @ small.T).flip(0).clamp(min=0)
    if not float(squares_K.sum()):
        return {}
    kept_K = squares_K.cumsum(0) / squares_K.sum()
    return {str(share): int((kept_K < share).sum()) + 1 for share in ENERGIES}


def as_bits(tensor: Tensor) -> Tensor:
    """The same memory seen as integers, so that xor is defined."""
    return tensor.contiguous().view(BITS[tensor.element_size()])


@dataclass
class Patch:
    """``differences[role]`` holds the xor bits; ``tensors[role]`` the name seen, shape, dtype and both sha256 sums."""

    differences: dict[str, Tensor]
    tensors: dict[str, dict[str, Any]]
    information: dict[str, Any] = field(default_factory=dict)  # base model, method, recipe digest ...

    @classmethod
    def between(cls, lvlm: LVLM, base: dict[str, Tensor], edited: dict[str, Tensor], information: dict[str, Any]) -> Patch:
        """The patch that leads from ``base`` to ``edited`` (role -> tensor)."""
        names = {id(parameter): name for name, parameter in lvlm.model.named_parameters()}
        parameters = find_roles(lvlm.model, base)
        differences, tensors = {}, {}
        for role, before in base.items():
            after = edited[role]
            change = after.double() - before.double()
            relative_change = float(change.norm() / before.double().norm())
            if not math.isfinite(relative_change):
                raise UserError(f"The edit of {role} leads to values that are no finite numbers; lower the rate and edit again.")
            differences[role] = as_bits(before) ^ as_bits(after)
            tensors[role] = {
                "name": names[id(parameters[role])],
                "shape": list(before.shape),
                "dtype": str(before.dtype).removeprefix("torch."),
                "encoding": "xor",
                "base_sha256": sha256(before),
                "result_sha256": sha256(after),
                "changed": int((differences[role] != 0).sum()),
                "relative_change": relative_change,
                "energy_ranks": energy_ranks(change),
            }
        base_model = {"base_model": shown_name(lvlm.name), "base_fingerprint": lvlm.fingerprint, "prompt_style": lvlm.prompt_style}
        return cls(differences, tensors, {**base_model, **information})

    @property
    def identity(self) -> str:
        """sha256 over what the patch leads to."""
        return digest({role: entry["result_sha256"] for role, entry in self.tensors.items()})

    def state(self, model: nn.Module) -> Literal["base", "patched"]:
        """Whether ``model`` holds the base values or the patched ones; either way the other side is checked as well.

        Raises:
            UserError: a tensor is neither, or does not become the other side; the message names it.
        """
        states = set()
        parameters = find_roles(model, self.tensors)
        for role, entry in self.tensors.items():
            tensor = parameters[role].data
            found = sha256(tensor)
            if list(tensor.shape) != entry["shape"] or found not in (entry["base_sha256"], entry["result_sha256"]):
                raise UserError(
                    f"Wrong base: {entry['name']} ({role}) of this model is not the tensor that the patch was made on "
                    f"({self.information.get('base_model', 'unknown')}, {entry['dtype']}); load that model in that dtype."
                )
            self.other_side(role, tensor, "base_sha256" if found == entry["base_sha256"] else "result_sha256")
            if entry["base_sha256"] != entry["result_sha256"]:  # an edit that left this tensor as it was tells nothing
                states.add("base" if found == entry["base_sha256"] else "patched")
        if len(states) > 1:
            raise UserError("The model holds some tensors of the patch and not others; load a clean base.")
        return "patched" if states == {"patched"} else "base"

    def other_side(self, role: str, tensor: Tensor, side: str) -> Tensor:
        """The edited values of ``role`` for the base's (``side``: "base_sha256"), and the base's for the edited ("result_sha256").

        Raises:
            UserError: they are not those that patch.json names, or no finite numbers.
        """
        other = (as_bits(tensor) ^ self.differences[role].to(tensor.device)).view(tensor.dtype)
        if sha256(other) != self.tensors[role]["result_sha256" if side == "base_sha256" else "base_sha256"]:
            raise UserError(f"The patch does not lead to what its patch.json names for {role}; get the patch again.")
        if not bool(torch.isfinite(other).all()):
            raise UserError(f"The patch leads to values of {role} that are no finite numbers; do not use it.")
        return other

    def _toggle(self, model: nn.Module, side: str) -> None:
        """From one side to the other, all tensors or none. Raises UserError when the model holds something else than ``side``."""
        parameters = find_roles(model, self.tensors)
        others = {role: self.other_side(role, parameter.data, side) for role, parameter in parameters.items()}
        with torch.no_grad():
            for role, other in others.items():
                parameters[role].data.copy_(other)
        for role, parameter in find_roles(model, self.tensors).items():
            if not torch.equal(as_bits(parameter.data), as_bits(others[role])):
                raise UserError(f"{role} did not take the values that were written to it; load the model again.")

    def apply_(self, model: nn.Module) -> None:
        """Change ``model`` in place. Raises UserError unless it holds exactly the base tensors."""
        if self.state(model) == "patched":
            raise UserError("The patch is applied already; revert it before applying it again.")
        self._toggle(model, "base_sha256")

    def revert_(self, model: nn.Module) -> None:
        """Restore the base bit for bit. Raises UserError unless the model holds exactly the patched tensors."""
        if self.state(model) == "base":
            raise UserError("The patch is not applied to this model; there is nothing to revert.")
        self._toggle(model, "result_sha256")

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model is patched inside the context and bit for bit itself after it."""
        self.apply_(model)
        try:
            yield
        finally:
            self._toggle(model, "result_sha256")

    def stacked(self, other: Patch) -> Patch:
        """Both patches as one. Raises UserError when they change the same tensor, where the order would matter, or were made on
        different bases."""
        common = self.tensors.keys() & other.tensors.keys()
        if common:
            raise UserError(f"Both patches change {', '.join(sorted(common))}; only patches of different tensors can be stacked.")
        if self.information.get("base_fingerprint") != other.information.get("base_fingerprint"):
            raise UserError("The patches were made on different bases (base_fingerprint in `neuralgate patch show`); they do not stack.")
        information = {**other.information, **self.information, "stacked": [self.information, other.information]}
        return Patch({**self.differences, **other.differences}, {**self.tensors, **other.tensors}, information)

    def push_to_hub(
        self, repo_id: str, private: bool = True, evidence: str = "", endpoint: str | None = None, token: str | None = None
    ) -> str:
        """Upload the patch folder to the Hugging Face hub and return its address. The repository is made if it is not there,
        for nobody else to see unless ``private`` is False. ``evidence``: effect and damage as Markdown, for the card.

        Raises:
            UserError: the hub refuses or cannot be reached.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint, token=token)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, evidence)
            try:
                address = api.create_repo(repo_id, private=private, exist_ok=True)
                if private and not api.model_info(repo_id).private:
                    raise UserError(f"{repo_id} is there already and everybody can see it; choose another name, or say that it is public.")
                api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="A Neural Gate patch")
            except UserError:
                raise
            except Exception as error:  # the libraries below the hub's have errors of their own for every kind of failure
                raise UserError(f"{repo_id} cannot be written on the hub ({first_line(error)}); log in with `hf auth login`.") from error
        return str(address)

    def save_pretrained(self, folder: Path | str, evidence: str = "") -> None:
        """Write patch.safetensors, patch.json and a model card (with ``evidence``, see `model_card`), each in one piece."""
        folder = Path(folder)
        data = save({role: bits.contiguous() for role, bits in self.differences.items()})
        header = {"format": FORMAT, **self.information, "safetensors_sha256": hashlib.sha256(data).hexdigest(), "tensors": self.tensors}
        text = json.dumps(sealed(header), indent=1, ensure_ascii=False)
        contents = {
            "patch.safetensors": data,
            "patch.json": text.encode(),
            "README.md": model_card(self.information, self.tensors, evidence=evidence).encode(),
        }
        for name, content in contents.items():
            write_bytes(folder / name, content)

    @classmethod
    def from_pretrained(cls, folder: Path | str, revision: str | None = None, endpoint: str | None = None) -> Patch:
        """Read a patch folder, or one of the Hugging Face hub by its ``owner/name``.

        Raises:
            UserError: files are missing, broken, of a newer format, or do not match their checksum; there are links among them.
        """
        if not os.path.exists(folder) and HUB_ID.fullmatch(str(folder)):
            folder = fetched(str(folder), revision, endpoint)
        for name in FILES:
            if not os.path.isfile(os.path.join(folder, name)):  # unlike Path's, it knows names that no file can have
                raise UserError(f"{folder} is not a patch folder (no {name} in it).")
        folder = Path(folder)
        refuse_links(folder, blobs_of(folder))
        header = read_sealed(folder / "patch.json")
        data = (folder / "patch.safetensors").read_bytes()
        try:
            description = Description.model_validate(header)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise UserError(f"{folder}/patch.json is no description of a patch ({place[:80]}); get the patch again.") from error
        if hashlib.sha256(data).hexdigest() != description.safetensors_sha256:
            raise UserError(f"{folder}/patch.safetensors does not match its checksum: bytes were lost or changed; get the patch again.")
        try:
            differences = load(data)
        except SafetensorError as error:
            raise UserError(f"{folder}/patch.safetensors is broken ({error}); get the patch again.") from error
        held = {role: (list(bits.shape), bits.dtype) for role, bits in differences.items()}
        if held != {role: (entry.shape, BITS[getattr(torch, entry.dtype).itemsize]) for role, entry in description.tensors.items()}:
            raise UserError(f"{folder}: patch.json and patch.safetensors list different tensors; get the patch again.")
        information = {key: value for key, value in header.items() if key not in ("format", "safetensors_sha256", "tensors")}
        return cls(differences, {role: entry.model_dump() for role, entry in description.tensors.items()}, information)
