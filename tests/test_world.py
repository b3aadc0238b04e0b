"""Clerk's world: subjects as data, pictures with their ground truth, pairs."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralgate.clerk.world import sample_picture, sample_turns
from neuralgate.errors import UserError
from neuralgate.files import hash_path
from neuralgate.pairs.builder import build_pairs, check_subjects
from neuralgate.pairs.drawn import render
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.drawn.documents import (
    CELL,
    DOCUMENT_COLUMNS,
    DOCUMENT_ROWS,
    FIRST_NAMES,
    GRID,
    LAST_NAMES,
    Picture,
    layout,
    sample_documents,
    sample_scene,
    sample_value,
)
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, Group, Subject, load_subjects, subjects_file, subjects_of
from neuralgate.pairs.templates import FREE_WORDINGS, PARAPHRASES, TEMPLATES, TEST_TEMPLATES
from neuralgate.pairs.world import Gallery
from neuralgate.questions import BENCHMARKS, build_questions, plan_questions
from neuralgate.questions.album import Album
from neuralgate.recipe import PairsConfig, Recipe

SUBJECTS = load_subjects()
GROUPS = get_args(Group)
WRITTEN = {attribute for subject in SUBJECTS for attribute in subject.written}
SEEDS = st.integers(0, 2**31 - 1)
some = settings(deadline=None, max_examples=15, derandomize=True)
each_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
#: As Clerk sees them, and one of each group as people do.
SCALED = [*((subject, 1) for subject in SUBJECTS), *((subjects_of(group)[0], 4) for group in GROUPS)]
each_subject_at_a_scale = pytest.mark.parametrize(("subject", "scale"), SCALED, ids=lambda value: getattr(value, "name", value))


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


def test_claims_about_unseen_subjects_rest_on_two_dozen():
    assert Counter(subject.group for subject in SUBJECTS) == {"edit": 16, "held_out": 24, "protected": 8, "contrast": 8, "public": 24}


#: What law and practice name as private.
DOMAINS = {"identity", "finance", "health", "employment", "education", "legal", "vehicle", "home", "communication", "children"}


def test_private_subjects_cover_what_is_named_private():
    """Edited and unseen ones alike: a domain of its own would be another reason for not being refused."""
    lines = re.findall(r"^- \{name: ([a-z ]+), group: (\w+),.*\}(?:  # (\w+))?$", subjects_file().read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, group) for name, group, _ in lines] == [(subject.name, subject.group) for subject in SUBJECTS]
    domains = {group: {domain for _, other, domain in lines if other == group} for _, group, _ in lines}
    assert domains["edit"] == domains["held_out"] == DOMAINS and domains["protected"] < DOMAINS
    assert domains["contrast"] == domains["public"] == {""}


def test_a_subject_is_told_by_its_last_word():
    names = [subject.name for subject in SUBJECTS]
    last = [name.split()[-1] for name in names]
    attributes = {attribute for subject in SUBJECTS for attribute in (*subject.sensitive, *subject.benign_attributes)}
    assert len(set(last)) == len(last) and not set(last) & attributes
    assert {len(name.split()) for name in names} == {1, 2, 3}
    assert len({subject.look.emblem for subject in SUBJECTS}) == len(SUBJECTS)


@pytest.mark.parametrize("kind", ["sensitive", "benign"])
def test_no_attribute_word_says_whether_a_subject_is_private(kind):
    """Each stands on both sides of the line, in every group, and nowhere four times as often on one side as on the other."""
    words = {group: Counter(word for subject in subjects_of(group) for word in getattr(subject, kind)) for group in GROUPS}
    assert all(set(words[group]) == set(words["edit"]) for group in GROUPS)
    private, public = (sum((words[group] for group in groups), Counter()) for groups in (GROUPS[:3], GROUPS[3:]))
    number = {True: 48, False: 32}
    for word in private:
        shares = [private[word] / number[True], public[word] / number[False]]
        assert max(shares) < 4 * min(shares), word


@each_subject
def test_fields_stand_apart_and_inside_the_document(subject):
    """Each in three cells: its label, and the two halves of its value."""
    fields, free = layout(subject)
    assert list(fields) == list(subject.written)
    cells = [(row, column + offset) for row, column in (*fields.values(), *free) for offset in (-1, 0, 1)]
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
        "name": rf"({'|'.join(FIRST_NAMES)}) ({'|'.join(LAST_NAMES)})",
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


@each_subject_at_a_scale
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


def called_otherwise(subject: Subject, scale: int, monkeypatch, words: dict[str, str]) -> np.ndarray:
    """A picture of it in which some attributes have other names."""
    picture = straight(sample_documents((subject,), np.random.default_rng(7)))
    document = picture.documents[0]
    fields = {kind: {words.get(name, name): value for name, value in getattr(subject, kind).items()} for kind in ("sensitive", "benign")}
    monkeypatch.setattr(render, "load_subjects", lambda: (subject.model_copy(update=fields),))
    values = {words.get(name, name): value for name, value in document.values.items()}
    return pixels(replace(picture, documents=(replace(document, values={**values, "border": "plain"}),)), scale)


def cells_of(subject: Subject, attribute: str, scale: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Of the label and of the value, in the same picture."""
    document = sample_documents((subject,), np.random.default_rng(7)).documents[0]
    row, column = layout(subject)[0][attribute]
    top, left = (document.row + row) * CELL * scale, (document.column + column) * CELL * scale
    rows = slice(top, top + CELL * scale)
    return (rows, slice(left - CELL * scale, left)), (rows, slice(left, left + 2 * CELL * scale))


