"""The range test of the edit's rate."""

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.methods.apply import edit
from neuralgate.recipe import EditConfig
from neuralgate.training import rate
from neuralgate.training.loop import Diverged, Trainer

CONFIG = EditConfig(layers=[1], batch_size=3, gate="none", max_steps=1, stop="never")


@pytest.mark.parametrize(
    ("losses", "falls"),
    [
        ([5.0 - 0.1 * step for step in range(11)], True),
        ([5.0 - 0.1 * step for step in range(10)], False),  # it became no number
        ([5.0, 9.0, *[4.0 - 0.1 * step for step in range(9)]], False),  # too fast at first
        ([5.0 - 1e-4 * step for step in range(11)], False),  # as good as nothing
    ],
)
def test_falling_steadily(losses, falls):
    assert rate.falls_steadily(losses) == falls


def test_the_largest_rate_that_falls_is_found_and_the_model_left_alone(tiny, pairs):
    before = tiny.ffn_out(1).weight.clone()
    first, second = (rate.find_rate(tiny, pairs, CONFIG, [1]) for _ in range(2))
    assert first == second and torch.equal(tiny.ffn_out(1).weight, before) and not tiny.ffn_out(1).weight.requires_grad
    *above, chosen = first["curves"].values()
    assert first["rate"] in rate.RATES and rate.falls_steadily(chosen) and not any(map(rate.falls_steadily, above))


def test_a_rate_that_is_too_large_is_not_taken(tiny, pairs, monkeypatch):
    def losses(trainer):
        rises = trainer.config.rate > 5e-4
        return [5.0 + (step if rises else -0.1 * step) for step in range(11)]

    monkeypatch.setattr(rate, "losses_at", losses)
    found = rate.find_rate(tiny, pairs, CONFIG, [1])
    assert found["rate"] == 3e-4 and list(found["curves"]) == ["0.003", "0.001", "0.0003"]


def test_no_rate_at_all_is_one_sentence(tiny, pairs, monkeypatch):
    monkeypatch.setattr(rate, "RATES", (1e-20,))
    with pytest.raises(UserError, match=r"falls steadily at no rate from 1e-20 .* at layer 1; name another layer"):
        rate.find_rate(tiny, pairs, CONFIG, [1])


def test_a_loss_that_is_no_number_before_any_step_is_no_matter_of_the_rate(tiny, pairs, monkeypatch):
    def fail(*_):
        raise Diverged("nan")

    monkeypatch.setattr(Trainer, "gradients", fail)
    with pytest.raises(Diverged):
        rate.find_rate(tiny, pairs, CONFIG, [1])


def test_edit_finds_a_rate_itself(tiny, pairs, monkeypatch):
    found = {"rate": 1e-2}
    monkeypatch.setattr(rate, "find_rate", lambda *_: found)
    patch, _ = edit(tiny, pairs, None, CONFIG)
    known, _ = edit(tiny, pairs, None, CONFIG.model_copy(update=found))
    assert patch.tensors == known.tensors
