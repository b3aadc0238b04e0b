"""The edit: what it changes, what it leaves alone, and when it stops."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralgate.choose.layer import choose_layer, layer_score, paper_choice, rounds, split_off
from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.model import tensor_bytes
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.methods.apply import edit
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EditConfig
from neuralgate.training.gated import gated_trainer
from neuralgate.training.loop import Trainer
from neuralgate.training.rows import minibatches, one_after_another, rows_of
from neuralgate.training.validation import Validation
from neuralgate.training.watch import Watch

QUICK = EditConfig(layers=[1], max_steps=3, batch_size=3, stop="never", rate=1e-2)


@pytest.fixture
def gate(tiny):
    votes = torch.rand(2, 3, 32, generator=torch.Generator().manual_seed(3))
    return Gate(votes, ("passport", "student id"), (0, 1, 2), tiny.fingerprint, 0.3)


def bytes_of(patch, folder) -> bytes:
    patch.save_pretrained(folder)
    return (folder / "patch.safetensors").read_bytes()


def weights(lvlm) -> dict[str, bytes]:
    return {name: tensor_bytes(tensor) for name, tensor in lvlm.model.state_dict().items()}


def hook_count(lvlm) -> int:
    return sum(len(module._forward_hooks) for module in lvlm.model.modules())


def settings_of(**settings):
    return QUICK.model_copy(update=settings)


# --- the model and the patch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": [0, 2]},
        {"gate": "strong", "gate_at": "layer"},
        {"sequential": True, "steps_per_pair": 2},
        {"stop": "validation", "check_every": 2},
    ],
    ids=["batches", "layers", "gated", "sequential", "validation"],
)
def test_the_model_is_left_bit_for_bit_as_it_was(tiny, pairs, gate, settings):
    tiny.generate([(None, "Is the passport private?")], max_new_tokens=1)  # transformers puts hooks of its own in on first use
    before, hooks = weights(tiny), hook_count(tiny)
    patch, _ = edit(tiny, pairs, gate, settings_of(**settings))
    assert weights(tiny) == before and hook_count(tiny) == hooks
    assert all(entry["changed"] > 0 for entry in patch.tensors.values())
    for parameter in tiny.model.parameters():
        assert not parameter.requires_grad and parameter.grad is None


def test_the_model_is_left_as_it_was_when_training_fails(tiny, pairs):
    before = weights(tiny)

    def fail(**values):
        if values["done"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(tiny, pairs, None, QUICK, report=fail)
    assert weights(tiny) == before and not any(parameter.requires_grad for parameter in tiny.model.parameters())


@pytest.mark.parametrize("mode", ["none", "random"])
def test_a_seed_gives_one_patch(tiny, pairs, gate, mode, tmp_path):
    def made(name, **settings):
        patch, training = edit(tiny, pairs, gate, settings_of(gate=mode, **settings))
        return bytes_of(patch, tmp_path / name), training.curve

    assert made("a") == made("b")
    assert made("c", seed=1)[0] != made("a")[0]
    assert (made("d", gate_seed=1)[0] == made("a")[0]) == (mode == "none")


@pytest.mark.parametrize("gate_at", ["ffn", "layer"])
def test_strong_is_none_when_every_dimension_has_all_votes(tiny, pairs, gate, gate_at, tmp_path):
    def made(mode):
        return bytes_of(edit(tiny, pairs, gate, settings_of(gate=mode, gate_at=gate_at))[0], tmp_path / mode)

    assert made("strong") != made("none")
    gate.votes_SLD[:] = 1
    assert made("strong") == made("none") == made("random") != made("inverted")
    assert made("inverted") == made("closed")


@pytest.mark.parametrize("gate_at", ["ffn", "layer"])
def test_closed_where_only_subjects_may_teach_is_refused(tiny, pairs, gate, gate_at):
    """Nothing would change, and the patch would look like a result."""
    alone = PairSet((pair for pair in pairs if pair.role == "edit"), pairs.folder)
    with pytest.raises(UserError, match=r"decoder\.0\.ffn\.out got no gradient at the first step"):
        edit(tiny, alone, None, settings_of(gate="closed", positions=["subject"], gate_at=gate_at, layers=[0, 1]))
    patch, _ = edit(tiny, alone, None, settings_of(gate="none", positions=["subject"], gate_at=gate_at, layers=[0, 1]))
    assert all(entry["changed"] > 0 for entry in patch.tensors.values())


def test_weights_that_play_no_part_in_the_loss_are_refused(tiny_copy, pairs):
    """As a projection does whose product autograd does not know."""
    projection = tiny_copy.ffn_out(1)
    projection.register_forward_hook(lambda module, inputs, output: output.detach())
    with pytest.raises(UserError, match=r"decoder\.1\.ffn\.out got no gradient"):
        edit(tiny_copy, pairs, None, settings_of(gate_at="layer", layers=[1]))


def test_contrast_subjects_are_not_gated(tiny, pairs, gate):
    """Their subject tokens teach, although the gate is closed and holds no votes for them."""
    patch, _ = edit(tiny, pairs, gate, settings_of(gate="closed", positions=["subject"]))
    assert patch.tensors["decoder.1.ffn.out"]["changed"] > 0
    with pytest.raises(UserError, match="got no gradient"):
        edit(tiny, pairs, gate, settings_of(gate="closed", positions=["subject"], contrast_weight=0.0))


def test_contrast_rows_that_count_nothing_are_not_run(tiny, pairs, monkeypatch):
    parts = set()
    usual = Trainer.gradients
    monkeypatch.setattr(Trainer, "gradients", lambda made, rows: parts.update(row.part for row in rows) or usual(made, rows))
    edit(tiny, pairs, None, settings_of(contrast_weight=0.0, max_steps=2))
    assert parts == {"sensitive", "benign"}


def test_the_loss_that_stops_is_the_weighted_one(tiny, pairs):
    """Of one step's parts the weighted sum decides, in batches as in sequence."""
    heavy = {"lambda_benign": 100.0, "max_steps": 3, "stop": "loss"}
    _, whole = edit(tiny, pairs, None, settings_of(**heavy, stop_loss=1e-9))
    first = whole.curve[0]
    plain = sum(first[f"loss_{part}"] for part in ("sensitive", "benign", "contrast"))
    _, training = edit(tiny, pairs, None, settings_of(**heavy, stop_loss=plain + 1e-3))
    assert training.steps == 3, f"the plain sum {plain} is below the limit, the weighted one far above"


