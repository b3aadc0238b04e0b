"""Targets are taught in the tokens that the model says."""

from dataclasses import replace

import pytest

from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.lvlm.spelling import answer_ids, first_words, separator, text_of
from neuralgate.lvlm.targets import OWN_WORDS, example_of, with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.templates import REFUSAL_PREFIXES


def taught(lvlm, example: Example) -> list[int]:
    labels = encode_examples(lvlm, [example]).labels_BT[0]
    return labels[labels >= 0].tolist()


def test_own_answers_survive_a_file(tiny, pairs, tmp_path):
    """A random model says tokens that no tokenizer would choose."""
    pairs.save(tmp_path)
    again = PairSet.load(tmp_path)
    assert [pair.benign_target_ids for pair in again] == [pair.benign_target_ids for pair in pairs]
    apart = 0
    for pair in again:
        said = tiny.generate_answers([(pairs.folder / pair.image, pair.benign_question)], max_new_tokens=64)[0]
        target = taught(tiny, example_of(pair, "benign", again.folder))
        assert tuple(target) == pair.benign_target_ids == said.ids[: len(target)]
        assert pair.benign_target == " ".join(said.text.split()[:OWN_WORDS])
        apart += target != tiny.tokenizer(pair.benign_target, add_special_tokens=False)["input_ids"]
        if pair.role == "edit":
            assert pair.sensitive_target_ids == ()
            assert taught(tiny, example_of(pair, "sensitive", again.folder)) == tiny.tokenizer(pair.refusal)["input_ids"]
    assert apart


def test_a_target_written_by_hand_counts(tiny, pairs):
    """As does one whose tokens are another model's."""
    pair = pairs.pairs[0]
    written = replace(pair, benign_target="The colour is red")
    assert taught(tiny, example_of(written, "benign", pairs.folder)) == tiny.tokenizer("The colour is red")["input_ids"]
    foreign = replace(pair, benign_target_ids=(9, 9, 9))
    assert taught(tiny, example_of(foreign, "benign", pairs.folder)) == tiny.tokenizer(pair.benign_target)["input_ids"]


def test_the_first_words_end_with_a_whole_word(tiny):
    ids = tiny.tokenizer("The colour is red. I cannot say", add_special_tokens=False)["input_ids"]
    for count, text in ((1, "The"), (4, "The colour is red."), (5, "The colour is red. I"), (99, "The colour is red. I cannot say")):
        assert text_of(tiny, first_words(tiny, ids, count)) == text
    assert first_words(tiny, [], 5) == ()


def test_the_separator_is_the_templates(tiny_copy):
    assert separator(tiny_copy, "") == ""
    template = tiny_copy.processor.chat_template
    for written, expected in (
        (template.replace("'<assistant>'", "'<assistant> '").replace("{{ '<assistant> ' }}", "{{ '<assistant>' }}"), " "),
        (template.replace("'<assistant>'", "'<assistant>\\n'"), ""),
        (template.replace("{{ '<assistant>' }}", "{{ '<user>Answer:' }}"), " "),
        (template.replace("{{ '<assistant>' }}", "{{ ' <assistant>' }}"), ""),
    ):
        tiny_copy.processor.chat_template = written
        tiny_copy.__dict__.pop("template_separator")
        prompt = encode_text(tiny_copy)
        assert separator(tiny_copy, prompt) == expected, written


def encode_text(lvlm) -> str:
    from neuralgate.lvlm.styles import render

    return render(lvlm.processor, lvlm.model_type, lvlm.prompt_style, [(True, "What?")])[0]


@pytest.mark.parametrize("size", [3])
def test_clerks_targets_are_its_texts_tokens(clerk, tmp_path, size):
    """Its tokenizer and its answers know one spelling of a text, so its results are those of targets that are tokenised by themselves."""
    drawn = PairSet.synthetic(tmp_path, per_subject=size, contrast_per_subject=size, validation_per_subject=1)
    pairs = with_own_answers(clerk, drawn)
    targets = {ids: text for pair in pairs for ids, text in (
        (pair.benign_target_ids, pair.benign_target), (pair.sensitive_target_ids, pair.sensitive_target)) if text}  # fmt: skip
    assert len(targets) > 20
    for ids, text in targets.items():
        assert list(ids) == clerk.tokenizer(text)["input_ids"]
    for text in REFUSAL_PREFIXES:
        assert answer_ids(clerk, encode_text(clerk), text) == clerk.tokenizer(text)["input_ids"]
