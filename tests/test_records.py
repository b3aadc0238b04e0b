"""Run folders that are not what this package wrote: each command says so in one sentence, whatever the damage."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from fake_run import make_run

from neuralgate.cli.print import print_result, print_scores
from neuralgate.errors import UserError
from neuralgate.paper.figures.drawings import Drawing
from neuralgate.paper.section import analysis_section
from neuralgate.recipe import Recipe
from neuralgate.report import figures
from neuralgate.report.compare import compare_runs, run_rows, write_comparison
from neuralgate.report.data import load_run
from neuralgate.report.evidence import evidence_of
from neuralgate.report.html import report_page
from neuralgate.run.folder import Run
from neuralgate.run.scores import rescore

EVIDENCE = Path(__file__).parent.parent / "experiments" / "evidence" / "analysis.json"
FILES = (
    "scores.json",
    "answers.jsonl",
    "training.json",
    "causality.json",
    "manifest.json",
    "patch/patch.json",
    "gate/gate.json",
    "choice.json",
    "analysis/analysis.json",
)
#: For a longer search than every change needs: ROUNDS=500 DRAWN=1.
ROUNDS, DRAWN = int(os.environ.get("ROUNDS", 40)), "DRAWN" in os.environ
#: What stands where something else should.
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    10**12,
    -1e308,
    1e308,
    0.5,
    "",
    "7",
    "\x1b[2J\0",
    "x" * 5000,
    "../../secret",
    [],
    [None],
    [[[[1]]]],
    {},
    {"a": {"b": []}},
    {"": 0},
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "whole", n=4)
    (folder / "analysis").mkdir()
    shutil.copy(EVIDENCE, folder / "analysis/analysis.json")
    return folder


def places(data: Any, path: tuple = ()) -> list[tuple]:
    """The way to every value in nested data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def bent(data: Any, draw: random.Random) -> Any:
    """A copy with one value dropped, replaced, doubled or under another key."""
    data = json.loads(json.dumps(data))
    # few places are near the root and most are alike: every depth has the same chance
    found = places(data)[1:]
    depth = draw.choice(sorted({len(path) for path in found}))
    *way, last = draw.choice([path for path in found if len(path) == depth])
    group = data
    for key in way:
        group = group[key]
    what = draw.randrange(4)
    if what == 0:
        del group[last]
    elif what == 1 and isinstance(group, dict):
        group[draw.choice(("x", "", "-1", "\u202e", "9" * 30))] = group.pop(last)
    elif what == 2 and isinstance(group, list):
        group.append(group[last])
    else:
        group[last] = draw.choice(STRANGE)
    return data


def damage(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    kind = draw.random()
    if kind < 0.1:
        path.write_bytes(data[: draw.randrange(len(data))])
    elif kind < 0.2:
        place = draw.randrange(len(data))
        path.write_bytes(data[:place] + draw.choice((b"\xff", b"\0", b"[" * 2000, b"NaN", b"1e999", rb"\ud800")) + data[place + 1 :])
    elif path.suffix == ".jsonl":
        lines = data.decode().split("\n")[:-1]
        number = draw.randrange(len(lines))
        lines[number] = json.dumps(bent(json.loads(lines[number]), draw))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        path.write_text(json.dumps(draw.choice(STRANGE) if kind < 0.23 else bent(json.loads(data), draw)), encoding="utf-8")


def rescored(folder: Path) -> None:
    """As `neuralgate score`, without the manifest, which is the run's own matter."""
    run = Run(folder)
    run.recipe, run.manifest = Recipe(), {"stages": {"evaluate": {"outputs": {}}}}
    run._save_manifest = lambda: None  # type: ignore[method-assign]
    rescore(run)


def painted_only(name: str, label: str, paint: Callable[[Any], None], height: float = 2.9) -> str:
    """As `figures.drawn` without matplotlib, which takes most of its time."""
    paint(MagicMock())
    return "<svg></svg>"


COMMANDS: dict[str, Callable[[Path, Path], Any]] = {
    "report": lambda folder, _: report_page(load_run(folder), analysis_section(folder)),
    "compare": lambda folder, whole: run_rows(compare_runs([whole, folder])),
    "comparison": lambda folder, whole: write_comparison(compare_runs([folder, whole]), folder / "compare.html"),
    "result": lambda folder, _: print_result(folder),
    "scores": lambda folder, _: (evidence_of(folder / "patch"), print_scores(folder / "scores.json")),
    "rescore": lambda folder, _: rescored(folder),
}
#: Which commands read what besides the report.
READERS = {
    "scores.json": ("compare", "comparison", "result", "scores"),
    "answers.jsonl": ("compare", "result", "rescore"),
    "training.json": ("compare", "result"),
    "manifest.json": ("compare",),
    "patch/patch.json": ("rescore",),
}


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_damaged_is_said(
    whole: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not DRAWN:
        monkeypatch.setattr(figures, "drawn", painted_only)
        monkeypatch.setattr(Drawing, "svg", lambda drawing: b"<svg></svg>")
    draw = random.Random(FILES.index(name))
    ended = {True: 0, False: 0}
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    if name.startswith("analysis"):
        shutil.rmtree(folder / "gate")  # of which this analysis is not
    for _ in range(ROUNDS):
        damage(folder / name, draw)
        damaged = (folder / name).read_bytes()
        for command in ("report", *READERS.get(name, ())):
            try:
                COMMANDS[command](folder, whole)
                ended[True] += 1
            except UserError as error:
                ended[False] += 1
                sentence = str(error).replace(str(tmp_path), "")
                assert len(sentence) < 500 and "\n" not in sentence, sentence
            except Exception as error:
                raise AssertionError(f"{command} of {name}: {damaged[:3000]!r}") from error
        shutil.copy(whole / name, folder / name)
        if command == "rescore":
            shutil.copy(whole / "scores.json", folder / "scores.json")
    assert ended[True] and ended[False]