@pytest.mark.parametrize("layers", [[2], [0, 1], [2, 0, 1]])
def test_only_the_given_layers_change(tiny, pairs, layers):
    patch, training = edit(tiny, pairs, None, settings_of(layers=layers))
    assert set(patch.differences) == {f"decoder.{layer}.ffn.out" for layer in layers}
    assert training.layers == sorted(layers)
    edited = patch.tensors[f"decoder.{layers[0]}.ffn.out"]
    assert (
        edited["name"].endswith(f"layers.{layers[0]}.mlp.down_proj.weight") and edited["shape"] == [32, 48] and edited["dtype"] == "float32"
    )


def test_a_step_is_adams(tiny_copy, pairs):
    """One batch with all pairs: the patch equals one step of Adam on the plain loss."""
    edit_pairs = pairs.split("train", "edit")
    config = settings_of(max_steps=1, batch_size=len(edit_pairs), rate=3e-3, eps=1e-4)
    plain = PairSet((pair for pair in pairs if pair.role == "edit"), pairs.folder)
    plain = PairSet((type(pair)(**{**vars(pair), "contexts": ()}) for pair in plain), pairs.folder)
    patch, training = edit(tiny_copy, plain, None, config)
    weight = tiny_copy.ffn_out(1).weight
    base = weight.detach().clone()
    batch = encode_examples(tiny_copy, [example_of(pair, kind, pairs.folder) for kind in ("sensitive", "benign") for pair in edit_pairs])
    weight.requires_grad_(True)
    losses = target_losses(tiny_copy, final_hidden(tiny_copy, batch), batch.labels_BT)
    sensitive, benign = losses[: len(edit_pairs)].mean(), losses[len(edit_pairs) :].mean()
    (sensitive + 1.25 * benign).backward()
    expected = base - 3e-3 * weight.grad / (weight.grad.abs() + 1e-4)
    weight.requires_grad_(False)
    with patch.applied(tiny_copy.model):
        # a gradient near eps that is off by 1e-7, as sums in another order are, moves a step of 3e-3 by 3e-6
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-5)
    assert training.curve[0]["loss_sensitive"] == pytest.approx(sensitive.item(), abs=1e-4)
    assert training.curve[0]["loss_benign"] == pytest.approx(benign.item(), abs=1e-4)


