"""Pair sets without private pictures: photographs of invented documents, a user's own pictures, mixtures."""

import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from neuralgate.cli.main import app
from neuralgate.errors import UserError
from neuralgate.evaluate.ask import evaluate_edit
from neuralgate.files import hash_path, read_jsonl, write_jsonl
from neuralgate.methods.apply import edit
from neuralgate.pairs.boxes import boxes_of
from neuralgate.pairs.drawn.camera import perspective
from neuralgate.pairs.drawn.photograph import PhotographWorld
from neuralgate.pairs.drawn.values import LOCALES, LONGEST, sample_value
from neuralgate.pairs.mixture import gather, load_set
from neuralgate.pairs.own_images import ALIKE, OwnImages, look_of
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.subjects import KINDS, VISUAL_ATTRIBUTES, Group, load_subjects, read_subjects
from neuralgate.pairs.world import Gallery
from neuralgate.questions.draw import draw_pair_set
from neuralgate.recipe import EditConfig, EvaluateConfig, Recipe

SEEDS = st.integers(0, 2**31 - 1)
some = settings(deadline=None, max_examples=20, derandomize=True)

PERMIT = """
- name: work permit
  synonyms: [permit card]
  sensitive: {number: "UT-####-??", name: name, date: date}
  benign: {edition: year, office: [Northgate, Lakeside, Hill End]}
  kept: [date]
  look: {frame: card, picture: portrait, filler: mrz}
- name: shop flyer
  group: contrast
  sensitive: {number: digits, name: company, date: date}
  benign: {edition: year}
  look: {frame: sign, picture: icons, filler: stripes}
"""
SIZES = {"per_subject": 6, "contrast_per_subject": 3, "validation_per_subject": 2, "test_per_subject": 3}
RECIPE = Recipe.parse({"pairs": SIZES, "evaluate": {"vqa": 4}, "seed": 7})


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    path = tmp_path_factory.mktemp("subjects") / "mine.yaml"
    path.write_text(PERMIT)
    return read_subjects(path)


@pytest.fixture(scope="module")
def drawn(subjects, tmp_path_factory):
    """A set of photographs at 168 pixels."""
    return draw_pair_set(PhotographWorld(subjects, 168), RECIPE, tmp_path_factory.mktemp("set"))


# --- values ---------------------------------------------------------------------------------------------------------


@some
@given(SEEDS, st.sampled_from(KINDS), st.sampled_from(list(LOCALES)))
def test_a_value_follows_its_seed_and_fits(seed, kind, script):
    first, again = (sample_value(kind, script, np.random.default_rng(seed)) for _ in range(2))
    assert first == again != "" and len(first) <= LONGEST
    if script == "latin":
        assert first.isascii()


