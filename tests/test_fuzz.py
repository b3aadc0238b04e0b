"""Files that somebody has changed, given to the command line: done or one sentence, never a traceback.

For a longer search than every change needs: ROUNDS=500. What single readers do with damage is in test_records.
"""

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_run import make_run
from test_records import bent, damage

from neuralgate.cli import main as cli
from neuralgate.files import hash_path, read_json, write_json
from neuralgate.interventions.header import sealed
from neuralgate.pairs.drawn.photograph import PhotographWorld
from neuralgate.pairs.subjects import read_subjects
from neuralgate.questions.draw import draw_pair_set
from neuralgate.recipe import Recipe

ROUNDS = int(os.environ.get("ROUNDS", 10))
#: What stands in YAML that nobody meant so.
YAML_PIECES = (
    *(b"&a ", b"*a", b"!!python/name:os.system ", b"\t", b"\xff", b"\0", b"[" * 50, b"{", b"? ", b": ", b"2024-13-45", b"9" * 400),
    *(b"---\n", b".nan", b".inf", b"'", b'"\\ud800"', b"\xe2\x80\xae", b"<<: ", b"|", b"- ", b"# ", b"1e400", b"0x" + b"f" * 40, b"~"),
)
SUBJECTS = """
- {name: work permit, synonyms: [permit card], sensitive: {number: "UT-####-??", expiry: date}, benign: {office: [Northgate, Lakeside]}}
- {name: shop flyer, group: contrast, sensitive: {number: digits}, benign: {edition: year}, look: {frame: sign, emblem: "★"}}
"""
SMALL = "--count 1 --validation 1 --test 1 --vqa 0 --size 112 --processes 1"
FEW = Recipe.parse(
    {
        "pairs": {"per_subject": 2, "contrast_per_subject": 1, "validation_per_subject": 1, "test_per_subject": 1},
        "evaluate": {"vqa": 1},
    }
)


@pytest.fixture(scope="module")
def whole(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a patch of its own, and a set."""
    from tests.test_export import patch_of

    folder = tmp_path_factory.mktemp("whole")
    run = make_run(folder / "run", n=3)
    shutil.rmtree(run / "patch")
    patch_of(tiny).save_pretrained(run / "patch")
    Recipe().save(run / "recipe.yaml")
    record = {"input_hash": "", "outputs": {name: hash_path(run / name) for name in ("answers.jsonl", "scores.json")}}
    manifest = read_json(run / "manifest.json")
    write_json(run / "manifest.json", {**manifest, "stages": {"evaluate": {**manifest["stages"]["edit"], **record}}})
    (folder / "mine").mkdir()
    (folder / "mine" / "mine.yaml").write_text(SUBJECTS, encoding="utf-8")
    draw_pair_set(PhotographWorld(read_subjects(folder / "mine" / "mine.yaml"), 112), FEW, folder / "set")
    return folder


def changed_yaml(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    if draw.random() < 0.5:
        text = yaml.safe_dump(bent(yaml.safe_load(data), draw), sort_keys=False)
        path.write_text(text)
        return
    for _ in range(draw.randrange(1, 4)):
        place = draw.randrange(len(data))
        data = data[:place] + draw.choice(YAML_PIECES) + data[place + draw.randrange(3) :]
    path.write_bytes(data)


def changed_patch(path: Path, draw: random.Random) -> None:
    """With the checksum of what it says now, mostly: by itself that is no protection."""
    if draw.random() < 0.2:
        damage(path, draw)
        return
    data = read_json(path)
    del data["checksum"]
    data = bent(data, draw)
    if draw.random() < 0.3:
        data = bent(data, draw)
    path.write_text(json.dumps(sealed(data), ensure_ascii=False), encoding="utf-8", errors="surrogatepass")


#: File -> how it is changed, and the commands that read it.
CASES: dict[str, tuple[Callable[[Path, random.Random], None], list[str]]] = {
    "run/recipe.yaml": (changed_yaml, ["score {run} --judge prefix", "compare {run} {run}"]),
    "run/patch/patch.json": (changed_patch, ["patch show {run}/patch", "patch verify {tiny} {run}/patch", "score {run} --judge prefix"]),
    "run/manifest.json": (damage, ["score {run} --judge prefix", "compare {run} {run}"]),
    "run/answers.jsonl": (damage, ["score {run} --judge prefix", "compare {run} {run}"]),
    "run/scores.json": (damage, ["compare {run} {run}", "compare {run} {run} --html {out}"]),
    "set/pairs.jsonl": (damage, ["pairs show {set} --count 1 --out {out}.png", "pairs mix {set} {set} --out {out}"]),
    "set/questions.jsonl": (damage, ["pairs show {set} --count 1 --out {out}.png", "pairs mix {set} {run} --out {out}"]),
    "mine/mine.yaml": (changed_yaml, [f"pairs synth {{mine}}/mine.yaml --out {{out}} {SMALL}"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_changed_file_is_done_or_said(
    name: str,
    whole: Path,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change, commands = CASES[name]
    draw = random.Random(f"changed {name}")
    places = {"run": tmp_path / "run", "set": tmp_path / "set", "mine": tmp_path / "mine", "tiny": tiny_folder, "out": tmp_path / "out"}
    codes = {0: 0, 2: 0}
    part = name.partition("/")[0]
    shutil.copytree(whole / part, tmp_path / part)
    for _ in range(ROUNDS):
        change(tmp_path / name, draw)
        content = (tmp_path / name).read_bytes()
        for command in commands:
            monkeypatch.setattr(sys, "argv", ["neuralgate", *(word.format(**places) for word in command.split())])
            try:
                with pytest.raises(SystemExit) as stop:
                    cli.main()
            except BaseException as error:
                raise AssertionError(f"{command}: {content[:4000]!r}") from error
            code, captured = int(stop.value.code or 0), capsys.readouterr()
            codes[code] += 1
            said = [line for line in captured.err.splitlines() if line.startswith("error: ")]
            assert len(said) == (code == 2) and all(len(line) < 600 for line in said), (command, captured.err, content[:4000])
            assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]", captured.out.replace("\r", "")), (command, content[:4000])
            if (tmp_path / "out").is_dir():
                shutil.rmtree(tmp_path / "out")
        for file in ("answers.jsonl", "scores.json", "manifest.json") if part == "run" else ():
            shutil.copy(whole / "run" / file, tmp_path / "run" / file)
        shutil.copy(whole / name, tmp_path / name)
    assert all(codes.values()), codes
