"""SKU: the opposite of what was learned, and what is taught after it."""

from __future__ import annotations

import pytest
import torch

from neuralgate.lvlm.roles import find_roles
from neuralgate.methods import sku
from neuralgate.methods.apply import apply_method
from neuralgate.training.objectives import REFUSE, tell_all
from neuralgate.training.rows import training_pairs
from neuralgate.training.watch import Watch
from tests.method_contract import config_of, weights

ROLE = "decoder.1.ffn.out"


def edited(lvlm, patch) -> torch.Tensor:
    with patch.on(lvlm):
        return find_roles(lvlm.model, [ROLE])[ROLE].detach().clone()


def alone(lvlm, pairs, config, objective):
    watch = Watch(lvlm, config)
    watch.begin(pairs, "", [1], looks=False)
    return sku.trained(lvlm, pairs, config, [1], objective, watch)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_negation_is_as_far_the_other_way(tiny, pairs, strength):
    config = config_of("sku", teach="negation", negation=strength, finish=False)
    told = training_pairs(tiny, pairs, "never", ("own",))
    base, bad = alone(tiny, told, config, tell_all(1.0, 1.0, 5.0))
    made, training = apply_method("sku", tiny, told, None, config)
    expected = base[ROLE] - strength * (bad[ROLE] - base[ROLE])
    torch.testing.assert_close(edited(tiny, made), expected, rtol=0, atol=1e-7)
    assert made.information["method"] == "SKU" and not torch.equal(bad[ROLE], base[ROLE]) and not training.curve


def test_one_epoch_finishes_it(tiny, pairs):
    """From where the negation leads, with the refusal; and the model is itself again."""
    before = weights(tiny)
    config = config_of("sku", teach="negation", batch_size=2)
    told = training_pairs(tiny, pairs, "never", ("own",))
    negated, _ = apply_method("sku", tiny, told, None, config.model_copy(update={"finish": False}))
    made, training = apply_method("sku", tiny, told, None, config)
    steps = -(-len(told.split("train", "edit")) // 2)
    assert training.steps == steps and weights(tiny) == before
    with negated.on(tiny):
        _, after = alone(tiny, told, config.model_copy(update={"max_steps": steps}), REFUSE)
    torch.testing.assert_close(edited(tiny, made), after[ROLE], rtol=0, atol=1e-7)


def test_the_other_answers_are_drawn_anew(tiny, pairs):
    made = {weight: apply_method("sku", tiny, pairs, None, config_of("sku", other_weight=weight))[0] for weight in (0.0, 1.0)}
    assert made[0.0].identity != made[1.0].identity and made[1.0].information["method"] == "SKU*"
