"""The patch: exact, reversible, and fast to say no."""

import json
import re
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralgate.errors import UserError
from neuralgate.interventions.header import sealed
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.values import difference, sha256
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


def rewrite(folder, change):
    """Change a patch's header as somebody would who knows how its checksum is made."""
    header = json.loads((folder / "patch.json").read_text())
    del header["checksum"]
    change(header)
    (folder / "patch.json").write_text(json.dumps(sealed(header)))


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


#: One bit of the exponent stays clear: no NaN and no infinity.
BITS = st.lists(st.integers(-(2**31), 2**31 - 1).map(lambda bits: bits & ~(1 << 23)), min_size=6, max_size=6)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(BITS, BITS)
def test_any_bits_come_back(tiny, before, after):
    """Minus zero and the smallest numbers, too: a difference of floats would lose them."""
    assert tiny.fingerprint, "known before the weights change, as every other test expects it"
    weight = find_role(tiny.model, ROLES[0]).data
    kept = weight.clone()
    first, second = (torch.tensor(bits, dtype=torch.int32).view(torch.float32) for bits in (before, after))
    edited = kept.clone()
    weight[0, :6], edited[0, :6] = first, second
    try:
        changed = weight.clone()
        if before == after:
            with pytest.raises(UserError, match="changed no value of"):
                Patch.between(tiny, {ROLES[0]: changed}, {ROLES[0]: edited}, {})
            return
        patch = Patch.between(tiny, {ROLES[0]: changed}, {ROLES[0]: edited}, {})
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
        ({"format": 1}, "is of format 1"),
        ({"format": "2"}, "is of format 2"),
        ({"format": None}, "is of format None"),
        ({"tensors": {}}, "no description of a patch .tensors"),
        ({"tensors": 5}, "no description of a patch .tensors"),
        ({"tensors": {"decoder.0.ffn.out": {"name": "a"}}}, "no description of a patch"),
        ({"base_fingerprint": None}, "no description of a patch .base_fingerprint"),
        ({"safetensors_sha256": "0" * 64}, "does not match its checksum"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(saved, change, said):
    rewrite(saved, lambda header: header.update(change))
    with pytest.raises(UserError, match=said):
        Patch.from_pretrained(saved)


def test_a_patch_that_leads_elsewhere_is_refused(saved, tiny_copy):
    rewrite(saved, lambda header: header["tensors"][ROLES[0]].update(result_sha256="0" * 64))
    before = weights(tiny_copy)
    with pytest.raises(UserError, match=f"does not lead to what its patch.json names for {ROLES[0]}"):
        Patch.from_pretrained(saved).apply_(tiny_copy.model)
    assert weights(tiny_copy) == before


def test_a_patch_that_says_it_changes_nothing_and_does_is_refused(saved, tiny_copy):
    rewrite(saved, lambda header: header["tensors"][ROLES[0]].update(result_sha256=header["tensors"][ROLES[0]]["base_sha256"]))
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
    Patch({}, {}, make_patch(tiny_copy)[0].information).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"no description of a patch \(tensors\)"):
        Patch.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("shape", [4, 4], "list different tensors"),
        ("dtype", "bfloat16", "list different tensors"),
        ("dtype", "Tensor", "no description of a patch"),
        ("encoding", "difference", "no description of a patch"),
        ("changed", "<script>", "no description of a patch"),
        ("command", "rm", "no description of a patch"),
        ("base_sha256", "0", "no description of a patch"),
        ("energy_ranks", {"<b>": 1}, "no description of a patch"),
    ],
)
def test_an_entry_that_does_not_fit_its_tensor_is_refused(saved, key, value, said):
    rewrite(saved, lambda header: header["tensors"][ROLES[0]].update({key: value}))
    with pytest.raises(UserError, match=said):
        Patch.from_pretrained(saved)


def test_a_changed_sum_in_the_header_refuses_the_right_base(saved, tiny_copy):
    """Whoever changes the header cannot make the patch fit: the result is checked as well as the base."""
    rewrite(saved, lambda header: header["tensors"][ROLES[0]].update(base_sha256="0" * 64))
    with pytest.raises(UserError, match="Wrong base"):
        Patch.from_pretrained(saved).apply_(tiny_copy.model)


