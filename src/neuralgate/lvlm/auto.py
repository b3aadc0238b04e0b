"""What `auto` means for a model: what suits it, read from its processor and its depth.

The models that come with the package were trained on pictures and answers of a known size. Every other model is taken for a full-sized
one, which reads photographs and answers in sentences.
"""

from __future__ import annotations

import math
from typing import Any

from neuralgate.lvlm.load import CLERK
from neuralgate.lvlm.model import LVLM
from neuralgate.recipe import OWN_MODELS, Auto, LocateConfig

LEAST_SIDE, GREATEST_SIDE = 112, 2048  # pixels: what can be drawn
USUAL_SIDE = 336  # of a processor that says nothing
ANY_SIDE = 672  # of a processor that takes any size up to a limit: 24 x 24 patches of 28 pixels, as many tokens as LLaVA-1.5's image has
ALL_UP_TO = 12  # decoder layers: of a deeper model only those are located in which the paper finds the gate
FIRST_SHARE, LAST_SHARE = 0.1, 0.6  # of the depth: layers 3 to 19 of 32
SHORT_ANSWER = 16  # tokens: on the grid of documents values are short, and answers have few words
LONG_ANSWER = 64  # tokens: a card number alone takes 17 to 24 where a digit is a token


def is_clerk(lvlm: LVLM) -> bool:
    return lvlm.name == CLERK


def reads_grid(lvlm: LVLM) -> bool:
    """Whether a model was trained on Clerk's grid of documents, pictures of 128 x 128 pixels, and so is asked about those."""
    return lvlm.name in OWN_MODELS


def answer_tokens(lvlm: LVLM, wanted: int | Auto = "auto", clerk: int = SHORT_ANSWER) -> int:
    """How many tokens an answer may have: ``wanted``, or where it is `auto` ``clerk`` for Clerk, whose words are tokens, SHORT_ANSWER or
    more for another model that reads the grid, and LONG_ANSWER for all others."""
    if wanted != "auto":
        return wanted
    if is_clerk(lvlm):
        return clerk
    return max(clerk, SHORT_ANSWER) if reads_grid(lvlm) else LONG_ANSWER


def picture_side(processor: Any) -> int:
    """Pixels a side of the square pictures that suit an image processor: what it cuts or scales every picture to, where it says so."""
    images = processor.image_processor
    for name in ("crop_size", "size"):
        size = getattr(images, name, None) or {}
        if name == "crop_size" and not getattr(images, "do_center_crop", True):
            continue
        edges: dict[str, int] = {key: size[key] for key in ("height", "width", "shortest_edge", "longest_edge") if size.get(key)}
        if "height" in edges and "width" in edges:
            return bounded(min(edges["height"], edges["width"]))
        if edges.keys() == {"shortest_edge"}:
            return bounded(edges["shortest_edge"])
        if edges.keys() == {"longest_edge"}:
            return bounded(min(edges["longest_edge"], ANY_SIDE))
        if edges:  # the least and the most pixels in all
            return bounded(min(math.isqrt(edges["longest_edge"]), ANY_SIDE))
    most = getattr(images, "max_pixels", None)
    return bounded(min(math.isqrt(most), ANY_SIDE)) if most else USUAL_SIDE


def bounded(side: int) -> int:
    return max(LEAST_SIDE, min(GREATEST_SIDE, side))


def likely_layers(depth: int) -> list[int] | None:
    """The decoder layers of a model of ``depth`` layers to look for the gate in; None stands for all but the last."""
    if depth <= ALL_UP_TO:
        return None
    return list(range(int(FIRST_SHARE * depth), int(LAST_SHARE * depth) + 1))


def located_layers(lvlm: LVLM, config: LocateConfig) -> list[int]:
    """The decoder layers that ``config`` names, ascending."""
    layers = likely_layers(len(lvlm.layers)) if config.layers == "auto" else config.layers
    return list(range(len(lvlm.layers) - 1)) if layers is None else sorted(layers)
