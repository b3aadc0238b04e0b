"""Regions chosen by gradients: the gradients by the whole model, the rules by hand."""

from __future__ import annotations

import pytest
import torch

from neuralgate.edit_settings import TrainedConfig
from neuralgate.errors import UserError
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.roles import find_roles
from neuralgate.lvlm.targets import example_of
from neuralgate.methods.apply import apply_method
from neuralgate.training.objectives import REFUSE
from neuralgate.training.regions import opposed_region, part_gradients, pulls, random_region
from tests.method_contract import config_of


@pytest.mark.parametrize("batch_size", [1, 64])
def test_part_gradients_are_means_over_pairs(tiny_double, pairs, batch_size):
    sensitive, benign = part_gradients(tiny_double, pairs, TrainedConfig(batch_size=batch_size), [0, 2], ["ffn"], REFUSE)
    roles = find_roles(tiny_double.model, sensitive)
    assert set(sensitive) == set(benign) == {f"decoder.{layer}.ffn.{part}" for layer in (0, 2) for part in ("in", "gate", "out")}
    for kind, found in (("sensitive", sensitive), ("benign", benign)):
        for parameter in roles.values():
            parameter.requires_grad_(True)
        batch = encode_examples(tiny_double, [example_of(pair, kind, pairs.folder) for pair in pairs.split("train", "edit")])
        loss = target_losses(tiny_double, final_hidden(tiny_double, batch), batch.labels_BT).mean()
        for (role, parameter), gradient in zip(roles.items(), torch.autograd.grad(loss, list(roles.values())), strict=True):
            torch.testing.assert_close(found[role], gradient, rtol=1e-7, atol=1e-10)
            parameter.requires_grad_(False)


SENSITIVE = {"a": [4.0, 4.0], "b": [3.0, 3.0], "c": [2.0, 2.0], "d": [1.0, 1.0, 1.0], "e": [0.0, 0.0]}
BENIGN = {"a": [1.0, 1.0], "b": [-1.0, -1.0], "c": [1.0, -1.0], "d": [1.0, 1.0, 0.0], "e": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("budget", "max_cosine", "similar", "expected"),
    [
        (9, 0.9, False, ["b", "c", "d"]),  # of a the cosine is 1, of d it is .82; e pulls nowhere
        (9, 0.5, False, ["b", "c"]),
        (4, 0.9, False, ["b", "c"]),
        (3, 0.9, False, ["b"]),
        (5, 0.9, True, ["a"]),
        (2, 0.5, True, ["a"]),
        (4, 0.5, True, ["a"]),  # d is too large for what is left
        (1, 0.9, False, []),
    ],
)
def test_a_region_is_the_largest_that_pull_another_way(budget, max_cosine, similar, expected):
    sensitive, benign = ({role: torch.tensor(values) for role, values in part.items()} for part in (SENSITIVE, BENIGN))
    assert opposed_region(pulls(sensitive, benign), budget, max_cosine, similar) == expected


def test_a_random_region_has_the_shapes_of_the_region():
    sizes = {f"w{number}": torch.Size([2, 3] if number < 6 else [4]) for number in range(8)}
    drawn = {tuple(random_region(["w0", "w7"], sizes, seed)) for seed in range(20)}
    assert len(drawn) > 2 and all(one in {f"w{number}" for number in range(1, 6)} and other == "w6" for one, other in drawn)
    assert sorted(random_region(["w6", "w7"], sizes, 0)) == ["w6", "w7"], "there are no others"


@pytest.mark.parametrize("teach", ["refusal", "ascent"])
def test_memflex_trains_its_region_and_no_more(tiny, pairs, teach):
    config = config_of("memflex", teach=teach, parts=["ffn", "attention"], max_cosine=1.0)
    made, training = apply_method("memflex", tiny, pairs, None, config)
    sizes = [entry["shape"][0] * entry["shape"][1] for entry in made.tensors.values()]
    assert 0 < sum(sizes) <= 2 * 32 * 48 and training.values_changed <= sum(sizes)
    control, _ = apply_method("memflex", tiny, pairs, None, config.model_copy(update={"region": "random"}))
    assert not set(control.tensors) & set(made.tensors) and control.information["method"] == "MemFlex (control)"


def test_an_empty_region_is_said(tiny, pairs):
    with pytest.raises(UserError, match="No tensor of the candidate layers"):
        apply_method("memflex", tiny, pairs, None, config_of("memflex", max_cosine=-1.0))
