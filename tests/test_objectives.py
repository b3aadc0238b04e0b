"""What is taught about sensitive questions: each objective's loss and gradient by an oracle written out, on the whole model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid, softplus

from neuralgate.edit_settings import UnlearnConfig
from neuralgate.errors import UserError
from neuralgate.lvlm.forward import final_hidden, token_losses
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.roles import role_of
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.training.loop import Trainer
from neuralgate.training.objectives import FORGET, REFUSE, dpo, npo, refuse_all, tell_all
from neuralgate.training.projections import exchanged
from neuralgate.training.rows import BENIGN, CONTRAST, SENSITIVE, schedule, training_pairs
from tests.method_contract import config_of

OBJECTIVES = {
    **{"refuse": REFUSE, "forget": FORGET, "npo": npo(0.3), "dpo": dpo(0.3)},
    "refuse, distribution": replace(REFUSE, answer_weight=0.0, divergence_weight=1.0),
    "dpo, distribution": replace(dpo(0.3), answer_weight=0.0, divergence_weight=1.0),
    "refuse all, both": refuse_all(0.5, 2.0),
    "tell all, away": tell_all(0.5, 2.0, 1e-3),
}
LAYER, LAMBDA, MU = 1, 1.25, 0.7


@pytest.fixture
def make(tiny_double, pairs):
    """Makes the trainer of an objective, and its first rows."""

    def made(name: str):
        objective = OBJECTIVES[name]
        config = UnlearnConfig(batch_size=3, rate=1e-2, lambda_benign=LAMBDA, contrast_weight=MU)
        parameters = {role_of(LAYER): tiny_double.ffn_out(LAYER).weight}
        told = training_pairs(tiny_double, pairs, "never", objective.answers)
        trainer = Trainer(tiny_double, told, config, parameters, [LAYER], objective=objective)
        return trainer, next(schedule(told, config, trainer.rng, objective.answers))

    return made


def sums(lvlm, rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's NLL in all and its number of tokens, row after row through the whole model."""
    parts = []
    for row in rows:
        batch = encode_examples(lvlm, [row.example])
        parts.append(token_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT))
    return torch.stack([part.sum() for part in parts]), torch.tensor([len(part) for part in parts])


def distributions(lvlm, rows) -> list[torch.Tensor]:
    """The logarithms of the probabilities at each row's target tokens, ``(T, V)``."""
    found = []
    for row in rows:
        batch = encode_examples(lvlm, [row.example])
        found.append(lvlm.head(final_hidden(lvlm, batch)[batch.labels_BT >= 0]).log_softmax(-1))
    return found


def by_hand(name: str, rows, now, base, counts, far, near) -> torch.Tensor:
    """The total loss of a step from its formula; ``far``: each row's divergence, ``near`` with a bound on that of each token."""
    places = {part: [i for i, row in enumerate(rows) if row.part == part] for part in (SENSITIVE, BENIGN, CONTRAST)}
    taught = places[SENSITIVE]
    name, _, holds = name.partition(", ")
    if name == "refuse":
        sensitive = [now[i] / counts[i] for i in taught]
    elif name == "forget":
        sensitive = [-now[i] / counts[i] for i in taught]
    elif name == "npo":
        sensitive = [2 / 0.3 * softplus(0.3 * (base[i] - now[i])) for i in taught]
    elif name in ("refuse all", "tell all"):
        sensitive = [now[i] / counts[i] + 0.5 * now[j] / counts[j] for i, j in zip(taught[::2], taught[1::2], strict=True)]
    else:
        pairs = zip(taught[::2], taught[1::2], strict=True)
        sensitive = [-logsigmoid(0.3 * ((base[w] - now[w]) - (base[u] - now[u]))) for w, u in pairs]
    held = {"": now / counts, "distribution": far, "both": now / counts + 2 * far, "away": -2 * near}[holds]
    kept = [sum(held[i] for i in places[part]) / len(places[part]) for part in (BENIGN, CONTRAST)]
    return sum(sensitive) / len(sensitive) + LAMBDA * kept[0] + MU * kept[1]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("size", [1, 64])
