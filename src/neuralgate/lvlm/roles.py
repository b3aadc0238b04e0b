"""Which module plays which role in a vision-language model, found by structure and not by name.

Attribute paths differ between families and move between transformers releases; what stays is that a decoder is the
list of as many equal layers as the text configuration says, and that each layer ends in a projection from the FFN's
width back to the hidden size. Everything else in the package asks for a role:

    decoder.<l>.ffn.in, .gate, .gate_and_in (one matrix of both), .out
    decoder.<l>.attention.query, .key, .value, .query_key_value (one matrix of all three), .out
    decoder.<l>.norm.attention, .norm.ffn (what stands in front of either)
    decoder.norm, embeddings, head

each with ``.bias`` behind it for the bias. A parameter without a role, as those of the vision tower, is ``parameter:<its name>``.
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
ATTENTION_NAMES = ("self_attn", "cross_attn", "attention", "attn")
#: Part of a decoder layer -> what its module is called, by what holds it: the FFN block, the attention, the layer itself.
FFN_PARTS = {
    "in": ("up_proj", "fc1", "w3", "dense_h_to_4h", "c_fc"),
    "gate": ("gate_proj", "w1"),
    "gate_and_in": ("gate_up_proj",),
    "out": OUT_NAMES,
}
ATTENTION_PARTS = {
    "query": ("q_proj", "wq"),
    "key": ("k_proj", "wk"),
    "value": ("v_proj", "wv"),
    "query_key_value": ("qkv_proj", "query_key_value", "c_attn"),
    "out": ("o_proj", "out_proj", "dense", "c_proj", "wo"),
}
NORM_PARTS = {
    "attention": ("input_layernorm", "self_attn_layer_norm", "attention_norm", "ln_1"),
    "ffn": ("pre_feedforward_layernorm", "post_attention_layernorm", "final_layer_norm", "ffn_norm", "ln_2"),
}
PARTS = (
    *(f"ffn.{part}" for part in FFN_PARTS),
    *(f"attention.{part}" for part in ATTENTION_PARTS),
    *(f"norm.{part}" for part in NORM_PARTS),
)
PARAMETER = "parameter:"
FFN_OUT = re.compile(r"decoder\.(0|[1-9][0-9]{0,3})\.ffn\.out")
OUTSIDE = ("embeddings", "decoder.norm", "head")
#: One spelling a tensor. Also a pattern of pydantic's, whose language is a little another one.
_PLACES = "|".join(name.replace(".", r"\.") for name in OUTSIDE)
_PARTS = "|".join(part.replace(".", r"\.") for part in PARTS)
ROLE = re.compile(rf"(?:decoder\.(?:0|[1-9][0-9]{{0,3}})\.(?:{_PARTS})|{_PLACES})(?:\.bias)?|parameter:[A-Za-z0-9_.]{{1,300}}")


def lowest_layer(role: str, layers: int) -> int:
    """The lowest of a decoder's ``layers`` whose output hangs on the tensor of this role, or their number. A head may be the embeddings."""
    in_layer = re.match(r"decoder\.(\d+)\.", role)
    return int(in_layer[1]) if in_layer else layers if role.startswith("decoder.norm") else 0


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
    candidates = [
        (parent, path.rpartition(".")[0])
        for path, layers in model.named_modules()
        if isinstance(layers, nn.ModuleList)
        and len(layers) == text.num_hidden_layers
        and not any(word in part.lower() for part in path.split(".") for word in OTHER_TOWERS)
        and all(ffn_of(layer) is not None for layer in layers)
        and path.rpartition(".")[2] == "layers"
        and (parent := model.get_submodule(path.rpartition(".")[0])) is not None
    ]
    if not candidates:
        raise UserError(
            f"No decoder of {text.num_hidden_layers} layers with an FFN was found in {type(model).__name__}; its architecture "
            f"({model.config.model_type}) is not supported."
        )
    return candidates[0]


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


def vision_projections(model: Any) -> dict[str, nn.Module]:
    """The FFN output projections of a vision tower, by the roles of their weights, in their order; none where they are of no known kind."""
    decoder = find_decoder(model)[1]
    found = {}
    for path, module in model.named_modules():
        parent, _, name = path.rpartition(".")
        is_vision = any(word in part.lower() for part in path.split(".") for word in ("vision", "visual"))
        is_ffn = name in OUT_NAMES and parent.rpartition(".")[2] in FFN_NAMES
        if is_vision and is_ffn and not path.startswith(f"{decoder}.") and isinstance(getattr(module, "weight", None), nn.Parameter):
            found[f"{PARAMETER}{path}.weight"] = module
    return found


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
    match = FFN_OUT.fullmatch(role)
    if not match:
        raise UserError(f"{role[:80]!r} is not decoder.<layer>.ffn.out, the one tensor that is meant here.")
    return int(match[1])


