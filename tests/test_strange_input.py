"""Models, names and sets that nobody would make on purpose: one sentence, or as good as any other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_run import fake_answers
from PIL import Image

from neuralgate.cli import main as cli
from neuralgate.cli.print import print_result
from neuralgate.errors import UserError
from neuralgate.evaluate.score import score
from neuralgate.files import hash_path, write_json, write_jsonl
from neuralgate.lvlm.load import base_folder, load
from neuralgate.pairs.own_images import OwnImages
from neuralgate.pairs.subjects import read_subjects
from neuralgate.questions import BENCHMARKS
from neuralgate.recipe import Recipe
from neuralgate.report.compare import compare_runs, run_rows
from neuralgate.report.evidence import evidence_of
from neuralgate.report.html import write_report
from neuralgate.run.folder import Run


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for message in messages %}",
        "{{ raise_exception('only one turn') }}",
        "{{ 1 / 0 }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{{ messages[7].content[0].text }}",
        "{{ messages.nothing.at.all }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_cannot_be_run_is_one_sentence(tiny_folder: Path, tmp_path: Path, template: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=r"The processor of .* cannot prepare a picture and a question") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/y", "a\0b", "a\0b/c", "/" + "x/" * 3000])
def test_a_model_that_cannot_be_a_folder_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for take in (load, base_folder):
        with pytest.raises(UserError):
            take(name)


def test_a_pipe_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set" / "pipe")
    hash_path(tmp_path / "set")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        hash_path(tmp_path / "set" / "pipe")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_run_of_one_benchmark_is_shown(benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Questions about awareness alone have no picture, no effect and no damage."""
    rows = [row for row in fake_answers(4) if row["benchmark"] == benchmark]
    write_jsonl(tmp_path / "answers.jsonl", rows)
    write_json(tmp_path / "scores.json", score(rows, "clerk", "gated"))
    write_json(tmp_path / "patch" / "patch.json", {"method": "gated"})
    print_result(tmp_path)
    assert run_rows(compare_runs([tmp_path, tmp_path])) and evidence_of(tmp_path / "patch").text and write_report(tmp_path).stat().st_size
    assert "For a report of these scores" in capsys.readouterr().out


def test_names_of_pictures_reach_no_terminal_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("- {name: permit, sensitive: {number: digits}, benign: {edition: year}}")
    (tmp_path / "photos" / "permit").mkdir(parents=True)
    for number in range(4):
        picture = Image.linear_gradient("L").rotate(90 * number)
        picture.putpixel((3, 3), number)
        picture.save(tmp_path / "photos" / "permit" / f"{number}.png")
    (tmp_path / "photos" / "permit" / "\x1b[2J.heic").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neuralgate", "pairs", "folder", "photos", "mine.yaml", "--vqa", "0", "--out", "\x1b[31mset"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    assert not stop.value.code and "not used: permit/\u241b[2J.heic" in captured.out and "pair set: \u241b[31mset" in captured.out
    assert "\x1b" not in captured.out + captured.err


def test_a_folder_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, as an old disk has them."""
    (tmp_path / "mine.yaml").write_text("- {name: permit, sensitive: {number: digits}, benign: {edition: year}}")
    command = [sys.executable, "-m", "neuralgate", "pairs", "synth", "mine.yaml", "--out", b"caf\xe9"]
    small = ["--count", "1", "--validation", "1", "--test", "1", "--vqa", "1", "--size", "112", "--processes", "1"]
    done = subprocess.run([*command, *small], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pair set: caf\\udce9" in done.stdout


def test_a_long_truth_is_one_sentence(tmp_path: Path) -> None:
    """The csv module takes no field of more than 131,072 characters."""
    (tmp_path / "mine.yaml").write_text("- {name: permit, sensitive: {number: digits}, benign: {edition: year}}")
    (tmp_path / "truths.csv").write_text(f"image,attribute,value\npermit/1.png,number,{'7' * 200_000}\n")
    with pytest.raises(UserError, match=r"truths\.csv, line 2 is no CSV \(field larger than field limit"):
        OwnImages(tmp_path, read_subjects(tmp_path / "mine.yaml"))


def test_an_output_that_is_lost_stays_lost_when_scores_are_made_again(tmp_path: Path) -> None:
    """Or a name in a changed manifest that never was one: the stage is then done again."""
    with Run.open(tmp_path, Recipe(), "m") as run:
        with run.stage("evaluate", {}, ["scores.json"]):
            run.write_text("scores.json", "{}")
        run.manifest["stages"]["evaluate"]["outputs"]["x"] = "0" * 64
        run.refresh("evaluate")
        with run.stage("evaluate", {}, ["scores.json"]) as stage:
            assert stage.needed
            run.write_text("scores.json", "{}")
