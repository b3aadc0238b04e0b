"""Test pictures: drawn once per (subject, number), shared by the benchmarks that ask about them, in no training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neuralgate.files import write_jsonl
from neuralgate.pairs.builder import SPLIT_STREAMS
from neuralgate.pairs.drawn.documents import Picture, sample_scene
from neuralgate.pairs.subjects import Subject
from neuralgate.pairs.world import AnyPicture, Gallery, World

TEST_STREAM = 10 + SPLIT_STREAMS["test"]
LARGE_COUNT = 2  # pictures of each kind that are also drawn large, for people: the report shows the first


class Album:
    """Pictures by name, added to a gallery; image paths are relative to the gallery's folder, as those of pairs are."""

    def __init__(self, gallery: Gallery, seed: int) -> None:
        self.gallery, self.seed = gallery, seed
        self.names: dict[str, None] = {}

    @property
    def world(self) -> World:
        return self.gallery.world

    def rng(self, *words: str | int) -> np.random.Generator:
        """A stream of its own for every purpose, so that one benchmark's size does not move another's questions."""
        return np.random.default_rng(self._key(*words))

    def _key(self, *words: str | int) -> list[int]:
        return [self.seed, TEST_STREAM, *(byte for word in words for byte in [0, *str(word).encode()])]

    def document_picture(self, subject: Subject, number: int) -> tuple[str, AnyPicture]:
        """A picture that shows ``subject``, alone or beside any other document of the world."""
        name = f"test-{subject.file_name}-{number:04d}"
        return self._keep(
            name,
            number,
            self._key("picture", subject.name, number),
            lambda rng: self.world.draw(subject, self.world.subjects, rng, "test", number),
        )

    def scene_picture(self, number: int) -> tuple[str, Picture]:
        path, picture = self._keep(f"test-scene-{number:04d}", number, self._key("scene", number), sample_scene)
        assert isinstance(picture, Picture)
        return path, picture

    def _keep(
        self, name: str, number: int, key: Sequence[int], draw: Callable[[np.random.Generator], AnyPicture]
    ) -> tuple[str, AnyPicture]:
        if name not in self.names:
            self.gallery.add(name, key, draw, large=number < LARGE_COUNT)
            self.names[name] = None
        return self.gallery.path(name), self.gallery.pictures[name]

    def save(self) -> None:
        """``pictures.jsonl`` with the ground truth of every test image."""
        rows = [{"image": self.gallery.path(name), "picture": self.gallery.pictures[name].to_dict()} for name in self.names]
        write_jsonl(self.gallery.folder / "pictures.jsonl", rows)
