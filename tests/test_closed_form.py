"""Closed-form edits: each solve by its dense form, each state and value by the plain model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from neuralgate.closed_form import edit, moments, values
from neuralgate.closed_form.edit import halves_of, restored, spread, wanted
from neuralgate.closed_form.moments import LONGEST, ordinary_moments, second_moments
from neuralgate.closed_form.requests import mean_keys, requests_of, subject_states
from neuralgate.closed_form.solve import Covariance, alphaedit_update, memit_update, null_space, rome_updates
from neuralgate.closed_form.values import kept_values, optimise_values
from neuralgate.edit_settings import ValueConfig
from neuralgate.errors import UserError
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.prompts import SUBJECT, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.methods import parse_methods
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import Recipe
from neuralgate.run.check import check_recipe
from neuralgate.run.stages.edit import Edit
from neuralgate.training.rows import training_pairs
from tests.method_contract import config_of

F, D, N = 11, 5, 4
exact = {"rtol": 1e-10, "atol": 1e-12}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def moment() -> torch.Tensor:
    """With directions in which there is little."""
    keys_TF = drawn(60, F, seed=1) * torch.logspace(0, -4, F, dtype=torch.float64) @ torch.linalg.qr(drawn(F, F, seed=2))[0]
    return keys_TF.T @ keys_TF / 60


# --- solves ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.01, 3.0, 1e4])
def test_memit_is_its_dense_form(moment, weight):
    residuals, keys = drawn(D, N), drawn(F, N, seed=3)
    dense = residuals @ keys.T @ torch.linalg.inv(weight * moment + keys @ keys.T)
    found = memit_update(residuals, keys, Covariance(moment), weight)
    torch.testing.assert_close(found, dense, rtol=1e-3, atol=1e-6 * float(dense.abs().max()))  # the dense form is ill-conditioned
    well = moment + torch.eye(F, dtype=torch.float64)
    torch.testing.assert_close(
        memit_update(residuals, keys, Covariance(well), weight),
        residuals @ keys.T @ torch.linalg.inv(weight * well + keys @ keys.T),
        **exact,
    )


@pytest.mark.parametrize("weight", [0.1, 10.0])
@pytest.mark.parametrize("earlier", [0, 3])
def test_alphaedit_is_its_dense_form(moment, weight, earlier):
    """With keys of earlier edits, whose residuals are zero, among the keys."""
    residuals, keys, before = drawn(D, N), drawn(F, N, seed=3), drawn(F, earlier, seed=4)
    basis = null_space(moment, None, 0.01)
    projection = basis @ basis.T
    whole = keys @ keys.T + before @ before.T
    dense = residuals @ keys.T @ projection @ torch.linalg.inv(whole @ projection + weight * torch.eye(F, dtype=torch.float64))
    zeros = torch.zeros(D, earlier, dtype=torch.float64)
    found = alphaedit_update(torch.cat([residuals, zeros], 1), torch.cat([keys, before], 1), basis, weight)
    torch.testing.assert_close(found, dense, **exact)
    torch.testing.assert_close(found @ (torch.eye(F, dtype=torch.float64) - projection), torch.zeros(D, F, dtype=torch.float64), **exact)


def test_a_null_space_holds_little(moment):
    values = torch.linalg.eigvalsh(moment)
    for energy in (1e-6, 1e-3, 0.1):
        basis = null_space(moment, None, energy)
        held = float((basis.T @ moment @ basis).trace() / moment.trace())
        one_more = float(values[: basis.shape[1] + 1].sum() / values.sum())
        assert held <= energy < one_more
        torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), **exact)
    assert null_space(moment, float(values[6]), 0.5).shape[1] == 6
    for settings in ((1e-30, 0.5), (1e30, 0.5), (None, 1e-30)):
        with pytest.raises(UserError, match="directions of the keys lie"):
            null_space(moment, *settings)


@pytest.mark.parametrize("covariance", [True, False])
def test_rome_gives_a_key_its_value_and_moves_ordinary_ones_least(moment, covariance):
    weight, value, key = drawn(D, F), drawn(D, 1, seed=5), drawn(F, 1, seed=6)
    metric = moment if covariance else torch.eye(F, dtype=torch.float64)
    delta = rome_updates(weight, value, key, key, Covariance(moment) if covariance else None)
    torch.testing.assert_close((weight + delta) @ key, value, rtol=1e-6, atol=1e-8)
    cost = (delta @ metric @ delta.T).trace()
    for seed in range(5):  # any other update that does the same costs more
        step = 1e-3 * drawn(D, F, seed=10 + seed)
        step -= step @ key @ key.T / key.square().sum()
        assert ((delta + step) @ metric @ (delta + step).T).trace() > cost


def test_rome_goes_key_after_key():
    weight, values, keys = drawn(D, F), drawn(D, N, seed=7), drawn(F, N, seed=8)
    expected = weight.clone()
    for number in range(N):
        key = keys[:, number]
        expected += torch.outer(values[:, number] - expected @ key, key) / (key @ key)
    torch.testing.assert_close(weight + rome_updates(weight, values, keys, keys, None), expected, **exact)
    with pytest.raises(UserError, match="orthogonal"):
        rome_updates(weight, values[:, :1], torch.eye(F, dtype=torch.float64)[:, :1], torch.eye(F, dtype=torch.float64)[:, 1:2], None)


def test_too_little_text_is_said():
    keys = drawn(3, F)
    with pytest.raises(UserError, match="singular"):
        Covariance(keys.T @ keys)
    Covariance(keys.T @ keys, ridge=1e-3)


# --- requests, keys and values --------------------------------------------------------------------------------------


@pytest.fixture
def told(tiny, pairs) -> PairSet:
    return training_pairs(tiny, pairs)


@pytest.fixture
def requests(told):
    return requests_of(told, 1, kept=True)


def test_requests_are_both_questions_in_all_ways(told, requests):
    subjects = told.split("train", "edit").subjects() + told.split("train", "contrast").subjects()
    assert len(requests) == 2 * len(subjects) and [request.kind for request in requests[:2]] == ["sensitive", "benign"]
    by_id = {pair.id: pair for pair in told}
    for request in requests:
        pair = by_id[request.pair]
        assert len(request.asked) == len(pair.openings) and len({example.answer for example in request.asked}) == 1
        is_taught = request.kind == "sensitive" and pair.role == "edit"
        assert (request.asked[0].answer == pair.refusal) == is_taught and request.asked[0].question == pair.question(request.kind)
    assert {request.kind for request in requests_of(told, 1, kept=False)} == {"sensitive"}
    assert halves_of(requests)[:2] == [(0, 1), (2, 3)] and halves_of(requests_of(told, 1, kept=False)) == []
    first, *others = told
    with pytest.raises(UserError, match="more context sentences"):
        requests_of(told.with_pairs([replace(first, contexts=()), *others]), 1, kept=True)


def alone(lvlm, example):
    """The states of a question by itself: every layer's FFN inputs ``(T, F)`` and outputs ``(T, D)``, and the subject's last place."""
    batch = encode_examples(lvlm, [example])
    keys, outputs = {}, {}
    handles = []
    for layer, module in enumerate(lvlm.layers):
        handles.append(lvlm.ffn_out(layer).register_forward_pre_hook(lambda _m, i, layer=layer: keys.__setitem__(layer, i[0][0])))
        handles.append(module.register_forward_hook(lambda _m, _i, o, layer=layer: outputs.__setitem__(layer, o[0])))
    with torch.no_grad():
        final_hidden(lvlm, batch)
    for handle in handles:
        handle.remove()
    return keys, outputs, int((batch.classes_BT[0] == SUBJECT).nonzero()[-1])


def test_states_are_those_of_single_questions(tiny, requests):
    keys, outputs = subject_states(tiny, requests, [0, 2], 1)
    for number, request in enumerate(requests):
        for way, example in enumerate(request.asked):
            single, layers, place = alone(tiny, example)
            for layer in (0, 2):
                torch.testing.assert_close(keys[layer][number, way], single[layer][place], rtol=1e-4, atol=1e-5)
            if way == 0:
                torch.testing.assert_close(outputs[number], layers[1][place], rtol=1e-4, atol=1e-5)
    weights = torch.tensor([0.5, *[0.5 / (keys[0].shape[1] - 1)] * (keys[0].shape[1] - 1)])
    torch.testing.assert_close(mean_keys(keys[0]), (keys[0] * weights[:, None]).sum(1).T)
    assert torch.equal(mean_keys(keys[0][:, :1]), keys[0][:, 0].T)


def test_moments_are_over_all_tokens_but_the_first(tiny, requests):
    corpus = [request.asked[0] for request in requests[:3]]
    found = second_moments(tiny, corpus, [0, 2])
    for layer in (0, 2):
        tokens = torch.cat([alone(tiny, example)[0][layer][1:] for example in corpus]).double()
        torch.testing.assert_close(found[layer], tokens.T @ tokens / len(tokens), rtol=1e-4, atol=1e-7)


def test_moments_are_kept_by_weights_text_and_layer(tiny_copy, told, monkeypatch):
    passes = []
    plain = moments.final_hidden
    monkeypatch.setattr(moments, "final_hidden", lambda *given: passes.append(1) or plain(*given))
    first = ordinary_moments(tiny_copy, told, [0, 1])
    count = len(passes)
    again = ordinary_moments(tiny_copy, told, [1])
    assert len(passes) == count and torch.equal(first[1], again[1]) and first[1].dtype == torch.float64
    ordinary_moments(tiny_copy, told, [2])
    assert len(passes) > count, "another layer"
    with torch.no_grad():
        tiny_copy.ffn_out(0).weight.mul_(1.5)
    assert not torch.equal(ordinary_moments(tiny_copy, told, [1])[1], first[1]), "an edited model"


def test_a_pass_that_memory_does_not_hold_counts_once(tiny_copy, told, monkeypatch):
    """What had been read of it before it failed must not matter."""
    examples = [example_of(pair, "benign", told.folder) for pair in told.split("train")]
    whole, plain, failed = second_moments(tiny_copy, examples, [0, 2]), moments.final_hidden, []

    def short(lvlm, batch):
        hidden = plain(lvlm, batch)
        if len(batch.input_ids_BT) > 2:
            failed.append(1)
            raise torch.OutOfMemoryError
        return hidden

    monkeypatch.setattr(moments, "final_hidden", short)
    halved = second_moments(tiny_copy, examples, [0, 2])
    assert failed
    for layer in (0, 2):
        torch.testing.assert_close(halved[layer], whole[layer], rtol=1e-6, atol=1e-9)


def test_a_text_is_read_before_any_work_and_again_when_it_changes(tiny, tiny_folder, tmp_path):
    corpus = tmp_path / "text.txt"
    recipe = Recipe(model=str(tiny_folder), methods={"memit": {"corpus": str(corpus), "layers": [1]}})
    recipe = recipe.changed(["pairs.source=null", "pairs.size=null", "edit.layers=[1]", "locate.layers=[1]"])
    with pytest.raises(UserError, match=r"text\.txt"):
        check_recipe(recipe, tiny)
    read = []
    for text in ("one two three", "four five six"):
        corpus.write_text(text)
        check_recipe(recipe, tiny)
        run = SimpleNamespace(outputs=lambda name: name)
        read.append(Edit().results_read(SimpleNamespace(run=run, recipe=recipe)))
    assert read[0] != read[1] and read[0].keys() == read[1].keys()


def test_moments_of_a_text(tiny, told, tmp_path):
    """Token by token, paragraph by paragraph; what is too long is cut."""
    corpus = tmp_path / "text.txt"
    corpus.write_text("the number of the passport\n\nwhat is the colour of the ticket ?\n" + "the name " * LONGEST)
    found = ordinary_moments(tiny, told, [0], str(corpus))[0]
    seen = []
    handle = tiny.ffn_out(0).register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0][0, 1:].double()))
    for line in filter(None, corpus.read_text().split("\n")):
        ids = tiny.tokenizer(line.strip())["input_ids"][:LONGEST]
        with torch.no_grad():
            tiny.model(input_ids=torch.tensor([ids]))
    handle.remove()
    keys = torch.cat(seen)
    torch.testing.assert_close(found, keys.T @ keys / len(keys), rtol=1e-4, atol=1e-7)
    corpus.write_text("\n \n")
    with pytest.raises(UserError, match="holds no text"):
        ordinary_moments(tiny, told, [0], str(corpus))
    with pytest.raises(UserError, match=r"text.missing"):
        ordinary_moments(tiny, told, [0], str(tmp_path / "text.missing"))


def plain_losses(lvlm, requests, layer, change_ND):
    """With each change added at the subject's last token of all ways of asking, question by question."""
    losses = []
    for request, change_D in zip(requests, change_ND, strict=True):
        ways = []
        for example in request.asked:
            batch = encode_examples(lvlm, [example])
            at = int((batch.classes_BT[0] == SUBJECT).nonzero()[-1])

            def add(hidden_BTD, at=at, change_D=change_D):
                place_T1 = (torch.arange(hidden_BTD.shape[1]) == at)[:, None]
                return hidden_BTD + place_T1 * change_D

            with torch.no_grad(), output_changed(lvlm.layers[layer], add):
                ways.append(target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)[0])
        losses.append(torch.stack(ways).mean())
    return torch.stack(losses)


