"""What the layers below an edited one make of a prompt is computed once, and the answers are those of the whole model."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from neuralgate.chunks import Chunks
from neuralgate.evaluate.ask import ask
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.prompt import Prompt
from neuralgate.interventions.steering import Steering
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import find_roles
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.recipe import EvaluateConfig

LAYER = 1


@pytest.fixture
def items(pairs: PairSet) -> list[tuple]:
    asked = [(pairs.folder / pair.image, question) for pair in pairs for question in (pair.benign_question, pair.sensitive_question)]
    return [*asked, (None, "Is the passport private?")]


def change(lvlm: LVLM, seed: int) -> None:
    weight = lvlm.ffn_out(LAYER).weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed), dtype=weight.dtype)
    with torch.no_grad():
        weight.add_(noise)


def count_calls(lvlm: LVLM, layer: int) -> list[int]:
    """The number of times that this layer's FFN has run, in one place."""
    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1

    lvlm.ffn_out(layer).register_forward_hook(count)
    return calls


def test_edits_answer_as_without_it(tiny_copy: LVLM, items: list[tuple]) -> None:
    below, calls = Below(tiny_copy, LAYER), count_calls(tiny_copy, 0)
    seen = set()
    for seed in range(3):
        change(tiny_copy, seed)
        plain = tiny_copy.generate(items, max_new_tokens=6, batch_size=5)
        needed, calls[0] = calls[0], 0
        with below.used():
            assert tiny_copy.generate(items, max_new_tokens=6, batch_size=5) == plain
        passes = 0 if seed == 0 else len(below.passes)
        assert below.passes and calls[0] == needed - passes
        calls[0] = 0
        seen.add(tuple(plain))
    assert len(seen) == 3  # the changes were some
    assert tiny_copy.below is None and not any("forward" in layer.__dict__ for layer in tiny_copy.layers)


def test_logits_are_the_same_bits(tiny_copy: LVLM, items: list[tuple]) -> None:
    heard: list[torch.Tensor] = []
    tiny_copy.head.register_forward_hook(lambda *hooked: heard.append(hooked[-1].clone()))
    below = Below(tiny_copy, LAYER)
    for seed in range(2):
        change(tiny_copy, seed)
        tiny_copy.generate(items, max_new_tokens=3)
        plain, heard[:] = list(heard), []
        with below.used():
            tiny_copy.generate(items, max_new_tokens=3)
        assert len(plain) == len(heard) and all(map(torch.equal, plain, heard))
        heard.clear()


def test_other_questions_and_other_batches_are_others(tiny_copy: LVLM, items: list[tuple]) -> None:
    below = Below(tiny_copy, LAYER)
    for asked, batch_size in ((items, 64), (items[::-1][2:], 64), (items, 3), ([(items[0][0], "Describe the image.")], 64)):
        plain = tiny_copy.generate(asked, max_new_tokens=4, batch_size=batch_size)
        with below.used():
            assert tiny_copy.generate(asked, max_new_tokens=4, batch_size=batch_size) == plain


def test_no_more_is_kept_than_there_is_room_for(tiny: LVLM, items: list[tuple]) -> None:
    whole = Below(tiny, LAYER)
    with whole.used():
        plain = tiny.generate(items, max_new_tokens=4, batch_size=4)
    sizes = [one.size for one in whole.passes.values()]
    half = Below(tiny, LAYER, kept_bytes=sum(sizes) // 2)
    for _ in range(2):
        with half.used():
            assert tiny.generate(items, max_new_tokens=4, batch_size=4) == plain
    kept = sum(one.size for one in half.passes.values())
    assert 0 < kept <= sum(sizes) // 2 and half.room == sum(sizes) // 2 - kept


def test_pictures_in_memory_are_not_known_again(tiny: LVLM) -> None:
    below = Below(tiny, LAYER)
    with below.used():
        tiny.generate([(Image.new("RGB", (32, 32), "red"), "Describe the image.")], max_new_tokens=2)
    assert not below.passes


def test_an_interrupted_pass_leaves_nothing(tiny_copy: LVLM, items: list[tuple]) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    below = Below(tiny_copy, LAYER + 1)
    handle = tiny_copy.ffn_out(LAYER).register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="in the middle"), below.used():
        tiny_copy.generate(items, max_new_tokens=2)
    handle.remove()
    assert not below.passes and tiny_copy.below is None and not any("forward" in layer.__dict__ for layer in tiny_copy.layers)


@pytest.mark.parametrize(
    ("role", "lowest"), [("decoder.1.ffn.out", 1), ("decoder.1.attention.query", 1), ("embeddings", 0), ("decoder.norm", None), ("head", 0)]
)
def test_what_a_patch_leaves_as_it_was(tiny_copy: LVLM, role: str, lowest: int | None) -> None:
    tensor = find_roles(tiny_copy.model, [role])[role]
    base = {role: tensor.detach().clone()}
    patch = Patch.between(tiny_copy, base, {role: base[role] * 2}, {})
    assert patch.unchanged_below(tiny_copy) == (len(tiny_copy.layers) if lowest is None else lowest)


def test_what_other_interventions_leave_as_it_was(tiny: LVLM) -> None:
    steering = Steering.for_model(tiny, {1: torch.ones(tiny.hidden_size)}, {})
    assert steering.unchanged_below(tiny) == 1
    for one in (Prompt("Keep it to yourself."), Filter(words=("number",))):
        assert one.unchanged_below(tiny) == len(tiny.layers)


def test_the_pictures_of_a_run_are_asked_for_once(tiny_copy: LVLM, pairs: PairSet) -> None:
    """Variants of one layer: below it the first chunk's pictures and questions are gone through for the base alone."""
    questions = [
        Question("x", str(number), pair.subject, "sensitive", pair.sensitive_question, "", str(pair.image))
        for number, pair in enumerate(pairs)
    ]
    role = f"decoder.{LAYER}.ffn.out"
    base = {role: tiny_copy.ffn_out(LAYER).weight.detach().clone()}
    variants = {"base": None, **{f"v{n}": Patch.between(tiny_copy, base, {role: base[role] * n}, {}) for n in (2, 3)}}
    calls, counts = count_calls(tiny_copy, 0), dict[int, int]()
    for chosen in (["base"], ["base", "v2", "v3"]):
        calls[0], chunks = 0, Chunks()
        ask(tiny_copy, questions, pairs.folder, {name: variants[name] for name in chosen}, EvaluateConfig(max_new_tokens=1), None, chunks)
        counts[len(chosen)] = calls[0]
    assert counts[3] == counts[1]  # a single token: nothing but first passes
