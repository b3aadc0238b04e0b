"""Two interventions side by side: the same tensors, the same values, the same direction?"""

from __future__ import annotations

from pathlib import Path

from neuralgate.errors import UserError
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.directory import change_of
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.values import count_different
from neuralgate.lvlm.checkpoint import Checkpoint

DIFFERENCE_HEADER = ["role", "base", "result", "values that differ", "norm of each change", "cosine of the changes"]


def difference_table(first: Intervention, second: Intervention, base: Path | None = None) -> tuple[list[str], list[list[str]]]:
    """A header and rows of what two interventions of one kind have in common: of patches tensor by tensor, of others what either does.

    Raises:
        UserError: they are of different kinds, or ``base`` is not the base of both patches.
    """
    if isinstance(first, Patch) and isinstance(second, Patch):
        return DIFFERENCE_HEADER, difference_rows(first, second, base)
    if type(first) is not type(second):
        kinds = " and ".join(type(one).__name__.lower() for one in (first, second))
        raise UserError(f"A {kinds} have nothing to compare line by line; give two of one kind.")
    header, rows = first.table()
    others = second.table()[1]
    sides = {(True, True): "both", (True, False): "first", (False, True): "second"}
    either = rows + [row for row in others if row not in rows]
    return [*header, "in"], [[*row, sides[row in rows, row in others]] for row in either]


def difference_rows(first: Patch, second: Patch, base: Path | None = None) -> list[list[str]]:
    """One row a tensor that either changes; norms and the cosine need the base's files.

    Raises:
        UserError: ``base`` is not the base of both.
    """
    checkpoint = Checkpoint(base) if base else None
    rows = []
    if first.strength != second.strength:
        rows.append(["strength", "", f"{first.strength:g}, {second.strength:g}", "", "", ""])
    for role in sorted(first.tensors.keys() | second.tensors.keys()):
        if role not in first.tensors or role not in second.tensors:
            rows.append([role, "", f"only in the {'first' if role in first.tensors else 'second'}", "", "", ""])
            continue
        one, other = first.tensors[role], second.tensors[role]
        row = [role, "same" if one["base_sha256"] == other["base_sha256"] else "another"]
        row.append("same" if one["result_sha256"] == other["result_sha256"] else "another")
        row.append(f"{count_different(first.differences[role], second.differences[role], one['shape']):,}" if row[1] == "same" else "")
        rows.append([*row, *(angle(first, second, role, checkpoint) if checkpoint else ("", ""))])
    return rows


def angle(first: Patch, second: Patch, role: str, checkpoint: Checkpoint) -> tuple[str, str]:
    """The norms of both changes of a tensor, and the cosine between them."""
    changes = []
    for patch in (first, second):
        change = change_of(checkpoint, patch, role)
        changes.append(change.other.double() - change.stored.double())
    norms = [float(change.norm()) for change in changes]
    cosine = float((changes[0] * changes[1]).sum()) / (norms[0] * norms[1]) if all(norms) else 0.0
    return " / ".join(f"{norm:.4g}" for norm in norms), f"{cosine:.4f}"
