"""Every family: structure, spans, padding, the cut-open forward pass, the gated gradient, the patch."""

import json
import unicodedata
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from neuralgate.locate.samples import Sample
from neuralgate.locate.vectors import Prepared, optimise_vectors
from neuralgate.lvlm.families import FAMILIES as LISTED
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.fast.recorded import record
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.prompts import ANSWER, IMAGE, SUBJECT, Example, encode_examples
from neuralgate.lvlm.roles import find_decoder, find_role, role_of
from neuralgate.lvlm.spelling import first_words, separator, text_of
from neuralgate.recipe import LocateConfig
from neuralgate.training.masks import gated, gradient_mask
from tests.families.models import SIZE, WIDTH
from tests.plain_locate import plain_fit

#: Where the decoder hangs in transformers 5: a reader's check that no vision tower was taken.
PATHS = {
    "idefics3": "model.text_model",
    "smolvlm": "model.text_model",
    "blip-2": "language_model.model.decoder",
    "instructblip": "language_model.model",
}


@pytest.fixture(scope="module")
def batch(lvlm, examples):
    return encode_examples(lvlm, examples)


def test_the_edited_projection_is_the_decoders(lvlm):
    decoder, path = find_decoder(lvlm.model)
    assert path == PATHS.get(lvlm.model_type, "model.language_model")
    assert len(decoder.layers) == lvlm.text_config.num_hidden_layers
    for layer in range(len(decoder.layers)):
        assert lvlm.ffn_out(layer).weight.shape == (SIZE, WIDTH)
        assert find_role(lvlm.model, role_of(layer)) is lvlm.ffn_out(layer).weight


def test_the_tokens_are_those_of_the_chat_template(lvlm, examples):
    """transformers' own way from messages to tokens: no second <s>, nothing else added."""
    if not lvlm.processor.chat_template:
        pytest.skip("no chat template")
    for example in examples:
        content = [{"type": "image", "image": example.image}, {"type": "text", "text": example.question}]
        theirs = lvlm.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        ours = encode_examples(lvlm, [Example(example.image, example.question, example.subject, "")])
        assert ours.input_ids_BT.tolist() == theirs["input_ids"].tolist()


@pytest.mark.parametrize("side", ["right", "left"])
def test_spans_decode_back(lvlm, examples, side):
    batch = encode_examples(lvlm, examples, side)
    subjects, answers = batch.is_class(SUBJECT), batch.labels_BT >= 0
    for row, example in enumerate(examples):
        assert lvlm.tokenizer.decode(batch.input_ids_BT[row][subjects[row]]).strip() == example.subject
        assert lvlm.tokenizer.decode(batch.labels_BT[row][answers[row]]).strip() == example.answer
        assert batch.is_class(ANSWER)[row][answers[row]].all()
    assert torch.equal(batch.is_class(IMAGE), (batch.input_ids_BT == lvlm.image_token) & batch.attention_mask_BT.bool())
    assert batch.is_class(IMAGE).any(1).all()


@pytest.mark.parametrize(
    ("question", "subject", "span"),
    [
        ("İİİİ: what is the number of the passport here?\n", "passport", "passport"),
        ("What is the date of the photo in the photo?", "photo", "photo"),
        ("The scar: what is the name of the CAR on a scar?", "car", "CAR"),
        ("What is the name on the cafe\u0301 card, please?", "caf\u00e9 card", "cafe\u0301 card"),
    ],
    ids=["longer in lower case", "named twice", "inside a word", "taken apart"],
)
def test_spans_in_any_text(lvlm, examples, question, subject, span):
    start = question.index(span) if subject == "photo" else question.rindex(span)
    batch = encode_examples(lvlm, [Example(examples[0].image, question, subject, "I", (start, start + len(span)))])
    subject_T = batch.is_class(SUBJECT)[0].nonzero().flatten()
    said, behind = (
        composed(lvlm.tokenizer.decode(ids)) for ids in (batch.input_ids_BT[0][subject_T], batch.input_ids_BT[0, subject_T[-1] + 1 :])
    )
    assert said == composed(span) and behind.startswith(composed(question[start + len(span) :]))
    if subject != "photo":
        again = encode_examples(lvlm, [Example(examples[0].image, question, subject, "I")])
        assert torch.equal(again.classes_BT, batch.classes_BT)


