"""Are the gate's dimensions simply the large ones? Votes against the mean size of the hidden state at the subject's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from neuralgate.locate.gate import Gate
from neuralgate.locate.samples import PairSample
from neuralgate.locate.vectors import scaled_positions
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.paper.sweeps import DRAWS, MASSIVE, SINK


@torch.inference_mode()
def layer_sizes(lvlm: LVLM, located: Sequence[PairSample], layers: Sequence[int], tokens: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of each sample's sensitive question, at the output of each layer: the mean ``|h|`` of every dimension over the tokens that locate
    scales, and ``|h|`` at the first token, ``(N, L, D)``; and how many times longer the first token's state is than the median token's,
    ``(N, L)``."""

    def measure(part: Sequence[PairSample]) -> tuple[Tensor, Tensor, Tensor]:
        batch = encode_examples(lvlm, [item.sample.sensitive[0] for item in part])
        used_BT = batch.attention_mask_BT.bool()
        first_B = used_BT.int().argmax(-1)
        scaled_BT1 = scaled_positions(batch.classes_BT, tokens)[..., None]
        sizes: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

        def keep(layer: int, output: Any) -> None:
            hidden_BTD = (output[0] if isinstance(output, tuple) else output).float()
            device = hidden_BTD.device
            weights_BT1 = scaled_BT1.to(device, hidden_BTD.dtype)
            norms_BT = hidden_BTD.norm(dim=-1)
            medians_B = torch.stack([row_T[used_T].median() for row_T, used_T in zip(norms_BT, used_BT.to(device), strict=True)])
            size_BD = (hidden_BTD.abs() * weights_BT1).sum(1) / weights_BT1.sum(1)
            places_B = torch.arange(len(hidden_BTD), device=device), first_B.to(device)
            sizes[layer] = size_BD.cpu(), hidden_BTD[places_B].abs().cpu(), (norms_BT[places_B] / medians_B).cpu()

        with ExitStack() as stack:
            for layer in layers:
                handle = lvlm.layers[layer].register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
                stack.callback(handle.remove)
            final_hidden(lvlm, batch)
        size_BLD, first_BLD, ratio_BL = (torch.stack(measured, 1) for measured in zip(*(sizes[layer] for layer in layers), strict=True))
        return size_BLD, first_BLD, ratio_BL

    parts = lvlm.batches(32, "measuring activations").run(measure, located)
    size_NLD, first_NLD, ratio_NL = (torch.cat(measured) for measured in zip(*parts, strict=True))
    return size_NLD, first_NLD, ratio_NL


def against_votes(size_SD: Tensor, votes_SD: Tensor, threshold: float) -> dict[str, Any]:
    """Spearman's rank correlation of votes and size, both means over subjects, with its interval (Bonett and Wright 2000), and the share of
    the strong dimensions that is among the equally many largest ones of its subject, beside what chance gives: its expectation, and the
    central 95 % when the dimensions are shuffled, in the same way for all subjects, which share dimensions."""
    size = size_SD.shape[-1]
    size_D, votes_D = size_SD.mean(0).numpy(), votes_SD.mean(0).numpy()
    gate_SD = (votes_SD > threshold).numpy()
    count_S = gate_SD.sum(-1)
    rank_SD = torch.argsort(torch.argsort(size_SD, dim=-1, descending=True, stable=True), dim=-1).numpy()
    largest_SD = rank_SD < count_S[:, None]
    row: dict[str, Any] = {"rho": None, "top": None}
    if np.ptp(votes_D) > 0:  # constant votes have no ranks
        rho = stats.spearmanr(size_D, votes_D).statistic
        half = 1.96 * np.sqrt((1 + rho**2 / 2) / (size - 3))
        low, high = np.tanh(np.arctanh(np.clip(rho, -0.9999, 0.9999)) + np.array([-half, half]))
        row["rho"] = {"value": round(float(rho), 4), "low": round(float(low), 4), "high": round(float(high), 4), "n": size}
    if strong := int(count_S.sum()):
        generator = np.random.default_rng(0)
        shuffled_R = [(gate_SD & largest_SD[:, generator.permutation(size)]).sum() / strong for _ in range(DRAWS)]
        low, high = np.percentile(shuffled_R, [2.5, 97.5])
        row["top"] = {
            "value": round(float((gate_SD & largest_SD).sum() / strong), 4),
            "chance": round(float((count_S**2).sum() / size / strong), 4),
            "chance_low": round(float(low), 4),
            "chance_high": round(float(high), 4),
            "n": strong,
        }
    return row


def massive(size_XD: Tensor) -> list[dict[str, float | int]]:
    """The dimensions whose mean size is more than MASSIVE times the median dimension's, with that ratio."""
    ratio_D = size_XD.mean(0) / size_XD.mean(0).median().clamp(min=1e-12)
    return [{"dimension": int(d), "ratio": round(float(ratio_D[d]), 1)} for d in (ratio_D > MASSIVE).nonzero()[:, 0]]


def describe_activations(
    lvlm: LVLM, located: Sequence[PairSample], owner_N: Tensor, gate: Gate, tokens: str, drawn_layer: int
) -> dict[str, Any]:
    """One row per layer, and the points of one layer's scatter. Massive dimensions, those of the first token too, and the sink are named;
    they leave no number out."""
    layers, votes_SLD = gate.layers, gate.votes_SLD
    size_NLD, first_NLD, sink_NL = layer_sizes(lvlm, located, layers, tokens)
    size_SLD = torch.stack([size_NLD[owner_N == subject].mean(0) for subject in owner_N.unique()])
    rows = []
    for place, layer in enumerate(layers):
        ratio = float(sink_NL[:, place].median())
        rows.append(
            {
                "layer": layer,
                **against_votes(size_SLD[:, place], votes_SLD[:, place], gate.threshold),
                "massive": massive(size_SLD[:, place]),
                "first_massive": massive(first_NLD[:, place]),
                "first_token": round(ratio, 2),
                "is_sink": ratio > SINK,
            }
        )
    place = layers.index(drawn_layer)
    points = zip(size_SLD[:, place].mean(0).tolist(), votes_SLD[:, place].mean(0).tolist(), strict=True)
    return {
        "rows": rows,
        "layer": drawn_layer,
        "points": [[round(size, 5), round(votes, 5)] for size, votes in points],
        "massive_times": MASSIVE,
        "sink_times": SINK,
    }
