"""Where private values stand in pictures: ``boxes.json`` beside them, by file name, as shares of width and height.

A world that draws its pictures writes it; for photographs of your own, write it by hand or with any detector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralgate.errors import UserError
from neuralgate.files import disk_errors, json_text, read_json
from neuralgate.text import short

BOXES = "boxes.json"

#: Left, top, right, bottom, each between 0 and 1.
Box = tuple[float, float, float, float]


def write_boxes(folder: Path, boxes: Mapping[str, Sequence[Box]]) -> None:
    """Write those of the pictures in ``folder``, by their file names. Not atomic, as the pictures are not: what they belong to counts only
    when its own list is there, which is written last."""
    with disk_errors(folder / BOXES):
        (folder / BOXES).write_text(json_text({name: [list(box) for box in held] for name, held in boxes.items()}), encoding="utf-8")


def boxes_of(folder: Path, name: str) -> list[Box]:
    """Those of the picture ``name`` in ``folder``.

    Raises:
        UserError: nobody wrote down where private values stand in it.
    """
    known = folder / BOXES
    if not known.is_file():
        raise UserError(
            f'There is no {known}, so nobody knows where private values stand in {name}; write it as {{"{name}": [[left, top, right, '
            "bottom], ...]} in shares of width and height, with every picture of the folder."
        )
    held = read_json(known)
    if not isinstance(held, dict) or not isinstance(held.get(name), list):
        raise UserError(f"{known} says nothing of {name}; give it a list of boxes, an empty one where nothing is private.")
    return [_checked(box, known) for box in held[name]]


def _checked(box: Any, path: Path) -> Box:
    is_box = isinstance(box, list) and len(box) == 4 and all(isinstance(share, int | float) and math.isfinite(share) for share in box)
    if not is_box or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
        raise UserError(f"{path} holds {short(box)}, which is no box [left, top, right, bottom] of shares between 0 and 1; mend it.")
    return tuple(box)
