"""The patch: what an edit changed, small, exact and reversible.

For every edited tensor the patch stores the bitwise difference (xor) of the edited and the base values. Applying and
reverting are then the same exact operation, from either side, without a copy of the base; sha256 sums of both sides
refuse a wrong base. Tensors are keyed by role (``decoder.5.ffn.out``), because parameter names move between releases.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from neuralgate.errors import UserError, first_line
from neuralgate.files import write_bytes
from neuralgate.lvlm.load import HUB_ID
from neuralgate.lvlm.model import LVLM, tensor_bytes
from neuralgate.lvlm.roles import find_role

FORMAT = 1
BITS = {2: torch.int16, 4: torch.int32}
ENERGIES = (0.5, 0.9, 0.99)
FILES = ("patch.json", "patch.safetensors")


class Entry(BaseModel):
    """What patch.json says of one tensor; read from a file that anybody may have written."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    shape: list[int]
    dtype: Literal["float32", "bfloat16", "float16"]
    encoding: Literal["xor"]
    base_sha256: str
    result_sha256: str
    changed: int
    relative_change: float
    energy_ranks: dict[str, int]


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
        differences, tensors = {}, {}
        for role, before in base.items():
            after = edited[role]
            change = after.double() - before.double()
            differences[role] = as_bits(before) ^ as_bits(after)
            tensors[role] = {
                "name": names[id(find_role(lvlm.model, role))],
                "shape": list(before.shape),
                "dtype": str(before.dtype).removeprefix("torch."),
                "encoding": "xor",
                "base_sha256": sha256(before),
                "result_sha256": sha256(after),
                "changed": int((differences[role] != 0).sum()),
                "relative_change": float(change.norm() / before.double().norm()),
                "energy_ranks": energy_ranks(change),
            }
        name = Path(lvlm.name).resolve().name if Path(lvlm.name).exists() else lvlm.name  # nobody else has this machine's folders
        return cls(differences, tensors, {"base_model": name, "base_fingerprint": lvlm.fingerprint, **information})

    def state(self, model: nn.Module) -> Literal["base", "patched"]:
        """Whether ``model`` holds the base values or the patched ones; either way the other side is checked as well.

        Raises:
            UserError: a tensor is neither, or does not become the other side; the message names it.
        """
        states = set()
        for role, entry in self.tensors.items():
            tensor = find_role(model, role).data
            digest = sha256(tensor)
            if list(tensor.shape) != entry["shape"] or digest not in (entry["base_sha256"], entry["result_sha256"]):
                raise UserError(
                    f"Wrong base: {entry['name']} ({role}) of this model is not the tensor that the patch was made on "
                    f"({self.information.get('base_model', 'unknown')}, {entry['dtype']}); load that model in that dtype."
                )
            other = "result_sha256" if digest == entry["base_sha256"] else "base_sha256"
            if sha256(self.other_side(role, tensor)) != entry[other]:
                raise UserError(f"The patch does not lead to what its patch.json names for {role}; get the patch again.")
            if entry["base_sha256"] != entry["result_sha256"]:  # an edit that left this tensor as it was tells nothing
                states.add("base" if digest == entry["base_sha256"] else "patched")
        if len(states) > 1:
            raise UserError("The model holds some tensors of the patch and not others; load a clean base.")
        return "patched" if states == {"patched"} else "base"

    def other_side(self, role: str, tensor: Tensor) -> Tensor:
        """The edited values of ``role`` for the base's, and the base's for the edited."""
        return (as_bits(tensor) ^ self.differences[role].to(tensor.device)).view(tensor.dtype)

    def _toggle(self, model: nn.Module) -> None:
        with torch.no_grad():
            for role in self.differences:
                data = find_role(model, role).data
                data.copy_(self.other_side(role, data))

    def apply_(self, model: nn.Module) -> None:
        """Change ``model`` in place. Raises UserError unless it holds exactly the base tensors."""
        if self.state(model) == "patched":
            raise UserError("The patch is applied already; revert it before applying it again.")
        self._toggle(model)

    def revert_(self, model: nn.Module) -> None:
        """Restore the base bit for bit. Raises UserError unless the model holds exactly the patched tensors."""
        if self.state(model) == "base":
            raise UserError("The patch is not applied to this model; there is nothing to revert.")
        self._toggle(model)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model is patched inside the context and bit for bit itself after it."""
        self.apply_(model)
        try:
            yield
        finally:
            self._toggle(model)

    def stacked(self, other: Patch) -> Patch:
        """Both patches as one. Raises UserError when they change the same tensor, where the order would matter."""
        common = self.tensors.keys() & other.tensors.keys()
        if common:
            raise UserError(f"Both patches change {', '.join(sorted(common))}; only patches of different tensors can be stacked.")
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
        """Write patch.safetensors, patch.json and a model card (with ``evidence``, see `card`), each in one piece."""
        folder = Path(folder)
        data = save({role: bits.contiguous() for role, bits in self.differences.items()})
        header = {"format": FORMAT, **self.information, "safetensors_sha256": hashlib.sha256(data).hexdigest(), "tensors": self.tensors}
        contents = {
            "patch.safetensors": data,
            "patch.json": json.dumps(header, indent=1, ensure_ascii=False).encode(),
            "README.md": self.card(evidence=evidence).encode(),
        }
        for name, content in contents.items():
            write_bytes(folder / name, content)

    def card(self, merged: bool = False, evidence: str = "") -> str:
        """A short model card: what it changes, of which base, how to use it, and its limits.

        Args:
            merged: of a whole model with the patch in it.
            evidence: effect and damage as Markdown.
        """
        rows = "\n".join(
            f"| `{role}` | `{entry['name']}` | {' x '.join(map(str, entry['shape']))} "
            f"| {entry['changed']:,} | {entry['relative_change']:.4f} |"
            for role, entry in self.tensors.items()
        )
        base, method = str(self.information.get("base_model")), self.information.get("method")
        dtype = next((entry["dtype"] for entry in self.tensors.values()), "float32")
        front = f"---\nbase_model: {base}\n---\n\n" if HUB_ID.fullmatch(base) else ""
        if merged:
            title = f"# {base} with a Neural Gate patch in it"
            usage = (
                "from transformers import AutoModelForImageTextToText\n"
                f'model = AutoModelForImageTextToText.from_pretrained("this-folder", dtype="{dtype}")'
            )
        else:
            title = f"# A Neural Gate patch of {base}"
            usage = (
                f'import neuralgate\nlvlm = neuralgate.load("{base}", dtype="{dtype}")\n'
                'patch = neuralgate.Patch.from_pretrained("this-folder")\n'
                "with patch.applied(lvlm.model):\n    print(lvlm.generate([(image, question)]))"
            )
        return (
            f"{front}{title}\n\nMethod: {method}. Recipe: `{self.information.get('recipe_digest', '')}`. "
            f"Base fingerprint: `{self.information.get('base_fingerprint', '')}`, loaded in {dtype}.\n\n"
            f"| role | tensor | shape | values changed | norm of the change / norm |\n|---|---|---|---|---|\n{rows}\n\n"
            f"```python\n{usage}\n```\n\n{evidence}"
            "Limits: it changes what the model says, not what it has seen, and it is no proof against somebody who retrains the weights. "
            "What it refuses and what it breaks is in the report of the run that made it; do not use it without that.\n"
        )

    @classmethod
    def from_pretrained(cls, folder: Path | str, revision: str | None = None, endpoint: str | None = None) -> Patch:
        """Read a patch folder, or one of the Hugging Face hub by its ``owner/name``.

        Raises:
            UserError: files are missing, broken, of a newer format, or do not match their checksum.
        """
        if not Path(folder).exists() and HUB_ID.fullmatch(str(folder)):
            folder = fetched(str(folder), revision, endpoint)
        folder = Path(folder)
        for name in FILES:
            if not (folder / name).is_file():
                raise UserError(f"{folder} is not a patch folder (no {name} in it).")
        data = (folder / "patch.safetensors").read_bytes()
        try:
            header = json.loads((folder / "patch.json").read_text(encoding="utf-8"))
            tensors, expected, version = header.pop("tensors"), header.pop("safetensors_sha256"), header.pop("format")
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise UserError(f"{folder}/patch.json is broken ({error}); get the patch again.") from error
        if version != FORMAT:
            raise UserError(f"{folder} is a patch of format {version!r}, this neuralgate reads format {FORMAT}; update neuralgate.")
        if hashlib.sha256(data).hexdigest() != expected:
            raise UserError(f"{folder}/patch.safetensors does not match its checksum: bytes were lost or changed; get the patch again.")
        try:
            differences = load(data)
        except SafetensorError as error:
            raise UserError(f"{folder}/patch.safetensors is broken ({error}); get the patch again.") from error
        try:
            checked = {role: Entry.model_validate(entry) for role, entry in dict(tensors).items()}
        except (ValidationError, TypeError, ValueError) as error:
            raise UserError(f"{folder}/patch.json does not describe its tensors as a patch does; get the patch again.") from error
        held = {role: (list(bits.shape), bits.dtype) for role, bits in differences.items()}
        if held != {role: (entry.shape, BITS[getattr(torch, entry.dtype).itemsize]) for role, entry in checked.items()}:
            raise UserError(f"{folder}: patch.json and patch.safetensors list different tensors; get the patch again.")
        if not held:
            raise UserError(f"{folder} is a patch without a tensor; there is nothing to apply.")
        return cls(differences, {role: entry.model_dump() for role, entry in checked.items()}, header)