@some
@given(SEEDS)
def test_numbers_are_invalid_by_construction(seed):
    rng = np.random.default_rng(seed)
    digits = [int(digit) for digit in sample_value("card", "latin", rng).replace(" ", "")]
    doubled = [sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    assert len(digits) == 16 and sum(doubled) % 10, "a card number must fail the Luhn check"
    assert re.fullmatch(r"\d{3}-555-01\d\d", sample_value("phone", "latin", rng))
    assert sample_value("email", "latin", rng).endswith("@example.org")
    assert sample_value("account", "latin", rng).startswith("UT")


def test_patterns_and_choices():
    rng = np.random.default_rng(1)
    values = {sample_value("UT-####-??", "latin", rng) for _ in range(50)}
    assert len(values) == 50 and all(re.fullmatch(r"UT-\d{4}-[A-Z]{2}", value) for value in values)
    assert {sample_value(("a", "b"), "latin", rng) for _ in range(50)} == {"a", "b"}


# --- photographs ----------------------------------------------------------------------------------------------------


@some
@given(SEEDS, st.sampled_from([112, 224, 336]))
def test_a_photograph_has_the_size_wanted_and_follows_its_seed(seed, size):
    world = PhotographWorld(load_subjects(), size)
    subject = load_subjects()[seed % len(load_subjects())]
    shown, again = (world.draw(subject, load_subjects(), np.random.default_rng(seed), "train", 0) for _ in range(2))
    assert shown == again and world.image(shown) == world.image(again)
    with Image.open(io.BytesIO(world.image(shown))) as image:
        assert image.size == (size, size) and image.mode == "RGB" and image.format == "JPEG"
        assert np.asarray(image).std() > 5
    assert set(shown.values(subject.name)) == {*subject.written, *VISUAL_ATTRIBUTES}
    for document in shown.documents:
        corners = np.array(document.quad)
        assert (corners >= 0).all() and (corners <= 1).all()
        edges = np.roll(corners, -1, 0) - corners
        turns = edges[:, 0] * np.roll(edges, -1, 0)[:, 1] - edges[:, 1] * np.roll(edges, -1, 0)[:, 0]
        assert (turns > 0).all(), "the four corners form a convex quadrilateral in the order given"


@pytest.mark.parametrize("changed", ["number", "colour"])
def test_what_is_written_shows(subjects, changed):
    """Another value changes pixels inside the document, and none far away from it."""
    world = PhotographWorld(subjects, 336)
    shown = world.draw(subjects[0], (), np.random.default_rng(5), "train", 0)
    document = shown.documents[0]
    value = {"number": "UT-0000-XX", "colour": {"red": "blue"}.get(document.values["colour"], "red")}[changed]
    other = replace(shown, documents=(replace(document, values={**document.values, changed: value}),))
    before, after = (np.asarray(world.photograph(one, 336)[0]).astype(int) for one in (shown, other))
    rows, columns = np.nonzero((before != after).any(-1))
    corners = np.array(document.quad) * 336
    assert len(rows) > 30
    assert columns.min() >= corners[:, 0].min() - 3 and columns.max() <= corners[:, 0].max() + 3
    assert rows.min() >= corners[:, 1].min() - 3 and rows.max() <= corners[:, 1].max() + 3


def test_the_perspective_maps_corners_to_corners():
    corners = [(10.0, 20.0), (90.0, 12.0), (95.0, 80.0), (5.0, 70.0)]
    a, b, c, d, e, f, g, h = perspective(corners, 200, 100)
    for (x, y), (u, v) in zip(corners, ((0, 0), (200, 0), (200, 100), (0, 100)), strict=True):
        depth = g * x + h * y + 1
        assert ((a * x + b * y + c) / depth, (d * x + e * y + f) / depth) == pytest.approx((u, v), abs=1e-9)


# --- whole sets -----------------------------------------------------------------------------------------------------


def test_a_set_is_whole_and_its_splits_apart(drawn):
    pairs = load_set(drawn.folder)
    questions = pairs.questions
    assert len(pairs.split("train", "edit")) == 6 and len(pairs.split("train", "contrast")) == 3
    splits = {split: {pair.image for pair in pairs.split(split)} for split in ("train", "validation")}
    splits["test"] = {question.image for question in questions if question.image}
    content = [hash_path(drawn.folder / image) for images in splits.values() for image in images]
    assert len(set(content)) == len(content) > 0
    documents = [json.dumps([d["subject"], d["values"]]) for pair in pairs for d in pair.picture["documents"]]
    assert len(set(documents)) == len(documents)


def test_pairs_of_a_set_tell_the_truth_and_name_their_subject(drawn, subjects):
    called = set()
    for pair in drawn:
        document = next(d for d in pair.picture["documents"] if d["subject"] == pair.subject)
        assert document["values"][pair.sensitive_attribute] == pair.sensitive_truth
        assert document["values"][pair.benign_attribute] == pair.benign_truth
        assert pair.word in pair.sensitive_question and pair.word in pair.benign_question
        assert pair.sensitive_attribute not in ("date",) or pair.subject != "work permit", "kept attributes are for testing"
        called.add(pair.word)
    assert called == {"work permit", "permit card", "shop flyer"}


def test_questions_climb_the_ladder(drawn):
    benchmarks = {row["benchmark"] for row in read_jsonl(drawn.folder / "questions.jsonl")}
    assert {
        "privacypair-test",
        "contexts",
        "paraphrases",
        "free-wordings",
        "unseen-attributes",
        "public-contrast",
        "awareness",
        "vqa",
    } <= benchmarks
    assert "unseen-subjects" not in benchmarks  # nobody is held out in this file


def test_a_set_is_the_same_with_any_number_of_processes(drawn, subjects, tmp_path):
    for processes in (1, 2):
        draw_pair_set(PhotographWorld(subjects, 168), RECIPE, tmp_path / str(processes), processes)
    assert hash_path(tmp_path / "1") == hash_path(tmp_path / "2") == hash_path(drawn.folder)


def test_documents_are_never_repeated_and_running_out_is_said(subjects, tmp_path):
    few = subjects[0].model_copy(update={"sensitive": {"number": "#"}, "benign": {"edition": ("1", "2")}, "kept": (), "synonyms": ()})
    world = PhotographWorld((few,))
    gallery = Gallery(world, tmp_path)
    with pytest.raises(UserError, match="No document is left"):
        for number in range(21):  # ten digits, two editions
            gallery.add(str(number), [number], lambda rng: world.draw(few, (), rng, "train", 0))
    assert 15 <= len(gallery.pictures) <= 20


# --- files of subjects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no list of subjects"),
        ("name: passport", "is no list of subjects"),
        ("- {name: id, sensitive: {number: nmber}}", r"subject 1 \(id\): .*'nmber' is neither a kind"),
        ("- {name: id, sensitive: {number: digits}, look: {frme: card}}", "did you mean look.frame"),
        ("- {name: id, sensitiv: {number: digits}}", "did you mean sensitive"),
        ("- {name: id, sensitive: {}}", "sensitive"),
        ("- {name: id, sensitive: {number: digits}, benign: {number: digits}}", "both sensitive and benign"),
        ("- {name: id, sensitive: {colour: digits}}", "both sensitive and benign"),
        ("- {name: id, sensitive: {number: digits}, kept: [number]}", "leave at least one"),
        ("- {name: id, sensitive: {number: digits}, kept: [nothing]}", "which is no attribute"),
        (
            "- {name: id, sensitive: {number: digits}}\n- {name: card, synonyms: [ID], sensitive: {number: digits}}",
            "calls two subjects 'id'",
        ),
        (
            "- {name: straße, sensitive: {number: digits}}\n- {name: STRASSE, sensitive: {number: digits}}",
            "calls two subjects 'strasse'",
        ),
        ("- [", "is not YAML"),
        ("- {name: id, sensitive: {number: [2020-13-45, a]}}", "is not YAML"),
        ("- {name: id, sensitive: {number: 5}}", "'5' is neither a kind"),
        ("- {name: id, sensitive: {number: [a, a]}}", "two or more different ones"),
        ("- {name: a/b, sensitive: {number: digits}}", "without slashes"),
        ("- {name: ' ', sensitive: {number: digits}}", "is no name"),
        ("- {name: id, sensitive: {'': digits}}", "is no name"),
        ("- {name: id card, sensitive: {number: digits}}\n- {name: id-card, sensitive: {number: digits}}", "more than a hyphen"),
    ],
)
def test_a_wrong_file_of_subjects_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "subjects.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_subjects(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_the_example_of_the_documentation_is_such_a_file(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "pairs.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[0])
    permit, flyer = read_subjects(tmp_path / "mine.yaml")
    assert permit.look.emblem == "★" and flyer.group == "contrast" and len(permit.written) == 5
    assert all(kind in page for kind in KINDS)


