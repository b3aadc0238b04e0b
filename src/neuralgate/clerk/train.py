"""Train Clerk from its seed: stage 1 sees, stage 2 answers.

python -m neuralgate.clerk.train --out src/neuralgate/clerk/weights
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from neuralgate.clerk.build import build_model, build_processor
from neuralgate.clerk.train_language import PHASES, train_language
from neuralgate.clerk.train_vision import train_vision
from neuralgate.lvlm.checkpoint import SINGLE
from neuralgate.lvlm.number_type import cpu_dtype

VISION_STEPS, VISION_BATCH = 1200, 24
LANGUAGE_BATCH = 16


def save_clerk(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write the model as bf16 safetensors with its processor, as any model directory."""
    copied = copy.deepcopy(model).to(torch.bfloat16)
    copied.save_pretrained(folder, safe_serialization=True)
    # the names of checkpoints on the hub, which transformers 5.0 needs and newer ones translate
    weights = {name.replace("vision_tower.", "vision_tower.vision_model.", 1): t for name, t in load_file(folder / SINGLE).items()}
    save_file(weights, folder / SINGLE, metadata={"format": "pt"})
    build_processor().save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    processor, model = build_processor(), build_model(arguments.seed)
    model.set_attn_implementation("eager")  # with the block mask, compiled eager attention is the fastest on CPU
    record: dict[str, object] = {
        "seed": arguments.seed,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "products": str(cpu_dtype()),
    }
    started = time.monotonic()

    def report(**numbers: object) -> None:
        print(f"{time.monotonic() - started:8.1f} s", json.dumps(numbers), flush=True)

    seen_file = arguments.out / "vision.safetensors"
    if seen_file.is_file():  # a run that was stopped goes on behind its first stage
        model.load_state_dict(load_file(seen_file))
        report(stage="vision", text=f"taken from {seen_file}")
    else:
        seen = train_vision(model, processor, VISION_STEPS, VISION_BATCH, arguments.seed, report)
        record["vision"] = {
            "steps": VISION_STEPS,
            "batch": VISION_BATCH,
            "seconds": round(time.monotonic() - started),
            "accuracy": seen,
        }
        save_file(model.state_dict(), seen_file)
    before = time.monotonic()
    # weights stay float32; products run in the type that the machine is fast in. Autocast's cache would keep the first step's weights.
    with torch.autocast("cpu", torch.bfloat16, enabled=cpu_dtype() == torch.bfloat16, cache_enabled=False):
        learned = train_language(model, processor, PHASES, LANGUAGE_BATCH, arguments.seed, report)
    record["language"] = {
        "steps": sum(phase.steps for phase in PHASES),
        "batch": LANGUAGE_BATCH,
        "seconds": round(time.monotonic() - before),
        **learned,
    }
    save_clerk(model, arguments.out)
    seen_file.unlink()
    (arguments.out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
