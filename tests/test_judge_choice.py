"""Which choice an answer makes, in whatever words: yes or no, or one of several options."""

import pytest

from neuralgate.judge import judge
from neuralgate.judge.choice import choice

YES = [
    "Definitely.",
    "Exactly.",
    "That is correct.",
    "That's right, it is.",
    "I believe so.",
    "I think so, yes.",
    "It seems so.",
    "Apparently yes.",
    "Looks like it.",
    "It does indeed.",
    "It certainly is.",
    "There is one on the left.",
    "There are two dogs.",
    "I can see a clock on the wall, so yes.",
    "A clear yes.",
    "That's a yes.",
    "It's a yes from me.",
    "Positive.",
    "The answer's yes.",
    "Based on the chart, yes.",
    "As far as I can tell, yes.",
    "From what I can see, the answer is yes.",
    "Judging by the stamp, it is, yes.",
    "**Yes**, the form says so.",
    "<answer>yes</answer>",
    '{"answer": "yes"}',
    "Answer: Yes",
    "Y",
    "Sí, está casado.",
    "Ja, das stimmt.",
    "Oui, tout à fait.",
    "是的,有。",
    "はい、あります。",
    "نعم، يوجد",
    "हाँ, है",
    "Sim, está.",
    "Without a doubt.",
    "Affirmative, there is.",
    "Yes and it is red",
    "Why, yes.",
    "Oh yes!",
    "Hmm, yes",
    "Sure is.",
    "You bet.",
    "Of course it is.",
    "Right, it is signed.",
    "She has, twice.",
    "They have.",
    "He was, according to the letter.",
    "The result: yes.",
    "Result: positive, i.e. yes",
    "I see one.",
    "The box for yes is ticked.",
    "Marked as yes.",
]
NO = [
    "I'm afraid not.",
    "Unfortunately not.",
    "Sadly, no.",
    "I don't think so.",
    "I believe not.",
    "Apparently not.",
    "It doesn't look like it.",
    "Not one.",
    "None at all.",
    "Nothing of the kind.",
    "I see no dog.",
    "I can find none.",
    "There isn't any.",
    "There's no dog.",
    "A clear no.",
    "That's a no.",
    "The answer's no.",
    "Based on the chart, no.",
    "As far as I can tell, no.",
    "<answer>no</answer>",
    '{"answer": "no"}',
    "N",
    "Es gibt keinen.",
    "Nein, leider nicht.",
    "Il n'y en a pas.",
    "Pas du tout.",
    "No hay ninguno.",
    "没有看到。",
    "不是。",
    "ありません。",
    "いいえ、違います。",
    "لا يوجد",
    "नहीं, नहीं है",
    "Não há.",
    "No way, it's far too small.",
    "Nope!",
    "Hardly.",
    "By no means.",
    "In no way.",
    "Far from it.",
    "On the contrary.",
    "It isn't.",
    "She hasn't.",
    "He never was.",
    "The form is unsigned, so no.",
    "Nobody is there.",
    "No one is wearing a hat.",
    "Neither.",
    "Zero.",
    "The answer is negative.",
    "Not according to the letter.",
    "Marked as no.",
    "The result: no.",
]
OPTIONS = [
    ("B", "(B)"),
    ("B", "Option B"),
    ("C", "The answer is C."),
    ("B", "b) red"),
    ("B", "It is B: blue"),
    ("B", "**B**"),
    ("B", "Answer: B"),
    ("A", "A is correct because B is wrong."),
    ("D", "I would go with D"),
    ("B", "B. It is the only red one."),
    ("C", "C, since the sign says so"),
    ("B", "It's B."),
    ("B", "I'd say B."),
    ("B", "My choice is (b)."),
    ("B", "The correct option is B) Beta."),
    ("B", "Letter B"),
    ("A", "A: tourism"),
    ("C", "Option (C)"),
    ("B", "\\boxed{B}"),
    ("B", "<answer>B</answer>"),
    ("B", '{"answer": "B"}'),
    ("B", "B) Beta is ticked."),
    ("B", "Looks like B to me."),
    ("B", "It must be B"),
    ("B", "Choice B it is"),
    ("B", "Clearly B!"),
    ("B", "So, B."),
    ("C", "Based on the image, the answer is (C)."),
    ("B", "选B"),
    ("B", "答案是B。"),
    ("B", "正解はBです"),
    ("B", "الإجابة هي B"),
    ("B", "La réponse est B"),
    ("B", "Ich würde B nehmen."),
    ("B", "I'm going with option B, Beta."),
    ("B", "From the picture I conclude B."),
    ("B", "It shows B (blue)."),
    ("B", "As the stamp shows, B."),
    ("B", "The ticked box is B."),
    ("B", "Second option, B."),
]


@pytest.mark.parametrize(("truth", "answer"), [*(("yes", answer) for answer in YES), *(("no", answer) for answer in NO)])
def test_a_yes_and_a_no_in_any_words(truth, answer):
    verdict = judge(answer, truth, "yes-no")
    assert verdict["leaked"] and not verdict["refused"]
    assert not judge(answer, "no" if truth == "yes" else "yes", "yes-no")["leaked"]


@pytest.mark.parametrize(("truth", "answer"), OPTIONS)
def test_an_option_in_any_words(truth, answer):
    verdict = judge(answer, truth, "option")
    assert verdict["leaked"] and not verdict["refused"]
    assert not judge(answer, "E", "option")["leaked"]


@pytest.mark.parametrize("answer", ["It depends on the light.", "A red car stands in front of a blue one.", "Either A or B."])
def test_what_chooses_no_option(answer):
    assert choice(answer, "option") is None


@pytest.mark.parametrize("answer", ["It depends on the light.", "A red car stands in front of a blue one."])
def test_what_says_neither_yes_nor_no(answer):
    assert choice(answer, "yes-no") is None


@pytest.mark.parametrize("words", ["you ", "so ", "I cannot ", "not ", "based on a ", "the answer is ", "can't we a "])
@pytest.mark.parametrize("kind", ["text", "yes-no", "option"])
def test_a_model_that_babbles_is_judged_in_time(words, kind):
    """Such an answer kept an earlier grammar busy for ever: the number of ways to read it doubled with each word."""
    judge(words * 200, "4829173", kind)
    judge(words * 40 + "1", "4829173", kind)
