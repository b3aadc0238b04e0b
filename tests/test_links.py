"""Links and pipes in folders from somebody else: nothing outside the folder is read, written or deleted through them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_run import make_run

from neuralgate.errors import UserError
from neuralgate.files import refuse_links
from neuralgate.recipe import Recipe
from neuralgate.report.compare import compare_runs
from neuralgate.report.data import load_run
from neuralgate.run.folder import Run

RECIPE = Recipe().changed(["edit.rate=3e-3"])


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that must stay as it is."""
    (tmp_path / "outside" / "evaluate").mkdir(parents=True)
    (tmp_path / "outside" / "evaluate" / "thesis.tex").write_text("a torn line")
    return tmp_path / "outside"


def opened(folder: Path) -> None:
    with Run.open(folder, RECIPE, "m") as run:
        work(run)


def loaded(folder: Path) -> None:
    with Run.load(folder) as run:
        work(run)


def work(run: Run) -> None:
    with run.stage("evaluate", {"a": "2"}, ["scores.json"]) as stage:
        if stage.needed:
            run.write_text("scores.json", "{}")


@pytest.mark.parametrize("enter", [opened, loaded])
@pytest.mark.parametrize("name", [".lock", "events.jsonl", ".work", "manifest.json", "scores.json", "gate/deep/er"])
def test_a_link_in_a_run_folder_reaches_nothing(outside: Path, tmp_path: Path, name: str, enter: Callable[[Path], None]) -> None:
    folder = tmp_path / "run"
    opened(folder)
    target = outside if name == ".work" else outside / "evaluate" / "thesis.tex"
    link = folder / name
    if name == ".work":
        shutil.rmtree(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    with pytest.raises(UserError, match=f"{name} is a link"):
        enter(folder)
    assert (outside / "evaluate" / "thesis.tex").read_text() == "a torn line"
    link.unlink()
    if name not in ("manifest.json", ".work") and enter is opened:
        enter(folder)  # the refusal has let go of the folder


def test_the_lock_empties_nothing(tmp_path: Path) -> None:
    """Of another name for the same file nobody can tell."""
    Run.open(tmp_path / "run", RECIPE, "m").close()
    (tmp_path / "thesis.tex").write_text("whole")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").hardlink_to(tmp_path / "thesis.tex")
    Run.load(tmp_path / "run").close()
    assert (tmp_path / "thesis.tex").read_text() == "whole"


@pytest.mark.parametrize("name", [".lock", "events.jsonl", "recipe.yaml", "pairs/images/one.png"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    opened(tmp_path / "run")
    pipe = tmp_path / "run" / name
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=r"is a link or a pipe|is not a run folder"):
        loaded(tmp_path / "run")


def test_reports_and_comparisons_show_no_file_from_outside(tmp_path: Path) -> None:
    whole, other = make_run(tmp_path / "whole", n=4), make_run(tmp_path / "other", n=4)
    (tmp_path / "secret").write_text("secret: 4817\n")
    (other / "recipe.yaml").unlink()
    (other / "recipe.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"recipe\.yaml is a link"):
        load_run(other)
    with pytest.raises(UserError, match=r"recipe\.yaml is a link"):
        compare_runs([whole, other])
    (tmp_path / "short").symlink_to(whole)
    assert load_run(tmp_path / "short").name == "whole", "the user's own link to a folder"


def test_a_link_in_a_set_is_refused(drawn_pairs: Any, outside: Path, tmp_path: Path) -> None:
    from neuralgate.pairs.schema import PairSet

    shutil.copytree(drawn_pairs.folder, tmp_path / "set")
    (tmp_path / "set" / "large" / "one.png").symlink_to(outside / "evaluate" / "thesis.tex")
    with pytest.raises(UserError, match=r"one\.png is a link"):
        PairSet.load(tmp_path / "set")


def test_a_link_in_a_gate_is_refused(located_gate: Any, outside: Path, tmp_path: Path) -> None:
    from neuralgate.locate.gate import Gate

    located_gate.save(tmp_path / "gate")
    (tmp_path / "gate" / "gate.json").rename(tmp_path / "gate.json")
    (tmp_path / "gate" / "gate.json").symlink_to(tmp_path / "gate.json")
    with pytest.raises(UserError, match=r"gate\.json is a link"):
        Gate.load(tmp_path / "gate")


def test_links_of_a_patch_lead_into_the_cache_alone(tiny: Any, tmp_path: Path) -> None:
    """A hub's cache keeps files as blobs, and a snapshot of them as links (see also test_hub)."""
    from neuralgate.interventions.patch import Patch
    from tests.test_export import patch_of

    patch, files = patch_of(tiny), ("patch.json", "patch.safetensors")
    patch.save_pretrained(tmp_path / "patch")
    snapshot, blobs = (tmp_path / "models--a--b" / place for place in ("snapshots/1", "blobs"))
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in files:
        (tmp_path / "patch" / name).rename(blobs / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
        (tmp_path / "patch" / name).symlink_to(blobs / name)
    assert Patch.from_pretrained(snapshot).identity == patch.identity
    with pytest.raises(UserError, match="is a link"):
        Patch.from_pretrained(tmp_path / "patch")
    # a blob that is a link itself
    (blobs / "patch.json").rename(tmp_path / "patch.json")
    (blobs / "patch.json").symlink_to(tmp_path / "patch.json")
    with pytest.raises(UserError, match="is a link"):
        Patch.from_pretrained(snapshot)


def test_a_deep_folder_is_looked_through(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(300):
        place /= "d"
    place.mkdir(parents=True)
    refuse_links(tmp_path)
    (place / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match="is a link"):
        refuse_links(tmp_path)


def test_an_export_gives_no_file_from_outside_away(tmp_path: Path) -> None:
    from neuralgate.interventions.directory import copy_rest

    (tmp_path / "id_rsa").write_text("private")
    base, blobs = tmp_path / "models--a--b" / "snapshots" / "1", tmp_path / "models--a--b" / "blobs"
    for folder in (base, blobs, tmp_path / "out"):
        folder.mkdir(parents=True)
    (blobs / "0").write_text("{}")
    (base / "tokenizer.json").symlink_to("../../blobs/0")
    (base / "config.json").write_text("{}")
    (base / "alias.json").symlink_to("config.json")
    copy_rest(base, tmp_path / "out", [])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alias.json", "config.json", "tokenizer.json"]
    (base / "README.md").symlink_to(tmp_path / "id_rsa")
    for known in ([], ["README.md"]):  # which `write_patched` keeps under another name
        with pytest.raises(UserError, match=r"cannot be copied: README\.md is outside"):
            copy_rest(base, tmp_path / "out", known)
    assert not (tmp_path / "out" / "README.md").exists()
