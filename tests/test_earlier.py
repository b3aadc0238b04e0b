"""A run folder that goes on: with other settings, with another version, with a source that has gone."""

import json
import os
import shutil
from pathlib import Path

import pytest
from test_pipeline import recipe_for, results
from typer.testing import CliRunner

from neuralgate.chunks import Chunks
from neuralgate.cli.main import app
from neuralgate.errors import UserError
from neuralgate.files import hash_path, read_json, read_jsonl, write_json
from neuralgate.machine import Machine
from neuralgate.questions.draw import draw_pair_set, drawn_world
from neuralgate.recipe import Recipe
from neuralgate.run import earlier, pipeline
from neuralgate.run.folder import Run
from neuralgate.run.stages import base


@pytest.fixture(scope="module")
def recipe(tiny_folder):
    return recipe_for(tiny_folder, ["random"])


def run(folder: Path, recipe: Recipe, lvlm, until="evaluate", keep_stale: bool = False) -> tuple[list[str], dict[str, str]]:
    """Do what is to be done: what is said, and the last word on each stage."""
    said: list[str] = []
    before = len(read_jsonl(folder / "events.jsonl")) if folder.exists() else 0
    with Run.open(folder, recipe, lvlm.fingerprint) as opened:
        opened.display.line = said.append
        pipeline.execute(opened, lambda: lvlm, Machine(), until, keep_stale=keep_stale)
    events = read_jsonl(folder / "events.jsonl")[before:]
    return said, {event["stage"]: event["event"] for event in events if "event" in event}


def made(words: dict[str, str]) -> set[str]:
    return {stage for stage, word in words.items() if word == "finished"}


def now(folder: Path) -> dict[str, str]:
    return {name: value for name, value in results(folder).items() if not name.startswith("earlier/")}


