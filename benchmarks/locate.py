"""Locating with the engine against the plain forms, in one run: seconds for a sample and layer, and their ratios.

    python -m benchmarks.locate [--steps 25]

writes benchmarks/locate.json. `plain` is the loop of the tests' oracle, one sample and one question at a time and the whole sequence
in each step; `batched` is what one would write first: the same with four samples in a batch; `engine` is `fit_vectors`. The share of
the attainable is the time that the engine's matrix products would need at the speed of one large product, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from neuralgate.files import write_json
from neuralgate.locate.locate import make_samples
from neuralgate.locate.vectors import Prepared, Sample, fit_vectors, scaled_positions, start_values, vector_of
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig
from tests.test_locate import plain_fit

OUT = Path(__file__).with_suffix(".json")
ROWS = 96
PLAIN_SAMPLES = 2


def llava_proportions() -> LVLM:
    """Clerk's processor and random weights with 576 image tokens: the sequence of LLaVA-1.5 at widths that two cores carry."""
    clerk = load("clerk")
    config = clerk.model.config
    config.vision_config.image_size = 24 * config.vision_config.patch_size
    config.text_config.max_position_embeddings = 2048
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).eval().requires_grad_(False)
    processor = clerk.processor
    processor.image_processor.size = {"height": config.vision_config.image_size, "width": config.vision_config.image_size}
    return LVLM(model, processor, "llava proportions")


def batched_fit(lvlm: LVLM, samples: Sequence[Sample], layer: int, config: LocateConfig) -> None:
    """All samples in one batch, the whole sequence in each step."""
    rows = [(i, example) for i, sample in enumerate(samples) for example in (*sample.sensitive, sample.benign)]
    batch = encode_examples(lvlm, [example for _, example in rows])
    owner_B = torch.tensor([i for i, _ in rows])
    positions_BT1 = scaled_positions(batch.classes_BT, config.tokens)[..., None].float()
    values_N1D = start_values(len(samples), 1, lvlm.hidden_size, config).requires_grad_()
    optimizer = torch.optim.Adam([values_N1D], lr=config.rate, eps=config.eps)
    for _ in range(config.steps):
        scale_BTD = 1 + positions_BT1 * (vector_of(values_N1D, config)[owner_B] - 1)
        with output_changed(lvlm.layers[layer], lambda hidden_BTD, scale_BTD=scale_BTD: hidden_BTD * scale_BTD):
            loss = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def matmul_speed(tokens: int, wide: int, high: int) -> float:
    """FLOP a second of one product of the engine's shape."""
    left, right = torch.randn(tokens, wide), torch.randn(wide, high)
    out = left @ right
    return 40 * 2 * tokens * wide * high / seconds(lambda: [torch.mm(left, right, out=out) for _ in range(40)])


def engine_flops(lvlm: LVLM, prepared: Prepared, layer: int, steps: int) -> float:
    """Of the products with weights: forward, and backward to the inputs alone, in every step, and two more forward passes."""
    weights = sum(p.numel() for index, one in enumerate(lvlm.layers) if index > layer for p in one.parameters() if p.dim() == 2)
    return 2.0 * prepared.scaled_BT.numel() * weights * (2 * steps + 2)


def measure(lvlm: LVLM, samples: Sequence[Sample], layers: Sequence[int], config: LocateConfig, plain_samples: int) -> dict[str, Any]:
    size = max(1, ROWS // (len(samples[0].sensitive) + 1))
    chosen = samples[:size]
    prepared = Prepared(lvlm, chosen, min(layers), config)
    preparing = seconds(lambda: Prepared(lvlm, chosen, min(layers), config)) / len(layers)
    found = []
    for layer in layers:
        plain = seconds(lambda at=layer: [plain_fit(lvlm, sample, at, config) for sample in samples[:plain_samples]]) / plain_samples
        few = chosen[:4]
        batched = seconds(lambda at=layer, some=few: batched_fit(lvlm, some, at, config)) / len(few)
        fit_vectors(lvlm, chosen, [layer], config.model_copy(update={"steps": 1}), prepared)
        fitting = seconds(lambda at=layer: fit_vectors(lvlm, chosen, [at], config, prepared))
        engine = (fitting + preparing) / len(chosen)
        weight = lvlm.ffn_out(layer).weight
        speed = matmul_speed(prepared.scaled_BT.numel(), weight.shape[1], weight.shape[0])
        found.append(
            {
                "layer": layer,
                "plain_s": round(plain, 3),
                "batched_s": round(batched, 4),
                "engine_s": round(engine, 4),
                "plain_over_engine": round(plain / engine, 1),
                "batched_over_engine": round(batched / engine, 1),
                "share_of_attainable": round(engine_flops(lvlm, prepared, layer, config.steps) / speed / fitting, 2),
            }
        )
        print(json.dumps(found[-1]), flush=True)
    total = {name: sum(row[name] for row in found) for name in ("plain_s", "batched_s", "engine_s")}
    return {
        "layers": found,
        "samples_in_batch": len(chosen),
        "columns": prepared.scaled_BT.shape[1],
        "plain_over_engine": round(total["plain_s"] / total["engine_s"], 1),
        "batched_over_engine": round(total["batched_s"] / total["engine_s"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    steps = parser.parse_args().steps
    torch.set_num_threads(2)
    result: dict[str, Any] = {"steps": steps, "torch": torch.__version__, "threads": 2}
    with TemporaryDirectory() as folder:
        lvlm = load("clerk")
        drawn = PairSet.synthetic(folder, per_subject=8, contrast_per_subject=1, validation_per_subject=1)
        pairs = with_own_answers(lvlm, drawn)
        for name, contexts in (("clerk", False), ("clerk, six contexts", True)):
            config = LocateConfig(steps=steps, contexts=contexts, samples_per_subject=8, stop_loss=0.0)
            samples = [item.sample for item in make_samples(pairs, config)]
            layers = range(len(lvlm.layers) - 1) if not contexts else (0, 6)
            print(name, flush=True)
            result[name] = measure(lvlm, samples, layers, config, PLAIN_SAMPLES if not contexts else 1)
        large = llava_proportions()
        config = LocateConfig(steps=steps, samples_per_subject=8, stop_loss=0.0)
        samples = [item.sample for item in make_samples(pairs, config)]
        print("llava proportions", flush=True)
        result["llava proportions"] = measure(large, samples, (0, 6), config, 1)
    write_json(OUT, result)
    print(json.dumps({name: value for name, value in result.items()}, indent=1))


if __name__ == "__main__":
    main()
