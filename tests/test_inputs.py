"""Packed inputs against the plain form: one question, one sequence, all layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralgate.lvlm.fast.packing import PADDING, SHARED
from neuralgate.lvlm.forward import final_hidden, only_layers, target_losses
from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.training.batches import Inputs, SharedWork, inputs_of
from neuralgate.training.rows import rows_of

exact = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def examples(pairs):
    rng = np.random.default_rng(4)
    return [row.example for pair in pairs.split("train").pairs[:5] for row in rows_of(pair, pairs, rng)]


def plain(lvlm, examples):
    """Final hidden states of every example's own tokens, and its loss."""
    batch = encode_examples(lvlm, examples)
    hidden_BTD = final_hidden(lvlm, batch)
    lengths = batch.attention_mask_BT.sum(-1)
    return [hidden[:length] for hidden, length in zip(hidden_BTD, lengths, strict=True)], target_losses(lvlm, hidden_BTD, batch.labels_BT)


def check(lvlm, layer, batch, examples):
    hidden_BTD = batch.run(lvlm, layer, len(lvlm.layers))
    expected, losses = plain(lvlm, examples)
    for number, hidden_TD in enumerate(expected):
        row, _ = (batch.owners_BT == number).nonzero()[0].tolist()
        visible = (batch.owners_BT[row] == SHARED) | (batch.owners_BT[row] == number)
        torch.testing.assert_close(hidden_BTD[row][visible], hidden_TD, **exact)
    torch.testing.assert_close(target_losses(lvlm, hidden_BTD, batch.labels_BT, batch.examples_BT, len(examples)), losses, **exact)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_packed_rows_are_the_single_questions(tiny_double, examples, layer):
    batch = Inputs(tiny_double, layer).batch(examples)
    assert len(batch.hidden_BTD) == 5, "one row an image"
    check(tiny_double, layer, batch, examples)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_top_layer_is_asked_at_the_labels_alone(tiny_double, examples, layer):
    """The hidden states, and the gradient of everything below."""
    batch = Inputs(tiny_double, layer).batch(examples)
    weight = tiny_double.ffn_out(layer).weight.requires_grad_(True)
    hidden_BQD, labels_BQ, examples_BQ = batch.final_hidden_at_labels(tiny_double)
    assert labels_BQ.shape[1] < batch.labels_BT.shape[1] / 2 and (labels_BQ < 0).any(), "some rows have fewer labels"
    whole_BTD = batch.final_hidden(tiny_double)
    torch.testing.assert_close(hidden_BQD[labels_BQ >= 0], whole_BTD[batch.labels_BT >= 0], **exact)
    few = target_losses(tiny_double, hidden_BQD, labels_BQ, examples_BQ, len(examples))
    all_of_them = target_losses(tiny_double, whole_BTD, batch.labels_BT, batch.examples_BT, len(examples))
    torch.testing.assert_close(few, all_of_them, **exact)
    (mine,), (theirs,) = (torch.autograd.grad(losses.square().sum(), weight) for losses in (few, all_of_them))
    torch.testing.assert_close(mine, theirs, **exact)
    assert theirs.norm() > 0 and not tiny_double.layers[-1]._forward_pre_hooks


def test_what_is_kept_is_what_is_computed(tiny_double, examples):
    inputs = Inputs(tiny_double, 1)
    first = inputs.batch(examples)
    again, mixed = inputs.batch(examples), inputs.batch([*examples[4:6], *examples[:2]])
    for name, tensor in vars(first).items():
        assert name == "layer" or torch.equal(tensor, vars(again)[name])
    assert mixed.owners_BT[mixed.owners_BT >= 0].unique().tolist() == [0, 1, 2, 3]
    check(tiny_double, 1, mixed, [*examples[4:6], *examples[:2]])


def test_what_does_not_fit_is_computed_again(tiny_double, examples):
    inputs = Inputs(tiny_double, 1, kept_bytes=0)
    first, again = inputs.batch(examples), inputs.batch(examples)
    assert not inputs.rows_of and torch.equal(first.hidden_BTD, again.hidden_BTD)
    small = Inputs(tiny_double, 1, kept_bytes=60_000)
    small.batch(examples)
    assert 0 < len(small.rows_of) < 5 and 0 <= small.room < 60_000


def test_questions_without_an_image_do_not_share(tiny_double, examples):
    alone = [replace(example, image=None) for example in examples[:2]]
    batch = Inputs(tiny_double, 1).batch(alone)
    assert len(batch.hidden_BTD) == 2 and not (batch.owners_BT == SHARED).any()
    check(tiny_double, 1, batch, alone)


def test_other_parts_of_a_row_are_out_of_sight(tiny_double, examples):
    """Changing one question leaves the other's numbers, bit for bit."""
    long = Example(examples[1].image, "Please " * 9 + examples[1].question, examples[1].subject, "nothing at all")
    batches = [Inputs(tiny_double, 1).batch([examples[0], other]) for other in (examples[1], long)]
    outputs = [batch.run(tiny_double, 1, 3)[0][(batch.owners_BT[0] == SHARED) | (batch.owners_BT[0] == 0)] for batch in batches]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-13)
    assert (batches[0].owners_BT == PADDING).sum() == 0


def test_layers_are_put_back(tiny):
    layers, norm = tiny.decoder.layers, tiny.decoder.norm
    with pytest.raises(RuntimeError), only_layers(tiny, 0, 2):
        assert len(tiny.layers) == 2 and tiny.decoder.norm is not norm
        raise RuntimeError
    assert tiny.decoder.layers is layers and tiny.decoder.norm is norm
    with only_layers(tiny, 1, 3):
        assert tiny.decoder.norm is norm


def test_what_is_shared_is_the_same_whatever_came_before(tiny_double, examples):
    """A row does not hang on what it was computed beside, and is what it would be by itself."""
    first, second = SharedWork(tiny_double), SharedWork(tiny_double)
    whole = first.at(1).batch(examples)
    second.at(1).batch(examples[4:6])
    later = second.at(1).batch(examples)
    assert torch.equal(whole.hidden_BTD, later.hidden_BTD)
    torch.testing.assert_close(whole.hidden_BTD, Inputs(tiny_double, 1).batch(examples).hidden_BTD, **exact)


def test_what_another_edit_computed_counts_as_saved_once(tiny_double, examples):
    shared = SharedWork(tiny_double)
    before, inputs = tiny_double.saved_seconds, shared.at(1)
    for _ in range(2):  # epochs of the first edit
        inputs.batch(examples)
    assert tiny_double.saved_seconds == before
    took = sum(inputs.seconds.values())
    for edits in (1, 2):
        inputs = shared.at(1)
        for _ in range(2):
            inputs.batch(examples)
        assert tiny_double.saved_seconds - before == pytest.approx(edits * took) and took > 0


def test_the_layers_asked_for_last_are_shared(tiny_double):
    shared = SharedWork(tiny_double, most=2)
    zero, one = shared.at(0), shared.at(1)
    assert shared.at(0) is zero and shared.at(2) and list(shared.held) == [0, 2] and shared.at(1) is not one
    with shared.used():
        assert inputs_of(tiny_double, 2) is shared.held[2]
    assert tiny_double.shared is None and inputs_of(tiny_double, 2) is not shared.held[2]
