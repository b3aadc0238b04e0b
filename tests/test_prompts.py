"""From a question to tokens with roles; padding changes nothing."""

import re
from dataclasses import replace

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.prompts import ANSWER, IMAGE, OTHER, POSITIONS, QUESTION, SUBJECT, Example, encode_examples, subject_characters
from neuralgate.pairs.subjects import load_subjects
from neuralgate.pairs.templates import CONTEXTS, PARAPHRASES, REFUSAL_PREFIXES, TEMPLATES

PHRASINGS = (*TEMPLATES, *PARAPHRASES)
NAMES = ("passport", "government document")


@pytest.fixture(scope="module")
def image(drawn_pairs):
    return drawn_pairs.folder / drawn_pairs.pairs[0].image


@pytest.fixture(scope="module")
def examples(image):
    """Rows of unequal length, with the subject early and late."""
    asked = [
        (PHRASINGS[0], "", "The"),
        (PHRASINGS[16], "", REFUSAL_PREFIXES[0]),
        (PHRASINGS[11], f"{CONTEXTS[2]} ", "The number is 48"),
        (PHRASINGS[12], "", "I"),
    ]
    return [
        Example(image, opening + phrasing.format(attribute="number", subject=name), name, answer)
        for (phrasing, opening, answer), name in zip(asked, NAMES * 2, strict=True)
    ]


def text_of(lvlm, ids) -> str:
    return lvlm.tokenizer.decode(ids)


# --- spans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "opening", ["", *(f"{sentence} " for sentence in CONTEXTS)], ids=["plain", "The", "Therefore", "Because", "I", "You"]
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_image", [True, False], ids=["image", "text"])
def test_the_span_decodes_back_to_the_subject(tiny, image, opening, name, with_image):
    """For every template and every paraphrase, those with the subject first included."""
    shown = image if with_image else None
    questions = [opening + phrasing.format(attribute="name", subject=name) for phrasing in PHRASINGS]
    batch = encode_examples(tiny, [Example(shown, question, name, "Sorry") for question in questions])
    for ids, subject, question_too in zip(
        batch.input_ids_BT, batch.is_class(SUBJECT), batch.is_class(QUESTION) | batch.is_class(SUBJECT), strict=True
    ):
        assert text_of(tiny, ids[subject]) == name
        places = subject.nonzero().flatten()
        assert len(places) == len(name.split()) and places[-1] - places[0] == len(places) - 1
        assert question_too.sum() > len(places)
    for ids, chosen, question in zip(batch.input_ids_BT, batch.is_class(QUESTION) | batch.is_class(SUBJECT), questions, strict=True):
        assert re.sub(r"\s", "", text_of(tiny, ids[chosen])) == re.sub(r"\s", "", question)


def test_every_subject_of_the_world_has_a_span(tiny):
    names = [subject.name for subject in load_subjects()]
    batch = encode_examples(tiny, [Example(None, TEMPLATES[0].format(attribute="name", subject=name), name, "I") for name in names])
    assert [text_of(tiny, ids[mask]) for ids, mask in zip(batch.input_ids_BT, batch.is_class(SUBJECT), strict=True)] == names
    assert tiny.tokenizer.unk_token_id not in batch.input_ids_BT


@pytest.mark.parametrize(
    ("question", "subject", "span"),
    [
        ("Is the Passport private?", "passport", "Passport"),
        ("The passport and the passport, which?", "passport", "passport"),
        ("On the student id: name?", "student id", "student id"),
    ],
)
def test_the_last_mention_counts_in_any_case(question, subject, span):
    start, end = subject_characters(Example(None, question, subject, ""))
    assert question[start:end] == span and subject not in question[end:].lower()


@pytest.mark.parametrize("question", ["What is the number?", "", "pass port"])
def test_a_question_without_its_subject_is_refused(tiny, image, question):
    with pytest.raises(UserError, match=r"does not name its subject 'passport'"):
        encode_examples(tiny, [Example(image, question, "passport", "I")])


@pytest.mark.parametrize("filter", ["", "| trim"], ids=["as it is", "trimmed"])
@pytest.mark.parametrize("blanks", [("", "\n"), ("\n ", " \n\n"), ("", "")], ids=["newline", "both sides", "none"])
def test_blanks_around_a_question_change_nothing(tiny_copy, image, filter, blanks):
    """Some templates leave them out by themselves."""
    tiny_copy.processor.chat_template = tiny_copy.processor.chat_template.replace("part['text']", f"part['text'] {filter}")
    question = "Is the passport private?"
    asked = question.join(blanks)
    ours, plain = (encode_examples(tiny_copy, [Example(image, text, "passport", "I")]) for text in (asked, question))
    assert torch.equal(ours.input_ids_BT, plain.input_ids_BT) and torch.equal(ours.classes_BT, plain.classes_BT)
    assert text_of(tiny_copy, ours.input_ids_BT[0][ours.is_class(SUBJECT)[0]]) == "passport"
    given = blanks[0] + "Is the passport the passport?" + blanks[1]
    span = (given.index("passport"), given.index("passport") + len("passport"))
    batch = encode_examples(tiny_copy, [Example(image, given, "passport", "I", span)])
    (place,) = batch.is_class(SUBJECT)[0].nonzero().flatten().tolist()
    assert text_of(tiny_copy, batch.input_ids_BT[0, place - 2 : place]) == "Is the"


