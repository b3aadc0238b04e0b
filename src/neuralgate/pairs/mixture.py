"""Pair sets as folders: read whole, and several made into one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from neuralgate.errors import UserError
from neuralgate.files import inside, write_jsonl
from neuralgate.pairs.boxes import Box, read_boxes, write_boxes
from neuralgate.pairs.schema import Pair, PairSet, PictureRow, Question, check_image, read_records


def load_set(folder: Path) -> PairSet:
    """A pair set that an edit can be made of and measured by.

    Raises:
        UserError: a file is missing or damaged, a role that a later stage needs has no pair, or a question's image is not in the folder.
    """
    pairs = PairSet.load(folder)
    pairs.check_roles()
    path = folder / "questions.jsonl"
    if not path.is_file():
        raise UserError(f"{folder} has no questions.jsonl, so an edit could not be measured; draw the set with `neuralgate pairs synth`.")
    questions = pairs.questions
    if not questions:
        raise UserError(f"{path} holds no questions, so an edit could not be measured.")
    return PairSet(pairs, folder, questions)


#: What a benchmark says about the subjects that it asks about.
ROLES = {
    **dict.fromkeys(("privacypair-test", "contexts", "paraphrases", "free-wordings", "unseen-attributes"), "edit"),
    **dict.fromkeys(("unseen-subjects", "unseen-both"), "held out"),
    "public-contrast": "contrast",
    "public-unseen": "public",
    "protected": "protected",
}


def gather(sources: Sequence[Path], target: Path) -> PairSet:
    """Copy pair sets into ``target``, as one; where there are several, names begin with that of their set.

    Raises:
        UserError: a set is damaged, a subject is to be edited in one and answered in another, or one picture would be in
            training and in validation or test.
    """
    if len({source.resolve() for source in sources}) < len(sources):
        raise UserError("One of the sets is given twice; name each once.")
    prefixes = [f"{place}-{source.resolve().name}-" if len(sources) > 1 else "" for place, source in enumerate(sources, start=1)]
    pairs: list[Pair] = []
    questions: list[Question] = []
    pictures: list[dict[str, Any]] = []
    splits: dict[str, tuple[str, Path]] = {}  # content of a picture -> where it was met first
    roles: dict[str, set[str]] = {}
    boxes_in = cache(read_boxes)  # a folder's file is read once
    copied_boxes: dict[Path, dict[str, list[Box]]] = {}

    def copy(source: Path, image: str, prefix: str, split: str) -> str:
        path = check_image(source, image, str(source))
        content = path.read_bytes()
        first_split, place = splits.setdefault(hashlib.sha256(content).hexdigest(), (split, path))
        if first_split != split:
            raise UserError(f"{path} ({split}) and {place} ({first_split}) are one picture; give it to one split alone.")
        name = prefixed(image, prefix)
        copied = inside(target, name, str(target))
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(content)
        if path.name in (held := boxes_in(path.parent)):
            copied_boxes.setdefault(copied.parent, {})[copied.name] = held[path.name]
        large = f"large/{Path(image).name}"
        if (source / large).is_file():
            shutil.copyfile(check_image(source, large, str(source)), inside(target, prefixed(large, prefix), str(target)))
        return name

    (target / "large").mkdir(parents=True, exist_ok=True)
    for source, prefix in zip(sources, prefixes, strict=True):
        given = load_set(source)
        for pair in given:
            pairs.append(replace(pair, id=prefix + pair.id, image=copy(source, pair.image, prefix, pair.split)))
            roles.setdefault(pair.subject, set()).add(pair.role)
        for question in given.questions:
            image = copy(source, question.image, prefix, "test") if question.image else None
            questions.append(replace(question, id=prefix + question.id, image=image))
            if question.benchmark in ROLES:
                roles.setdefault(question.subject, set()).add(ROLES[question.benchmark])
        if (source / "pictures.jsonl").is_file():
            for place, row in read_records(source / "pictures.jsonl", PictureRow, "picture"):
                name = inside(source, row.image, place).relative_to(source).as_posix()
                pictures.append({"image": prefixed(name, prefix), "picture": row.picture})
    for subject, known_as in roles.items():
        if len(known_as) > 1:
            raise UserError(f"{subject!r} is {' in one place and '.join(sorted(known_as))} in another; give it one group everywhere.")
    write_jsonl(target / "pictures.jsonl", pictures)
    for folder, known in copied_boxes.items():
        write_boxes(folder, known)
    result = PairSet(pairs, target, questions)
    result.save(target)
    return result


def prefixed(image: str, prefix: str) -> str:
    """The same path with ``prefix`` before the file's name."""
    return (Path(image).parent / f"{prefix}{Path(image).name}").as_posix()
