"""Several processes of one launch make what one makes, byte for byte."""

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from neuralgate.chunks import Chunks, ProcessShare, StageOver
from neuralgate.evaluate.ask import answer
from neuralgate.files import digest, hash_path, write_jsonl
from neuralgate.locate import layers
from neuralgate.locate.locate import locate_gate
from neuralgate.locate.vectors import Prepared
from neuralgate.lvlm.generate import Generated
from neuralgate.recipe import EvaluateConfig, Recipe
from neuralgate.run.folder import Run
from neuralgate.run.follow import Follower

SETTINGS = ["pairs.subjects=[passport, receipt]", "pairs.contrast=[bus ticket]", "pairs.per_subject=4", "pairs.contrast_per_subject=2"]
SETTINGS += ["pairs.validation_per_subject=1", "pairs.test_per_subject=2", "evaluate.vqa=4", "evaluate.max_new_tokens=2"]
SETTINGS += ["locate.layers=[0, 1]", "locate.samples_per_subject=2", "locate.steps=3", "edit.max_steps=4", "edit.stop=never"]
SETTINGS += ["evaluate.benchmarks=[privacypair-test, public-contrast, protected, vqa]"]
SETTINGS += ["variants=[none, random]", "pairs.source=null", "pairs.only_read=false"]
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
LAUNCH += ["--dynamo_backend", "no", "--main_process_port", "29517", "-m"]


def run(model: Path, out: Path, launch: list[str], timeout: int = 240) -> subprocess.CompletedProcess:
    command = [sys.executable, *launch, "neuralgate", "run", str(model), "--out", str(out), "--machine", "threads=1"]
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
        "choice.json",
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

        Chunks(tmp_path, ProcessShare(rank, 3)).make(keys, work)
    assert [len(found) for found in made.values()] == [3, 2, 2] and sorted(key for found in made.values() for key in found) == keys
    assert Chunks(tmp_path, ProcessShare(1, 3)).collect(keys) == [key.encode() for key in keys]


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("side_by_side", [False, True])
def test_every_piece_is_dealt_once_and_evenly(count, side_by_side):
    for length in range(20):
        keys = [f"{number:02d}" for number in range(length)]
        dealt = [Chunks(share=ProcessShare(rank, count)).mine(keys, side_by_side) for rank in range(count)]
        assert sorted(key for part in dealt for key in part) == keys
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def shared(ranks: int, folder: Path, work):
    """What ``work(rank, chunks)`` returns in the last of so many processes: each works until it would have to wait for another."""
    for _ in range(3):  # each has its say again when the others are done
        for rank in range(ranks):
            with suppress(StageOver):
                result = work(rank, Chunks(folder, ProcessShare(rank, ranks), over=lambda: True))
    return result


class Toggled:
    """An intervention that knows how often it was put on."""

    def __init__(self, name: str, asked: "Asked") -> None:
        self.name, self.asked = name, asked

    def unchanged_below(self, lvlm):
        return 0

    @contextmanager
    def on(self, lvlm):
        self.asked.variant = self.name
        self.asked.put_on.append(self.name)
        yield Behind(lvlm)
        self.asked.variant = "base"


class Behind:
    """What a filter is: it answers with the model's answer, changed."""

    def __init__(self, lvlm: "Asked") -> None:
        self.name, self.lvlm = lvlm.name, lvlm

    def generate_answers(self, *arguments, **settings):
        return [Generated(f"{answer.text}!", (), False) for answer in self.lvlm.generate_answers(*arguments, **settings)]


class Asked:
    """A model that answers with the name of what is on it."""

    name, below = "asked", None

    def __init__(self) -> None:
        self.variant, self.put_on, self.count = "base", [], 0

    def generate_answers(self, part, max_new_tokens, batch_size):
        self.count += len(part)
        return [Generated(f"{self.variant} {question}", (), False) for _, question in part]


