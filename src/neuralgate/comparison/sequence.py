"""Subjects edited one after another, each on the model that the edits before left: what is forgotten, and how far the model drifts."""

from __future__ import annotations

import math
from typing import Any

from neuralgate.comparison.bench import Bench, Heard
from neuralgate.comparison.choose import Point
from neuralgate.comparison.entries import Entry
from neuralgate.comparison.search import applied, config_at
from neuralgate.edit_settings import MethodConfig, TrainedConfig
from neuralgate.errors import UserError
from neuralgate.interventions.guard import stacked
from neuralgate.interventions.patch import Patch
from neuralgate.pairs.schema import PairSet

SEED = 0
SHARE = 4  # a single subject's edit takes a fourth of the steps that one of all subjects takes


def one_after_another(bench: Bench, entry: Entry, point: Point | None) -> dict[str, Any]:
    """Edit the trained subjects in their order with the settings and the strength of ``point``; after each the validation questions are
    asked."""
    if point is None:
        return {"refused": "no setting could be tried"}
    config = short_edit(config_at(bench, entry, point["settings"], SEED))
    pairs, looks = bench.training(SEED), [look("", bench.base("validation"))]
    made: list[Patch] = []
    for subject in pairs.split("train", "edit").subjects():
        try:
            with stacked(bench.lvlm, made):
                one = applied(bench, entry, config, SEED, about(pairs, subject)).made
        except UserError as error:
            return {"refused": f"{subject}: {error}", "looks": looks}
        if not isinstance(one, Patch):
            return {"unsupported": "it changes no weights"}
        made.append(one.at(point["strength"]))
        looks.append(look(subject, bench.ask(made, "validation")))
    return {"settings": point["settings"], "strength": point["strength"], "looks": looks}


def short_edit(config: MethodConfig) -> MethodConfig:
    if not isinstance(config, TrainedConfig):
        return config
    return config.model_copy(update={"max_steps": math.ceil(config.max_steps / SHARE)})


def about(pairs: PairSet, subject: str) -> PairSet:
    """``pairs`` with those of one private subject alone; what is to be kept is kept with all."""
    return pairs.with_pairs(pair for pair in pairs if pair.role != "edit" or pair.subject == subject)


def look(subject: str, heard: Heard) -> dict[str, Any]:
    """What was heard after the edit of ``subject``."""
    return {"subject": subject, "answers": heard.answers, "divergence": heard.divergence}