def composed(text: str) -> str:
    """Some tokenizers compose letters with their accents."""
    return unicodedata.normalize("NFC", text).strip()


def test_a_subject_that_ends_the_prompt_is_refused(lvlm):
    """Its last token is where the answer begins."""
    example = Example(None, "Whose is this student passport", "student passport", "I")
    if lvlm.prompt_style == "plain" and lvlm.model_type != "paligemma":
        with pytest.raises(UserError, match="The subject 'student passport' ends the prompt; let something follow it"):
            encode_examples(lvlm, [example])
    else:
        encode_examples(lvlm, [example])


@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.text(max_size=20), st.text(max_size=20))
def test_spans_between_any_texts(lvlm, before, behind):
    question = f"{before} Passport {behind}?"
    batch = encode_examples(lvlm, [Example(None, question, "passport", "I", (len(before) + 1, len(before) + 9))])
    subject_T = batch.is_class(SUBJECT)[0].nonzero().flatten()
    assert lvlm.tokenizer.decode(batch.input_ids_BT[0][subject_T]).strip() == "Passport"


@torch.no_grad()
def test_an_own_answer_is_taught_as_it_was_said(lvlm, examples):
    """Through a file: the targets' tokens are the first ones of the greedy answer, and the likeliest at every place."""
    items = [(example.image, example.question) for example in examples]
    said = lvlm.generate_answers(items, max_new_tokens=24)
    kept = [first_words(lvlm, answer.ids, 5) for answer in said]
    taught = [
        replace(example, answer=text_of(lvlm, ids), answer_ids=tuple(json.loads(json.dumps(ids))))
        for example, ids in zip(examples, kept, strict=True)
    ]
    batch = encode_examples(lvlm, taught)
    likeliest_BT = lvlm.model(**batch.inputs).logits.argmax(-1)
    for row, (answer, ids, example) in enumerate(zip(said, kept, taught, strict=True)):
        asked = batch.labels_BT[row] >= 0
        assert batch.labels_BT[row][asked].tolist() == list(ids) == list(answer.ids[: len(ids)]) != []
        assert likeliest_BT[row][asked].tolist() == list(ids)
        assert example.answer.split() == answer.text.split()[:5] or len(ids) == len(answer.ids)


def test_a_refusal_is_spelled_as_behind_its_prompt(lvlm, examples):
    """The tokens of prompt and answer are those of the whole conversation, where a template writes it."""
    batch = encode_examples(lvlm, examples)
    first = [lvlm.tokenizer.convert_ids_to_tokens(row[row >= 0][0].item()) for row in batch.labels_BT]
    if lvlm.model_type in ("idefics3", "smolvlm", "blip-2"):
        assert all(token.startswith("Ġ") for token in first)
    if not lvlm.processor.chat_template:
        assert separator(lvlm, "Answer:") == " " and separator(lvlm, "[/INST] ") == separator(lvlm, "What?\n") == ""
        return
    assert separator(lvlm, "") == " "
    for row, example in enumerate(examples):
        turns = (("user", [{"type": "image", "image": example.image}], example.question), ("assistant", [], example.answer))
        theirs = lvlm.processor.apply_chat_template(
            [{"role": role, "content": [*shown, {"type": "text", "text": text}]} for role, shown, text in turns],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )["input_ids"][0].tolist()
        ours = batch.input_ids_BT[row][batch.attention_mask_BT[row].bool()].tolist()
        assert theirs[: len(ours)] == ours


