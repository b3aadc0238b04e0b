"""The whole pipeline on the tiny model: every gate, every stage, killed and continued."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neuralgate.cli.main import app
from neuralgate.cli.print import print_result
from neuralgate.errors import UserError
from neuralgate.files import hash_path, read_json, read_jsonl, write_json, write_jsonl
from neuralgate.interventions.load import load_intervention
from neuralgate.machine import Machine
from neuralgate.recipe import GATE_MODES, Recipe
from neuralgate.report.evidence import evidence_of
from neuralgate.run import pipeline
from neuralgate.run.check import check_recipe
from neuralgate.run.folder import Run
from neuralgate.run.scores import measure_served, rescore
from neuralgate.run.stages.edit import edit_digest
from neuralgate.run.variants import patch_folders

SETTINGS = {
    "pairs": {
        "subjects": ["passport", "student id"],
        "contrast": ["bus ticket"],
        "per_subject": 4,
        "contrast_per_subject": 2,
        "validation_per_subject": 1,
        "test_per_subject": 1,
        "source": None,
        "size": None,
        "only_read": False,
    },
    "locate": {"layers": [0, 1], "steps": 3, "samples_per_subject": 2},
    "edit": {"gate": "strong", "max_steps": 4, "check_every": 2, "batch_size": 4, "rate": 0.02},
    "evaluate": {"benchmarks": ["privacypair-test", "public-contrast", "protected", "vqa"], "vqa": 4, "max_new_tokens": 4},
}
DONE = ("pairs", "locate", "choose", "edit", "evaluate", "report")
#: What depends on the clock, and the page that shows it.
CLOCK = ("manifest.json", "events.jsonl", "training.json", "report.html")


def recipe_for(folder: Path, variants: list[str], **edit: object) -> Recipe:
    return Recipe.parse({**SETTINGS, "model": str(folder), "variants": variants, "edit": {**SETTINGS["edit"], **edit}})


@pytest.fixture(scope="module")
def recipe(tiny_folder):
    return recipe_for(tiny_folder, list(GATE_MODES))


@pytest.fixture(scope="module")
def finished(tiny, recipe, tmp_path_factory):
    """An undisturbed run with all five gates. Leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    with Run.open(folder, recipe, tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine())
    return folder


def test_the_published_method_keeps_its_controls():
    folders = patch_folders(Recipe().changed(["edit.gate=strong"]))
    assert list(folders) == ["edited", "none", "random"]
    assert list(patch_folders(Recipe())) == ["edited", "strong", "random"]


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def no_model():
    raise AssertionError("the model was loaded")


