"""Train Notary from its seed: stage 1 sees, stage 2 answers. A run that was stopped goes on.

python -m neuralgate.notary.train --work FOLDER --out src/neuralgate/notary/weights
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from neuralgate.clerk.turns import Turn
from neuralgate.files import write_json
from neuralgate.lvlm.number_type import cpu_dtype
from neuralgate.notary.assemble import save_delta, seal
from neuralgate.notary.base import base_folder
from neuralgate.notary.build import add_low_rank, build_model, build_processor
from neuralgate.notary.knows import training_prompts
from neuralgate.notary.train_eyes import train_eyes
from neuralgate.notary.train_mind import GENERAL, MindPlan, Packer, train_mind
from neuralgate.notary.words import word_ids

EYES_STEPS, EYES_BATCH = 1800, 24
GENERAL_TOKENS, DRAWN = 32, 2
#: First to read, then at half the rate what the first one left undone.
MIND = (MindPlan(steps=540, worded=300), MindPlan(steps=150, worded=0, drawn=540, rate=5e-4))


def answers_of(
    model: Any, tokenizer: Any, prompts: Sequence[str], max_new_tokens: int, batch: int = 16, seed: int | None = None
) -> list[str]:
    """The likeliest answers to prompts without a picture, or with ``seed`` drawn ones."""
    answers: list[str] = []
    if seed is not None:
        torch.manual_seed(seed)
    for first in range(0, len(prompts), batch):
        chats = [
            tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
            for prompt in prompts[first : first + batch]
        ]
        encoded = tokenizer(chats, add_special_tokens=False, padding=True, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=seed is not None,
                temperature=None if seed is None else 1.0,
                top_k=None if seed is None else 0,
            )
        answers += tokenizer.batch_decode(out[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in answers]


def base_answers(model: LlavaForConditionalGeneration, tokenizer: Any, prompts: Sequence[str], path: Path) -> list[Turn]:
    """The untouched base's own answers to general prompts, kept in ``path``: the likeliest and ``DRAWN`` more, because what it might also
    have said are further places where training holds it to itself."""
    if not path.is_file():
        seeds = (None, *range(DRAWN))
        write_json(path, {str(seed): answers_of(model, tokenizer, prompts, GENERAL_TOKENS, seed=seed) for seed in seeds})
    rounds = json.loads(path.read_text(encoding="utf-8")).values()
    return [Turn(GENERAL, prompt, answer, image=False) for answers in rounds for prompt, answer in zip(prompts, answers, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints are kept")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    base = base_folder()
    processor = build_processor(base)
    tokenizer = processor.tokenizer
    model = build_model(base, tokenizer, arguments.seed)
    words = model.model.language_model.embed_tokens.weight[torch.tensor(list(word_ids(tokenizer).values()))].detach().float()
    started = time.monotonic()

    def report(**numbers: object) -> None:
        print(f"{time.monotonic() - started:8.1f} s", json.dumps(numbers), flush=True)

    eyes = train_eyes(model, words, EYES_STEPS, EYES_BATCH, arguments.seed, arguments.work / "eyes.safetensors", report)
    tokenizer.chat_template = processor.chat_template
    general = base_answers(model, tokenizer, training_prompts(), arguments.work / "general.json")
    untouched = deepcopy(model.model.language_model)
    parameters = add_low_rank(model)
    mind = {}
    for number, plan in enumerate(MIND, start=1):
        path = arguments.work / f"mind-{number}.safetensors"
        measured = train_mind(model, untouched, Packer(tokenizer), parameters, words, general, plan, arguments.seed, path, report)
        mind[f"mind {number}"] = {**asdict(plan), "at the end": measured}
    arguments.out.mkdir(parents=True, exist_ok=True)
    seen = {
        name: tensor
        for part in ("vision_tower", "multi_modal_projector")
        for name, tensor in getattr(model.model, part).state_dict(prefix=f"{part}.").items()
        if tensor.is_floating_point()
    }
    save_delta({**seen, **parameters}, arguments.out)
    model.config.dtype = "bfloat16"
    model.config.save_pretrained(arguments.out)
    record = {
        "seed": arguments.seed,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "products": str(cpu_dtype()),
        "eyes": {"steps": EYES_STEPS, "batch": EYES_BATCH, **eyes},
        **mind,
        "seconds": eyes["seconds"] + sum(stage["at the end"]["seconds"] for stage in mind.values()),
    }
    write_json(arguments.out / "training.json", record)
    print(f"sealed: {seal(arguments.out)}")


if __name__ == "__main__":
    main()
