"""MiniGPT-4 from its published parts: the arithmetic written again, the prompt as the authors tokenise it, wrong parts."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from neuralgate.errors import UserError
from neuralgate.lvlm.convert import convert_minigpt4
from neuralgate.lvlm.load import load
from neuralgate.lvlm.prompts import SUBJECT, Example, encode_examples

SIZE, BLOCKS, HEADS, WIDTH, HIDDEN, PATCH, PIXELS = 32, 2, 4, 48, 24, 14, 56
QUESTION = "What is the number of the passport?"


def random_eva(draw):
    """A state dict with the names of eva_vit_g.pth, and more blocks than are used, a norm and a head."""
    shapes = {
        "cls_token": (1, 1, SIZE),
        "pos_embed": (1, (PIXELS // PATCH) ** 2 + 1, SIZE),
        "norm.weight": (SIZE,),
        "head.weight": (5, SIZE),
    }
    shapes |= {"patch_embed.proj.weight": (SIZE, 3, PATCH, PATCH), "patch_embed.proj.bias": (SIZE,)}
    for index in range(BLOCKS + 1):
        block = {f"norm{n}.{part}": (SIZE,) for n in (1, 2) for part in ("weight", "bias")}
        block |= {"attn.qkv.weight": (3 * SIZE, SIZE), "attn.q_bias": (SIZE,), "attn.v_bias": (SIZE,)}
        block |= {"attn.proj.weight": (SIZE, SIZE), "attn.proj.bias": (SIZE,), "mlp.fc1.weight": (WIDTH, SIZE), "mlp.fc1.bias": (WIDTH,)}
        block |= {"mlp.fc2.weight": (SIZE, WIDTH), "mlp.fc2.bias": (SIZE,)}
        shapes |= {f"blocks.{index}.{name}": shape for name, shape in block.items()}
    return {name: torch.randn(shape, generator=draw) * 0.3 for name, shape in shapes.items()}


def eva(state, pixels):
    """EVA ViT-g by the book: ``(B, 3, H, W)`` -> ``(B, patches + 1, size)`` before any last norm."""
    patches = F.conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH).flatten(2).mT
    x = torch.cat([state["cls_token"].expand(len(pixels), -1, -1), patches], 1) + state["pos_embed"]
    for index in range(BLOCKS):
        part = {name.removeprefix(f"blocks.{index}."): tensor for name, tensor in state.items() if name.startswith(f"blocks.{index}.")}
        normed = F.layer_norm(x, (SIZE,), part["norm1.weight"], part["norm1.bias"], 1e-6)
        bias = torch.cat([part["attn.q_bias"], torch.zeros(SIZE), part["attn.v_bias"]])
        q, k, v = (normed @ part["attn.qkv.weight"].T + bias).chunk(3, -1)
        heads = []
        for head in torch.arange(SIZE).chunk(HEADS):
            weights = torch.softmax(q[..., head] @ k[..., head].mT / (SIZE // HEADS) ** 0.5, -1)
            heads.append(weights @ v[..., head])
        x = x + torch.cat(heads, -1) @ part["attn.proj.weight"].T + part["attn.proj.bias"]
        normed = F.layer_norm(x, (SIZE,), part["norm2.weight"], part["norm2.bias"], 1e-6)
        inner = F.gelu(normed @ part["mlp.fc1.weight"].T + part["mlp.fc1.bias"])
        x = x + inner @ part["mlp.fc2.weight"].T + part["mlp.fc2.bias"]
    return x


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The published files in small: language model, EVA's weights, projection checkpoint."""
    from transformers import Blip2VisionConfig, LlamaConfig, LlamaForCausalLM

    from tests.small_tokenizer import tokenizer

    folder = tmp_path_factory.mktemp("parts")
    draw = torch.Generator().manual_seed(0)
    words = tokenizer({}, sentencepiece=True)
    torch.manual_seed(0)
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=HIDDEN,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    language.save_pretrained(folder / "llm")
    words.pad_token = None  # as Llama-2's
    words.save_pretrained(folder / "llm")
    settings = json.loads((folder / "llm/generation_config.json").read_text())  # as Llama-2-chat's
    (folder / "llm/generation_config.json").write_text(json.dumps({**settings, "do_sample": True, "temperature": 0.6, "top_p": 0.9}))
    state = random_eva(draw)
    torch.save(state, folder / "eva_vit_g.pth")
    projection = {
        "llama_proj.weight": torch.randn(HIDDEN, 4 * SIZE, generator=draw),
        "llama_proj.bias": torch.randn(HIDDEN, generator=draw),
    }
    buffers = {"llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    torch.save({"model": projection | buffers, "optimizer": {}, "config": {}, "epoch": 3}, folder / "projection.pth")
    vision = Blip2VisionConfig(
        hidden_size=SIZE, intermediate_size=WIDTH, num_hidden_layers=BLOCKS, num_attention_heads=HEADS, image_size=PIXELS, patch_size=PATCH
    )
    return folder, state, projection, language, vision


@pytest.fixture(scope="module")
def converted(parts, tmp_path_factory):
    folder, *_, vision = parts
    out = tmp_path_factory.mktemp("out") / "minigpt4"
    warned = []
    convert_minigpt4(folder / "llm", folder / "eva_vit_g.pth", folder / "projection.pth", out, warned.append, vision)
    assert not warned
    return load(out)


@pytest.fixture(scope="module")
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 90, 3), dtype=np.uint8))


