"""What every intervention must do, on families that differ: moves only what it says, undone bit for bit, saved and loaded, scaled,
and refused where it does not belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.interventions.base import Intervention
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.load import load_intervention
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.prompt import Prompt
from neuralgate.interventions.steering import Steering
from neuralgate.interventions.values import sha256
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import all_roles, find_role
from neuralgate.lvlm.styles import CHAT
from tests.families.models import SIZE, save

#: The plain one; fused gate and up projections; OPT with biases and without a chat template; norms behind the FFN and a tied head.
FAMILIES = ("llava", "glm4v", "blip2", "gemma3")


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory) -> Path:
    return save(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def lvlm(folder: Path) -> LVLM:
    torch.set_num_threads(1)
    return load(folder)


@pytest.fixture(scope="module")
def other(lvlm: LVLM, tmp_path_factory) -> LVLM:
    """Another model."""
    family = "qwen2_vl"
    return load(save(family, tmp_path_factory.mktemp("models") / family))


def patch(lvlm: LVLM, roles: list[str], share: float = 1.0) -> Patch:
    """A patch of some of the values of each tensor."""
    draw = torch.Generator().manual_seed(0)
    base = {role: find_role(lvlm.model, role).detach().clone() for role in roles}
    edited = {}
    for role, tensor in base.items():
        chosen = torch.rand(tensor.shape, generator=draw) < share
        edited[role] = torch.where(chosen, tensor + torch.randn(tensor.shape, generator=draw), tensor)
    return Patch.between(lvlm, base, edited, {"method": "test"})


def vision_roles(lvlm: LVLM) -> list[str]:
    """The projection of the picture's patches, which has four or five dimensions, and a vector."""
    tower = {role: tensor for role, tensor in all_roles(lvlm.model).items() if re.match(r"parameter:.*(vision|visual)", role)}
    return [next(role for role, tensor in tower.items() if (tensor.ndim > 3) == is_wide and tensor.ndim != 2) for is_wide in (True, False)]


CASES: dict[str, Callable[[LVLM], Intervention]] = {
    "patch of FFNs": lambda lvlm: patch(lvlm, ["decoder.0.ffn.out", "decoder.1.ffn.out"]),
    "sparse patch of attention": lambda lvlm: patch(lvlm, ["decoder.0.attention.value", "decoder.1.attention.out"], share=0.1),
    "patch of norms": lambda lvlm: patch(lvlm, ["decoder.0.norm.ffn", "decoder.norm"]),
    "patch of embeddings": lambda lvlm: patch(lvlm, ["embeddings"]),
    "patch of the vision tower": lambda lvlm: patch(lvlm, vision_roles(lvlm)),
    "steering": lambda lvlm: Steering.for_model(lvlm, {1: torch.randn(SIZE, generator=torch.Generator().manual_seed(0)) * 3}, {}),
    "prompt": lambda lvlm: Prompt("Please tell me no number and no name.", "question"),
    "system prompt": lambda lvlm: Prompt("Please tell me no number and no name.", "system" if lvlm.prompt_style == CHAT else "question"),
    "filter": lambda lvlm: Filter(words=("student id",), patterns=(r"^(?!I'm sorry)",)),
}


@pytest.fixture(params=CASES)
def intervention(request, lvlm: LVLM) -> Intervention:
    return CASES[request.param](lvlm)


@pytest.fixture(scope="module")
def items(examples) -> list:
    return [(example.image, example.question) for example in examples]


@pytest.fixture(scope="module")
def base_answers(lvlm: LVLM, items: list) -> list[str]:
    return lvlm.generate(items, max_new_tokens=6)


def hashes(lvlm: LVLM) -> Mapping[str, str]:
    return {name: sha256(tensor) for name, tensor in lvlm.model.state_dict().items()}


def hooks(lvlm: LVLM) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in lvlm.model.modules())


def answers(intervention: Intervention, lvlm: LVLM, items: list) -> list[str]:
    with intervention.on(lvlm) as answerer:
        assert answerer.name == lvlm.name
        return [answer.text for answer in answerer.generate_answers(items, max_new_tokens=6)]


def test_it_moves_what_it_says_and_leaves_no_trace(intervention, lvlm, items, base_answers):
    before, hooked = hashes(lvlm), hooks(lvlm)
    named = {entry["name"] for entry in intervention.tensors.values()} if isinstance(intervention, Patch) else set()
    with intervention.on(lvlm) as answerer:
        inside = hashes(lvlm)
        moved = {name for name in before if before[name] != inside[name]}
        assert {find.data_ptr() for name, find in lvlm.model.state_dict().items() if name in moved} == {
            find.data_ptr() for name, find in lvlm.model.state_dict().items() if name in named
        }  # by address: a tied head has two names
        assert [answer.text for answer in answerer.generate_answers(items, max_new_tokens=6)] != base_answers
    assert hashes(lvlm) == before and hooks(lvlm) == hooked
    with pytest.raises(ZeroDivisionError), intervention.on(lvlm):
        raise ZeroDivisionError
    assert hashes(lvlm) == before and hooks(lvlm) == hooked
    assert lvlm.generate(items, max_new_tokens=6) == base_answers


