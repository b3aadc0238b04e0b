"""The settings that a recipe leaves to `auto`, found for the model at hand before a run begins.

The rate of an edit needs pairs and so is found later, by the run itself (`run/stages/rate.py`); Clerk's is known.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralgate.recipe import AUTO, DOCUMENTS, LocateConfig, Recipe

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM

PATIENCE = 2 * 3600.0  # seconds that locating may take before layers are left out
TRIED_SAMPLES, TRIED_STEPS = 4, 3


def resolve(recipe: Recipe, lvlm: LVLM, processes: int = 1) -> tuple[Recipe, list[str]]:
    """``recipe`` without `auto` (but for the rate of an edit of another model than Clerk), and a line on each value that was found.

    Args:
        processes: how many share the locating.
    """
    from neuralgate.lvlm.auto import answer_tokens, is_clerk, located_layers, picture_side, reads_grid
    from neuralgate.training.rate import CLERK_RATE

    automatic = recipe.automatic()
    clerk, grid = is_clerk(lvlm), reads_grid(lvlm)
    values: dict[str, Any] = {}
    lines = []

    def settle(key: str, value: Any, why: str) -> None:
        if key in automatic:
            values[key] = value
            lines.append(f"{key}: {'null' if value is None else str(value).lower() if isinstance(value, bool) else value}, {why}")

    own = lvlm.name.capitalize()
    settle("pairs.source", *((None, f"{own}'s own documents") if grid else (DOCUMENTS, "photographs, for a model that is not our own")))
    drawn = values.get("pairs.source", recipe.pairs.source) == DOCUMENTS
    if drawn and recipe.pairs.size is None:  # kept from a run that drew none
        automatic.append("pairs.size")
    side = picture_side(lvlm.processor) if drawn else None
    settle("pairs.size", side, "pixels a side, as the model's image processor takes them" if drawn else "no photographs are drawn")
    settle("pairs.only_read", not grid, f"{own} reads its documents" if grid else "where the model reads nothing, nothing leaks")
    settle("evaluate.max_new_tokens", answer_tokens(lvlm, AUTO), "the most tokens of an answer, so that a leak is not cut off")
    if clerk:
        settle("edit.rate", CLERK_RATE, "Clerk's")
    if "locate.layers" in automatic:
        partly = recipe.resolved(values)
        layers = located_layers(lvlm, partly.locate)
        if len(layers) == len(lvlm.layers) - 1:
            layers_value, why = None, f"all but the last of {len(lvlm.layers)} decoder layers"
        else:
            layers_value, why = layers, f"a tenth to six tenths of {len(lvlm.layers)} decoder layers"
        if not clerk:
            seconds = locate_seconds(lvlm, partly, layers) / processes
            stride = 1 if partly.locate.joint else next((n for n in range(1, len(layers)) if seconds * shorter(layers, n) <= PATIENCE), 1)
            if stride > 1:
                seconds *= shorter(layers, stride)
                layers_value = layers = layers[::stride]
                why += f", every {ordinal(stride)} because all would take hours"
            why += f"; locating them takes about {in_words(seconds)} on this machine, fitting the vectors alone"
        edited = partly.edit.layers if isinstance(partly.edit.layers, list) else []
        if missing := [layer for layer in edited if layer not in layers]:
            layers_value, why = sorted([*layers, *missing]), f"{why}; with the edited {', '.join(map(str, missing))}"
        settle("locate.layers", layers_value, why)
    return recipe.resolved(values), lines


def shorter(layers: list[int], stride: int) -> float:
    return len(layers[::stride]) / len(layers)


def ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def in_words(seconds: float) -> str:
    for size, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 1):.0f} seconds"


def locate_seconds(lvlm: LVLM, recipe: Recipe, layers: list[int]) -> float:
    """How long fitting the vectors at ``layers`` takes at most: a few steps of a few samples at the middle layer, timed."""
    from PIL import Image

    from neuralgate.locate.samples import Sample
    from neuralgate.locate.vectors import Prepared, optimise_vectors, samples_that_fit
    from neuralgate.lvlm.prompts import Example
    from neuralgate.pairs.templates import CONTEXTS, REFUSAL_PREFIXES, TEMPLATES

    config: LocateConfig = recipe.locate.model_copy(update={"steps": TRIED_STEPS, "stop_loss": 0.0})
    side = recipe.pairs.size if isinstance(recipe.pairs.size, int) else 336
    picture = Image.new("RGB", (side, side), "grey")
    question = TEMPLATES[0].format(attribute="number", subject="passport")
    openings = ["", *(f"{sentence} " for sentence in CONTEXTS)] if config.contexts else [""]
    sensitive = tuple(Example(picture, opening + question, "passport", REFUSAL_PREFIXES[0]) for opening in openings)
    sample = Sample("passport", sensitive, Example(picture, question, "passport", "The passport is red"))
    layer = layers[len(layers) // 2]
    count = min(TRIED_SAMPLES, samples_that_fit(lvlm, sample, layer, config) or TRIED_SAMPLES)
    prepared = Prepared(lvlm, [sample] * count, layer, config)
    optimise_vectors(lvlm, [sample] * count, [layer], config.model_copy(update={"steps": 1}), prepared)  # the first use of anything is slow
    started = time.perf_counter()
    optimise_vectors(lvlm, [sample] * count, [layer], config, prepared)
    step = (time.perf_counter() - started) / TRIED_STEPS / count
    return step * recipe.locate.steps * len(layers) * located_samples(recipe)


def located_samples(recipe: Recipe) -> int:
    """How many samples get a vector."""
    from neuralgate.pairs.builder import check_subjects
    from neuralgate.pairs.schema import PairSet
    from neuralgate.pairs.subjects import load_subjects

    if recipe.pairs.source in (None, DOCUMENTS):
        subjects = len(check_subjects(recipe.pairs, load_subjects())[0])
        return subjects * min(recipe.locate.samples_per_subject, recipe.pairs.per_subject)
    pairs = PairSet.load(Path(recipe.pairs.source))
    return len(pairs.split("train", "edit").per_subject(recipe.locate.samples_per_subject))
