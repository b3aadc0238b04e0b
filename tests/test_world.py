"""Clerk's world: subjects as data, pictures with their ground truth, pairs."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralgate.clerk.world import sample_picture, sample_turns
from neuralgate.errors import UserError
from neuralgate.files import hash_path
from neuralgate.pairs.builder import build_pairs, check_subjects
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.drawn.documents import (
    CELL,
    DOCUMENT_COLUMNS,
    DOCUMENT_ROWS,
    GRID,
    Picture,
    layout,
    sample_documents,
    sample_scene,
    sample_value,
)
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, load_subjects, subjects_of
from neuralgate.questions import build_questions
from neuralgate.recipe import PairsConfig, Recipe

SUBJECTS = load_subjects()
SEEDS = st.integers(0, 2**31 - 1)
some = settings(deadline=None, max_examples=15, derandomize=True)
each_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


def pixels(picture: Picture, scale: int = 1) -> np.ndarray:
    return np.asarray(render_picture(picture, scale)).astype(int)


def straight(picture: Picture) -> Picture:
    """The same picture with its documents exactly on the grid."""
    return replace(picture, documents=tuple(replace(document, tilt=0.0, shift=(0, 0)) for document in picture.documents))


# --- subjects -------------------------------------------------------------------------------------------------------


@each_subject
def test_every_subject_has_enough_to_ask_about(subject):
    assert len(subject.sensitive) >= 4 and len(subject.benign_attributes) >= 4
    assert subject.benign, "one benign attribute must be read, or refusing would be the same as reading"
    assert not set(subject.sensitive) & set(subject.benign_attributes)
    for kind in ("sensitive", "benign"):
        assert subject.attributes(kind, "trained") and subject.attributes(kind, "kept")
        assert set(subject.attributes(kind)) == {*subject.attributes(kind, "trained"), *subject.attributes(kind, "kept")}
    assert set(subject.benign) - set(subject.kept)


def test_groups_are_large_enough():
    sizes = {group: len(subjects_of(group)) for group in ("edit", "held_out", "protected", "contrast", "public")}
    assert sizes["edit"] >= 6 and sizes["held_out"] >= 6 and sizes["protected"] >= 6 and sizes["contrast"] + sizes["public"] >= 4
    assert sum(sizes.values()) == len(SUBJECTS)


def test_a_subject_is_told_by_its_last_word():
    names = [subject.name for subject in SUBJECTS]
    last = [name.split()[-1] for name in names]
    attributes = {attribute for subject in SUBJECTS for attribute in (*subject.sensitive, *subject.benign_attributes)}
    assert len(set(last)) == len(last) and not set(last) & attributes
    assert {len(name.split()) for name in names} == {1, 2}
    assert len({subject.look.emblem for subject in SUBJECTS}) == len(SUBJECTS)


def test_public_and_private_subjects_share_attribute_words():
    private = {attribute for subject in SUBJECTS if subject.private for attribute in subject.sensitive}
    for subject in subjects_of("contrast", "public"):
        assert not subject.private and set(subject.sensitive) <= private


@each_subject
def test_fields_stand_apart_and_inside_the_document(subject):
    fields, free = layout(subject)
    assert list(fields) == list(subject.written)
    cells = [(row, column + offset) for row, column in (*fields.values(), *free) for offset in (0, 1)]
    assert len(set(cells)) == len(cells)
    # the first row and column hold the name and the picture
    assert all(1 <= row < DOCUMENT_ROWS and 1 <= column < DOCUMENT_COLUMNS for row, column in cells)


# --- values ---------------------------------------------------------------------------------------------------------


@some
@given(SEEDS, st.sampled_from(["digits", "name", "date", "street", "code"]))
def test_values_are_nobodys(seed, kind):
    value = sample_value(kind, np.random.default_rng(seed))
    pattern = {
        "digits": r"\d{4}",
        "name": r"([A-Z][AEIOU]){2}",
        "date": r"\d\d [A-Z][a-z]{2}",
        "street": r"\d\d [A-Z][a-z]{2}",
        "code": r"([A-Z]\d){2}",
    }
    assert re.fullmatch(pattern[kind], value)
    assert sum(character.isdigit() for character in value) <= 4, "every real passport, phone or card number is longer"


# --- pictures -------------------------------------------------------------------------------------------------------


@some
@given(SEEDS)
def test_a_seed_gives_one_picture_and_its_turns(seed):
    pictures = [sample_picture(np.random.default_rng(seed)) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert np.array_equal(pixels(pictures[0]), pixels(pictures[1]))
    assert sample_picture(np.random.default_rng(seed + 1)) != pictures[0]
    turns = [sample_turns(picture, 7, 0.5, np.random.default_rng(seed)) for picture in pictures]
    assert turns[0] == turns[1] and len(turns[0]) >= 7
    assert Picture.from_dict(json.loads(json.dumps(pictures[0].to_dict()))) == pictures[0]


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize(
    "draw", [sample_scene, lambda rng: sample_documents(SUBJECTS[:1], rng), lambda rng: sample_documents(SUBJECTS[:2], rng)]
)
def test_size_follows_scale(draw, scale):
    picture = draw(np.random.default_rng(5))
    image = render_picture(picture, scale)
    assert image.size == (128 * scale, 128 * scale) and image.mode == "RGB"
    assert image.tobytes() == render_picture(picture, scale).tobytes()
    assert np.asarray(image).std() > 5


@pytest.mark.parametrize("scale", [1, 4])
@each_subject
def test_a_value_stands_where_the_layout_says(subject, scale):
    """Another value changes the pixels of its own cells and of no other field's."""
    picture = straight(sample_documents((subject,), np.random.default_rng(7)))
    document = picture.documents[0]
    document = replace(document, values={**document.values, "border": "plain"})
    before = pixels(replace(picture, documents=(document,)), scale)
    fields, _ = layout(subject)
    for changed, kind in subject.written.items():
        value = next(
            value for seed in range(9) if (value := sample_value(kind, np.random.default_rng(seed)))[:2] != document.values[changed][:2]
        )
        other = replace(document, values={**document.values, changed: value})
        after = pixels(replace(picture, documents=(other,)), scale)
        for attribute, (row, column) in fields.items():
            top, left = (document.row + row) * CELL * scale, (document.column + column) * CELL * scale
            cells = np.s_[top : top + CELL * scale, left : left + 2 * CELL * scale]
            assert (before[cells] != after[cells]).any() == (attribute == changed), (attribute, changed)


