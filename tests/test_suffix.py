"""Questions run from their first changed token on, against the whole model with a hook."""

import pytest
import torch
from torch.nn import functional as F

from neuralgate.lvlm.fast.suffix import Before, Suffix, attend, suffix_mask
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.prompts import SUBJECT, Example, encode_examples

exact = {"rtol": 1e-9, "atol": 1e-11}
WORDINGS = ("What is the number of the {} in this picture?", "The {} in the picture: please tell me its number.", "Read the {} aloud.")


def groups_of(pairs, image=True, count=3):
    return [
        [
            Example(pairs.folder / pair.image if image else None, text.format(pair.subject), pair.subject, pair.refusal[: 12 + 3 * number])
            for number, text in enumerate(WORDINGS)
        ]
        for pair in pairs.split("train", "edit").pairs[:count]
    ]


def is_subject(classes_T):
    return classes_T == SUBJECT


@torch.no_grad()
@pytest.mark.parametrize("image", [True, False], ids=["one image a group", "text alone"])
@pytest.mark.parametrize("layer", [0, 1])
def test_losses_are_those_of_the_hooked_model(tiny_double, pairs, image, layer):
    groups = groups_of(pairs, image)
    suffix = Suffix(tiny_double, groups, 0, is_subject)
    factor = torch.randn(tiny_double.hidden_size, generator=torch.Generator().manual_seed(layer)).double()

    def losses(suffix, count):
        hidden = suffix.outputs[layer] * torch.where(suffix.changing_BT[..., None], factor, 1.0)
        found = target_losses(tiny_double, suffix.resume(layer, hidden), suffix.labels_BT)
        assert len(found) == count
        return found

    expected = []
    for example in (example for group in groups for example in group):
        batch = encode_examples(tiny_double, [example])
        scale = torch.where(batch.is_class(SUBJECT)[..., None], factor, 1.0)
        with output_changed(tiny_double.layers[layer], lambda hidden, scale=scale: hidden * scale):
            expected.append(target_losses(tiny_double, final_hidden(tiny_double, batch), batch.labels_BT))
    torch.testing.assert_close(losses(suffix, 9), torch.cat(expected), **exact)
    kept = torch.tensor([False, True, True]).repeat_interleave(3)
    torch.testing.assert_close(losses(suffix.select(kept, layer), 6), torch.cat(expected[3:]), **exact)
    # the image, and whatever stands before the questions, is held once a group
    assert suffix.before[1].keys_NKPE.shape[0] == (3 if image else 9)
    assert suffix.before[1].keys_NKPE.shape[2] > 60 or not image
    assert suffix.labels_BT.shape[1] < 40 and sorted(suffix.before) == [1, 2] and sorted(suffix.outputs) == [0, 1, 2]


def test_gradients_are_those_of_the_hooked_model(tiny_double, pairs):
    groups = groups_of(pairs, count=2)
    suffix = Suffix(tiny_double, groups, 0, is_subject)
    found = torch.ones(tiny_double.hidden_size, dtype=torch.double, requires_grad=True)
    hidden = suffix.outputs[0] * torch.where(suffix.changing_BT[..., None], found, 1.0)
    target_losses(tiny_double, suffix.resume(0, hidden), suffix.labels_BT).sum().backward()
    expected = torch.ones_like(found, requires_grad=True)
    batch = encode_examples(tiny_double, [example for group in groups for example in group])
    scale = torch.where(batch.is_class(SUBJECT)[..., None], expected, 1.0)
    with output_changed(tiny_double.layers[0], lambda hidden: hidden * scale):
        target_losses(tiny_double, final_hidden(tiny_double, batch), batch.labels_BT).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad, **exact)
    assert expected.grad.abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_as_the_plain_form_is(tiny_folder, tiny, pairs, dtype):
    half = load(tiny_folder, "bfloat16" if dtype == torch.bfloat16 else "float16")
    groups = groups_of(pairs)
    batch = encode_examples(tiny, [example for group in groups for example in group])
    true = target_losses(tiny, final_hidden(tiny, batch), batch.labels_BT)
    batch = encode_examples(half, [example for group in groups for example in group])
    plain = target_losses(half, final_hidden(half, batch), batch.labels_BT)
    suffix = Suffix(half, groups, 0, is_subject)
    found = target_losses(half, suffix.resume(0, suffix.outputs[0]), suffix.labels_BT)
    assert suffix.outputs[0].dtype == dtype and found.dtype == torch.float32
    assert 0 < (found - true).abs().mean() < 1.5 * (plain - true).abs().mean()