def test_a_question_is_found_where_the_template_puts_it(tiny_copy, image):
    """Its words may stand elsewhere in the prompt, too."""
    template = tiny_copy.processor.chat_template
    tiny_copy.processor.chat_template = template.replace("{{ '<assistant>' }}", "{{ 'the passport:the passport?:<assistant>' }}")
    batch = encode_examples(tiny_copy, [Example(image, text, "passport", "I") for text in ("the passport?", "the passport")])
    assert (batch.is_class(SUBJECT).nonzero()[:, 1] == 66).all(), "behind 64 image tokens, <user> and one word"
    tiny_copy.processor.chat_template = template.replace("part['text']", "part['text'] | upper")
    with pytest.raises(UserError, match="does not hold the question 'the passport\\?' as it was asked"):
        encode_examples(tiny_copy, [Example(image, "the passport?", "passport", "I")])


# --- roles and targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
def test_classes_partition_the_tokens(tiny, examples, side):
    batch = encode_examples(tiny, examples, side)
    counts = torch.stack([batch.is_class(index) for index in range(len(POSITIONS))]).sum(0)
    assert torch.equal(counts, batch.attention_mask_BT)
    assert (batch.is_class(IMAGE).sum(-1) == 64).all()
    assert ((batch.input_ids_BT == tiny.model.config.image_token_id) == batch.is_class(IMAGE)).all()
    assert (batch.is_class(OTHER).sum(-1) == 1).all(), "<user>; <assistant> predicts the answer and belongs to it"
    first = batch.attention_mask_BT.argmax(-1)
    assert (first == 0).all() == (side == "right")


@pytest.mark.parametrize("side", ["right", "left"])
def test_targets_are_the_answers_ids_after_the_prompt(tiny, examples, side):
    """Appended as ids: each label stands one place in front of the token that it predicts."""
    batch = encode_examples(tiny, examples, side)
    for row, example in enumerate(examples):
        alone = tiny.tokenizer(example.answer, add_special_tokens=False)["input_ids"]
        labels = batch.labels_BT[row]
        places = (labels >= 0).nonzero().flatten()
        assert labels[places].tolist() == batch.input_ids_BT[row, places + 1].tolist() == alone
        assert batch.input_ids_BT[row, places[0]] == tiny.tokenizer.convert_tokens_to_ids("<assistant>")
        answer = batch.is_class(ANSWER)[row].nonzero().flatten()
        assert answer.tolist() == [*places.tolist(), places[-1].item() + 1]


def test_an_answer_leaves_its_prompts_tokens_as_they_are(tiny, image):
    """Written together, "17" after a two-character half would become its continuation."""
    question = "Is the passport private? 48"
    batch = encode_examples(tiny, [Example(image, question, "passport", "17"), Example(image, question, "passport", "")])
    used = batch.attention_mask_BT.sum(-1)
    assert used[0] == used[1] + 1
    assert batch.input_ids_BT[0, used[0] - 1] == tiny.tokenizer.convert_tokens_to_ids("17")
    assert torch.equal(batch.input_ids_BT[0, : used[1]], batch.input_ids_BT[1, : used[1]])


# --- padding --------------------------------------------------------------------------------------------------------


def losses_of(lvlm, batch):
    with torch.no_grad():
        return target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)


@pytest.mark.parametrize("with_image", [True, False], ids=["image", "text"])
def test_padding_on_either_side_gives_the_losses_of_single_samples(tiny, examples, with_image):
    examples = [example if with_image else replace(example, image=None) for example in examples]
    right, left = (losses_of(tiny, encode_examples(tiny, examples, side)) for side in ("right", "left"))
    single = torch.cat([losses_of(tiny, encode_examples(tiny, [example])) for example in examples])
    assert len(set(encode_examples(tiny, examples).attention_mask_BT.sum(-1).tolist())) > 1, "rows of one length would test nothing"
    assert single.std() > 0.01
    torch.testing.assert_close(right, single, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(left, single, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_give_the_answers_of_single_questions_in_their_order(tiny, examples, batch_size):
    items = [(example.image if number % 3 else None, example.question) for number, example in enumerate((*examples, *examples))]
    told = []
    answers = tiny.generate(items, max_new_tokens=5, batch_size=batch_size, report=lambda **values: told.append(values["done"]))
    assert answers == [tiny.generate([item], max_new_tokens=5)[0] for item in items]
    assert len(set(answers)) > 2 and told[-1] == len(items)


def test_without_targets_there_is_no_loss(tiny, examples):
    """A base model may answer with nothing; that row then teaches nothing instead of everything becoming NaN."""
    batch = encode_examples(tiny, [examples[0], replace(examples[1], answer="")])
    losses = losses_of(tiny, batch)
    assert losses[1] == 0 and losses[0] > 0 and (batch.labels_BT[1] == -100).all()