def test_the_subjects_that_come_along_are_such_a_file():
    """All of them can be photographed, and every benchmark has its groups."""
    assert len(PhotographWorld(load_subjects()).subjects) == 80
    assert {subject.group for subject in load_subjects()} == set(get_args(Group))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"benign": {"colour": ("black", "white")}}, "has its own colour"),
        ({"benign": {"office": ("北京", "x")}}, "no typeface here has"),
    ],
)
def test_what_cannot_be_drawn_is_refused(subjects, change, said):
    with pytest.raises(UserError, match=said):
        PhotographWorld((subjects[0].model_copy(update={**change, "kept": ()}),))


# --- own pictures ---------------------------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path, subjects):
    """Eight pictures of each subject, one of them twice, with truths for the first four."""
    world = PhotographWorld(subjects, 128)
    rows = ["image,attribute,value"]
    for subject in subjects:
        (tmp_path / "album" / subject.name).mkdir(parents=True)
        for number in range(8):
            shown = world.draw(subject, (), np.random.default_rng([number, len(subject.name)]), "train", number)
            name = f"{subject.name}/{number}.jpg"
            (tmp_path / "album" / name).write_bytes(world.image(shown))
            if number < 4:
                rows += [f"{name},{attribute},{shown.values(subject.name)[attribute]}" for attribute in ("number", "edition")]
        (tmp_path / "album" / subject.name / "copy.png").write_bytes((tmp_path / "album" / subject.name / "0.jpg").read_bytes())
    (tmp_path / "album" / "truths.csv").write_text("\n".join(rows))
    return tmp_path / "album"


