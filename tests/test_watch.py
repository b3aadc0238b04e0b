"""Looks, limits of damage, snapshots and the budget, on validation shares that are made up."""

import pytest

from neuralgate.edit_settings import EditConfig, MethodConfig
from neuralgate.errors import UserError
from neuralgate.methods.apply import edit
from neuralgate.settings import parse_settings
from neuralgate.training import watch as watch_module
from neuralgate.training.validation import Validation
from neuralgate.training.watch import Watch


@pytest.fixture
def watched(tiny, pairs, monkeypatch):
    """A watch whose looks find the given (effect, benign refused, contrast lost), one after another; and the states it was given."""

    def go(looks, **settings):
        shares = iter(looks)
        names = ("rta_sensitive", "rta_benign", "contrast_lost")
        monkeypatch.setattr(Validation, "remember", lambda self: None)
        monkeypatch.setattr(Validation, "measure", lambda self: dict(zip(names, next(shares), strict=True)))
        watch = Watch(tiny, MethodConfig(**settings))
        watch.begin(pairs, "testing")
        for step in range(1, len(looks) + 1):
            if watch.note(step, len(looks), {}, lambda step=step: f"state {step}"):
                break
        return watch.chosen("last"), watch.training

    return go


def test_first_stops_at_the_effect_within_the_limits(watched):
    looks = [(0.5, 0.0, 0.0), (0.96, 0.04, 0.0), (0.96, 0.03, 0.06), (0.95, 0.03, 0.05), (1.0, 0.0, 0.0)]
    state, training = watched(looks)
    assert (state, training.steps, training.stopped, training.kept_step) == ("last", 4, "converged", None)
    assert watched(looks, max_benign_refused=0.04)[1].steps == 2
    assert watched(looks, max_contrast_lost=0.06)[1].steps == 3
    assert watched(looks[:3])[1].stopped == "limit"


def test_strongest_is_the_largest_effect_within_the_limits(watched):
    looks = [(0.5, 0.0, 0.0), (0.97, 0.02, 0.01), (0.97, 0.01, 0.0), (0.96, 0.0, 0.0), (1.0, 0.5, 0.0)]
    state, training = watched(looks, keep="strongest")
    assert (state, training.kept_step, training.steps, training.note) == ("state 2", 2, 5, ""), "of equal ones the earlier"
    assert watched(looks, keep="strongest", max_benign_refused=0.5)[0] == "state 5"


def test_strongest_says_when_nothing_was_within_the_limits(watched):
    state, training = watched([(0.5, 0.3, 0.0), (0.4, 0.1, 0.2), (0.9, 0.3, 0.0)], keep="strongest")
    assert state == "state 2" and training.note.startswith("No look stayed within the limits of damage; step 2")
    state, training = watched([(0.0, 0.0, 0.0), (0.9, 0.3, 0.0)], keep="strongest")
    assert state == "state 1" and training.note.startswith("Nothing was refused within the limits")


def test_time_ends_it(watched, monkeypatch):
    monkeypatch.setattr(watch_module.time, "perf_counter", iter(range(100)).__next__)
    _, training = watched([(0.0, 0.0, 0.0)] * 20, max_seconds=3)
    assert training.stopped == "time" and training.steps < 6 and training.seconds > 0


def test_an_edit_keeps_the_strongest_look(tiny, pairs, monkeypatch):
    """The patch is that of the look, not that of the last step."""
    effects = iter([0.1, 0.9, 0.2])
    monkeypatch.setattr(Validation, "measure", lambda self: {"rta_sensitive": next(effects)})
    settings = {"layers": [1], "batch_size": 3, "rate": 1e-2, "check_every": 2}
    patch, training = edit(tiny, pairs, None, EditConfig(**settings, max_steps=6, keep="strongest"))
    assert (training.kept_step, training.steps, training.method) == (4, 6, "neural_gate")
    shorter, _ = edit(tiny, pairs, None, EditConfig(**settings, max_steps=4, stop="never"))
    assert patch.identity == shorter.identity
    assert training.values_changed > 0 and training.peak_memory_mb > 0


@pytest.mark.parametrize("settings", [{"stop": "never"}, {"stop": "loss"}, {"sequential": True}])
def test_strongest_needs_looks(settings):
    with pytest.raises(UserError, match="edit: keep: strongest looks at validation pairs"):
        parse_settings(EditConfig, {"keep": "strongest", **settings}, "edit")
