"""A patch leaves: merged shards that plain transformers loads, an adapter that PEFT loads, a checkpoint's faults."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from neuralgate.cli.patch import patch_verify
from neuralgate.errors import UserError
from neuralgate.interventions import export
from neuralgate.interventions.directory import BASE_CARD, CARD, RECORD, revert_folder, write_patched
from neuralgate.interventions.export import export_merged, export_peft
from neuralgate.interventions.low_rank import decompose, energy_ranks, low_rank
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.checkpoint import INDEX, SINGLE, Checkpoint
from neuralgate.lvlm.doctor import examine
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
        assert before.headers[name].metadata == after.headers[name].metadata
    for key in before.tensors:
        assert torch.equal(before.read(key), after.read(key)) == (key not in edited), key
    if (base / INDEX).is_file():
        old, new = (json.loads((folder / INDEX).read_text()) for folder in (base, out))
        assert new["weight_map"] == old["weight_map"]
        assert new["metadata"]["total_size"] == sum(place.size for place in after.tensors.values())
    names = {path.name for path in base.iterdir()}
    assert {path.name for path in out.iterdir()} == names | {CARD, RECORD}
    for name in names - set(before.headers) - {INDEX, "config.json"}:
        assert (base / name).read_bytes() == (out / name).read_bytes()


def test_the_base_stays_as_it_was(exported):
    base, lvlm, _, _ = exported
    assert load(base, dtype=str(lvlm.model.dtype).removeprefix("torch.")).fingerprint == lvlm.fingerprint


def test_safetensors_reads_what_is_written(exported):
    *_, out = exported
    held = [tensor for path in out.glob("*.safetensors") for tensor in load_file(path).values()]
    assert sum(tensor.numel() for tensor in held) == sum(parameter.numel() for parameter in load(out).model.parameters())


# --- served is measured ---------------------------------------------------------------------------------------------


def another(folder, out, skip=()):
    """A fine-tune: the model of ``folder`` with every tensor a little different but for the ``skip`` ones."""
    made = load(folder)
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if name not in skip:
                parameter.mul_(1.5)
    made.save(out)
    return out


def test_a_stray_file_beside_shards(tiny_folder, tmp_path):
    """The run reads the single file, as transformers does, so that is what leaves; the shards are another model's."""
    base = shards(tiny_folder, tmp_path / "base")
    load(tiny_folder).processor.save_pretrained(base)
    shutil.copyfile(another(tiny_folder, tmp_path / "other") / SINGLE, base / SINGLE)
    lvlm = load(base)
    assert lvlm.fingerprint == load(tmp_path / "other").fingerprint != load(tiny_folder).fingerprint
    assert list(Checkpoint(base).headers) == [SINGLE]
    patch = patch_of(lvlm)
    left_out = export_merged(base, patch, tmp_path / "out")
    assert INDEX in left_out and len(left_out) == len(list(base.glob("model-*"))) + 1
    assert [path.name for path in (tmp_path / "out").glob("*.safetensors*")] == [SINGLE]
    patch.apply_(lvlm.model)
    served = load(tmp_path / "out").model.state_dict()
    assert all(torch.equal(tensor, served[name]) for name, tensor in lvlm.model.state_dict().items())


