"""What stands around a model: black boxes on what it is shown, patterns on what it answers, and an adapter's mask."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from neuralgate.cli.main import app
from neuralgate.errors import UserError
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.guard import stacked
from neuralgate.interventions.prompt import Prompt
from neuralgate.interventions.redaction import Redaction
from neuralgate.interventions.steering import Steering
from neuralgate.lvlm.conversation import Conversation
from neuralgate.methods import masked_adapter, output_filter
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.boxes import BOXES, boxes_of, boxes_of_all
from neuralgate.pairs.builder import build_pairs
from neuralgate.pairs.drawn.documents import Picture
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.mixture import gather
from neuralgate.pairs.presidio import detect_boxes
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.pairs.subjects import load_subjects
from neuralgate.recipe import PairsConfig, Recipe
from neuralgate.run.check import check_recipe
from tests.method_contract import config_of

SUBJECTS = {subject.name: subject for subject in load_subjects()}


@pytest.fixture(scope="module")
def boxed_pairs(tmp_path_factory):
    config = PairsConfig(subjects=["passport", "receipt"], contrast=["bus ticket"], per_subject=8, contrast_per_subject=4, scale=2)
    return build_pairs(config, 5, tmp_path_factory.mktemp("pairs"))


# --- boxes ----------------------------------------------------------------------------------------------------------


def test_boxes_hold_private_values_and_nothing_else(boxed_pairs):
    """A picture whose private values are others differs inside its boxes alone."""
    seen = 0
    for pair in boxed_pairs.split("train"):
        picture = Picture.from_dict(pair.picture)
        others = []
        for document in picture.documents:
            subject = SUBJECTS[document.subject]
            changed = {name: "88ZQ" if subject.private and name in subject.sensitive else value for name, value in document.values.items()}
            others.append(replace(document, values=changed))
        # decoration is drawn from the values, so it is compared with what the same values decorate
        shown, other = (np.asarray(render_picture(one, 2)).astype(int) for one in (picture, replace(picture, documents=tuple(others))))
        inside = np.zeros(shown.shape[:2], dtype=bool)
        for left, top, right, bottom in boxes_of(boxed_pairs.folder / "images", pair.image.split("/")[-1]):
            side = shown.shape[0]
            inside[int(top * side) : int(np.ceil(bottom * side)), int(left * side) : int(np.ceil(right * side))] = True
            seen += 1
        private = [SUBJECTS[document.subject].private for document in picture.documents]
        assert inside.any() == any(private)
        if any(private):
            assert np.abs(shown - other)[inside].mean() > 5
        else:
            assert np.array_equal(shown, other)
    assert seen > 40


def test_redaction_blackens_exactly_the_boxes(boxed_pairs):
    pair = next(pair for pair in boxed_pairs if pair.subject == "passport")
    path = boxed_pairs.folder / pair.image
    plain, found = np.asarray(Image.open(path).convert("RGB")), np.asarray(Redaction().redact(path))
    black = (found == 0).all(-1)
    assert np.array_equal(found[~black], plain[~black])
    for left, top, right, bottom in boxes_of(path.parent, path.name):
        ends = [int(left * 256), int(top * 256), int(np.ceil(right * 256)), int(np.ceil(bottom * 256))]
        assert black[ends[1] : ends[3], ends[0] : ends[2]].all() and not black[ends[1] : ends[3], ends[2]].all(), "not a pixel more"
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes_of(path.parent, path.name))
    assert black.mean() == pytest.approx(area, abs=0.03) and area > 0.1
    random = np.asarray(Redaction("random", 3).redact(path))
    assert np.array_equal(random, np.asarray(Redaction("random", 3).redact(path))) and not np.array_equal(random, found)
    assert 0.3 * black.mean() < (random == 0).all(-1).mean() <= 1.1 * black.mean()  # its boxes may lie upon each other


def test_redaction_is_asked_once_a_picture_and_needs_a_file(tiny, boxed_pairs, monkeypatch):
    shown = []
    monkeypatch.setattr(type(tiny), "generate_answers", lambda _self, items, *_: shown.extend(items) or [])
    path = boxed_pairs.folder / boxed_pairs.pairs[0].image
    with Redaction().on(tiny) as answerer:
        answerer.generate_answers([(path, "a"), (path, "b"), (None, "c"), Conversation("d", (path,), system="e")])
        assert shown[0].images[0] is shown[1].images[0] is shown[3].images[0] and not shown[2].images and shown[3].system == "e"
        with pytest.raises(UserError, match="this picture is none; give its path"):
            answerer.generate_answers([(Image.new("RGB", (8, 8)), "a")])
    with Redaction().at(0).on(tiny) as answerer:
        assert answerer is tiny


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no .*boxes.json, so nobody knows where private values stand in a.png; write it as"),
        ("{}", "says nothing of a.png; give it a list of boxes"),
        ("[]", "is no list of boxes for each picture's name"),
        ('{"a.png": [[0, 0, 1]]}', r"holds \[0, 0, 1\], which is no box"),
        ('{"a.png": [[0.5, 0, 0.2, 1]]}', "which is no box"),
        ('{"a.png": [[0, 0, "x", 1]]}', "which is no box"),
        ('{"a.png"', "boxes.json"),
    ],
)
def test_boxes_of_others_are_checked(tmp_path, text, message):
    if text is not None:
        (tmp_path / BOXES).write_text(text)
    with pytest.raises(UserError, match=message):
        boxes_of(tmp_path, "a.png")


def test_pictures_without_a_box_are_refused(tiny, pairs, tmp_path):
    image = next(pair.image for pair in pairs.split("train", "edit"))
    (tmp_path / "images").mkdir()
    (tmp_path / image).write_bytes((pairs.folder / image).read_bytes())
    (tmp_path / "images" / BOXES).write_text(json.dumps({image.split("/")[-1]: []}))
    alone = PairSet((pair for pair in pairs if pair.image == image), tmp_path)
    with pytest.raises(UserError, match="nothing would be blackened"):
        apply_method("image_redaction", tiny, alone, None, config_of("image_redaction", keep="first"))


def test_boxes_come_along_with_the_pictures_of_a_set(tiny, tiny_folder, boxed_pairs, tmp_path):
    """Into a run's own copy and into a mixture, under the names that the pictures have there."""
    question = Question("privacypair-test", "a", "passport", "sensitive", "?", "1", boxed_pairs.pairs[0].image)
    for name in ("one", "two"):
        pictures = {pair.image for pair in boxed_pairs}
        for image in pictures:
            (tmp_path / name / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(boxed_pairs.folder / image, tmp_path / name / image)
        shutil.copyfile(boxed_pairs.folder / "images" / BOXES, tmp_path / name / "images" / BOXES)
        test_only = [pair for pair in boxed_pairs if pair.image != question.image]
        PairSet(test_only, tmp_path / name, [question]).save(tmp_path / name)
    copy = gather([tmp_path / "one"], tmp_path / "copy")
    for pair in copy:
        name = pair.image.split("/")[-1]
        assert boxes_of(tmp_path / "copy" / "images", name) == boxes_of(boxed_pairs.folder / "images", name)
    mixed = gather([tmp_path / "one", tmp_path / "two"], tmp_path / "mixed")
    assert len(boxes_of_all([mixed.folder / pair.image for pair in mixed])) == len(mixed)

    recipe = Recipe(model=str(tiny_folder), methods={"image_redaction": {}}).changed([f"pairs.source={tmp_path / 'one'}", "variants=[]"])
    check_recipe(recipe, tiny)
    (tmp_path / "one" / "images" / BOXES).unlink()
    with pytest.raises(UserError, match=r"There is no .*boxes\.json"):
        check_recipe(recipe, tiny)
    with pytest.raises(UserError, match="drawn photographs"):
        check_recipe(recipe.changed(["pairs.source=documents"]), tiny)


# --- patterns -------------------------------------------------------------------------------------------------------


def test_presidios_patterns_find_what_they_are_for():
    known = output_filter.presidio_patterns(["en"])
    strong = [pattern for pattern, score in known.items() if score >= 0.5]
    assert len(known) > 60 and 5 < len(strong) < len(known)
    for text in ("mail ann.lee@example.org", "DE89370400440532013000", "192.168.17.4"):
        assert any(re.search(pattern, text) for pattern in strong), text
    assert not any(re.search(pattern, "a red circle above a star") for pattern in strong)
    assert set(output_filter.presidio_patterns(["en", "de"])) > set(known)
    with pytest.raises(UserError, match="no patterns of xx"):
        output_filter.presidio_patterns(["xx"])


def test_without_presidio_it_says_what_to_install(tiny, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(UserError, match=r"pip install 'neuralgate\[filter\]', or give patterns"):
        apply_method("output_filter", tiny, pairs, None, config_of("output_filter", patterns="presidio"))


def test_the_confidence_is_chosen_on_validation(tiny, pairs):
    config = config_of("output_filter", patterns="presidio", scores=[0.5, 0.3])
    made, training = apply_method("output_filter", tiny, pairs, None, config)
    assert training.steps == 2 and made.patterns
    with pytest.raises(UserError, match="None of presidio's patterns has a confidence of 1"):
        apply_method("output_filter", tiny, pairs, None, config_of("output_filter", patterns="presidio", scores=[1.0], languages=["es"]))
    with pytest.raises(UserError, match=r"no regular expression"):
        apply_method("output_filter", tiny, pairs, None, config_of("output_filter", patterns=["("]))


# --- an adapter's mask ----------------------------------------------------------------------------------------------


def test_opposed_is_by_sign_and_size():
    change, anchor = torch.tensor([1.0, -1.0, 1.0, -0.1, 0.0]), torch.tensor([1.0, 0.5, -0.1, 1.0, -1.0])
    assert masked_adapter.opposed(change, anchor, 5.0).tolist() == [False, True, False, True, False]
    mask = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) < 0.2
    moved = masked_adapter.shuffled(mask, "a")
    assert moved.shape == mask.shape and int(moved.sum()) == int(mask.sum()) and not torch.equal(moved, mask)
    assert torch.equal(moved, masked_adapter.shuffled(mask, "a")) and not torch.equal(moved, masked_adapter.shuffled(mask, "b"))


def test_what_is_left_is_the_adapters_own_change(tiny, pairs):
    """Where it is not masked it is LoRA's, bit for bit; the anchor is the same training without sensitive questions."""
    settings = {"layers": [1], "rate": 1e-2, "max_steps": 3, "batch_size": 3, "rank": 2, "check_every": 2}
    lora, _ = apply_method("lora", tiny, pairs, None, config_of("lora", **{**settings, "parts": ["ffn"]}))
    made, training = apply_method("masked_adapter", tiny, pairs, None, config_of("masked_adapter", **settings, stop="validation"))
    assert re.search(r"^(Nothing .* )?[0-9.]+ % of the change's values run against the anchor. Without them 0.0 %", training.note)
    parameters = dict(tiny.model.named_parameters())
    for role, entry in made.tensors.items():
        base = parameters[entry["name"]].detach().clone()
        with lora.on(tiny):
            whole = parameters[entry["name"]].detach().clone()
        with made.on(tiny):
            masked = parameters[entry["name"]].detach().clone()
        kept = masked == whole
        assert torch.equal(masked[~kept], base[~kept]) and 0.02 < float((~kept).float().mean()) < 0.9, role


def test_a_mask_of_nothing_is_refused(tiny, pairs):
    with pytest.raises(UserError, match="No value runs against the anchor at k = 1e-09"):
        apply_method("masked_adapter", tiny, pairs, None, config_of("masked_adapter", k=1e-9))


def drawn_text(folder, **texts: str) -> None:
    folder.mkdir()
    for name, text in texts.items():
        image = Image.new("RGB", (640, 120), "white")
        ImageDraw.Draw(image).text((20, 40), text, font=ImageFont.load_default(30), fill="black")
        image.save(folder / f"{name}.png")


def test_presidio_finds_private_values_in_pictures(tmp_path):
    """Where it is installed, with tesseract: extra `redaction`."""
    pytest.importorskip("presidio_image_redactor")
    if shutil.which("tesseract") is None:
        pytest.skip("tesseract is not installed")
    drawn_text(tmp_path / "images", card="Card 4111 1111 1111 1111", plain="Nothing to see here")
    result = CliRunner().invoke(app, ["pairs", "boxes", str(tmp_path)])
    assert result.exit_code == 0 and "in 1 of 2 pictures" in result.output
    boxes = boxes_of(tmp_path / "images", "card.png")
    assert boxes and not boxes_of(tmp_path / "images", "plain.png")
    assert all(left > 0.1 and 0.2 < top < bottom < 0.8 for left, top, _, bottom in boxes), "the number, not the word before it"
    shown = np.asarray(Redaction().redact(tmp_path / "images" / "card.png"))
    assert (shown == 0).all(-1).sum() > (np.asarray(Image.open(tmp_path / "images" / "card.png")) == 0).all(-1).sum()


def test_what_presidio_needs_is_said(tmp_path, monkeypatch):
    drawn_text(tmp_path / "images", plain="Nothing")
    monkeypatch.setitem(sys.modules, "presidio_image_redactor", None)
    with pytest.raises(UserError, match=r"neuralgate\[redaction\]"):
        detect_boxes(tmp_path / "images")
    with pytest.raises(UserError, match="holds no picture"):
        detect_boxes(tmp_path / "nowhere")
    (tmp_path / "images" / BOXES).write_text("{}")
    with pytest.raises(UserError, match="is there already"):
        detect_boxes(tmp_path / "images")


# --- on top of each other ---------------------------------------------------------------------------------------------


def test_guards_stand_around_each_other_and_what_changes_the_model_below(tiny, boxed_pairs):
    """All at once answer as they do one in the other by hand, and nothing of them stays."""
    pair = boxed_pairs.pairs[0]
    path = boxed_pairs.folder / pair.image
    items = [(path, pair.sensitive_question), (path, "Where is the number plate?"), (path, pair.benign_question)]
    steering = Steering.for_model(tiny, {1: torch.full((32,), 3.0)}, {"method": "test"})
    prompt, redaction, blocked = Prompt("Say no name.", "question"), Redaction(), Filter(words=("number plate",))
    plain = [answer.text for answer in tiny.generate_answers(items, 8)]
    with stacked(tiny, [steering, prompt, redaction, blocked]) as answerer:
        together = [answer.text for answer in answerer.generate_answers(items, 8)]
        assert answerer.name == tiny.name
    with steering.on(tiny):
        seen = [Conversation(f"Say no name.\n{question}", (redaction.redact(path),)) for _, question in items]
        by_hand = [answer.text for answer in tiny.generate_answers(seen, 8)]
    assert together == [by_hand[0], blocked.refusal, by_hand[2]] and together[0] != plain[0]
    assert [answer.text for answer in tiny.generate_answers(items, 8)] == plain
    with stacked(tiny, [prompt.at(0), blocked.at(0)]) as answerer:
        assert answerer is tiny
    with pytest.raises(UserError, match="put the guards last"), stacked(tiny, [prompt, steering]):
        pass