@pytest.fixture(scope="module")
def first(tiny, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    run(folder, recipe, tiny, "report")
    return folder


@pytest.fixture(scope="module")
def second_recipe(recipe):
    return recipe.changed(["edit.gate=none", "name=second"])


@pytest.fixture(scope="module")
def second(tiny, second_recipe, tmp_path_factory):
    """An undisturbed run of the other recipe."""
    folder = tmp_path_factory.mktemp("runs") / "second"
    run(folder, second_recipe, tiny)
    return folder


@pytest.fixture
def copied(first, tmp_path):
    shutil.copytree(first, tmp_path / "run")
    return tmp_path / "run"


# --- other settings ---------------------------------------------------------------------------------------------------


def test_another_gate_keeps_pairs_and_votes_and_the_old_results(first, second, copied, second_recipe, recipe, tiny):
    with Run.open(copied, second_recipe, tiny.fingerprint) as opened:
        assert set(opened.manifest["stages"]) == {"pairs", "locate"}
    words = run(copied, second_recipe, tiny, "report")[1]
    assert made(words) == {"choose", "edit", "evaluate", "report"} and {words["pairs"], words["locate"]} == {"skipped"}
    assert now(copied) == now(second)
    (kept,) = (copied / "earlier").iterdir()
    assert kept.name == f"1-{recipe.digest[:8]}"
    old = {name: value for name, value in results(first).items() if not name.startswith(("pairs/", "gate/"))}
    assert results(kept) == old
    assert (kept / "report.html").read_bytes() == (first / "report.html").read_bytes()
    assert Recipe.load(kept / "recipe.yaml") == recipe and read_json(kept / "manifest.json") == read_json(first / "manifest.json")
    manifest = read_json(copied / "manifest.json")
    assert manifest["hashes"]["recipe"] == second_recipe.digest and set(manifest["stages"]) == set(words)
    assert set(run(copied, second_recipe, tiny, "report")[1].values()) == {"skipped"}, "and is finished"


def test_what_differs_and_what_is_kept_is_said(copied, second_recipe, tiny, capsys):
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("neuralgate.progress.Display.line", lambda _, text: said.append(text))
        Run.open(copied, second_recipe, tiny.fingerprint).close()
    assert said[:2] == ["name: 'default' before, 'second' now", "edit.gate: 'strong' before, 'none' now"]
    assert said[2].startswith("the results of choose, edit, evaluate, report depend on that: kept in ") and len(said) == 3


def test_there_and_back_counts_the_results(first, copied, recipe, tiny):
    for setting in ("evaluate.max_new_tokens=2", "evaluate.max_new_tokens=4"):
        run(copied, recipe.changed([setting]), tiny)
    assert sorted(path.name.split("-")[0] for path in (copied / "earlier").iterdir()) == ["1", "2"]
    assert now(copied) == now(first)


def test_a_run_that_has_finished_nothing_just_takes_the_other_recipe(tmp_path, recipe, second_recipe):
    Run.open(tmp_path / "run", recipe, "m").close()
    Run.open(tmp_path / "run", second_recipe, "m").close()
    assert Recipe.load(tmp_path / "run/recipe.yaml") == second_recipe and not (tmp_path / "run/earlier").exists()


def test_what_was_half_made_with_the_old_settings_is_not_taken(copied, second, recipe, second_recipe, tiny):
    shutil.rmtree(copied / "controls")
    with pytest.MonkeyPatch.context() as patched, Run.open(copied, recipe, tiny.fingerprint) as opened:
        patched.setattr(Run, "_finish", lambda *_: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception, match="stopped"):
            pipeline.execute(opened, lambda: tiny, Machine(), until="edit")
    run(copied, second_recipe, tiny)
    assert now(copied) == now(second)


@pytest.mark.parametrize("before", [True, False])
def test_killed_while_it_puts_away_it_ends_in_the_same_state(first, recipe, second_recipe, tiny, tmp_path, monkeypatch, before):
    """A death at every file that is put in place, before and after it."""
    shutil.copytree(first, tmp_path / "undisturbed")
    Run.open(tmp_path / "undisturbed", second_recipe, tiny.fingerprint).close()
    known = results(tmp_path / "undisturbed")
    replace = os.replace
    for death in range(100):
        folder = tmp_path / f"run-{death}"
        shutil.copytree(first, folder)
        count = 0

        def counted(source, target, death=death):
            nonlocal count
            count += 1
            if count > death and before:
                raise KeyboardInterrupt
            replace(source, target)
            if count > death:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", counted)
            try:
                Run.open(folder, second_recipe, tiny.fingerprint).close()
            except KeyboardInterrupt:
                pass
            else:
                break
        if death % 2:  # whoever opens the folder next, with whatever recipe, finds no half
            Run.load(folder).close()
        Run.open(folder, second_recipe, tiny.fingerprint).close()
        assert results(folder) == known, death
        assert set(read_json(folder / "manifest.json")["stages"]) == {"pairs", "locate"} and not list((folder / ".work").iterdir())
        shutil.rmtree(folder)
    assert death > 8


def test_a_damaged_plan_is_no_plan(copied, recipe, tiny):
    Chunks(copied / ".work/earlier").put(earlier.PLAN, json.dumps({"name": "../../x"}).encode())
    path = copied / ".work/earlier/plan.chunk"
    path.write_bytes(path.read_bytes()[:-1])
    Run.open(copied, recipe, tiny.fingerprint).close()
    assert not (copied / "earlier").exists()


@pytest.mark.parametrize(
    "plan",
    [
        {"name": "../../x"},
        {"outputs": ["../victim"]},
        {"outputs": ["/victim"]},
        {"new": {"../victim": ""}},
        {"old": {"../../../victim": ""}, "outputs": ["pairs"]},
    ],
)
def test_a_plan_from_somebody_else_leads_nowhere(tmp_path, plan):
    (tmp_path / "victim").write_text("whole")
    Run.open(tmp_path / "run", Recipe(), "m").close()
    Chunks(tmp_path / "run/.work/earlier").put(earlier.PLAN, json.dumps({"name": "1", "outputs": [], "old": {}, "new": {}} | plan).encode())
    with pytest.raises(UserError, match="is outside"):
        Run.load(tmp_path / "run")
    assert (tmp_path / "victim").read_text() == "whole" and sorted(path.name for path in tmp_path.iterdir()) == ["run", "victim"]


def test_earlier_as_a_link_is_refused(copied, second_recipe, tiny, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (copied / "earlier").symlink_to(tmp_path / "elsewhere")
    before = results(copied)
    with pytest.raises(UserError, match="earlier is a link"):
        Run.open(copied, second_recipe, tiny.fingerprint)
    assert not list((tmp_path / "elsewhere").iterdir()) and results(copied) == before
    (copied / "earlier").unlink()
    Run.open(copied, second_recipe, tiny.fingerprint).close()


def test_earlier_results_can_be_compared_with_those_of_now(copied, second_recipe, tiny, capsys):
    (copied / "served/exported").mkdir(parents=True)
    (copied / "served/exported/scores.json").write_text("{}")
    run(copied, second_recipe, tiny)
    (kept,) = (copied / "earlier").iterdir()
    assert (kept / "served/exported/scores.json").is_file() and not (copied / "served").exists()
    app(["compare", str(copied), str(kept)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "ungated" in shown and kept.name in shown


@pytest.mark.parametrize("again", [True, False])
def test_on_the_command_line_a_setting_is_one_flag_away(copied, tiny_folder, tmp_path, recipe, tiny, again):
    """With the recipe given again, and without: a run goes on with its own."""
    recipe.save(tmp_path / "recipe.yaml")
    given = ["--recipe", str(tmp_path / "recipe.yaml")] if again else []
    command = ["pairs", str(copied), "--model", str(tiny_folder), *given, "--gate", "none"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "edit.gate: 'strong' before, 'none' now" in result.output.replace("\n", " ")
    with Run.load(copied) as opened:
        assert opened.recipe == recipe.changed(["edit.gate=none"]) and opened.manifest["stages"].keys() == {"pairs", "locate"}
    assert len(list((copied / "earlier").iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        (["edit.gate=none"], 1e-4),
        (["seed=5"], "auto"),
        (["seed=5", "edit.rate=1e-4"], 1e-4),
        (["edit.rate=0.5"], 0.5),
    ],
)
def test_a_rate_that_the_run_found_goes_with_what_it_was_found_for(tiny, tiny_folder, tmp_path, monkeypatch, settings, rate):
    known = recipe_for(tiny_folder, []).changed(["edit.rate=1e-4"])
    Run.open(tmp_path / "run", known, tiny.fingerprint).close()
    write_json(tmp_path / "run/rate.json", {"rate": 1e-4})
    monkeypatch.setattr(pipeline, "execute", lambda *_, **__: None)
    monkeypatch.setattr("neuralgate.run.model.loader", lambda *_: lambda: tiny)
    command = ["pairs", str(tmp_path / "run"), "--model", str(tiny_folder)]
    result = CliRunner().invoke(app, command + [part for setting in settings for part in ("--set", setting)])
    assert result.exit_code == 0, result.output
    assert Recipe.load(tmp_path / "run/recipe.yaml") == known.changed([*settings, f"edit.rate={rate}"])


def test_a_found_rate_of_another_shape_is_one_sentence(tiny, tiny_folder, tmp_path):
    Run.open(tmp_path / "run", recipe_for(tiny_folder, []), tiny.fingerprint).close()
    for text in ("[]", "{}", '{"rate": "fast"}', '{"rate": -1}'):
        (tmp_path / "run/rate.json").write_text(text)
        result = CliRunner().invoke(app, ["pairs", str(tmp_path / "run"), "--model", str(tiny_folder), "--gate", "none"])
        assert isinstance(result.exception, UserError) and "rate.json is damaged" in str(result.exception)


# --- another version --------------------------------------------------------------------------------------------------


@pytest.fixture
def other_code(monkeypatch):
    """Another version of what edits."""
    known = base.code_hash

    def other(*places: str) -> str:
        return "f" * 64 if places[0] in ("run/stages/choose.py", "run/stages/edit.py") else known(*places)

    monkeypatch.setattr(base, "code_hash", other)


def test_results_of_another_version_are_made_again(first, copied, recipe, tiny, other_code):
    said, words = run(copied, recipe, tiny)
    assert now(copied) == now(first)
    assert {words["pairs"], words["locate"], words["evaluate"]} == {"skipped"} and made(words) >= {"choose", "edit"}
    assert "edit      made again: its code has changed" in said


def test_keep_stale_takes_results_of_another_version(first, copied, recipe, tiny, other_code):
    said, words = run(copied, recipe, tiny, keep_stale=True)
    assert set(words.values()) == {"skipped"}
    assert "edit      taken as it is, though made from other code (--keep-stale)" in said
    assert "locate    unchanged, skipped" in said
    assert read_json(copied / "manifest.json")["stages"]["edit"]["kept_stale"] == ["code"]
    assert now(copied) == now(first)
    assert made(run(copied, recipe, tiny)[1]) >= {"choose", "edit"}, "the next one without the flag makes them again"
    assert "kept_stale" not in read_json(copied / "manifest.json")["stages"]["edit"]


def test_keep_stale_keeps_nothing_that_was_made_from_what_is_made_again(copied, recipe, tiny, other_code):
    (copied / "gate/gate.safetensors").unlink()
    said, words = run(copied, recipe, tiny, keep_stale=True)
    assert made(words) == {"locate", "choose", "edit", "evaluate"} and "locate    made again: gate/gate.safetensors changed or lost" in said


def with_choice_in_the_gate(folder: Path) -> None:
    """As it was before the choice of the layer had a stage and a file of its own."""
    shutil.copy(folder / "gate/gate.json", folder / "gate/located.json")
    write_json(folder / "gate/gate.json", read_json(folder / "gate/gate.json") | read_json(folder / "choice.json"))
    (folder / "choice.json").unlink()
    manifest = read_json(folder / "manifest.json")
    records = manifest["stages"]
    records["search"] = {**records.pop("choose"), "outputs": {"gate/gate.json": hash_path(folder / "gate/gate.json")}}
    del records["locate"]["outputs"]["gate/gate.json"]
    records["locate"]["outputs"]["gate/located.json"] = hash_path(folder / "gate/located.json")
    for record in records.values():
        record["inputs"]["code"] = "0" * 64
    write_json(folder / "manifest.json", manifest)


def of_version_0_1(folder: Path) -> None:
    """As version 0.1 left it: the search was part of locate, and only hashes of hashes were recorded."""
    with_choice_in_the_gate(folder)
    (folder / "gate/located.json").unlink()
    manifest = read_json(folder / "manifest.json")
    del manifest["stages"]["search"]
    for record in manifest["stages"].values():
        del record["inputs"]
        record |= {"input_hash": "0" * 64, "code": "0" * 64}
    manifest["stages"]["locate"]["outputs"] = {"gate": hash_path(folder / "gate")}
    write_json(folder / "manifest.json", manifest)


def test_a_folder_of_version_0_1_is_made_again_or_kept(first, copied, recipe, tiny, tmp_path):
    of_version_0_1(copied)
    shutil.copytree(copied, tmp_path / "kept")
    words = run(tmp_path / "kept", recipe, tiny, keep_stale=True)[1]
    assert set(words.values()) == {"skipped"} and words.keys() == {"pairs", "locate", "choose", "edit", "evaluate"}
    said, words = run(copied, recipe, tiny)
    assert made(words) >= {"pairs", "locate", "choose", "edit"} and "pairs     made again: its code has changed" in said
    assert now(copied) == now(first)


def test_a_folder_with_the_choice_in_the_gate_is_read_and_goes_on(first, copied, recipe, tiny, tmp_path, capsys):
    with_choice_in_the_gate(copied)
    before = results(copied)
    for command in (["score", copied], ["report", copied], ["compare", copied, first]):
        assert CliRunner().invoke(app, [str(word) for word in command]).exit_code == 0, command
    assert "<h2>Layer search</h2>" in (copied / "report.html").read_text() and results(copied) == before
    shutil.copytree(copied, tmp_path / "kept")
    assert set(run(tmp_path / "kept", recipe, tiny, keep_stale=True)[1].values()) == {"skipped"}
    words = run(tmp_path / "kept", recipe.changed(["edit.gate=none"]), tiny, keep_stale=True)[1]
    assert made(words) == {"choose", "edit", "evaluate"} and (tmp_path / "kept/choice.json").is_file()
    assert made(run(copied, recipe, tiny)[1]) >= {"locate", "choose", "edit"} and now(copied) == now(first), "no old file is left"


@pytest.mark.parametrize("command", ["pairs", "locate", "edit", "eval"])
def test_every_command_of_a_stage_can_keep_what_is_stale(copied, command, other_code, monkeypatch):
    before = results(copied)
    monkeypatch.setattr("neuralgate.run.model.load_quietly", lambda *_, **__: pytest.fail("the model was loaded"))
    assert CliRunner().invoke(app, [command, str(copied), "--keep-stale"]).exit_code == 0
    assert results(copied) == before and {path.name for path in copied.iterdir()} >= {"scores.json", "patch"}


def test_altered_results_are_made_again_and_it_is_said(first, copied, recipe, tiny):
    data = bytearray((copied / "patch/patch.safetensors").read_bytes())
    data[-1] ^= 1
    (copied / "patch/patch.safetensors").write_bytes(data)
    (copied / "answers.jsonl").unlink()
    said, words = run(copied, recipe, tiny)
    assert now(copied) == now(first) and made(words) >= {"edit", "evaluate"}
    assert "edit      made again: patch changed or lost" in said and "evaluate  made again: answers.jsonl changed or lost" in said


# --- a source that has gone -------------------------------------------------------------------------------------------


def test_the_whole_command_does_not_miss_the_source_of_a_finished_run(tiny_folder, tmp_path):
    from neuralgate.pairs.mixture import gather

    draw_pair_set(drawn_world(recipe_for(tiny_folder, [])), recipe_for(tiny_folder, []), tmp_path / "drawn")
    gather([tmp_path / "drawn"], tmp_path / "set")
    source = [f"pairs.source={tmp_path / 'set'}", "pairs.only_read=false", "locate.layers=[0]", "locate.samples_per_subject=1"]
    source += ["locate.steps=1", "edit.layers=[0]", "edit.rate=0.01", "edit.max_steps=1", "edit.stop=never", "variants=[]"]
    command = ["run", str(tiny_folder), "--out", str(tmp_path / "run"), "--set", "evaluate.max_new_tokens=1"]
    for setting in source:
        command += ["--set", setting]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (result.output, result.exception)
    before = results(tmp_path / "run")
    shutil.rmtree(tmp_path / "set")
    assert CliRunner().invoke(app, command).exit_code == 0 and results(tmp_path / "run") == before
    result = CliRunner().invoke(app, [*command, "--set", "evaluate.max_new_tokens=2"])
    assert result.exit_code == 0, "a setting that does not touch the pairs"
    for other in ("pairs.refusal=own", f"pairs.source={tmp_path / 'other'}"):
        before = results(tmp_path / "run")
        refused = CliRunner().invoke(app, [*command, "--set", other])
        assert isinstance(refused.exception, UserError) and "has no pairs.jsonl" in str(refused.exception)
        assert results(tmp_path / "run") == before, "nothing is put away for what cannot be made"
