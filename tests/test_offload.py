"""A model whose weights accelerate keeps aside until they are needed, as `--machine device=split` does with large ones."""

import pytest
import torch
from accelerate import cpu_offload

from neuralgate.errors import UserError
from neuralgate.locate.locate import locate_gate
from neuralgate.lvlm.load import load
from neuralgate.methods.apply import edit
from neuralgate.recipe import EditConfig, LocateConfig


@pytest.fixture(scope="module")
def aside(tiny_folder):
    lvlm = load(tiny_folder)
    cpu_offload(lvlm.model, execution_device=torch.device("cpu"))
    assert {parameter.device.type for parameter in lvlm.model.parameters()} == {"meta"}
    return lvlm


def test_it_is_the_same_model(aside, tiny, pairs):
    assert aside.fingerprint == tiny.fingerprint and aside.device == tiny.device
    items = [*[(pairs.folder / pair.image, pair.sensitive_question) for pair in pairs][:4], (None, "Is the passport private?")]
    assert aside.generate(items) == tiny.generate(items)


def test_it_is_located_as_in_memory(aside, tiny, pairs):
    config = LocateConfig(layers=[1], samples_per_subject=2, steps=3)
    assert torch.equal(locate_gate(aside, pairs, config).votes_SLD, locate_gate(tiny, pairs, config).votes_SLD)


def test_a_layer_that_is_aside_is_not_edited(aside, pairs):
    with pytest.raises(UserError, match="put aside for lack of memory"):
        edit(aside, pairs, None, EditConfig(layers=[1], gate="none", max_steps=1))


def test_split_is_a_place(tiny_folder, tiny, pairs):
    lvlm = load(tiny_folder, device="split")
    assert lvlm.fingerprint == tiny.fingerprint
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in pairs][:2]
    assert lvlm.generate(items) == tiny.generate(items)
