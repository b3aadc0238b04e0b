"""The contract of all methods on three families: another decoder, other names of its tensors, other ways of a prompt."""

import pytest
import torch

from neuralgate.locate.gate import Gate
from neuralgate.lvlm.load import load
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.methods import METHODS
from neuralgate.pairs.schema import PairSet
from tests.families.models import save
from tests.method_contract import check_method

CHOSEN = ("llava", "qwen2_5_vl", "blip2")  # shared prefixes, positions in three dimensions, an FFN that hangs on its layer and has biases


@pytest.fixture(scope="module", params=CHOSEN)
def family(request, tmp_path_factory):
    torch.set_num_threads(1)
    lvlm = load(save(request.param, tmp_path_factory.mktemp("models") / request.param))
    sizes = {"per_subject": 3, "contrast_per_subject": 1, "validation_per_subject": 1, "test_per_subject": 1}
    folder = tmp_path_factory.mktemp("pairs")
    pairs = PairSet.synthetic(folder, seed=3, subjects=["passport", "student id"], contrast=["bus ticket"], **sizes)
    votes = torch.rand(2, len(lvlm.layers), lvlm.hidden_size, generator=torch.Generator().manual_seed(3))
    gate = Gate(votes, ("passport", "student id"), tuple(range(len(lvlm.layers))), lvlm.fingerprint, 0.3)
    return lvlm, with_own_answers(lvlm, pairs), gate


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract(name, family, tmp_path):
    check_method(name, *family, tmp_path / name)
