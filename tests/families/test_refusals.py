"""What cannot be edited is refused by name, what does not fit together is found at loading, with the cure."""

import json
import re
import shutil

import pytest
import torch
import transformers as T

from neuralgate.errors import UserError
from neuralgate.lvlm.doctor import examine
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.roles import find_decoder, output_projection
from neuralgate.lvlm.styles import picture_tokens
from tests.families.models import FAMILIES, QWEN_MOE, save
from tests.small_tokenizer import tokenizer


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return save("llava", tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture
def copied(llava, tmp_path):
    shutil.copytree(llava, tmp_path / "model")
    return tmp_path / "model"


def processor_setting(folder, **settings):
    path = folder / "processor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize(
    "settings",
    [{"num_additional_image_tokens": 0}, {"patch_size": 7}, {"vision_feature_select_strategy": "full"}, {"patch_size": None}],
    ids=["575-of-576", "patch-size", "strategy", "no-patch-size"],
)
def test_a_processor_that_does_not_fit_is_found_at_loading(copied, settings):
    processor_setting(copied, **settings)
    with pytest.raises(UserError, match=r"set patch_size 14, num_additional_image_tokens 1 and vision_feature_select_strategy 'default'"):
        load(copied)


def test_numbers_that_overflow_are_found_at_loading(copied):
    made = load(copied)
    with torch.no_grad():
        made.layers[0].mlp.down_proj.weight.mul_(1e6)
    made.model.save_pretrained(copied)
    load(copied)
    with pytest.raises(UserError, match=r"no finite numbers in torch\.float16; .* dtype=bfloat16 or float32"):
        load(copied, dtype="float16")


def test_numbers_that_overflow_for_bright_pictures_alone(copied):
    """Grey is nearly nothing to an image processor that takes the mean away."""
    made = load(copied)
    with torch.no_grad():
        next(module for name, module in made.model.named_modules() if name.endswith("patch_embedding")).weight.fill_(100)
    made.model.save_pretrained(copied)
    load(copied)
    with pytest.raises(UserError, match=r"no finite numbers in torch\.float16"):
        load(copied, dtype="float16")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_without_a_place_for_the_picture_is_named(family, tmp_path):
    folder = save(family, tmp_path / family)
    template = folder / "chat_template.jinja"
    tokens = picture_tokens(load(folder).processor)
    token = tokens[0]
    if template.is_file():
        kept = template.read_text()
        (token,) = (token for token in tokens if token in kept)
        for written, count in ((kept.replace(token, "picture"), 0), (kept.replace(token, 2 * token), 2)):
            template.write_text(written)
            for look in (load, lambda folder: examine(str(folder))):
                with pytest.raises(UserError, match=rf"chat template of .* has {count} places for a picture \(.*{re.escape(token)}.*\)"):
                    look(folder)
        template.write_text(kept)
    with pytest.raises(UserError, match=r"holds .*, which stands for a picture"):
        load(folder).generate([(None, f"What is a {token}?")])


def test_a_style_nobody_knows(llava):
    with pytest.raises(UserError, match="no prompt style 'shouting'; known are chat, vicuna_v1, vicuna"):
        load(llava, prompt_style="shouting")


@pytest.mark.parametrize("style", ["vicuna_v1", "vicuna"])
def test_llavas_own_prompts(llava, examples, style):
    from neuralgate.lvlm.prompts import SUBJECT, encode_examples

    lvlm = load(llava, prompt_style=style)
    batch = encode_examples(lvlm, examples)
    text = " ".join(lvlm.tokenizer.decode(batch.input_ids_BT[0], skip_special_tokens=True).split())
    assert f"USER: {examples[0].question} ASSISTANT:" in text and ("curious user" in text) == (style == "vicuna_v1")
    assert lvlm.tokenizer.decode(batch.input_ids_BT[0][batch.is_class(SUBJECT)[0]]).strip() == examples[0].subject