def test_a_flipped_bit_in_the_text_is_refused_or_says_the_same(saved):
    path = saved / "patch.json"
    data, whole = path.read_bytes(), Patch.from_pretrained(saved)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        try:
            again = Patch.from_pretrained(saved)
        except UserError:
            continue
        assert (again.tensors, again.information) == (whole.tensors, whole.information), place  # 1E-5 is 1e-5


@pytest.mark.parametrize("other", ["decoder.00.ffn.out", "decoder.\u0660.ffn.out", "decoder.0.ffn.out\n", "decoder.+0.ffn.out"])
def test_a_tensor_has_one_role(tiny_copy, tmp_path, other):
    """Two spellings of a role were one tensor toggled twice: a patch that reported success and edited nothing."""
    patch, _ = make_patch(tiny_copy)
    twice = Patch(
        {ROLES[0]: patch.differences[ROLES[0]], other: patch.differences[ROLES[0]].clone()},
        {ROLES[0]: patch.tensors[ROLES[0]], other: patch.tensors[ROLES[0]]},
        patch.information,
    )
    before = weights(tiny_copy)
    with pytest.raises(UserError, match="names no tensor of a patch"):
        twice.apply_(tiny_copy.model)
    assert weights(tiny_copy) == before
    twice.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no description of a patch"):
        Patch.from_pretrained(tmp_path)


def test_a_tensor_that_layers_share_is_not_edited_twice(tiny_copy):
    patch, _ = make_patch(tiny_copy)
    tiny_copy.ffn_out(2).weight = tiny_copy.ffn_out(0).weight
    with pytest.raises(UserError, match=r"decoder\.0\.ffn\.out and decoder\.2\.ffn\.out are one tensor"):
        patch.apply_(tiny_copy.model)


def test_what_was_changed_under_a_patch_is_said(tiny_copy):
    patch, _ = make_patch(tiny_copy)
    with pytest.raises(UserError, match="does not lead to"), patch.applied(tiny_copy.model):
        find_role(tiny_copy.model, ROLES[0]).data[0, 0] += 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(tiny_copy, tmp_path, value):
    base = find_role(tiny_copy.model, ROLES[0]).data
    edited = base.clone()
    edited[1, 2] = value
    with pytest.raises(UserError, match=r"decoder\.0\.ffn\.out leads to values that are no finite numbers"):
        Patch.between(tiny_copy, {ROLES[0]: base}, {ROLES[0]: edited}, {})
    other = base.clone()
    other[1, 2] += 1
    patch = Patch.between(tiny_copy, {ROLES[0]: base}, {ROLES[0]: other}, {})
    patch.differences[ROLES[0]] = difference(base, edited)
    patch.tensors[ROLES[0]]["result_sha256"] = sha256(edited)
    patch.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no finite numbers"):
        Patch.from_pretrained(tmp_path).apply_(tiny_copy.model)


def test_patches_of_different_bases_do_not_stack(tiny_copy):
    def patch(layer):
        base = find_role(tiny_copy.model, ROLES[layer]).data
        return Patch.between(tiny_copy, {ROLES[layer]: base}, {ROLES[layer]: base + 1}, {})

    first, second = patch(0), patch(1)
    second.information["base_fingerprint"] = "0" * 64
    with pytest.raises(UserError, match="made on different bases"):
        first.stacked(second)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "x" * 300 + "/y"])
def test_a_name_that_no_folder_can_have(name):
    with pytest.raises(UserError, match=r"is not a patch folder|cannot be had from the hub"):
        Patch.from_pretrained(name)


def test_a_name_stays_one_line_of_the_card(tiny_copy, tmp_path):
    patch, _ = make_patch(tiny_copy)
    patch.information["base_model"] = "model\n# Safe\n```\n| <b>x</b>"
    patch.information["method"] = "m\n\n## Approved"
    patch.tensors[ROLES[0]]["name"] = "a | b\n# `c`"
    patch.save_pretrained(tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == [r"# A Neural Gate patch of model \# Safe \`\`\` \| \<b\>x\</b\>"]
    assert sum(line.startswith("```") for line in lines) == 2
    rows = [line for line in lines if line.startswith("| `decoder")]
    assert len(rows) == 2 and all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_a_base_is_named_without_its_folders(tiny_copy, tiny_folder, tmp_path):
    patch, _ = make_patch(tiny_copy)
    patch.save_pretrained(tmp_path)
    assert patch.information["base_model"] == "tiny"
    assert not any(str(tiny_folder.parent) in (tmp_path / name).read_text() for name in ("README.md", "patch.json"))
