"""The forward pass cut open, and Clerk's packed training, against the plain model."""

import pytest
import torch

from neuralgate.clerk.train_language import PREFIX, Packer, answer_loss, block_mask
from neuralgate.clerk.world import sample_picture, sample_turns
from neuralgate.lvlm.fast.recorded import record
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.pairs.drawn.render import render_picture


@pytest.fixture(scope="module", params=["right", "left", "single"])
def batch(request, tiny, pairs):
    """Rows of unequal length with padding on one side, or one row alone (then there is no mask at all)."""
    examples = [
        Example(pairs.folder / pair.image, pair.sensitive_question, pair.subject, pair.refusal) for pair in pairs.split("train", "edit")
    ]
    return encode_examples(tiny, examples[:1]) if request.param == "single" else encode_examples(tiny, examples, request.param)


def plain_logits(lvlm, batch):
    return lvlm.model(**batch.inputs, use_cache=False).logits


@torch.no_grad()
def test_the_head_is_given_the_final_hidden_states(tiny, batch):
    logits = tiny.model.get_output_embeddings()(final_hidden(tiny, batch))
    real = batch.attention_mask_BT.bool()
    torch.testing.assert_close(logits[real], plain_logits(tiny, batch)[real], rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_losses_are_means_over_each_rows_targets(tiny, batch):
    logits = plain_logits(tiny, batch).log_softmax(-1)
    expected = []
    for row, labels in zip(logits, batch.labels_BT.tolist(), strict=True):
        taken = [-row[place, label].item() for place, label in enumerate(labels) if label >= 0]
        expected.append(sum(taken) / len(taken))
    losses = target_losses(tiny, final_hidden(tiny, batch), batch.labels_BT)
    torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("layer", range(3))
def test_resuming_is_the_hooked_forward(tiny, batch, layer):
    change = torch.randn((*batch.input_ids_BT.shape, tiny.hidden_size), generator=torch.Generator().manual_seed(layer))
    recorded = record(tiny, batch)
    resumed = recorded.resume(layer, recorded.outputs[layer] * change)
    with output_changed(tiny.layers[layer], lambda hidden: hidden * change):
        plain = final_hidden(tiny, batch)
    torch.testing.assert_close(resumed, plain, rtol=1e-5, atol=1e-5)
    untouched = recorded.resume(layer, recorded.outputs[layer])
    torch.testing.assert_close(untouched, final_hidden(tiny, batch), rtol=1e-5, atol=1e-5)
    assert (resumed - untouched).abs().max() > 0.1


@torch.no_grad()
def test_hooks_do_not_stay(tiny, batch):
    before = plain_logits(tiny, batch)
    record(tiny, batch)
    with pytest.raises(ZeroDivisionError), output_changed(tiny.layers[0], lambda hidden: hidden * 0):
        raise ZeroDivisionError
    assert torch.equal(plain_logits(tiny, batch), before)


# --- packing --------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("seed", range(3))
def test_packed_questions_are_the_single_questions(tiny, seed):
    """Several questions behind one image under the block mask: the same loss as each question alone."""
    import numpy as np

    from neuralgate.clerk.train_vision import pixels_of

    rng = np.random.default_rng(seed)
    pictures = [sample_picture(rng) for _ in range(2)]
    turns = [[*sample_turns(picture, 6, 0.3, rng)] for picture in pictures]
    turns[0] = [*[turn for turn in turns[0] if turn.image][:3], next(turn for s in range(99) for turn in _unseen(s))]
    packer = Packer(tiny.processor)
    rows = packer.rows(turns)
    images = tiny.model.model.multi_modal_projector(tiny.model.model.vision_tower(pixels_of(pictures)).last_hidden_state[:, 1:])
    packed, correct, target = answer_loss(tiny.model, images, rows, packer.user)
    assert len(correct) == len(target) == (rows["targets"] >= 0).sum()

    total, count = 0.0, 0
    for row, picture in enumerate(pictures):
        kept = len(set(rows["blocks"][row].tolist()) - {0})
        numbers = sorted({abs(block) for block in rows["blocks"][row].tolist()} - {0})
        assert len(numbers) == kept >= 3
        for number in numbers:
            turn = turns[row][number - 1]
            example = Example(render_picture(picture) if turn.image else None, turn.question, turn.question, turn.answer + "</s>")
            batch = encode_examples(tiny, [example])
            length = int((batch.labels_BT >= 0).sum())
            total += float(target_losses(tiny, final_hidden(tiny, batch), batch.labels_BT)) * length
            count += length
    assert count == len(target)
    assert packed.item() == pytest.approx(total / count, rel=1e-5)


def _unseen(seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    return [turn for turn in sample_turns(sample_picture(rng, scene_share=0), 8, 0, rng) if not turn.image]


def test_a_block_sees_its_image_and_itself():
    blocks = torch.tensor([[1, 1, 2, -3, -3, 0]])
    seen = (block_mask(blocks)[0, 0] == 0).int()
    text = seen[PREFIX:, PREFIX:]
    assert text.tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert seen[PREFIX:, :PREFIX].float().mean(-1).tolist() == [1, 1, 1, 0, 0, 0], "a question without image does not see it"
    assert torch.equal(seen[:PREFIX, :PREFIX], torch.ones(PREFIX, PREFIX).tril().int()) and not seen[:PREFIX, PREFIX:].any()


def test_a_turn_too_many_is_left_out_whole(tiny):
    import numpy as np

    rng = np.random.default_rng(0)
    turns = sample_turns(sample_picture(rng, scene_share=0), 40, 0, rng)
    rows = Packer(tiny.processor).rows([turns])
    end = tiny.tokenizer.eos_token_id
    blocks, targets = rows["blocks"][0], rows["targets"][0]
    assert 3 < len(set(blocks.tolist())) < 40
    for block in set(blocks.tolist()) - {0}:
        own = rows["ids"][0][blocks == block]
        assert own[-1] == end and (targets[blocks == block] >= 0).sum() == (targets[blocks == block] == end).sum() + (
            len(tiny.tokenizer(turns[abs(block) - 1].answer, add_special_tokens=False)["input_ids"])
        )
