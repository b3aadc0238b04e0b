"""Every family: several pictures, earlier turns, a system text, an answer that was begun, and how likely an answer is."""

import pytest

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import Conversation
from neuralgate.lvlm.inputs import encode_prompts
from neuralgate.lvlm.spelling import answer_ids, continuation_ids
from neuralgate.lvlm.styles import NEXT_TURN, SYSTEMS
from tests.plain_likelihood import plain_log_probabilities, plain_logits

TURNS = (("Is there a passport in the image?", "Yes, a passport."),)


@pytest.fixture(scope="module")
def conversations(lvlm, examples):
    """What this family can be asked, in rows of unequal length."""
    first, second, third = examples
    asked = [
        Conversation(first.question, (first.image,), prefill="The number is"),
        Conversation(second.question, (second.image,)),
        Conversation(third.question, prefill="Red"),
    ]
    chat = bool(lvlm.processor.chat_template)
    if chat or lvlm.prompt_style in NEXT_TURN:
        asked += [
            Conversation(third.question, (third.image,), TURNS),
            Conversation("And the date?", (first.image,), TURNS, prefill="It is"),
        ]
    if chat or lvlm.prompt_style in SYSTEMS:
        asked.append(Conversation(first.question, (first.image,), system="Answer in one word."))
    if chat:
        asked += [
            Conversation(third.question, (first.image, third.image)),
            Conversation(second.question, (second.image, third.image), TURNS, "Be brief.", "I"),
        ]
    return asked


def test_a_conversations_tokens_are_those_of_the_chat_template(lvlm, conversations):
    """transformers' own way from messages to tokens."""
    if not lvlm.processor.chat_template:
        pytest.skip("no chat template")
    for conversation in conversations:
        messages = [{"role": "system", "content": [{"type": "text", "text": conversation.system}]}] if conversation.system else []
        shown = [{"type": "image", "image": image} for image in conversation.images]
        for question, answer in conversation.turns:
            messages.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
            shown = []
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": conversation.question}]})
        theirs = lvlm.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )["input_ids"][0].tolist()
        ours = encode_prompts(lvlm, [conversation])["input_ids"][0].tolist()
        assert ours[: len(theirs)] == theirs
        assert lvlm.tokenizer.decode(ours[len(theirs) :]).strip() == conversation.prefill


def test_conversations_in_batches_are_answered_one_by_one(lvlm, conversations):
    answers = lvlm.generate_answers(conversations, max_new_tokens=5)
    assert answers == [lvlm.generate_answers([conversation], max_new_tokens=5)[0] for conversation in conversations]
    for answer, conversation in zip(answers, conversations, strict=True):
        assert answer.prefill == conversation.prefill and answer.ids
        likeliest = plain_logits(lvlm, conversation, list(answer.ids[:-1])).argmax(-1).tolist()
        assert tuple(likeliest) == answer.ids


def test_log_probabilities_are_those_of_single_rows(lvlm, conversations):
    texts = [" a passport." if conversation.prefill else "I'm sorry, I cannot" for conversation in conversations]
    logs = lvlm.log_probabilities(conversations, texts)
    for conversation, text, row in zip(conversations, texts, logs, strict=True):
        assert lvlm.log_probabilities([conversation], [text])[0] == pytest.approx(row, abs=1e-4)
        ids = wanted(lvlm, conversation, text)
        assert len(ids) == len(row) and row == pytest.approx(plain_log_probabilities(lvlm, conversation, ids), abs=1e-4)


def wanted(lvlm, conversation, text):
    """The tokens of a continuation, whose spelling does not depend on the prompt's words."""
    prompt = "ASSISTANT:" if lvlm.processor.chat_template else lvlm.tokenizer.decode(encode_prompts(lvlm, [conversation])["input_ids"][0])
    return continuation_ids(lvlm, prompt, conversation.prefill, text) if conversation.prefill else answer_ids(lvlm, prompt, text)


def test_the_likeliest_choice_is_chosen(lvlm, examples):
    choices = ("red", "a passport", "I cannot", "4817")
    asked = [Conversation(example.question, (example.image,), choices=choices) for example in examples]
    totals = [[sum(lvlm.log_probabilities([one], [choice])[0]) for choice in choices] for one in asked]
    assert lvlm.choose(asked) == [row.index(max(row)) for row in totals]
    with pytest.raises(UserError, match="has 1 choices; give it two or more"):
        lvlm.choose([Conversation("What is it?", choices=("red",))])
    with pytest.raises(UserError, match="has no token; leave it out"):
        lvlm.log_probabilities(asked[:1], [""])


def test_what_a_family_has_no_room_for_is_one_sentence(lvlm, examples):
    if lvlm.processor.chat_template:
        pytest.skip("its template has")
    image = examples[0].image
    with pytest.raises(UserError, match="has no room for several pictures; ask without"):
        lvlm.generate([Conversation("What is it?", (image, image))])
    if lvlm.prompt_style not in SYSTEMS:
        with pytest.raises(UserError, match="has no room for a system text; ask without"):
            lvlm.generate([Conversation("What is it?", (image,), system="Be brief.")])
    if lvlm.prompt_style not in NEXT_TURN:
        with pytest.raises(UserError, match="has no room for earlier turns; ask without"):
            lvlm.generate([Conversation("What is it?", (image,), TURNS)])
