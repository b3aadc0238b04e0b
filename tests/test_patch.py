"""The patch: exact, reversible, and fast to say no."""

import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralgate.edit.patch import Patch
from neuralgate.errors import UserError
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import tensor_bytes
from neuralgate.lvlm.roles import find_role

ROLES = ("decoder.0.ffn.out", "decoder.2.ffn.out")


def weights(lvlm) -> dict[str, bytes]:
    return {name: tensor_bytes(tensor) for name, tensor in lvlm.model.state_dict().items()}


def make_patch(lvlm, seed=0) -> tuple[Patch, dict[str, torch.Tensor]]:
    """A patch of two layers with a change in some of their values, and the values that it leads to."""
    generator = torch.Generator().manual_seed(seed)
    base = {role: find_role(lvlm.model, role).data.clone() for role in ROLES}
    edited = {}
    for role, tensor in base.items():
        noise = torch.randn(tensor.shape, generator=generator) * (torch.rand(tensor.shape, generator=generator) < 0.6)
        edited[role] = (tensor + 0.1 * noise.to(tensor.dtype)).to(tensor.dtype)
    return Patch.between(lvlm, base, edited, {"method": "test", "recipe_digest": "abc"}), edited


@pytest.fixture(params=["float32", "bfloat16"])
def lvlm(request, tiny_folder):
    return load(tiny_folder, dtype=request.param)


@pytest.fixture
def saved(tiny_copy, tmp_path):
    """A saved patch of the tiny model."""
    make_patch(tiny_copy)[0].save_pretrained(tmp_path / "patch")
    return tmp_path / "patch"


# --- exact ----------------------------------------------------------------------------------------------------------


def test_it_comes_and_goes_bit_for_bit(lvlm):
    patch, edited = make_patch(lvlm)
    before = weights(lvlm)
    assert patch.state(lvlm.model) == "base"
    patch.apply_(lvlm.model)
    assert patch.state(lvlm.model) == "patched"
    after = weights(lvlm)
    for role, tensor in edited.items():
        assert tensor_bytes(find_role(lvlm.model, role)) == tensor_bytes(tensor)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {entry["name"] for entry in patch.tensors.values()} and len(changed) == 2
    patch.revert_(lvlm.model)
    assert weights(lvlm) == before


def test_a_context_leaves_no_trace(lvlm):
    patch, edited = make_patch(lvlm)
    before = weights(lvlm)
    with patch.applied(lvlm.model):
        assert tensor_bytes(find_role(lvlm.model, ROLES[1])) == tensor_bytes(edited[ROLES[1]])
    assert weights(lvlm) == before
    with pytest.raises(ZeroDivisionError), patch.applied(lvlm.model):
        raise ZeroDivisionError
    assert weights(lvlm) == before


