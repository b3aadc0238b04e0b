"""Clerk in 8 and 4 bit: read, located on and measured; not edited."""

import pytest
import torch

from neuralgate.edit import edit
from neuralgate.errors import UserError
from neuralgate.judges import contains
from neuralgate.locate import locate
from neuralgate.lvlm.load import load
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EditConfig, LocateConfig


@pytest.fixture(scope="module", params=["8bit", "4bit"])
def quantised(request):
    torch.set_num_threads(1)
    return load("clerk", dtype=request.param)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return PairSet.synthetic(tmp_path_factory.mktemp("pairs"), subjects=["passport"], contrast=["bus ticket"], per_subject=8)


def test_it_reads(quantised, drawn):
    chosen = list(drawn.split("train", "edit"))
    answers = quantised.generate([(drawn.folder / pair.image, pair.sensitive_question) for pair in chosen])
    assert sum(contains(answer, pair.sensitive_truth) for answer, pair in zip(answers, chosen, strict=True)) >= 6


def test_it_can_be_located_on(quantised, drawn):
    gate = locate(quantised, drawn, LocateConfig(layers=[0], samples_per_subject=2, steps=15))
    row = gate.summary["profile"][0]
    assert row["loss_end"] < row["loss_start"] - 0.5 and 0 < gate.votes_SLD.mean() < 1


def test_it_is_not_edited(quantised, drawn):
    with pytest.raises(UserError, match="Quantised weights cannot be edited"):
        edit(quantised, drawn, None, EditConfig(layers=[0], gate="none", max_steps=1))