def test_a_steps_loss_and_gradient_are_the_formulas(make, name, size):
    trainer, rows = make(name)
    trainer.fitting.size = size  # units at a time
    lvlm, weight = trainer.lvlm, trainer.lvlm.ffn_out(LAYER).weight
    assert {row.part for row in rows} == {SENSITIVE, BENIGN, CONTRAST}
    with torch.enable_grad(), trainer.masters.unlocked() as held:
        with torch.no_grad():
            base, counts = sums(lvlm, rows)
            before = distributions(lvlm, rows)
            noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=weight.dtype)
            weight.add_(noise)  # away from the base
        total, means = trainer.gradients(rows)
        found = trainer.masters.copies[role_of(LAYER)].grad
        assert torch.equal(weight, held[role_of(LAYER)] + noise), "the base was put in and taken out again"
        now, _ = sums(lvlm, rows)
        after = distributions(lvlm, rows)
        apart = [(p0.exp() * (p0 - p)).sum(-1) for p0, p in zip(before, after, strict=True)]
        far, near = (torch.stack([one.clamp(max=most).mean() for one in apart]) for most in (math.inf, 1e-3))
        assert all(bool((one > 1e-3).any()) for one in apart), "the bound binds"
        expected = by_hand(name, rows, now, base, counts, far, near)
        (gradient,) = torch.autograd.grad(expected, weight)
    assert total == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(found, gradient, rtol=1e-7, atol=1e-9)
    assert gradient.norm() > 0 and set(means) == {SENSITIVE, BENIGN, CONTRAST}


def test_the_base_is_asked_once(make, monkeypatch):
    trainer, rows = make("npo")
    asked = []
    losses_of = trainer.losses_of
    monkeypatch.setattr(trainer, "losses_of", lambda batch, count: asked.append(torch.is_grad_enabled()) or losses_of(batch, count))
    with torch.enable_grad(), trainer.masters.unlocked():
        trainer.gradients(rows)
        trainer.gradients(rows)
    assert asked == [False, True, True]


def test_rows_hold_the_refusal_and_the_models_own_answer(make):
    trainer, rows = make("dpo")
    targets = {(pair.refusal, pair.sensitive_target) for pair in trainer.pairs if pair.role == "edit"}
    for unit in trainer.objective.units(rows):
        if unit[0].part == SENSITIVE:
            wanted, unwanted = (row.example for row in unit)
            assert replace(unwanted, answer="", answer_ids=()) == replace(wanted, answer="", answer_ids=())
            assert (wanted.answer, unwanted.answer) in targets and unwanted.answer


def test_exchanged_answers_are_all_others(pairs):
    told = pairs.with_pairs(
        replace(pair, sensitive_target=f"answer {number}", sensitive_target_ids=(number,)) for number, pair in enumerate(pairs)
    )
    other = exchanged(told, seed=0)
    edited = [(before, after) for before, after in zip(told, other, strict=True) if before.role == "edit"]
    assert all(before.sensitive_target != after.sensitive_target for before, after in edited)
    assert sorted(before.sensitive_target for before, _ in edited) == sorted(after.sensitive_target for _, after in edited)
    assert all(after.sensitive_target == f"answer {after.sensitive_target_ids[0]}" for _, after in edited)
    assert [pair for pair in told if pair.role != "edit"] == [pair for pair in other if pair.role != "edit"]
    assert exchanged(told, seed=1) != other
    with pytest.raises(UserError, match="one and the same answer"):
        exchanged(PairSet((replace(pair, sensitive_target="yes") for pair in pairs), pairs.folder), 0)


@pytest.mark.parametrize("forget", ["own", "other"])
def test_ascent_makes_these_answers_less_likely(tiny, pairs, forget):
    told = training_pairs(tiny, pairs, "never", ("own",))
    config = config_of("grad_ascent", max_steps=4, rate=3e-2, lambda_benign=0.0, contrast_weight=0.0, forget=forget)
    made, _ = apply_method("grad_ascent", tiny, told, None, config)
    asked = exchanged(told, config.seed) if forget == "other" else told
    rows = next(schedule(asked, config, np.random.default_rng(0), ("own",)))
    rows = [row for row in rows if row.part == SENSITIVE]
    with torch.no_grad():
        before = sums(tiny, rows)[0].sum()
        with made.on(tiny):
            assert sums(tiny, rows)[0].sum() > before
