"""MiniGPT-4 with Llama-2-7B-chat, which transformers does not have: EVA ViT-g, four patches to a token, a projection, Llama.

Image 224 x 224 -> 256 patches of 1408 numbers (39 blocks, no final norm but a plain LayerNorm of weight 1 and bias 0, which
the published checkpoint never fills) -> class token dropped -> four neighbours side by side, 64 x 5632 -> 64 x 4096 in
the places of the prompt's image tokens. Facts from the repository of MiniGPT-4 (https://github.com/Vision-CAIR/MiniGPT-4,
minigpt4/models/minigpt4.py and its llama2 configuration); the code is ours.

`neuralgate convert minigpt4` puts the published parts together into a model directory of this class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BatchFeature,
    Blip2VisionConfig,
    Blip2VisionModel,
    GenerationMixin,
    LlamaConfig,
    LlamaModel,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

NORM_EPS = 1e-5  # of the LayerNorm behind the vision tower; transformers' class uses another
IMAGE, BOS = "<ImageHere>", "<s>"


class MiniGPT4Config(PreTrainedConfig):
    """``merge`` neighbouring patches make one image token. The image token's id is the first behind Llama's vocabulary."""

    model_type = "minigpt4"
    sub_configs = {"vision_config": Blip2VisionConfig, "text_config": LlamaConfig}  # noqa: RUF012

    def __init__(self, vision_config: Any = None, text_config: Any = None, merge: int = 4, **more: Any) -> None:
        self.vision_config = Blip2VisionConfig(**vision_config) if isinstance(vision_config, dict) else vision_config or Blip2VisionConfig()
        self.text_config = LlamaConfig(**text_config) if isinstance(text_config, dict) else text_config or LlamaConfig()
        self.merge = merge
        self.image_token_id = self.text_config.vocab_size
        more.pop("image_token_id", None)
        super().__init__(**more)


class MiniGPT4PreTrainedModel(PreTrainedModel):
    config_class = MiniGPT4Config
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    _supports_sdpa = True
    _supports_flash_attn = True
    _no_split_modules = ["Blip2EncoderLayer", "LlamaDecoderLayer"]  # noqa: RUF012


class MiniGPT4Model(MiniGPT4PreTrainedModel):
    """Vision tower, projection and Llama without its output embeddings."""

    def __init__(self, config: MiniGPT4Config) -> None:
        super().__init__(config)
        self.vision_tower = Blip2VisionModel(config.vision_config)
        self.vision_tower.post_layernorm.eps = NORM_EPS
        self.multi_modal_projector = nn.Linear(config.merge * config.vision_config.hidden_size, config.text_config.hidden_size)
        self.language_model = LlamaModel(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_decoder(self) -> nn.Module:
        return self.language_model

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """``(B, 3, 224, 224)`` -> ``(B, 64, D)``: patches without the class token, ``merge`` of a row side by side."""
        patches_BPE = self.vision_tower(pixel_values).last_hidden_state[:, 1:]
        merged = patches_BPE.reshape(len(patches_BPE), -1, self.config.merge * patches_BPE.shape[-1])
        return self.multi_modal_projector(merged)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **passed_on: Any,
    ) -> Any:
        if inputs_embeds is None:
            assert input_ids is not None
            image_BT = input_ids == self.config.image_token_id
            inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(image_BT, 0))
            if pixel_values is not None and bool(image_BT.any()):  # tokens that are generated bring no image
                features = self.get_image_features(pixel_values).to(inputs_embeds)
                if int(image_BT.sum()) != features.shape[0] * features.shape[1]:
                    raise ValueError(f"{int(image_BT.sum())} image tokens for {features.shape[0] * features.shape[1]} image features")
                inputs_embeds = inputs_embeds.masked_scatter(image_BT[..., None], features)
        return self.language_model(inputs_embeds=inputs_embeds, **passed_on)


class MiniGPT4ForConditionalGeneration(MiniGPT4PreTrainedModel, GenerationMixin):
    """The whole model, used as every other of transformers' image-text-to-text classes."""

    def __init__(self, config: MiniGPT4Config) -> None:
        super().__init__(config)
        self.model = MiniGPT4Model(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def get_decoder(self) -> nn.Module:
        return self.model.get_decoder()

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **more: Any,
    ) -> CausalLMOutputWithPast:
        """``pixel_values`` ``(B, 3, 224, 224)``, one image a row that holds image tokens; logits ``(B, T, vocabulary)``."""
        output = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
        )
        hidden_BTD = output.last_hidden_state[:, -logits_to_keep:] if logits_to_keep else output.last_hidden_state
        return CausalLMOutputWithPast(logits=self.lm_head(hidden_BTD), past_key_values=output.past_key_values)


