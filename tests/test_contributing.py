"""The method that CONTRIBUTING.md writes is one: it keeps the contract of all methods."""

import importlib.util
import sys
from pathlib import Path

import pytest

from neuralgate.comparison.entries import BUDGET, Entry
from neuralgate.methods import METHODS
from tests import method_contract

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = TEXT.partition("**A method**")[2].partition("```python\n")[2].partition("```")[0]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example as a module of its own, in the list of methods."""
    path = tmp_path / "one_step.py"
    path.write_text(EXAMPLE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("one_step", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "one_step", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(METHODS, "one_step", module)
    monkeypatch.setitem(method_contract.SETTINGS, "one_step", {"layers": [1], "step": 0.01})
    return module


def test_the_example_is_short():
    assert 20 < len(EXAMPLE.splitlines()) < 60


def test_the_example_is_a_method(example, tiny, pairs, tmp_path):
    assert example.PAPER in example.__doc__ and Entry("one_step").size >= BUDGET
    method_contract.check_method("one_step", tiny, pairs, None, tmp_path / "saved")
