"""Are the gate's dimensions simply the large ones? Votes against the mean size of the hidden state at the subject's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from neuralgate.analysis.sweeps import MASSIVE, SINK
from neuralgate.locate.samples import Located
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, encode_examples


@torch.inference_mode()
def layer_sizes(lvlm: LVLM, located: Sequence[Located], layers: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of each sample's sensitive question, at the output of each layer: the mean ``|h|`` of every dimension over the subject's tokens,
    ``(N, L, D)``, and how many times longer the first token's state is than the median token's, ``(N, L)``."""

    def measure(part: Sequence[Located]) -> tuple[Tensor, Tensor]:
        batch = encode_examples(lvlm, [item.sample.sensitive[0] for item in part])
        used_BT = batch.attention_mask_BT.bool().cpu()
        subject_BT1 = batch.is_class(SUBJECT)[..., None].cpu().float()
        sizes, sinks = [], []
        outputs: dict[int, Tensor] = {}

        def keep(layer: int, output: Any) -> None:
            outputs[layer] = (output[0] if isinstance(output, tuple) else output).float().cpu()

        with ExitStack() as stack:
            for layer in layers:
                handle = lvlm.layers[layer].register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
                stack.callback(handle.remove)
            final_hidden(lvlm, batch)
        for layer in layers:
            hidden_BTD = outputs[layer]
            sizes.append((hidden_BTD.abs() * subject_BT1).sum(1) / subject_BT1.sum(1))
            norms_BT = hidden_BTD.norm(dim=-1)
            medians_B = torch.stack([row_T[used_T].median() for row_T, used_T in zip(norms_BT, used_BT, strict=True)])
            first_B = used_BT.int().argmax(-1)
            sinks.append(norms_BT.gather(1, first_B[:, None])[:, 0] / medians_B)
        return torch.stack(sizes, 1), torch.stack(sinks, 1)

    parts = lvlm.fitting(32, "measuring activations").run(measure, located)
    return torch.cat([sizes for sizes, _ in parts]), torch.cat([sinks for _, sinks in parts])


def against_votes(size_SD: Tensor, votes_SD: Tensor, threshold: float) -> dict[str, Any]:
    """Spearman's rank correlation of votes and size, both means over subjects, with its interval (Bonett and Wright 2000), and the share of
    the strong dimensions that is among the equally many largest ones of its subject, beside what chance gives (hypergeometric)."""
    size = size_SD.shape[-1]
    size_D, votes_D = size_SD.mean(0).numpy(), votes_SD.mean(0).numpy()
    found = expected = variance = strong = 0.0
    for subject_size_D, gate_D in zip(size_SD, votes_SD > threshold, strict=True):
        count = int(gate_D.sum())
        largest = torch.argsort(subject_size_D, descending=True, stable=True)[:count]
        found, strong = found + int(gate_D[largest].sum()), strong + count
        expected += count**2 / size
        variance += (count * (size - count) / size) ** 2 / (size - 1)
    row: dict[str, Any] = {"rho": None, "top": None}
    if np.ptp(votes_D) > 0:  # constant votes have no ranks
        rho = stats.spearmanr(size_D, votes_D).statistic
        half = 1.96 * np.sqrt((1 + rho**2 / 2) / (size - 3))
        low, high = np.tanh(np.arctanh(np.clip(rho, -0.9999, 0.9999)) + np.array([-half, half]))
        row["rho"] = {"value": round(float(rho), 4), "low": round(float(low), 4), "high": round(float(high), 4), "n": size}
    if strong:
        band = 1.96 * np.sqrt(variance)
        low, high = max(0.0, expected - band) / strong, min(strong, expected + band) / strong
        row["top"] = {
            "value": round(found / strong, 4),
            "chance": round(float(expected / strong), 4),
            "chance_low": round(float(low), 4),
            "chance_high": round(float(high), 4),
            "n": int(strong),
        }
    return row


def massive(size_SD: Tensor) -> list[dict[str, float | int]]:
    """The dimensions whose mean size is more than MASSIVE times the median dimension's, with that ratio."""
    ratio_D = size_SD.mean(0) / size_SD.mean(0).median().clamp(min=1e-12)
    return [{"dimension": int(d), "ratio": round(float(ratio_D[d]), 1)} for d in (ratio_D > MASSIVE).nonzero()[:, 0]]


def describe_activations(
    lvlm: LVLM, located: Sequence[Located], owner_N: Tensor, votes_SLD: Tensor, layers: Sequence[int], threshold: float, drawn_layer: int
) -> dict[str, Any]:
    """One row per layer, and the points of one layer's scatter. Massive dimensions and the sink are named; they leave no number out."""
    size_NLD, sink_NL = layer_sizes(lvlm, located, layers)
    size_SLD = torch.stack([size_NLD[owner_N == subject].mean(0) for subject in owner_N.unique()])
    rows = []
    for place, layer in enumerate(layers):
        ratio = float(sink_NL[:, place].median())
        row = against_votes(size_SLD[:, place], votes_SLD[:, place], threshold)
        rows.append(
            {"layer": layer, **row, "massive": massive(size_SLD[:, place]), "first_token": round(ratio, 2), "is_sink": ratio > SINK}
        )
    place = list(layers).index(drawn_layer)
    points = zip(size_SLD[:, place].mean(0).tolist(), votes_SLD[:, place].mean(0).tolist(), strict=True)
    return {
        "rows": rows,
        "layer": drawn_layer,
        "points": [[round(size, 5), round(votes, 5)] for size, votes in points],
        "massive_times": MASSIVE,
        "sink_times": SINK,
    }
