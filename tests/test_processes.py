"""Several processes of one launch make what one makes, byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuralgate.chunks import Chunks, Share, StageOver
from neuralgate.follow import Follower
from neuralgate.recipe import Recipe
from neuralgate.run import Run

SETTINGS = ["pairs.subjects=[passport, receipt]", "pairs.contrast=[bus ticket]", "pairs.per_subject=4", "pairs.contrast_per_subject=2"]
SETTINGS += ["pairs.validation_per_subject=1", "pairs.test_per_subject=2", "evaluate.vqa=4", "evaluate.max_new_tokens=2"]
SETTINGS += ["locate.layers=[0, 1]", "locate.samples_per_subject=2", "locate.steps=3", "edit.max_steps=4", "edit.stop=never"]
SETTINGS += ["variants=[none, random]", "pairs.source=null", "pairs.only_read=false"]
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
LAUNCH += ["--dynamo_backend", "no", "--main_process_port", "29517", "-m"]


def run(model: Path, out: Path, launch: list[str], timeout: int = 240) -> subprocess.CompletedProcess:
    command = [sys.executable, *launch, "neuralgate.cli", "run", str(model), "--out", str(out), "--machine", "threads=1"]
    for setting in SETTINGS:
        command += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.slow
def test_two_processes_end_in_the_same_bytes(tiny_folder, tmp_path):
    alone = run(tiny_folder, tmp_path / "alone", ["-m"])
    assert alone.returncode == 0, alone.stderr
    both = run(tiny_folder, tmp_path / "both", LAUNCH)
    assert both.returncode == 0, both.stderr
    for name in (
        "patch/patch.safetensors",
        "controls/random/patch/patch.safetensors",
        "gate/gate.safetensors",
        "gate/gate.json",
        "answers.jsonl",
        "scores.json",
    ):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    assert both.stdout.count("report:") == 1, "one process speaks for all"


def test_each_process_makes_its_share(tmp_path):
    keys = [f"piece {number}" for number in range(7)]
    made: dict[int, list[str]] = {rank: [] for rank in range(3)}
    for rank in range(3):

        def work(key: str, rank: int = rank) -> bytes:
            made[rank].append(key)
            return key.encode()

        Chunks(tmp_path, Share(rank, 3)).make(keys, work)
    assert [len(found) for found in made.values()] == [3, 2, 2] and sorted(key for found in made.values() for key in found) == keys
    assert Chunks(tmp_path, Share(1, 3)).collect(keys) == [key.encode() for key in keys]


def test_a_process_alone_makes_everything_also_without_a_folder():
    chunks = Chunks()
    chunks.make(["a", "b"], str.encode)
    assert chunks.collect(["b", "a"]) == [b"b", b"a"]


def test_a_helper_leaves_when_the_stage_is_over(tmp_path):
    with pytest.raises(StageOver):
        Chunks(tmp_path, Share(1, 2), over=lambda: True).collect(["never made"])


def test_helpers_of_a_finished_run_have_nothing_to_wait_for(tmp_path):
    with Run.open(tmp_path / "run", Recipe(), "abc") as leader, leader.stage("locate", {"a": "b"}, ["gate"], shared=True):
        leader.write_text("gate", "votes")
    for _ in range(3):
        follower = Follower.load(tmp_path / "run")
        with follower.stage("locate", {"a": "b"}, ["gate"], shared=True) as stage:
            assert not stage.needed and not stage.leads