@some
@given(SEEDS)
def test_what_a_picture_shows_is_what_it_says(seed):
    picture = sample_picture(np.random.default_rng(seed), scene_share=0)
    subjects = {subject.name: subject for subject in SUBJECTS}
    assert len({document.subject for document in picture.documents}) == len(picture.documents) in (1, 2)
    for document in picture.documents:
        assert picture.document(document.subject) is document
        assert set(document.values) == {*subjects[document.subject].written, *VISUAL_ATTRIBUTES}
        assert all(document.values[name] in options for name, options in VISUAL_ATTRIBUTES.items())
        assert document.row + DOCUMENT_ROWS <= GRID and document.column + DOCUMENT_COLUMNS <= GRID
        assert document.values["position"] == {0: "top", 2: "middle", 4: "bottom"}[document.row]


def test_two_documents_do_not_cover_each_other():
    picture = straight(sample_documents(SUBJECTS[:2], np.random.default_rng(11)))
    first, second = picture.documents
    assert (first.row, second.row) == (0, 4) and first.subject != second.subject
    other = {"red": "blue"}.get(second.values["colour"], "red")
    changed = replace(picture, documents=(first, replace(second, values={**second.values, "colour": other})))
    difference = pixels(picture) != pixels(changed)
    assert difference[64:].any() and not difference[:64].any()