# --- how it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_learns_as_float32_does(tiny_copy, pairs, dtype):
    """Adam on half-precision weights overflows or stands still; its float32 masters are rounded into the model."""
    settings = settings_of(max_steps=5, rate=3e-5)
    role = "decoder.1.ffn.out"

    def trained():
        trainer, watch = gated_trainer(tiny_copy, pairs, None, settings, [1]), Watch(tiny_copy, settings)
        watch.begin(pairs, "training", looks=False)
        return (trainer.masters.copies[role], *(values[role] for values in trainer.run(watch)))

    exact = trained()[2] - tiny_copy.ffn_out(1).weight
    tiny_copy.model.to(dtype)
    master, base, edited = trained()
    found = master - base.float()
    assert edited.dtype == dtype and torch.equal(edited, master.to(dtype))
    assert torch.nn.functional.cosine_similarity(found.flatten(), exact.flatten(), dim=0) > 0.9


def test_a_loss_that_is_no_number_is_said(tiny_copy, pairs):
    tiny_copy.model.lm_head.weight.data[:] = float("nan")
    with pytest.raises(UserError, match="loss of the edit became nan"):
        edit(tiny_copy, pairs, None, settings_of(max_steps=2))


def test_training_is_told(tiny, pairs):
    told = []
    patch, training = edit(tiny, pairs, None, settings_of(max_steps=6), report=lambda **values: told.append(values), recipe_digest="abc")
    assert training.steps == 6 == len(training.curve) and training.stopped == "limit" and training.gate == "none"
    assert [values["done"] for values in told] == [1, 2, 3, 4, 5, 6] and told[0]["total"] == 6
    first, last = training.curve[0], training.curve[-1]
    assert last["loss_sensitive"] < first["loss_sensitive"] and first["loss_contrast"] > 0
    assert set(training.gradient_share) == {"subject", "question", "image", "answer"} and all(
        0 < v < 2 for v in training.gradient_share.values()
    )
    assert (
        patch.information["gate"] == "none"
        and patch.information["recipe_digest"] == "abc"
        and patch.information["base_fingerprint"] == tiny.fingerprint
    )


def test_it_stops_at_the_validation_target(tiny, pairs):
    config = settings_of(stop="validation", check_every=2, max_steps=7, target_rta=0.0)
    alone = PairSet((pair for pair in pairs if pair.role == "edit"), pairs.folder)
    _, training = edit(tiny, alone, None, config)  # the model refuses nothing: every condition but the first holds at once
    assert (training.steps, training.stopped) == (2, "converged")
    assert [point["validation_rta_sensitive"] for point in training.curve] == [None, 0.0]
    _, training = edit(tiny, alone, None, config.model_copy(update={"target_rta": 1.0}))
    assert (training.steps, training.stopped) == (7, "limit")
    looked = [point["step"] for point in training.curve if point["validation_rta_sensitive"] is not None]
    assert looked == [2, 4, 6, 7]


