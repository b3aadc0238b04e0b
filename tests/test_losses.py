"""The loop's losses and masks, each by an oracle written out."""

import math

import pytest
import torch

from neuralgate.training.losses import ascent, divergence, negative_preference, preference, row_weights
from neuralgate.training.masks import largest_values, random_values
from neuralgate.training.rows import Row

LOSSES, BASE = torch.tensor([0.2, 1.5, 4.0]), torch.tensor([0.3, 1.5, 0.5])


def test_a_parts_rows_share_its_weight():
    rows = [Row(None, part, "passport", True) for part in ("sensitive", "benign", "benign")]
    assert row_weights(rows, {"sensitive": 1.0, "benign": 3.0}) == [1.0, 1.5, 1.5]


def test_ascent_climbs():
    losses = LOSSES.clone().requires_grad_(True)
    ascent(losses).sum().backward()
    assert torch.equal(losses.grad, -torch.ones(3))


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_negative_preference_is_its_formula_and_fades(beta):
    losses = LOSSES.clone().requires_grad_(True)
    found = negative_preference(losses, BASE, beta)
    ratios = [math.exp(-now) / math.exp(-then) for now, then in zip(LOSSES.tolist(), BASE.tolist(), strict=True)]
    assert found.tolist() == pytest.approx([2 / beta * math.log(1 + ratio**beta) for ratio in ratios])
    found.sum().backward()
    assert losses.grad.tolist() == pytest.approx([-2 * ratio**beta / (ratio**beta + 1) for ratio in ratios])
    assert -1 < losses.grad[2] < losses.grad[1] + 1 and losses.grad[1] == -1, "an answer as likely as before is ascended as in ascent"


def test_preference_is_its_formula():
    found = preference(LOSSES, LOSSES.flip(0), BASE, BASE.flip(0), 0.5)
    for index, value in enumerate(found.tolist()):
        wanted = (BASE[index] - LOSSES[index]).item()
        unwanted = (BASE.flip(0)[index] - LOSSES.flip(0)[index]).item()
        assert value == pytest.approx(-math.log(1 / (1 + math.exp(-0.5 * (wanted - unwanted)))))
    assert preference(BASE, BASE, BASE, BASE, 0.5).tolist() == pytest.approx([math.log(2)] * 3)


def test_divergence_is_from_the_base_model():
    generator = torch.Generator().manual_seed(0)
    logits, base = torch.randn(4, 7, generator=generator), torch.randn(4, 7, generator=generator)
    p, p0 = logits.softmax(-1), base.softmax(-1)
    torch.testing.assert_close(divergence(logits, base), (p0 * (p0 / p).log()).sum(-1))
    torch.testing.assert_close(divergence(base, base), torch.zeros(4), rtol=0, atol=1e-6)


def test_masks_mark_the_largest_or_as_many_at_random():
    gradients = {"matrix": torch.arange(-12.0, 8.0).view(4, 5), "vector": torch.tensor([0.0, 3.0, -1.0])}
    largest = largest_values(gradients, 0.2)
    assert largest["matrix"].flatten().nonzero().flatten().tolist() == [0, 1, 2, 3] and largest["vector"].tolist() == [False, True, False]
    drawn = random_values(gradients, 0.2, seed=0)
    assert {role: int(mask.sum()) for role, mask in drawn.items()} == {role: int(mask.sum()) for role, mask in largest.items()}
    assert not torch.equal(drawn["matrix"], largest["matrix"])
    again, other = random_values(gradients, 0.2, seed=0), random_values(gradients, 0.2, seed=1)
    assert torch.equal(again["matrix"], drawn["matrix"]) and not torch.equal(other["matrix"], drawn["matrix"])