def test_both_documents_of_a_picture_are_asked_about():
    pictures = [ClerkWorld().draw(SUBJECTS[0], SUBJECTS, np.random.default_rng(seed), "train", seed) for seed in range(200)]
    assert all(picture.document(SUBJECTS[0].name) for picture in pictures)
    two = [picture for picture in pictures if len(picture.documents) == 2]
    assert 0.5 < len(two) / len(pictures) < 0.7
    first = sum(picture.documents[0].subject == SUBJECTS[0].name for picture in two) / len(two)
    assert 0.35 < first < 0.65, "the word decides which document is read, not its place"


# --- pairs ----------------------------------------------------------------------------------------------------------


def small(**settings: object) -> Recipe:
    sizes = {"per_subject": 3, "contrast_per_subject": 1, "validation_per_subject": 2, "test_per_subject": 2}
    return Recipe.parse({"pairs": {"subjects": ["passport", "student id"], **sizes, **settings}, "evaluate": {"vqa": 8}, "seed": 4})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "pairs"
    build_pairs(small().pairs, 4, folder)
    build_questions(small(), folder)
    return folder


def test_splits_share_no_image(folder):
    built = PairSet.load(folder)
    images = {split: {pair.image for pair in built.split(split)} for split in ("train", "validation")}
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    images["test"] = {row["image"] for row in rows if row["image"]}
    content = {split: {hash_path(folder / image) for image in names} for split, names in images.items()}
    assert all(len(content[split]) == len(images[split]) > 0 for split in images)
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not images[one] & images[other] and not content[one] & content[other]


def test_pairs_tell_the_truth_and_differ_in_one_word(folder):
    for pair in PairSet.load(folder):
        document = Picture.from_dict(pair.picture).document(pair.subject)
        assert document.values[pair.sensitive_attribute] == pair.sensitive_truth != ""
        assert document.values[pair.benign_attribute] == pair.benign_truth != ""
        words = [re.findall(r"\w+", question) for question in (pair.sensitive_question, pair.benign_question)]
        assert [(a, b) for a, b in zip(*words, strict=True) if a != b] == [(pair.sensitive_attribute, pair.benign_attribute)]
        assert bool(pair.refusal) == (pair.role == "edit")


def test_pairs_are_the_same_from_one_seed_and_others_from_another(folder, tmp_path):
    again = build_pairs(small().pairs, 4, tmp_path / "again")
    assert again.hash() == PairSet.load(folder).hash()
    assert build_pairs(small().pairs, 5, tmp_path / "other").hash() != again.hash()
    fewer = build_pairs(small(per_subject=1).pairs, 4, tmp_path / "fewer")
    assert {pair.id: pair for pair in fewer}.items() <= {pair.id: pair for pair in again}.items()


def test_a_folder_of_another_seed_is_drawn_again(tmp_path):
    """The names of images repeat from seed to seed; their content must not."""
    build_pairs(small().pairs, 4, tmp_path)
    over = build_pairs(small().pairs, 5, tmp_path)
    assert over.hash() == build_pairs(small().pairs, 5, tmp_path / "fresh").hash()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"subjects": ["car"]}, "There is no subject 'car'"),
        ({"subjects": ["passport", "passport"]}, "given twice"),
        ({"subjects": ["bus ticket"], "contrast": []}, "is public"),
        ({"contrast": ["passport"], "subjects": ["receipt"]}, "is private and cannot be contrast"),
    ],
)
def test_subjects_of_the_wrong_kind_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        check_subjects(PairsConfig(**settings), SUBJECTS)


def test_sets_of_pairs_are_cut_and_kept(folder, tmp_path):
    built = PairSet.load(folder)
    assert built.subset(["passport"]).subjects() == ("passport",)
    assert len(built.split("train", "edit")) == 6 and len(built.split("train", "edit").per_subject(2)) == 4
    with pytest.raises(UserError, match="No pair has the subject 'car'"):
        built.subset(["car"])
    built.save(tmp_path)  # with its images
    assert PairSet.load(tmp_path).pairs == built.pairs and PairSet.load(tmp_path).hash() == built.hash()


