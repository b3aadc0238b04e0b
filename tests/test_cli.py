import subprocess
import sys
import textwrap

import pytest

import neuralgate
from neuralgate import cli
from neuralgate.recipe import Recipe
from neuralgate.run import Run


@pytest.fixture
def neuralgate_says(monkeypatch, capsys):
    """Runs the command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neuralgate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def test_help_and_version(neuralgate_says):
    code, out, _ = neuralgate_says("--help")
    assert code == 0
    for verb in ("run", "pairs", "locate", "edit", "eval", "report", "compare", "patch", "ls"):
        assert verb in out
    assert neuralgate_says("--version") == (0, f"neuralgate {neuralgate.__version__}\n", "")


@pytest.mark.parametrize("list_name", ["models", "methods", "benchmarks", "subjects"])
def test_lists(neuralgate_says, list_name):
    code, out, _ = neuralgate_says("ls", list_name)
    assert code == 0
    assert {"models": "clerk", "methods": "inverted", "benchmarks": "privacypair-test", "subjects": "passport"}[list_name] in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "clerk", "--set", "edit.rte=1", "--out", "{out}"], "unknown key edit.rte; did you mean edit.rate?"),
        (["run", "clerk", "--gate", "open", "--out", "{out}"], "edit.gate should be 'strong'"),
        (["run", "clerk", "--recipe", "{out}/none.yaml", "--out", "{out}"], "none.yaml cannot be read"),
        (["run", "clerk", "--machine", "threads=none", "--out", "{out}"], "threads should be"),
        (["locate", "{out}"], "is not a run folder"),
        (["eval", "{out}", "--rescore"], "is not a run folder"),
        (["report", "{out}"], "is not a run folder"),
        (["compare", "{out}"], "at least two run folders"),
        (["patch", "show", "{out}"], "is not a patch folder"),
    ],
)
def test_what_the_user_can_put_right_is_one_sentence_and_exit_code_2(neuralgate_says, tmp_path, arguments, said):
    out = tmp_path / "out"
    code, _, error = neuralgate_says(*(argument.format(out=out) for argument in arguments))
    assert code == 2
    assert error.startswith("error: ") and said in error and error.count("\n") == 1 and "Traceback" not in error
    assert not out.exists(), "nothing half-written"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["edit.layers=[99]"], "Layer 99 is out of range"),
        (["locate.layers=[3]"], "Layer 3 is out of range"),
        (["locate.layers=[0]", "edit.layers=[1]"], "Layer 1 is edited but not located"),
        (["pairs.subjects=[car]"], "There is no subject 'car'"),
    ],
)
def test_what_can_only_fail_later_fails_before_anything_is_written(neuralgate_says, tiny_folder, tmp_path, settings, said):
    out = tmp_path / "run"
    code, _, error = neuralgate_says("run", tiny_folder, "--out", out, *(word for setting in settings for word in ("--set", setting)))
    assert code == 2 and said in error and not out.exists()


def test_a_run_without_answers_cannot_be_reported_or_rescored(neuralgate_says, tmp_path):
    Run.open(tmp_path / "run", Recipe(), "m").close()
    assert neuralgate_says("report", tmp_path / "run")[0] == 2
    assert neuralgate_says("eval", tmp_path / "run", "--rescore")[0] == 2


def test_debug_shows_where_an_error_comes_from(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["neuralgate", "--debug", "report", str(tmp_path / "none")])
    with pytest.raises(neuralgate.UserError):
        cli.main()


def test_wrong_usage_is_exit_code_2(neuralgate_says):
    assert neuralgate_says("nonsense")[0] == 2
    assert neuralgate_says("run")[0] == 2


def test_control_c_says_how_to_go_on(neuralgate_says, monkeypatch, tmp_path):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "load", interrupt)
    code, _, error = neuralgate_says("locate", tmp_path)
    assert code == 130
    assert error.count("\n") == 1 and "run the same command again" in error and "Traceback" not in error


def test_a_patch_is_never_written_over_something(neuralgate_says, tmp_path):
    code, _, error = neuralgate_says("patch", "apply", "clerk", tmp_path, tmp_path)
    assert code == 2 and "exists already" in error


QUICK = """
    import contextlib, sys
    import neuralgate, neuralgate.run, neuralgate.pipeline, neuralgate.report.html
    from neuralgate import EditConfig, LocateConfig, Recipe, UserError
    from neuralgate.cli import main
    sys.argv = ["neuralgate", *sys.argv[1:]]
    with contextlib.suppress(SystemExit):
        main()
    heavy = {"torch", "transformers", "accelerate"} & set(sys.modules)
    assert not heavy, heavy
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["ls", "subjects"], ["report", "nowhere"]])
def test_starting_does_not_import_torch(arguments):
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(QUICK), *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_help_imports_little():
    code = (
        "import sys; from neuralgate.cli import app; print(sorted(set(sys.modules) & {'pydantic', 'numpy', 'matplotlib', 'yaml', 'torch'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.strip("[]\n").split(", ")) <= {"", "'pydantic'"}  # typer itself uses pydantic
