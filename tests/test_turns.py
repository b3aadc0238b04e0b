"""An answer ends where any of tokenizer, template and configuration says so, and what follows is no part of it."""

from __future__ import annotations

import pytest

from neuralgate.lvlm.generate import generated
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.turns import end_tokens, next_turn
from tests.small_tokenizer import tokenizer

EACH = "{% for message in messages %}{% set text = message['content'][0]['text'] %}{% set role = message['role'] %}"
CHATML = EACH + "<|im_start|>{{ role }}\n{{ text }}<|im_end|>\n{% endfor %}"
HEADER = EACH + "<|im_start|>{{ role }}<|mid|>\n\n{{ text }}<|im_end|>{% endfor %}"
VICUNA = EACH + "{{ role.upper() }}: {{ text }} {% endfor %}"
LLAMA = EACH + "{% if role == 'user' %}[INST] {{ text }} [/INST]{% else %} {{ text }}</s>{% endif %}{% endfor %}"
GLM = EACH + "<|{{ role }}|>\n{{ text }}{% endfor %}"
SMOL = EACH + "{{ role.capitalize() }}: {{ text }}<|im_end|>\n{% endfor %}"
LAST = EACH + "{{ role }}: {{ text }}{% if loop.last %}<|im_end|>{% endif %}\n{% endfor %}"
PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
    "{{ message['content'] if message['content'] is string else message['content'][0]['text'] }}[/INST]"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
)
WRITTEN_OUT = PLAIN.replace("message['content'] + '<|im_end|>' }}", "message['content'] }}<|im_end|>")
SINGLE = EACH + "{% if loop.index > 1 %}{{ raise_exception('one question alone') }}{% endif %}{{ text }}{% endfor %}"


def with_template(lvlm: LVLM, template: str) -> LVLM:
    lvlm.processor.chat_template = template
    lvlm.tokenizer.add_tokens(["<|im_start|>", "<|im_end|>", "<|mid|>", "<|user|>", "<|assistant|>"], special_tokens=True)
    return lvlm


@pytest.mark.parametrize(
    ("template", "ends", "opening"),
    [
        (CHATML, {"<|im_end|>"}, None),
        (HEADER, {"<|im_end|>"}, None),
        (VICUNA, set(), "USER:"),
        (LLAMA, set(), "[INST]"),
        (GLM, {"<|user|>"}, None),
        (SMOL, {"<|im_end|>"}, "User:"),
        (LAST, {"<|im_end|>"}, "user:"),
        (PLAIN, {"<|im_end|>"}, "[INST]"),
        (WRITTEN_OUT, {"<|im_end|>"}, "[INST]"),
        (SINGLE, set(), None),
    ],
)
def test_the_template_says_what_ends_a_turn(tiny_copy: LVLM, template: str, ends: set[str], opening: str | None) -> None:
    lvlm = with_template(tiny_copy, template)
    assert set(lvlm.tokenizer.convert_ids_to_tokens(list(end_tokens(lvlm)))) == ends | {"</s>"}
    found = next_turn(lvlm)
    assert (found and found.search(f"It is red.{opening} And")) if opening else found is None
    assert not (found and (found.search("Another user is shown") or found.search("the superUSER: group")))


def test_styles_without_a_template(tiny_copy: LVLM) -> None:
    tiny_copy.tokenizer.add_tokens(["<s>"], special_tokens=True)  # as Llama's has it
    openings = {"vicuna": "USER:", "vicuna_v1": "USER:", "minigpt4_chat": "[INST]", "minigpt4_train": "[INST]"}
    for style, opening in [*openings.items(), ("question_answer", "Question:")]:
        tiny_copy.prompt_style = style
        found = next_turn(tiny_copy)
        assert found and found.search(f"It is red. {opening} What")[0] == opening
    tiny_copy.prompt_style = "plain"
    assert next_turn(tiny_copy) is None


def test_an_end_that_the_configuration_forgot(tiny_copy: LVLM, tiny: LVLM) -> None:
    """generation_config.json is silent; config.json's number is a special token, or is a word of another tokenizer's."""
    item = (None, "Is the passport private?")
    ids = tiny.generate_answers([item], max_new_tokens=4)[0].ids
    tiny_copy.model.generation_config.eos_token_id = None
    tiny_copy.text_config.eos_token_id = ids[0]
    tiny_copy.tokenizer.eos_token = tiny.tokenizer.convert_ids_to_tokens(ids[2])
    answer = tiny_copy.generate_answers([item], max_new_tokens=4)[0]
    assert answer.ids == ids[:2] and not answer.cut_off
    tiny_copy.text_config.eos_token_id = [tiny.tokenizer.convert_tokens_to_ids("<user>")]
    assert tiny.tokenizer.convert_tokens_to_ids("<user>") in end_tokens(tiny_copy)


@pytest.mark.parametrize(
    ("sentencepiece", "template", "run_on"),
    [
        (True, VICUNA, " USER: And the number"),
        (False, VICUNA, "\nUSER: And the number"),
        (False, LLAMA, " [INST] And the number [/INST] 4"),
    ],
)
def test_a_next_turn_is_no_part_of_the_answer(tiny_copy: LVLM, sentencepiece: bool, template: str, run_on: str) -> None:
    tiny_copy.processor.tokenizer = tokenizer({}, sentencepiece)
    lvlm = with_template(tiny_copy, template)
    said, more = (lvlm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("It is red.", run_on))
    assert generated(lvlm, said).cut_off
    answer = generated(lvlm, said + more)
    assert answer.text == "It is red." and not answer.cut_off
    assert lvlm.tokenizer.decode(answer.ids).strip() == answer.text
    alone = generated(lvlm, more)
    assert alone.text == "" and not lvlm.tokenizer.decode(alone.ids).strip() and not alone.cut_off
