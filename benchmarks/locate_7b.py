"""Locating at the exact shapes of LLaVA-1.5-7B, random weights, on a GPU: 220 pairs behind six contexts, 17 layers, 25 steps.

    python -m benchmarks.locate_7b [--memory-gb 24] [--pairs 220]

prints seconds, rows a second, peak memory and FLOP/s, and writes benchmarks/locate_7b.json. `--memory-gb` caps what the process may
take. Without a GPU: `--tiny` runs the same with a small model, a check of this script whose numbers mean nothing and are not written;
`--sample-bytes` measures what a sample takes at the true widths with two and with three of the decoder's layers, and says what that
makes of all of them, in benchmarks/locate_7b_memory.json (the pass before the steps and the driver take more).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from neuralgate.chunks import Chunks
from neuralgate.files import write_json
from neuralgate.locate import vectors
from neuralgate.locate.layers import optimise_layers
from neuralgate.locate.samples import make_samples
from neuralgate.locate.vectors import MEMORY_SHARE, Prepared, sample_bytes
from neuralgate.lvlm.fast.suffix import Suffix
from neuralgate.lvlm.load import load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import LocateConfig

OUT = Path(__file__).with_suffix(".json")
LAYERS, SMALL_LAYERS = list(range(3, 20)), [0, 1]


def llava_7b(clerk: LVLM, tiny: bool, device: str, decoder_layers: int = 32) -> LVLM:
    """The configuration that transformers gives LlavaConfig is LLaVA-1.5-7B's; the vocabulary's first words are Clerk's."""
    config = LlavaConfig() if not tiny else clerk.model.config
    if not tiny:
        config.text_config.vocab_size, config.text_config.num_hidden_layers = 32064, decoder_layers
        config.image_token_index = config.image_token_id = clerk.image_token
        config.text_config.pad_token_id = clerk.tokenizer.pad_token_id
        clerk.processor.patch_size = config.vision_config.patch_size
        size = config.vision_config.image_size
        clerk.processor.image_processor.size = {"height": size, "width": size}
        clerk.processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    torch.manual_seed(0)
    with torch.device(device):
        model = LlavaForConditionalGeneration._from_config(config, dtype=torch.float32 if tiny else torch.bfloat16)
    return LVLM(model.eval().requires_grad_(False), clerk.processor, "llava 7b")


def measure_memory(clerk: LVLM, folder: str) -> None:
    """What a sample takes grows with the layers above the lowest candidate, one by one."""
    config = LocateConfig(contexts=True, samples_per_subject=1)
    pairs = with_own_answers(clerk, PairSet.synthetic(folder, per_subject=1, contrast_per_subject=1, validation_per_subject=1))
    sample = make_samples(pairs, config)[0].sample
    taken = {}
    for layers in (2, 3):
        lvlm = llava_7b(clerk, False, "cpu", layers)
        taken[layers] = sample_bytes(Prepared(lvlm, [sample], 0, config), [0])
        print(layers, taken[layers], flush=True)
    a_layer = taken[3] - taken[2]
    above = 32 - 1 - LAYERS[0]
    sample_gb = (taken[2] + (above - 1) * a_layer) / 1e9
    weights_gb = 7.06 * 2  # billions of parameters in bfloat16
    result = {
        "bytes_with_layers": taken,
        "bytes_a_layer": a_layer,
        "layers_above_the_lowest": above,
        "sample_gb": round(sample_gb, 3),
        "samples_beside_the_weights": {f"{card} GB": int((card - weights_gb) * MEMORY_SHARE / sample_gb) for card in (24, 48, 80, 141)},
    }
    write_json(OUT.with_stem("locate_7b_memory"), result)
    print(json.dumps(result, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=220)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--memory-gb", type=float)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--sample-bytes", action="store_true")
    arguments = parser.parse_args()
    if arguments.sample_bytes:
        with TemporaryDirectory() as folder:
            return measure_memory(load("clerk"), folder)
    device = "cpu" if arguments.tiny else "cuda"
    if arguments.memory_gb:
        cap = int(arguments.memory_gb * 1e9)
        torch.cuda.set_per_process_memory_fraction(cap / torch.cuda.get_device_properties(0).total_memory)
        vectors.free_bytes = lambda device: cap - torch.cuda.memory_allocated(device)  # the planning shall know of the cap, too
    layers = SMALL_LAYERS if arguments.tiny else LAYERS
    clerk = load("clerk")
    per_subject = -(-arguments.pairs // 6)
    config = LocateConfig(steps=arguments.steps, contexts=True, samples_per_subject=per_subject, stop_loss=0.0, layers=layers)
    with TemporaryDirectory() as folder:
        drawn = PairSet.synthetic(folder, per_subject=per_subject, contrast_per_subject=1, validation_per_subject=1)
        pairs = with_own_answers(clerk, drawn.split("train", "edit"))  # a random model's own words would be noise
        lvlm = llava_7b(clerk, arguments.tiny, device)
        located = make_samples(pairs, config)[: arguments.pairs]
        started = time.perf_counter()
        optimise_layers(lvlm, located, layers, config, lambda **said: print(said, flush=True), Chunks(Path(folder) / "chunks"))
        seconds = time.perf_counter() - started
        passed = Prepared(lvlm, [located[0].sample], layers[0], config).passed
        assert isinstance(passed, Suffix)
        tokens = float(passed.lengths_B.float().mean())  # of a question's suffix
    rows = len(located) * (len(located[0].sample.sensitive) + 1)
    block = sum(parameter.numel() for parameter in lvlm.layers[0].parameters() if parameter.dim() == 2)
    above = sum(len(lvlm.layers) - 1 - layer for layer in layers)
    result = {
        "pairs": len(located),
        "rows": rows,
        "layers": len(layers),
        "steps": arguments.steps,
        "tokens_of_a_row": round(tokens, 1),
        "seconds": round(seconds, 1),
        "rows_a_second": round(rows * len(layers) * arguments.steps / seconds, 1),
        # the products with weights alone, forward and to the inputs, in the steps alone
        "teraflop_a_second": round(4 * block * above * tokens * rows * arguments.steps / seconds / 1e12, 3),
    }
    if not arguments.tiny:
        result |= {"device": torch.cuda.get_device_name(), "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1)}
        result |= {"memory_gb": arguments.memory_gb}
        write_json(OUT.with_stem(f"locate_7b_{arguments.memory_gb:g}gb") if arguments.memory_gb else OUT, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
