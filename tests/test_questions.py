"""Questions are lines of a pair set's questions.jsonl, and part of the set."""

import json

import pytest

from neuralgate.errors import UserError
from neuralgate.evaluate.ask import answer
from neuralgate.files import read_jsonl, write_jsonl
from neuralgate.lvlm.conversation import Conversation
from neuralgate.pairs.schema import PairSet, Question, read_questions
from neuralgate.recipe import EvaluateConfig

LINE = (
    '{"benchmark": "vqa", "id": "1", "subject": "", "kind": "count", "question": "How many?", "truth": "Two", "image": null, '
    '"attribute": "", "answer_kind": "text"}'
)
FULL = Question(
    "dialogue", "2", "passport", "sensitive", "And the date?", "7 March", None, truths=("07 Mar",), choices=("7 March", "8 March"),
    turns=(("What is it?", "A passport."),), scorer="choice", cluster="passport-1",
)  # fmt: skip


@pytest.fixture
def asked(drawn_pairs, tmp_path):
    """A set of two subjects with a question about each, one about another subject, and one about none."""
    drawn_pairs.save(tmp_path)
    image = drawn_pairs.pairs[0].image
    questions = [Question("vqa", name or "none", name, "", "Is it?", "", image) for name in ("passport", "student id", "car", "")]
    return PairSet(drawn_pairs, tmp_path, questions)


def test_a_line_of_an_older_set_is_read_and_written_as_it_was(tmp_path):
    (tmp_path / "questions.jsonl").write_text(LINE + "\n")
    (question,) = read_questions(tmp_path)
    assert question.turns == question.truths == question.choices == () and question.scorer == question.cluster == ""
    write_jsonl(tmp_path / "again.jsonl", [question.row()])
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "questions.jsonl").read_bytes()


def test_what_a_question_brings_comes_back(tmp_path):
    write_jsonl(tmp_path / "questions.jsonl", [FULL.row()])
    assert read_questions(tmp_path) == (FULL,)
    (tmp_path / "questions.jsonl").write_text(json.dumps({**FULL.row(), "turns": [["alone"]]}))
    with pytest.raises(UserError, match=r"questions.jsonl, line 1 is not a question: turns"):
        read_questions(tmp_path)


def test_questions_stand_beside_their_pairs(asked, drawn_pairs, tmp_path):
    assert PairSet.load(tmp_path).questions == (), "none are there yet"
    asked.save(tmp_path)
    read = PairSet.load(tmp_path)
    assert read.questions == read.split("train").per_subject(1).questions == asked.questions
    read.save(tmp_path / "copy")
    assert PairSet.load(tmp_path / "copy").questions == asked.questions
    PairSet(read, tmp_path).save(tmp_path)
    assert PairSet.load(tmp_path).questions == asked.questions, "pairs that are written again leave them as they are"


def test_questions_about_subjects_that_were_left_out_go_too(asked, tmp_path):
    """Those about subjects without a pair, and about none, measure whatever is edited."""
    asked.subset(["student id", "bus ticket"]).save(tmp_path)
    assert [row["subject"] for row in read_jsonl(tmp_path / "questions.jsonl")] == ["student id", "car", ""]
    PairSet(asked, tmp_path, asked.questions[:1]).subset(["student id"]).save(tmp_path)
    assert PairSet.load(tmp_path).questions == ()


def test_earlier_turns_are_asked(tiny, tmp_path):
    alone = Question("dialogue", "3", "passport", "sensitive", FULL.question, "7 March", None)
    write_jsonl(tmp_path / "questions.jsonl", [question.row() for question in (FULL, alone)])
    rows = answer(tiny, tmp_path, {}, EvaluateConfig(max_new_tokens=6))
    said = [row["answers"]["base"] for row in rows]
    assert said == tiny.generate([Conversation(FULL.question, turns=FULL.turns), (None, FULL.question)], max_new_tokens=6)
    assert said[0] != said[1] and rows[0]["truths"] == FULL.truths and "truths" not in rows[1]