def part_of(layer: nn.Module, index: int, part: str) -> nn.Module | None:
    """The module that plays ``part`` (one of `PARTS`) in decoder layer ``index``, if there is one.

    Raises:
        UserError: ``part`` is the FFN's output, and the layer only has routed experts, or none of a known kind.
    """
    if part == "ffn.out":
        return output_projection(layer, index)
    kind, _, name = part.partition(".")
    if kind == "norm":
        return first_module(layer, NORM_PARTS[name])
    if kind == "attention":
        return first_module(first_module(layer, ATTENTION_NAMES), ATTENTION_PARTS[name])
    block = ffn_of(layer)
    return first_module(first_module(block, SHARED_EXPERTS) if hasattr(block, "experts") else block, FFN_PARTS[name])


def first_module(parent: nn.Module | None, names: Iterable[str]) -> nn.Module | None:
    return next((module for name in names if isinstance(module := getattr(parent, name, None), nn.Module)), None)


def outside_layers(model: Any, name: str) -> nn.Module | None:
    """The module of `OUTSIDE`."""
    if name == "decoder.norm":
        return final_norm(find_decoder(model)[0])
    return model.get_input_embeddings() if name == "embeddings" else model.get_output_embeddings()


def module_of(model: Any, role: str) -> nn.Module | None:
    """The module that plays a role of the decoder's, if there is one. Raises UserError where there is no such layer."""
    if role in OUTSIDE:
        return outside_layers(model, role)
    _, number, part = role.split(".", 2)
    index, layers = int(number), find_decoder(model)[0].layers
    if index >= len(layers):
        raise UserError(f"The model has no tensor {role} (it has {len(layers)} decoder layers); the patch belongs to another model.")
    return part_of(layers[index], index, part)


def find_role(model: Any, role: str) -> nn.Parameter:
    """The parameter that plays ``role`` in ``model``. Raises UserError if there is none."""
    if not ROLE.fullmatch(role):
        raise UserError(f"{role[:80]!r} names no tensor of a patch (decoder.<layer>.ffn.out and its like); get the patch again.")
    if role.startswith(PARAMETER):
        parameter = dict(model.named_parameters(remove_duplicate=False)).get(role.removeprefix(PARAMETER))
    else:
        place = role.removesuffix(".bias")
        parameter = getattr(module_of(model, place), "weight" if place == role else "bias", None)
    if not isinstance(parameter, nn.Parameter):
        raise UserError(f"The model has no tensor {role}; the patch belongs to another model.")
    return parameter


def all_roles(model: Any) -> dict[str, nn.Parameter]:
    """Every parameter of ``model`` once, in its order, by its role, or by its name where no role fits."""
    decoder = find_decoder(model)[0]
    modules = [(name, outside_layers(model, name)) for name in OUTSIDE]
    for index, layer in enumerate(decoder.layers):
        is_routed = hasattr(ffn_of(layer), "experts") and not first_module(ffn_of(layer), SHARED_EXPERTS)
        parts = [part for part in PARTS if not (is_routed and part.startswith("ffn"))]
        modules += [(f"decoder.{index}.{part}", part_of(layer, index, part)) for part in parts]
    role_of: dict[int, str] = {}
    for role, module in modules:
        for ending, attribute in (("", "weight"), (".bias", "bias")):
            role_of.setdefault(id(getattr(module, attribute, None)), role + ending)
    return {role_of.get(id(parameter), PARAMETER + name): parameter for name, parameter in model.named_parameters()}


def find_roles(model: Any, roles: Iterable[str]) -> dict[str, nn.Parameter]:
    """Role -> parameter. Raises UserError where two roles share one: what is done to both would be done to it twice."""
    by_role = all_roles(model)
    parameters = {role: by_role[role] if role in by_role else find_role(model, role) for role in roles}
    owners: dict[int, str] = {}
    for role, parameter in parameters.items():
        if (other := owners.setdefault(parameter.data_ptr() or id(parameter), role)) != role:  # meta tensors have no address
            raise UserError(f"{other} and {role} are one tensor of this model, which shares it between layers; edit one of them.")
    return parameters
