"""Neurons: what they add, which are busy alone, and the model without them; each by an oracle written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.locate.neurons import always_busy, busy_alone, input_rows, last_activations, random_neurons, saliency, silenced
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.prompts import IMAGE, encode_examples
from neuralgate.lvlm.roles import find_roles
from neuralgate.lvlm.targets import example_of
from neuralgate.methods import sn_tune
from neuralgate.methods.apply import apply_method
from neuralgate.training.ablation import refused_without
from tests.method_contract import config_of


@pytest.fixture
def questions(pairs):
    return [example_of(pair, "sensitive", pairs.folder) for pair in pairs.split("train", "edit")]


def test_activations_are_those_at_the_last_token_of_the_prompt(tiny, questions, request):
    """Question by question, without padding, from the FFN's own parts."""
    found = last_activations(tiny, questions, [0, 2])
    kept = {}
    handles = [
        tiny.layers[layer].mlp.register_forward_pre_hook(lambda _m, inputs, layer=layer: kept.__setitem__(layer, inputs[0]))
        for layer in (0, 2)
    ]
    request.addfinalizer(lambda: [handle.remove() for handle in handles])
    for number, example in enumerate(questions):
        tiny.generate([(example.image, example.question)], max_new_tokens=1)
        for layer in (0, 2):
            mlp, x_D = tiny.layers[layer].mlp, kept[layer][0, -1]
            expected_F = torch.nn.functional.silu(mlp.gate_proj(x_D)) * mlp.up_proj(x_D)
            torch.testing.assert_close(found[layer][number], expected_F.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", ["signed", "absolute"])
def test_saliency_is_what_a_neuron_adds(tiny, questions, mean):
    h_NF = last_activations(tiny, questions, [1])[1]
    weight_DF = tiny.ffn_out(1).weight.detach()
    expected = []
    for i in range(h_NF.shape[1]):
        added_ND = h_NF[:, i, None] * weight_DF[:, i]
        expected.append(added_ND.mean(0).norm() if mean == "signed" else added_ND.norm(dim=1).mean())
    expected_F = torch.stack(expected) / sum(expected)
    found_F = saliency(tiny, {1: h_NF}, mean)[1]
    torch.testing.assert_close(found_F, expected_F, rtol=1e-4, atol=1e-7)


def test_the_busy_alone_are_a_difference_of_sets():
    sensitive, benign = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]), torch.tensor([9.0, 1.0, 2.0, 8.0, 3.0])
    found = {share: busy_alone({0: sensitive}, {0: benign}, share)[0].nonzero()[:, 0].tolist() for share in (0.01, 0.4, 0.6, 1.0)}
    assert found == {0.01: [], 0.4: [1], 0.6: [1, 2], 1.0: []}


def test_random_neurons_are_as_many_others():
    chosen = {0: torch.arange(20) < 3, 4: torch.zeros(20, dtype=torch.bool)}
    drawn = random_neurons(chosen, 0)
    assert int(drawn[0].sum()) == 3 and not bool((drawn[0] & chosen[0]).any()) and not bool(drawn[4].any())
    assert torch.equal(drawn[0], random_neurons(chosen, 0)[0]) and not torch.equal(drawn[0], random_neurons(chosen, 1)[0])


def test_silenced_neurons_add_nothing(tiny_copy, questions):
    """As if their columns of the output projection were zero; afterwards they speak again."""
    chosen_F = torch.arange(48) % 5 == 0
    batch = encode_examples(tiny_copy, questions[:2])
    with torch.no_grad():
        plain = final_hidden(tiny_copy, batch)
        with silenced(tiny_copy, {1: chosen_F}):
            found = final_hidden(tiny_copy, batch)
        assert torch.equal(final_hidden(tiny_copy, batch), plain)
        tiny_copy.ffn_out(1).weight[:, chosen_F] = 0
        torch.testing.assert_close(found, final_hidden(tiny_copy, batch), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, plain)


def test_only_the_neurons_rows_are_trained(tiny, pairs):
    config = config_of("precise_shield", max_steps=3)
    made, training = apply_method("precise_shield", tiny, pairs, None, config)
    control, _ = apply_method("precise_shield", tiny, pairs, None, config.model_copy(update={"neurons": "random"}))
    rows = []
    for patch in (made, control):
        base = {role: parameter.detach().clone() for role, parameter in find_roles(tiny.model, patch.tensors).items()}
        with patch.on(tiny):
            moved = {role: (parameter.detach() != base[role]).any(1) for role, parameter in find_roles(tiny.model, patch.tensors).items()}
        assert all(role.endswith(("ffn.in", "ffn.gate")) for role in moved)
        assert all(torch.equal(moved[role], moved[role.replace("ffn.in", "ffn.gate")]) for role in moved if role.endswith("in"))
        assert all(1 <= int(chosen.sum()) <= 0.5 * 48 for chosen in moved.values())
        rows.append(moved)
    assert rows[0].keys() == rows[1].keys() and not any(bool((rows[0][role] & rows[1][role]).any()) for role in rows[0])
    assert training.values_changed == sum(int(chosen.sum()) * 32 for chosen in rows[0].values())
    assert "neurons)" in made.information["method"] and "with these neurons switched off" in training.note


