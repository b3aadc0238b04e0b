"""The house: no file is long, no two modules or folders need each other, and every name that is imported is there."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from test_imports import MODULES, ROOT, imported, ours, tree

CODE = ROOT.parent.parent
#: Still to be mended; take out what is.
LONG: set[str] = set()
KNOWN = [{"pairs.builder", "pairs.schema"}, {"paper", "report"}]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_long():
    sizes = {path.relative_to(ROOT).as_posix(): lines(path) for path in ROOT.rglob("*.py")}
    assert {name: size for name, size in sizes.items() if size > 350 and name not in LONG} == {}


def test_the_story_fits_on_a_page():
    assert lines(ROOT / "run/pipeline.py") < 60


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that reach each other."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = set(graph[start])
        while waiting:
            node = waiting.pop()
            found.add(node)
            waiting |= graph[node] - found
        return found

    reach = {node: reached(node) for node in graph}
    groups = [{other for other in reach[node] if node in reach[other]} for node in graph if node in reach[node]]
    return [group for place, group in enumerate(groups) if group not in groups[:place]]


def test_no_two_modules_need_each_other():
    graph = {module: ours(imported(tree(module), in_functions=True)) - {module} for module in MODULES}
    assert [group for group in circles(graph) if group not in KNOWN] == []


def test_no_two_folders_need_each_other():
    graph: dict[str, set[str]] = {module.split(".")[0]: set() for module in MODULES}
    for module in MODULES:
        folder = module.split(".")[0]
        graph[folder] |= {other.split(".")[0] for other in ours(imported(tree(module), in_functions=True))} - {folder}
    assert [group for group in circles(graph) if group not in KNOWN] == []


def test_circles_are_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [{"a", "b", "c"}]


# --- every name that is imported ------------------------------------------------------------------------------------

PLACES = ("src/neuralgate", "experiments", "benchmarks", "tests")


def module_file(module: str) -> Path | None:
    """The file of one of our modules by its full name."""
    parts = module.split(".")
    base = CODE / "src" if parts[0] == "neuralgate" else CODE
    for path in (base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")):
        if path.is_file():
            return path
    return None


@cache
def defined(path: Path) -> frozenset[str]:
    """The names that a module has at its top, those of the public API included."""
    names: set[str] = set()

    def look(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.If | ast.Try):
                look([*node.body, *node.orelse])
            else:
                names.update(name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))

    look(ast.parse(path.read_text(encoding="utf-8")).body)
    return frozenset(names)


def missing(source: str) -> Iterator[str]:
    """What ``source`` imports of our packages that is not there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for module, name in named:
            if module.split(".")[0] not in ("neuralgate", "experiments", "benchmarks"):
                continue
            path = module_file(module)
            if path is None or (name and name not in defined(path) and module_file(f"{module}.{name}") is None):
                yield f"{module}.{name}" if name else module


@pytest.mark.parametrize("place", PLACES)
def test_every_name_that_is_imported_is_there(place):
    files = sorted((CODE / place).rglob("*.py"))
    assert files
    lost = {path.relative_to(CODE).as_posix(): list(missing(path.read_text(encoding="utf-8"))) for path in files}
    assert {name: names for name, names in lost.items() if names} == {}


def test_a_name_that_is_not_there_is_seen():
    within = "    import neuralgate.no\n    from neuralgate.run import pipeline, nowhere"
    source = f"from neuralgate.files import digest, nothing\ndef f():\n{within}"
    assert sorted(missing(source)) == ["neuralgate.files.nothing", "neuralgate.no", "neuralgate.run.nowhere"]
