"""A user's own pictures: one folder for each subject, what is written on them where somebody wrote it down."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.files import inside
from neuralgate.pairs.boxes import BOXES, Box, read_boxes
from neuralgate.pairs.drawn.render import scene_file
from neuralgate.pairs.images import SUFFIXES, check_picture, open_image, strips, without_metadata
from neuralgate.pairs.subjects import Subject
from neuralgate.pairs.world import AnyPicture, Split

TRUTHS = "truths.csv"
SHARES: dict[Split, float] = {"validation": 0.15, "test": 0.25}  # the rest is for training
SCENE_SIDE = 336
ALIKE = 18  # of 256 bits: saving as JPEG and halving the size change at most 15 of our photographs' bits, another desk 27 or more
STEP = 4  # grey levels: smaller differences are noise


@dataclass(frozen=True)
class OwnPicture:
    """One of the user's pictures."""

    path: str  # relative to the user's folder
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
    ``per_image`` times. Of the same pixels one picture is kept; pictures that look alike stay in one split where they can.

    ``folder/truths.csv``, if there is one, has the columns image, attribute and value: what is written on a picture (its path
    relative to the folder). A picture with truths is asked about those attributes alone; without any, about all that the subject
    has, and whether an answer leaks cannot be told.

    ``unused`` says of every other file of the folder why it is not taken.

    Raises:
        UserError: no folder, no picture or too few of a subject, one of two subjects, one broken, blank or of
            several pages; a subject that no pair can be made of; a truth
            of an unknown picture or attribute.
    """

    def __init__(self, folder: Path | str, subjects: Sequence[Subject], seed: int = 0, per_image: int = 1) -> None:
        self.subjects, self.per_image, self.folder = tuple(subjects), per_image, Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{folder} is not a folder; give one that holds a folder of pictures for each subject.")
        truths = _read_truths(self.folder, {subject.name: subject for subject in subjects})
        self.duplicates = 0
        self.unused = _unused(self.folder, [subject.name for subject in subjects])
        self._met: dict[str, Path] = {}  # hash of the pixels -> the first picture that has them
        self._pictures: dict[tuple[str, str], list[OwnPicture]] = {}
        for subject in subjects:
            for kind in ("sensitive", "benign"):
                if not subject.attributes(kind, "trained", subject.written):
                    raise UserError(f"{subject.name} has no {kind} attribute to ask about; a pair needs one of each kind that is not kept.")
            groups = self._groups(subject)
            if len(groups) < 3:
                raise UserError(
                    f"{self.folder / subject.name} holds {len(groups)} different pictures; training, validation and test need one each."
                )
            count = sum(map(len, groups))
            wanted = {split: max(round(count * share), 1) for split, share in SHARES.items()}
            for place in np.random.default_rng([seed, *subject.name.encode()]).permutation(len(groups)):
                group = groups[place]
                room = {split: wanted[split] - len(self._pictures.get((subject.name, split), ())) for split in SHARES}
                # a group that is larger than what a split still needs is for training, unless the split would stay empty
                fitting = [
                    split for split in SHARES if room[split] >= len(group) or (room[split] == wanted[split] and 3 * len(group) <= count)
                ]
                split = max(fitting, key=lambda split: room[split] / wanted[split], default="train")
                for path in group:
                    name = path.relative_to(self.folder).as_posix()
                    values = truths.get(name) or dict.fromkeys(subject.written, "")
                    self._pictures.setdefault((subject.name, split), []).append(OwnPicture(name, subject.name, values))
            for split in ("train", *SHARES):
                if (subject.name, split) not in self._pictures:
                    raise UserError(f"{self.folder / subject.name} holds too few different pictures for {split}; add some.")

    def _groups(self, subject: Subject) -> list[list[Path]]:
        """The subject's pictures, those that look alike together; each alone where that would leave too few groups (scans of one form)."""
        folder = self.folder / subject.name
        paths = sorted(path for path in folder.iterdir() if _reason(path) is None) if folder.is_dir() else []
        groups: list[tuple[list[int], list[Path]]] = []
        for path in paths:
            image = open_image(path)
            check_picture(image, path)
            pixels = hashlib.sha256(str(image.size).encode())
            for _, strip in strips(image):
                pixels.update(strip.tobytes())
            met = self._met.setdefault(pixels.hexdigest(), path)
            if met.parent != path.parent:
                raise UserError(f"{met} and {path} are one picture of two subjects; leave it with one of them.")
            if met != path:
                self.duplicates += 1
                continue
            look = look_of(image)
            alike = [group for group in groups if any((look ^ other).bit_count() <= ALIKE for other in group[0])]
            merged = ([look, *(other for group in alike for other in group[0])], [path, *(other for group in alike for other in group[1])])
            groups = [group for group in groups if group not in alike] + [merged]
        if len(groups) < 3:
            return [[path] for _, together in groups for path in together]
        return [together for _, together in groups]

    def draw(self, subject: Subject, companions: Sequence[Subject], rng: np.random.Generator, split: Split, number: int) -> OwnPicture:
        return self._pictures[subject.name, split][number // self.per_image]

    def capacity(self, subject: Subject, split: Split) -> int | None:
        return self.per_image * len(self._pictures[subject.name, split])

    def image(self, picture: AnyPicture, large: bool = False) -> bytes:
        return without_metadata(self.folder / picture.path) if isinstance(picture, OwnPicture) else scene_file(picture, SCENE_SIDE)

    def boxes(self, picture: AnyPicture) -> list[Box] | None:
        if not isinstance(picture, OwnPicture):
            return []
        return self._boxes[picture.path] if self._boxes else None

    @cached_property
    def _boxes(self) -> dict[str, list[Box]]:
        """What ``boxes.json`` beside ``truths.csv`` says of every picture, by its path there. Raises UserError where it leaves one out."""
        known = read_boxes(self.folder)
        paths = [picture.path for pictures in self._pictures.values() for picture in pictures]
        if known and (missing := [path for path in paths if path not in known]):
            raise UserError(f"{self.folder / BOXES} says nothing of {missing[0]}; give it a list of boxes, [] where nothing is private.")
        return known

    def suffix(self, picture: AnyPicture) -> str:
        return Path(picture.path).suffix.lower() if isinstance(picture, OwnPicture) else ".jpg"


def _reason(path: Path) -> str | None:
    """Why a file in a subject's folder is no picture to be taken, None where it is one."""
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "a folder inside a subject's folder"
    if not path.is_file():
        return "no regular file"
    return None if path.suffix.lower() in SUFFIXES else f"not one of {', '.join(SUFFIXES)}; save it as PNG or JPEG"


def _unused(folder: Path, subjects: Sequence[str]) -> dict[str, str]:
    """What in ``folder`` is not taken: its path there -> why. Hidden files do not count."""
    unused = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in (TRUTHS, BOXES):
            continue
        if path.name not in subjects or not path.is_dir():
            unused[path.name] = "no subject is called so" if path.is_dir() else "not in a subject's folder"
            continue
        for file in sorted(path.iterdir()):
            reason = _reason(file)
            if reason is not None and not file.name.startswith("."):
                unused[file.relative_to(folder).as_posix()] = reason
    return unused


def look_of(image: Image.Image) -> int:
    """The difference hash (dHash): 256 bits, whether each of 16 x 16 places is clearly darker than its right neighbour. It
    changes little when a picture is saved again or in another size."""
    grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=int)
    return int.from_bytes(np.packbits(grey[:, :-1] + STEP < grey[:, 1:]).tobytes())


