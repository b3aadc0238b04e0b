"""Question f: which of three criteria names the layer whose edit turns out best on test questions?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.causality import Swap, build_swaps, curve
from experiments.cells import Cell, Result
from experiments.study import Study, settings_of
from neuralgate.choose.layer import try_layer
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Example, encode_examples
from neuralgate.recipe import EditConfig

SEEDS, SWAPS = 3, 60
SWAPPED = "protected subject, subject tokens"


def even(lvlm: LVLM, swap: Swap) -> Swap:
    """The questions of a swap whose subjects have equally many tokens."""

    def tokens(example: Example) -> int:
        return int(encode_examples(lvlm, [replace(example, answer="")]).is_class(SUBJECT).sum())

    kept = [place for place, pair in enumerate(zip(swap.receivers, swap.donors, strict=True)) if tokens(pair[0]) == tokens(pair[1])]
    parts: dict[str, Any] = {name: [getattr(swap, name)[place] for place in kept] for name in ("receivers", "donors", "truths")}
    return replace(swap, **parts)


def patching(study: Study) -> Cell:
    """At each candidate layer, how many obliging subjects are refused when their tokens' states are those of a protected subject."""

    def make() -> Result:
        (swap,) = (even(study.lvlm, swap) for swap in build_swaps(SWAPS) if swap.name == SWAPPED)
        return {"n": len(swap.truths), "share": dict(zip(map(str, study.layers), curve(study.lvlm, swap, study.layers), strict=True))}

    return Cell("layers/patching", {"count": SWAPS, "layers": study.layers}, make)


def validation(study: Study, layer: int) -> Cell:
    """Trial edits that leave subjects out, looked at on validation pairs alone."""
    config: EditConfig = study.edit_config([layer], 0, max_steps=study.size.middle)
    settings = {"edit": settings_of(config), "validation": study.size.validation}
    return Cell(f"layers/validation/{layer}", settings, lambda: {"row": try_layer(study.lvlm, study.pairs, None, config, layer)})


def cells(study: Study) -> list[Cell]:
    """The votes of the candidate layers are there already: the edited one was chosen by them."""
    made = [patching(study), *(validation(study, layer) for layer in study.layers)]
    for seed in range(SEEDS):
        for layer in study.layers:
            config = study.edit_config([layer], seed, max_steps=study.size.middle)
            made.append(study.edit(f"layers/test/seed{seed}-layer{layer}", config, seed))
    return made
