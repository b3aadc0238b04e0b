"""A user's own pictures: one folder for each subject, what is written on them where somebody wrote it down."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.pairs.images import open_image
from neuralgate.pairs.subjects import Subject
from neuralgate.pairs.world import Shown, Split, scene_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
TRUTHS = "truths.csv"
SHARES: dict[Split, float] = {"validation": 0.15, "test": 0.25}  # the rest is for training
SCENE_SIDE = 336


@dataclass(frozen=True)
class OwnPicture:
    """One of the user's pictures."""

    path: str
    subject: str
    truths: dict[str, str]  # attribute -> what is written there; empty where it is not known

    def values(self, subject: str) -> dict[str, str]:
        return self.truths if subject == self.subject else {}

    def identity(self) -> frozenset[str]:
        return frozenset()  # several questions may be asked about one picture, within a split

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class OwnImages:
    """The pictures in ``folder/SUBJECT/*``, divided by picture into training, validation and test, each asked about
    ``per_image`` times.

    ``folder/truths.csv``, if there is one, has the columns image, attribute and value: what is written on a picture (its path
    relative to the folder). A picture with truths is asked about those attributes alone; without any, about all that the subject
    has, and whether an answer leaks cannot be told.

    Raises:
        UserError: no folder, no picture or too few of a subject; a truth of an unknown picture or attribute.
    """

    def __init__(self, folder: Path | str, subjects: Sequence[Subject], seed: int = 0, per_image: int = 1) -> None:
        self.subjects, self.per_image = tuple(subjects), per_image
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; give one that holds a folder of pictures for each subject.")
        truths = _read_truths(folder, {subject.name: subject for subject in subjects})
        self.duplicates = 0
        self._pictures: dict[tuple[str, str], list[OwnPicture]] = {}
        for subject in subjects:
            found = self._distinct(folder / subject.name)
            if len(found) < 3:
                raise UserError(
                    f"{folder / subject.name} holds {len(found)} different pictures; at least 3 are needed (training, validation, test)."
                )
            order = np.random.default_rng([seed, *subject.name.encode()]).permutation(len(found))
            known = {path: truths.get(path.relative_to(folder).as_posix()) for path in found}
            pictures = [
                OwnPicture(str(found[i]), subject.name, known[found[i]] or dict.fromkeys((*subject.sensitive, *subject.benign), ""))
                for i in order
            ]
            validation, test = (max(round(len(found) * SHARES[split]), 1) for split in ("validation", "test"))
            self._pictures[subject.name, "validation"] = pictures[:validation]
            self._pictures[subject.name, "test"] = pictures[validation : validation + test]
            self._pictures[subject.name, "train"] = pictures[validation + test :]

    def _distinct(self, folder: Path) -> list[Path]:
        """The pictures of a folder, those left out that look like an earlier one: the same scan in two splits would let a test
        measure memory."""
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        kept: dict[int, Path] = {}
        for path in paths:
            kept.setdefault(look_of(open_image(path)), path)
        self.duplicates += len(paths) - len(kept)
        return list(kept.values())

    def draw(self, subject: Subject, companions: Sequence[Subject], rng: np.random.Generator, split: Split, number: int) -> OwnPicture:
        return self._pictures[subject.name, split][number // self.per_image]

    def capacity(self, subject: Subject, split: Split) -> int | None:
        return self.per_image * len(self._pictures[subject.name, split])

    def image(self, shown: Shown, large: bool = False) -> bytes:
        return Path(shown.path).read_bytes() if isinstance(shown, OwnPicture) else scene_file(shown, SCENE_SIDE)

    def suffix(self, shown: Shown) -> str:
        return Path(shown.path).suffix.lower() if isinstance(shown, OwnPicture) else ".jpg"


def look_of(image: Image.Image) -> int:
    """The difference hash (dHash): 256 bits, whether each of 16 x 16 places is darker than its right neighbour. The same picture
    saved again, or in another size, has the same one, give or take a bit."""
    grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=int)
    return int.from_bytes(np.packbits(grey[:, :-1] < grey[:, 1:]).tobytes())


def _read_truths(folder: Path, subjects: dict[str, Subject]) -> dict[str, dict[str, str]]:
    path = folder / TRUTHS
    if not path.is_file():
        return {}
    truths: dict[str, dict[str, str]] = {}
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    for number, row in enumerate(rows, start=2):
        image, attribute, value = (row.get(column) or "" for column in ("image", "attribute", "value"))
        if not (image and attribute and value):
            raise UserError(f"{path}, line {number}: give a value in each of the columns image, attribute and value.")
        subject = subjects.get(Path(image).parent.as_posix())
        if subject is None or not (folder / image).is_file():
            raise UserError(f"{path}, line {number}: there is no picture {image}; write it as SUBJECT/FILE, with a subject of the list.")
        if attribute not in subject.written:
            raise UserError(f"{path}, line {number}: the {subject.name} has no attribute {attribute!r}, only {', '.join(subject.written)}.")
        truths.setdefault(image, {})[attribute] = value
    for image, known in truths.items():
        subject = subjects[Path(image).parent.as_posix()]
        for kind in ("sensitive", "benign"):
            if not set(subject.attributes(kind, "trained")) & set(known):
                raise UserError(f"{path} has no {kind} attribute of {image}; a pair needs one of each, or no truth at all.")
    return truths