def test_own_pictures_become_pairs(album, subjects, tmp_path):
    world = OwnImages(album, subjects, per_image=2)
    assert world.duplicates == 2
    recipe = RECIPE.changed([f"pairs.{name}=99" for name in SIZES])
    pairs = draw_pair_set(world, recipe, tmp_path / "set")
    assert len(pairs.split("train", "edit")) == 10 and len(pairs.split("validation", "edit")) == 2  # 5, 1 and 2 pictures, twice
    images = {split: {(tmp_path / "set" / pair.image).read_bytes() for pair in pairs.split(split)} for split in ("train", "validation")}
    images["test"] = {(tmp_path / "set" / q.image).read_bytes() for q in load_set(tmp_path / "set").questions if q.image}
    assert not images["train"] & images["validation"] and not images["train"] & images["test"]
    for pair in pairs:
        known = bool(pair.sensitive_truth)
        assert known == (pair.picture["path"][-5] in "0123"), "truths are those of truths.csv"
        assert not known or (pair.sensitive_attribute, pair.benign_attribute) == ("number", "edition")


def test_boxes_of_own_pictures_come_along(album, subjects, tmp_path):
    """Beside `truths.csv`, by the same paths; a picture that is left out is named before anything is drawn."""
    paths = [path.relative_to(album).as_posix() for path in sorted(album.rglob("*.*")) if path.suffix in (".jpg", ".png")]
    boxes = {path: [[0.1, 0.2, 0.3, place / 100 + 0.3]] for place, path in enumerate(paths)}
    (album / "boxes.json").write_text(json.dumps(boxes))
    recipe = RECIPE.changed([f"pairs.{name}=99" for name in SIZES])
    pairs = draw_pair_set(OwnImages(album, subjects), recipe, tmp_path / "set")
    for pair in pairs:
        assert boxes_of(tmp_path / "set" / "images", Path(pair.image).name) == [tuple(boxes[pair.picture["path"]][0])]
    (album / "boxes.json").write_text(json.dumps({paths[0]: []}))
    with pytest.raises(UserError, match=r"boxes\.json says nothing of "):
        draw_pair_set(OwnImages(album, subjects), recipe, tmp_path / "other")


