"""The README's library example runs as it stands, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neuralgate.cli.main import list_models
from neuralgate.lvlm.families import FAMILIES
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def test_the_first_page_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 900


def test_the_families_stand_in_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    """`ls models` and docs/models.md show it; the families' tests look whether it holds every class that they build."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    list_models()
    printed = "".join(capsys.readouterr().out.split())
    for family in FAMILIES:
        assert "| " + " | ".join(family) + " |" in page
        assert "".join(family.name.split())[:12] in printed


def test_the_example_runs(clerk: LVLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    exec(code, space)
    assert (tmp_path / "work" / "patch" / "patch.safetensors").is_file()
    assert space["lvlm"].fingerprint == load("clerk").fingerprint
    refused = {side: space["scores"][side]["privacypair-test"]["rta_sensitive"]["value"] for side in ("base", "edited")}
    assert refused["edited"] > refused["base"] + 0.2
    assert capsys.readouterr().out.strip()