def test_rows_of_a_matrix_of_both(tiny):
    masks = input_rows(tiny, {0: torch.arange(48) == 7, 1: torch.zeros(48, dtype=torch.bool)})
    assert set(masks) == {"decoder.0.ffn.in", "decoder.0.ffn.gate"}
    assert all(mask.shape == (48, 32) and mask[7].all() and int(mask.sum()) == 32 for mask in masks.values())


def test_no_neuron_left_is_said(tiny, pairs):
    with pytest.raises(UserError, match="the same largest neurons"):
        apply_method("precise_shield", tiny, pairs, None, config_of("precise_shield", share=1.0))


def test_switching_off_asks_protected_subjects(tiny, pairs, monkeypatch):
    asked, answers = [], iter((["No."] * 99, ["I cannot share that."] * 99, ["No."] * 99))
    monkeypatch.setattr(type(tiny), "generate", lambda _lvlm, items, **_: asked.append(items) or next(answers)[: len(items)])
    protected = list(pairs.split("validation", "protected"))
    text = refused_without(tiny, pairs, {0: torch.arange(48) < 2}, 0)
    assert protected and [len(items) for items in asked] == [len(protected)] * 3
    assert "refuses 0.0 %" in text and "100.0 % with these neurons" in text and "0.0 % with as many random ones" in text
    assert refused_without(tiny, pairs.split("train"), {}, 0) == ""


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_always_busy_are_an_intersection_over_questions(tiny, questions, share):
    """Question by question, without padding: FFN neurons by what is missing without each, rows by their outputs."""
    role = "decoder.1.attention.key"
    found = always_busy(tiny, questions, [0, 2], [role], share)
    assert set(found) == {"decoder.0.ffn", "decoder.2.ffn", role}
    expected = {}
    for example in questions:
        batch, kept = encode_examples(tiny, [replace(example, answer="", answer_ids=())]), {}
        handles = [
            tiny.ffn_out(layer).register_forward_pre_hook(
                lambda _m, i, name=f"decoder.{layer}.ffn", kept=kept: kept.__setitem__(name, i[0][0])
            )
            for layer in (0, 2)
        ]
        handles.append(tiny.layers[1].self_attn.k_proj.register_forward_hook(lambda _m, _i, o, kept=kept: kept.__setitem__(role, o[0])))
        with torch.no_grad():
            final_hidden(tiny, batch)
        for handle in handles:
            handle.remove()
        for layer in (0, 2):
            h_TF, weight_DF = kept[f"decoder.{layer}.ffn"], tiny.ffn_out(layer).weight.detach()
            kept[f"decoder.{layer}.ffn"] = torch.stack([(h_TF[:, i, None] * weight_DF[:, i]).norm(dim=-1) for i in range(48)], -1)
        for name, sizes_TF in kept.items():
            order = sizes_TF.abs()[~batch.is_class(IMAGE)[0]].sum(0).argsort(descending=True)
            top = set(order[: max(1, int(share * len(order)))].tolist())
            expected[name] = expected.get(name, top) & top
    assert {name: set(chosen.nonzero()[:, 0].tolist()) for name, chosen in found.items()} == expected


def test_sn_tune_trains_rows_and_columns_of_its_neurons(tiny, pairs):
    config = config_of("sn_tune", max_steps=3)
    made, training = apply_method("sn_tune", tiny, pairs, None, config)
    neurons = sn_tune.found_neurons(tiny, pairs, config, [0, 1, 2])
    base = {role: parameter.detach().clone() for role, parameter in find_roles(tiny.model, made.tensors).items()}
    assert any(role.endswith("ffn.out") for role in base) and any("attention" in role for role in base)
    with made.on(tiny):
        for role, parameter in find_roles(tiny.model, made.tensors).items():
            moved = parameter.detach() != base[role]
            if role.endswith("ffn.out"):
                assert torch.equal(moved.any(0), neurons[role.removesuffix(".out")])
            else:
                chosen = neurons[role if "attention" in role else role.rpartition(".")[0]]
                assert not bool(moved[~chosen].any()) and bool(moved.any())
    assert "neurons)" in made.information["method"] and "with these neurons switched off" in training.note


def test_no_neuron_for_sn_tune_is_said(tiny, pairs):
    with pytest.raises(UserError, match="No neuron matters"):
        apply_method("sn_tune", tiny, pairs, None, config_of("sn_tune", share=1.0))
