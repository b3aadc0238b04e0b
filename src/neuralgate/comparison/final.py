"""The chosen points of one method, trained anew with every seed, and its random control beside them; the test questions asked once each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from neuralgate.comparison.bench import Bench, Heard
from neuralgate.comparison.choose import Point, Reading, at_equal_damage, at_equal_privacy
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.comparison.entries import Entry
from neuralgate.comparison.search import applied, config_at
from neuralgate.edit_settings import MethodConfig, TrainedConfig
from neuralgate.errors import UserError
from neuralgate.interventions.base import Intervention
from neuralgate.training.watch import Training

#: The layer of methods that leave theirs to a search, where nothing is searched: about where the article edits.
DEPTH = 0.3

Result = dict[str, Any]


def readings(trials: Sequence[dict[str, Any]], config: ComparisonConfig) -> dict[Reading, Point | None]:
    """The point of each reading; that of the method as published is not searched for. None where no point fits, or no trial was any."""
    points = [point for trial in trials for point in trial["points"]]
    if not points:
        return {"at equal privacy": None, "at equal damage": None}
    return {
        "at equal privacy": at_equal_privacy(points, config.least_refused),
        "at equal damage": at_equal_damage(points, config.most_loss),
    }


def published(bench: Bench, entry: Entry, seed: int) -> MethodConfig:
    """The method's own defaults, with its own rule of when to stop."""
    kind = entry.module.Config
    changes: dict[str, Any] = {**entry.fixed, "seed": seed}
    if kind.model_fields.get("layers") is not None and kind.model_fields["layers"].default == "search":
        changes["layers"] = [int(DEPTH * len(bench.lvlm.layers))]
    if issubclass(kind, TrainedConfig):
        changes["batch_size"] = bench.config.batch_size
    return kind(**changes)


def test(bench: Bench, entry: Entry, chosen: dict[Reading, Point | None], seed: int) -> list[Result]:
    """What the test says of each reading with one seed. Points of the same settings are trained once."""
    results: list[Result] = []
    try:
        config = published(bench, entry, seed)
        results.append(outcome(bench, *applied(bench, entry, config, seed), 1.0, ["as published"], config))
    except UserError as error:
        results.append({"readings": ["as published"], "refused": str(error)})
    made: dict[str, tuple[Intervention, Training]] = {}
    for reading, point in chosen.items():
        if point is None:
            continue
        twin = next((result for result in results if result.get("point") == place_of(point)), None)
        if twin:
            twin["readings"].append(reading)
            twin["over_budget"] |= point.get("over_budget", False)
            continue
        config = config_at(bench, entry, point["settings"], seed)
        if config.digest not in made:
            made[config.digest] = applied(bench, entry, config, seed)
        intervention, training = made[config.digest]
        result = outcome(bench, intervention, training, point["strength"], [reading], config)
        results.append({**result, "point": place_of(point), "over_budget": point.get("over_budget", False)})
    return results


def place_of(point: Point) -> dict[str, Any]:
    return {"settings": point["settings"], "strength": point["strength"]}


def control(bench: Bench, entry: Entry, point: Point | None, seed: int, draw: int) -> Result:
    """The method's random control with the settings and the strength of ``point``, or of the method as published where there is none."""
    if point is None:
        config, strength = published(bench, entry, seed), 1.0
    else:
        config, strength = config_at(bench, entry, point["settings"], seed), point["strength"]
    other = entry.module.controls(config).get("random")
    if other is None:
        return {"readings": ["control"], "refused": "It locates nothing that could be drawn at random."}
    number = bench.config.controls * seed + draw
    # what is drawn at random is drawn from its own seed where there is one, so that the training is the same otherwise
    drawn_from = "gate_seed" if "gate_seed" in type(other).model_fields else "seed"
    other = other.model_copy(update={drawn_from: 1000 + number})
    try:
        return outcome(bench, *applied(bench, entry, other, seed), strength, ["control"], other)
    except UserError as error:
        return {"readings": ["control"], "refused": str(error)}


def outcome(bench: Bench, made: Intervention, training: Training, strength: float, reading: Sequence[str], config: MethodConfig) -> Result:
    """Answers to the test questions, and what it cost."""
    heard = bench.ask([made.at(strength)], "test", fresh=True)
    return {
        "readings": list(reading),
        "config": config.model_dump(mode="json"),
        "strength": strength,
        "layers": training.layers,
        **kept(heard),
        "divergence": heard.divergence or {"benign": None, "scenes": None},
        "cost": {
            "seconds_beforehand": 0.0,
            "seconds_to_edit": training.seconds,
            "peak_memory_mb": training.peak_memory_mb,
            "values_changed": training.values_changed,
            "bytes": size_of(made),
            "seconds_to_answer": heard.seconds,
        },
        "gradient_share": training.gradient_share,
        "note": training.note,
    }


def kept(heard: Heard) -> dict[str, Any]:
    """Answers as they stand in a result's file."""
    return {"answers": heard.answers, "by_prefix": heard.by_prefix}


def size_of(made: Intervention) -> int:
    """Bytes of its folder."""
    with TemporaryDirectory() as folder:
        made.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
