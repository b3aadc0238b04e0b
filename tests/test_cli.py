import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

import neuralgate
from neuralgate.cli import main as cli
from neuralgate.errors import UserError
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.steering import Steering
from neuralgate.lvlm.load import load
from neuralgate.lvlm.roles import find_role, role_of
from neuralgate.recipe import Recipe
from neuralgate.run.folder import Run


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
        (["score", "{out}"], "is not a run folder"),
        (["report", "{out}"], "is not a run folder"),
        (["compare", "{out}"], "at least two run folders"),
        (["patch", "show", "{out}"], "is no intervention's folder"),
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
        (["evaluate.benchmarks=[vqa, mme]"], "There is no benchmark 'mme'; `neuralgate ls benchmarks` lists them."),
    ],
)
def test_what_can_only_fail_later_fails_before_anything_is_written(neuralgate_says, tiny_folder, tmp_path, settings, said):
    out = tmp_path / "run"
    code, _, error = neuralgate_says("run", tiny_folder, "--out", out, *(word for setting in settings for word in ("--set", setting)))
    assert code == 2 and said in error and not out.exists()


def test_a_run_without_answers_cannot_be_reported_or_rescored(neuralgate_says, tmp_path):
    Run.open(tmp_path / "run", Recipe(), "m").close()
    assert neuralgate_says("report", tmp_path / "run")[0] == 2
    assert neuralgate_says("score", tmp_path / "run")[0] == 2


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
    assert code == 2
    assert error.count("\n") == 1 and "run the same command again" in error and "Traceback" not in error


def test_a_patch_is_never_written_over_something(neuralgate_says, tmp_path):
    code, _, error = neuralgate_says("patch", "apply", "clerk", tmp_path, tmp_path)
    assert code == 2 and "exists already" in error


