"""Ideas beyond the published method: each runs, moves only what it says, and its masks and scores are what they are called."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from experiments.beyond import flip, plus
from experiments.beyond.entries import IDEAS, RIVALS, WITHOUT_ANSWER
from experiments.beyond.page import beats, both, page, verdict
from experiments.beyond.scores import attribution, gains
from neuralgate.closed_form.moments import ordinary_moments
from neuralgate.closed_form.solve import null_space
from neuralgate.comparison.entries import ENTRIES, config_of
from neuralgate.errors import UserError
from neuralgate.lvlm.fast.packing import PADDING
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.prompts import POSITIONS, SUBJECT, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.methods.apply import apply_method
from neuralgate.training.batches import Inputs
from neuralgate.training.rows import Row, training_pairs
from tests.method_contract import weights


def config_for(name: str, **settings):
    short = {"layers": [1], "batch_size": 3, **settings}
    if IDEAS[name].method == "beyond":
        short = {"rate": 1e-2, "max_steps": 2, **short}
        if "energy" in IDEAS[name].fixed:
            short |= {"energy": 0.2}
    return IDEAS[name].module.Config(**{**IDEAS[name].fixed, "stop": "never", **short})


@pytest.mark.parametrize("name", IDEAS)
def test_every_idea_runs_beside_its_control_and_leaves_the_model(name, tiny, pairs, located_gate):
    before, config = weights(tiny), config_for(name)
    made, training = apply_method(name, tiny, pairs, located_gate, config, own=IDEAS[name].own)
    assert training.values_changed > 0 and list(made.tensors) == ["decoder.1.ffn.out"] and weights(tiny) == before
    control = IDEAS[name].module.controls(config).get("random")
    assert (control is None) == (name == "held_by_divergence")
    if control:
        other, _ = apply_method(name, tiny, pairs, located_gate, control, own=IDEAS[name].own)
        assert other.identity != made.identity and weights(tiny) == before


def test_ideas_are_searched_as_methods_are():
    assert all(idea.size == 12 for idea in IDEAS.values()) and set(RIVALS) <= set(ENTRIES)
    for idea in IDEAS.values():
        point = {key: values[0] for key, values in idea.grid.items()}
        assert config_of(idea, point, 10, 0, 6).batch_size == 6


def test_an_update_stays_in_the_null_space(tiny, pairs):
    made, _ = apply_method("beyond", tiny, pairs, None, config_for("null_space"), own=plus)
    told = training_pairs(tiny, pairs, "never")
    basis_FM = null_space(ordinary_moments(tiny, told, [1])[1], None, 0.2)
    base_DF = tiny.ffn_out(1).weight.detach().double()
    with made.on(tiny):
        change_DF = tiny.ffn_out(1).weight.detach().double() - base_DF
    outside = change_DF - (change_DF @ basis_FM) @ basis_FM.T
    assert change_DF.norm() > 0 and outside.norm() < 1e-5 * change_DF.norm()


@pytest.fixture
def batch_and_rows(tiny, pairs):
    told = training_pairs(tiny, pairs, "never").split("train", "edit")
    pair = next(iter(told))
    examples = [example_of(pair, kind, told.folder) for kind in ("sensitive", "benign")]
    rows = [Row(example, kind, pair.subject, True) for example, kind in zip(examples, ("sensitive", "benign"), strict=True)]
    return Inputs(tiny, 1).batch(examples), rows


def test_what_passes(batch_and_rows):
    batch, rows = batch_and_rows
    subject = rows[0].subject
    half_D = torch.arange(6) % 2.0
    config = plus.Config(layers=[1], by="votes")
    classes_BT = batch.classes_BT
    mask = plus.passing(batch, rows, {subject: half_D}, config, 6)
    known = batch.owners_BT != PADDING
    for place in known.nonzero().tolist():
        expected = half_D if classes_BT[tuple(place)] == SUBJECT else torch.ones(6)
        assert torch.equal(mask[tuple(place)], expected)
    wide = plus.passing(batch, rows, {subject: half_D}, config.model_copy(update={"acts_on": "carriers"}), 6)
    at = ((wide == half_D).all(-1) & known).nonzero()
    names = [POSITIONS[int(classes_BT[tuple(place)])] for place in at]
    assert names.count("answer") == 2 and "subject" in names and "question" in names and "image" not in names
    first = [int(place[1]) for place in at if POSITIONS[int(classes_BT[tuple(place)])] == "answer"]
    assert all(int(batch.labels_BT[0, column]) >= 0 and int(classes_BT[0, column - 1]) != POSITIONS.index("answer") for column in first)
    no_answer = plus.Config(layers=[1], **WITHOUT_ANSWER)
    allowed = plus.passing(batch, rows, {}, no_answer, 6)
    assert not allowed[classes_BT == POSITIONS.index("answer")].any() and allowed[classes_BT == SUBJECT].all()
    drawn = plus.passing(batch, rows, {}, no_answer.model_copy(update={"shuffled": True}), 6)
    assert drawn[..., 0].sum() == allowed[..., 0].sum() < known.sum() and not drawn[~known].any() and not torch.equal(drawn, allowed)


def test_shares_of_dimensions(tiny, pairs, located_gate):
    def opened(**settings):
        config = plus.Config(layers=[1], by="votes", **settings)
        return plus.open_dimensions(tiny, training_pairs(tiny, pairs, "never"), located_gate, config, 1)

    tenth, random = opened(share=0.1), opened(share=0.1, shuffled=True)
    weighted, shuffled = opened(weighted=True), opened(weighted=True, shuffled=True)
    for subject, open_D in tenth.items():
        votes_D = located_gate.votes(subject, 1)
        assert open_D.sum() == 3 == random[subject].sum() and votes_D[open_D > 0].min() >= votes_D[open_D == 0].max()
        assert torch.equal(weighted[subject], votes_D / votes_D.max())
        assert torch.equal(shuffled[subject].sort().values, weighted[subject].sort().values)


def test_attribution_is_the_slope_of_the_loss(tiny, pairs):
    """All dimensions together: by how much the loss falls on the first bit of the way to the protected subjects."""
    told = training_pairs(tiny, pairs, "never").split("train", "edit")
    example = example_of(next(iter(told)), "sensitive", told.folder)
    aim_D = torch.randn(tiny.hidden_size, generator=torch.Generator().manual_seed(0))
    (found_D,) = gains(tiny, [example], 1, aim_D)
    batch = encode_examples(tiny, [example])
    at = batch.is_class(SUBJECT)[..., None]

    def loss(step: float) -> float:
        with torch.no_grad(), output_changed(tiny.layers[1], lambda h: torch.where(at, h + step * (aim_D - h), h)):
            return float(target_losses(tiny, final_hidden(tiny, batch), batch.labels_BT)[0])

    assert float(found_D.sum()) == pytest.approx((loss(-1e-2) - loss(1e-2)) / 2e-2, rel=2e-2)
    scores = attribution(tiny, training_pairs(tiny, pairs, "never"), 1)
    assert set(scores) == set(told.subjects()) and all(bool(score_D.isfinite().all()) and score_D.any() for score_D in scores.values())


def test_a_flip_moves_towards_the_flipped_state(tiny, pairs, located_gate):
    _, training = apply_method("flip", tiny, pairs, located_gate, config_for("flip", weight=1e-3), own=flip)
    reached = int(training.note.split("the weights give ")[1].split(" %")[0])
    assert 0 < reached < 200


def test_who_wins(monkeypatch, tmp_path):
    from experiments.beyond import page as module

    class Answers:
        def __init__(self, over_budget=False, **measures):
            self.row = lambda *_: SimpleNamespace(over_budget=over_budget)
            self.answers = {("idea", "at equal damage"): measures, ("lora", "at equal damage"): measures}

    def ends(interval):
        return {"low": interval[0], "high": interval[1], "value": sum(interval) / 2}

    def case(effect, lookalikes):
        monkeypatch.setattr(
            module,
            "difference",
            lambda own, theirs, name: ends({module.MAIN: effect}.get(name, lookalikes)),
        )
        return beats(Answers(a=1), "idea", Answers(a=1), "lora")

    assert case((0.1, 0.2), (-0.1, 0.1)) and not case((-0.1, 0.2), (-0.1, 0.1))
    assert not case((0.1, 0.2), (-0.3, -0.1)), "more damage"
    assert not case((0.1, 0.2), (-0.3, 0.1)), "more damage, though the interval is wide"
    assert case((-0.1, 0.1), (0.1, 0.2)) and not case((-0.3, -0.1), (0.1, 0.2))
    assert not beats(Answers(a=1), "idea", Answers(a=1), "dinm"), "a rival that is not there is not beaten"
    assert case((0.1, 0.2), (-0.1, 0.1)) and not beats(Answers(True, a=1), "idea", Answers(a=1), "lora"), "beyond the budget"
    assert both({"a": [True, True], "b": [True], "c": [True, False]}) == ["a"]
    assert verdict({"a": [True, True], "b": [True, False]}, ["Clerk", "Notary"]) == "**Winner**: a."
    assert verdict({"a": [False], "b": [False]}, ["Clerk"]) == "**No idea wins on Clerk**, so none wins."
    assert verdict({"a": [True, False], "b": [False, True]}, ["Clerk", "Notary"]) == "**No idea wins on both models.**"
    with pytest.raises(UserError, match="holds no results"):
        page(tmp_path, tmp_path)