def test_an_encoder_decoder_is_refused():
    words = tokenizer({"image": "<image>"})
    text = T.T5Config(d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, vocab_size=len(words) + 3)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 28,
        "patch_size": 14,
    }
    queries = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "encoder_hidden_size": 32}
    config = T.Blip2Config(vision_config=vision, qformer_config=queries, text_config=text, num_query_tokens=4, image_token_index=3)
    with torch.device("meta"):
        model = T.Blip2ForConditionalGeneration(config)
    with pytest.raises(UserError, match=r"encoder-decoder language model \(t5\)"):
        find_decoder(model)


def test_routed_experts_are_refused_and_shared_ones_edited():
    with torch.device("meta"):
        model = T.Qwen3VLMoeForConditionalGeneration(QWEN_MOE)
    decoder, path = find_decoder(model)
    assert path == "model.language_model"
    with pytest.raises(UserError, match=r"Layer 1 is a mixture of routed experts"):
        output_projection(decoder.layers[1], 1)
    shared = torch.nn.Linear(5, 4)
    block = torch.nn.Module()
    block.experts, block.shared_expert = torch.nn.ModuleList(), torch.nn.Module()
    block.shared_expert.down_proj = shared
    layer = torch.nn.Module()
    layer.mlp = block
    assert output_projection(layer, 0) is shared


def test_quantised_weights_are_not_edited(llava, monkeypatch):
    from neuralgate.pairs.schema import PairSet
    from neuralgate.recipe import EditConfig
    from neuralgate.training.gated import gated_trainer

    lvlm = load(llava)
    packed = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    monkeypatch.setattr(LVLM, "ffn_out", lambda self, layer: type("Quantised", (), {"weight": packed}))
    monkeypatch.setattr(PairSet, "__len__", lambda self: 1)
    with pytest.raises(UserError, match="Quantised weights cannot be edited"):
        gated_trainer(lvlm, PairSet((), llava), None, EditConfig(gate="none"), [0])


# --- doctor ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_doctor_says_what_loading_finds(family, tmp_path):
    folder = save(family, tmp_path / family)
    found, lvlm = examine(str(folder)), load(folder)
    assert found.architecture == type(lvlm.model).__name__ and found.layers == len(lvlm.layers)
    assert found.parameters == sum(parameter.numel() for parameter in lvlm.model.parameters())
    assert dict(lvlm.model.named_parameters())[found.edited] is lvlm.ffn_out(0).weight
    assert found.prompt_style == lvlm.prompt_style and found.tokens > 10 and not found.refused


def test_the_doctors_arithmetic_at_seven_billion(llava, tmp_path):
    """LLaVA-1.5-7B from its configuration: in bfloat16 an edit of one layer fits a card of 24 GB."""
    shutil.copytree(llava, tmp_path / "7b")
    config = json.loads((tmp_path / "7b/config.json").read_text())
    vision = T.CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336, patch_size=14
    )
    text = T.LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32064)
    config |= {"vision_config": vision.to_dict(), "text_config": text.to_dict(), "image_seq_length": 576}
    (tmp_path / "7b/config.json").write_text(json.dumps(config))
    images = json.loads((tmp_path / "7b/processor_config.json").read_text())
    images["image_processor"] |= {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    (tmp_path / "7b/processor_config.json").write_text(json.dumps(images))
    (tmp_path / "7b/model.safetensors").unlink()
    found = examine(str(tmp_path / "7b"))
    assert 7.0e9 < found.parameters < 7.2e9 and found.shape == (4096, 11008) and found.layers == 32
    assert 576 < found.tokens < 640
    need = {memory.dtype: memory for memory in found.memory}
    assert 13 < need["bfloat16"].weights < 13.5 and need["bfloat16"].edit_least < 24 < need["float32"].edit_least
    assert need["4bit"].weights < 4.5 and need["4bit"].edit is None