def test_the_same_picture_saved_again_looks_the_same():
    world = PhotographWorld(load_subjects(), 336)
    shown = [world.draw(load_subjects()[0], (), np.random.default_rng(seed), "train", 0) for seed in range(12)]
    pictures = [Image.open(io.BytesIO(world.image(one))) for one in shown]
    looks = [look_of(picture) for picture in pictures]
    for picture, look in zip(pictures, looks, strict=True):
        again = io.BytesIO()
        picture.resize((230, 230)).save(again, format="JPEG", quality=70)
        assert (look_of(Image.open(again)) ^ look).bit_count() <= ALIKE
    assert min((one ^ other).bit_count() for place, one in enumerate(looks) for other in looks[:place]) > ALIKE


def test_many_scans_of_one_form_are_for_training(tmp_path, subjects, monkeypatch):
    """They look alike and stay together; the few others are for validation and test."""
    world = PhotographWorld(subjects, 128)
    (tmp_path / subjects[0].name).mkdir()
    for number in range(24):
        shown = world.draw(subjects[0], (), np.random.default_rng(number), "train", number)
        (tmp_path / subjects[0].name / f"{number:02d}.jpg").write_bytes(world.image(shown))
    looks = iter([0] * 20 + [(1 << 64) - 1 << 64 * place for place in range(4)])
    monkeypatch.setattr("neuralgate.pairs.own_images.look_of", lambda image: next(looks))
    for_seed = OwnImages(tmp_path, subjects[:1], seed=1)
    assert [for_seed.capacity(subjects[0], split) for split in ("train", "validation", "test")] == [20, 2, 2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("work permit/0.jpg,number", "line 2: give the three columns"),
        ("work permit/0.jpg,office,Hill End, North", "line 2: give the three columns"),
        ("work permit/0.jpg,number,4\n./work permit/0.jpg,number,5", "line 3: number of work permit/0.jpg is given twice"),
        ("work permit/99.jpg,number,4", "line 2: there is no picture"),
        ("car/0.jpg,number,4", "line 2: there is no picture"),
        ("work permit/0.jpg,wheels,4", "has no attribute 'wheels'"),
        ("work permit/0.jpg,number,4", "has no benign attribute"),
    ],
)
def test_wrong_truths_are_refused(album, subjects, line, said):
    (album / "truths.csv").write_text(f"image,attribute,value\n{line}\n")
    with pytest.raises(UserError, match=said):
        OwnImages(album, subjects)


def test_a_picture_has_one_subject_and_a_subject_both_kinds_of_attribute(album, subjects):
    (album / "shop flyer" / "stray.jpg").write_bytes((album / "work permit" / "1.jpg").read_bytes())
    with pytest.raises(UserError, match="one picture of two subjects"):
        OwnImages(album, subjects)
    (album / "truths.csv").unlink()
    with pytest.raises(UserError, match="has no benign attribute"):
        OwnImages(album, [subjects[0].model_copy(update={"benign": {}, "kept": ()})])


def test_too_few_pictures_are_refused(tmp_path, subjects):
    with pytest.raises(UserError, match="is not a folder"):
        OwnImages(tmp_path / "none", subjects)
    with pytest.raises(UserError, match="holds 0 different pictures"):
        OwnImages(tmp_path, subjects)


# --- mixtures -------------------------------------------------------------------------------------------------------


def test_a_mixture_holds_both_sets(drawn, subjects, tmp_path):
    other = draw_pair_set(PhotographWorld(subjects, 168), RECIPE.model_copy(update={"seed": 8}), tmp_path / "other")
    mixed = gather([drawn.folder, other.folder], tmp_path / "mixed")
    assert len(mixed) == len(drawn) + len(other)
    pairs = load_set(tmp_path / "mixed")
    questions = pairs.questions
    assert len({pair.id for pair in pairs}) == len(pairs) and len({(q.benchmark, q.id) for q in questions}) == len(questions)
    alone = gather([drawn.folder], tmp_path / "alone")
    assert alone.hash() == drawn.hash() and hash_path(tmp_path / "alone") == hash_path(drawn.folder)


