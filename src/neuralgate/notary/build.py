"""Notary before training: the base's language model behind new eyes, its processor, and the small change that training makes.

SmolLM2-135M-Instruct (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0) is the mind, in its own chat format.
A picture of 128 x 128 pixels is 16 x 16 image tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

from neuralgate.lvlm.number_type import cpu_dtype
from neuralgate.pairs.drawn.documents import CELL, GRID

try:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
except ImportError:  # transformers 5.0, where the plain name is the one that needs no torchvision
    from transformers.models.clip.image_processing_clip import CLIPImageProcessor as CLIPImageProcessorPil

IMAGE_SIZE = GRID * CELL
PATCH = CELL // 2  # one character of a value each
SIDE = IMAGE_SIZE // PATCH
IMAGE_TOKENS = SIDE * SIDE
#: The base reserves tokens that its chats never use; one of them becomes the picture's place, so that its tied head keeps its size.
IMAGE, RESERVED = "<image>", "<gh_stars>"
PAD, END = "<|endoftext|>", "<|im_end|>"
RANK = 24
CHANGED = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip

#: The base's own format, for contents in parts, too.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build_tokenizer(base: Path) -> Any:
    """The base's tokenizer with ``<image>`` in the place of a reserved token, padding on the left."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    text = tokenizer.backend_tokenizer.to_str()
    if text.count(f'"{RESERVED}"') == 0:
        raise ValueError(f"{base} has no token {RESERVED}, so it is not the base of Notary")
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text.replace(f'"{RESERVED}"', f'"{IMAGE}"')),
        bos_token="<|im_start|>",
        eos_token=END,
        unk_token="<|endoftext|>",
        pad_token=PAD,
        additional_special_tokens=[IMAGE],
        padding_side="left",
        model_max_length=2048,
    )


def build_processor(base: Path) -> LlavaProcessor:
    """The complete processor, over the tokenizer in ``base``."""
    images = CLIPImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(base),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, dropped by "default"
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def build_config(base: Path, tokenizer: Any) -> LlavaConfig:
    """Eyes 192 x 4 with patches of 8 pixels before the base's own decoder."""
    text = LlamaConfig.from_pretrained(base)
    text.pad_token_id, text.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=6,
            image_size=IMAGE_SIZE,
            patch_size=PATCH,
            hidden_act="gelu",
            projection_dim=192,
        ),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )


def build_model(base: Path, tokenizer: Any, seed: int) -> LlavaForConditionalGeneration:
    """The base's mind, frozen and in the number type that is fast here, behind untrained eyes in float32."""
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config(base, tokenizer))
    mind = LlamaForCausalLM.from_pretrained(base, dtype=cpu_dtype())
    model.model.language_model = mind.model
    model.lm_head = mind.lm_head
    mind.requires_grad_(False)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = False
    return model


class LowRank(nn.Module):
    """A frozen projection with a trained change of rank ``RANK`` beside it (Hu et al. 2021, https://arxiv.org/abs/2106.09685)."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.lora_a = nn.Parameter(torch.randn(RANK, base.in_features) / base.in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.lora_a.to(x.dtype)), self.lora_b.to(x.dtype))


def add_low_rank(model: LlavaForConditionalGeneration) -> dict[str, nn.Parameter]:
    """Put a change beside every projection of the decoder; returns its parameters under the names that the delta's file gives them."""
    parameters = {}
    for index, layer in enumerate(model.model.language_model.layers):
        for name in CHANGED:
            parent, _, last = name.rpartition(".")
            owner = layer.get_submodule(parent)
            change = LowRank(getattr(owner, last))
            setattr(owner, last, change)
            for part in ("lora_a", "lora_b"):
                parameters[f"language_model.layers.{index}.{name}.{part}"] = getattr(change, part)
    return parameters