def test_another_fine_tune_is_refused_and_nothing_is_written(tiny_folder, tiny_copy, tmp_path):
    patch = patch_of(tiny_copy)
    other = another(tiny_folder, tmp_path / "other", skip={entry["name"] for entry in patch.tensors.values()})
    with pytest.raises(UserError, match=r"other is not the model that was measured: tensors beside the edited ones are others"):
        export_merged(other, patch, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_verify_warns_of_another_fine_tune(tiny_folder, tiny_copy, tmp_path, capsys):
    patch = patch_of(tiny_copy)
    patch.save_pretrained(tmp_path / "patch")
    other = another(tiny_folder, tmp_path / "other", skip={entry["name"] for entry in patch.tensors.values()})
    patch_verify(str(other), tmp_path / "patch")
    said = capsys.readouterr()
    assert "is whole and fits" in said.out and "belongs" not in said.out
    assert f"warning: {other} is not the model" in said.err and "tensors beside the edited ones are others than in tiny" in said.err
    export_merged(tiny_folder, patch, tmp_path / "in")
    for right in (tiny_folder, tmp_path / "in"):
        patch_verify(str(right), tmp_path / "patch")
        said = capsys.readouterr()
        assert "is whole and belongs to" in said.out and "warning" not in said.err


@pytest.mark.parametrize("fault", ["tensor", "template"])
def test_what_would_not_be_served_as_measured_is_not_kept(tiny_folder, tiny_copy, tmp_path, monkeypatch, fault):
    def write(base, patch, folder, evidence):
        left_out = write_patched(base, patch, folder, evidence)
        if fault == "tensor":
            content = bytearray((folder / SINGLE).read_bytes())
            content[-1] ^= 1
            (folder / SINGLE).unlink()
            (folder / SINGLE).write_bytes(content)
        else:
            template = folder / "chat_template.jinja"
            template.write_text(template.read_text() + "no")
        return left_out

    monkeypatch.setattr(export, "write_patched", write)
    with pytest.raises(UserError, match=r"out is not written: loaded again, .* would not be what was measured"):
        export_merged(tiny_folder, patch_of(tiny_copy), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def say_tied(folder, tied):
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = tied
    (folder / "config.json").write_text(json.dumps(config))


def test_two_heads_under_a_configuration_that_ties_them(tiny_folder, tmp_path):
    """What transformers made of them is what the run was given, and what leaves."""
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    say_tied(base, True)
    lvlm = load(base)
    patch = patch_of(lvlm)
    export_merged(base, patch, tmp_path / "out")
    patch.apply_(lvlm.model)
    assert load(tmp_path / "out").fingerprint == load_fingerprint(lvlm)


def test_one_head_under_a_configuration_of_two(tiny_folder, tmp_path):
    made = load(tiny_folder)
    made.model.lm_head.weight = made.model.get_input_embeddings().weight
    made.model.config.tie_word_embeddings = made.model.config.text_config.tie_word_embeddings = True
    made.save(tmp_path / "base")
    say_tied(tmp_path / "base", False)
    with pytest.raises(UserError, match=r"lack lm_head\.weight"):
        load(tmp_path / "base")


def test_names_that_no_model_has(tiny_folder, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    held = load_file(base / SINGLE)
    save_file({f"language_model.{name}": tensor for name, tensor in held.items()}, base / SINGLE, {"format": "pt"})
    with pytest.raises(UserError, match=r"The weights of .* lack "):
        load(base)


def load_fingerprint(lvlm):
    del lvlm.__dict__["fingerprint"]
    return lvlm.fingerprint


def test_quantised_weights_are_refused_at_the_start(tiny_folder, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    config = json.loads((base / "config.json").read_text())
    for where in (config, config["text_config"]):
        where["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
        (base / "config.json").write_text(json.dumps(config))
        for start in (load, examine):
            with pytest.raises(UserError, match=r"base were quantised when they were saved \(fp8\)"):
                start(str(base))
        del where["quantization_config"]
    (base / "config.json").write_text(json.dumps(config))
    load(base)


# --- back again -----------------------------------------------------------------------------------------------------

TYPES = [("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16")]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=TYPES, ids=lambda types: f"{types[0]}-patched-in-{types[1]}")
def odd_base(request, tiny_folder, tmp_path):
    """A base in shards with all that users have beside them, in forms that no library of today writes; and a patch of it."""
    stored, patched = request.param
    made, base = load(tiny_folder, dtype=stored), tmp_path / "base"
    made.model.save_pretrained(base, max_shard_size="60KB")
    made.processor.save_pretrained(base)
    for path in base.glob("*.safetensors"):  # spaces in the header, and its entries in another order than the tensors
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = dict(sorted(json.loads(data[8 : 8 + length]).items(), reverse=True))
        text = json.dumps(header, indent=3).encode() + b"  \n"
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    (base / "config.json").write_text(json.dumps(json.loads((base / "config.json").read_text()), indent=5, sort_keys=True))
    (base / INDEX).write_text(json.dumps(json.loads((base / INDEX).read_text())))
    (base / "LICENSE").write_bytes(b"mine\r\n\xff")
    (base / CARD).write_text("---\nlicense: mit\n---\n# The base")
    (base / ".gitattributes").write_text("*.safetensors filter=lfs")
    (base / "notes").mkdir()
    (base / "notes/tokens.txt").write_text("x")
    return base, patch_of(load(base, dtype=patched))


def test_every_file_comes_back(odd_base, tmp_path):
    base, patch = odd_base
    before = contents(base)
    assert export_merged(base, patch, tmp_path / "in") == []
    inside = contents(tmp_path / "in")
    assert inside[BASE_CARD] == before[CARD] and inside["LICENSE"] == before["LICENSE"]
    assert revert_folder(tmp_path / "in", patch, tmp_path / "back") == []
    assert contents(tmp_path / "back") == before == contents(base)


def test_two_patches_come_out_in_turn(tiny_folder, tmp_path):
    first = patch_of(load(tiny_folder))
    export_merged(tiny_folder, first, tmp_path / "one")
    lvlm = load(tmp_path / "one")
    base = find_role(lvlm.model, role_of(1)).detach().clone()
    second = Patch.between(lvlm, {role_of(1): base}, {role_of(1): base + 1}, {})
    export_merged(tmp_path / "one", second, tmp_path / "two")
    with pytest.raises(UserError, match=r"The last patch that was put into .* is another one"):
        revert_folder(tmp_path / "two", first, tmp_path / "out")
    revert_folder(tmp_path / "two", second, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "one")
    revert_folder(tmp_path / "back", first, tmp_path / "clean")
    assert contents(tmp_path / "clean") == contents(tiny_folder)


def test_a_directory_without_a_record_gives_the_base(tiny_folder, tiny_copy, tmp_path):
    """Somebody saved a patched model by other means."""
    patch, fingerprint = patch_of(tiny_copy), tiny_copy.fingerprint
    patch.apply_(tiny_copy.model)
    tiny_copy.save(tmp_path / "in")
    revert_folder(tmp_path / "in", patch, tmp_path / "back")
    assert load(tmp_path / "back").fingerprint == fingerprint
    with pytest.raises(UserError, match=r"The patch is not applied to .*back; there is nothing to revert"):
        revert_folder(tmp_path / "back", patch, tmp_path / "again")
    with pytest.raises(UserError, match=r"The patch is applied already to .*in"):
        export_merged(tmp_path / "in", patch, tmp_path / "again")


def test_a_damaged_directory_does_not_become_a_base(odd_base, tmp_path):
    base, patch = odd_base
    export_merged(base, patch, tmp_path / "in")
    record, text = tmp_path / "in" / RECORD, (tmp_path / "in" / RECORD).read_text()
    for damaged in (
        text.replace('"left_out": []', '"left_out": [""]'),
        text[:-9],
        "[]",
        "{}",
        json.dumps({**json.loads(text), "format": 9}),
    ):
        record.write_text(damaged)
        with pytest.raises(UserError, match=r"neuralgate\.json (is broken|does not match its checksum|is of format)"):
            revert_folder(tmp_path / "in", patch, tmp_path / "back")
    record.write_text(text)
    checkpoint = Checkpoint(tmp_path / "in")
    name = checkpoint.tensors[checkpoint.find(ROLES[0])].file
    if len(checkpoint.headers[name].places) > 1:  # a tensor of the same file that the patch does not know
        other = next(key for key in checkpoint.headers[name].places if key != checkpoint.find(ROLES[0]))
        data = bytearray((tmp_path / "in" / name).read_bytes())
        data[checkpoint.tensors[other].start] ^= 1
        (tmp_path / "in" / name).write_bytes(data)
        with pytest.raises(UserError, match="was changed after the patch was put in"):
            revert_folder(tmp_path / "in", patch, tmp_path / "back")
    assert not (tmp_path / "back").exists()


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


def put_header(folder, text):
    for path in folder.glob("*.safetensors"):
        path.write_bytes(len(text).to_bytes(8, "little") + text)


def tensor_entry(**changed):
    return json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changed}}).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: next(folder.glob("*.safetensors")).unlink(), "names .* which is not there"),
        (lambda folder: (folder / INDEX).write_text("{"), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": {"a": "../a.safetensors"}}'), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": {"a": "a\\u0000.safetensors"}}'), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "a" * 999}})), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": {}}'), "not an index of weights"),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": {"a": "a.safetensors"}}'), "which is not there"),
        (lambda folder: (folder / INDEX).unlink(), "holds no model.safetensors"),
        (lambda folder: [path.write_bytes(b"junk") for path in folder.glob("*.safetensors")], "is not a safetensors file"),
        (lambda folder: [path.write_bytes(path.read_bytes()[:-5]) for path in folder.glob("*.safetensors")], "its header promises"),
        (lambda folder: put_header(folder, b"[1,2]"), "header of .* is broken"),
        (lambda folder: put_header(folder, b"[" * 99999), "header of .* is broken"),
        (lambda folder: put_header(folder, b"\xff\xfe"), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(shape=[2**60])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(shape=[-1])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(shape=[10**4000])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(data_offsets=[4, 8])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(data_offsets=[0])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry(dtype=["F32"])), "header of .* is broken"),
        (lambda folder: put_header(folder, tensor_entry()), "bytes where its header promises"),
    ],
    ids=[
        *("missing-shard", "torn-index", "outside", "nul", "long", "empty", "not-there", "no-index", "junk", "cut"),
        *("list", "deep", "no-utf8", "large", "negative", "huge", "gap", "half", "type", "short"),
    ],
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
    for role in patch.tensors:
        base = load(tiny_folder).ffn_out(int(role.split(".")[1])).weight.detach()
        change = patch.other_side(role, base, "base_sha256")
        torch.testing.assert_close(find_role(adapted, role), change, rtol=0, atol=1e-4)
        assert energy_ranks(change - base)[0.99] == 3
    tiny_copy.model = adapted
    assert tiny_copy.generate(items) == expected


