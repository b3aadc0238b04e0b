"""The patch: what an edit changed in a model's weights, small, exact and reversible.

For every edited tensor the patch stores the bitwise difference (xor) of the edited and the base values. Applying and
reverting are then the same exact operation, from either side, without a copy of the base; sha256 sums of both sides
refuse a wrong base. Tensors are keyed by role (``decoder.5.ffn.out``), because parameter names move between releases.

At another strength than 1 the weights are W0 + strength * (W1 - W0), which takes the base to compute and is no way back to it:
there the patch is one from the base alone, and `resolved` makes the exact patch of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.hub import published_name, push
from neuralgate.interventions.patch_folder import patch_folder, read_patch_folder, write_patch_folder
from neuralgate.interventions.values import (
    Difference,
    Sparse,
    as_bits,
    between_sides,
    checked_strength,
    count_changed,
    difference,
    flipped,
    relative_change,
    relative_text,
    sha256,
)
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import find_roles, lowest_layer

Side = Literal["base_sha256", "result_sha256"]


@dataclass
class Patch:
    """``differences[role]`` holds the xor bits; ``tensors[role]`` the name seen, shape, dtype and both sha256 sums."""

    differences: dict[str, Difference]
    tensors: dict[str, dict[str, Any]]
    information: dict[str, Any] = field(default_factory=dict)  # base model, method, recipe digest ...
    strength: float = 1.0

    @classmethod
    def between(cls, lvlm: LVLM, base: Mapping[str, Tensor], edited: Mapping[str, Tensor], information: Mapping[str, Any]) -> Patch:
        """The patch that leads from ``base`` to ``edited`` (role -> tensor of any shape).

        Raises:
            UserError: no value changed, or one is no finite number.
        """
        base_model = {"base_model": published_name(lvlm.name), "base_fingerprint": lvlm.fingerprint, "prompt_style": lvlm.prompt_style}
        patch = cls._between(lvlm.model, base, edited, {**base_model, **information})
        if not any(entry["changed"] for entry in patch.tensors.values()):
            raise UserError(f"The edit changed no value of {', '.join(base)}, so there is no patch; raise its rate or its steps.")
        return patch

    @classmethod
    def _between(cls, model: nn.Module, base: Mapping[str, Tensor], edited: Mapping[str, Tensor], information: dict[str, Any]) -> Patch:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        parameters = find_roles(model, base)
        differences, tensors = {}, {}
        for role, before in base.items():
            after = edited[role]
            relative = relative_change(before, after)
            if relative is not None and not math.isfinite(relative):
                raise UserError(f"The edit of {role} leads to values that are no finite numbers; lower the rate and edit again.")
            differences[role] = change = difference(before, after)
            tensors[role] = {
                "name": names[id(parameters[role])],
                "shape": list(before.shape),
                "dtype": str(before.dtype).removeprefix("torch."),
                "encoding": "sparse xor" if isinstance(change, Sparse) else "xor",
                "base_sha256": sha256(before),
                "result_sha256": sha256(after),
                "changed": count_changed(change),
                "relative_change": relative,
            }
        return cls(differences, tensors, information)

    @property
    def identity(self) -> str:
        """sha256 over what the patch leads to."""
        results = {role: entry["result_sha256"] for role, entry in self.tensors.items()}
        return digest(results if self.strength == 1 else {"strength": self.strength, **results})

    def at(self, strength: float) -> Patch:
        """The same patch at ``strength`` times its own."""
        return replace(self, strength=self.strength * checked_strength(strength))

    def resolved(self, model: nn.Module) -> Patch:
        """The exact patch from ``model``, which holds the base, to where this one leads at its strength.

        Raises:
            UserError: the model holds something else, or the values are no finite numbers.
        """
        if self.strength == 1:
            return self
        if self.state(model) == "patched":
            raise UserError("The patch is applied already; revert it before applying it again.")
        base = {role: parameter.data for role, parameter in find_roles(model, self.tensors).items()}
        edited = {role: between_sides(before, self.other_side(role, before, "base_sha256"), self.strength) for role, before in base.items()}
        return self._between(model, base, edited, {**self.information, "resolved_at": self.strength})

    def state(self, model: nn.Module) -> Literal["base", "patched"]:
        """Whether ``model`` holds the base values or the patched ones (at strength 1); either way the other side is checked as well.

        Raises:
            UserError: a tensor is neither, or does not become the other side; the message names it.
        """
        states = set()
        parameters = find_roles(model, self.tensors)
        for role, entry in self.tensors.items():
            tensor = parameters[role].data
            checksum = sha256(tensor)
            if list(tensor.shape) != entry["shape"] or checksum not in (entry["base_sha256"], entry["result_sha256"]):
                raise UserError(
                    f"Wrong base: {entry['name']} ({role}) of this model is not the tensor that the patch was made on "
                    f"({self.information.get('base_model', 'unknown')}, {entry['dtype']}); load that model in that dtype."
                )
            self.other_side(role, tensor, "base_sha256" if checksum == entry["base_sha256"] else "result_sha256")
            if entry["base_sha256"] != entry["result_sha256"]:  # an edit that left this tensor as it was tells nothing
                states.add("base" if checksum == entry["base_sha256"] else "patched")
        if len(states) > 1:
            raise UserError("The model holds some tensors of the patch and not others; load a clean base.")
        return "patched" if states == {"patched"} else "base"

    def other_side(self, role: str, tensor: Tensor, side: Side) -> Tensor:
        """The edited values of ``role`` for the base's (``side``: "base_sha256"), and the base's for the edited ("result_sha256").

        Raises:
            UserError: they are not those that patch.json names, or no finite numbers.
        """
        other = flipped(tensor, self.differences[role])
        if sha256(other) != self.tensors[role]["result_sha256" if side == "base_sha256" else "base_sha256"]:
            raise UserError(f"The patch does not lead to what its patch.json names for {role}; get the patch again.")
        if not bool(torch.isfinite(other).all()):
            raise UserError(f"The patch leads to values of {role} that are no finite numbers; do not use it.")
        return other

    def _toggle(self, model: nn.Module, side: Side) -> None:
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
        exact = self.resolved(model)
        if exact.state(model) == "patched":
            raise UserError("The patch is applied already; revert it before applying it again.")
        exact._toggle(model, "base_sha256")

    def revert_(self, model: nn.Module) -> None:
        """Restore the base bit for bit. Raises UserError unless the model holds exactly the patched tensors."""
        self.check_way_back()
        if self.state(model) == "base":
            raise UserError("The patch is not applied to this model; there is nothing to revert.")
        self._toggle(model, "result_sha256")

    def check_way_back(self) -> None:
        """Raises UserError at another strength than 1, from which the differences do not lead back."""
        if self.strength != 1:
            raise UserError(
                f"A patch at strength {self.strength:g} knows the way from the base alone; revert the patch that `resolved` made of it, "
                "or load the base."
            )

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model is patched inside the context and bit for bit itself after it."""
        exact = self.resolved(model)
        exact.apply_(model)
        try:
            yield
        finally:
            exact._toggle(model, "result_sha256")

    def unchanged_below(self, lvlm: LVLM) -> int:
        """See `Intervention.unchanged_below`."""
        return min(lowest_layer(role, len(lvlm.layers)) for role in self.tensors)

    @contextmanager
    def on(self, lvlm: LVLM) -> Iterator[LVLM]:
        """See `Intervention.on`."""
        is_telling = any(len(entry["shape"]) > 1 for entry in self.tensors.values())
        if not is_telling and lvlm.fingerprint != self.information.get("base_fingerprint"):  # norms of ones are in many a model
            base = self.information.get("base_model", "unknown")
            raise UserError(f"{lvlm.name} is not the model that the patch was made on ({base}); load that model.")
        with self.applied(lvlm.model):
            yield lvlm

    def stacked(self, other: Patch) -> Patch:
        """Both patches as one. Raises UserError when they change the same tensor, where the order would matter, were made on
        different bases, or have different strengths."""
        common = self.tensors.keys() & other.tensors.keys()
        if common:
            raise UserError(f"Both patches change {', '.join(sorted(common))}; only patches of different tensors can be stacked.")
        if self.information.get("base_fingerprint") != other.information.get("base_fingerprint"):
            raise UserError("The patches were made on different bases (base_fingerprint in `neuralgate patch show`); they do not stack.")
        if self.strength != other.strength:
            raise UserError(f"The patches have different strengths ({self.strength:g}, {other.strength:g}); stack them resolved.")
        information = {**other.information, **self.information, "stacked": [self.information, other.information]}
        return Patch({**self.differences, **other.differences}, {**self.tensors, **other.tensors}, information, self.strength)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        return ["role", "tensor", "shape", "dtype", "values changed", "norm of the change / norm"], [
            [role, entry["name"], str(entry["shape"]), entry["dtype"], f"{entry['changed']:,}", relative_text(entry["relative_change"])]
            for role, entry in self.tensors.items()
        ]

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        self.save_pretrained(folder, evidence)

    def push_to_hub(
        self, repo_id: str, private: bool = True, evidence: str | Evidence = "", endpoint: str | None = None, token: str | None = None
    ) -> str:
        """Upload the patch folder to the Hugging Face hub and return its address. The repository is made if it is not there,
        for nobody else to see unless ``private`` is False. ``evidence``: effect and damage as Markdown, for the card.

        Raises:
            UserError: the hub refuses or cannot be reached.
        """
        return push(lambda folder: self.save_pretrained(folder, evidence), repo_id, private, "A Neural Gate patch", endpoint, token)

    def save_pretrained(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """Write patch.safetensors, patch.json and a model card (with ``evidence``, see `model_card`), each in one piece."""
        write_patch_folder(Path(folder), self.differences, self.tensors, self.information, self.strength, evidence)

    @classmethod
    def from_pretrained(cls, folder: Path | str, revision: str | None = None, endpoint: str | None = None) -> Patch:
        """Read a patch folder, or one of the Hugging Face hub by its ``owner/name``.

        Raises:
            UserError: files are missing, broken, of a newer format, or do not match their checksum; there are links among them.
        """
        return cls(*read_patch_folder(patch_folder(folder, revision, endpoint)))
