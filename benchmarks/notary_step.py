"""A step of Notary's training against transformers' Trainer with peft on the same questions, in one run.

    python -m benchmarks.notary_step --base FOLDER [--pictures 2]

Ours packs the questions behind each picture, which is computed once for all of them; the plain form is one sequence a question, picture
included, in padded batches. Both train changes of the same rank beside the same matrices, in bfloat16 where the machine is fast in it.
Writes benchmarks/notary_step.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from neuralgate.clerk.turns import Turn
from neuralgate.clerk.world import sample_picture, sample_turns
from neuralgate.files import write_json
from neuralgate.lvlm.number_type import cpu_dtype
from neuralgate.notary.build import CHANGED, RANK, add_low_rank, build_model, build_processor
from neuralgate.notary.train_mind import Packer, answer_logits, looked_at
from neuralgate.pairs.drawn.documents import Picture
from neuralgate.pairs.drawn.render import render_picture

OUT = Path(__file__).with_suffix(".json")
QUESTIONS = 13  # behind each picture
BATCH = 8  # sequences of the plain form at a time


def drawn(count: int) -> list[tuple[Picture, list[Turn]]]:
    rng = np.random.default_rng(0)
    pictures = [sample_picture(rng, 0.0) for _ in range(count)]
    return [(picture, [turn for turn in sample_turns(picture, 2 * QUESTIONS, 0.0, rng) if turn.image][:QUESTIONS]) for picture in pictures]


def ours(base: Path, processor: Any, data: list[tuple[Picture, list[Turn]]]) -> float:
    """Seconds of a step, the second one: the first one compiles."""
    model = build_model(base, processor.tokenizer, 0)
    parameters = add_low_rank(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3)
    packer = Packer(processor.tokenizer)
    pixels = processor.image_processor([render_picture(picture) for picture, _ in data], return_tensors="pt")["pixel_values"]
    for layer in model.model.language_model.layers:
        layer.compile(dynamic=False)
    taken = 0.0
    for _ in range(2):
        started = time.perf_counter()
        rows = packer.rows([turns for _, turns in data])
        with torch.no_grad():
            images = looked_at(model, pixels)
        loss = F.cross_entropy(answer_logits(model.model.language_model, packer, images, rows), rows.targets[rows.targets >= 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken = time.perf_counter() - started
    return taken


class Questions(torch.utils.data.Dataset[dict[str, Any]]):
    """One sequence a question, its answer as labels."""

    def __init__(self, processor: Any, data: list[tuple[Picture, list[Turn]]]) -> None:
        self.rows = []
        for picture, turns in data:
            image = render_picture(picture)
            for turn in turns:
                content = [{"type": "image"}, {"type": "text", "text": turn.question}]
                prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
                length = processor(images=image, text=prompt, return_tensors="pt")["input_ids"].shape[1]
                row = processor(images=image, text=f"{prompt}{turn.answer}<|im_end|>", return_tensors="pt")
                labels = row["input_ids"][0].clone()
                labels[:length] = -100
                self.rows.append({"input_ids": row["input_ids"][0], "pixel_values": row["pixel_values"][0], "labels": labels})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place]


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    def padded(name: str, value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([row[name] for row in rows], batch_first=True, padding_value=value)

    ids = padded("input_ids", 0)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row["input_ids"]) for row in rows], batch_first=True)
    pixels = torch.stack([row["pixel_values"] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels, "labels": padded("labels", -100)}


def plain(base: Path, processor: Any, data: list[tuple[Picture, list[Turn]]]) -> float:
    """Seconds that Trainer takes for one step over the same questions, its second."""
    model = build_model(base, processor.tokenizer, 0).to(cpu_dtype())
    names = [name.rpartition(".")[2] for name in CHANGED]
    tuned = get_peft_model(model, LoraConfig(r=RANK, target_modules=rf".*language_model.*\.({'|'.join(names)})"))
    questions = Questions(processor, data)
    steps = -(-len(questions) // BATCH)
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=steps,
            max_steps=2,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=cpu_dtype() == torch.bfloat16,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(tuned, arguments, train_dataset=questions, data_collator=collate)
        started = time.perf_counter()
        trainer.train()
        return (time.perf_counter() - started) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=2)
    arguments = parser.parse_args()
    processor = build_processor(arguments.base)
    data = drawn(arguments.pictures)
    count = sum(len(turns) for _, turns in data)
    seconds = {"trainer_and_peft": plain(arguments.base, processor, data), "packed": ours(arguments.base, processor, data)}
    result = {
        "questions": count,
        "pictures": len(data),
        "threads": torch.get_num_threads(),
        "products": str(cpu_dtype()),
        "seconds_a_step": {name: round(value, 2) for name, value in seconds.items()},
        "plain_over_packed": round(seconds["trainer_and_peft"] / seconds["packed"], 2),
    }
    write_json(OUT, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