def test_a_round_trip_through_files(lvlm, tmp_path):
    patch, edited = make_patch(lvlm)
    patch.save_pretrained(tmp_path / "patch")
    patch.save_pretrained(tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "patch").iterdir()) == ["README.md", "patch.json", "patch.safetensors"]
    for name in ("README.md", "patch.json", "patch.safetensors"):
        assert (tmp_path / "patch" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    loaded = Patch.from_pretrained(tmp_path / "patch")
    assert (loaded.tensors, loaded.information) == (patch.tensors, patch.information)
    with loaded.applied(lvlm.model):
        assert tensor_bytes(find_role(lvlm.model, ROLES[0])) == tensor_bytes(edited[ROLES[0]])
    card = (tmp_path / "patch" / "README.md").read_text()
    assert all(role in card for role in ROLES) and lvlm.fingerprint in card


def test_a_patched_model_directory_reverts_to_the_base(lvlm, tmp_path):
    patch, _ = make_patch(lvlm)
    dtype = patch.tensors[ROLES[0]]["dtype"]
    before = weights(lvlm)
    patch.apply_(lvlm.model)
    lvlm.save(tmp_path / "patched")
    other = load(tmp_path / "patched", dtype=dtype)
    assert patch.state(other.model) == "patched" and weights(other) == weights(lvlm)
    patch.revert_(other.model)
    assert weights(other) == before


BITS = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(BITS, BITS)
def test_any_bits_come_back(tiny, before, after):
    """Minus zero, NaN and infinities, too: a difference of floats would lose them."""
    assert tiny.fingerprint, "known before the weights change, as every other test expects it"
    weight = find_role(tiny.model, ROLES[0]).data
    kept = weight.clone()
    first, second = (torch.tensor(bits, dtype=torch.int32).view(torch.float32) for bits in (before, after))
    edited = kept.clone()
    weight[0, :6], edited[0, :6] = first, second
    try:
        changed = weight.clone()
        patch = Patch.between(tiny, {ROLES[0]: changed}, {ROLES[0]: edited}, {})
        if before == after:
            assert patch.tensors[ROLES[0]]["changed"] == 0
            return
        patch.apply_(tiny.model)
        assert tensor_bytes(weight) == tensor_bytes(edited)
        patch.revert_(tiny.model)
        assert tensor_bytes(weight) == tensor_bytes(changed)
    finally:
        weight.copy_(kept)


def test_what_changed_is_counted(tiny_copy):
    base = find_role(tiny_copy.model, ROLES[0]).data
    edited = base.clone()
    edited[0, :3] += 1
    patch = Patch.between(tiny_copy, {ROLES[0]: base}, {ROLES[0]: edited}, {})
    entry = patch.tensors[ROLES[0]]
    assert entry["changed"] == 3 and entry["relative_change"] == pytest.approx(3**0.5 / base.norm().item(), rel=1e-5)


# --- refused --------------------------------------------------------------------------------------------------------


def test_it_is_not_applied_or_reverted_twice(lvlm):
    patch, _ = make_patch(lvlm)
    with pytest.raises(UserError, match="not applied to this model"):
        patch.revert_(lvlm.model)
    with patch.applied(lvlm.model):
        inside = weights(lvlm)
        with pytest.raises(UserError, match="is applied already"):
            patch.apply_(lvlm.model)
        with pytest.raises(UserError, match="is applied already"), patch.applied(lvlm.model):
            pass
        assert weights(lvlm) == inside


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", ["apply_", "revert_", "state"])
def test_a_wrong_base_is_refused_by_name_and_left_alone(tiny_copy, role, method):
    patch, _ = make_patch(tiny_copy)
    tensor = find_role(tiny_copy.model, role).data
    tensor[3, 5] += 1e-6 + tensor[3, 5].abs() * 1e-6  # a bit or two
    before = weights(tiny_copy)
    with pytest.raises(UserError, match=rf"Wrong base: {patch.tensors[role]['name']} \({role}\)".replace(".", r"\.")):
        getattr(patch, method)(tiny_copy.model)
    assert weights(tiny_copy) == before


def test_the_base_in_another_dtype_is_a_wrong_base(tiny_copy, tiny_folder):
    patch, _ = make_patch(tiny_copy)
    with pytest.raises(UserError, match=r"Wrong base: .*float32"):
        patch.apply_(load(tiny_folder, dtype="bfloat16").model)


def test_half_a_patch_is_refused(tiny_copy):
    patch, edited = make_patch(tiny_copy)
    find_role(tiny_copy.model, ROLES[0]).data.copy_(edited[ROLES[0]])
    with pytest.raises(UserError, match="some tensors of the patch and not others"):
        patch.apply_(tiny_copy.model)


def test_a_model_with_fewer_layers_is_refused(tiny_copy):
    patch, _ = make_patch(tiny_copy)
    del tiny_copy.layers[2]
    tiny_copy.model.config.text_config.num_hidden_layers = 2
    with pytest.raises(UserError, match=r"no tensor decoder\.2\.ffn\.out .* 2 decoder layers"):
        patch.apply_(tiny_copy.model)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_is_refused(saved, share):
    path = saved / "patch.safetensors"
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="does not match its checksum"):
        Patch.from_pretrained(saved)