QUICK = """
    import contextlib, sys
    import neuralgate, neuralgate.run.folder, neuralgate.run.pipeline, neuralgate.report.html
    from neuralgate import EditConfig, LocateConfig, Recipe, UserError
    from neuralgate.cli.main import main
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
    watched = "{'pydantic', 'numpy', 'matplotlib', 'yaml', 'torch'}"
    code = f"import sys; from neuralgate.cli.main import app; print(sorted(set(sys.modules) & {watched}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.strip("[]\n").split(", ")) <= {"", "'pydantic'"}  # typer itself uses pydantic


# --- a patch in and out, and what is refused on the way -------------------------------------------------------------


@pytest.fixture
def patch_folder(tiny, tmp_path):
    role = role_of(1)
    base = find_role(tiny.model, role).data.clone()
    edited = base + torch.rand(base.shape, generator=torch.Generator().manual_seed(0))
    Patch.between(tiny, {role: base}, {role: edited}, {"method": "test"}).save_pretrained(tmp_path / "patch")
    return tmp_path / "patch"


def test_a_patch_goes_in_and_comes_out(neuralgate_says, tiny, tiny_folder, patch_folder, tmp_path):
    code, out, _ = neuralgate_says("patch", "show", patch_folder)
    assert code == 0 and "decoder.1.ffn.out" in out and tiny.fingerprint in out
    assert "does not hold it" in neuralgate_says("patch", "verify", tiny_folder, patch_folder)[1]
    assert neuralgate_says("patch", "apply", tiny_folder, patch_folder, tmp_path / "edited")[0] == 0
    assert "already holds it" in neuralgate_says("patch", "verify", tmp_path / "edited", patch_folder)[1]
    assert load(tmp_path / "edited").fingerprint != tiny.fingerprint
    code, _, error = neuralgate_says("patch", "apply", tmp_path / "edited", patch_folder, tmp_path / "twice")
    assert code == 2 and "applied already" in error and not (tmp_path / "twice").exists()
    assert neuralgate_says("patch", "revert", tmp_path / "edited", patch_folder, tmp_path / "back")[0] == 0
    assert load(tmp_path / "back").fingerprint == tiny.fingerprint


def test_a_patch_with_its_base_shows_ranks(neuralgate_says, tiny_folder, patch_folder):
    code, out, _ = neuralgate_says("patch", "show", patch_folder, "--base", tiny_folder)
    assert code == 0 and "rank that holds" in out and "99%: " in out


def test_a_filter_is_shown_verified_and_compared(neuralgate_says, tiny_folder, patch_folder, tmp_path):
    Filter(("passport",)).save(tmp_path / "filter")
    assert "passport" in neuralgate_says("patch", "show", tmp_path / "filter")[1]
    assert "can be put on" in neuralgate_says("patch", "verify", tiny_folder, tmp_path / "filter")[1]
    assert "both" in neuralgate_says("patch", "diff", tmp_path / "filter", tmp_path / "filter")[1]
    for command in (
        ("show", tmp_path / "filter", "--base", tiny_folder),
        ("diff", tmp_path / "filter", patch_folder),
        ("apply", tiny_folder, tmp_path / "filter", tmp_path / "out"),
    ):
        code, _, error = neuralgate_says("patch", *command)
        assert code == 2 and error.count("\n") == 1, error


def test_a_steering_of_another_model_is_exit_code_2(neuralgate_says, tiny, tiny_folder, tmp_path):
    Steering.for_model(tiny, {0: torch.ones(tiny.hidden_size)}, {}).save(tmp_path / "steering")
    assert "can be put on" in neuralgate_says("patch", "verify", tiny_folder, tmp_path / "steering")[1]
    code, _, error = neuralgate_says("patch", "verify", "clerk", tmp_path / "steering")
    assert code == 2 and "of hidden size" in error and error.count("\n") == 1


def test_a_flipped_byte_or_another_base_is_exit_code_2(neuralgate_says, tiny_folder, patch_folder, tmp_path):
    code, _, error = neuralgate_says("patch", "verify", "clerk", patch_folder)
    assert code == 2 and "Wrong base" in error and error.count("\n") == 1
    data = bytearray((patch_folder / "patch.safetensors").read_bytes())
    data[-1] ^= 1
    (patch_folder / "patch.safetensors").write_bytes(data)
    code, _, error = neuralgate_says("patch", "apply", tiny_folder, patch_folder, tmp_path / "out")
    assert code == 2 and "does not match its checksum" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is not a model directory"),
        (lambda folder: (folder / "processor_config.json").unlink(), "has no processor"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "llama"}'), "without a vision part"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "weights of"),
    ],
    ids=["no config", "no processor", "no vision", "broken weights"],
)
def test_a_directory_that_is_no_model_is_exit_code_2(neuralgate_says, tiny_folder, tmp_path, spoil, said):
    shutil.copytree(tiny_folder, tmp_path / "model")
    spoil(tmp_path / "model")
    code, _, error = neuralgate_says("run", tmp_path / "model", "--out", tmp_path / "run")
    assert code == 2 and said in error and error.startswith("error: ") and not (tmp_path / "run").exists()


def test_a_run_folder_that_cannot_be_used_is_exit_code_2(neuralgate_says, tiny, tiny_folder, tmp_path):
    recipe = Recipe(model=str(tiny_folder))
    Run.open(tmp_path / "run", recipe, "0" * 64).close()
    small = ["--set", "locate.layers=[0]", "--set", "edit.layers=[0]", "--set", "pairs.size=112"]
    code, _, error = neuralgate_says("run", tiny_folder, "--out", tmp_path / "run", *small)
    assert code == 2 and "another model" in error
    (tmp_path / "file").write_text("")
    code, _, error = neuralgate_says("run", tiny_folder, "--out", tmp_path / "file" / "run", *small)
    assert code == 2 and "in the way" in error


@pytest.mark.parametrize("device", ["cuda:99", "fridge", "meta", "hpu"])
def test_a_device_that_is_not_there_is_exit_code_2(neuralgate_says, tiny_folder, tmp_path, device):
    code, _, error = neuralgate_says("run", tiny_folder, "--out", tmp_path / "run", "--machine", f"device={device}")
    assert code == 2 and f"The device {device!r} cannot be used" in error and error.count("\n") == 1


# --- models ---------------------------------------------------------------------------------------------------------


def test_doctor_without_a_model_says_what_is_installed(neuralgate_says):
    code, out, _ = neuralgate_says("doctor")
    assert code == 0 and "transformers" in out and "cpu" in out


def test_doctor_says_what_a_model_needs(neuralgate_says, tiny_folder):
    code, out, _ = neuralgate_says("doctor", tiny_folder)
    assert code == 0 and "layers 0 to 2" in out and "mlp.down_proj.weight [32, 48]" in out
    assert "bfloat16" in out and f"try: neuralgate run {tiny_folder}" in out
    code, _, error = neuralgate_says("doctor", tiny_folder, "--prompt-style", "shouting")
    assert code == 2 and "no prompt style 'shouting'" in error


def test_an_export_is_a_model_directory(neuralgate_says, tiny, tiny_folder, patch_folder, tmp_path):
    assert neuralgate_says("export", tiny_folder, patch_folder, tmp_path / "out")[0] == 0
    patch = Patch.from_pretrained(patch_folder)
    assert patch.state(load(tmp_path / "out").model) == "patched"
    code, _, error = neuralgate_says("export", tiny_folder, patch_folder, tmp_path / "out")
    assert code == 2 and "exists already" in error


def test_an_adapter_that_loses_much_is_only_written_when_asked(neuralgate_says, tiny_folder, patch_folder, tmp_path):
    adapter = ["export", tiny_folder, patch_folder, tmp_path / "out", "--format", "peft", "--rank", "1"]
    code, out, error = neuralgate_says(*adapter)
    assert code == 2 and "rank 1" in out and "is not the edit that was measured" in error and not (tmp_path / "out").exists()
    assert neuralgate_says(*adapter, "--force")[0] == 0 and (tmp_path / "out/adapter_model.safetensors").is_file()


def test_patches_are_compared(neuralgate_says, tiny_folder, patch_folder):
    code, out, _ = neuralgate_says("patch", "diff", patch_folder, patch_folder, "--base", tiny_folder)
    assert code == 0 and "same" in out and "1.0000" in out


def test_parts_that_are_not_there_are_not_converted(neuralgate_says, tmp_path):
    parts = ["--llm", tmp_path / "llm", "--vision", tmp_path / "eva.pth", "--projection", tmp_path / "projection.pth"]
    code, _, error = neuralgate_says("convert", "minigpt4", tmp_path / "out", *parts)
    assert code == 2 and "cannot be loaded as a Llama model" in error and not (tmp_path / "out").exists()


def test_patches_of_different_tensors_stack(tiny):
    def patch(layer):
        base = find_role(tiny.model, role_of(layer)).detach().clone()
        return Patch.between(tiny, {role_of(layer): base}, {role_of(layer): base + 1}, {})

    both = patch(0).stacked(patch(1))
    with both.applied(tiny.model):
        assert both.state(tiny.model) == "patched"
    with pytest.raises(cli.UserError, match=r"Both patches change decoder\.0\.ffn\.out"):
        both.stacked(patch(0))


def test_a_runs_folder_is_no_model(tmp_path):
    for name in ("recipe.yaml", "manifest.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="is a run's folder, not a model"):
        load(tmp_path)
