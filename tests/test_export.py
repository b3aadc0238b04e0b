"""A patch leaves: merged shards that plain transformers loads, an adapter that PEFT loads, a checkpoint's faults."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

from neuralgate.edit.export import decompose, export_merged, export_peft, low_rank
from neuralgate.edit.patch import Patch
from neuralgate.errors import UserError
from neuralgate.lvlm.checkpoint import INDEX, SINGLE, Checkpoint
from neuralgate.lvlm.load import load
from neuralgate.lvlm.roles import find_role, role_of

ROLES = [role_of(0), role_of(2)]


def patch_of(lvlm, rank=None):
    """A patch of two tensors: noise, or noise of a given rank."""
    base = {role: find_role(lvlm.model, role).detach().clone() for role in ROLES}
    draw = torch.Generator().manual_seed(0)
    edited = {}
    for role, tensor in base.items():
        rows, columns = tensor.shape
        change = torch.randn(rows, rank or columns, generator=draw) @ torch.randn(rank or columns, columns, generator=draw)
        edited[role] = (tensor.float() + 0.1 * change).to(tensor.dtype)
    return Patch.between(lvlm, base, edited, {"method": "test"})


@pytest.fixture(params=["one file", "sharded", "bfloat16", "mixed"])
def exported(request, tiny_folder, tmp_path):
    """(base folder, its model, patch, out): float32 in one file and in shards, bfloat16, and a float32 patch of a bfloat16 base."""
    base = tmp_path / "base"
    if request.param == "one file":
        shutil.copytree(tiny_folder, base)
    else:
        made = load(tiny_folder, dtype="bfloat16" if request.param in ("bfloat16", "mixed") else "float32")
        made.model.save_pretrained(base, max_shard_size="60KB")
        made.processor.save_pretrained(base)
        assert (base / INDEX).is_file()
    lvlm = load(base, dtype="bfloat16" if request.param == "bfloat16" else "float32")
    patch = patch_of(lvlm)
    export_merged(base, patch, tmp_path / "out")
    return base, lvlm, patch, tmp_path / "out"


def test_the_export_answers_as_the_patched_model(exported, pairs):
    from transformers import AutoModelForImageTextToText

    _, lvlm, patch, out = exported
    plain = AutoModelForImageTextToText.from_pretrained(out, dtype="auto")
    assert {plain.dtype} == {lvlm.model.dtype}
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in pairs][:6]
    untouched = lvlm.generate(items)
    with patch.applied(lvlm.model):
        expected = lvlm.generate(items)
        theirs = plain.state_dict()
        for name, tensor in lvlm.model.state_dict().items():
            assert torch.equal(tensor, theirs[name]), name
    assert load(out, dtype=str(plain.dtype).removeprefix("torch.")).generate(items) == expected != untouched


def test_only_what_is_edited_is_written(exported):
    base, _, patch, out = exported
    before, after = Checkpoint(base), Checkpoint(out)
    assert list(before.tensors) == list(after.tensors)
    edited = {before.find(role) for role in patch.tensors}
    for name in before.headers:
        holds = any(before.tensors[key].file == name for key in edited)
        assert os.path.samefile(base / name, out / name) != holds
        assert before.headers[name].get("__metadata__") == after.headers[name].get("__metadata__")
    for key in before.tensors:
        assert torch.equal(before.read(key), after.read(key)) == (key not in edited), key
    if (base / INDEX).is_file():
        old, new = (json.loads((folder / INDEX).read_text()) for folder in (base, out))
        assert new["weight_map"] == old["weight_map"]
        assert new["metadata"]["total_size"] == sum(place.size for place in after.tensors.values())
    names = {path.name for path in base.iterdir()}
    assert {path.name for path in out.iterdir()} == names | {"README.md"}
    for name in names - set(before.headers) - {INDEX, "config.json"}:
        assert (base / name).read_bytes() == (out / name).read_bytes()


def test_the_base_stays_as_it_was(exported):
    base, lvlm, _, _ = exported
    assert load(base, dtype=str(lvlm.model.dtype).removeprefix("torch.")).fingerprint == lvlm.fingerprint


def test_safetensors_reads_what_is_written(exported):
    *_, out = exported
    held = [tensor for path in out.glob("*.safetensors") for tensor in load_file(path).values()]
    assert sum(tensor.numel() for tensor in held) == sum(parameter.numel() for parameter in load(out).model.parameters())


# --- faults ---------------------------------------------------------------------------------------------------------


def test_another_base_is_refused_and_nothing_is_written(tiny_folder, tiny_copy, tmp_path):
    patch = patch_of(tiny_copy)
    with torch.no_grad():
        tiny_copy.ffn_out(2).weight[0, 0] += 1
    tiny_copy.save(tmp_path / "other")
    with pytest.raises(UserError, match=r"Wrong base: .*layers\.2\.mlp\.down_proj\.weight of .*other"):
        export_merged(tmp_path / "other", patch, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_an_output_that_exists_stays(tiny_folder, tiny_copy, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        export_merged(tiny_folder, patch_of(tiny_copy), tmp_path / "out")
    assert (tmp_path / "out/old").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tiny_folder, tiny_copy, tmp_path, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Checkpoint, "rewrite", full)
    with pytest.raises(UserError, match="no space left"):
        export_merged(tiny_folder, patch_of(tiny_copy), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def shards(tiny_folder, folder):
    made = load(tiny_folder)
    made.model.save_pretrained(folder, max_shard_size="60KB")
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: next(folder.glob("*.safetensors")).unlink(), "names .* which is not there"),
        (lambda folder: (folder / INDEX).write_text("{"), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": {"a": "../a.safetensors"}}'), "which is not there"),
        (lambda folder: (folder / INDEX).unlink(), "holds no model.safetensors"),
        (lambda folder: [path.write_bytes(b"junk") for path in folder.glob("*.safetensors")], "is not a safetensors file"),
        (lambda folder: [path.write_bytes(path.read_bytes()[:-5]) for path in folder.glob("*.safetensors")], "its header promises"),
        (lambda folder: [path.write_bytes(b"\x05\0\0\0\0\0\0\0[1,2]") for path in folder.glob("*.safetensors")], "header of .* is broken"),
    ],
    ids=["missing-shard", "torn-index", "outside", "no-index", "junk", "cut", "odd-header"],
)
def test_a_faulty_checkpoint_is_one_sentence(tiny_folder, tmp_path, change, said):
    folder = shards(tiny_folder, tmp_path / "sharded")
    change(folder)
    with pytest.raises(UserError, match=said):
        Checkpoint(folder)


# --- low rank -------------------------------------------------------------------------------------------------------


def test_low_rank_is_the_truncated_decomposition():
    change = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    for rank in (1, 5, 20):
        part = low_rank(change, rank, 0.99)
        lost = (change - part.up_DR @ part.down_RF).norm() / change.norm()
        assert part.error == pytest.approx(lost.item(), abs=1e-5) and part.down_RF.shape == (rank, 30)
    kept = low_rank(change, None, 0.9)
    assert kept.error**2 <= 0.1 + 1e-9 < low_rank(change, len(kept.down_RF) - 1, 0.9).error ** 2


def test_peft_loads_the_adapter(tiny_folder, tiny_copy, pairs, tmp_path):
    peft = pytest.importorskip("peft")
    patch = patch_of(tiny_copy, rank=3)
    parts = decompose(tiny_folder, patch)
    assert all(len(part.down_RF) == 3 and part.error < 1e-3 for part in parts.values())
    export_peft(tiny_copy.model, str(tiny_folder), parts, tmp_path / "adapter")
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in pairs][:6]
    with patch.applied(tiny_copy.model):
        expected = tiny_copy.generate(items)
    adapted = peft.PeftModel.from_pretrained(tiny_copy.model, tmp_path / "adapter").merge_and_unload()
    for role, entry in patch.tensors.items():
        change = patch.other_side(role, load(tiny_folder).ffn_out(int(role.split(".")[1])).weight.detach())
        torch.testing.assert_close(find_role(adapted, role), change, rtol=0, atol=1e-4)
        assert entry["energy_ranks"]["0.99"] == 3
    tiny_copy.model = adapted
    assert tiny_copy.generate(items) == expected


@pytest.mark.parametrize(("rank", "energy"), [(0, 0.9), (None, 0.0), (None, 1.5)])
def test_odd_ranks_are_refused(tiny_folder, tiny_copy, rank, energy):
    with pytest.raises(UserError, match="rank must be 1 or more"):
        decompose(tiny_folder, patch_of(tiny_copy), rank, energy)


def test_single_file_name(tiny_folder):
    assert list(Checkpoint(tiny_folder).headers) == [SINGLE]