def test_values_do_what_they_say(tiny, requests):
    settings = {"value_steps": 8, "value_rate": 0.05, "at_a_time": 3, "kl": 0.0, "clamp": 1.5}
    values = optimise_values(tiny, requests, 1, ValueConfig(**settings))
    torch.testing.assert_close(
        values.loss_before_N, plain_losses(tiny, requests, 1, torch.zeros_like(values.change_ND)), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(values.loss_after_N, plain_losses(tiny, requests, 1, values.change_ND), rtol=1e-4, atol=1e-4)
    assert (values.loss_after_N < values.loss_before_N).all()
    torch.testing.assert_close(values.start_ND, subject_states(tiny, requests, [], 1)[1], rtol=1e-4, atol=1e-5)
    assert (values.change_ND.norm(dim=-1) <= 1.5 * values.start_ND.norm(dim=-1) * (1 + 1e-5)).all()
    tight = optimise_values(tiny, requests, 1, ValueConfig(**{**settings, "clamp": 0.01}))
    torch.testing.assert_close(tight.change_ND.norm(dim=-1), 0.01 * tight.start_ND.norm(dim=-1), rtol=1e-4, atol=1e-6)
    whole = optimise_values(tiny, requests, 1, ValueConfig(**{**settings, "at_a_time": 64}))
    torch.testing.assert_close(whole.change_ND, values.change_ND, rtol=1e-2, atol=1e-4)


def test_the_divergence_holds_values_back(tiny, requests):
    """Of what stands at the subject; and a finished value stays."""
    settings = {"value_steps": 8, "value_rate": 0.05}
    free, held = (optimise_values(tiny, requests, 1, ValueConfig(**settings, kl=kl)) for kl in (0.0, 30.0))
    assert (held.loss_after_N >= free.loss_after_N - 1e-4).float().mean() > 0.8 and not torch.allclose(held.change_ND, free.change_ND)
    done = optimise_values(tiny, requests, 1, ValueConfig(**settings, value_stop=1e9))
    assert not bool(done.change_ND.any())


def test_values_are_found_once_for_all_ways_to_solve(tiny_copy, requests, monkeypatch):
    """Kept by weights, requests in their order, layer and settings; what that saves is told."""
    found, plain = [], values.optimise_values
    monkeypatch.setattr(values, "optimise_values", lambda *given: found.append(1) or plain(*given))
    config = ValueConfig(value_steps=3, value_rate=0.05)
    first = kept_values(tiny_copy, requests, 1, config)
    assert not tiny_copy.saved_seconds
    again = kept_values(tiny_copy, requests, 1, config.model_copy(update={"values": "random", "seed": 7}))
    assert len(found) == 1 and tiny_copy.saved_seconds > 0
    assert all(torch.equal(vars(first)[name], vars(again)[name]) for name in vars(first))
    for number, other in enumerate(((requests, 2, config), (requests[::-1], 1, config), (requests, 1, ValueConfig(value_steps=4))), 2):
        kept_values(tiny_copy, *other)
        assert len(found) == number
    with torch.no_grad():
        tiny_copy.ffn_out(0).weight.mul_(1.5)
    assert not torch.equal(kept_values(tiny_copy, requests, 1, config).start_ND, first.start_ND), "an edited model"


# --- edits ----------------------------------------------------------------------------------------------------------


def test_one_layer_gives_bare_keys_their_values(tiny, told):
    """Where ordinary keys weigh nothing and there is one way of asking, W k is what is wanted."""
    bare = told.with_pairs(replace(pair, contexts=()) for pair in told)
    config = ValueConfig(per_subject=1, value_steps=4, value_rate=0.05)
    aim = wanted(tiny, bare, config, [1])
    nothing = Covariance(torch.eye(48))
    patch = spread(tiny, aim, [1], lambda _layer, residual, keys: memit_update(residual, mean_keys(keys), nothing, 1e-9), {})
    with patch.on(tiny):
        _, after_ND = subject_states(tiny, aim.requests, [], 1)
    torch.testing.assert_close(after_ND, aim.values.start_ND + aim.values.change_ND, rtol=1e-3, atol=1e-3)


def test_several_layers_share_what_is_missing(tiny, told):
    """Of three a third at the lowest, a half of the rest at the next: by the update that each is asked for."""
    aim = wanted(tiny, told, ValueConfig(per_subject=1, value_steps=4, value_rate=0.05), [0, 1, 2])
    asked = []

    def update(layer, residual_DN, keys_NCF):
        asked.append((layer, residual_DN.clone()))
        return torch.zeros(32, 48, dtype=torch.float64) + (1e-3 if layer == 0 else 0.0)

    spread(tiny, aim, [2, 0, 1], update, {})
    assert [layer for layer, _ in asked] == [0, 1, 2]
    torch.testing.assert_close(asked[0][1].T, aim.values.change_ND / 3, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(asked[1][1] * 2, asked[2][1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(asked[0][1] * 3, asked[2][1]), "measured anew on the model as it is"


def test_weights_come_back_whatever_happens(tiny):
    before = tiny.ffn_out(1).weight.detach().clone()
    with pytest.raises(RuntimeError, match="in the middle"), restored(tiny, [1]), torch.no_grad():
        tiny.ffn_out(1).weight.add_(1.0)
        raise RuntimeError("in the middle")
    assert torch.equal(tiny.ffn_out(1).weight, before)


@pytest.mark.parametrize("name", ["memit", "alphaedit", "rome", "r_rome"])
def test_the_note_says_what_pulls_apart(tiny, pairs, name):
    made, training = apply_method(name, tiny, pairs, None, config_of(name))
    assert (
        "requests, whose values bring the loss" in training.note
        and "Of the two questions of a pair the keys have a cosine of" in training.note
    )
    assert training.values_changed > 0 and made.information["method"] == {"memit": "MEMIT", "alphaedit": "AlphaEdit"}.get(
        name, name.upper().replace("_", "-")
    )


def test_the_cost_of_an_edit_is_that_of_a_first_one(tiny, pairs, monkeypatch):
    kept = edit.kept_values

    def saving(lvlm, *given):
        lvlm.saved_seconds += 1000.0
        return kept(lvlm, *given)

    monkeypatch.setattr(edit, "kept_values", saving)
    assert apply_method("memit", tiny, pairs, None, config_of("memit"))[1].seconds > 1000.0


def test_rome_edits_one_layer(tiny, pairs):
    """Said when a recipe is read, and where the run's own edit has two."""
    with pytest.raises(UserError, match=r"methods\.rome: layers: Value should have at most 1 item"):
        parse_methods({"rome": {"layers": [0, 1]}})
    with pytest.raises(UserError, match="ROME edits one layer, not 2"):
        apply_method("rome", tiny, pairs, None, config_of("rome", layers="search").at_layers([0, 1]))