@torch.no_grad()
def test_padding_changes_nothing(lvlm, examples, batch):
    losses = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)
    left = encode_examples(lvlm, examples, "left")
    torch.testing.assert_close(target_losses(lvlm, final_hidden(lvlm, left), left.labels_BT), losses, rtol=1e-5, atol=1e-5)
    for row, example in enumerate(examples):
        alone = encode_examples(lvlm, [example])
        loss = target_losses(lvlm, final_hidden(lvlm, alone), alone.labels_BT)
        torch.testing.assert_close(loss[0], losses[row], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_losses_are_the_models_own(lvlm, batch):
    log_BTV = lvlm.model(**batch.inputs).logits.log_softmax(-1)
    losses = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)
    for row, labels in enumerate(batch.labels_BT.tolist()):
        own = [-log_BTV[row, place, label] for place, label in enumerate(labels) if label >= 0]
        torch.testing.assert_close(losses[row], torch.stack(own).mean(), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_resuming_is_the_hooked_forward(lvlm, batch):
    recorded, real = record(lvlm, batch), batch.attention_mask_BT.bool()
    for layer, call in recorded.calls.items():
        change_BTD = torch.randn(call.output.shape, generator=torch.Generator().manual_seed(layer))
        with output_changed(lvlm.layers[layer], lambda hidden, change=change_BTD: hidden * change):
            plain = final_hidden(lvlm, batch)
        resumed = recorded.resume(layer, call.output * change_BTD)
        torch.testing.assert_close(resumed[real], plain[real], rtol=1e-5, atol=1e-5)
    assert list(recorded.calls) == list(range(len(lvlm.layers)))


def test_generation_in_batches_is_one_by_one(lvlm, examples):
    items = [(example.image, example.question) for example in examples] + [(None, "Is the passport private?")]
    together = lvlm.generate(items, max_new_tokens=6)
    assert together == [lvlm.generate([item], max_new_tokens=6)[0] for item in items] and any(together)


def test_what_is_kept_of_the_layers_below_changes_no_answer(lvlm, examples, tmp_path):
    """Twice: what the first ask kept serves the second, pictures and all."""
    examples[0].image.save(tmp_path / "one.png")  # pictures of one size stand before the questions in equally many tokens
    items = [(tmp_path / "one.png", question) for question in (*(example.question for example in examples), "What is this?")]
    plain = lvlm.generate(items, max_new_tokens=6)
    below = Below(lvlm, 1)
    with below.used():
        assert lvlm.generate(items, max_new_tokens=6) == lvlm.generate(items, max_new_tokens=6) == plain
    assert bool(below.passes) == lvlm.is_plain


def test_a_checkpoints_settings_change_no_answer(lvlm, examples, monkeypatch):
    """Neither the model's own nor, where the language model is one by itself, that one's."""
    items = [(example.image, example.question) for example in examples]
    expected = lvlm.generate_answers(items, max_new_tokens=6)
    settings = GenerationConfig(repetition_penalty=20.0, no_repeat_ngram_size=1, suppress_tokens=[expected[0].ids[0]], eos_token_id=2)
    for module in lvlm.model.modules():
        if hasattr(module, "generation_config"):
            monkeypatch.setattr(module, "generation_config", settings)
    assert lvlm.generate_answers(items, max_new_tokens=6) == expected and all(answer.cut_off for answer in expected)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_gated_gradient_is_the_masked_sum_over_tokens(folder, examples, layer):
    """grad W = sum over tokens of (mask * delta) a^T, with delta and a taken by hooks from an ungated pass."""
    lvlm = load(folder)
    batch = encode_examples(lvlm, examples)
    projection = lvlm.ffn_out(layer)
    weight = projection.weight.requires_grad_(True)
    seen = {}
    handle = projection.register_forward_hook(lambda _, inputs, output: (seen.update(a=inputs[0], out=output), output.retain_grad())[0])
    target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT).mean().backward()
    handle.remove()
    open_BTD = (torch.rand(SIZE, generator=torch.Generator().manual_seed(1)) < 0.5).expand(*batch.labels_BT.shape, SIZE)
    mask_BTD = gradient_mask(batch.classes_BT, open_BTD, ("subject", "question", "answer"))
    delta_ND = (seen["out"].grad.reshape(mask_BTD.shape) * mask_BTD).flatten(0, 1)
    expected_DF = delta_ND.T @ seen["a"].reshape(len(delta_ND), -1)
    assert not torch.allclose(expected_DF, weight.grad, atol=1e-6)
    weight.grad = None
    with gated(lvlm, {layer: mask_BTD}, "ffn"):
        target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT).mean().backward()
    torch.testing.assert_close(weight.grad, expected_DF, rtol=1e-4, atol=1e-6)