@pytest.mark.parametrize("shared", [0, 7])
@pytest.mark.parametrize("heads", [4, 2, 1], ids=lambda heads: f"{heads} key heads")
def test_attention_is_torchs_own(heads, shared):
    """Groups of two questions, four query heads, shared parts of unequal length, and the gradients of all that has one."""
    torch.manual_seed(0)
    groups, rows, own, tokens, size = 3, 6, 2, 5, 8
    query = torch.randn(rows, 4, tokens, size, dtype=torch.double, requires_grad=True)
    key, value = (torch.randn(rows, heads, tokens, size, dtype=torch.double, requires_grad=True) for _ in range(2))
    known = [torch.randn(groups, heads, shared, size, dtype=torch.double) for _ in range(2)]
    alone = [torch.randn(rows, heads, own, size, dtype=torch.double) for _ in range(2)]
    padding = torch.zeros(groups, 1, 1, shared, dtype=torch.bool)
    padding[1, ..., 4:] = True
    own_BM = torch.tensor([[True, True]] * 5 + [[True, False]])
    mask = suffix_mask(own_BM, tokens, torch.double)
    found, _ = attend(None, query, key, value, mask, 0.3, Before(*known, *alone, padding if shared else None))
    hidden = torch.zeros(rows, 1, tokens, shared, dtype=torch.double).masked_fill(padding.repeat_interleave(2, 0), float("-inf"))
    parts = [[part.repeat_interleave(2, 0), *rest] for part, *rest in zip(known, alone, (key, value), strict=True)]
    keys, values = (torch.cat(part, 2).repeat_interleave(4 // heads, 1) for part in parts)
    expected = F.scaled_dot_product_attention(query, keys, values, torch.cat([hidden, mask], -1), scale=0.3).transpose(1, 2)
    torch.testing.assert_close(found, expected, **exact)
    weight = torch.randn_like(found)
    for name, one, other in zip(
        ("query", "key", "value"),
        torch.autograd.grad((found * weight).sum(), (query, key, value)),
        torch.autograd.grad((expected * weight).sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **exact, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_next_to_a_sink_a_questions_own_tokens_are_not_lost(dtype):
    """A shared first token that takes nearly all attention, as real models have: the rest is as exact as in eager attention."""
    torch.manual_seed(1)
    groups, rows, heads, shared, own, tokens, size = 2, 4, 2, 9, 3, 6, 16
    query, key, value = (torch.randn(rows, heads, tokens, size, dtype=torch.double) for _ in range(3))
    known = [torch.randn(groups, heads, shared, size, dtype=torch.double) for _ in range(2)]
    alone = [torch.randn(rows, heads, own, size, dtype=torch.double) for _ in range(2)]
    query[..., 0], known[0][:, :, 0, 0], known[1][:, :, 0] = 4.0, 8.0, 0.01 * known[1][:, :, 0]
    weight = torch.randn(rows, tokens, heads, size, dtype=torch.double)

    def eager(query, key, value, known, alone, mask):
        keys, values = (torch.cat([part.repeat_interleave(2, 0), *rest], 2) for part, *rest in zip(known, alone, (key, value), strict=True))
        scores = (query @ keys.mT) * 0.25 + F.pad(mask, (shared, 0))
        wide = torch.promote_types(scores.dtype, torch.float32)
        return (scores.softmax(-1, dtype=wide).to(query.dtype) @ values).transpose(1, 2)

    def joined(query, key, value, known, alone, mask):
        return attend(None, query, key, value, mask, 0.25, Before(*known, *alone, None))[0]

    def results(form, dtype):
        inputs = [part.to(dtype).requires_grad_() for part in (query, key, value)]
        mask = suffix_mask(torch.ones(rows, own, dtype=torch.bool), tokens, dtype)
        output = form(*inputs, [part.to(dtype) for part in known], [part.to(dtype) for part in alone], mask)
        return [part.double() for part in (output, *torch.autograd.grad((output * weight.to(dtype)).sum(), inputs))]

    exact_results = results(eager, torch.double)
    for name, true, theirs, ours in zip(
        ("output", "query", "key", "value"), exact_results, results(eager, dtype), results(joined, dtype), strict=True
    ):
        assert (ours - true).norm() < 2 * (theirs - true).norm(), name


def test_groups_have_equally_many_questions(tiny, pairs):
    first, second, _ = groups_of(pairs)
    with pytest.raises(ValueError, match="equally many"):
        Suffix(tiny, [first, second[:2]], 0, is_subject)


def test_the_models_own_attention_comes_back(tiny, pairs):
    config = tiny.layers[0].self_attn.config
    before = config._attn_implementation
    suffix = Suffix(tiny, groups_of(pairs), 0, is_subject)
    with pytest.raises(RuntimeError):
        suffix.resume(0, suffix.outputs[0][..., :-1])
    assert config._attn_implementation == before
