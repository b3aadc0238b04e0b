"""Directions and readers: means token by token, solves by their dense forms, gains by hand, folders whole or refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from neuralgate.closed_form import directions
from neuralgate.closed_form.directions import (
    answering,
    kept_examples,
    mean_reader,
    moments_at,
    null_space_reader,
    refusal_vectors,
    refused_examples,
    states_at,
    telling,
)
from neuralgate.closed_form.solve import null_space
from neuralgate.errors import UserError
from neuralgate.files import hash_path
from neuralgate.interventions.folder import HEADER
from neuralgate.interventions.header import sealed
from neuralgate.interventions.load import load_intervention
from neuralgate.interventions.steering import TENSORS, Reader, Steering
from neuralgate.lvlm.forward import final_hidden, output_changed
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.methods.apply import apply_method
from neuralgate.training.rows import training_pairs
from tests.method_contract import config_of

D, N = 7, 12


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def told(tiny, pairs):
    return training_pairs(tiny, pairs)


def plain_states(lvlm, example, layer):
    """A question by itself: the layer's output at every token, and the batch."""
    kept = []
    batch = encode_examples(lvlm, [example])
    with torch.no_grad(), output_changed(lvlm.layers[layer], lambda hidden_BTD: kept.append(hidden_BTD[0]) or hidden_BTD):
        final_hidden(lvlm, batch)
    return kept[0].double(), batch


def test_states_are_those_of_each_question_by_itself(tiny, told):
    examples = kept_examples(told)[:5]
    for tokens, count in ((telling, lambda batch: int((batch.labels_BT >= 0).sum())), (answering, None)):
        found = states_at(tiny, examples, [1], tokens)[1]
        plain = []
        for example in examples:
            states_TD, batch = plain_states(tiny, example, 1)
            plain.append(states_TD[tokens(batch)[0]])
            assert count is None or len(plain[-1]) == count(batch) > 0
        torch.testing.assert_close(found, torch.cat(plain), rtol=1e-4, atol=1e-5)


def test_moments_leave_each_first_token_out(tiny, told):
    examples = kept_examples(told)[:4]
    rows = torch.cat([plain_states(tiny, example, 2)[0][1:] for example in examples])
    torch.testing.assert_close(moments_at(tiny, examples, [2])[2], rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)


def test_the_refusal_vector_is_a_difference_of_means(tiny, told):
    benign = [example for example, pair in zip(kept_examples(told), told.split("train", "edit"), strict=False) if pair]
    means = [states_at(tiny, examples, [1], answering)[1].mean(0) for examples in (refused_examples(told), benign)]
    torch.testing.assert_close(refusal_vectors(tiny, told, [1])[1], means[0] - means[1])


def test_the_mean_reader_reads_0_and_1_at_the_means():
    sensitive, kept = drawn(N, D) + 2, drawn(N, D, seed=1)
    reader = mean_reader(sensitive, kept)
    gains = [float(reader.k_D @ states.mean(0)) + reader.offset for states in (kept, sensitive)]
    assert gains == pytest.approx([0, 1], abs=1e-12) and reader.limited
    with pytest.raises(UserError, match="nothing tells them apart"):
        mean_reader(kept, kept)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_the_null_space_reader_is_its_dense_form(ridge):
    """With the projection as a matrix, in all D dimensions; and it reads nothing of what lies outside."""
    sensitive = drawn(N, D)
    basis = torch.linalg.qr(drawn(D, 3, seed=1))[0]
    reader = null_space_reader(sensitive, basis, ridge)
    projection = basis @ basis.T
    weight = ridge * (sensitive @ basis).square().mean() * N
    states = sensitive @ projection
    dense = torch.linalg.solve(
        states.T @ states + weight * torch.eye(D, dtype=torch.float64), states.T @ torch.ones(N, dtype=torch.float64)
    )
    torch.testing.assert_close(reader.k_D, dense, rtol=1e-10, atol=1e-12)
    outside = drawn(5, D, seed=2) @ (torch.eye(D, dtype=torch.float64) - projection)
    assert float((outside @ reader.k_D).abs().max()) < 1e-12 and not reader.limited and reader.offset == 0
    with pytest.raises(UserError, match="nothing where benign ones have none"):
        null_space_reader(sensitive @ (torch.eye(D, dtype=torch.float64) - projection) * 0, basis, ridge)


