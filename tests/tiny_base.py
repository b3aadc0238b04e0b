"""A base of Notary that is 200 kB and made in a blink: a llama of two layers in a GGUF file, quantised as the real one is."""

import hashlib
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np

from neuralgate.notary.base import SMOLLM2, Base

LAYERS, HIDDEN, FFN, HEADS, KV_HEADS = 2, 64, 96, 4, 2
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<gh_stars>"]
MERGES = [("Ġ", "Ġ"), ("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "i"), ("Ġi", "s"), ("1", "2")]
TEMPLATE = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '<|im_end|>' }}{% endfor %}"


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in a byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, plain), *(chr(256 + number) for number in range(256 - len(plain)))]


def vocabulary() -> list[str]:
    return [*CONTROL, *byte_letters(), *("".join(merge) for merge in MERGES)]


def write(path: Path, seed: int = 0, quantised: gguf.LlamaFileType = gguf.LlamaFileType.MOSTLY_Q4_1) -> Path:
    """Weights of the size that they usually have, drawn with ``seed``."""
    kind = {gguf.LlamaFileType.MOSTLY_Q4_1: gguf.GGMLQuantizationType.Q4_1, gguf.LlamaFileType.MOSTLY_Q8_0: gguf.GGMLQuantizationType.Q8_0}
    rng = np.random.default_rng(seed)
    tokens = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_file_type(quantised)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)))
    writer.add_token_merges([" ".join(merge) for merge in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    def add(name: str, rows: int, columns: int, how: gguf.GGMLQuantizationType = kind[quantised]) -> None:
        values = rng.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)
        writer.add_tensor(f"{name}.weight", gguf.quantize(values, how), raw_dtype=how)

    add("token_embd", len(tokens), HIDDEN, gguf.GGMLQuantizationType.Q8_0)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", rng.uniform(0.5, 1.5, HIDDEN).astype(np.float32))
        add(f"{block}.attn_q", HIDDEN, HIDDEN)
        add(f"{block}.attn_k", KV_HEADS * HIDDEN // HEADS, HIDDEN)
        add(f"{block}.attn_v", KV_HEADS * HIDDEN // HEADS, HIDDEN)
        add(f"{block}.attn_output", HIDDEN, HIDDEN)
        add(f"{block}.ffn_gate", FFN, HIDDEN)
        add(f"{block}.ffn_up", FFN, HIDDEN)
        add(f"{block}.ffn_down", HIDDEN, FFN)
    writer.add_tensor("output_norm.weight", rng.uniform(0.5, 1.5, HIDDEN).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def describe(path: Path, weights_sha256: str) -> Base:
    """The file at ``path`` as a base, with places to have it from that do not exist."""
    data = path.read_bytes()
    return replace(
        SMOLLM2,
        name="tiny",
        file="tiny.Q4_1.gguf",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        weights_sha256=weights_sha256,
        weights_size=10**6,
        distribution="no-such-distribution",
        package="no_such_package",
        wheel_size=len(data),
        repository="nobody/nothing",
    )
