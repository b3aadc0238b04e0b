"""Image redaction: black boxes on the pictures before the model sees them, where private values stand.

The boxes are those of `boxes.json` beside the pictures. For drawn documents they are exact, so that this is an upper bound of what a
detector can do: it blackens all that is private and nothing else, also on subjects that no method was trained on. Nothing is trained. Its
control blackens as many boxes of the same sizes at random places.

Paper: https://microsoft.github.io/presidio/image-redactor/ (no paper: the tool that does it with text recognition; its boxes, written to
`boxes.json`, do here as well).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neuralgate.edit_settings import MethodConfig

if TYPE_CHECKING:
    from neuralgate.interventions.redaction import Redaction
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "boxes"
PAPER = "https://microsoft.github.io/presidio/image-redactor/"
EDITS = "what is shown"
TRAINED = "none"
SEARCH: dict[str, tuple] = {}  # nothing to choose


class Config(MethodConfig):
    """Where the boxes are."""

    places: Literal["private", "random"] = Field("private", description="Where private values stand, or as many boxes at random places.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Redaction:
    """Look once; ``gate`` plays no part. Raises UserError where nobody wrote down what is private in a picture, or nothing is."""
    from neuralgate.errors import UserError
    from neuralgate.interventions.redaction import Redaction
    from neuralgate.pairs.boxes import boxes_of_all
    from neuralgate.training.rows import training_pairs

    files = [pairs.folder / pair.image for pair in pairs.split("train", "edit")]
    if files and not any(boxes_of_all(files)):
        raise UserError(f"No picture in {files[0].parent} has a box, so nothing would be blackened; write down where private values stand.")
    pairs = training_pairs(lvlm, pairs)
    redaction = Redaction(config.places, config.seed, information={"method": f"image redaction ({config.places} places)"})
    watch.begin(pairs, "blackening private values")
    watch.look_at(redaction, 1, 1)
    return watch.chosen(redaction)


def controls(config: Config) -> dict[str, Config]:
    """As many boxes of the same sizes at random places."""
    return {"random": config.model_copy(update={"places": "random"})}
