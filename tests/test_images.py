"""Files that nobody vouches for: each is one sentence."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralgate.errors import UserError
from neuralgate.pairs.images import check_picture, check_processor, open_image, without_metadata


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


# --- what a picture holds -------------------------------------------------------------------------------------------


RAMP = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, 0)


@pytest.mark.parametrize(
    "values",
    [(RAMP * 65535).astype(np.uint16), (RAMP * 9e6).astype(np.int32), RAMP, RAMP * 300 - 40],
    ids=["16-bit", "32-bit", "float", "float-range"],
)
def test_more_than_8_bits_are_scaled_by_their_range(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "deep.tif")
    shown = np.asarray(open_image(tmp_path / "deep.tif"))[0, :, 0].astype(int)
    assert shown[0] == 0 and shown[-1] == 255 and abs(shown - np.arange(256)).max() <= 1


def test_values_that_are_no_numbers_are_broken(tmp_path):
    Image.fromarray(np.where(RAMP > 0.5, np.nan, RAMP).astype(np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(UserError, match="no finite numbers"):
        open_image(tmp_path / "nan.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "1", "L", "CMYK", "YCbCr"])
def test_a_picture_is_the_same_in_strips(tmp_path, mode, monkeypatch):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 20, 4), dtype=np.uint8), "RGBA")
    path = tmp_path / ("x.tif" if mode in ("PA", "CMYK", "YCbCr") else "x.png")
    (noise if mode == "RGBA" else noise.convert("LA" if mode == "PA" else "RGB" if mode != "LA" else "LA").convert(mode)).save(path)
    whole = open_image(path).tobytes()
    monkeypatch.setattr("neuralgate.pairs.images.STRIP", 16)
    assert open_image(path).tobytes() == whole


def test_several_pages_are_refused_and_a_pipe_does_not_hang(good, tmp_path):
    Image.open(good).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.open(good)])
    with pytest.raises(UserError, match=r"pages.tif holds 2 pages"):
        open_image(tmp_path / "pages.tif")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="no regular file"):
        open_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(("size", "said"), [((64, 64), "is blank"), ((2500, 8), "2500 x 8 pixels")])
def test_a_picture_without_content_is_refused(tmp_path, size, said):
    image = Image.new("RGB", size, "white") if said == "is blank" else Image.effect_noise(size, 80).convert("RGB")
    with pytest.raises(UserError, match=f"x.png is {'blank' if said == 'is blank' else said}"):
        check_picture(image, tmp_path / "x.png")


def test_what_a_processor_refuses_is_named(tmp_path):
    class Processor:
        @staticmethod
        def image_processor(images, return_tensors):
            if images.width > 200 * images.height:
                raise ZeroDivisionError("aspect")

    Image.effect_noise((64, 64), 80).save(tmp_path / "good.png")
    Image.effect_noise((2500, 8), 80).save(tmp_path / "long.png")
    check_processor(Processor, "m", [tmp_path / "good.png"])
    with pytest.raises(UserError, match=r"processor of m cannot take .*long.png, 2500 x 8 pixels \(aspect\)"):
        check_processor(Processor, "m", [tmp_path / "good.png", tmp_path / "long.png"])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_goes_and_the_picture_stands_upright(tmp_path, suffix):
    picture = Image.effect_noise((64, 32), 80).convert("RGB")
    picture.save(tmp_path / f"plain{suffix}")
    assert without_metadata(tmp_path / f"plain{suffix}") == (tmp_path / f"plain{suffix}").read_bytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x8298] = 6, "Anna Lee"  # held sideways, and whose it is
    picture.save(tmp_path / f"mine{suffix}", exif=exif)
    bare = without_metadata(tmp_path / f"mine{suffix}")
    (tmp_path / f"bare{suffix}").write_bytes(bare)
    assert b"Anna" not in bare and open_image(tmp_path / f"bare{suffix}").size == (32, 64)
    before, after = (np.asarray(open_image(tmp_path / f"{name}{suffix}")).astype(int) for name in ("mine", "bare"))
    assert abs(before - after).mean() < 4


def test_a_large_picture_with_transparency_fits_in_memory(tmp_path):
    program = """
import resource, sys
from pathlib import Path
from PIL import Image
from neuralgate.pairs.images import open_image
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_image(path)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    Image.new("RGBA", (3000, 3000), (9, 9, 9, 128)).save(tmp_path / "x.png", compress_level=1)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "x.png")], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3000 * 3000 * 10 // 2**20  # bytes a pixel: 4 of the file, 3 of the result, and a little


def test_a_mistyped_folder_is_not_fetched(tmp_path, monkeypatch):
    """Where its parent is here, a folder was meant."""
    from neuralgate.lvlm.load import base_folder, is_hub_name, load

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_name("llava-hf/llava-1.5-7b-hf")
    assert not any(map(is_hub_name, ("runs/demo", "./runs", "runs", "/runs/demo", "../runs", "a/b/c")))
    for open_model in (base_folder, load):
        with pytest.raises(UserError, match="runs/demo is not a model directory"):
            open_model("runs/demo")