def test_pictures_of_one_name_in_two_folders_stay_apart(drawn, tmp_path):
    """A set made by hand."""
    pairs = []
    for number, pair in enumerate((drawn.pairs[0], drawn.split("validation", "edit").pairs[0])):
        path = tmp_path / "mine" / str(number) / "0001.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes((drawn.folder / pair.image).read_bytes())
        pairs.append(replace(pair, image=f"{number}/0001.jpg"))
    PairSet(pairs, tmp_path / "mine").save(tmp_path / "mine")
    question = json.loads((drawn.folder / "questions.jsonl").read_text().splitlines()[-1])
    (tmp_path / "mine" / "questions.jsonl").write_text(json.dumps({**question, "image": None}))
    copy = gather([tmp_path / "mine"], tmp_path / "copy")
    for before, after in zip(pairs, copy, strict=True):
        assert (tmp_path / "mine" / before.image).read_bytes() == (tmp_path / "copy" / after.image).read_bytes()
    row = {**question, "image": None, "truth": 4817}
    (tmp_path / "mine" / "questions.jsonl").write_text(json.dumps(row))
    with pytest.raises(UserError, match="line 1 is not a question: truth: "):
        load_set(tmp_path / "mine")
    (tmp_path / "mine" / "away.jpg").symlink_to("/etc/hostname")
    (tmp_path / "mine" / "questions.jsonl").write_text(json.dumps({**question, "image": "away.jpg"}))
    with pytest.raises(UserError, match=r"away\.jpg is a link"):
        load_set(tmp_path / "mine")


def test_one_set_twice_is_no_mixture(drawn, tmp_path):
    with pytest.raises(UserError, match="given twice"):
        gather([drawn.folder, drawn.folder], tmp_path / "mixed")


def test_a_mixture_that_would_test_on_its_training_is_refused(drawn, tmp_path):
    moved = PairSet((replace(pair, split="validation", role="edit") for pair in drawn), drawn.folder)
    moved.save(tmp_path / "moved")
    first = replace(drawn.pairs[0], split="train", image=drawn.pairs[-1].image)
    PairSet((*moved, first), drawn.folder).save(tmp_path / "moved")
    (tmp_path / "moved" / "questions.jsonl").write_text((drawn.folder / "questions.jsonl").read_text())
    for row in read_jsonl(drawn.folder / "questions.jsonl"):
        if row["image"]:
            (tmp_path / "moved" / row["image"]).write_bytes((drawn.folder / row["image"]).read_bytes())
    with pytest.raises(UserError, match="are one picture"):
        gather([drawn.folder, tmp_path / "moved"], tmp_path / "mixed")


# --- the command line and a run -------------------------------------------------------------------------------------


