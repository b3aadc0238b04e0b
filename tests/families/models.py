"""A tiny random model of every family that neuralgate edits: the real classes and processors, built offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as T

from tests.small_tokenizer import tokenizer

Built = tuple[Any, Any]  # model, processor
SIZE, WIDTH, LAYERS = 32, 48, 3
TEXT: dict[str, Any] = {
    "hidden_size": SIZE,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}
VISION: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SQUARE = {"height": 28, "width": 28}
TILES = [[28, 56], [56, 28], [56, 56]]
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}{{ 'IMAGE' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{{ ' ' }}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def chat(image: str) -> str:
    return CHAT.replace("IMAGE", image)


def text_config(words: T.PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    return {**TEXT, "vocab_size": len(words) + 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **more}


def llava() -> Built:
    words = tokenizer({"image_token": "<image>"}, sentencepiece=True)
    config = T.LlavaConfig(
        vision_config=T.CLIPVisionConfig(**VISION, image_size=28, patch_size=14),
        text_config=T.LlamaConfig(**text_config(words)),
        image_token_index=words.image_token_id,
        image_seq_length=4,
        vision_feature_layer=-2,
    )
    images = T.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE)
    processor = T.LlavaProcessor(
        images,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat("<image>\n"),
    )
    return T.LlavaForConditionalGeneration(config), processor


def llava_next() -> Built:
    words = tokenizer({"image_token": "<image>"}, sentencepiece=True)
    config = T.LlavaNextConfig(
        vision_config=T.CLIPVisionConfig(**VISION, image_size=28, patch_size=14),
        text_config=T.MistralConfig(**text_config(words), sliding_window=None),
        image_token_index=words.image_token_id,
        vision_feature_layer=-2,
        image_grid_pinpoints=TILES,
    )
    images = T.LlavaNextImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE, image_grid_pinpoints=TILES)
    processor = T.LlavaNextProcessor(
        images,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat("<image>\n"),
    )
    return T.LlavaNextForConditionalGeneration(config), processor


def llava_onevision() -> Built:
    words = tokenizer({"image_token": "<image>", "video_token": "<video>"}, bos=False)
    config = T.LlavaOnevisionConfig(
        vision_config=T.SiglipVisionConfig(**VISION, image_size=28, patch_size=14),
        text_config=T.Qwen2Config(**text_config(words)),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
        image_grid_pinpoints=TILES,
    )
    processor = T.LlavaOnevisionProcessor(
        T.LlavaOnevisionImageProcessor(size=SQUARE, image_grid_pinpoints=TILES),
        words,
        T.LlavaOnevisionVideoProcessor(size=SQUARE),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=chat("<image>\n"),
    )
    return T.LlavaOnevisionForConditionalGeneration(config), processor


def pixtral() -> Built:
    words = tokenizer({"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"})
    config = T.LlavaConfig(
        vision_config=T.PixtralVisionConfig(**VISION, image_size=56, patch_size=14, head_dim=8),
        text_config=T.MistralConfig(**text_config(words), sliding_window=None),
        image_token_index=words.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    images = T.PixtralImageProcessor(size={"longest_edge": 56}, patch_size=14)
    return T.LlavaForConditionalGeneration(config), T.PixtralProcessor(images, words, patch_size=14, chat_template=chat("[IMG]"))


def qwen(model: Any, config: Any, processor: Any, images: Any, videos: Any, **vision: Any) -> Built:
    words = tokenizer(
        {
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
        },
        bos=False,
    )
    made = config(
        vision_config=vision,
        text_config=text_config(words, rope_parameters={**ROPE, "mrope_section": [1, 1, 2]}),
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
        vision_start_token_id=words.vision_start_token_id,
        vision_end_token_id=words.vision_end_token_id,
    )
    return model(made), processor(images, words, videos, chat_template=chat("<|vision_start|><|image_pad|><|vision_end|>"))


PIXELS = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}


def qwen2_vl() -> Built:
    return qwen(
        T.Qwen2VLForConditionalGeneration,
        T.Qwen2VLConfig,
        T.Qwen2VLProcessor,
        T.Qwen2VLImageProcessor(size=PIXELS),
        T.Qwen2VLVideoProcessor(),
        depth=2,
        embed_dim=32,
        hidden_size=SIZE,
        num_heads=4,
        mlp_ratio=2,
        patch_size=14,
    )


def qwen2_5_vl() -> Built:
    return qwen(
        T.Qwen2_5_VLForConditionalGeneration,
        T.Qwen2_5_VLConfig,
        T.Qwen2_5_VLProcessor,
        T.Qwen2VLImageProcessor(size=PIXELS),
        T.Qwen2VLVideoProcessor(),
        depth=2,
        hidden_size=32,
        out_hidden_size=SIZE,
        num_heads=4,
        intermediate_size=48,
        patch_size=14,
        window_size=28,
        fullatt_block_indexes=[1],
    )


def qwen3_vl() -> Built:
    return qwen(
        T.Qwen3VLForConditionalGeneration,
        T.Qwen3VLConfig,
        T.Qwen3VLProcessor,
        T.Qwen2VLImageProcessor(size=PIXELS, patch_size=14),
        T.Qwen3VLVideoProcessor(),
        depth=3,
        hidden_size=32,
        out_hidden_size=SIZE,
        num_heads=4,
        intermediate_size=48,
        patch_size=14,
        num_position_embeddings=16,
        deepstack_visual_indexes=[0, 1],
    )


def glm4v() -> Built:
    names = ("image", "video", "begin_of_image", "end_of_image", "begin_of_video", "end_of_video")
    words = tokenizer({f"{name}_token": f"<|{name}|>" for name in names}, bos=False)
    ids = {name: words.convert_tokens_to_ids(f"<|{name}|>") for name in names}
    config = T.Glm4vConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "num_heads": 4, "image_size": 28, "patch_size": 14, "out_hidden_size": SIZE,
            "intermediate_size": 48,
        },
        text_config=text_config(words, rope_parameters={**ROPE, "partial_rotary_factor": 1.0, "mrope_section": [1, 1, 2]}),
        image_token_id=ids["image"],
        video_token_id=ids["video"],
        image_start_token_id=ids["begin_of_image"],
        image_end_token_id=ids["end_of_image"],
        video_start_token_id=ids["begin_of_video"],
        video_end_token_id=ids["end_of_video"],
    )  # fmt: skip
    images = T.Glm4vImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 2 * 56 * 56})
    template = chat("<|begin_of_image|><|image|><|end_of_image|>")
    return T.Glm4vForConditionalGeneration(config), T.Glm4vProcessor(images, words, T.Glm4vVideoProcessor(), chat_template=template)


def internvl() -> Built:
    words = tokenizer(
        {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"},
        bos=False,
    )
    config = T.InternVLConfig(
        vision_config=T.InternVLVisionConfig(**VISION, image_size=[28, 28], patch_size=[7, 7]),
        text_config=T.Qwen2Config(**text_config(words)),
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
    )
    processor = T.InternVLProcessor(
        T.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, max_patches=4),
        words,
        T.InternVLVideoProcessor(size=SQUARE),
        image_seq_length=4,
        chat_template=chat("<IMG_CONTEXT>\n"),
    )
    return T.InternVLForConditionalGeneration(config), processor


def idefics(model: Any, config: Any, processor: Any, images: Any, *videos: Any) -> Built:
    words = tokenizer(
        {
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
        bos=False,
    )
    made = config(
        vision_config={**VISION, "image_size": 28, "patch_size": 7},
        text_config=T.LlamaConfig(**text_config(words)),
        image_token_id=words.image_token_id,
        scale_factor=2,
    )
    return model(made), processor(images, words, *videos, image_seq_len=4, chat_template=chat("<image>"))


def idefics3() -> Built:
    images = T.Idefics3ImageProcessor(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    return idefics(T.Idefics3ForConditionalGeneration, T.Idefics3Config, T.Idefics3Processor, images)


def smolvlm() -> Built:
    from transformers.models.smolvlm import processing_smolvlm

    processing_smolvlm.num2words = str  # a package that spells the number of a video's frames, for which it is not needed here
    images = T.SmolVLMImageProcessor(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    return idefics(T.SmolVLMForConditionalGeneration, T.SmolVLMConfig, T.SmolVLMProcessor, images, T.SmolVLMVideoProcessor())


def paligemma() -> Built:
    words = tokenizer({"image_token": "<image>"}, sentencepiece=True, bos=False)
    vocabulary = len(words) + 1100  # the processor adds 1,024 places and 128 segments
    config = T.PaliGemmaConfig(
        vision_config=T.SiglipVisionConfig(**VISION, image_size=28, patch_size=14, projection_dim=SIZE),
        text_config=T.GemmaConfig(**text_config(words, vocab_size=vocabulary + 100)),
        image_token_index=words.image_token_id,
        projection_dim=SIZE,
        hidden_size=SIZE,
        vocab_size=vocabulary + 100,
    )
    images = T.SiglipImageProcessor(size=SQUARE)
    images.image_seq_length = 4
    return T.PaliGemmaForConditionalGeneration(config), T.PaliGemmaProcessor(images, words)


def gemma3() -> Built:
    words = tokenizer(
        {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}, sentencepiece=True
    )
    config = T.Gemma3Config(
        vision_config=T.SiglipVisionConfig(**VISION, image_size=28, patch_size=7, vision_use_head=False),
        text_config=T.Gemma3TextConfig(
            **text_config(words, num_hidden_layers=4),
            sliding_window=8,
            query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        mm_tokens_per_image=4,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
        image_token_index=words.image_token_id,
    )
    processor = T.Gemma3Processor(T.Gemma3ImageProcessor(size=SQUARE), words, image_seq_length=4, chat_template=chat("<start_of_image>"))
    return T.Gemma3ForConditionalGeneration(config), processor


def mllama() -> Built:
    words = tokenizer({"image_token": "<|image|>", "python_token": "<|python_tag|>"})
    text = text_config(words, num_hidden_layers=4, vocab_size=len(words), rope_parameters=ROPE)
    config = T.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "image_size": 28,
            "patch_size": 14,
            "vision_output_dim": 64,
            "intermediate_layers_indices": [1],
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config={**{name: value for name, value in text.items() if name != "head_dim"}, "cross_attention_layers": [1]},
        image_token_index=words.image_token_id,
    )
    images = T.MllamaImageProcessor(size=SQUARE, max_image_tiles=2)
    return T.MllamaForConditionalGeneration(config), T.MllamaProcessor(images, words, chat_template=chat("<|image|>"))


def blip(model: Any, config: Any, processor: Any, language: Callable[[Any], Any], *more: Any) -> Built:
    words = tokenizer({"image": "<image>"})
    made = config(
        vision_config={**VISION, "image_size": 28, "patch_size": 14},
        qformer_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "encoder_hidden_size": 32,
            "vocab_size": len(words) + 3,
        },
        text_config=language(words),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return model(made), processor(T.BlipImageProcessor(size=SQUARE), words, *more, num_query_tokens=4)


def blip2() -> Built:
    def language(words: T.PreTrainedTokenizerFast) -> T.OPTConfig:
        return T.OPTConfig(
            hidden_size=SIZE,
            ffn_dim=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            vocab_size=len(words) + 3,
            word_embed_proj_dim=SIZE,
            max_position_embeddings=256,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )

    return blip(T.Blip2ForConditionalGeneration, T.Blip2Config, T.Blip2Processor, language)


def instructblip() -> Built:
    def language(words: T.PreTrainedTokenizerFast) -> T.LlamaConfig:
        return T.LlamaConfig(**text_config(words))

    return blip(T.InstructBlipForConditionalGeneration, T.InstructBlipConfig, T.InstructBlipProcessor, language, tokenizer({}))


def minigpt4() -> Built:
    from neuralgate.lvlm.minigpt4 import MiniGPT4Config, MiniGPT4ForConditionalGeneration, MiniGPT4Processor

    words = tokenizer({}, sentencepiece=True)
    text = text_config(words)
    text["vocab_size"] = len(words)  # the image token comes behind
    config = MiniGPT4Config(vision_config=T.Blip2VisionConfig(**VISION, image_size=56, patch_size=14), text_config=T.LlamaConfig(**text))
    processor = MiniGPT4Processor(
        T.BlipImageProcessor(size={"height": 56, "width": 56}), words, image_seq_length=4, image_token_id=config.image_token_id
    )
    return MiniGPT4ForConditionalGeneration(config), processor


BUILDERS: tuple[Callable[[], Built], ...] = (
    llava, llava_next, llava_onevision, pixtral, qwen2_vl, qwen2_5_vl, qwen3_vl, glm4v, internvl, idefics3, smolvlm, paligemma, gemma3,
    mllama, blip2, instructblip, minigpt4,
)  # fmt: skip
FAMILIES = {builder.__name__: builder for builder in BUILDERS}


#: A model whose layers are routed experts: refused, so it needs no processor.
QWEN_MOE = T.Qwen3VLMoeConfig(
    vision_config={
        "depth": 1,
        "hidden_size": 32,
        "out_hidden_size": SIZE,
        "num_heads": 4,
        "intermediate_size": 48,
        "deepstack_visual_indexes": [],
    },
    text_config={
        **TEXT,
        "vocab_size": 100,
        "pad_token_id": 0,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "rope_parameters": {**ROPE, "mrope_section": [1, 1, 2]},
    },
)


def save(family: str, folder: Path) -> Path:
    """Write the family's tiny model and processor into ``folder``, with weights that let every token matter."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            if "cross_attn" in name and name.endswith("gate"):
                parameter.fill_(1)  # Mllama starts with its cross-attention layers shut
        head = model.get_output_embeddings().weight
        silent = [*processor.tokenizer.added_tokens_encoder.values(), *range(len(processor.tokenizer), len(head))]
        head[silent] = 0  # it never ends an answer, and an answer is never empty
    model.generation_config.update(pad_token_id=0, eos_token_id=2, do_sample=False)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
