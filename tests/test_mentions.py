"""Where a subject stands: any Unicode, whole words, and the place that a pair's template gives it."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neuralgate.errors import UserError
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.mentions import folded, mentions
from neuralgate.pairs.schema import Pair
from neuralgate.pairs.templates import CONTEXTS, TEMPLATES

many = settings(deadline=None, max_examples=200, derandomize=True)
WORDS = ("passport", "İdentitätsausweis", "straße", "carte d'identité", "οδός", "ΐδιο", "паспорт", "güvenlik", "ᾳδης")
FORMS = (str, str.upper, str.lower, str.title, lambda word: unicodedata.normalize("NFD", word))


def same(one: str, other: str) -> bool:
    """Equal but for case, as Unicode defines it."""
    one, other = (unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold()) for text in (one, other))
    return one == other


@many
@given(st.text(), st.text(), st.sampled_from(WORDS), st.sampled_from(FORMS))
def test_every_span_is_the_word_whatever_stands_around_it(before, behind, word, form):
    written = form(word)
    assume(same(written, word))  # a Greek iota below a letter, say, is not that letter's in every case
    text = f"{before} {written} {behind}"
    found = mentions(text, word)
    start = len(before) + 1
    assert (start, start + len(written)) in found
    assert all(same(text[left:right], word) for left, right in found)


@many
@given(st.text(), st.text(min_size=1))
def test_any_text_is_searched_for_any_other(text, word):
    assert all(same(text[start:end], word) for start, end in mentions(text, word))
    whole, places = folded(text)
    assert places[0] == 0 and places[len(whole)] == len(text)


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("İİİİ: whose is the passport here?", "passport", ["passport"]),
        ("Zeig die STRASSE", "straße", ["STRASSE"]),
        ("the cafe\u0301 card", "caf\u00e9", ["cafe\u0301"]),
        ("the caf\u00e9 card", "cafe\u0301", ["caf\u00e9"]),
        ("a cafe\u0301 card", "cafe", []),
        ("A Car in a scar, carved: car.", "car", ["Car", "car"]),
        ("smart art_1 art", "art", ["art"]),
        ("请描述图中护照的号码。", "护照", ["护照"]),
        ("여권의 번호", "여권", ["여권"]),
        ("กำ", "ก", ["ก"]),
        ("กิ", "ก", []),
        ("", "car", []),
    ],
)
def test_whole_words_in_any_form(text, word, expected):
    assert [text[start:end] for start, end in mentions(text, word)] == expected


def pair(question: str, subject: str, first: str = "number", second: str = "colour", **more) -> Pair:
    asked = (question.replace("ATTRIBUTE", attribute) for attribute in (first, second))
    return Pair("p", "train", "edit", subject, "x.png", 0, first, second, *asked, **more)


def marked(one: Pair, kind) -> str:
    """The question with its subject in brackets."""
    start, end = one.subject_span(kind)
    question = one.question(kind)
    return f"{question[:start]}[{question[start:end]}]{question[end:]}"


@pytest.mark.parametrize(
    ("asked", "attributes"),
    [
        ("Tell the ATTRIBUTE of the [photo] in the photo", ("date", "size")),
        ("Tell the ATTRIBUTE of the [card].", ("card number", "card colour")),
        ("Tell the ATTRIBUTE of the [card].", ("date of the card", "size of the card")),
        ("Tell the ATTRIBUTE of the [car]: a scar?", ("name", "size")),
        ("I like this card. Tell the ATTRIBUTE of the [card].", ("name", "size")),
        ("Tell the ATTRIBUTE of the [card]. I like this card.", ("name", "size")),
        ("From the [card], give the ATTRIBUTE.", ("card number", "colour")),
        ("The photo shows a [photo]: what is its ATTRIBUTE?", ("date", "size")),
        ("The size of the ATTRIBUTE of the [map], or a map", ("size", "date")),
    ],
)
def test_the_subject_stands_where_the_template_puts_it(asked, attributes):
    """In brackets."""
    subject = re.search(r"\[(.*)\]", asked)[1]
    one = pair(asked.replace("[", "").replace("]", ""), subject, *attributes)
    one.check()
    for kind, attribute in zip(("sensitive", "benign"), attributes, strict=True):
        assert marked(one, kind) == asked.replace("ATTRIBUTE", attribute)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("subject", ["photo", "picture", "image", "details", "you"])
def test_every_template_knows_its_place_for_a_subject_of_its_own_words(template, subject):
    for attribute, other in (("date", "size"), (f"date of the {subject}", "details"), ("the", "of")):
        one = pair(template.format(attribute="ATTRIBUTE", subject=subject), subject, attribute, other)
        start = template.format(attribute=attribute, subject="{").index("{")
        assert one.subject_span("sensitive") == (start, start + len(subject))


def test_questions_of_ones_own_wording_count_their_last_mention():
    one = pair("Who is on the passport?", "passport", "name", "colour")
    one = Pair(**{**vars(one), "benign_question": "Look at the passport. Is this passport red?"})
    assert marked(one, "sensitive") == "Who is on the [passport]?"
    assert marked(one, "benign") == "Look at the passport. Is this [passport] red?"


@pytest.mark.parametrize(
    ("question", "subject", "attributes"),
    [("Tell the ATTRIBUTE.", "card", ("card number", "card colour")), ("Tell the ATTRIBUTE of the scar.", "car", ("name", "size"))],
    ids=["only in the attribute", "only in a word"],
)
def test_a_subject_without_a_place_of_its_own_is_refused(question, subject, attributes):
    with pytest.raises(UserError, match=rf"does not name its subject '{subject}' as a word of its own"):
        pair(question, subject, *attributes).check()


def test_context_sentences_move_the_place_along():
    one = pair("Tell the ATTRIBUTE of the photo in the photo", "photo", "date", "size", contexts=(*CONTEXTS, "Nice photo."))
    for opening in one.openings:
        example = example_of(one, "benign", Path(), opening)
        start, end = example.span
        assert example.question == f"{opening}Tell the size of the photo in the photo" and example.question[end:] == " in the photo"
        assert example.question[start:end] == "photo"
