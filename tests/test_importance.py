"""MANU: importance by its formulas written out, neurons of both towers, and that nothing but their columns is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.locate.importance import Moments, code_score, contrast, language_scores, largest_of_all, vision_scores
from neuralgate.locate.neurons import last_activations
from neuralgate.lvlm.roles import vision_projections
from neuralgate.lvlm.targets import example_of
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from tests.method_contract import config_of


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_contrast_is_its_four_measures():
    m, t = drawn(40, 6), 0.4 * drawn(30, 6, seed=1) + 0.2
    found = contrast(Moments.of(m[:25]) + Moments.of(m[25:]), Moments.of(t))
    for n in range(6):
        zm, zt = m[:, n], t[:, n]
        absolute = abs(zm.abs().mean() - zt.abs().mean()) / (zm.abs().mean() + zt.abs().mean())
        loud = [int((z > 0.1).sum()) for z in (zm, zt)]
        frequency = abs(loud[0] - loud[1]) / sum(loud)
        variance = (zm.var(unbiased=False) + zt.var(unbiased=False)).sqrt()
        squares = [z.square().sum() for z in (zm, zt)]
        square = (abs(squares[0] - squares[1]) / (squares[0] + squares[1])).sqrt()
        assert float(found[n]) == pytest.approx(float(absolute + frequency + variance + square), rel=1e-3)


def test_the_codes_score_is_a_ratio_of_each_measure():
    f, r = drawn(50, 5), 2 * drawn(35, 5, seed=1) - 0.3
    found = code_score(Moments.of(f), Moments.of(r))
    expected = 2 * (f.abs().mean(0) / r.abs().mean(0) + f.std(0, unbiased=False) / r.std(0, unbiased=False))
    expected += 2 * f.square().mean(0).sqrt() / r.square().mean(0).sqrt() - 6
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture
def questions(pairs):
    edited, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    forget = [example_of(pair, "sensitive", pairs.folder) for pair in edited]
    return forget, [example_of(pair, "benign", pairs.folder) for pair in [*edited, *contrast]]


def test_the_papers_form_asks_with_the_picture_and_without(tiny, questions):
    forget, retain = questions
    found = language_scores(tiny, forget, retain, [0, 2], "paper")
    for layer in (0, 2):
        importance = []
        for examples in questions:
            told = [replace(example, image=None) for example in examples]
            importance.append(contrast(*(Moments.of(last_activations(tiny, asked, [layer])[layer]) for asked in (examples, told))))
        torch.testing.assert_close(found[layer], importance[0] / (importance[1] + 1e-5))
    code = language_scores(tiny, forget, retain, [1], "code")[1]
    expected = code_score(*(Moments.of(last_activations(tiny, asked, [1])[1]) for asked in questions))
    torch.testing.assert_close(code, expected)


def test_the_vision_tower_is_read_at_all_its_places(tiny, questions, monkeypatch):
    """Its FFN's inner values, computed from its own parts, picture by picture."""
    projections = vision_projections(tiny.model)
    assert projections and all(role.startswith("parameter:") and role.endswith(".fc2.weight") for role in projections)
    found = vision_scores(tiny, *questions, projections)
    role, module = next(iter(projections.items()))
    mlp = tiny.model.get_submodule(role.removeprefix("parameter:").removesuffix(".fc2.weight"))
    sums = []
    for examples in questions:
        kept = []
        handle = mlp.register_forward_pre_hook(lambda _module, inputs, kept=kept: kept.append(inputs[0]))
        for example in examples:
            tiny.generate([(example.image, example.question)], max_new_tokens=1)
        handle.remove()
        with torch.no_grad():
            inner = [mlp.activation_fn(mlp.fc1(given)).flatten(0, -2) for given in kept]
        sums.append(Moments.of(torch.cat(inner)))
    torch.testing.assert_close(found[role], code_score(*sums), rtol=1e-3, atol=1e-4)
    assert module is mlp.fc2


def test_the_largest_of_all_places():
    scores = {"a": torch.tensor([0.1, 5.0, 2.0]), "b": torch.tensor([3.0, 0.0])}
    found = {share: {name: mask.tolist() for name, mask in largest_of_all(scores, share).items()} for share in (0.01, 0.6)}
    assert found[0.01] == {"a": [False, True, False], "b": [False, False]}
    assert found[0.6] == {"a": [False, True, True], "b": [True, False]}


@pytest.mark.parametrize("form", ["paper", "code"])
def test_pruned_neurons_are_gone_and_nothing_else(tiny, pairs, form):
    made, _ = apply_method("manu", tiny, pairs, None, config_of("manu", form=form))
    towers = {role.startswith("parameter:") for role in made.tensors}
    assert towers == {True, False}
    before = {name: parameter.detach().clone() for name, parameter in tiny.model.named_parameters()}
    with made.on(tiny):
        for entry in made.tensors.values():
            now, was = dict(tiny.model.named_parameters())[entry["name"]], before[entry["name"]]
            gone = (now != was).any(0)
            assert bool(gone.any()) and not bool(now[:, gone].any()) and torch.equal(now[:, ~gone], was[:, ~gone])


def test_its_neurons_can_be_taught_instead(tiny, pairs):
    config = config_of("manu", action="teach", rate=1e-2, max_steps=2, batch_size=3, stop="never")
    made, training = apply_method("manu", tiny, pairs, None, config)
    assert training.steps == 2 and all(role.endswith(("ffn.in", "ffn.gate")) for role in made.tensors)


def test_a_vision_tower_without_comparison_is_refused(tiny, pairs, monkeypatch):
    alone = PairSet((pair for pair in pairs if pair.role == "edit"), pairs.folder)
    with pytest.raises(UserError, match=r"no pairs of contrast subjects to compare pictures with; set towers: \[language\]"):
        apply_method("manu", tiny, alone, None, config_of("manu"))
    made, _ = apply_method("manu", tiny, alone, None, config_of("manu", towers=["language"]))
    assert all(role.startswith("decoder.") for role in made.tensors)
    monkeypatch.setattr("neuralgate.lvlm.roles.vision_projections", lambda _model: {})
    with pytest.raises(UserError, match=r"no FFN of a known kind in .*'s vision tower; set towers: \[language\]"):
        apply_method("manu", tiny, pairs, None, config_of("manu"))
