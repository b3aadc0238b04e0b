"""LoRA: the adapter in the model, out of it again, and what becomes of it."""

from __future__ import annotations

import sys

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.roles import find_roles
from neuralgate.lvlm.targets import example_of
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.training import rate
from neuralgate.training.adapter import adapted
from neuralgate.training.projections import random_like
from tests.method_contract import config_of, weights

ROLES = ["decoder.1.ffn.out", "decoder.1.attention.query"]


def modules(lvlm: LVLM) -> dict[str, int]:
    return {name: id(module) for name, module in lvlm.model.named_modules()}


def hidden(lvlm: LVLM, pairs: PairSet) -> torch.Tensor:
    batch = encode_examples(lvlm, [example_of(pair, "sensitive", pairs.folder) for pair in pairs.split("train", "edit").pairs[:2]])
    with torch.no_grad():
        return final_hidden(lvlm, batch)


def test_what_the_adapter_does_is_what_it_says(tiny_copy: LVLM, pairs: PairSet) -> None:
    """At first nothing; then W + scale B A, as the weights themselves would."""
    before, held, plain = modules(tiny_copy), weights(tiny_copy), hidden(tiny_copy, pairs)
    with adapted(tiny_copy, ROLES, rank=2, alpha=6, seed=0) as adapter:
        assert torch.equal(hidden(tiny_copy, pairs), plain)
        assert {name: tuple(parameter.shape) for name, parameter in adapter.parameters.items()} == {
            "decoder.1.ffn.out (A)": (2, 48),
            "decoder.1.ffn.out (B)": (32, 2),
            "decoder.1.attention.query (A)": (2, 32),
            "decoder.1.attention.query (B)": (32, 2),
        }
        with torch.no_grad():
            for name in adapter.parameters.keys() - set(adapter.still):
                adapter.parameters[name].normal_(generator=torch.Generator().manual_seed(1))
        changes, found = adapter.changes(), hidden(tiny_copy, pairs)
        for role, change in changes.items():
            a, b = adapter.parameters[f"{role} (A)"], adapter.parameters[f"{role} (B)"]
            torch.testing.assert_close(change, 6 / 2 * (b @ a).detach())
    assert modules(tiny_copy) == before and weights(tiny_copy) == held and not hasattr(tiny_copy.model, "peft_config")
    with torch.no_grad():
        for role, parameter in find_roles(tiny_copy.model, ROLES).items():
            parameter += changes[role]
    torch.testing.assert_close(hidden(tiny_copy, pairs), found, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, plain)


def test_an_adapter_hangs_on_its_seed_alone(tiny: LVLM) -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.rand(3)
        state = torch.get_rng_state()
        with adapted(tiny, ROLES, 2, 4, seed) as adapter:
            drawn.append(adapter.parameters["decoder.1.ffn.out (A)"].detach().clone())
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_the_adapter_is_taken_out_whatever_happens(tiny: LVLM) -> None:
    before = modules(tiny)
    with pytest.raises(RuntimeError, match="in the middle"), adapted(tiny, ROLES, 2, 4, 0):
        raise RuntimeError("in the middle")
    assert modules(tiny) == before


@pytest.mark.parametrize("change", ["trained", "random"])
def test_the_patch_has_the_rank(tiny: LVLM, pairs: PairSet, change: str) -> None:
    config = config_of("lora", rank=2, parts=["ffn"], max_steps=3)
    made, training = apply_method("lora", tiny, pairs, None, config.model_copy(update={"change": change}))
    trained, _ = apply_method("lora", tiny, pairs, None, config)
    assert set(made.tensors) == {f"decoder.1.ffn.{part}" for part in ("in", "gate", "out")} and training.values_changed
    for role, base in {role: parameter.detach().clone() for role, parameter in find_roles(tiny.model, made.tensors).items()}.items():
        norms = []
        for patch in (made, trained):
            with patch.on(tiny):
                difference = find_roles(tiny.model, [role])[role].detach() - base
            singular = torch.linalg.svdvals(difference.double())
            assert singular[1] > 1e-4 * singular[0] > singular[2]
            norms.append(float(difference.norm()))
        assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_random_like_is_alike() -> None:
    change = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(3, 9, generator=torch.Generator().manual_seed(1))
    drawn = random_like(change, 3, "0|a")
    assert drawn.shape == change.shape and float(drawn.norm()) == pytest.approx(float(change.norm()), rel=1e-5)
    assert int(torch.linalg.matrix_rank(drawn)) == 3 and not torch.equal(drawn, random_like(change, 3, "0|b"))


def test_lora_finds_its_rate_with_its_own_values(tiny: LVLM, pairs: PairSet, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = []
    monkeypatch.setattr(rate, "losses_at", lambda trainer: trainers.append(trainer) or [5.0 - 0.1 * step for step in range(11)])
    apply_method("lora", tiny, pairs, None, config_of("lora", rate="auto"))
    assert trainers[0].config.rate == rate.RATES[0] and all(name.endswith(("(A)", "(B)")) for name in trainers[0].masters.parameters)


def test_what_is_no_linear_layer_takes_none(tiny: LVLM) -> None:
    with (
        pytest.raises(UserError, match=r"decoder\.1\.norm\.ffn of .* is not the weight of a linear layer"),
        adapted(tiny, ["decoder.1.norm.ffn"], 2, 4, 0),
    ):
        pass


def test_without_peft(tiny: LVLM, pairs: PairSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"pip install 'neuralgate\[peft\]'"):
        apply_method("lora", tiny, pairs, None, config_of("lora"))
