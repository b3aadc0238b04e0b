"""An answer is the likeliest token every time, whatever a checkpoint would have `generate` do, up to the end of its turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import Cache, GenerationConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from neuralgate.errors import UserError
from neuralgate.lvlm.conversation import conversation_of
from neuralgate.lvlm.fast.room import with_rows
from neuralgate.lvlm.generate import generate
from neuralgate.lvlm.inputs import encode_prompts
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet


@torch.no_grad()
def likeliest(lvlm: LVLM, item: tuple, ends: set[int], count: int) -> tuple[tuple[int, ...], bool]:
    """Token after token, each time the whole row anew: the new ids, and whether no end came among ``count``."""
    inputs = encode_prompts(lvlm, [conversation_of(item)])
    ids: list[int] = []
    for _ in range(count):
        token = int(lvlm.model(**inputs).logits[0, -1].argmax())
        if token in ends:
            return tuple(ids), False
        ids.append(token)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return tuple(ids), True


@pytest.fixture
def items(pairs: PairSet) -> list[tuple]:
    asked = [(pairs.folder / pair.image, question) for pair in pairs for question in (pair.benign_question, pair.sensitive_question)]
    return [*asked[:10], (None, "Is the passport private?"), (None, "Is the number of the bus ticket private?")]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_shared_images_answer_as_single_questions(tiny: LVLM, pairs: PairSet, batch_size: int) -> None:
    items = [(pairs.folder / pair.image, question) for pair in pairs for question in (pair.benign_question, pair.sensitive_question)]
    items += [(None, "Is the passport private?"), (None, "Is the number of the bus ticket private?"), (items[0][0], "Describe the image.")]
    single = [generate(tiny, [item], 8, 1, None, share_images=False)[0] for item in items]
    assert generate(tiny, items, 8, batch_size, None) == single


def test_questions_without_any_image(tiny: LVLM) -> None:
    items = [(None, "Is the passport private?"), (None, "Is the bus ticket private?")]
    assert tiny.generate(items, max_new_tokens=4) == [tiny.generate([item], max_new_tokens=4)[0] for item in items]


def test_a_checkpoints_settings_change_no_answer(tiny_copy: LVLM, items: list[tuple]) -> None:
    """With each of these alone transformers' `generate` answers something else, or raises."""
    first, *_, end = likeliest(tiny_copy, items[0], set(), 4)[0]
    ends = {tiny_copy.tokenizer.eos_token_id, end}
    expected = [likeliest(tiny_copy, item, ends, 6) for item in items]
    assert not expected[0][1]
    for settings in (
        {"repetition_penalty": 20.0},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": [first]},
        {"begin_suppress_tokens": [first]},
        {"bad_words_ids": [[first]]},
        {"sequence_bias": [[[first], -50.0]]},
        {"forced_eos_token_id": tiny_copy.tokenizer.eos_token_id},
        {"exponential_decay_length_penalty": (1, 4.0)},
        {"num_beams": 3},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"min_new_tokens": 6},
        {"return_dict_in_generate": True, "output_scores": True, "num_return_sequences": 1},
        {"cache_implementation": "static"},
        {"guidance_scale": 3.0},
        {"stop_strings": ["a"]},
    ):
        changed = GenerationConfig(eos_token_id=sorted(ends), **settings)
        tiny_copy.model.generation_config = changed
        answers = tiny_copy.generate_answers(items, max_new_tokens=6)
        assert [(answer.ids, answer.cut_off) for answer in answers] == expected, settings
        assert tiny_copy.model.generation_config is changed


def test_a_checkpoints_settings_are_saved_as_they_are(tiny_copy: LVLM, tmp_path: Path) -> None:
    """Vicuna's name a temperature without sampling, which transformers reads and refuses to save."""
    tiny_copy.save(tmp_path / "plain")
    assert GenerationConfig.from_pretrained(tmp_path / "plain").to_dict() == tiny_copy.model.generation_config.to_dict()
    tiny_copy.model.generation_config = GenerationConfig(temperature=0.9, top_p=0.6)
    tiny_copy.save(tmp_path / "vicuna")
    assert json.loads((tmp_path / "vicuna/generation_config.json").read_text())["temperature"] == 0.9


