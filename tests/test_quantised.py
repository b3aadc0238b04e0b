"""Clerk in 8 and 4 bit: read, located on and measured; not edited."""

import sys
from unittest.mock import patch

import pytest
import torch

from neuralgate.cli.main import main
from neuralgate.errors import UserError
from neuralgate.files import read_json
from neuralgate.judge.prefix import contains
from neuralgate.locate.locate import locate_gate
from neuralgate.lvlm.load import load
from neuralgate.methods.apply import edit
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
    gate = locate_gate(quantised, drawn, LocateConfig(layers=[0], samples_per_subject=2, steps=15))
    row = gate.summary["profile"][0]
    assert row["loss_end"] < row["loss_start"] - 0.5 and 0 < gate.votes_SLD.mean() < 1


def test_it_is_not_edited(quantised, drawn):
    with pytest.raises(UserError, match="Quantised weights cannot be edited"):
        edit(quantised, drawn, None, EditConfig(layers=[0], gate="none", max_steps=1))


def test_the_command_line_locates_and_does_not_edit(quantised, tmp_path, capsys):
    """As a user gets there: the pairs, then the gate; only what edits is refused."""
    dtype = "8bit" if quantised.model.hf_quantizer.quantization_config.load_in_8bit else "4bit"
    run, machine = str(tmp_path / "run"), ["--machine", f"dtype={dtype}"]
    small = ["pairs.subjects=[passport]", "pairs.contrast=[]", "pairs.per_subject=2", "pairs.validation_per_subject=1"]
    small += ["pairs.test_per_subject=1", "evaluate.benchmarks=[vqa]", "evaluate.vqa=1"]
    small += ["locate.layers=[0]", "locate.samples_per_subject=1", "locate.steps=2"]
    assert call("pairs", run, "--model", "clerk", *machine, *(part for setting in small for part in ("--set", setting))) == 0
    assert read_json(tmp_path / "run/manifest.json")["dtype"] == dtype
    assert call("locate", run) == 0, "it goes on with the dtype that it was begun with"
    assert read_json(tmp_path / "run/manifest.json")["dtype"] == dtype
    assert "the search for the layer is left out" in capsys.readouterr().err
    assert call("run", "clerk", "--out", str(tmp_path / "other"), *machine) == 2
    assert "Quantised weights cannot be edited, only located on" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def call(*arguments: str) -> int:
    """The command line in this process; its exit code."""
    with patch.object(sys, "argv", ["neuralgate", *arguments]):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0