def test_contrast_subjects_must_keep_the_base_models_own_answers(tiny_copy, pairs):
    validation = Validation(tiny_copy, pairs, settings_of(target_rta=0.0))
    validation.remember()
    assert not any(kept.truth for kept in validation.kept), "the tiny model says no truth: its own answers must stay likely"
    before = validation.measure()
    assert before["contrast_lost"] == 0.0 and validation.satisfied(before)
    tiny_copy.model.lm_head.weight.data.neg_()
    after = validation.measure()
    assert after["contrast_lost"] == 1.0 and not validation.satisfied(after)


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ("Its number is {truth}, I think.", False),  # other words than the base model's, the same truth
        ("I'm sorry, the number is {truth}.", True),
        ("The number is hard to read.", True),
    ],
)
def test_a_truth_may_be_said_in_other_words(tiny, pairs, monkeypatch, answer, lost):
    validation = Validation(tiny, pairs, settings_of())
    contrast = list(validation.contrast)
    truths = [truth for pair in contrast for truth in (pair.sensitive_truth, pair.benign_truth)]
    monkeypatch.setattr(validation, "texts", lambda _: [f"The number is {truth}." for truth in truths])
    validation.remember()
    assert [kept.truth for kept in validation.kept] == truths
    monkeypatch.setattr(validation, "texts", lambda _: [answer.format(truth=truth) for truth in truths])
    assert validation.lost() == [lost] * len(truths)


@pytest.mark.parametrize(("nats", "lost"), [(0.4, False), (0.6, True)])
def test_an_answer_without_a_truth_may_become_a_little_less_likely(tiny, pairs, monkeypatch, nats, lost):
    free = PairSet((replace(pair, sensitive_truth="", benign_truth="") for pair in pairs), pairs.folder)
    validation = Validation(tiny, free, settings_of())
    validation.remember()
    monkeypatch.setattr(validation, "losses", lambda _: [kept.loss + nats for kept in validation.kept])
    assert validation.lost() == [lost] * len(validation.kept) and validation.kept


def test_it_stops_at_the_training_loss(tiny, pairs):
    _, free = edit(tiny, pairs, None, settings_of(max_steps=6))
    third = sum(free.curve[2][f"loss_{part}"] for part in ("sensitive", "benign", "contrast"))
    _, training = edit(tiny, pairs, None, settings_of(max_steps=6, stop="loss", stop_loss=third + 1e-3))
    assert training.stopped == "converged" and training.steps <= 3


def test_an_edit_learns(tiny, pairs):
    alone = PairSet((replace(pair, refusal="I'm sorry") for pair in pairs if pair.role == "edit"), pairs.folder)
    patch, training = edit(
        tiny, alone, None, settings_of(layers=[0, 1, 2], stop="validation", max_steps=60, check_every=10, target_rta=0.5, batch_size=10)
    )
    assert training.curve[-1]["loss_sensitive"] < 0.3 * training.curve[0]["loss_sensitive"]
    items = [(alone.folder / pair.image, pair.sensitive_question) for pair in alone.split("train")]
    with patch.applied(tiny.model):
        refused = sum(answer.startswith("I'm sorry") for answer in tiny.generate(items, max_new_tokens=4))
    assert refused >= len(items) / 2 > 0 == sum(answer.startswith("I'm sorry") for answer in tiny.generate(items, max_new_tokens=4))


# --- one pair after another -----------------------------------------------------------------------------------------


def test_sequentially_each_pair_has_its_steps(tiny, pairs):
    config = settings_of(sequential=True, steps_per_pair=3)
    _, training = edit(tiny, pairs, None, config)
    assert training.steps == 10 * 3 and len(training.curve) == 10 and training.stopped == "end of pairs"
    assert [point["step"] for point in training.curve] == list(range(3, 31, 3))
    assert training.curve[-1]["validation_rta_sensitive"] is not None and training.curve[0]["validation_rta_sensitive"] is None


def test_sequentially_a_learned_pair_is_left(tiny, pairs):
    told = []
    with pytest.raises(UserError, match="changed no value"):
        config = settings_of(sequential=True, steps_per_pair=3, stop="loss", stop_loss=1e9)
        edit(tiny, pairs, None, config, report=lambda **values: told.append(values["done"]))
    assert told == [0] * 10