@pytest.mark.parametrize("variants", [("edited",), ("edited", "none", "random")])
def test_no_process_is_idle_while_a_thousand_questions_are_asked(tmp_path, variants):
    """Each makes at most two of the pieces, for each of which an intervention is put on once, and the answers are those of one process."""
    rows = [
        {"benchmark": "vqa", "id": str(number), "subject": "", "kind": "benign", "attribute": "", "question": f"{number}?", "truth": "x"}
        | {"image": None, "answer_kind": "text"}
        for number in range(1000)
    ]
    write_jsonl(tmp_path / "pairs/questions.jsonl", rows)
    config = EvaluateConfig(max_new_tokens=3)

    def asked_by(model: Asked, chunks: Chunks) -> list[dict]:
        return answer(model, tmp_path / "pairs", {name: Toggled(name, model) for name in variants}, config, chunks=chunks)

    models = [Asked() for _ in range(4)]
    answers = shared(4, tmp_path / "chunks", lambda rank, chunks: asked_by(models[rank], chunks))
    assert answers == asked_by(Asked(), Chunks())
    assert answers[-1]["answers"] == {"base": "base 999?", **{name: f"{name} 999?!" for name in variants}}
    total = 1000 * (len(variants) + 1)
    assert sum(model.count for model in models) == total and all(0.9 < 4 * model.count / total < 1.1 for model in models)
    assert all(len(model.put_on) <= 2 for model in models) and sum(len(model.put_on) for model in models) == 2 * len(variants)


def test_samples_that_share_a_computation_are_located_by_one_process(tiny, pairs, locate_config, tmp_path, monkeypatch):
    """Three batches of two samples at two layers: each batch is prepared once, however many processes there are."""
    monkeypatch.setattr(layers, "CHUNK_ROWS", 4)
    prepared = []
    monkeypatch.setattr(layers, "Prepared", lambda lvlm, samples, *rest: prepared.append(samples) or Prepared(lvlm, samples, *rest))
    alone = locate_gate(tiny, pairs, locate_config)
    assert len(prepared) == 3
    together = shared(3, tmp_path / "3", lambda _, chunks: locate_gate(tiny, pairs, locate_config, chunks=chunks))
    assert len(prepared) == 6
    assert torch.equal(together.votes_SLD, alone.votes_SLD) and together.summary == alone.summary
    more = shared(4, tmp_path / "4", lambda _, chunks: locate_gate(tiny, pairs, locate_config, chunks=chunks))
    assert len(prepared) <= 6 + 3 + 3 and more.summary == alone.summary


def test_layers_of_a_batch_are_cut_into_parts_that_take_equally_long():
    for count in range(1, 34):
        ordered = layers.from_both_ends([[layer] for layer in range(count)])
        assert sorted(ordered) == [[layer] for layer in range(count)]
        for processes in (2, 3, 4):
            parts = [Chunks(share=ProcessShare(rank, processes)).mine(ordered, True) for rank in range(processes)]
            means = [sum(layer for (layer,) in part) / len(part) for part in parts if len(part) > 2]
            assert not means or max(means) - min(means) < 4  # in their order it would be up to 25


def test_a_process_alone_makes_everything_also_without_a_folder():
    chunks = Chunks()
    chunks.make(["a", "b"], str.encode)
    assert chunks.collect(["b", "a"]) == [b"b", b"a"]


def test_a_helper_leaves_when_the_stage_is_over(tmp_path):
    with pytest.raises(StageOver):
        Chunks(tmp_path, ProcessShare(1, 2), over=lambda: True).collect(["never made"])


def test_helpers_of_a_finished_run_have_nothing_to_wait_for(tmp_path):
    with Run.open(tmp_path / "run", Recipe(), "abc") as leader, leader.stage("locate", {"a": "b"}, ["gate"], shared=True):
        leader.write_text("gate", "votes")
    for _ in range(3):
        follower = Follower.load(tmp_path / "run")
        with follower.stage("locate", {"a": "b"}, ["gate"], shared=True) as stage:
            assert not stage.needed and not stage.leads


def test_a_follower_hashes_outputs_only_where_the_manifest_is_another_one(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr("neuralgate.run.folder.hash_path", lambda path: hashed.append(path) or hash_path(path))
    with Run.open(tmp_path / "run", Recipe(), "abc") as leader:
        with leader.stage("locate", {"a": "b"}, ["gate"], shared=True):
            leader.write_text("gate", "votes")
        leader.write_text("gate", "altered")  # the leader is about to make it again
        Chunks(tmp_path / "run/.work/locate").put("begun", digest({"a": "b"}).encode())
        hashed.clear()
        with Follower.load(tmp_path / "run").stage("locate", {"a": "b"}, ["gate"], shared=True) as stage:
            assert not any(stage.chunks.over() for _ in range(5)) and len(hashed) == 1
            leader.write_text("gate", "votes")
            leader.note(device="cpu")
            assert stage.chunks.over() and len(hashed) == 2
