"""What each stage depends on: settings, other stages, code."""

import json

import pytest
from test_imports import MODULES, imported, ours, tree

from neuralgate.errors import UserError
from neuralgate.recipe import Recipe
from neuralgate.run.code import code_hash
from neuralgate.run.plan import changed, dependents
from neuralgate.run.stages import STAGES
from neuralgate.run.stages.edit import edit_digest

#: What reads and writes files and settings, and the way to the model, whose identity is an input.
PLUMBING = {"errors", "text", "files", "chunks", "cost", "cache", "progress", "settings", "edit_settings", "machine", "recipe", "run", ""}
PLUMBING |= {"records", *(module for module in MODULES if module.startswith("records."))}
#: The bookkeeping of stages; what those before made is an input, too.
PLUMBING |= {"run.code", "run.variants", "run.stages", "run.stages.base"}


def all_imported(entries: tuple[str, ...], without: set[str]) -> set[str]:
    """The modules that ``entries`` run, none of those that only ``without`` runs."""
    found: set[str] = set()
    waiting = set(entries)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= ours(imported(tree(name), in_functions=True)) - found - without
    return found


def module_of(stage) -> str:
    return type(stage).__module__.removeprefix("neuralgate.")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_code_of_a_stage_is_all_that_it_runs(stage):
    own = module_of(stage)
    places = [own, *(place.removesuffix(".py").replace("/", ".") for place in stage.code if not place.endswith(".json"))]
    assert all(place in MODULES for place in places), "a place that is no module"
    for module in all_imported((own,), without=PLUMBING | {module_of(other) for other in STAGES if other is not stage}):
        assert any(f"{module}.".startswith(f"{place}.") for place in places), f"{stage.name} runs neuralgate.{module}"


def test_code_has_a_hash_of_its_own():
    hashes = {stage.name: code_hash(*stage.code) for stage in STAGES}
    assert hashes["locate"] != hashes["edit"] and code_hash() not in hashes.values()
    assert code_hash("lvlm") == code_hash("lvlm", "lvlm/model.py") != code_hash("pairs")


ALL = {stage.name for stage in STAGES}


@pytest.mark.parametrize(
    ("setting", "redone"),
    [
        ("name=other", {"report"}),
        ("seed=1", ALL),
        ("prompt_style=plain", ALL),
        ("pairs.per_subject=5", ALL),
        ("pairs.refusal=own", ALL),
        ("evaluate.vqa=5", ALL),
        ("evaluate.benchmarks=[vqa]", ALL),
        ("evaluate.max_new_tokens=5", {"evaluate", "promise", "report"}),
        ("evaluate.judge=prefix", {"evaluate", "promise", "report"}),
        ("locate.steps=5", ALL - {"pairs", "rate"}),
        ("locate.layers=[2]", ALL - {"pairs"}),
        ("edit.gate=strong", ALL - {"pairs", "rate", "locate"}),
        ("edit.eps=1e-3", ALL - {"pairs", "locate"}),
        ("edit.layers=[2]", ALL - {"pairs", "locate"}),
        ("variants=[closed]", {"edit", "evaluate", "promise", "report"}),
        ("promise.leak_at_most=.1", {"promise", "report"}),
    ],
)
def test_a_setting_redoes_what_depends_on_it(setting, redone):
    recipe = Recipe()
    assert changed(recipe, recipe.changed([setting])) == redone
    assert changed(recipe, recipe) == set()


def test_without_a_search_the_gate_does_not_depend_on_the_edit():
    recipe = Recipe().changed(["edit.layers=[2]"])
    assert changed(recipe, recipe.changed(["edit.gate=strong"])) == {"analyse", "edit", "evaluate", "promise", "report"}


def leaves(data, prefix=""):
    for key, value in data.items():
        yield from leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]


#: Another value for each kind of default.
OTHERS = {bool: [True, False], int: [3, 0], float: [0.125, 0.25], list: [["strong"], [2], ["subject"]]}
WORDS = ["x", "strongest", "prefix", "wilson", "own", "loss", "last", "clamp", "layer", "strong", [2], 448, 0.5, ["passport"], True]


@pytest.mark.parametrize(("key", "value"), list(leaves(Recipe().model_dump(mode="json"))))
def test_every_setting_is_read_by_a_stage(key, value):
    """All but the model's, which is the run's identity."""
    recipe = Recipe()
    for other in [*OTHERS.get(type(value), []), *WORDS]:
        try:
            changed_recipe = recipe.changed([f"{key}={json.dumps(other)}"])
        except UserError:
            continue
        if changed_recipe != recipe:
            assert key in ("model", "revision") or changed(recipe, changed_recipe) >= {"report"}
            assert key in ("model", "revision", "name") or len(changed(recipe, changed_recipe)) > 1, key
            return
    pytest.fail(f"no other value for {key}")


def test_dependents():
    assert dependents({"edit"}) == {"edit", "evaluate", "promise", "report"} and dependents({"work"}) == {"work"}


def test_a_patch_is_named_by_what_it_depends_on():
    recipe = Recipe()
    same, others = ["name=x", "evaluate.max_new_tokens=5"], ["seed=1", "locate.steps=5", "edit.rate=1", "variants=[]", "model=x"]
    assert all(edit_digest(recipe.changed([setting])) == edit_digest(recipe) for setting in same)
    assert len({edit_digest(recipe.changed([setting])) for setting in others} | {edit_digest(recipe)}) == len(others) + 1


# --- what was found stays where it still applies ----------------------------------------------------------------------


def test_a_rate_that_was_found_stays_with_what_it_was_found_for():
    known = Recipe().changed(["edit.rate=1e-4", "locate.layers=[3, 5]", "pairs.size=448"])
    kept = Recipe().changed(["edit.gate=strong", "edit.max_steps=7", "locate.steps=3", "evaluate.vqa=1"]).keeping(known)
    assert kept.edit.rate == 1e-4 and kept.locate.layers == [3, 5] and kept.pairs.size == 448
    for setting in ("edit.batch_size=3", "seed=2", "pairs.per_subject=7", "locate.layers=[2]", "edit.layers=[3]"):
        assert Recipe().changed([setting]).keeping(known).edit.rate == "auto", setting


def test_layers_that_were_found_stay_where_the_edited_one_is_among_them():
    known = Recipe().changed(["locate.layers=[3, 5]"])
    assert Recipe().changed(["edit.layers=[5]"]).keeping(known).locate.layers == [3, 5]
    assert Recipe().changed(["edit.layers=[4]"]).keeping(known).locate.layers == "auto"
    assert Recipe().changed(["locate.joint=true"]).keeping(known).locate.layers == "auto"