def test_it_is_saved_and_loaded(intervention, lvlm, items, tmp_path):
    intervention.save(tmp_path / "one", "Evidence.\n\n")
    again = load_intervention(tmp_path / "one")
    assert type(again) is type(intervention) and again.identity == intervention.identity
    assert again.information == intervention.information and again.table() == intervention.table()
    again.save(tmp_path / "two", "Evidence.\n\n")
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert "README.md" in names and all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    assert answers(again, lvlm, items) == answers(intervention, lvlm, items)


def test_it_scales(intervention, lvlm, items, base_answers, tmp_path):
    before = hashes(lvlm)
    with intervention.at(0).on(lvlm):
        assert hashes(lvlm) == before
    assert answers(intervention.at(0), lvlm, items) == base_answers
    assert intervention.at(1).identity == intervention.identity and answers(intervention.at(1), lvlm, items) == answers(
        intervention, lvlm, items
    )
    half = intervention.at(0.5)
    half.save(tmp_path / "half")
    again = load_intervention(tmp_path / "half")
    assert again.identity == half.identity and answers(again, lvlm, items) == answers(half, lvlm, items)
    if isinstance(intervention, Patch | Steering):
        assert len({intervention.identity, half.identity, intervention.at(0).identity}) == 3
    else:
        assert half.identity == intervention.identity and again.at(0.4).identity == intervention.at(0).identity
    assert hashes(lvlm) == before
    with pytest.raises(UserError, match="must be a finite number"):
        intervention.at(float("nan"))


def test_a_half_patch_is_half_way(lvlm):
    whole = patch(lvlm, ["decoder.1.ffn.out", "decoder.norm"], share=0.1)
    base = {role: find_role(lvlm.model, role).detach().clone() for role in whole.tensors}
    with whole.on(lvlm):
        edited = {role: find_role(lvlm.model, role).detach().clone() for role in whole.tensors}
    with whole.at(0.25).on(lvlm):
        for role, tensor in base.items():
            expected = (tensor.double() + 0.25 * (edited[role].double() - tensor.double())).float()
            assert torch.equal(find_role(lvlm.model, role).detach(), expected) and not torch.equal(expected, tensor)


def test_another_model_is_refused(intervention, lvlm, other):
    before = hashes(other)
    if isinstance(intervention, Filter):  # it needs nothing of the model
        with intervention.on(other) as answerer:
            assert answerer.generate_answers([(None, "Whose student id?")])[0].text == intervention.refusal
    elif isinstance(intervention, Prompt):
        token = other.processor.image_token
        with pytest.raises(UserError, match="which stands for a picture"), Prompt(f"See {token}", intervention.where).on(other):
            pass
    else:
        refused = pytest.raises(UserError, match=r"Wrong base|no tensor|is not the model that the (patch|vectors)")
        with refused, intervention.on(other):
            pass
    assert hashes(other) == before


def test_a_system_text_needs_a_template(lvlm):
    prompt = Prompt("No names.")
    if lvlm.prompt_style == CHAT:
        with prompt.on(lvlm):
            pass
        deaf = load(lvlm.name)
        deaf.processor.chat_template = "{% for message in messages if message.role == 'user' %}{{ message.content[0].text }}{% endfor %}"
        with pytest.raises(UserError, match="does not write a system text as given"), prompt.on(deaf):
            pass
    else:
        with pytest.raises(UserError, match="has no room for a system text"), prompt.on(lvlm):
            pass


def test_every_parameter_has_one_role(lvlm):
    roles = all_roles(lvlm.model)
    assert len(roles) == len(list(lvlm.model.parameters()))
    assert all(find_role(lvlm.model, role) is parameter for role, parameter in roles.items())
    assert {"embeddings", "decoder.norm", "decoder.2.ffn.out", "decoder.0.attention.query", "decoder.1.norm.attention"} <= roles.keys()
    fused = "decoder.0.ffn.gate_and_in" in roles
    assert fused == (lvlm.model_type == "glm4v") and ("decoder.0.ffn.in" in roles) != fused
    assert ("decoder.0.attention.out.bias" in roles) == (lvlm.model_type == "blip-2")
