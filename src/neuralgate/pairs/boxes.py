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
    """Those of the picture ``name`` in ``folder``; see :func:`boxes_of_all`."""
    return boxes_of_all([folder / name])[0]


def boxes_of_all(files: Sequence[Path]) -> list[list[Box]]:
    """Those of each picture.

    Raises:
        UserError: nobody wrote down where private values stand in one of them.
    """
    known = {folder: read_boxes(folder) for folder in {file.parent for file in files}}
    for file in files:
        path, name = file.parent / BOXES, file.name
        if not path.is_file():
            raise UserError(
                f'There is no {path}, so nobody knows where private values stand in {name}; write it as {{"{name}": [[left, top, right, '
                "bottom], ...]} in shares of width and height, with every picture of the folder."
            )
        if name not in known[file.parent]:
            raise UserError(f"{path} says nothing of {name}; give it a list of boxes, an empty one where nothing is private.")
    return [known[file.parent][file.name] for file in files]


def read_boxes(folder: Path) -> dict[str, list[Box]]:
    """Those of all pictures in ``folder``, by file name; none where nobody wrote any. Raises UserError where the file is damaged."""
    path = folder / BOXES
    if not path.is_file():
        return {}
    held = read_json(path)
    if not isinstance(held, dict) or not all(isinstance(boxes, list) for boxes in held.values()):
        raise UserError(f"{path} is no list of boxes for each picture's name; mend it.")
    return {name: [_checked(box, path) for box in boxes] for name, boxes in held.items()}


def _checked(box: Any, path: Path) -> Box:
    is_box = isinstance(box, list) and len(box) == 4 and all(isinstance(share, int | float) and math.isfinite(share) for share in box)
    if not is_box or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
        raise UserError(f"{path} holds {short(box)}, which is no box [left, top, right, bottom] of shares between 0 and 1; mend it.")
    return tuple(box)