def results(folder: Path) -> dict[str, str]:
    """Every file of a run that must not depend on when it was made, with its hash."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {
        path.relative_to(folder).as_posix() for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    return {name: hash_path(folder / name) for name in sorted(names) if name not in CLOCK}


# --- what is there --------------------------------------------------------------------------------------------------


def test_the_folder_is_complete(finished, recipe):
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {"recipe.yaml", "pairs", "gate", "choice.json", "patch", "controls", "answers.jsonl", "scores.json", *CLOCK}
    assert not list((finished / ".work").glob("*")), "nothing is left of the chunks"
    manifest = read_json(finished / "manifest.json")
    assert list(manifest["stages"]) == list(DONE) and not any(stage["resumed"] for stage in manifest["stages"].values())
    speeds = {name: stage["tokens_per_second"] for name, stage in manifest["stages"].items()}
    assert speeds.pop("report") is None and all(speed > 1 for speed in speeds.values())
    assert manifest["prompt_style"] == "chat"
    assert manifest["hashes"]["recipe"] == recipe.digest and manifest["hashes"]["data"] and manifest["device"] == "cpu"
    assert manifest["dtype"] == "float32"
    assert (finished / "report.html").stat().st_size > 10_000


def test_every_question_is_answered_by_every_variant(finished):
    rows = read_jsonl(finished / "answers.jsonl")
    questions = read_jsonl(finished / "pairs/questions.jsonl")
    assert sorted((row["benchmark"], row["id"]) for row in questions) == [(row["benchmark"], row["id"]) for row in rows]
    variants = ["base", "edited", "none", "random", "inverted", "closed"]
    for row in rows:
        assert list(row["answers"]) == list(row["cut_off"]) == list(row["verdicts"]) == variants and all(row["answers"].values())
    scores = read_json(finished / "scores.json")
    assert set(scores["controls"]) == set(variants[2:]) and set(scores["base"]) == set(scores["edited"]) == {
        row["benchmark"] for row in rows
    }
    assert scores["edited"]["privacypair-test"]["agreement"]["value"] < 1


def test_answers_without_an_end_are_told(finished, capsys):
    """The tiny model ends none. An older run, which did not keep that, is read without."""
    rows, scores = read_jsonl(finished / "answers.jsonl"), read_json(finished / "scores.json")
    assert all(all(row["cut_off"].values()) for row in rows)
    assert {sets[name]["cut_off_rate"]["value"] for sets in (scores["base"], scores["edited"]) for name in sets} == {1}
    print_result(finished)
    told = "Answers cut off at 4 tokens: 100.0 % base, 100.0 % edited, 100.0 % ungated"
    assert f"warning: {told}" in capsys.readouterr().out and told in (finished / "report.html").read_text()


def test_a_run_that_kept_no_ends_is_judged_and_shown(copied, tiny, capsys):
    before = [{key: value for key, value in row.items() if key != "cut_off"} for row in read_jsonl(copied / "answers.jsonl")]
    write_jsonl(copied / "answers.jsonl", before)
    with Run.load(copied) as run:
        rescore(run)
        folder = measure_served(run, tiny, Machine())
    assert read_jsonl(copied / "answers.jsonl") == before and "cut_off" not in read_jsonl(folder / "answers.jsonl")[0]
    assert "cut_off_rate" not in read_json(copied / "scores.json")["edited"]["vqa"]
    print_result(copied)
    assert "cut off" not in capsys.readouterr().out


def test_the_layer_is_the_searchs(finished):
    choice = read_json(finished / "choice.json")
    assert [row["layer"] for row in choice["search"]] == [0, 1] and choice["chosen_layer"] in (0, 1)
    assert not choice.keys() & read_json(finished / "gate/gate.json").keys()
    training = read_json(finished / "training.json")
    assert {record["gate"] for record in training.values()} == set(GATE_MODES)
    assert all(record["layers"] == [choice["chosen_layer"]] and record["steps"] == 4 for record in training.values())


@pytest.mark.parametrize("mode", GATE_MODES)
def test_a_gate_gives_the_same_patch_as_the_edit_and_as_a_control(tiny, tiny_folder, finished, recipe, tmp_path, mode):
    layer = read_json(finished / "choice.json")["chosen_layer"]
    alone = recipe_for(tiny_folder, [], gate=mode, layers=[layer])
    with Run.open(tmp_path / mode, alone, tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine(), until="edit")
    known = "patch" if mode == "strong" else f"controls/{mode}/patch"
    assert (tmp_path / mode / "patch/patch.safetensors").read_bytes() == (finished / known / "patch.safetensors").read_bytes()
    header = read_json(tmp_path / mode / "patch/patch.json")
    assert header["gate"] == mode and header["recipe_digest"] == edit_digest(alone) and header["base_fingerprint"] == tiny.fingerprint
    assert list((tmp_path / mode / "controls").iterdir()) == [] and not (tmp_path / mode / "answers.jsonl").exists()


def test_patches_of_different_gates_differ(finished):
    patches = [finished / "patch/patch.safetensors", *(finished / "controls").glob("*/patch/patch.safetensors")]
    assert len(patches) == len({path.read_bytes() for path in patches}) == 5


def test_the_export_is_measured_with_the_runs_own_questions(copied, tiny_folder, tmp_path, capsys):
    from neuralgate.cli.print import print_scores
    from neuralgate.interventions.export import export_merged
    from neuralgate.interventions.patch import Patch
    from neuralgate.lvlm.load import load

    export_merged(tiny_folder, Patch.from_pretrained(copied / "patch"), tmp_path / "merged", evidence_of(copied / "patch"))
    card = (tmp_path / "merged/README.md").read_text()
    assert "After the edit" in card and "| damage | vqa |" in card and evidence_of(copied / "controls/none/patch").text == ""
    with Run.load(copied) as run:
        folder = measure_served(run, load(tmp_path / "merged"), Machine())
    rows, scores = read_jsonl(folder / "answers.jsonl"), read_json(folder / "scores.json")
    assert folder == copied / "served/merged" and len(rows) == len(read_jsonl(copied / "answers.jsonl"))
    assert all(row["answers"]["served"] == row["answers"]["edited"] for row in rows)
    assert scores["controls"]["served"]["privacypair-test"] == scores["edited"]["privacypair-test"]
    print_scores(folder / "scores.json")
    assert "warning: Answers cut off at the most tokens allowed: 100.0 % base" in capsys.readouterr().out


# --- going on -------------------------------------------------------------------------------------------------------


def test_a_second_run_skips_every_stage_and_needs_no_model(copied, recipe, tiny):
    before = {**results(copied), **{name: hash_path(copied / name) for name in ("report.html", "training.json", "manifest.json")}}
    with Run.open(copied, recipe, tiny.fingerprint) as run:
        pipeline.execute(run, no_model, Machine())
    events = read_jsonl(copied / "events.jsonl")
    assert [(event["stage"], event["event"]) for event in events[-6:]] == [(stage, "skipped") for stage in DONE]
    assert {**results(copied), **{name: hash_path(copied / name) for name in ("report.html", "training.json", "manifest.json")}} == before


@pytest.mark.parametrize(
    ("lost", "redone"),
    [("scores.json", "evaluate"), ("controls/random", "edit"), ("gate/gate.safetensors", "locate"), ("report.html", "report")],
)
def test_what_is_lost_is_made_again(copied, recipe, tiny, lost, redone):
    before = results(copied)
    path = copied / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with Run.open(copied, recipe, tiny.fingerprint) as run:
        pipeline.execute(run, no_model if redone == "report" else lambda: tiny, Machine())
    assert results(copied) == before and (copied / "report.html").is_file()
    begun = {event["stage"] for event in read_jsonl(copied / "events.jsonl")[-60:] if event.get("event") == "skipped"}
    assert begun >= set(DONE[: DONE.index(redone)])


def test_a_run_of_another_model_is_refused(copied, recipe, tiny):
    before = results(copied)
    with pytest.raises(UserError, match="another model"):
        Run.open(copied, recipe, "0" * 64)
    (copied / "scores.json").unlink()
    other = type(tiny)(tiny.model, tiny.processor, tiny.name)
    other.__dict__["fingerprint"] = "0" * 64
    with Run.load(copied) as run, pytest.raises(UserError, match=r"is not the model that .* was begun with"):
        pipeline.execute(run, lambda: other, Machine())
    del before["scores.json"]
    assert {name: value for name, value in results(copied).items() if name != "answers.jsonl"}.items() <= before.items()


# --- scoring again --------------------------------------------------------------------------------------------------


def test_rescoring_gives_the_same_scores(copied):
    before = results(copied)
    rows = read_jsonl(copied / "answers.jsonl")
    write_jsonl(copied / "answers.jsonl", [{**row, "verdicts": {}} for row in rows])
    (copied / "scores.json").write_text("{}")
    with Run.load(copied) as run:
        rescore(run)
    assert results(copied) == before
    with Run.load(copied) as run:
        pipeline.execute(run, no_model, Machine(), until="evaluate")


def test_rescoring_judges_the_answers_that_are_there(copied):
    rows = read_jsonl(copied / "answers.jsonl")
    for row in rows:
        row["answers"]["edited"] = "I'm sorry, I cannot share that."
    write_jsonl(copied / "answers.jsonl", rows)
    with Run.load(copied) as run:
        rescore(run)
    scores = read_json(copied / "scores.json")["edited"]
    assert scores["privacypair-test"]["rta_sensitive"]["value"] == scores["privacypair-test"]["rta_benign"]["value"] == 1
    assert scores["vqa"]["accuracy"]["value"] == 0


def test_a_run_is_scored_again_with_another_judge_and_other_intervals(copied):
    before = results(copied)
    done = CliRunner().invoke(app, ["score", str(copied), "--judge", "prefix", "--interval", "wilson"])
    assert not done.exit_code, done.exception
    scores = read_json(copied / "scores.json")
    refused = scores["edited"]["privacypair-test"]["rta_sensitive"]
    assert (scores["judge"], scores["interval"], refused.keys()) == ("prefix", "wilson", {"value", "low", "high", "n"})
    assert not {"partial_leak_rate"} & scores["edited"]["privacypair-test"].keys(), "this judge keeps no levels"
    done = CliRunner().invoke(app, ["score", str(copied), "--interval", "narrow"])
    assert isinstance(done.exception, UserError) and "evaluate.interval should be 'clustered' or 'wilson'" in str(done.exception)
    done = CliRunner().invoke(app, ["score", str(copied)])
    assert not done.exit_code and read_json(copied / "scores.json") == scores, "they are the run's own now"
    done = CliRunner().invoke(app, ["score", str(copied), "--judge", "refusal", "--interval", "clustered"])
    assert re.search(r"\d subjects( each)?\. What holds for them need not hold for others", " ".join(done.stdout.split()))
    assert results(copied) == before
    assert read_json(copied / "scores.json")["edited"]["privacypair-test"]["rta_sensitive"]["clusters"] == 2


def test_rescoring_and_reporting_work_where_torch_is_missing(copied):
    before = results(copied)
    (copied / "scores.json").unlink()
    code = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\nfrom neuralgate.cli.main import main\nmain()"
    for arguments, said in (
        (["pairs", str(copied)], "pairs     unchanged"),  # the run's own recipe, though the defaults differ
        (["score", str(copied)], f"neuralgate report {copied}"),
        (["report", str(copied)], "report.html"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert said in " ".join((done.stdout + done.stderr).split("\n"))
    assert results(copied) == before


# --- kill -9 --------------------------------------------------------------------------------------------------------


def interrupted(folder: Path, recipe: Recipe, lvlm, stage: str) -> None:
    """The run, stopped in ``stage`` when all is made but nothing is recorded."""
    manifest = read_json(folder / "manifest.json")
    del manifest["stages"][stage]
    write_json(folder / "manifest.json", manifest)

    def stop(self: Run, name: str, *_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, Run.open(folder, recipe, lvlm.fingerprint) as run:
        patched.setattr(Run, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            pipeline.execute(run, lambda: lvlm, Machine())


def go_on(folder: Path, recipe: Recipe, lvlm) -> list[str]:
    """The run to its end; what is said on the way."""
    with Run.open(folder, recipe, lvlm.fingerprint) as run:
        said: list[str] = []
        run.display.line = said.append
        pipeline.execute(run, lambda: lvlm, Machine())
    return said


@pytest.mark.parametrize("stage", ["locate", "choose", "edit", "evaluate"])
def test_damaged_pieces_of_a_killed_stage_are_made_again(finished, copied, recipe, tiny, stage):
    interrupted(copied, recipe, tiny, stage)
    pieces = [path for path in sorted((copied / ".work" / stage).rglob("*.chunk")) if path.name != "begun.chunk"]
    assert len(pieces) >= 2
    for number, path in enumerate(pieces):
        data = bytearray(path.read_bytes())
        data[(len(data) - 1) * number // len(pieces)] ^= 1 << number % 8
        path.write_bytes(data if number % 3 else data[: len(data) // 2])
    go_on(copied, recipe, tiny)
    assert read_json(copied / "manifest.json")["stages"][stage]["resumed"]
    assert results(copied) == results(finished)


def test_a_patch_that_was_lost_or_changed_after_its_variant_was_finished_is_made_again(finished, copied, recipe, tiny):
    interrupted(copied, recipe, tiny, "edit")
    shutil.rmtree(copied / "controls/none")
    (copied / "controls/random/patch/patch.safetensors").unlink()
    data = bytearray((copied / "patch/patch.safetensors").read_bytes())
    data[-1] ^= 1
    (copied / "patch/patch.safetensors").write_bytes(data)
    (copied / "controls/closed/patch/patch.json").write_text("{}")
    (copied / "controls/inverted/patch/more.txt").write_text("")
    go_on(copied, recipe, tiny)
    assert results(copied) == results(finished)


@pytest.mark.slow
def test_control_c_and_kill_9_on_the_command_line(finished, recipe, tmp_path):
    """Interrupted while it locates, killed while it edits, killed while it asks: the same bytes in the end."""
    recipe.save(tmp_path / "recipe.yaml")
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "neuralgate",
        "run",
        recipe.model,
        "-r",
        str(tmp_path / "recipe.yaml"),
        "--out",
        str(folder),
        "--machine",
        "threads=1",
    ]

    def stopped(stage: str, number: signal.Signals) -> tuple[int, str]:
        # a job in the background, such as this may be, has Ctrl-C ignored, and its children with it
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 120
        while not has_begun(folder / "events.jsonl", stage):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(process.pid, number)
        _, error = process.communicate()
        return process.returncode, error

    code, error = stopped("locate", signal.SIGINT)
    assert code == 2, error
    assert ("continues where it stopped" in error, "Traceback" in error) == (True, False), error
    assert stopped("edit", signal.SIGKILL)[0] == -signal.SIGKILL
    assert stopped("evaluate", signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (folder / "scores.json").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(folder) == results(finished)
    assert "report:" in done.stdout


def has_begun(events: Path, stage: str) -> bool:
    if not events.is_file():
        return False
    lines = [json.loads(line) for line in events.read_text().split("\n")[:-1]]
    return any(line["stage"] == stage and "event" in line for line in lines)


# --- further methods ------------------------------------------------------------------------------------------------


def test_further_methods_are_applied_and_asked_beside_the_edit(tiny, tiny_folder, tmp_path, capsys):
    methods = {"steering": {"strengths": [4.0]}, "keyword_guardrail": {"count": 2}}
    settings = {**SETTINGS, "model": str(tiny_folder), "variants": [], "methods": methods, "edit": {**SETTINGS["edit"], "layers": [1]}}
    folder = tmp_path / "run"
    with Run.open(folder, Recipe.parse(settings), tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine())
    assert re.search("^steering: .* limits of damage", capsys.readouterr().err, re.MULTILINE), "the tiny model cannot be made to refuse"
    assert {path.name for path in (folder / "methods").iterdir()} == set(methods)
    guardrail = load_intervention(folder / "methods/keyword_guardrail")
    assert len(guardrail.words) == 2 and load_intervention(folder / "methods/steering").vectors.keys() == {1}, "at the edited layer"
    rows = read_jsonl(folder / "answers.jsonl")
    assert all(list(row["answers"]) == ["base", "edited", *methods] for row in rows)
    refused = [row for row in rows if row["answers"]["keyword_guardrail"] == guardrail.refusal]
    assert refused and all(any(word in row["question"].casefold() for word in guardrail.words) for row in refused)
    assert set(read_json(folder / "scores.json")["controls"]) == set(methods)
    training = read_json(folder / "training.json")
    assert {name: record["method"] for name, record in training.items()} == {"edited": "neural_gate", **{name: name for name in methods}}

    with Run.open(folder, Recipe.parse({**settings, "methods": {"steering": methods["steering"]}}), tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine(), until="edit")
    assert {path.name for path in (folder / "methods").iterdir()} == {"steering"}, "what is not asked for any more is put away"


def test_an_unknown_method_is_refused_before_anything_is_written(tiny, tiny_folder):
    recipe = recipe_for(tiny_folder, [])
    for methods, sentence in (({"stering": {}}, "did you mean steering"), ({"steering": {"layers": [9]}}, "Layer 9 is out of range")):
        with pytest.raises(UserError, match=sentence):
            check_recipe(recipe.model_copy(update={"methods": methods}), tiny)