@each_subject_at_a_scale
def test_a_label_stands_in_the_cell_before_its_value(subject, scale, monkeypatch):
    """Another word changes the pixels of its own cell, and of no other label or value."""
    before = called_otherwise(subject, scale, monkeypatch, {})
    for changed in subject.written:
        word = min(WRITTEN - set(subject.written))
        after = called_otherwise(subject, scale, monkeypatch, {changed: word})
        for attribute in subject.written:
            label, value = cells_of(subject, attribute, scale)
            assert (before[label] != after[label]).any() == (attribute == changed), (attribute, changed)
            assert not (before[value] != after[value]).any(), (attribute, changed)


def test_no_two_labels_look_alike(monkeypatch):
    """At the size that Clerk sees: some pixels are further apart than noise and light ever bring them."""
    subject = SUBJECTS[0]
    first = next(iter(subject.written))
    label, _ = cells_of(subject, first, 1)
    seen = {}
    for word in WRITTEN:
        swapped = {first: word, word: first} if word in subject.written else {first: word}
        seen[word] = called_otherwise(subject, 1, monkeypatch, swapped)[label]
    assert all(abs(seen[one] - seen[other]).max() > 60 for one, other in combinations(WRITTEN, 2))


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
    evaluate = {"benchmarks": ["privacypair-test", "public-contrast", "protected", "vqa"], "vqa": 8}
    return Recipe.parse({"pairs": {"subjects": ["passport", "student id"], **sizes, **settings}, "evaluate": evaluate, "seed": 4})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "pairs"
    build_pairs(small().pairs, 4, folder)
    build_questions(small(), folder)
    return folder


def planned(folder: Path, *changes: str) -> list[Question]:
    return plan_questions(Recipe().changed(["pairs.test_per_subject=1", *changes]), Album(Gallery(ClerkWorld(), folder), 4))


def test_unseen_subjects_are_asked_about_by_the_two_dozen(tmp_path):
    subjects = {name: {question.subject for question in planned(tmp_path) if question.benchmark == name} for name in BENCHMARKS}
    assert all(subjects.values()) and subjects["privacypair-test"] == {subject.name for subject in subjects_of("edit")}
    assert subjects["unseen-subjects"] == subjects["unseen-both"] == {subject.name for subject in subjects_of("held_out")}
    assert subjects["public-unseen"] == {subject.name for subject in subjects_of("public")}
    assert len(subjects["unseen-subjects"]) == len(subjects["public-unseen"]) == 24


def test_each_subject_is_asked_about_four_times_and_never_in_the_words_of_training(tmp_path):
    paired = [question for question in planned(tmp_path, "pairs.test_per_subject=5") if question.kind in ("sensitive", "benign")]
    assert Recipe().pairs.test_per_subject == 5
    assert min(Counter((question.benchmark, question.subject, question.kind) for question in paired).values()) >= 4
    for question in paired:
        words = {"attribute": question.attribute, "subject": question.subject}
        assert not any(question.question.endswith(template.format(**words)) for template in TEMPLATES), question
    others = {*TEST_TEMPLATES, *PARAPHRASES, *FREE_WORDINGS}
    assert len(others) == len(TEST_TEMPLATES) + len(PARAPHRASES) + len(FREE_WORDINGS)


def test_the_benchmarks_that_are_named_are_asked_as_among_all(tmp_path):
    every = planned(tmp_path)
    few = planned(tmp_path, "evaluate.benchmarks=[vqa, unseen-both]")
    assert few == [question for question in every if question.benchmark in ("unseen-both", "vqa")] and len(few) < len(every)
    with pytest.raises(UserError, match="There is no benchmark 'mme'; `neuralgate ls benchmarks` lists them"):
        planned(tmp_path, "evaluate.benchmarks=[vqa, mme]")


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