def test_a_patch_goes_in_and_out(folder, examples, tmp_path):
    lvlm = load(folder)
    before = lvlm.fingerprint
    weight = lvlm.ffn_out(1).weight
    base = weight.detach().clone()
    edited = base + 0.5 * torch.randn(base.shape, generator=torch.Generator().manual_seed(0))
    Patch.between(lvlm, {role_of(1): base}, {role_of(1): edited}, {}).save_pretrained(tmp_path / "patch")
    patch = Patch.from_pretrained(tmp_path / "patch")
    items = [(example.image, example.question) for example in examples]
    answers = lvlm.generate(items)
    with patch.applied(lvlm.model):
        assert torch.equal(weight, edited)
        changed = lvlm.generate(items)
        lvlm.save(tmp_path / "edited")
    assert changed != answers and lvlm.generate(items) == answers
    again = load(tmp_path / "edited")
    assert again.generate(items) == changed
    patch.revert_(again.model)
    again.__dict__.pop("fingerprint", None)
    assert again.fingerprint == before


def test_a_question_may_come_without_an_image(lvlm):
    example = Example(None, "Is the passport private?", "passport", "Yes")
    batch = encode_examples(lvlm, [example])
    assert lvlm.tokenizer.decode(batch.input_ids_BT[0][batch.is_class(SUBJECT)[0]]).strip() == "passport"


@pytest.mark.parametrize("layers", [[0], [0, 1]], ids=["one layer", "two jointly"])
def test_locating_is_the_plain_loop(lvlm, examples, layers):
    """Several wordings, subjects early and late, ragged rows: the losses of every step and the signs of the vectors."""
    config = LocateConfig(steps=4, stop_loss=0.0, rate=0.2)
    samples = []
    for example in examples:
        again = Example(example.image, f"Please look. {example.question}", example.subject, example.answer)
        benign = Example(example.image, f"Is there a {example.subject} in the image?", example.subject, "yes it is")
        samples.append(Sample(example.subject, (example, again), benign))
    result = optimise_vectors(lvlm, samples, layers, config)
    assert result.finite_N.all()
    for index, sample in enumerate(samples):
        expected = plain_fit(lvlm, sample, layers, config)
        assert result.curve_NT[index].tolist() == pytest.approx(expected.curve, rel=1e-5)
        clear = expected.vectors.abs() > 1e-4
        assert torch.equal((result.vectors_NLD[index] < 0)[clear], (expected.vectors < 0)[clear])
        assert expected.curve[-1] < expected.curve[0]


#: The prompt's tokens see each other in both directions; layers that look at the image. Each step runs all tokens there.
WHOLE = ("paligemma", "mllama")


@torch.no_grad()
@pytest.mark.parametrize("copies", [1, 12], ids=["few rows", "more rows than tokens"])
def test_a_step_runs_the_ends_of_the_questions_alone(lvlm, examples, copies):
    samples = [
        Sample(example.subject, (example,), Example(example.image, f"Is there a {example.subject} in the image?", example.subject, "yes"))
        for example in examples
    ] * copies
    prepared = Prepared(lvlm, samples, 0, LocateConfig())
    longest = encode_examples(lvlm, [example for sample in samples for example in (*sample.sensitive, sample.benign)])
    assert prepared.runs_suffix == (lvlm.model_type not in WHOLE)
    assert (prepared.labels_BT.shape[1] < longest.labels_BT.shape[1] - 8) == prepared.runs_suffix
    if prepared.runs_suffix:
        vectors = torch.randn(len(samples), 1, lvlm.hidden_size, generator=torch.Generator().manual_seed(0))
        kept = torch.tensor([False, True, True] * copies)
        for layer in range(len(lvlm.layers)):
            losses = prepared.losses([layer], vectors)
            torch.testing.assert_close(prepared.select(kept, layer).losses([layer], vectors[kept]), losses[kept], rtol=1e-5, atol=1e-5)


def test_rows_of_one_length_need_no_mask(lvlm, examples):
    """Without padding some models give their layers no mask at all."""
    example = examples[0]
    sample = Sample(example.subject, (example,), example)
    config = LocateConfig(steps=3, stop_loss=0.0, rate=0.2)
    result, expected = optimise_vectors(lvlm, [sample], [0], config), plain_fit(lvlm, sample, [0], config)
    assert result.curve_NT[0].tolist() == pytest.approx(expected.curve, rel=1e-5)


def test_the_list_of_families_names_its_class(lvlm):
    assert any(type(lvlm.model).__name__ in family.model for family in LISTED)
