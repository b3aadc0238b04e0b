"""Locating with the engine against the plain forms, in one run: seconds for a sample and layer, their ratios, and how they grow.

    python -m benchmarks.locate [--steps 25] [--model notary]

writes benchmarks/locate.json; with a model's name its row alone, at a third and two thirds of its depth. `plain` is the loop of the
tests' oracle, one sample and one question at a time and the whole sequence in each step, its vision tower included (with six contexts it
is what the authors' code does); `batched` is what one would write first: the same with four samples in a batch; `engine` is
`optimise_vectors`. The share of the attainable is the time that the matrix products which the exact computation needs would take at the
speed of one large product, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from neuralgate.chunks import Chunks
from neuralgate.files import read_json, write_json
from neuralgate.locate.layers import CHUNK_ROWS, optimise_layers
from neuralgate.locate.samples import Sample, make_samples
from neuralgate.locate.vectors import Prepared, optimise_vectors, sample_bytes, scaled_positions, start_values, vector_of
from neuralgate.lvlm.fast.suffix import Suffix
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig
from tests.plain_locate import plain_fit

OUT = Path(__file__).with_suffix(".json")


def with_image_tokens(side: int) -> LVLM:
    """Clerk's processor and widths, random weights, and ``side`` x ``side`` image tokens: 24 x 24 is the sequence of LLaVA-1.5."""
    clerk = load("clerk")
    config = clerk.model.config
    config.vision_config.image_size = side * config.vision_config.patch_size
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


def product_speed(product: Callable[[], Any], operations: int, repeats: int = 40) -> float:
    """FLOP a second of ``product``, which takes so many operations."""
    product()
    return operations * repeats / seconds(lambda: [product() for _ in range(repeats)])


def matmul_speed(tokens: int, weight_DF: torch.Tensor) -> float:
    """FLOP a second of one product of the engine's shape."""
    high, wide = weight_DF.shape
    left, right = (torch.randn(shape).to(weight_DF.dtype) for shape in ((tokens, wide), (wide, high)))
    out = left @ right
    return product_speed(lambda: torch.mm(left, right, out=out), 2 * tokens * wide * high)


def needed_flops(lvlm: LVLM, prepared: Prepared, layer: int, steps: int) -> float:
    """Forward, and backward to the inputs alone, in every step, and two more forward passes: of the products with weights, and of the
    attention to all tokens before, whose keys and values need no gradient. Padding is not needed and not counted."""
    assert isinstance(prepared.passed, Suffix)
    weights = sum(p.numel() for index, one in enumerate(lvlm.layers) if index > layer for p in one.parameters() if p.dim() == 2)
    before = prepared.passed.before[layer + 1]
    seen = before.keys_NKPE.shape[2] + before.own_keys_BKME.shape[2] + prepared.scaled_BT.shape[1] / 2
    attention = 2 * seen * lvlm.hidden_size * (len(lvlm.layers) - layer - 1)
    return 2.0 * int(prepared.passed.lengths_B.sum()) * (weights + attention) * (2 * steps + 2)


def measure(lvlm: LVLM, samples: Sequence[Sample], layers: Sequence[int], config: LocateConfig, plain_samples: int) -> dict[str, Any]:
    chosen = samples[: batch_size(samples)]
    prepared = Prepared(lvlm, chosen, min(layers), config)
    preparing = seconds(lambda: Prepared(lvlm, chosen, min(layers), config)) / len(layers)
    found = []
    for layer in layers:
        plain = seconds(lambda at=layer: [plain_fit(lvlm, sample, [at], config) for sample in samples[:plain_samples]]) / plain_samples
        few = chosen[:4]
        batched = seconds(lambda at=layer, some=few: batched_fit(lvlm, some, at, config)) / len(few)
        optimise_vectors(lvlm, chosen, [layer], config.model_copy(update={"steps": 1}), prepared)
        optimising = seconds(lambda at=layer: optimise_vectors(lvlm, chosen, [at], config, prepared))
        engine = (optimising + preparing) / len(chosen)
        speed = matmul_speed(prepared.scaled_BT.numel(), lvlm.ffn_out(layer).weight)
        found.append(
            {
                "layer": layer,
                "plain_s": round(plain, 3),
                "batched_s": round(batched, 4),
                "engine_s": round(engine, 4),
                "plain_over_engine": round(plain / engine, 1),
                "batched_over_engine": round(batched / engine, 1),
                "share_of_attainable": round(needed_flops(lvlm, prepared, layer, config.steps) / speed / optimising, 2),
            }
        )
        print(json.dumps(found[-1]), flush=True)
    total = {name: sum(row[name] for row in found) for name in ("plain_s", "batched_s", "engine_s")}
    return {
        "layers": found,
        "samples_in_batch": len(chosen),
        "tokens_of_a_step": prepared.scaled_BT.shape[1],
        "plain_over_engine": round(total["plain_s"] / total["engine_s"], 1),
        "batched_over_engine": round(total["batched_s"] / total["engine_s"], 1),
    }