@pytest.mark.parametrize("limited", [False, True])
def test_the_gain_is_what_the_reader_reads(tiny, told, limited):
    k_D, vector_D = drawn(tiny.hidden_size).float(), drawn(tiny.hidden_size, seed=1).float()
    reader = Reader(k_D, -0.25, limited)
    steering = Steering.for_model(tiny, {1: vector_D}, {}, {1: reader}).at(2.0)
    example = kept_examples(told)[0]
    plain_TD, _ = plain_states(tiny, example, 1)
    with steering.on(tiny):
        found_TD, _ = plain_states(tiny, example, 1)
    gain_T = plain_TD @ k_D.double() - 0.25
    assert bool((gain_T < 0).any()) and bool((gain_T > 1).any())
    if limited:
        gain_T = gain_T.clamp(0, 1)
    torch.testing.assert_close(found_TD, plain_TD + 2 * gain_T[:, None] * vector_D.double(), rtol=1e-3, atol=1e-3)
    assert [row[-1] for row in steering.table()[1]] == ["what is read there" + ", within 0 and 1" * limited]


@pytest.mark.parametrize("when", ["always", "sensitive"])
def test_a_condition_goes_into_the_folder_and_back(tiny, pairs, tmp_path, when):
    made, training = apply_method("steering", tiny, pairs, None, config_of("steering", when=when))
    made.save(tmp_path)
    loaded = load_intervention(tmp_path)
    assert loaded.identity == made.identity and list(loaded.readers) == ([1] if when == "sensitive" else [])
    assert training.values_changed == tiny.hidden_size * (2 if when == "sensitive" else 1)
    plain = Steering(made.vectors, made.information, made.strength)
    assert (plain.identity == made.identity) == (when == "always")


@pytest.mark.parametrize("fault", ["no offset", "no vector of its own", "two offsets"])
def test_a_reader_that_fits_no_vector_is_refused(tiny, tmp_path, fault):
    size = tiny.hidden_size
    Steering.for_model(tiny, {1: torch.ones(size)}, {}, {1: Reader(torch.ones(size))}).save(tmp_path)
    held = {
        "decoder.1.output": torch.ones(size),
        "decoder.1.reader": torch.ones(size),
        "decoder.1.offset": torch.zeros(1, dtype=torch.float64),
    }
    if fault == "no offset":
        del held["decoder.1.offset"]
    elif fault == "two offsets":
        held["decoder.1.offset"] = torch.zeros(2, dtype=torch.float64)
    else:
        held |= {"decoder.2.reader": torch.ones(size), "decoder.2.offset": torch.zeros(1, dtype=torch.float64)}
    save_file(held, tmp_path / TENSORS)
    header = json.loads((tmp_path / HEADER).read_text())
    del header["checksum"]
    (tmp_path / HEADER).write_text(json.dumps(sealed({**header, "safetensors_sha256": hash_path(tmp_path / TENSORS)})))
    with pytest.raises(UserError, match="readers that do not belong to its vectors"):
        load_intervention(tmp_path)


def test_null_space_steering_leaves_benign_states_nearly_alone(tiny, pairs, told):
    """What it adds at their tokens, beside what plain steering adds there, and at those of sensitive questions."""
    made, _ = apply_method("null_space_steering", tiny, pairs, None, config_of("null_space_steering", energy=0.05, threshold=None))
    reader = made.readers[1]
    basis = null_space(moments_at(tiny, kept_examples(told), [1])[1], None, 0.05)
    torch.testing.assert_close(reader.k_D.double(), basis @ (basis.T @ reader.k_D.double()), rtol=1e-4, atol=1e-5)
    benign, sensitive = (
        states_at(tiny, examples, [1], telling)[1] @ reader.k_D.double() for examples in (kept_examples(told), refused_examples(told))
    )
    assert float(benign.abs().mean()) < 0.75 * float(sensitive.abs().mean())


def test_a_pass_that_memory_does_not_hold_is_told_once(tiny_copy, pairs, monkeypatch):
    """What had been read of it before it failed must not matter."""
    examples = kept_examples(training_pairs(tiny_copy, pairs, "never"))
    whole, plain, failed = moments_at(tiny_copy, examples, [0, 2]), directions.final_hidden, []

    def short(lvlm, batch):
        hidden = plain(lvlm, batch)
        if len(batch.input_ids_BT) > 2:
            failed.append(1)
            raise torch.OutOfMemoryError
        return hidden

    monkeypatch.setattr(directions, "final_hidden", short)
    halved = moments_at(tiny_copy, examples, [0, 2])
    assert failed
    for layer in (0, 2):
        torch.testing.assert_close(halved[layer], whole[layer], rtol=1e-5, atol=1e-7)
