"""The model families that run through the whole pipeline in the tests: what `neuralgate ls models` and docs/models.md list."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """``edited``: the projection of decoder layer l, below it; ``begin``: a command for a published model of the family."""

    name: str
    model: str
    edited: str
    begin: str


#: Clerk comes with the package and is a LLaVA itself.
FAMILIES = (
    Family(
        "LLaVA-1.5, Pixtral",
        "LlavaForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run llava-hf/llava-1.5-7b-hf --machine dtype=bfloat16",
    ),
    Family(
        "LLaVA-NeXT",
        "LlavaNextForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run llava-hf/llava-v1.6-mistral-7b-hf --machine dtype=bfloat16",
    ),
    Family(
        "LLaVA-OneVision",
        "LlavaOnevisionForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run llava-hf/llava-onevision-qwen2-7b-ov-hf --machine dtype=bfloat16",
    ),
    Family(
        "Qwen2-VL", "Qwen2VLForConditionalGeneration", "mlp.down_proj", "neuralgate run Qwen/Qwen2-VL-7B-Instruct --machine dtype=bfloat16"
    ),
    Family(
        "Qwen2.5-VL",
        "Qwen2_5_VLForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run Qwen/Qwen2.5-VL-7B-Instruct --machine dtype=bfloat16",
    ),
    Family(
        "Qwen3-VL (DeepStack)",
        "Qwen3VLForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run Qwen/Qwen3-VL-8B-Instruct --machine dtype=bfloat16",
    ),
    Family(
        "GLM-4V (fused gate and up)",
        "Glm4vForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run zai-org/GLM-4.1V-9B-Base --machine dtype=bfloat16",
    ),
    Family(
        "InternVL3",
        "InternVLForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run OpenGVLab/InternVL3-8B-hf --machine dtype=bfloat16",
    ),
    Family(
        "Idefics3, SmolVLM",
        "Idefics3ForConditionalGeneration, SmolVLMForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run HuggingFaceTB/SmolVLM-Instruct --machine dtype=bfloat16",
    ),
    Family(
        "PaliGemma",
        "PaliGemmaForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run google/paligemma-3b-mix-224 --machine dtype=bfloat16",
    ),
    Family(
        "Gemma3 (a norm after the FFN)",
        "Gemma3ForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run google/gemma-3-4b-it --machine dtype=bfloat16",
    ),
    Family(
        "Mllama (cross-attention)",
        "MllamaForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run meta-llama/Llama-3.2-11B-Vision-Instruct --machine dtype=bfloat16",
    ),
    Family("BLIP-2 with OPT", "Blip2ForConditionalGeneration", "fc2", "neuralgate run Salesforce/blip2-opt-2.7b --machine dtype=bfloat16"),
    Family(
        "InstructBLIP with Vicuna",
        "InstructBlipForConditionalGeneration",
        "mlp.down_proj",
        "neuralgate run Salesforce/instructblip-vicuna-7b --machine dtype=bfloat16",
    ),
    Family(
        "MiniGPT-4 (llama2-7b)",
        "MiniGPT4ForConditionalGeneration (ours)",
        "mlp.down_proj",
        "neuralgate convert minigpt4 ..., then neuralgate run OUT",
    ),
)

HEADER = ("family", "class", "edited in layer l", "a command to begin with")