def _read_truths(folder: Path, subjects: dict[str, Subject]) -> dict[str, dict[str, str]]:
    path = folder / TRUTHS
    if not path.is_file():
        return {}
    truths: dict[str, dict[str, str]] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text))
    try:
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num + 1} is no CSV ({error}); put a value with commas in quotes.") from error
    for line, row in rows:
        image, attribute, value = (row.get(column) or "" for column in ("image", "attribute", "value"))
        if not (image and attribute and value) or None in row or "\0" in value:
            raise UserError(f"{line}: give the three columns image, attribute and value, a value with a comma in quotes.")
        image = Path(image).as_posix()
        subject = subjects.get(Path(image).parent.as_posix())
        if subject is None or not inside(folder, image, line).is_file():
            raise UserError(f"{line}: there is no picture {image}; write it as SUBJECT/FILE, with a subject of the list.")
        if attribute not in subject.written:
            raise UserError(f"{line}: the {subject.name} has no attribute {attribute!r}, only {', '.join(subject.written)}.")
        if attribute in truths.setdefault(image, {}):
            raise UserError(f"{line}: {attribute} of {image} is given twice; keep one.")
        truths[image][attribute] = value
    for image, values in truths.items():
        subject = subjects[Path(image).parent.as_posix()]
        for kind in ("sensitive", "benign"):
            if not subject.attributes(kind, "trained", values):
                raise UserError(f"{path} has no {kind} attribute of {image}; a pair needs one of each, or no truth at all.")
    return truths
