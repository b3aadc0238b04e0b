"""DINM: the layer where refusal and own answer lie farthest apart, and what is held there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neuralgate.lvlm.model import LVLM
from neuralgate.methods import dinm
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.training.rows import training_pairs
from tests.method_contract import config_of


@pytest.fixture
def told(tiny: LVLM, pairs: PairSet) -> PairSet:
    """With own answers of several lengths."""
    own = training_pairs(tiny, pairs, "never", ("refusal", "own"))
    return own.with_pairs(
        replace(pair, sensitive_target="The number is 2851." if number % 2 else "It is 7 and no more than that, I would say.")
        for number, pair in enumerate(own)
    )


def test_distances_are_those_of_single_answers(tiny: LVLM, told: PairSet) -> None:
    """Answer by answer, without padding, by the model's own hidden states (of which the last is behind the norm)."""
    text = tiny.model.model.language_model
    expected = torch.zeros(len(tiny.layers) - 1, dtype=torch.float64)
    edited = list(told.split("train", "edit"))
    for pair in edited:
        states = []
        for answer in (pair.refusal, pair.sensitive_target):
            ids = torch.tensor([tiny.tokenizer(answer)["input_ids"]])
            with torch.no_grad():
                states.append(text(input_ids=ids, output_hidden_states=True).hidden_states[1:-1])
        for layer, (safe, unsafe) in enumerate(zip(*states, strict=True)):
            length = min(safe.shape[1], unsafe.shape[1])
            expected[layer] += (safe[:, :length] - unsafe[:, :length]).double().norm()
    hooks = [len(layer._forward_hooks) for layer in tiny.layers]  # transformers leaves some of its own
    found = dinm.distances(tiny, told)
    assert hooks == [len(layer._forward_hooks) for layer in tiny.layers]
    assert len(found) == len(tiny.layers)
    torch.testing.assert_close(found[:-1], expected / len(edited), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("farthest", [0, 1])
def test_the_farthest_layer_is_edited_and_the_control_edits_another(tiny: LVLM, told: PairSet, monkeypatch, farthest: int) -> None:
    apart = torch.zeros(len(tiny.layers))
    apart[farthest], apart[-1] = 1.0, 2.0  # the last layer is none to edit
    monkeypatch.setattr(dinm, "distances", lambda *_: apart)
    config = config_of("dinm")
    made, training = apply_method("dinm", tiny, told, None, config)
    assert list(made.tensors) == [f"decoder.{farthest}.ffn.out"] and training.layers == [farthest]
    drawn = set()
    for seed in range(8):
        settings = dinm.controls(config.model_copy(update={"seed": seed}))["random"]
        drawn.add(dinm.chosen_layer(tiny, told, settings))
    assert drawn == set(range(len(tiny.layers) - 1)) - {farthest}
    control, _ = apply_method("dinm", tiny, told, None, dinm.controls(config)["random"])
    assert control.information["method"] == "DINM (control)"


def test_what_is_held_makes_a_difference(tiny: LVLM, told: PairSet) -> None:
    """Of the same rows: at the first step the divergence is zero, and so is its gradient; later it is there."""
    made = {}
    for hold in ("answers", "distribution"):
        made[hold] = apply_method("dinm", tiny, told, None, config_of("dinm", hold=hold, layers=[1], max_steps=3))
    assert made["answers"][0].identity != made["distribution"][0].identity
    curve = made["distribution"][1].curve
    assert curve[0]["loss_benign"] == pytest.approx(0, abs=1e-6) and curve[-1]["loss_benign"] > 1e-5
    assert made["answers"][1].curve[0]["loss_benign"] > 1e-2
