"""DINM: tune the FFN output projection of the one layer where safe and unsafe answers lie farthest apart.

    layer     = argmax over l of  mean over pairs || H_l(refusal) - H_l(own answer) ||      both alone, up to the length of the shorter one
    minimise    L_sen + lambda L_ben + mu L_contrast        over that layer's W

With `hold: distribution` what is to stay is held by the divergence from the base model, ten times the loss of the refusal, as DINM was
published; with `answers` by the losses that all methods share, as the paper of Neural Gate compares it. Layers but the last are compared
before the last norm and without padding, and the divergence has a gradient, which the released code leaves out. Its control tunes another
of these layers, drawn at random.

Paper: https://arxiv.org/abs/2403.14472
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from neuralgate.edit_settings import STEPS, Layers, TrainedConfig, named_layers

if TYPE_CHECKING:
    from torch import Tensor

    from neuralgate.interventions.patch import Patch
    from neuralgate.locate.gate import Gate
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.training.watch import Watch

LOCATES = "layer"
PAPER = "https://arxiv.org/abs/2403.14472"
EDITS = "the FFN output projection of one layer"
TRAINED = "D x F"
SEARCH = {"distance": ("absolute", "relative"), "hold": ("answers", "distribution"), "max_steps": STEPS}
BATCH = 32  # pairs at a time
PUBLISHED = 10.0  # weight of the divergence, that of the refusal being 1 (c_edit = 0.1)


class Config(TrainedConfig):
    """Which layer, and how what is to stay is held; the rest is the loop's."""

    layers: Layers | Literal["farthest", "random", "search"] = Field(  # type: ignore[assignment]  # more ways to name them than others have
        "farthest",
        description="Where the answers lie `farthest` apart, any other drawn at `random`, the run's edited one (`search`), or named.",
    )
    distance: Literal["absolute", "relative"] = Field(
        "absolute", description="How far apart: as published, or in sizes of the states, which grow from layer to layer."
    )
    hold: Literal["answers", "distribution"] = Field(
        "answers", description="What is held of benign and contrast questions: the own answers, or the base model's whole distribution."
    )


def distances(lvlm: LVLM, pairs: PairSet, is_relative: bool = False) -> Tensor:
    """How far the hidden states ``(T, D)`` of refusal and own answer lie apart at each layer's output, ``(L,)``: the Frobenius norm of
    their difference, or its share of the mean of both norms, the mean over training pairs of edited subjects."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    told = list(pairs.split("train", "edit"))
    total_L = torch.zeros(len(lvlm.layers), dtype=torch.float64)
    for start in range(0, len(told), BATCH):
        both = [[pair.refusal, pair.sensitive_target] for pair in told[start : start + BATCH]]
        ids = [[torch.tensor(one) for one in lvlm.tokenizer(answers)["input_ids"]] for answers in both]
        lengths = [min(map(len, one)) for one in ids]
        cut = [one[:length] for length, answers in zip(lengths, ids, strict=True) for one in answers]
        mask_BT = pad_sequence([torch.ones_like(one) for one in cut], True).to(lvlm.device)
        for layer, hidden_BTD in enumerate(layer_outputs(lvlm, pad_sequence(cut, True).to(lvlm.device), mask_BT)):
            apart_P = (hidden_BTD[0::2] - hidden_BTD[1::2]).flatten(1).norm(dim=1)
            sizes_B = hidden_BTD.flatten(1).norm(dim=1)
            total_L[layer] += float((2 * apart_P / (sizes_B[0::2] + sizes_B[1::2]) if is_relative else apart_P).sum())
    return total_L / len(told)


def layer_outputs(lvlm: LVLM, ids_BT: Tensor, mask_BT: Tensor) -> list[Tensor]:
    """What each decoder layer makes of text alone, ``(B, T, D)`` in float64, 0 at padding."""
    import torch

    found: list[Tensor] = []
    with ExitStack() as hooks, torch.no_grad():
        for layer in lvlm.layers:
            keep = layer.register_forward_hook(lambda _m, _i, output: found.append(output[0] if isinstance(output, tuple) else output))
            hooks.callback(keep.remove)
        lvlm.decoder(inputs_embeds=lvlm.model.get_input_embeddings()(ids_BT), attention_mask=mask_BT, use_cache=False)
    return [hidden_BTD.double() * mask_BT[..., None].to(hidden_BTD.device) for hidden_BTD in found]


def chosen_layer(lvlm: LVLM, pairs: PairSet, config: Config) -> int:
    """The farthest below the last, where states are the longest whatever they say, or any other of these."""
    import numpy as np

    is_relative = config.distance == "relative"
    farthest = int(lvlm.once(("distances", is_relative), lambda: distances(lvlm, pairs, is_relative))[:-1].argmax())
    others = [layer for layer in range(len(lvlm.layers) - 1) if layer != farthest]
    return farthest if config.layers == "farthest" else int(np.random.default_rng([config.seed, 16]).choice(others))


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """Find the layer and train it; ``gate`` plays no part. Raises UserError for what cannot be trained, see `neural_gate.edit`."""
    from dataclasses import replace

    from neuralgate.training.objectives import REFUSE
    from neuralgate.training.projections import train_projections
    from neuralgate.training.rows import training_pairs

    if config.layers in ("farthest", "random"):
        pairs = training_pairs(lvlm, pairs, config.stop, ("refusal", "own"))
        layers = [chosen_layer(lvlm, pairs, config)]
    else:
        layers = named_layers(config.layers)
    objective = replace(REFUSE, answer_weight=0.0, divergence_weight=PUBLISHED) if config.hold == "distribution" else REFUSE
    return train_projections(lvlm, pairs, config.model_copy(update={"layers": layers}), watch, objective, "DINM", config.layers == "random")


def controls(config: Config) -> dict[str, Config]:
    """Another layer, drawn at random."""
    return {"random": config.model_copy(update={"layers": "random"})}
