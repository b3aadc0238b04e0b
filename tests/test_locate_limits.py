"""Locate where something is wrong or scarce: losses that are no numbers, answers without a token, memory."""

from dataclasses import replace

import pytest
import torch

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate import layers as layers_module
from neuralgate.locate import vectors as vectors_module
from neuralgate.locate.locate import locate_gate
from neuralgate.locate.samples import PairSample, Sample, make_samples
from neuralgate.locate.vectors import Prepared, sample_bytes
from neuralgate.lvlm.forward import check_gradient
from neuralgate.lvlm.prompts import Example
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import Recipe
from tests.plain_locate import few_differ


class Poisoned(Prepared):
    """One sample of the batch has infinite hidden states."""

    sample = 4

    def __init__(self, *arguments):
        super().__init__(*arguments)
        for hidden_BTD in self.passed.outputs.values():
            hidden_BTD[2 * self.sample : 2 * self.sample + 2] = torch.inf


def test_a_sample_whose_loss_is_no_number_does_not_vote_and_does_no_harm(tiny, pairs, locate_config, located_gate, monkeypatch, capsys):
    samples = make_samples(pairs, locate_config)
    assert len(samples) == 6
    monkeypatch.setattr(layers_module, "EXCLUDED", 0.2)
    monkeypatch.setattr(layers_module, "Prepared", Poisoned)
    chunks = Chunks()
    found = locate_gate(tiny, pairs, locate_config, chunks=chunks)
    said = capsys.readouterr().err
    assert f"At layer 0 the loss of 1 of 6 samples became NaN or infinite ({samples[4].pair.id}); they do not vote." in said
    assert torch.equal(found.votes("passport", 0), located_gate.votes("passport", 0)), "its neighbours do not feel it"
    votes = found.votes("student id", 1)
    assert votes.isfinite().all() and ((votes * 2).round() == votes * 2).all(), "shares of two samples"
    for row in found.summary["profile"]:
        assert row["excluded"] == 1 and row["own"]["n"] == 5 and row["loss_end"] == row["loss_end"]
    assert located_gate.summary["profile"][0]["excluded"] == 0


@pytest.mark.parametrize("case", ["more than a twentieth", "a whole subject"])
def test_too_many_such_samples_are_an_error(tiny, pairs, locate_config, monkeypatch, case):
    train = pairs.split("train", "edit")
    if case == "a whole subject":
        monkeypatch.setattr(layers_module, "EXCLUDED", 0.9)
        monkeypatch.setattr(Poisoned, "sample", 3)
        train = PairSet([*train.subset(["passport"]), train.subset(["student id"]).pairs[0]], pairs.folder)
    monkeypatch.setattr(layers_module, "Prepared", Poisoned)
    with pytest.raises(UserError, match=r"At layer 0 the loss of 1 of [46] samples became NaN or infinite .*; lower locate\.rate, or"):
        locate_gate(tiny, train, locate_config)


def test_an_answer_without_a_token_is_refused(tiny, pairs, locate_config):
    pair = pairs.split("train", "edit").pairs[0]
    sensitive = Example(pairs.folder / pair.image, pair.sensitive_question, pair.subject, pair.refusal)
    benign = Example(pairs.folder / pair.image, pair.benign_question, pair.subject, "")
    with pytest.raises(UserError, match=rf"The wanted answer '' to .* \(pair {pair.id}\) has no token; leave the pair out or give it"):
        layers_module.optimise_layers(
            tiny, [PairSample(pair, Sample(pair.subject, (sensitive,), benign))], [0], locate_config, None, Chunks()
        )


def test_a_sample_has_one_image(pairs):
    one, other, *_ = pairs.split("train", "edit")
    ask = [Example(pairs.folder / pair.image, pair.benign_question, pair.subject, "yes") for pair in (one, other)]
    with pytest.raises(ValueError, match="one image"):
        Sample("passport", (ask[0],), ask[1])


def test_samples_have_equally_many_questions(tiny, pairs, locate_config):
    first, *rest = pairs
    mixed = PairSet([replace(first, contexts=first.contexts[:2]), *rest], pairs.folder)
    with pytest.raises(UserError, match=r"The pairs have 2 to 5 context sentences; .* locate\.contexts=false"):
        locate_gate(tiny, mixed, locate_config.model_copy(update={"contexts": True}))
    assert len(make_samples(mixed, locate_config)) == 6, "without contexts they do not matter"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("locate.layers=[1,1]", "a layer is named twice"),
        ("edit.layers=[0,0]", "a layer is named twice"),
        ("locate={parametrisation: clamp, start: -3}", "start must lie between -1 and 1"),
        ("locate={joint: true, layers: [0, 2]}", "joint wants layers that follow each other, not 0, 2"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting, said):
    with pytest.raises(UserError, match=said):
        Recipe().changed([setting])


def test_the_batch_is_what_has_room(tiny, pairs, locate_config, located_gate, monkeypatch):
    """On an accelerator the first sample's measure says how many fit; the measure is what a batch really takes."""
    samples = [item.sample for item in make_samples(pairs, locate_config)]
    one, all_of_them = (sample_bytes(Prepared(tiny, chosen, 0, locate_config), [0]) for chosen in (samples[:1], samples))
    assert 0.7 < one / all_of_them < 1.4
    assert one > 2 * tiny.hidden_size * 4 * 64, "twice the image's keys alone, at one layer"
    monkeypatch.setattr(vectors_module, "free_bytes", lambda device: 3 * one)
    counts = []
    usual = layers_module.optimise_vectors
    monkeypatch.setattr(
        layers_module, "optimise_vectors", lambda lvlm, chosen, *rest: counts.append(len(chosen)) or usual(lvlm, chosen, *rest)
    )
    passes = []
    monkeypatch.setattr(layers_module, "Prepared", lambda *rest: passes.append(1) or Prepared(*rest))
    found = locate_gate(tiny, pairs, locate_config)
    assert counts == [2] * 6 and len(passes) == 3, "one pass serves both layers of a batch"
    assert few_differ(found, located_gate)


def test_a_run_goes_on_with_the_batches_that_it_began_with(tiny, pairs, locate_config, tmp_path, monkeypatch):
    """How much memory is free is the machine's affair, and another day's."""
    chunks = Chunks(tmp_path)
    first = locate_gate(tiny, pairs, locate_config, chunks=chunks)
    monkeypatch.setattr(vectors_module, "free_bytes", lambda device: 1)
    monkeypatch.setattr(layers_module, "optimise_vectors", None)
    assert torch.equal(locate_gate(tiny, pairs, locate_config, chunks=chunks).votes_SLD, first.votes_SLD)


def test_a_device_that_holds_not_even_one_is_said(tiny, pairs, locate_config, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(vectors_module, "free_bytes", lambda device: 10**9)
    for module in (vectors_module, layers_module):
        monkeypatch.setattr(module, "Prepared", full)
    with pytest.raises(UserError, match="locating: the accelerator's memory does not hold a single one"):
        locate_gate(tiny, pairs, locate_config)


def test_vectors_that_get_no_gradient_are_refused(tiny_copy, pairs, locate_config):
    """A projection whose product autograd does not know leaves a gradient along the residual alone."""
    projection = tiny_copy.layers[2].self_attn.q_proj
    projection.register_forward_hook(lambda module, inputs, output: output.detach())
    with pytest.raises(UserError, match=r"A Linear of .* passes no gradient back"):
        locate_gate(tiny_copy, pairs, locate_config)
    with pytest.raises(UserError, match="The vectors at layer 1 got no gradient"):
        check_gradient(torch.zeros(2, 3), "The vectors at layer 1")
