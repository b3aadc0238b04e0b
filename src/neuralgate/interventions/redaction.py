"""Redaction: black boxes on the pictures before the model sees them, where `boxes.json` beside them says that private values stand.

The model itself is as it was: it cannot read what is not there. How good a redaction is hangs on who wrote the boxes; those of drawn
documents are exact, so that what it shows there is an upper bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.folder import HEADER, information_of, write_intervention
from neuralgate.interventions.guard import Ask, Guard
from neuralgate.interventions.header import described
from neuralgate.lvlm.conversation import Conversation, ImageLike, Item, conversation_of
from neuralgate.lvlm.generate import Generated, Sampling
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.boxes import boxes_of
from neuralgate.pairs.images import open_image

Places = Literal["private", "random"]


class Description(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    kind: Literal["redaction"]
    places: Places
    seed: int
    is_in: bool


@dataclass
class Redaction(Guard):
    """Blackens where private values stand, or, as a control, as many boxes of the same sizes at places that are drawn from ``seed``."""

    places: Places = "private"
    seed: int = 0

    @property
    def identity(self) -> str:
        """sha256 over what is blackened and whether it is."""
        return digest([self.places, self.seed, self.is_in])

    def redact(self, path: Path) -> Image.Image:
        """The picture with its boxes black. Raises UserError where it, or what is private in it, is not to be had."""
        image = open_image(path)
        draw, (width, height) = ImageDraw.Draw(image), image.size
        rng = np.random.default_rng([self.seed, zlib.crc32(path.name.encode()), 19])
        for left, top, right, bottom in boxes_of(path.parent, path.name):
            if self.places == "random":
                x, y = rng.uniform(0, 1 - (right - left)), rng.uniform(0, 1 - (bottom - top))
                left, top, right, bottom = x, y, x + right - left, y + bottom - top
            # every pixel that the box touches; the ends of a rectangle belong to it
            draw.rectangle((int(left * width), int(top * height), ceil(right * width) - 1, ceil(bottom * height) - 1), fill=0)
        return image

    def answers(self, lvlm: LVLM, items: Sequence[Item], sampling: Sampling | None, ask: Ask) -> list[Generated]:
        """See `Guard.answers`. Raises UserError for a picture that is no file, or of which nobody wrote down what is private."""
        drawn: dict[str, Image.Image] = {}  # one picture for all questions about it, which the model then reads once

        def shown(image: ImageLike) -> ImageLike:
            if image is None:
                return None
            if not isinstance(image, str | Path):
                raise UserError("A redaction finds its boxes beside a picture's file, and this picture is none; give its path.")
            if str(image) not in drawn:
                drawn[str(image)] = self.redact(Path(image))
            return drawn[str(image)]

        def seen(item: Item) -> Conversation:
            conversation = conversation_of(item)
            return replace(conversation, images=tuple(map(shown, conversation.images)))

        return ask([seen(item) for item in items])

    def table(self) -> tuple[list[str], list[list[str]]]:
        """See `Intervention.table`."""
        return ["blackens", "seed", "in"], [[self.places, str(self.seed), "yes" if self.is_in else "no"]]

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """See `Intervention.save`."""
        content = {"places": self.places, "seed": self.seed, "is_in": self.is_in}
        write_intervention(Path(folder), "redaction", self, content, evidence)

    @classmethod
    def read(cls, folder: Path, header: dict[str, Any]) -> Redaction:
        """What `save` wrote, behind a header that is whole."""
        read = described(Description, header, folder / HEADER, "redaction")
        return cls(read.places, read.seed, information=information_of(header, Description), is_in=read.is_in)
