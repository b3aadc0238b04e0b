"""What `auto` becomes for the model at hand, and that nothing else moves."""

from types import SimpleNamespace

import pytest

from neuralgate.files import read_json
from neuralgate.lvlm.auto import answer_tokens, likely_layers, located_layers, picture_side
from neuralgate.machine import Machine
from neuralgate.recipe import AUTO_KEYS, LocateConfig, Recipe
from neuralgate.run import pipeline, resolve
from neuralgate.run.folder import Run


class Named:
    """A model as the rules see it."""

    def __init__(self, name: str, depth: int, **images: object) -> None:
        self.name, self.layers = name, [None] * depth
        self.processor = SimpleNamespace(image_processor=SimpleNamespace(**images))


@pytest.mark.parametrize(
    ("images", "side"),
    [
        ({"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}, 336),  # LLaVA-1.5
        ({"size": {"shortest_edge": 384}, "crop_size": {"height": 336, "width": 336}, "do_center_crop": False}, 384),
        ({"size": {"height": 896, "width": 896}}, 896),  # Gemma3
        ({"size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}}, 672),  # Qwen2-VL: any size up to a number of pixels
        ({"size": {"shortest_edge": 56 * 56, "longest_edge": 448 * 448}}, 448),
        ({"size": {"longest_edge": 1024}}, 672),  # Pixtral: any size up to an edge
        ({"size": None, "max_pixels": 300 * 300}, 300),
        ({}, 336),
        ({"size": {"height": 28, "width": 28}}, 112),
        ({"size": {"height": 4096, "width": 4096}}, 2048),
    ],
)
def test_pictures_have_the_processors_resolution(images, side):
    assert picture_side(SimpleNamespace(image_processor=SimpleNamespace(**images))) == side


def test_a_deep_model_is_located_where_the_paper_does():
    assert likely_layers(32) == list(range(3, 20)) and likely_layers(40) == list(range(4, 25))
    assert likely_layers(12) is None and located_layers(Named("x", 12), LocateConfig()) == list(range(11))
    assert located_layers(Named("x", 32), LocateConfig(layers=None)) == list(range(31)), "null is all but the last, however many"


def test_for_clerk_auto_is_what_it_always_was():
    recipe, lines = resolve.resolve(Recipe(), Named("clerk", 8))
    assert recipe == Recipe.parse(
        {
            "pairs": {"source": None, "size": None, "only_read": False},
            "locate": {"layers": None},
            "edit": {"rate": 3e-3},
            "evaluate": {"max_new_tokens": 16},
        }
    )
    assert [line.partition(":")[0] for line in sorted(lines)] == sorted(AUTO_KEYS), "one line for each"


def test_notary_is_asked_about_the_grid_and_located_like_any_deep_model(monkeypatch):
    monkeypatch.setattr(resolve, "locate_seconds", lambda *_: 60.0)
    recipe, lines = resolve.resolve(Recipe(), Named("notary", 30))
    assert (recipe.pairs.source, recipe.pairs.size, recipe.pairs.only_read) == (None, None, False)
    assert recipe.evaluate.max_new_tokens == 16 and recipe.locate.layers == list(range(3, 19))
    assert recipe.automatic() == ["edit.rate"] and "pairs.source: null, Notary's own documents" in lines


def test_answers_are_as_long_as_a_model_needs_them():
    assert [answer_tokens(Named(name, 8), clerk=12) for name in ("clerk", "notary", "x")] == [12, 16, 64]
    assert answer_tokens(Named("notary", 8), clerk=24) == 24 and answer_tokens(Named("notary", 8), 5) == 5


LLAVA = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}


def test_any_other_model_gets_what_fits_it(monkeypatch):
    monkeypatch.setattr(resolve, "locate_seconds", lambda *_: 3000.0)
    recipe, lines = resolve.resolve(Recipe(), Named("llava-hf/llava-1.5-7b-hf", 32, **LLAVA))
    assert (recipe.pairs.source, recipe.pairs.size, recipe.pairs.only_read) == ("documents", 336, True)
    assert recipe.locate.layers == list(range(3, 20)) and recipe.evaluate.max_new_tokens == 64
    assert recipe.automatic() == ["edit.rate"], "the run finds it on its pairs"
    assert any("locate.layers" in line and "about 50 minutes" in line for line in lines)


def test_what_would_take_hours_is_done_in_strides(monkeypatch):
    monkeypatch.setattr(resolve, "locate_seconds", lambda *_: 5 * 3600.0)
    recipe, lines = resolve.resolve(Recipe(), Named("x", 32, **LLAVA))
    assert recipe.locate.layers == list(range(3, 20, 3)) and "every third" in " ".join(lines)
    several, _ = resolve.resolve(Recipe(), Named("x", 32, **LLAVA), processes=4)
    assert several.locate.layers == list(range(3, 20))
    joint, _ = resolve.resolve(Recipe().changed(["locate.joint=true"]), Named("x", 32, **LLAVA))
    assert joint.locate.layers == list(range(3, 20)), "layers that are optimised together follow each other"


def test_an_edited_layer_is_located(monkeypatch):
    monkeypatch.setattr(resolve, "locate_seconds", lambda *_: 60.0)
    recipe, _ = resolve.resolve(Recipe().changed(["edit.layers=[25]"]), Named("x", 32, **LLAVA))
    assert recipe.locate.layers == [*range(3, 20), 25]


def test_what_the_user_says_wins(monkeypatch):
    monkeypatch.setattr(resolve, "locate_seconds", lambda *_: pytest.fail("nothing is to be estimated"))
    settings = ["pairs.source=null", "pairs.size=500", "pairs.only_read=false", "locate.layers=[7]", "edit.rate=1e-4"]
    asked = Recipe().changed([*settings, "evaluate.max_new_tokens=5"])
    assert resolve.resolve(asked, Named("x", 32, **LLAVA)) == (asked, [])


def test_what_was_found_is_kept_and_never_differs():
    found = Recipe().changed(["edit.rate=1e-4", "pairs.size=448", "locate.layers=[3, 5]", "evaluate.max_new_tokens=64"])
    assert found.differences(Recipe()) == [] and Recipe().keeping(found) == found
    assert found.differences(Recipe().changed(["edit.rate=1e-3"])) == [("edit.rate", 1e-4, 1e-3)]


def test_the_estimate_is_of_this_machine(tiny):
    recipe = Recipe().changed(["pairs.source=null", "pairs.subjects=[passport]", "locate.samples_per_subject=2"])
    short, long = (resolve.locate_seconds(tiny, recipe.changed([f"locate.steps={steps}"]), [0, 1]) for steps in (1, 1000))
    assert 0 < short < 20 and long > 20 * short


def test_a_run_finds_its_rate_and_keeps_it(tiny, tiny_folder, tmp_path):
    """A run of the tiny model, with everything left to `auto` that is not too slow for a test."""
    small = {"subjects": ["passport"], "contrast": ["bus ticket"], "per_subject": 4, "contrast_per_subject": 1}
    small |= {"validation_per_subject": 1, "test_per_subject": 1, "only_read": False}
    settings = {"pairs": small, "locate": {"steps": 2, "samples_per_subject": 1}, "edit": {"max_steps": 2, "layers": [1]}}
    recipe = Recipe.parse({**settings, "evaluate": {"benchmarks": ["vqa"], "vqa": 1}, "model": str(tiny_folder), "variants": []})
    with Run.open(tmp_path / "run", recipe, tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine(), until="locate")
    kept = Recipe.load(tmp_path / "run/recipe.yaml")
    record = read_json(tmp_path / "run/rate.json")
    assert kept.automatic() == [] and kept.edit.rate == record["rate"] and kept.pairs.source == "documents" and kept.pairs.size == 128
    assert record["layers"] == [1] and len(record["curves"][f"{kept.edit.rate:g}"]) == 11
    with Run.open(tmp_path / "run", recipe, tiny.fingerprint) as run:  # the same command again
        pipeline.execute(run, lambda: pytest.fail("the model was loaded"), Machine(), until="locate")
    assert Recipe.load(tmp_path / "run/recipe.yaml") == kept
