"""One method's settings, each point of its grid tried on validation questions at several strengths; a killed search goes on.

optuna keeps the trials in a journal file, which several processes and machines can share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from neuralgate.comparison.bench import Bench
from neuralgate.comparison.choose import Point, next_strength
from neuralgate.comparison.entries import Entry, config_of
from neuralgate.comparison.measures import measured
from neuralgate.cost import reset_peak
from neuralgate.edit_settings import EditConfig, MethodConfig
from neuralgate.errors import UserError
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.steering import Steering
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.training.watch import Training

SEED = 0  # that settings are tried with

Report = Callable[[str], None]


def open_study(path: Path) -> Any:
    """The study in the journal ``path``, made where there is none.

    Raises:
        UserError: optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise UserError("Searching settings needs the library optuna: pip install 'neuralgate[compare]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a killed trial is tried again
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    sampler = optuna.samplers.RandomSampler(seed=SEED)  # has nothing to say: all trials are enqueued
    return optuna.create_study(study_name=path.stem, storage=storage, sampler=sampler, load_if_exists=True, direction="maximize")


def drawn_from(grid: Mapping[str, list[Any]], budget: int) -> list[tuple[int, ...]]:
    """Places in the grid's lists of the points to try, in the grid's order: all, or as many as ``budget`` at random."""
    every = list(product(*(range(len(values)) for values in grid.values())))
    chosen = np.random.default_rng(SEED).permutation(len(every))[:budget]
    return [every[number] for number in sorted(chosen)]


def search(bench: Bench, entry: Entry, journal: Path, say: Report) -> list[dict[str, Any]]:
    """The trials of all points of the entry's grid, in the grid's order: settings, and the points measured with them or the sentence that
    refused them."""
    grid = entry.grid
    if not grid:
        return [tried(bench, entry, {})]
    study, wanted = open_study(journal), drawn_from(grid, bench.config.budget)

    def found() -> dict[tuple[int, ...], dict[str, Any]]:
        return {
            tuple(trial.params[key] for key in grid): trial.user_attrs["tried"] for trial in study.trials if "tried" in trial.user_attrs
        }

    def attempt(trial: Any) -> float:
        places = {key: trial.suggest_categorical(key, list(range(len(values)))) for key, values in grid.items()}
        result = tried(bench, entry, {key: grid[key][place] for key, place in places.items()})
        trial.set_user_attr("tried", result)
        say(f"{result['settings']}: {result.get('refused') or best_of(result['points'])}, {len(found())} of {len(wanted)}")
        return max((point["effect"] - max(point["damage"].values()) for point in result["points"]), default=-1.0)

    while missing := [places for places in wanted if places not in found()]:
        study.enqueue_trial(dict(zip(grid, missing[0], strict=True)))
        study.optimize(attempt, n_trials=1)
    return [trial for _, trial in sorted(found().items())]


def best_of(points: list[Point]) -> str:
    best = max(points, key=lambda point: point["effect"] - max(point["damage"].values()))
    return f"effect {best['effect']:.2f}, damage {max(best['damage'].values()):.2f} at {best['strength']:g}"


def tried(bench: Bench, entry: Entry, settings: Mapping[str, Any]) -> dict[str, Any]:
    """One trial: the method with these settings, looked at on validation questions at several strengths."""
    started = time.perf_counter()
    record: dict[str, Any] = {"settings": dict(settings), "points": []}
    try:
        found = applied(bench, entry, config_at(bench, entry, settings, SEED), SEED)
    except UserError as error:
        return {**record, "refused": str(error)}
    training = found.training
    record |= {"values_changed": training.values_changed, "seconds_to_edit": training.seconds, "note": training.note}
    points = looked_at(bench, lambda strength: [found.made.at(strength)], looks_at(bench, found.made))
    record["points"] = [{"settings": dict(settings), **point} for point in sorted(points, key=lambda point: point["strength"])]
    return {**record, "seconds": round(time.perf_counter() - started, 1)}


def looked_at(bench: Bench, made_at: Callable[[float], Sequence[Intervention]], looks: int) -> list[Point]:
    """What is made at each of so many strengths, asked the validation questions, one after another; see `next_strength`."""
    points: list[Point] = []
    for _ in range(looks):
        strength = next_strength(points)
        heard = bench.ask(made_at(strength), "validation")
        more = {"strength": strength, "divergence": heard.divergence}
        points.append(measured(bench.base("validation").answers, heard.answers, bench.config.most_loss, **more))
    return points


def config_at(bench: Bench, entry: Entry, settings: Mapping[str, Any], seed: int) -> MethodConfig:
    """`config_of` on a bench."""
    return config_of(entry, settings, len(bench.lvlm.layers), seed, bench.config.batch_size)


@dataclass(frozen=True)
class Applied:
    """What a method made, how it went, and the seconds before it began (locating, scores, statistics), kept ones as if made now."""

    made: Intervention
    training: Training
    seconds_beforehand: float


def applied(bench: Bench, entry: Entry, config: MethodConfig, seed: int, pairs: PairSet | None = None) -> Applied:
    """The method on the pairs of a seed, or on ``pairs``, with a gate where it needs one, whose location counts as done beforehand."""
    gate, locating = None, 0.0
    told = bench.training(seed) if pairs is None else pairs
    if isinstance(config, EditConfig) and config.gate not in ("none", "closed"):
        assert isinstance(config.layers, list)
        gate, locating = bench.gate(seed, config.layers)
    reset_peak()
    started, saved = time.perf_counter(), bench.lvlm.saved_seconds
    with bench.shared_by(seed).used() if pairs is None else nullcontext():  # on the model as it is
        made, training = apply_method(entry.method, bench.lvlm, told, gate, config, own=entry.own)
    taken = time.perf_counter() - started + bench.lvlm.saved_seconds - saved
    return Applied(made, training, round(locating + max(0.0, taken - training.seconds), 2))


def looks_at(bench: Bench, made: Intervention) -> int:
    """How often it is looked at; what is there or not has one strength."""
    return bench.config.looks if isinstance(made, Patch | Steering) else 1
