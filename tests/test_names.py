"""Names that become folders and files: one part of a path, and one that the system takes."""

import sys
from pathlib import Path
from typing import Any

import pytest

from neuralgate.cli import main as cli
from neuralgate.errors import UserError
from neuralgate.files import inside, one_component, write_bytes, write_folder
from neuralgate.pairs.subjects import read_subjects
from neuralgate.recipe import Recipe
from neuralgate.text import shown_name

IMPOSSIBLE = ["../x", "/tmp/x", "a/b", ".", "..", "", "a\0b", "x" * 256, "\u6f22" * 100, "\ud800"]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_recipe_is_called_by_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"^the recipe: name: no file can be called .*") as caught:
        Recipe.parse({"name": name})
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["default", "x" * 255, "...", ".hidden", "zweiter Lauf \u6f22"])
def test_other_names_are_taken(name: str) -> None:
    assert Recipe.parse({"name": name}).name == one_component(name) == name


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 256, "a/" + "\u6f22" * 100, "\ud800", "a/" * 600])
def test_what_no_file_can_be_called_is_not_joined(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"^The set: no file can be called .*; give it another name\.$"):
        inside(tmp_path, name, "The set")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_subject_is_no_way_to_another_folder(tmp_path: Path, name: str) -> None:
    """Its pictures are read from a folder of its name."""
    (tmp_path / "mine.yaml").write_text(f"- {{name: '{name}', sensitive: {{number: digits}}}}")
    with pytest.raises(UserError, match=r"is no name"):
        read_subjects(tmp_path / "mine.yaml")


def test_a_served_model_is_no_way_to_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`eval RUN --served ..` would have written over the run's own answers."""
    from neuralgate.lvlm.model import LVLM
    from neuralgate.machine import Machine
    from neuralgate.run import scores
    from neuralgate.run.folder import Run

    written = []
    monkeypatch.setattr(scores, "write_scores", lambda run, kept, folder, model: written.append(folder))
    monkeypatch.setattr(scores, "read_answers", lambda *_: iter(()))
    (tmp_path / "model" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "model" / "below")
    with Run.open(tmp_path / "run", Recipe(), "m") as run:
        run.manifest["stages"]["evaluate"] = {"outputs": {}}
        for name in ("..", ".", "someone/model", "/"):
            lvlm: Any = LVLM.__new__(LVLM)
            lvlm.name = name
            scores.measure_served(run, lvlm, Machine())
    assert [folder.relative_to(tmp_path / "run/served").as_posix() for folder in written] == ["model", "below", "model", "model"]
    assert shown_name("..") == "model"


def test_a_file_with_the_longest_name_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "\u6f22" * 85):
        write_bytes(tmp_path / name, b"whole")
        assert (tmp_path / name).read_bytes() == b"whole"


def test_a_folder_that_cannot_be_is_said_before_the_work(tmp_path: Path) -> None:
    def work(folder: Path) -> None:
        raise AssertionError

    for out in (tmp_path / ("x" * 256), tmp_path / ("x" * 256) / "out"):
        with pytest.raises(UserError, match=r"No file can be called .*; choose a shorter name"):
            write_folder(out, work)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"exists already"):
        write_folder(tmp_path / "link", work)


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", LONG],
        ["compare", LONG, LONG],
        ["score", LONG],
        ["locate", LONG],
        ["run", "clerk", "--recipe", LONG],
        ["patch", "show", LONG],
        ["patch", "revert", LONG, LONG, "out"],
        ["export", LONG, LONG, "out"],
        ["export", "clerk", LONG, LONG],
        ["doctor", LONG],
        ["run", LONG, "--out", "out"],
        ["pairs", "show", LONG],
        ["pairs", LONG],
        ["pairs", "synth", LONG],
        ["pairs", "synth", "documents", "--out", LONG],
        ["pairs", "folder", LONG, "documents"],
        ["pairs", "mix", LONG, LONG, "--out", "out"],
        ["convert", "minigpt4", LONG, "--llm", LONG, "--vision", LONG, "--projection", LONG],
    ],
    ids=lambda arguments: " ".join(word for word in arguments if word != LONG),
)
def test_a_name_that_is_too_long_is_one_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neuralgate", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ") and said.count("\n") == 1 and len(said) < 1000
    assert list(tmp_path.iterdir()) == []