@torch.no_grad()
def test_the_vision_tower_is_evas(converted, parts):
    _, state, *_ = parts
    pixels = torch.randn(2, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))
    expected = F.layer_norm(eva(state, pixels), (SIZE,), eps=1e-5)
    found = converted.model.model.vision_tower(pixels).last_hidden_state
    assert (found - expected).abs().max() <= 1e-5
    assert (F.layer_norm(eva(state, pixels), (SIZE,), eps=1e-6) - found).abs().max() > 0


@torch.no_grad()
def test_four_neighbours_make_a_token(converted, parts):
    _, state, projection, *_ = parts
    pixels = torch.randn(1, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))
    patches = F.layer_norm(eva(state, pixels), (SIZE,), eps=1e-5)[0, 1:]
    found = converted.model.model.get_image_features(pixels)[0]
    side = PIXELS // PATCH
    assert found.shape == (side * side // 4, HIDDEN)
    for token in range(len(found)):
        joined = torch.cat([patches[4 * token + place] for place in range(4)])
        expected = projection["llama_proj.weight"] @ joined + projection["llama_proj.bias"]
        torch.testing.assert_close(found[token], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("style", ["minigpt4_chat", "minigpt4_train"])
def test_the_prompt_is_tokenised_and_embedded_as_the_authors_do(converted, parts, picture, style):
    language = parts[3]
    before, after = {
        "minigpt4_chat": (
            "Give the following image: <Img>ImageContent</Img>. You will be able to see the image once I provide it to you. "
            "Please answer my questions.<s>[INST] <Img>",
            f"</Img> {QUESTION} [/INST] ",
        ),
        "minigpt4_train": ("[INST] <Img>", f"</Img> {QUESTION} [/INST] "),
    }[style]
    lvlm = type(converted)(converted.model, converted.processor, "converted", style)
    batch = encode_examples(lvlm, [Example(picture, QUESTION, "passport", "")])
    opening, _, rest = before.rpartition("<s>")
    first = [*lvlm.tokenizer(opening)["input_ids"], *([1] if opening else [])]
    first += lvlm.tokenizer(rest, add_special_tokens=False)["input_ids"]
    second = lvlm.tokenizer(after, add_special_tokens=False)["input_ids"]
    image = [lvlm.image_token] * (PIXELS // PATCH) ** 2
    assert batch.input_ids_BT[0].tolist() == first + image[: len(image) // 4] + second
    assert first[0] == 1 and first.count(1) == (2 if style == "minigpt4_chat" else 1)
    assert lvlm.tokenizer.decode(batch.input_ids_BT[0][batch.is_class(SUBJECT)[0]]).strip() == "passport"
    embedding = language.get_input_embeddings()
    pixels = torch.as_tensor(np.array(picture.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    pixels = (pixels - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(batch.fields["pixel_values"], pixels, rtol=1e-4, atol=1e-4)
    features = converted.model.model.get_image_features(pixels)[0]
    embedded = torch.cat([embedding(torch.tensor(first)), features, embedding(torch.tensor(second))])
    expected = language(inputs_embeds=embedded[None]).logits
    torch.testing.assert_close(converted.model(**batch.inputs).logits, expected, rtol=1e-4, atol=1e-4)


def test_it_saves_and_loads_as_any_other(converted, picture, tmp_path):
    converted.save(tmp_path / "copy")
    again = load(tmp_path / "copy")
    items = [(picture, QUESTION), (None, QUESTION)]
    assert again.fingerprint == converted.fingerprint and again.generate(items) == converted.generate(items)
    assert again.model.model.vision_tower.post_layernorm.eps == 1e-5


def test_blip2s_vision_tower_is_taken_without_its_norm(converted, parts, tmp_path):
    from safetensors.torch import save_file

    folder, *_, vision = parts
    tower = converted.model.model.vision_tower.state_dict()
    stored = {f"vision_model.{name}": tensor.contiguous() for name, tensor in tower.items()}
    stored["vision_model.post_layernorm.weight"] = torch.full((SIZE,), 7.0)
    for name in ("blip2-opt", "models--blip2-opt-coco/snapshots/0a1b"):
        (tmp_path / name).mkdir(parents=True)
        save_file(stored, tmp_path / name / "model.safetensors")
        warned = []
        convert_minigpt4(folder / "llm", tmp_path / name, folder / "projection.pth", tmp_path / f"{name}-out", warned.append, vision)
        assert load(tmp_path / f"{name}-out").fingerprint == converted.fingerprint
        assert bool(warned) == ("coco" in name)


# --- wrong parts ----------------------------------------------------------------------------------------------------


class Hostile:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"model": {"llama_proj.weight": torch.zeros(HIDDEN, 768), "llama_proj.bias": torch.zeros(HIDDEN)}}, "Vicuna variant"),
        ({"model": {"llama_proj.weight": torch.zeros(HIDDEN, 64), "llama_proj.bias": torch.zeros(HIDDEN)}}, r"shape \[24, 64\] where"),
        ({"model": {"opt_proj.weight": torch.zeros(2)}}, "holds no llama_proj"),
        ([1, 2], "holds no llama_proj"),
        (Hostile(), "wants to run code"),
        (b"junk", "is not a file of PyTorch weights"),
        (None, "does not exist"),
    ],
    ids=["vicuna", "other-size", "other-keys", "a-list", "hostile", "junk", "missing"],
)
def test_a_wrong_projection_is_one_sentence(parts, tmp_path, capsys, stored, said):
    folder, *_, vision = parts
    path = tmp_path / "projection.pth"
    if isinstance(stored, bytes):
        path.write_bytes(stored)
    elif isinstance(stored, Hostile):
        path.write_bytes(pickle.dumps(stored))
    elif stored is not None:
        torch.save(stored, path)
    with pytest.raises(UserError, match=said):
        convert_minigpt4(folder / "llm", folder / "eva_vit_g.pth", path, tmp_path / "out", print, vision)
    assert "code ran" not in capsys.readouterr().out and not (tmp_path / "out").exists()


def test_a_vision_tower_that_lacks_a_block_is_refused(parts, tmp_path):
    folder, state, *_, vision = parts
    torch.save({name: tensor for name, tensor in state.items() if "blocks.1.mlp" not in name}, tmp_path / "eva.pth")
    with pytest.raises(UserError, match=r"lacks .*layers\.1\.mlp"):
        convert_minigpt4(folder / "llm", tmp_path / "eva.pth", folder / "projection.pth", tmp_path / "out", print, vision)


def test_an_output_that_exists_stays(parts, tmp_path):
    folder, *_, vision = parts
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        convert_minigpt4(folder / "llm", folder / "eva_vit_g.pth", folder / "projection.pth", tmp_path / "out", print, vision)
    shutil.rmtree(tmp_path / "out")