def test_tensors_of_different_ranks_in_one_adapter(tiny_folder, tiny_copy, tmp_path):
    """Readers scale by alpha over the adapter's rank or over the tensor's own: both must add the change as it is."""
    peft = pytest.importorskip("peft")
    draw, edited = torch.Generator().manual_seed(0), {}
    base = {role: find_role(tiny_copy.model, role).detach().clone() for role in ROLES}
    for rank, (role, tensor) in zip((8, 2), base.items(), strict=True):
        rows, columns = tensor.shape
        edited[role] = tensor + 0.1 * torch.randn(rows, rank, generator=draw) @ torch.randn(rank, columns, generator=draw)
    patch = Patch.between(tiny_copy, base, edited, {})
    export_peft(tiny_copy.model, str(tiny_folder), decompose(tiny_folder, patch, energy=0.999999), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    held = load_file(tmp_path / "adapter/adapter_model.safetensors")
    for role in ROLES:
        name = next(name for name in held if f".{role.split('.')[1]}." in name and "lora_A" in name)
        down, up = held[name], held[name.replace("lora_A", "lora_B")]
        read = base[role] + config["lora_alpha"] / len(down) * up @ down
        torch.testing.assert_close(read, edited[role], rtol=0, atol=1e-3)
    assert config["r"] == 8 and config["base_model_name_or_path"] == "tiny"
    adapted = peft.PeftModel.from_pretrained(tiny_copy.model, tmp_path / "adapter").merge_and_unload()
    for role in ROLES:
        torch.testing.assert_close(find_role(adapted, role), edited[role], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("rank", "energy"), [(0, 0.9), (None, 0.0), (None, 1.5)])
def test_odd_ranks_are_refused(tiny_folder, tiny_copy, rank, energy):
    with pytest.raises(UserError, match="rank must be 1 or more"):
        decompose(tiny_folder, patch_of(tiny_copy), rank, energy)


def test_single_file_name(tiny_folder):
    assert list(Checkpoint(tiny_folder).headers) == [SINGLE]
