"""The direction of the dependencies, held by reading the imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import neuralgate

ROOT = Path(neuralgate.__file__).parent

# The path of the data: a module may import from its own station and from earlier ones.
STATIONS = (
    {"errors", "text", "files", "chunks", "cost", "cache"},
    {"progress", "settings"},
    {"edit_settings", "machine"},
    {"recipe"},
    {"pairs"},
    {"judge", "records"},
    {"lvlm"},
    {"clerk"},
    {"notary"},
    {"questions"},
    {"interventions"},
    {"locate"},
    {"training"},
    {"closed_form"},
    {"methods"},
    {"choose"},
    {"evaluate"},
    {"report"},
    {"paper"},
    {"run"},
    {"comparison"},
    {"cli", "__main__", ""},
)
HEAVY = {"torch", "transformers", "accelerate", "safetensors", "tokenizers"}
LIGHT = (
    "",
    "errors",
    "text",
    "files",
    "chunks",
    "settings",
    "progress",
    "edit_settings",
    "machine",
    "recipe",
    "pairs.*",
    "judge.*",
    "records.*",
    "questions.*",
    "evaluate.intervals",
    "evaluate.clusters",
    "evaluate.crossed",
    "evaluate.conclusions",
    "evaluate.measures",
    "evaluate.score",
    "report.*",
    "comparison.config",
    "comparison.entries",
    "comparison.choose",
    "comparison.measures",
    "comparison.results",
    "comparison.tables",
    "comparison.more_tables",
    "comparison.claims",
    "comparison.control_table",
    "comparison.article",
    "comparison.figures",
    "comparison.page",
    "paper.figures.*",
    "paper.section",
    "paper.sweeps",
    "run.*",
    "cli.*",
)


def modules() -> dict[str, Path]:
    """Every module below neuralgate by its dotted name without the package's own; ``""`` is the package itself."""
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def station(module: str) -> int:
    """The station of the longest prefix of ``module`` that has one."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, names in enumerate(STATIONS):
            if ".".join(parts[:length]) in names:
                return number
    raise AssertionError(f"neuralgate.{module} has no station; add it to STATIONS and to CONTRIBUTING.md")


def is_for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported(node: ast.AST, in_functions: bool) -> set[str]:
    """Dotted names of everything that the code under ``node`` imports; imports for types alone do not count."""
    names: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            names |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            names |= {f"{child.module}.{alias.name}" for alias in child.names}
        elif not is_for_types_alone(child) and (in_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            names |= imported(child, in_functions)
    return names


def ours(names: set[str]) -> set[str]:
    """The modules of this package among imported names; ``neuralgate.files.digest`` is the module ``files``."""
    found = set()
    for name in names:
        if name.split(".")[0] == "neuralgate":
            parts = name.split(".")[1:]
            while ".".join(parts) not in MODULES:
                parts.pop()
            found.add(".".join(parts))
    return found


def tree(module: str) -> ast.AST:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_never_point_back(module):
    for other in ours(imported(tree(module), in_functions=True)):
        assert station(other) <= station(module), f"neuralgate.{module} imports neuralgate.{other}, which comes after it"


@pytest.mark.parametrize("folder", ["lvlm", "locate", "clerk", "notary", "questions"])
def test_modules_of_a_folder_stand_in_an_order(folder):
    """None needs one that needs it, not even from inside a function."""
    own = [name for name in MODULES if name.startswith(f"{folder}.")]
    needs = {name: (ours(imported(tree(name), in_functions=True)) - {name}) & {*own} for name in own}
    TopologicalSorter(needs).prepare()  # raises CycleError


def loaded_by(module: str) -> set[str]:
    """All modules of this package that importing ``module`` runs: its packages, its imports, and theirs."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        parents = {".".join(name.split(".")[:length]) for length in range(len(name.split(".")))}
        waiting |= (ours(imported(tree(name), in_functions=False)) | parents) & MODULES.keys() - found
    return found


@pytest.mark.parametrize("pattern", LIGHT)
def test_starts_without_torch(pattern):
    chosen = [name for name in MODULES if name == pattern or (pattern.endswith(".*") and f"{name}.".startswith(pattern[:-1]))]
    assert chosen
    for module in chosen:
        for name in loaded_by(module):
            heavy = {other.split(".")[0] for other in imported(tree(name), in_functions=False)} & HEAVY
            assert not heavy, f"importing neuralgate.{module} imports {heavy} in neuralgate.{name or '__init__'}"


def test_only_lvlm_knows_an_architecture():
    words = ("down_proj", "get_decoder", "language_model", "vision_tower", ".mlp")
    for name, path in MODULES.items():
        if not name.startswith(("lvlm", "clerk", "notary")):
            assert not [word for word in words if word in path.read_text(encoding="utf-8")], name


def test_every_public_name_is_there():
    assert set(neuralgate.__all__) <= set(dir(neuralgate))
    for name in neuralgate.__all__:
        assert getattr(neuralgate, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = neuralgate.nothing


def test_no_public_name_is_a_subpackage():
    """Importing the subpackage would bind it under the function's name."""
    assert not set(neuralgate.__all__) & {module.split(".")[0] for module in MODULES}