@pytest.mark.parametrize("name", ["patch.json", "patch.safetensors"])
def test_a_missing_or_truncated_file_is_refused(saved, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[:-20])
    with pytest.raises(UserError, match=r"is broken|does not match its checksum"):
        Patch.from_pretrained(saved)
    (saved / name).unlink()
    with pytest.raises(UserError, match=f"not a patch folder .no {name}"):
        Patch.from_pretrained(saved)
    shutil.rmtree(saved)
    with pytest.raises(UserError, match="not a patch folder"):
        Patch.from_pretrained(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "is a patch of format 2"),
        ({"format": "1"}, "is a patch of format '1'"),
        ({"format": None}, "is broken"),
        ({"tensors": {}}, "list different tensors"),
        ({"tensors": 5}, "does not describe its tensors"),
        ({"tensors": {"decoder.0.ffn.out": {"name": "a"}}}, "does not describe its tensors"),
        ({"safetensors_sha256": "0"}, "does not match its checksum"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(saved, change, said):
    header = {**json.loads((saved / "patch.json").read_text()), **change}
    (saved / "patch.json").write_text(json.dumps({key: value for key, value in header.items() if value is not None}))
    with pytest.raises(UserError, match=said):
        Patch.from_pretrained(saved)


def test_a_patch_that_leads_elsewhere_is_refused(saved, tiny_copy):
    header = json.loads((saved / "patch.json").read_text())
    header["tensors"][ROLES[0]]["result_sha256"] = "0" * 64
    (saved / "patch.json").write_text(json.dumps(header))
    before = weights(tiny_copy)
    with pytest.raises(UserError, match=f"does not lead to what its patch.json names for {ROLES[0]}"):
        Patch.from_pretrained(saved).apply_(tiny_copy.model)
    assert weights(tiny_copy) == before


def test_a_patch_that_says_it_changes_nothing_and_does_is_refused(saved, tiny_copy):
    header = json.loads((saved / "patch.json").read_text())
    header["tensors"][ROLES[0]]["result_sha256"] = header["tensors"][ROLES[0]]["base_sha256"]
    (saved / "patch.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match="does not lead to"):
        Patch.from_pretrained(saved).apply_(tiny_copy.model)


def test_a_header_that_is_no_mapping_is_refused(saved):
    (saved / "patch.json").write_text("[]")
    with pytest.raises(UserError, match="is broken"):
        Patch.from_pretrained(saved)


def test_a_tensor_that_the_edit_left_alone_does_not_stand_in_the_way(tiny_copy):
    base = {role: find_role(tiny_copy.model, role).data.clone() for role in ROLES}
    edited = {ROLES[0]: base[ROLES[0]] + 1, ROLES[1]: base[ROLES[1]]}
    patch, before = Patch.between(tiny_copy, base, edited, {}), weights(tiny_copy)
    patch.apply_(tiny_copy.model)
    assert patch.state(tiny_copy.model) == "patched" and weights(tiny_copy) != before
    patch.revert_(tiny_copy.model)
    assert patch.state(tiny_copy.model) == "base" and weights(tiny_copy) == before


def test_a_patch_without_a_tensor_is_none(tiny_copy, tmp_path):
    Patch({}, {}, {}).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="without a tensor"):
        Patch.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("shape", [4, 4], "list different tensors"),
        ("dtype", "bfloat16", "list different tensors"),
        ("dtype", "Tensor", "does not describe its tensors"),
        ("encoding", "difference", "does not describe its tensors"),
        ("changed", "<script>", "does not describe its tensors"),
        ("command", "rm", "does not describe its tensors"),
    ],
)
def test_an_entry_that_does_not_fit_its_tensor_is_refused(saved, key, value, said):
    header = json.loads((saved / "patch.json").read_text())
    header["tensors"][ROLES[0]][key] = value
    (saved / "patch.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match=said):
        Patch.from_pretrained(saved)


def test_a_changed_sum_in_the_header_refuses_the_right_base(saved, tiny_copy):
    """Whoever changes the header cannot make the patch fit: the result is checked as well as the base."""
    header = json.loads((saved / "patch.json").read_text())
    header["tensors"][ROLES[0]]["base_sha256"] = "0" * 64
    (saved / "patch.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match="Wrong base"):
        Patch.from_pretrained(saved).apply_(tiny_copy.model)
