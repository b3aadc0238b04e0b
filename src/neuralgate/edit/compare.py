"""Two patches side by side: the same tensors, the same values, the same direction?"""

from __future__ import annotations

from pathlib import Path

from neuralgate.edit.export import edited_tensors
from neuralgate.edit.patch import Patch
from neuralgate.lvlm.checkpoint import Checkpoint

DIFFERENCE_HEADER = ["role", "base", "result", "values that differ", "norm of each change", "cosine of the changes"]


def difference_rows(first: Patch, second: Patch, base: Path | None = None) -> list[list[str]]:
    """One row a tensor that either changes; norms and the cosine need the base's files.

    Raises:
        UserError: ``base`` is not the base of both.
    """
    rows = []
    for role in sorted(first.tensors.keys() | second.tensors.keys()):
        if role not in first.tensors or role not in second.tensors:
            rows.append([role, "", f"only in the {'first' if role in first.tensors else 'second'}", "", "", ""])
            continue
        one, other = first.tensors[role], second.tensors[role]
        row = [role, "same" if one["base_sha256"] == other["base_sha256"] else "another"]
        row.append("same" if one["result_sha256"] == other["result_sha256"] else "another")
        row.append(f"{int((first.differences[role] != second.differences[role]).sum()):,}" if row[1] == "same" else "")
        rows.append([*row, *(angle(first, second, role, base) if base else ("", ""))])
    return rows


def angle(first: Patch, second: Patch, role: str, base: Path) -> tuple[str, str]:
    """The norms of both changes of a tensor, and the cosine between them."""
    checkpoint = Checkpoint(base)
    key = checkpoint.find(role)
    before = checkpoint.read(key).double()
    changes = [edited_tensors(checkpoint, patch)[key].double() - before for patch in (first, second)]
    norms = [float(change.norm()) for change in changes]
    cosine = float((changes[0] * changes[1]).sum()) / (norms[0] * norms[1]) if all(norms) else 0.0
    return " / ".join(f"{norm:.4g}" for norm in norms), f"{cosine:.4f}"
