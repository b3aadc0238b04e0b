"""Test pictures: drawn once per (subject, number), shared by the benchmarks that ask about them, in no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from neuralgate.files import write_jsonl
from neuralgate.pairs.builder import picture_of, save_picture
from neuralgate.pairs.documents import Picture, sample_scene
from neuralgate.pairs.schema import Question
from neuralgate.pairs.subjects import Subject, load_subjects

TEST_STREAM = 12
LARGE_COUNT = 2  # pictures of each kind that are also drawn large, for people: the report shows the first


class Album:
    """Pictures by name; ``folder`` is the run's ``pairs`` folder and image paths are relative to the run's folder."""

    def __init__(self, folder: Path, seed: int, scale: int = 1) -> None:
        self.folder, self.seed, self.scale = folder, seed, scale
        self.pictures: dict[str, Picture] = {}

    def rng(self, *words: str | int) -> np.random.Generator:
        """A stream of its own for every purpose, so that one benchmark's size does not move another's questions."""
        return np.random.default_rng([self.seed, TEST_STREAM, *(byte for word in words for byte in [0, *str(word).encode()])])

    def document_picture(self, subject: Subject, number: int) -> tuple[str, Picture]:
        """A picture that shows ``subject``, alone or beside any other document of the world."""
        name = f"test-{subject.name.replace(' ', '-')}-{number:04d}"
        return self._keep(name, number, lambda: picture_of(subject, load_subjects(), self.rng("picture", subject.name, number)))

    def scene_picture(self, number: int) -> tuple[str, Picture]:
        return self._keep(f"test-scene-{number:04d}", number, lambda: sample_scene(self.rng("scene", number)))

    def _keep(self, name: str, number: int, draw: Callable[[], Picture]) -> tuple[str, Picture]:
        if name not in self.pictures:
            self.pictures[name] = draw()
            save_picture(self.pictures[name], self.folder, name, self.scale)
            if number < LARGE_COUNT:
                save_picture(self.pictures[name], self.folder, name, self.scale, large=True)
        return f"{self.folder.name}/images/{name}.png", self.pictures[name]

    def save(self, questions: list[Question]) -> None:
        """``questions.jsonl``, and ``pictures.jsonl`` with the ground truth of every test image."""
        write_jsonl(self.folder / "questions.jsonl", [asdict(question) for question in questions])
        rows = [{"image": f"{self.folder.name}/images/{name}.png", "picture": picture.to_dict()} for name, picture in self.pictures.items()]
        write_jsonl(self.folder / "pictures.jsonl", rows)
