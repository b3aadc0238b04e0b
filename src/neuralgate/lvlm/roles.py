"""Which module plays which role in a vision-language model, found by structure and not by name.

Attribute paths differ between families and move between transformers releases; what stays is that a decoder is the
list of as many equal layers as the text configuration says, and that each layer ends in a projection from the FFN's
width back to the hidden size. Everything else in the package asks for ``decoder.<l>.ffn.out``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

from neuralgate.errors import UserError

#: Parts of a path that lead into another tower than the language model's decoder.
OTHER_TOWERS = ("vision", "visual", "audio", "qformer", "perceiver", "resampler", "projector", "connector", "talker", "token2wav")
FFN_NAMES = ("mlp", "feed_forward", "ffn")
OUT_NAMES = ("down_proj", "fc2", "w2", "dense_4h_to_h", "c_proj", "wo")
SHARED_EXPERTS = ("shared_expert", "shared_experts", "shared_mlp")
NORM_NAMES = ("norm", "final_layer_norm", "final_layernorm", "ln_f", "embedding_norm", "layer_norm")
ROLE = re.compile(r"decoder\.(0|[1-9][0-9]{0,3})\.ffn\.out")  # one spelling a tensor


def find_decoder(model: Any) -> tuple[Any, str]:
    """The module that holds the decoder's layers in order, and its path below ``model``.

    Raises:
        UserError: there is none, or the language model is an encoder with a decoder.
    """
    text = model.config.get_text_config()
    if getattr(text, "is_encoder_decoder", False):
        raise UserError(
            f"{type(model).__name__} answers through an encoder-decoder language model ({text.model_type}); the method is defined on the "
            "hidden states of a decoder that reads the question itself, so choose a decoder-only model."
        )
    found = [
        (parent, path.rpartition(".")[0])
        for path, layers in model.named_modules()
        if isinstance(layers, nn.ModuleList)
        and len(layers) == text.num_hidden_layers
        and not any(word in part.lower() for part in path.split(".") for word in OTHER_TOWERS)
        and all(ffn_of(layer) is not None for layer in layers)
        and path.rpartition(".")[2] == "layers"
        and (parent := model.get_submodule(path.rpartition(".")[0])) is not None
    ]
    if not found:
        raise UserError(
            f"No decoder of {text.num_hidden_layers} layers with an FFN was found in {type(model).__name__}; its architecture "
            f"({model.config.model_type}) is not supported."
        )
    return found[0]


def ffn_of(layer: nn.Module) -> nn.Module | None:
    """A decoder layer's FFN block; the layer itself where the projections hang directly on it (OPT)."""
    for name in FFN_NAMES:
        if isinstance(block := getattr(layer, name, None), nn.Module):
            return block
    return layer if any(hasattr(layer, name) for name in OUT_NAMES) else None


def output_projection(layer: nn.Module, index: int) -> nn.Module:
    """The FFN's output projection of a decoder layer: out = W a, with W ``(D, F)``.

    In a layer with experts it is that of the expert which every token passes.

    Raises:
        UserError: the layer only has routed experts, or no projection of a known kind.
    """
    block = ffn_of(layer)
    if hasattr(block, "experts"):
        shared = next((getattr(block, name) for name in SHARED_EXPERTS if hasattr(block, name)), None)
        if shared is None:
            raise UserError(
                f"Layer {index} is a mixture of routed experts (.experts) without a shared one; a routed expert sees only the tokens "
                "sent to it, so an edit there would miss others. Choose a layer with a dense FFN."
            )
        block = shared
    for name in OUT_NAMES:
        if isinstance(projection := getattr(block, name, None), nn.Module):
            return projection
    raise UserError(f"Layer {index} has no FFN output projection of a known kind ({', '.join(OUT_NAMES)}); choose another layer.")


def final_norm(decoder: Any) -> nn.Module:
    """The norm between the last layer and the output embeddings."""
    for name in NORM_NAMES:
        if isinstance(norm := getattr(decoder, name, None), nn.Module):
            return norm
    raise UserError(f"{type(decoder).__name__} has no last norm of a known name ({', '.join(NORM_NAMES)}); it is not supported.")


def role_of(layer: int) -> str:
    """The name under which patches keep the FFN output projection of a layer: parameter names move between releases."""
    return f"decoder.{layer}.ffn.out"


def layer_of(role: str) -> int:
    """The layer of ``decoder.<l>.ffn.out``. Raises UserError when it is spelt in any other way."""
    match = ROLE.fullmatch(role)
    if not match:
        raise UserError(f"{role[:80]!r} names no tensor of a patch (decoder.<layer>.ffn.out); get the patch again.")
    return int(match[1])


def find_role(model: Any, role: str) -> nn.Parameter:
    """The parameter that plays ``role`` in ``model``. Raises UserError if there is none."""
    layer, layers = layer_of(role), find_decoder(model)[0].layers
    if layer >= len(layers):
        raise UserError(f"The model has no tensor {role} (it has {len(layers)} decoder layers); the patch belongs to another model.")
    weight = output_projection(layers[layer], layer).weight
    assert isinstance(weight, nn.Parameter)
    return weight


def find_roles(model: Any, roles: Iterable[str]) -> dict[str, nn.Parameter]:
    """Role -> parameter. Raises UserError where two roles share one: what is done to both would be done to it twice."""
    found = {role: find_role(model, role) for role in roles}
    owners: dict[int, str] = {}
    for role, parameter in found.items():
        if (other := owners.setdefault(parameter.data_ptr() or id(parameter), role)) != role:  # meta tensors have no address
            raise UserError(f"{other} and {role} are one tensor of this model, which shares it between layers; edit one of them.")
    return found