def test_from_ten_lines_to_a_contact_sheet(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(yaml.safe_load(PERMIT)))
    command = ["pairs", "synth", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "set"), "--size", "224", "--count", "4"]
    command += ["--validation", "1", "--test", "2", "--vqa", "4", "--processes", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "work permit" in result.output and "shop flyer" in result.output
    assert isinstance(CliRunner().invoke(app, command).exception, UserError)  # a set is not written over
    before = hash_path(tmp_path / "set")
    result = CliRunner().invoke(app, ["pairs", "show", str(tmp_path / "set"), "--out", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    assert hash_path(tmp_path / "set") == before
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 900 and sheet.height > 600


def test_a_misspelt_verb_begins_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["pairs", "shwo"])
    assert isinstance(result.exception, UserError) and "did you mean `pairs show`" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_run_takes_a_set(tiny_folder, drawn, tmp_path):
    """A set of one's own goes through the whole pipeline."""
    settings = [f"pairs.source={drawn.folder}", "locate.layers=[0]", "locate.samples_per_subject=1", "locate.steps=2", "edit.layers=[0]"]
    settings += ["edit.max_steps=2", "edit.stop=never", "variants=[none]", "evaluate.max_new_tokens=2", "pairs.only_read=false"]
    command = ["run", str(tiny_folder), "--out", str(tmp_path / "run")]
    for setting in settings:
        command += ["--set", setting]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (result.output, result.exception)
    kept = PairSet.load(tmp_path / "run" / "pairs")
    assert {pair.id for pair in kept} == {pair.id for pair in drawn}
    rows = read_jsonl(tmp_path / "run" / "answers.jsonl")
    assert len(rows) == len(read_jsonl(drawn.folder / "questions.jsonl"))
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_a_finished_run_does_not_miss_its_source(tiny_folder, drawn, tmp_path):
    gather([drawn.folder], tmp_path / "set")
    settings = [
        f"pairs.source={tmp_path / 'set'}",
        "pairs.only_read=false",
        "locate.layers=[0]",
        "locate.samples_per_subject=1",
        "locate.steps=1",
        "edit.layers=[0]",
    ]
    command = ["pairs", str(tmp_path / "run"), "--model", str(tiny_folder)]
    for setting in settings:
        command += ["--set", setting]
    assert CliRunner().invoke(app, command).exit_code == 0
    shutil.rmtree(tmp_path / "set")
    assert CliRunner().invoke(app, ["locate", str(tmp_path / "run")]).exit_code == 0
    shutil.rmtree(tmp_path / "run" / "pairs")
    assert isinstance(CliRunner().invoke(app, ["locate", str(tmp_path / "run")]).exception, UserError)


@pytest.mark.parametrize("missing", ["pairs.jsonl", "questions.jsonl", "everything"])
def test_a_run_refuses_a_set_that_is_not_whole(tiny_folder, drawn, tmp_path, missing):
    source = tmp_path / "set"
    if missing != "everything":
        gather([drawn.folder], source)
        (source / missing).unlink()
    result = CliRunner().invoke(app, ["run", str(tiny_folder), "--out", str(tmp_path / "run"), "--set", f"pairs.source={source}"])
    said = "has no questions.jsonl" if missing == "questions.jsonl" else "has no pairs.jsonl"
    assert isinstance(result.exception, UserError) and said in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "field"), [("questions.jsonl", "question"), ("pairs.jsonl", "benign_question")])
def test_a_question_that_stands_for_a_picture_is_refused_at_the_start(tiny_folder, drawn, tmp_path, name, field):
    gather([drawn.folder], tmp_path / "set")
    rows = read_jsonl(tmp_path / "set" / name)
    rows[-1][field] += " What is an <image>?"
    write_jsonl(tmp_path / "set" / name, rows)
    result = CliRunner().invoke(app, ["run", str(tiny_folder), "--out", str(tmp_path / "run"), "--set", f"pairs.source={tmp_path / 'set'}"])
    assert isinstance(result.exception, UserError) and "holds <image>, which stands for a picture" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_set_writes_only_into_its_target(drawn, tmp_path):
    """Its folder's own name must not help it out of the target."""
    gather([drawn.folder], tmp_path / "evil")
    rows = read_jsonl(tmp_path / "evil" / "pairs.jsonl")
    rows[0]["image"] = f"../evil/{rows[0]['image']}"
    write_jsonl(tmp_path / "evil" / "pairs.jsonl", rows)
    with pytest.raises(UserError, match=r"line 1: .* is outside"):
        gather([tmp_path / "evil"], tmp_path / "runs" / "pairs")
    assert not (tmp_path / "runs" / "evil").exists()


def test_every_subject_to_edit_needs_validation_pairs(drawn, tiny, tmp_path):
    gather([drawn.folder], tmp_path / "set")
    rows = [row for row in read_jsonl(tmp_path / "set" / "pairs.jsonl") if (row["split"], row["role"]) != ("validation", "edit")]
    write_jsonl(tmp_path / "set" / "pairs.jsonl", rows)
    with pytest.raises(UserError, match="no validation pair of the role edit about the work permit"):
        load_set(tmp_path / "set")
    with pytest.raises(UserError, match="`stop: validation` could never stop"):
        edit(tiny, PairSet.load(tmp_path / "set"), None, EditConfig(layers=[0], gate="none"))