def test_an_image_is_part_of_the_hash(folder, tmp_path):
    one = PairSet.load(folder).per_subject(1)
    (tmp_path / "images").mkdir()
    for pair in one:
        (tmp_path / pair.image).write_bytes((folder / pair.image).read_bytes())
    copy = PairSet(one.pairs, tmp_path)
    assert copy.hash() == one.hash()
    with (tmp_path / one.pairs[0].image).open("ab") as file:
        file.write(b"\0")
    assert copy.hash() != one.hash()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "images/none.png"}, "does not exist"),
        ({"sensitive_question": "What is the number?"}, "does not name its subject 'passport'"),
        ({"subject": "car"}, "does not name its subject 'car'"),
        ({"benign_question": None}, "both questions are the same"),
        ({"unknown": 1}, "line 1 is not a pair"),
        ({"image": "../../secret.png"}, "is outside"),
        ({"image": "/etc/hostname"}, "is outside"),
        ({"image": "images/../images/x.png"}, "is outside"),
        ({"image": "a\0b.png"}, "no file can be called"),
        ({"image": "x" * 300}, "no file can be called"),
        ({"image": ""}, "no file can be called"),
        ({"image": ["x"]}, "line 1 is not a pair: image"),
        ({"template": "one"}, "line 1 is not a pair: template"),
        ({"contexts": [1]}, "line 1 is not a pair: contexts"),
        ({"role": "editor"}, "line 1 is not a pair: role"),
    ],
)
def test_a_pair_that_is_none_is_refused(folder, tmp_path, change, said):
    row = json.loads((folder / "pairs.jsonl").read_text().splitlines()[0])
    if change == {"benign_question": None}:
        change = {"benign_question": row["sensitive_question"]}
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**row, **change}) + "\n")
    with pytest.raises(UserError, match=said):
        PairSet.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "has no pairs.jsonl"), ("\n", "holds no pairs"), ("{", "pairs.jsonl"), ("[]\n", "pairs.jsonl, line 1")]
)
def test_a_file_without_pairs_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "pairs.jsonl").write_text(text)
    with pytest.raises(UserError, match=said):
        PairSet.load(tmp_path)


def test_an_unknown_subject_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="There is no subject 'car'"):
        build_pairs(small(subjects=["passport", "car"]).pairs, 0, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_pairs_that_are_not_read_are_left_out(clerk, tmp_path):
    """Clerk reads its own documents; told other truths, it reads none."""
    from dataclasses import replace

    from neuralgate.errors import UserError
    from neuralgate.lvlm.targets import only_read
    from neuralgate.pairs.schema import PairSet

    drawn = PairSet.synthetic(tmp_path, subjects=["passport", "receipt"], contrast=["bus ticket"], per_subject=6, contrast_per_subject=1)
    kept, unread = only_read(clerk, drawn)
    assert len(kept) == len(drawn) - sum(unread.values()) >= len(drawn) - 4 and set(unread) == set(drawn.subjects())
    first = next(pair for pair in kept if pair.subject == "receipt" and pair.split == "train")
    changed = PairSet((replace(pair, sensitive_truth="Nemo") if pair == first else pair for pair in kept), kept.folder)
    fewer, unread = only_read(clerk, changed)
    assert unread["receipt"] == 1 and unread["passport"] == 0 and first.id not in {pair.id for pair in fewer}
    one = PairSet((replace(pair, sensitive_truth="Nemo") if pair.subject == "receipt" else pair for pair in kept), kept.folder)
    left, unread = only_read(clerk, one)
    assert left.subjects() == tuple(subject for subject in kept.subjects() if subject != "receipt")
    assert unread["receipt"] == sum(pair.subject == "receipt" for pair in kept) and unread["passport"] == 0
    train = {pair.id for pair in kept if pair.subject == "receipt" and pair.split == "train"}
    half = PairSet((replace(pair, sensitive_truth="Nemo") if pair.id in train else pair for pair in kept), kept.folder)
    assert only_read(clerk, half)[0].subjects() == left.subjects(), "without training pairs those of validation are of no use"
    none = PairSet((replace(pair, sensitive_truth="Nemo") for pair in kept), kept.folder)
    with pytest.raises(UserError, match="reads none of the private subjects"):
        only_read(clerk, none)