def batch_size(samples: Sequence[Sample]) -> int:
    return max(1, CHUNK_ROWS // (len(samples[0].sensitive) + 1))


def optimising_seconds(lvlm: LVLM, samples: Sequence[Sample], layers: Sequence[int], config: LocateConfig) -> float:
    """A sample and layer, the pass before the steps included; after a short run that warms up."""
    optimise_vectors(lvlm, samples, layers[:1], config.model_copy(update={"steps": 1}))

    def fit() -> None:
        prepared = Prepared(lvlm, samples, min(layers), config)
        for layer in layers:
            optimise_vectors(lvlm, samples, [layer], config, prepared)

    return round(seconds(fit) / len(samples) / len(layers), 4)


def growth(pairs: PairSet, models: dict[int, LVLM], config: LocateConfig) -> dict[str, Any]:
    """Seconds for a sample and layer with more samples in a batch, more image tokens, more layers; what a sample takes."""
    samples = [item.sample for item in make_samples(pairs, config)]
    clerk, middle = models[8], 3
    found = {
        "samples_in_batch": {str(count): optimising_seconds(clerk, samples[:count], [middle], config) for count in (1, 3, 12, 48)},
        "layers": {str(count): optimising_seconds(clerk, samples, list(range(count)), config) for count in (1, 4, 7)},
        "image_tokens": {str(side**2): optimising_seconds(lvlm, samples[:24], [middle], config) for side, lvlm in models.items()},
        "bytes_of_a_sample": {str(side**2): sample_bytes(Prepared(lvlm, samples[:4], 0, config), [0]) for side, lvlm in models.items()},
    }
    print(json.dumps(found), flush=True)
    return found


def peak_memory(pairs: PairSet, clerk: LVLM, config: LocateConfig) -> dict[str, int]:
    """The most that the process has held so far, after one, four and eight batches. To be called first: it never falls."""
    located = make_samples(pairs, config)
    peaks = {}
    for batches in (1, 4, 8):
        with TemporaryDirectory() as folder:
            optimise_layers(clerk, located * batches, [3], config.model_copy(update={"steps": 2}), None, Chunks(Path(folder)))
        peaks[str(batches)] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return peaks


def one_model(name: str, config: LocateConfig) -> dict[str, Any]:
    """The row of a model that is not Clerk."""
    lvlm = load(name)
    with TemporaryDirectory() as folder:
        drawn = PairSet.synthetic(folder, per_subject=8, contrast_per_subject=1, validation_per_subject=1)
        samples = [item.sample for item in make_samples(with_own_answers(lvlm, drawn), config)]
        layers = [len(lvlm.layers) // 3, 2 * len(lvlm.layers) // 3]
        return {"dtype": str(lvlm.model.dtype).removeprefix("torch."), **measure(lvlm, samples, layers, config, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--model", help="the row of this one alone")
    arguments = parser.parse_args()
    steps = arguments.steps
    torch.set_num_threads(2)
    result: dict[str, Any] = {"steps": steps, "torch": torch.__version__, "threads": 2}
    config = LocateConfig(steps=steps, samples_per_subject=8, stop_loss=0.0)
    if arguments.model:
        write_json(OUT, {**read_json(OUT), arguments.model: one_model(arguments.model, config)})
        return
    six = config.model_copy(update={"contexts": True})
    with TemporaryDirectory() as folder:
        clerk = load("clerk")
        drawn = PairSet.synthetic(folder, per_subject=8, contrast_per_subject=1, validation_per_subject=1)
        pairs = with_own_answers(clerk, drawn)
        result["peak_bytes_after_batches"] = peak_memory(pairs, clerk, config)
        models = {8: clerk, 12: with_image_tokens(12), 24: with_image_tokens(24)}
        result["growth"] = growth(pairs, models, config)
        cases = [
            ("clerk", 8, config, range(7), 2),
            ("clerk, six contexts", 8, six, (0, 3, 6), 1),
            ("llava proportions", 24, config, (0, 2, 4, 6), 1),
            ("llava proportions, six contexts", 24, six, (3,), 1),
        ]
        for name, side, settings, layers, plain_samples in cases:
            print(name, flush=True)
            samples = [item.sample for item in make_samples(pairs, settings)]
            result[name] = measure(models[side], samples, layers, settings, plain_samples)
    write_json(OUT, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
