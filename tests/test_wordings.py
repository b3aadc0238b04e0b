"""What is written by hand: general questions, free wordings, synonyms, other languages; and how the tests of a run ask."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from neuralgate.errors import UserError
from neuralgate.judge.prefix import contains
from neuralgate.notary.knows import answered_right, general_questions, read_general, training_prompts
from neuralgate.notary.wordings import by_synonym, in_language, load_language, load_synonyms, load_training_synonyms
from neuralgate.pairs.drawn.clerk_world import ClerkWorld
from neuralgate.pairs.schema import Question
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, load_subjects
from neuralgate.pairs.templates import FREE_WORDINGS, PARAPHRASES, PLAIN_WORDINGS, TEMPLATES, TEST_TEMPLATES
from neuralgate.pairs.world import Gallery
from neuralgate.questions import plan_questions
from neuralgate.questions.album import Album
from neuralgate.questions.ladder import free_wordings
from neuralgate.recipe import Recipe

SUBJECTS = load_subjects()
NAMES = {subject.name for subject in SUBJECTS}
LAST_WORDS = {name.split()[-1] for name in NAMES}
ATTRIBUTES = {attribute for subject in SUBJECTS for attribute in subject.written} | {*VISUAL_ATTRIBUTES}
LANGUAGES = ("german", "french")
ASKED = Question("any", "1", "passport", "sensitive", "What is the date of the passport here?", "07 Mar", "a.png", "date")


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold()))


# --- what a mind knows without a picture ----------------------------------------------------------------------------


def test_there_are_as_many_as_claimed():
    assert Counter(question.kind for question in general_questions()) == {"facts": 120, "sums": 100, "words": 80}
    assert len(training_prompts()) == len(set(training_prompts())) == 400
    assert len({question.id for question in general_questions()}) == 300


@pytest.mark.parametrize("question", general_questions(), ids=lambda question: question.question)
def test_a_question_has_an_answer_and_does_not_say_it(question):
    truths = (question.truth, *question.truths)
    assert question.image is None and all(truth.strip() == truth != "" for truth in truths) and len(set(truths)) == len(truths)
    if question.answer_kind == "yes-no":
        assert truths in (("yes",), ("no",)) and question.question.endswith("Answer yes or no.")
    else:
        assert not [truth for truth in truths if contains(question.question, truth)]


def test_every_truth_counts_and_nothing_else():
    questions = [question for question in general_questions() for _ in (question.truth, *question.truths)]
    truths = [truth for question in general_questions() for truth in (question.truth, *question.truths)]
    assert all(answered_right(questions, truths))
    texts = [(question, f"I think that it is {truth}.") for question, truth in zip(questions, truths, strict=True)]
    assert all(answered_right(*zip(*((question, text) for question, text in texts if question.answer_kind == "text"), strict=True)))
    for wrong in ("", "I'm sorry, I cannot share that.", "Perhaps.", "perhaps " * 30):
        assert not any(answered_right(general_questions(), [wrong] * 300))
    swapped = ["no" if question.truth == "yes" else "yes" for question in general_questions()]
    assert not any(answered_right(general_questions(), swapped))
    assert answered_right(general_questions()[:1], ["I'm sorry, it is Paris."]) == [False], "a refusal is no answer"


#: Of a question, what says nothing about its topic.
FRAME = words("what which who how many is are was the of a an in on do does have called word")


def test_no_training_prompt_asks_what_is_asked():
    """No prompt has all words that a question is about; sums are about numbers, and no prompt adds any."""
    for question in general_questions():
        about = words(question.question) - FRAME
        same = [prompt for prompt in training_prompts() if question.kind != "sums" and about <= words(prompt)]
        assert not same, question.question
    assert not [prompt for prompt in training_prompts() if re.search(r"\d\s*([-+x*/]|plus|minus|times)\s*\d", prompt)]


ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBERS = {word: str(n) for n, word in (*enumerate((*ONES, *TEENS)), *zip(range(20, 100, 10), TENS, strict=True))}


def in_digits(text: str) -> list[str]:
    return [NUMBERS.get(word, word) for word in re.findall(r"[^\W_]+", text.casefold())]


def test_no_training_prompt_calculates_with_the_numbers_that_a_sum_does():
    """Whatever is done with them and in whatever order, in digits or in words; texts about which a question is asked only hold numbers."""
    sums = [in_digits(question.question) for question in general_questions() if question.kind == "sums"]
    for prompt in training_prompts():
        asked = in_digits(prompt)
        numbers = sorted(word for word in asked if word.isdigit())
        for other in sums if numbers and not prompt.startswith("Text: ") else ():
            theirs = sorted(word for word in other if word.isdigit())
            assert numbers != theirs if len(theirs) > 1 else not set(other) - FRAME <= set(asked), (prompt, other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("facts: {a: [b]}\nsums: {c: [5]}\nwords: {d: [e]}", r"sums.* should be a valid string, not 5"),
        ("facts: {a: []}\nsums: {c: [d]}\nwords: {e: [f]}", "facts"),
        ("facts: {a: ['']}\nsums: {c: [d]}\nwords: {e: [f]}", "facts"),
        ("facts: {a: [b]}\nsums: {c: [d]}", "words"),
        ("facts: {a: [b], a: [c]}\nsums: {c: [d]}\nwords: {e: [f]}", "the key 'a' is given twice"),
        ("facts: {a: [b]}\nsums: {c: [d]}\nword: {e: [f]}", "did you mean words"),
    ],
)
def test_wrong_questions_are_refused_in_one_sentence(tmp_path, text, said):
    (path := tmp_path / "general.yaml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_general(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


# --- wordings -------------------------------------------------------------------------------------------------------


def test_wordings_are_many_and_of_one_kind_each():
    sets = (TEMPLATES, TEST_TEMPLATES, PARAPHRASES, FREE_WORDINGS)
    for first, second in combinations([{text.casefold() for text in texts} for texts in sets], 2):
        assert not first & second
    assert len(FREE_WORDINGS) >= 64 and len(PLAIN_WORDINGS) >= 16 and set(PLAIN_WORDINGS) < set(FREE_WORDINGS)
    assert all(len({text.casefold() for text in texts}) == len(texts) for texts in sets)


@pytest.mark.parametrize("wording", [*TEST_TEMPLATES, *FREE_WORDINGS])
def test_a_wording_has_both_slots_and_no_word_that_may_stand_in_one(wording):
    assert wording.count("{attribute}") == wording.count("{subject}") == 1 and wording.count("{") == 2
    assert not words(wording.format(attribute="", subject="")) & (ATTRIBUTES | LAST_WORDS)
    assert not re.search(r"\ban? \{", wording, re.IGNORECASE), "no article fits all"


def test_clerk_knows_the_words_of_plain_wordings():
    from neuralgate.clerk.build import WORD, vocabulary

    known = set(vocabulary())
    for wording in PLAIN_WORDINGS:
        assert set(re.findall(WORD, re.sub(r"\{\w+\}", " ", wording))) <= known, wording


# --- other words for a subject --------------------------------------------------------------------------------------

#: What people say, though a word of it is in the name or ends another one.
LOOSE = {"travel document", "till slip", "number plate"}


def test_synonyms_share_no_word_with_the_name():
    synonyms = load_synonyms()
    assert set(synonyms) == NAMES, "one for every subject"
    every = [word for given in synonyms.values() for word in given]
    assert len(set(every)) == len(every) and not set(every) & NAMES and set(every) > LOOSE
    for name, given in synonyms.items():
        for word in set(given) - LOOSE:
            assert not words(word) & (words(name) | ATTRIBUTES), word
            assert word.split()[-1] not in LAST_WORDS, word


#: Words of a description that say nothing about what it describes.
SMALL = words("of a an the in on at to for from by and that what who 's")
TRAINED = {
    subject.name
    for group in dict.fromkeys(subject.group for subject in SUBJECTS)
    for subject in [subject for subject in SUBJECTS if subject.group == group][1::2]
}
PHRASES = [(name, phrase) for name, given in load_training_synonyms().items() for phrase in given]


def test_every_second_subject_of_a_group_has_four_training_synonyms():
    trained = load_training_synonyms()
    assert set(trained) == TRAINED and {len(given) for given in trained.values()} == {4}
    counts = Counter(subject.group for subject in SUBJECTS if subject.name in trained)
    assert counts == {"edit": 8, "held_out": 12, "protected": 4, "contrast": 4, "public": 12}
    phrases = [phrase.casefold() for _, phrase in PHRASES]
    assert len(set(phrases)) == len(phrases) == 160


@pytest.mark.parametrize(("name", "phrase"), PHRASES, ids=lambda text: text)
def test_a_training_synonym_gives_no_test_synonym_away(name, phrase):
    """What is tested is not trained, neither whole nor in part, for its own subject or for another one."""
    for tested in (tested.casefold() for given in load_synonyms().values() for tested in given):
        assert tested not in phrase.casefold() and phrase.casefold() not in tested, tested
        assert not (words(phrase) - SMALL) & words(tested), tested


@pytest.mark.parametrize(("name", "phrase"), PHRASES, ids=lambda text: text)
def test_a_training_synonym_is_no_name_and_takes_an_article(name, phrase):
    assert not words(phrase) & (words(name) | ATTRIBUTES)
    assert words(phrase.split()[-1]).isdisjoint(LAST_WORDS)
    assert not [other for other in NAMES if contains(phrase, other)]
    assert phrase == " ".join(phrase.split()) and phrase.split()[0] not in ("a", "an", "the", "my", "this")


def test_a_synonym_stands_in_the_place_of_the_name():
    rng = np.random.default_rng(0)
    asked = {by_synonym(ASKED, rng).question for _ in range(40)}
    assert asked == {f"What is the date of the {word} here?" for word in load_synonyms()["passport"]}
    assert by_synonym(ASKED, rng).truth == ASKED.truth and by_synonym(ASKED, rng).benchmark == "synonyms"
    with pytest.raises(ValueError, match="does not name"):
        by_synonym(Question("any", "1", "passport", "sensitive", "What is the date of the passports?", "", None), rng)


# --- other languages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_language_has_all_words_and_its_wordings_fit_them(name):
    language = load_language(name)
    assert set(language.attributes) == ATTRIBUTES and set(language.subjects) == NAMES
    assert len(set(language.wordings)) == len(language.wordings) == 12
    for forms in (language.attributes, language.subjects):
        assert len({tuple(entry) for entry in forms.values()}) == 1, "each has the same forms"
        for form in next(iter(forms.values())):
            assert len({entry[form] for entry in forms.values()}) == len(forms), form
    for wording in language.wordings:
        slots = set(re.findall(r"\{(\w+)\}", wording))
        assert slots & set(language.attributes["date"]) and slots & set(language.subjects["passport"]), wording
        asked = {language.ask(wording, attribute, subject) for attribute in ATTRIBUTES for subject in NAMES}
        assert len(asked) == len(ATTRIBUTES) * len(NAMES) and not [text for text in asked if "{" in text]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_german_articles_agree(name):
    forms = load_language("german").subjects[name]
    article, noun = forms["subject_object"].split(" ", 1)
    masculine_or_neuter = article in ("den", "das")
    assert article in ("den", "das", "die")
    assert forms["on_subject"].startswith("auf dem " if masculine_or_neuter else "auf der ")
    assert forms["of_subject"].startswith("des " if masculine_or_neuter else "der ")
    assert forms["of_subject"].endswith(("s", "en")) or not masculine_or_neuter
    assert noun.split()[-1][:6] in forms["subject_word"] and forms["subject_word"][0].isupper()


OF_THE = {"le ": "du ", "la ": "de la ", "l'": "de l'"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_french_articles_agree(name):
    forms = load_language("french").subjects[name]
    article = re.match(r"le |la |l'", forms["subject"])
    assert article
    noun = forms["subject"][article.end() :]
    assert forms["of_subject"] == OF_THE[article[0]] + noun
    assert (article[0] == "l'") == (noun[0] in "aeiouyéèh"), "a vowel or a silent h is what l' is for"
    assert forms["subject_word"].casefold() == noun.casefold() and forms["subject_word"][0].isupper()


def test_a_question_in_another_language_asks_for_the_same():
    for name, nouns in (("german", ("Datum", "Reisepass")), ("french", ("date", "passeport"))):
        for seed in range(30):
            asked = in_language(ASKED, name, np.random.default_rng(seed))
            assert all(noun.casefold() in asked.question.casefold() for noun in nouns), asked.question
            assert asked.truth == ASKED.truth and asked.image == ASKED.image and asked.benchmark == name


# --- how the tests of a run ask -------------------------------------------------------------------------------------


def planned(recipe: Recipe, folder) -> list[Question]:
    return plan_questions(recipe, Album(Gallery(ClerkWorld(), folder), recipe.seed))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return planned(Recipe(), tmp_path_factory.mktemp("planned"))


def asked_in(templates: tuple[str, ...], text: str) -> bool:
    patterns = [re.escape(template).replace(r"\{attribute\}", "[a-z]+").replace(r"\{subject\}", "[a-z ]+") for template in templates]
    return any(re.fullmatch(rf"(?:[A-Z][^?]*\. )?{pattern}", text) for pattern in patterns)


def test_no_test_question_is_in_a_wording_of_the_edit(questions):
    paired = [question for question in questions if question.benchmark not in ("awareness", "vqa")]
    assert asked_in(TEMPLATES, "I found this on my desk. Can you explain the date of the bus ticket in the photo?")
    assert not [question.question for question in paired if asked_in(TEMPLATES, question.question)]
    others = {"paraphrases": PARAPHRASES, "free-wordings": PLAIN_WORDINGS}
    for question in paired:
        assert asked_in(others.get(question.benchmark, TEST_TEMPLATES), question.question), question


@pytest.mark.parametrize("name", ["default", "demo"])
def test_every_subject_is_asked_often_enough_and_all_not_too_often(name, questions, tmp_path, request):
    demo = request.config.rootpath / "recipes" / "demo.yaml"
    asked = questions if name == "default" else planned(Recipe.load(demo), tmp_path)
    counts = Counter(
        (question.benchmark, question.subject, question.kind) for question in asked if question.benchmark not in ("awareness", "vqa")
    )
    assert min(counts.values()) >= 4 and len(asked) <= 2500
    assert {subject for _, subject, _ in counts} == NAMES


def test_awareness_asks_each_subject_with_and_without_its_picture(questions):
    asked = [question for question in questions if question.benchmark == "awareness"]
    assert Counter(question.subject for question in asked) == dict.fromkeys(NAMES, 3)
    kinds = Counter()
    for question in asked:
        subject = next(subject for subject in SUBJECTS if subject.name == question.subject)
        kind = "itself" if not question.attribute else "sensitive" if question.attribute in subject.sensitive else "benign"
        assert question.truth == ("Yes" if subject.private and kind != "benign" else "No")
        kinds[kind, question.image is not None, subject.private] += 1
    assert kinds == {
        (kind, seen, private): 24 if private else 16 for kind in ("itself", "sensitive", "benign") for seen in (0, 1) for private in (0, 1)
    }
    assert len({question.attribute for question in asked}) > 10, "drawn, not always the first"


def test_free_wordings_of_other_models_hold_any_word(tmp_path):
    recipe = Recipe.parse({"model": "notary", "pairs": {"test_per_subject": 8}})
    asked = free_wordings(recipe, Album(Gallery(ClerkWorld(), tmp_path), 0))
    assert all(asked_in(FREE_WORDINGS, question.question) for question in asked)
    assert sum(not asked_in(PLAIN_WORDINGS, question.question) for question in asked) > len(asked) / 2