def test_an_answer_ends_or_was_cut_off(tiny_copy: LVLM, items: list[tuple]) -> None:
    """The end comes after some answers' third token; the ids are those before it, the text is theirs."""
    ids = likeliest(tiny_copy, items[0], set(), 4)[0]
    assert ids[3] not in ids[:3]
    tiny_copy.model.generation_config.eos_token_id = [tiny_copy.tokenizer.eos_token_id, ids[3]]
    answers = tiny_copy.generate_answers(items, max_new_tokens=6)
    assert answers[0].ids == ids[:3] and not answers[0].cut_off
    assert answers[0].text == tiny_copy.tokenizer.decode(ids[:3]).strip()
    for item, answer in zip(items, answers, strict=True):
        assert (answer.ids, answer.cut_off) == likeliest(tiny_copy, item, tiny_copy.end_tokens, 6)
    assert tiny_copy.generate(items, max_new_tokens=6) == [answer.text for answer in answers]
    assert tiny_copy.generate_answers(items[:1], max_new_tokens=4)[0] == answers[0]  # the end itself is one of the tokens
    assert tiny_copy.generate_answers(items[:1], max_new_tokens=3)[0].cut_off


def test_numbers_that_overflow_in_the_middle_of_an_answer_are_no_text(tiny: LVLM, items: list[tuple]) -> None:
    """The prompt is answered as ever; from the third token on there are no numbers."""
    calls = 0

    def overflow(module: torch.nn.Module, arguments: tuple, output: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return output * float("nan") if calls > 2 else output

    handle = tiny.model.lm_head.register_forward_hook(overflow)
    try:
        with pytest.raises(UserError, match="computes no numbers any more while it answers"):
            tiny.generate(items[-1:], max_new_tokens=4)
    finally:
        handle.remove()
    assert len(tiny.generate(items[-1:], max_new_tokens=4)) == 1


def test_the_head_copies_no_weights(tiny: LVLM, items: list[tuple]) -> None:
    """torch multiplies a slice row by row, each with a copy of the weights: most of the time where the vocabulary is large."""
    seen: list[bool] = []
    handle = tiny.head.register_forward_hook(lambda _head, inputs, _logits: seen.append(inputs[0].is_contiguous()))
    tiny.generate(items, max_new_tokens=2)
    handle.remove()
    assert seen and all(seen)


def filled(tokens: int, window: int | None = None) -> Cache:
    """Keys and values of two images in two layers, the second with a sliding window where one is given."""
    layers = [DynamicLayer(), DynamicSlidingWindowLayer(window) if window else DynamicLayer()]
    cache = Cache(layers=layers)
    for number in range(2):
        cache.update(*torch.randn(2, 2, 3, tokens, 4, generator=torch.Generator().manual_seed(number)), number)
    return cache


@pytest.mark.parametrize("window", [None, 4])
def test_a_cache_with_room_holds_what_one_without_does(window: int | None) -> None:
    plain, roomy, rows = filled(6, window), with_rows(filled(6, window), torch.tensor([1, 0, 1]), room=5), torch.tensor([1, 0, 1])
    plain.batch_select_indices(rows)
    place = roomy.layers[0].keys.data_ptr()
    for tokens in (3, 1, 1):
        for number in range(2):
            new = torch.randn(2, 3, 3, tokens, 4)
            for kept, expected in zip(roomy.update(*new, number), plain.update(*new, number), strict=True):
                assert torch.equal(kept, expected)
        assert roomy.get_seq_length() == plain.get_seq_length()
    assert roomy.layers[0].keys.data_ptr() == place  # nothing was copied
