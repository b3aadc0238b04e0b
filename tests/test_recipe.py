import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.settings import parts
from experiments.tables import fill
from neuralgate.errors import UserError
from neuralgate.machine import Machine
from neuralgate.methods import parse_methods
from neuralgate.recipe import EDIT_PRESETS, GATE_MODES, LOCATE_PRESETS, EditConfig, LocateConfig, Recipe, Settings


def refusal(data: object) -> str:
    with pytest.raises(UserError) as caught:
        Recipe.parse(data, "r.yaml")
    return str(caught.value)


def test_yaml_round_trip_keeps_recipe_and_digest(tmp_path):
    recipe = Recipe().changed(["edit=authors", "edit.layers=[4, 5]", "pairs.contrast=[]", "name=größer"])
    recipe.save(tmp_path / "recipe.yaml")
    assert Recipe.load(tmp_path / "recipe.yaml") == recipe
    assert Recipe.load(tmp_path / "recipe.yaml").digest == recipe.digest


def test_an_empty_file_is_the_default_recipe(tmp_path):
    (tmp_path / "r.yaml").write_text("")
    assert Recipe.load(tmp_path / "r.yaml") == Recipe()


def test_digest_depends_on_settings_and_on_nothing_else():
    assert Recipe().changed(["edit.rate=0.003"]).digest == Recipe.parse({"edit": {"rate": "3e-3"}}).digest  # PyYAML reads 3e-3 as text
    assert Recipe().digest != Recipe(seed=1).digest
    assert len(Recipe().digest) == 64


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"edit": {"rte": 1}}, "r.yaml: unknown key edit.rte; did you mean edit.rate?"),
        ({"locte": {}}, "r.yaml: unknown key locte; did you mean locate?"),
        ({"edit": {"qqqq": 1}}, "r.yaml: unknown key edit.qqqq; known are edit.keep, edit.target_rta"),
        ({"edit": {"rate": 0}}, "r.yaml: edit.rate should be greater than 0 or 'auto', not 0."),
        ({"edit": {"rate": float("nan")}}, "r.yaml: edit.rate should be"),
        ({"edit": {"layers": "serch"}}, "r.yaml: edit.layers should be a valid list or 'search', not 'serch'."),
        ({"edit": {"layers": [-1]}}, "r.yaml: edit.layers.0 should be greater than or equal to 0, not -1."),
        ({"edit": "papr"}, "r.yaml: edit: there is no preset 'papr', only default, paper, authors."),
        ({"pairs": {"subjects": []}}, "r.yaml: pairs.subjects: List should have at least 1 item"),
        ({"variants": ["open"]}, "r.yaml: variants.0 should be 'strong', 'none', 'random', 'inverted' or 'closed', not 'open'."),
        ([1], "r.yaml should be a mapping, not [1]."),
    ],
)
def test_a_wrong_recipe_is_one_clear_sentence(data, said):
    assert refusal(data).startswith(said)
    assert "\n" not in refusal(data)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_anything_is_a_recipe_or_a_user_error(data):
    try:
        Recipe.parse(data)
    except UserError as error:
        assert str(error)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"edit: [1\n"])
def test_unreadable_files_are_user_errors(tmp_path, content):
    if content is not None:
        (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"r\.yaml"):
        Recipe.load(tmp_path / "r.yaml")


def bomb(levels: int = 9) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels))]
    return "\n".join([*lines, f"name: *a{levels - 1}"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bomb(), "begins an alias, which is not read"),
        ("name: *x", "begins an alias"),
        ("edit: &e {}", "begins an alias"),
        ("name: !!python/name:os.system", "begins a tag"),
        ("name: !!int x", "begins a tag"),
        ("name: " + "[" * 20_000, "more than 32 deep"),
        ("name: " + "[" * 20_000 + "]" * 20_000, "more than 32 deep"),
        ("name: " + "{a: " * 40 + "}" * 40, "more than 32 deep"),
        ("seed: 1\nname: x\nseed: 2", "the key 'seed' is given twice"),
        ("edit: {rate: 1, rate: 2}", "the key 'rate' is given twice"),
        ("name: 2024-13-45", "put what is meant as text in quotes"),
        ("name: 0x_", "put what is meant as text in quotes"),
        ("seed: " + "9" * 5000, "more than 19 digits"),
        ('name: "a\\0b"', "a NUL or half a surrogate pair"),
        ('name: "\\ud800"', "a NUL or half a surrogate pair"),
        ("name: \x1b", "special characters are not allowed"),
        ("name: [" + "x, " * 5000 + "]", "name should be a valid string, not ['x', 'x'"),
        ("? " + "x" * 100_000 + "\n: 1", "unknown key xxx"),
        ("edit: " + "x" * 100_000, "there is no preset"),
        ("name: " + "x" * 1_000_001, "longer than a megabyte"),
        ("a: 1\n---\na: 2", "but found another document"),
    ],
)
def test_hostile_yaml_is_refused_in_a_short_sentence(tmp_path, content, said):
    (tmp_path / "r.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        Recipe.load(tmp_path / "r.yaml")
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["2024-13-45", "*x", "&a [*a]", "!!int x", "[" * 20_000, "9" * 5000, '"\\0"', "{a: 1, a: 2}", "\x1b", "0x_"]
)
def test_hostile_values_of_settings_are_refused(value):
    with pytest.raises(UserError, match="The value of 'name=") as caught:
        Recipe().changed([f"name={value}"])
    assert len(str(caught.value)) < 300
    with pytest.raises(UserError, match="The value of 'device="):
        Machine.parse([f"device={value}"])