class MiniGPT4Processor(ProcessorMixin):
    """Texts with ``<ImageHere>`` and their images. The text on either side of the placeholder is tokenised by itself, as the
    authors do: each part gets its own opening from SentencePiece, and only the first begins with ``<s>``."""

    attributes = ["image_processor", "tokenizer"]  # noqa: RUF012
    image_processor_class = "AutoImageProcessor"
    tokenizer_class = "AutoTokenizer"
    image_token = IMAGE

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, image_seq_length: int = 64, image_token_id: int = 32000, **more: Any
    ) -> None:
        self.image_seq_length, self.image_token_id = image_seq_length, image_token_id
        super().__init__(image_processor, tokenizer, **more)

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] = "",
        padding: bool = False,
        padding_side: str = "left",
        return_tensors: str | None = None,
        return_offsets_mapping: bool = False,
    ) -> BatchFeature:
        """Ids, mask and pixels; with ``return_offsets_mapping`` the characters of the text *with* its placeholder."""
        rows = [self.encode(part) for part in ([text] if isinstance(text, str) else text)]
        data: dict[str, Any] = {
            "input_ids": [[token for token, _ in row] for row in rows],
            "attention_mask": [[1] * len(row) for row in rows],
        }
        if return_offsets_mapping:
            data["offset_mapping"] = [[place for _, place in row] for row in rows]
        if padding:
            pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
            length = max(map(len, rows))
            fills = {"input_ids": pad, "attention_mask": 0, "offset_mapping": (0, 0)}
            for name, values in data.items():
                filled = [[fills[name]] * (length - len(row)) for row in values]
                data[name] = [row + gap if padding_side == "right" else gap + row for row, gap in zip(values, filled, strict=True)]
        if images is not None:
            flat = [image for entry in images for image in (entry if isinstance(entry, list) else [entry])]
            data["pixel_values"] = self.image_processor(flat, return_tensors=return_tensors)["pixel_values"]
        return BatchFeature(data, tensor_type=return_tensors)

    def encode(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        """(id, characters) of a text's tokens, the placeholder being ``image_seq_length`` image tokens."""
        tokens: list[tuple[int, tuple[int, int]]] = []
        start = 0
        # a literal <s> parts the text as well: what follows it gets its own opening from the authors' tokenizer
        for number, part in enumerate(re.split(f"({re.escape(IMAGE)}|{re.escape(BOS)})", text)):
            if part == IMAGE:
                tokens += [(self.image_token_id, (start, start + len(IMAGE)))] * self.image_seq_length
            elif part == BOS:
                tokens.append((self.tokenizer.bos_token_id, (0, 0)))
            if part in (IMAGE, BOS):
                start += len(part)
                continue
            encoded = self.tokenizer(part, add_special_tokens=number == 0, return_offsets_mapping=True)
            for token, (left, right) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
                # added tokens have no characters, wherever they stand
                tokens.append((token, (start + left, start + right) if right > left else (0, 0)))
            start += len(part)
        return tokens

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values"]


def register() -> None:
    """Let transformers' Auto classes load directories of this model."""
    AutoConfig.register("minigpt4", MiniGPT4Config, exist_ok=True)
    AutoModelForImageTextToText.register(MiniGPT4Config, MiniGPT4ForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(MiniGPT4Config, MiniGPT4Processor, exist_ok=True)
