"""How a conversation is written, and answers that are drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import Conversation, write_prompts
from neuralgate.lvlm.generate import Draw, Sampling
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.styles import MINIGPT4_SYSTEM, VICUNA_SYSTEM
from tests.plain_likelihood import plain_logits

TURNS = (("What is it? ", " A passport."), ("Whose?", "Anna's."))
EACH = "{% for message in messages %}"
DIALOGUE = "What is it? ASSISTANT: A passport.</s>USER:"
PARTS = "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"


def written(lvlm: LVLM, conversation: Conversation) -> str:
    return write_prompts(lvlm, [conversation], len(conversation.images))[0]


@pytest.mark.parametrize(
    ("style", "conversation", "expected"),
    [
        ("vicuna", Conversation("And when?", (None,), TURNS),
         f"USER: <image>\n{DIALOGUE} Whose? ASSISTANT: Anna's.</s>USER: And when? ASSISTANT:"),
        ("vicuna_v1", Conversation("When?", (), TURNS[:1]), f"{VICUNA_SYSTEM}USER: {DIALOGUE} When? ASSISTANT:"),
        ("vicuna_v1", Conversation("When?", (None,), system="Be brief."), "Be brief. USER: <image>\nWhen? ASSISTANT:"),
        ("minigpt4_chat", Conversation("When?", (None,), TURNS[:1]),
         MINIGPT4_SYSTEM + "<s>[INST] <Img><image></Img> What is it? [/INST] A passport.<s>[INST] When? [/INST] "),
        ("question_answer", Conversation("When?", (None,), TURNS[:1]),
         "<image>Question: What is it? Answer: A passport. Question: When? Answer:"),
    ],
)  # fmt: skip
def test_styles_without_a_template(tiny_copy: LVLM, style: str, conversation: Conversation, expected: str) -> None:
    tiny_copy.prompt_style = style
    assert written(tiny_copy, conversation) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (f"{EACH}{{{{ message['role'] }}}}:{PARTS} {{% endfor %}}",
         "system:Be brief. user:<image>What is it? assistant:A passport. user:When? "),
        # as Mistral's and older ones: plain strings of anybody but the user
        (f"{EACH}{{% if message['role'] == 'user' %}}U:{PARTS}{{% else %}}{{{{ ' ' + message['content'] + ' ' }}}}"
         "{% endif %}{% endfor %}",
         " Be brief. U:<image>What is it? A passport. U:When?"),
    ],
    ids=["parts", "strings"],
)  # fmt: skip
def test_templates_of_both_forms(tiny_copy: LVLM, template: str, expected: str) -> None:
    tiny_copy.processor.chat_template = template
    assert written(tiny_copy, Conversation("When? ", (None,), TURNS[:1], "Be brief.")) == expected


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (f"{EACH}{{% if message['role'] != 'system' %}}{PARTS}{{% endif %}}{{% endfor %}}", "a system text"),
        (f"{{% set message = messages[-1] %}}{PARTS}", "earlier turns"),
        (f"{EACH}{{% if loop.index > 1 %}}{{{{ raise_exception('one alone') }}}}{{% endif %}}{PARTS}{{% endfor %}}", "earlier turns"),
    ],
    ids=["drops", "takes the last", "refuses"],
)  # fmt: skip
def test_a_template_that_leaves_something_out_is_refused(tiny_copy: LVLM, template: str, what: str) -> None:
    tiny_copy.processor.chat_template = template
    asked = Conversation("When?", (None,), system="Be brief.") if what == "a system text" else Conversation("When?", (), TURNS)
    with pytest.raises(UserError, match=f"does not write {what} as given; ask without"):
        written(tiny_copy, asked)


@pytest.mark.parametrize("field", ["question", "system", "prefill"])
def test_words_that_stand_for_a_picture_are_refused_everywhere(tiny: LVLM, field: str) -> None:
    with pytest.raises(UserError, match=r"holds <image>, which stands for a picture"):
        tiny.generate([replace(Conversation("Is it?"), **{field: "an <image> here"})])


# --- answers that are drawn -----------------------------------------------------------------------------------------


@pytest.fixture
def items(pairs):
    return [(pairs.folder / pair.image, pair.benign_question) for pair in pairs.pairs[:5]] + [(None, "Is the passport private?")]


def test_a_draw_hangs_on_its_seed_alone(tiny: LVLM, items: list) -> None:
    sampling = Sampling(temperature=1.5, seed=3, samples=2)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    answers = tiny.generate(items, max_new_tokens=6, sampling=sampling)
    assert torch.equal(torch.get_rng_state(), state), "nobody else's random numbers are touched"
    torch.manual_seed(2)
    assert tiny.generate(items, max_new_tokens=6, batch_size=3, sampling=sampling) == answers
    assert len(answers) == 2 * len(items) and all(first != second for first, second in zip(answers[::2], answers[1::2], strict=True))
    assert tiny.generate(items, max_new_tokens=6, sampling=replace(sampling, samples=1)) == answers[::2], "more samples change none"
    assert tiny.generate(items, max_new_tokens=6, sampling=replace(sampling, seed=4)) != answers


@pytest.mark.parametrize("sampling", [Sampling(temperature=1e-4), Sampling(top_p=1e-6)], ids=["cold", "narrow"])
def test_what_leaves_no_choice_is_greedy(tiny: LVLM, items: list, sampling: Sampling) -> None:
    assert tiny.generate_answers(items, max_new_tokens=5, sampling=sampling) == tiny.generate_answers(items, max_new_tokens=5)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.9, 1.0), (2.0, 0.9)])
def test_tokens_are_drawn_as_often_as_they_are_likely(tiny: LVLM, temperature: float, top_p: float) -> None:
    logits_V = plain_logits(tiny, Conversation("Is the passport private?"), [])[0]
    count = 20_000
    sampling = Sampling(temperature, top_p)
    draw = Draw(sampling, [(0, number) for number in range(count)], 1)
    ids = draw(torch.zeros(count, 0, dtype=torch.long), logits_V.expand(count, -1)).argmax(-1)
    shares_V = (logits_V.double() / temperature).softmax(-1)  # as precise as what is drawn from, or the last one kept may be another
    order = shares_V.argsort(descending=True)
    kept = order[: int((shares_V[order].cumsum(0) < top_p).sum()) + 1]
    assert len(kept) > 1 and set(ids.tolist()) <= set(kept.tolist())
    expected = shares_V[kept] / shares_V[kept].sum()
    drawn = torch.bincount(ids, minlength=len(logits_V))[kept] / count
    assert ((drawn - expected).abs() <= 5 * (expected * (1 - expected) / count).sqrt() + 1e-4).all()


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}, {"samples": 0}, {"seed": -1}]
)
def test_sampling_that_cannot_be_is_one_sentence(wrong: dict) -> None:
    with pytest.raises(UserError, match="takes a temperature above 0"):
        Sampling(**wrong)