def test_no_pipe_and_no_folder_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("pipe.yaml", ".", "x" * 300, "a\0b"):
        with pytest.raises(UserError, match=r"The recipe .* cannot be read"):
            Recipe.load(tmp_path / name)


def test_settings_apply_in_order_and_presets_can_be_changed():
    recipe = Recipe().changed(["edit=paper", "edit.rate=1e-4"])
    assert recipe.edit == EDIT_PRESETS["paper"].model_copy(update={"rate": 1e-4})


@pytest.mark.parametrize("setting", ["edit.rate", "=1", "edit..rate=1", "seed.x=1", "edit.rate=[", "edit.rte=1"])
def test_wrong_settings_are_user_errors(setting):
    with pytest.raises(UserError):
        Recipe().changed([setting])


def test_differences_name_the_keys():
    assert Recipe().differences(Recipe().changed(["seed=4", "edit.layers=[5]"])) == [("seed", 0, 4), ("edit.layers", "search", [5])]


def test_machine():
    assert Machine.parse(["device=cpu", "threads=2"]).threads == 2
    with pytest.raises(UserError, match=r"unknown key threds; did you mean threads\?"):
        Machine.parse(["threds=2"])


def test_published_settings():
    """The figures of the article and of the authors' code."""
    paper, authors = LOCATE_PRESETS["paper"], LOCATE_PRESETS["authors"]
    assert (paper.parametrisation, paper.start, paper.gamma, paper.tokens, paper.contexts) == ("clamp", 1.0, 1.0, "all", True)
    assert (authors.parametrisation, authors.start, authors.gamma, authors.tokens, authors.contexts) == ("tanh", 2.0, 0.001, "last", True)
    assert (authors.steps, authors.rate, authors.eps, authors.lambda_benign, authors.stop_loss) == (25, 0.5, 1e-3, 1.25, 0.05)
    paper, authors = EDIT_PRESETS["paper"], EDIT_PRESETS["authors"]
    assert (paper.gate, paper.rate, paper.sequential) == ("strong", 1e-5, False)
    assert (authors.gate, authors.gate_at, authors.rate, authors.eps) == ("strong", "layer", 1e-5, 1e-3)
    assert (authors.sequential, authors.steps_per_pair, authors.stop_loss) == (True, 10, 1e-3)


def test_every_setting_is_described():
    for model in Settings.__subclasses__():
        for name, field in model.model_fields.items():
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Settings)):
                assert field.description, f"{model.__name__}.{name}"


def test_defaults_are_presets():
    assert LOCATE_PRESETS["default"] == LocateConfig() and EDIT_PRESETS["default"] == EditConfig()
    assert set(GATE_MODES) == {"strong", "none", "random", "inverted", "closed"}


def test_a_further_method_is_a_difference():
    """Also one without settings, which would be lost among flat keys."""
    plain = Recipe()
    more = Recipe.parse({"methods": {"steering": {}, "fine_tune": {"share": 0.5}}})
    assert plain.differences(more) == [("methods.steering", None, {}), ("methods.fine_tune", None, {"share": 0.5})]
    assert more.differences(plain) == [("methods.steering", {}, None), ("methods.fine_tune", {"share": 0.5}, None)]
    assert more.changed(["methods.fine_tune.share=0.25"]).methods["fine_tune"] == {"share": 0.25}


PAGE = Path(__file__).parent.parent / "docs" / "recipes.md"


def test_the_page_of_settings_says_what_the_code_has(tmp_path):
    copy = tmp_path / "recipes.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    fill(copy, parts())
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), "make it again: python -m experiments.settings"
    assert "| `edit.max_steps` | `300` |" in copy.read_text(encoding="utf-8")


def test_the_recipe_of_the_page_is_one(tmp_path):
    (tmp_path / "clinic.yaml").write_text(PAGE.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    recipe = Recipe.load(tmp_path / "clinic.yaml")
    assert recipe.locate == LOCATE_PRESETS["paper"] and recipe.edit.gate == "strong"
    assert parse_methods(recipe.methods)["lora"].rank == 8


def test_the_page_names_every_extra():
    extras = set(tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8").partition("## Extras")[2].partition("## All")[0], re.M)
    assert set(named) == extras - {"dev"}
