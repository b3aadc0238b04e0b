"""Pair sets as folders: read whole, and several made into one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from neuralgate.errors import UserError
from neuralgate.files import read_jsonl, write_jsonl
from neuralgate.pairs.schema import Pair, PairSet, Question


def load_set(folder: Path) -> tuple[PairSet, list[Question]]:
    """Pairs and questions of a pair set.

    Raises:
        UserError: a file is missing or damaged, there is nothing to train on, or a question's image is not in the folder.
    """
    pairs = PairSet.load(folder)
    if not len(pairs.split("train", "edit")):
        raise UserError(f"{folder} holds no training pair of the role edit; there is nothing to edit.")
    path = folder / "questions.jsonl"
    if not path.is_file():
        raise UserError(f"{folder} has no questions.jsonl, so an edit could not be measured; draw the set with `neuralgate pairs synth`.")
    questions = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            question = Question(**row)
        except TypeError as error:
            raise UserError(f"{path}, line {number} is not a question: it needs {', '.join(f.name for f in fields(Question))}.") from error
        image = question.image
        if image and (Path(image).is_absolute() or ".." in Path(image).parts or not (folder / image).is_file()):
            raise UserError(f"{path}, line {number}: the image {image} does not exist in {folder}.")
        questions.append(question)
    if not questions:
        raise UserError(f"{path} holds no questions, so an edit could not be measured.")
    return pairs, questions


def gather(sources: Sequence[Path], target: Path) -> PairSet:
    """Copy pair sets into ``target``, as one; where there are several, names begin with that of their set.

    Raises:
        UserError: a set is damaged, a subject is to be edited in one and answered in another, or one picture would be in
            training and in validation or test.
    """
    prefixes = [f"{place}-{source.resolve().name}-" if len(sources) > 1 else "" for place, source in enumerate(sources, start=1)]
    pairs: list[Pair] = []
    questions: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    splits: dict[str, tuple[str, Path]] = {}  # content of a picture -> where it was met first

    def copy(source: Path, image: str, prefix: str, split: str) -> str:
        content = (source / image).read_bytes()
        known, place = splits.setdefault(hashlib.sha256(content).hexdigest(), (split, source / image))
        if known != split:
            raise UserError(f"{source / image} ({split}) and {place} ({known}) are one picture; mix sets of other pictures or seeds.")
        name = f"images/{prefix}{Path(image).name}"
        (target / name).write_bytes(content)
        large = source / "large" / Path(image).name
        if large.is_file():
            shutil.copyfile(large, target / "large" / f"{prefix}{large.name}")
        return name

    for place in ("images", "large"):
        (target / place).mkdir(parents=True, exist_ok=True)
    for source, prefix in zip(sources, prefixes, strict=True):
        found, asked = load_set(source)
        for pair in found:
            pairs.append(replace(pair, id=prefix + pair.id, image=copy(source, pair.image, prefix, pair.split)))
        for question in asked:
            image = copy(source, question.image, prefix, "test") if question.image else None
            questions.append({**vars(question), "id": prefix + question.id, "image": image})
        if (source / "pictures.jsonl").is_file():
            pictures += [{**row, "image": f"images/{prefix}{Path(row['image']).name}"} for row in read_jsonl(source / "pictures.jsonl")]
    for subject in dict.fromkeys(pair.subject for pair in pairs):
        roles = {pair.role for pair in pairs if pair.subject == subject}
        if len(roles) > 1:
            raise UserError(f"{subject!r} is {' in one set and '.join(sorted(roles))} in another; give it one group in all of them.")
    write_jsonl(target / "questions.jsonl", questions)
    write_jsonl(target / "pictures.jsonl", pictures)
    result = PairSet(pairs, target)
    result.save(target)
    return result
