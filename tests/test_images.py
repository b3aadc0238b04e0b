"""Files that nobody vouches for: each is one sentence."""

import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.pairs.images import open_image


def png(width: int, height: int) -> bytes:
    """A PNG file that says it is ``width`` x ``height`` and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.png"
    Image.effect_noise((64, 64), 80).convert("L").save(path)
    return path


def test_a_good_image_opens_as_rgb(good):
    assert open_image(good).mode == "RGB" and open_image(str(good)).size == (64, 64)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "is not an image"),
        (b"Dear Sir or Madam,\n", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "is not an image"),
        (b"GIF89a", "is not an image"),
        (png(64, 64), "is broken"),
        (png(9_000, 9_000), "9000 x 9000 pixels"),
        (png(11_000, 11_000), "11000 x 11000 pixels"),
        (png(60_000, 60_000), "decompression bomb"),
    ],
    ids=["missing", "empty", "text", "signature", "header", "no-pixels", "large", "larger", "bomb"],
)
def test_a_bad_image_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        open_image(path)
    assert "bad.png" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_truncated_image_is_broken(good, tmp_path, share, kind):
    path = tmp_path / f"cut.{kind}"
    Image.open(good).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match="is broken"):
        open_image(path)


def test_a_flipped_byte_is_broken(good):
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 0xFF
    good.write_bytes(bytes(data))
    with pytest.raises(UserError, match="is broken"):
        open_image(good)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(UserError, match="is broken"):
        open_image(tmp_path)


def test_a_broken_image_stops_the_question(tiny, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(UserError, match="is not an image"):
        tiny.generate([(tmp_path / "bad.png", "Is the passport private?")])


# --- model directories ----------------------------------------------------------------------------------------------


def drop(*names: str):
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def text_only(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["text_config"]
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))


def other_family(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llava_next"}))


def write(name: str, data: bytes):
    return lambda folder: (folder / name).write_bytes(data)


def cut(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shutil.rmtree, "is not a model directory"),
        (drop("config.json"), "is not a model directory"),
        (text_only, "is a llama model without a vision part"),
        (write("config.json", b"{"), "cannot be read as a model configuration"),
        (write("config.json", b'{"model_type": "nonsense"}'), "cannot be read as a model configuration"),
        (other_family, "weights of .* lack model.image_newline"),
        (drop("processor_config.json"), "has no processor"),
        (drop("chat_template.jinja"), "has no chat template"),
        (drop("tokenizer.json"), "processor of .* cannot be loaded"),
        (write("processor_config.json", b"{"), "processor of .* cannot be loaded"),
        (drop("model.safetensors"), "weights of .* cannot be loaded"),
        (cut, "weights of .* cannot be loaded"),
        (write("model.safetensors", b"text"), "weights of .* cannot be loaded"),
    ],
    ids=[
        "missing",
        "no-config",
        "text-model",
        "torn-config",
        "unknown-model",
        "other-family",
        "no-processor",
        "no-chat-template",
        "no-tokenizer",
        "torn-processor",
        "no-weights",
        "cut",
        "text",
    ],
)
def test_a_bad_model_directory_is_one_sentence(tiny_folder, tmp_path, change, said):
    from neuralgate.lvlm.load import load

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    change(folder)
    with pytest.raises(UserError, match=said) as error:
        load(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_weights_that_lack_tensors_are_refused(tiny_folder, tmp_path):
    """Otherwise what is missing would be random."""
    from safetensors.torch import load_file, save_file

    from neuralgate.lvlm.load import load

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layers.1.mlp.down_proj" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lack"):
        load(folder)