def test_sequentially_the_optimiser_is_fresh(tiny, pairs, tmp_path):
    """The same pair twice in one edit is one edit on top of another: no momentum passes from the first to the second."""
    first = PairSet([pair for pair in pairs.split("train", "edit") if pair.subject == "passport"][:1], pairs.folder)
    config = settings_of(sequential=True, steps_per_pair=2)
    twice = PairSet((type(pair)(**{**vars(pair), "contexts": ()}) for pair in (*first, *first)), pairs.folder)
    once = PairSet(twice.pairs[:1], pairs.folder)
    both, _ = edit(tiny, twice, None, config)
    one, _ = edit(tiny, once, None, config)
    with one.applied(tiny.model):
        second, _ = edit(tiny, once, None, config)
        with second.applied(tiny.model):
            expected = tiny.ffn_out(1).weight.clone()
    with both.applied(tiny.model):
        assert torch.equal(tiny.ffn_out(1).weight, expected)


def test_sequential_order_is_subject_after_subject(pairs):
    rows = list(one_after_another(pairs.split("train", "edit"), np.random.default_rng(0)))
    assert [batch[0].subject for batch in rows] == ["passport"] * 5 + ["student id"] * 5
    assert [row.part for row in rows[0]] == ["sensitive", "benign"]


# --- batches --------------------------------------------------------------------------------------------------------


def test_rows_are_a_pairs_two_questions_in_one_version(pairs):
    for pair in pairs.split("train"):
        drawn = [rows_of(pair, pairs, np.random.default_rng(seed)) for seed in range(60)]
        assert len({rows[0].example.question for rows in drawn}) == 6, "plain and five contexts"
        for rows in drawn:
            sensitive, benign = (row.example for row in rows)
            assert sensitive.question.removesuffix(pair.sensitive_question) == benign.question.removesuffix(pair.benign_question)
            if pair.role == "edit":
                assert (
                    [row.part for row in rows] == ["sensitive", "benign"]
                    and sensitive.answer == pair.refusal
                    and all(row.is_gated for row in rows)
                )
            else:
                assert (
                    [row.part for row in rows] == ["contrast"] * 2
                    and sensitive.answer == pair.sensitive_target
                    and not any(row.is_gated for row in rows)
                )
            assert benign.answer == pair.benign_target != ""


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_an_epoch_shows_every_pair_once(pairs, batch_size):
    chosen, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    batches = minibatches(chosen, contrast, batch_size, np.random.default_rng(0))
    size = min(batch_size, len(chosen))
    per_epoch = len(chosen) // size
    for _ in range(3):
        shown, harmless = [], []
        for _ in range(per_epoch):
            rows = next(batches)
            shown += [str(row.example.image) for row in rows if row.part == "sensitive"]
            harmless += [row for row in rows if row.part == "contrast"]
        assert len(shown) == len(set(shown)) == per_epoch * size
        assert len(harmless) == 2 * per_epoch * max(1, round(size * len(contrast) / len(chosen)))


# --- what cannot be done --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strong", "random", "inverted"])
def test_a_gate_mode_needs_a_gate(tiny, pairs, mode):
    with pytest.raises(UserError, match="needs a located gate"):
        edit(tiny, pairs, None, settings_of(gate=mode))


def test_a_gate_of_another_model_is_refused(tiny, pairs, gate):
    gate.model = "0" * 64
    with pytest.raises(UserError, match="located on another model"):
        edit(tiny, pairs, gate, settings_of(gate="strong"))


@pytest.mark.parametrize("layers", [[3], [0, 99]])
def test_a_layer_out_of_range_is_refused(tiny, pairs, layers):
    with pytest.raises(UserError, match=r"Layer (3|99) is out of range"):
        edit(tiny, pairs, None, settings_of(layers=layers))


def test_nothing_to_train_on_is_refused(tiny, pairs):
    for empty in (PairSet([], pairs.folder), pairs.split("validation"), pairs.split("train", "contrast")):
        with pytest.raises(UserError, match="no training pairs"):
            edit(tiny, empty, None, QUICK)


