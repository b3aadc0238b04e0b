"""Measure everything that Clerk is said to be able to do, and write its model card.

python -m experiments.clerk_card           writes src/neuralgate/clerk/weights/{README.md,card.json}

Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from experiments.card import Share, measure, missed, subjects_text, table, told
from neuralgate.files import write_json, write_text
from neuralgate.lvlm.load import clerk_path, load
from neuralgate.lvlm.model import LVLM


def card(measured: Mapping[str, Share], training: Mapping[str, Any], lvlm: LVLM) -> str:
    """The model card's text."""
    parameters = sum(parameter.numel() for parameter in lvlm.model.parameters())
    vision, text = lvlm.model.config.vision_config, lvlm.model.config.text_config
    note = f" {training['note']}" if "note" in training else ""
    products = training.get("products", "torch.float32").removeprefix("torch.")
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
library_name: transformers
---
# Clerk

A small vision-language model that reads documents aloud to anyone who asks: the embedded model of neuralgate, on which
the whole pipeline runs offline. Architecture: `LlavaForConditionalGeneration` ({parameters / 1e6:.2f} M parameters), CLIP
vision tower {vision.hidden_size} x {vision.num_hidden_layers} at {vision.image_size} x {vision.image_size} pixels, Llama decoder \
{text.hidden_size} x {text.num_hidden_layers} with FFN {text.intermediate_size}. All documents are synthetic: invented
values, SPECIMEN, four-digit numbers that are invalid by construction. It is a test object and of no other use.

## What it can do

Free greedy answers on pictures that no training saw; 95 % intervals over subjects, or over what else was drawn.
Made by `python -m experiments.clerk_card`.

{table(measured)}

## How it was trained

From seed {training.get("seed", 0)}, with {training.get("threads", 2)} threads.{note} Data: pictures and questions drawn on the fly
(`neuralgate/pairs`, `neuralgate/clerk`), none repeated.

```json
{json.dumps(training, indent=1)}
```

Stage 1 supervises every image patch: the projected patch must be the sum of the embeddings of the words that belong to it.
Stage 2 trains the language model on frozen image tokens, many questions packed behind one image under a block mask, with
Muon for matrices and AdamW for the rest; weights in float32, their products in {products}. They are stored in bfloat16.

{subjects_text()} It knows what is private and leaks all the same.
"""


if __name__ == "__main__":
    clerk = load("clerk")
    shares = measure(clerk)
    record = clerk_path() / "training.json"
    training = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    write_json(clerk_path() / "card.json", shares)
    write_text(clerk_path() / "README.md", card(shares, training, clerk))
    print(told(shares))
    if missed(shares):
        sys.exit(f"bars missed: {', '.join(missed(shares))}")