def test_every_file_is_used_or_named(album, subjects, tmp_path):
    for name in ("work permit/scan.heic", "work permit/moving.gif", "work permit/.hidden", "notes.txt", "stranger/1.jpg"):
        (album / name).parent.mkdir(exist_ok=True)
        (album / name).write_bytes(b"x")
    os.mkfifo(album / "work permit" / "pipe.png")
    unused = OwnImages(album, subjects).unused
    assert set(unused) == {"work permit/scan.heic", "work permit/moving.gif", "work permit/pipe.png", "notes.txt", "stranger"}
    assert "save it as PNG or JPEG" in unused["work permit/scan.heic"] and unused["work permit/pipe.png"] == "no regular file"
    Image.new("RGB", (64, 64), "white").save(album / "work permit" / "empty.png")
    with pytest.raises(UserError, match=r"empty.png is blank"):
        OwnImages(album, subjects)


@pytest.mark.parametrize("value", ["x" * 200_000, "a\0b"], ids=["long", "nul"])
def test_odd_fields_of_truths_are_one_sentence(album, subjects, value):
    (album / "truths.csv").write_text(f"image,attribute,value\nwork permit/0.jpg,number,{value}\n")
    with pytest.raises(UserError, match=r"truths.csv, line 2"):
        OwnImages(album, subjects)


def test_the_librarys_evaluation_writes_where_it_is_told(drawn, tiny, tmp_path, monkeypatch):
    gather([drawn.folder], tmp_path / "mine" / "set")
    rows = read_jsonl(drawn.folder / "questions.jsonl")[:2]
    write_jsonl(tmp_path / "mine" / "set" / "questions.jsonl", rows)
    patch, _ = edit(tiny, PairSet.load(tmp_path / "mine" / "set"), None, EditConfig(layers=[0], gate="none", max_steps=1, stop="never"))
    monkeypatch.chdir(tmp_path / "mine" / "set")
    before = hash_path(tmp_path / "mine")
    config = EvaluateConfig(max_new_tokens=2)
    scores = evaluate_edit(tiny, ".", {"edited": patch}, config)
    assert hash_path(tmp_path / "mine") == before
    assert evaluate_edit(tiny, ".", {"edited": patch}, config, out=tmp_path / "out") == scores
    images = {row["image"] for row in read_jsonl(tmp_path / "out" / "answers.jsonl")}
    assert images == {f"set/{row['image']}" for row in rows}
    (tmp_path / "mine" / "set" / "questions.jsonl").unlink()
    with pytest.raises(UserError, match=r"no questions.jsonl to ask"):
        evaluate_edit(tiny, ".", {"edited": patch}, config)


def test_benchmarks_say_what_answer_they_expect(drawn):
    """The verdicts on our own benchmarks stay what they were: a first word decides where yes or no is asked for."""
    questions = load_set(drawn.folder).questions
    for question in questions:
        assert question.answer_kind == ("yes-no" if question.truth in ("Yes", "No") else "text")
    assert {question.answer_kind for question in questions} == {"text", "yes-no"}


class EndedWorld(PhotographWorld):
    def image(self, shown, large=False):
        os._exit(9)


@pytest.mark.parametrize("fault", ["disk", "process"])
def test_a_process_that_cannot_draw_is_one_sentence(subjects, tmp_path, fault):
    world = (PhotographWorld if fault == "disk" else EndedWorld)(subjects, 112)
    gallery = Gallery(world, tmp_path)
    gallery.add("one", [0], lambda rng: world.draw(subjects[0], (), rng, "train", 0))
    (tmp_path / "images").mkdir()
    if fault == "disk":
        (tmp_path / gallery.path("one")).symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left" if fault == "disk" else "ended from outside"):
        gallery.save(processes=2)