def test_votes_for_a_subject_that_was_not_located_are_missed(tiny, pairs, gate):
    gate.subjects = ("passport", "receipt")
    with pytest.raises(UserError, match="no votes for 'student id'"):
        edit(tiny, pairs, gate, settings_of(gate="strong"))


def test_search_is_not_the_trainers(tiny, pairs):
    with pytest.raises(UserError, match="give layers as a list"):
        edit(tiny, pairs, None, settings_of(layers="search"))


# --- the layer search -----------------------------------------------------------------------------------------------


def test_a_trial_leaves_out_a_private_and_a_contrast_subject(pairs):
    first, second = rounds(pairs)
    assert (first, second) == ({"edit": "passport"}, {"edit": "student id"})
    kept, unseen, public = split_off(pairs, second)
    assert kept.split("train", "edit").subjects() == ("passport",) and unseen.subjects() == ("student id",)
    assert not len(public), "the only contrast subject stays"
    assert {pair.split for pair in unseen} == {"validation"}
    kept, unseen, public = split_off(pairs, {"edit": "passport", "contrast": "bus ticket"})
    assert kept.split("train").subjects() == ("student id",) and unseen.subjects() == ("passport",)
    assert public.subjects() == ("bus ticket",)


def test_rounds_leave_out_other_subjects(pairs):
    train = pairs.split("train")
    twins = (replace(pair, subject="street sign") for pair in train if pair.role == "contrast")
    assert rounds(PairSet((*train, *twins), pairs.folder)) == [
        {"edit": "passport", "contrast": "bus ticket"},
        {"edit": "student id", "contrast": "street sign"},
    ]


def test_a_layers_score_is_its_worst_effect_less_its_worst_damage():
    measured = {"rta_sensitive": 0.9, "rta_unseen": 0.7, "rta_benign": 0.1, "public_refused": 0.2, "protected_refused": None}
    assert layer_score(measured) == pytest.approx(0.5)
    assert layer_score({**measured, "rta_unseen": None, "public_refused": None}) == pytest.approx(0.8)


def test_the_papers_choice_is_near_the_centre():
    rows = [{"layer": layer, "eta": eta} for layer, eta in enumerate([1.0, 0.9, 0.95, 0.95, 0.5, 0.5, 0.5])]
    strong = {layer: 0.0 for layer in range(7)} | {4: 0.1}
    assert paper_choice(rows, strong) == 3, "layer 0 is out of reach, 3 is nearer than 2"


def test_the_search_tries_every_layer_and_goes_on_where_it_was(tiny, pairs, gate, tmp_path, monkeypatch):
    before = weights(tiny)
    told = []
    config = settings_of(layers="search", max_steps=2, stop="validation", check_every=1)
    found = choose_layer(tiny, pairs, gate, config, report=lambda **values: told.append(values), chunks=Chunks(tmp_path))
    assert weights(tiny) == before
    assert [row["layer"] for row in found["search"]] == [0, 1, 2] and [values["done"] for values in told] == [1, 2, 3]
    best = max(row["score"] for row in found["search"])
    assert next(row["score"] for row in found["search"] if row["layer"] == found["chosen_layer"]) == best and found["paper_layer"] in (
        0,
        1,
        2,
    )
    for row in found["search"]:
        assert 0 <= row["eta"] <= 1 and math.isfinite(row["score"])
        assert None not in [
            row[name] for name in ("rta_sensitive", "rta_unseen", "rta_benign", "public_refused", "protected_refused", "benign_accuracy")
        ]
        assert [trial["left_out"] for trial in row["trials"]] == rounds(pairs)
        assert row["rta_unseen"] == pytest.approx(sum(trial["rta_unseen"] for trial in row["trials"]) / 2, abs=1e-4)
    assert "means nothing" in found["search_verdict"], "two steps teach nothing"
    monkeypatch.setattr(sys.modules["neuralgate.choose.layer"], "try_layer", None)
    assert choose_layer(tiny, pairs, gate, config, chunks=Chunks(tmp_path)) == found
