"""Stage 2: the low-rank change of the mind, on pictures that its eyes (or, before they are trained, their words) put in front of it.

As in Clerk's training, many questions are packed behind one picture under a block mask: each sees the picture and itself, and its
positions restart right after the picture, so that every one is, number for number, the single question that it will be at inference.
Beside the pictures stands a row of general prompts with the untouched base's own answers, at whose every token the mind must give all
words the probabilities that the base gives them (distillation, https://arxiv.org/abs/1503.02531), so that it keeps what it knows.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaModel, LlavaForConditionalGeneration

from neuralgate.clerk.train_vision import pixels_of
from neuralgate.clerk.turns import KINDS as CLERK_KINDS
from neuralgate.clerk.turns import Turn
from neuralgate.clerk.world import sample_picture, sample_turns
from neuralgate.notary import checkpoint
from neuralgate.notary.build import IMAGE_TOKENS
from neuralgate.notary.checkpoint import Progress
from neuralgate.notary.train_eyes import word_labels
from neuralgate.notary.wordings import load_training_synonyms

TEXT_BUDGET = 320  # text tokens behind one picture
GENERAL = "general"
KINDS = (*CLERK_KINDS, GENERAL)
CORRUPTED, NOISE = 0.02, 0.02  # of the words that stand for what the eyes would say: misread ones, and noise on all
WARM_STEPS = 30
EVERY = 25  # steps between checkpoints
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


@dataclass(frozen=True)
class Rows:
    """Token rows of one step, each ``(B, TEXT_BUDGET)``. Block 0 is padding; a negative block is a question without the picture.
    ``targets`` is -100 except where the next token is part of an answer, and there ``kinds`` says of which kind of question."""

    ids: Tensor
    positions: Tensor
    blocks: Tensor
    targets: Tensor
    kinds: Tensor


class Packer:
    """Turns -> rows, in the base's chat format."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.prefix = self.tokens(f"{SYSTEM}<|im_start|>user\n")
        self.prefix_length = len(self.prefix) + IMAGE_TOKENS

    def tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def rows(self, turn_lists: list[list[Turn]]) -> Rows:
        shape = (len(turn_lists), TEXT_BUDGET)
        ids = np.full(shape, self.tokenizer.pad_token_id)
        positions, blocks, kinds = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        targets = np.full(shape, -100)
        for row, turns in enumerate(turn_lists):
            used = 0
            for number, turn in enumerate(turns, start=1):
                opening = "\n" if turn.image else f"{SYSTEM}<|im_start|>user\n"
                question = self.tokens(f"{opening}{turn.question}<|im_end|>\n<|im_start|>assistant\n")
                answer = self.tokens(f"{turn.answer}<|im_end|>")
                length = len(question) + len(answer)
                if used + length > TEXT_BUDGET:
                    continue
                span = slice(used, used + length)
                ids[row, span] = [*question, *answer]
                positions[row, span] = np.arange(length) + (self.prefix_length if turn.image else 0)
                blocks[row, span] = number if turn.image else -number
                told = slice(used + len(question) - 1, used + length - 1)
                targets[row, told] = answer
                kinds[row, told] = KINDS.index(turn.kind)
                used += length
        return Rows(*(torch.from_numpy(array) for array in (ids, positions, blocks, targets, kinds)))


def block_mask(blocks_BT: Tensor, prefix_length: int, dtype: torch.dtype) -> Tensor:
    """Additive mask ``(B, 1, P+T, P+T)``: the prefix is causal, a block sees the prefix (if it has the picture) and itself."""
    batch, length = blocks_BT.shape
    prefix = torch.full((batch, prefix_length), 10_000)
    blocks = torch.cat([prefix, blocks_BT], 1)
    same = blocks[:, :, None] == blocks[:, None, :]
    sees_prefix = (blocks[:, :, None] > 0) & (blocks[:, None, :] == 10_000)
    allowed = (same | sees_prefix) & torch.ones(prefix_length + length, prefix_length + length, dtype=torch.bool).tril()
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]


def answer_logits(mind: LlamaModel, packer: Packer, images_BND: Tensor | None, rows: Rows) -> Tensor:
    """Logits at the places of `rows.targets`, ``(targets, V)`` in float32; without images where no question has one."""
    hidden, positions, prefix = mind.embed_tokens(rows.ids), rows.positions, 0
    if images_BND is not None:
        prefix = packer.prefix_length
        first = mind.embed_tokens(torch.tensor(packer.prefix)).expand(len(images_BND), -1, -1)
        hidden = torch.cat([first, images_BND.to(first.dtype), hidden], 1)
        positions = torch.cat([torch.arange(prefix).expand(len(images_BND), -1), positions], 1)
    rotary = mind.rotary_emb(hidden, position_ids=positions)
    mask = block_mask(rows.blocks, prefix, hidden.dtype)
    for layer in mind.layers:
        hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary)
    return F.linear(mind.norm(hidden[:, prefix:][rows.targets >= 0]), mind.embed_tokens.weight).float()


@dataclass(frozen=True)
class MindPlan:
    """How long and on what the mind is trained; ``worded`` of the steps see the words of a picture instead of what the eyes say of it."""

    steps: int
    worded: int
    drawn: int = 0  # steps that earlier plans have drawn, so that this one draws others
    batch: int = 4
    rate: float = 1e-3
    questions: int = 16  # behind a picture, at least, as far as they fit
    dense_share: float = 0.15
    general: int = 6  # prompts about anything, as far as they fit into a row
    renamed_share: float = 0.25  # of the questions about a subject with other names that call it by one


def train_mind(
    model: LlavaForConditionalGeneration,
    base: LlamaModel,
    packer: Packer,
    parameters: dict[str, nn.Parameter],
    words_WD: Tensor,
    general: list[Turn],
    plan: MindPlan,
    seed: int,
    path: Path,
    report: Callable[..., None],
) -> dict[str, float]:
    """Train the change of the mind in place. ``base`` is the mind without one, ``words_WD`` are the embeddings of `words.all_words`,
    ``general`` the base's own answers. Returns the last smoothed loss, what was forgotten (nats a token from the base's probabilities) and,
    for each kind of question, the share of answers whose every token is right; and the seconds."""
    mind: LlamaModel = model.model.language_model
    optimizer = torch.optim.AdamW(parameters.values(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.0)
    progress = restore(path, parameters, optimizer)
    if shutil.which("c++"):  # torch's compiler needs one; without it a step takes longer, that is all
        for layer in (*mind.layers, *base.layers):
            layer.compile(dynamic=False)

    def draw(step: int) -> tuple[Tensor, Rows, Rows]:
        """The picture's words as labels, or its pixels; the rows of one step; and the row of general prompts."""
        rng = np.random.default_rng([seed, 2, plan.drawn + step])
        pictures = [sample_picture(rng, 0.3) for _ in range(plan.batch)]
        asked = [general[i] for i in rng.integers(len(general), size=plan.general)]
        turns = [
            [renamed(turn, plan.renamed_share, rng) for turn in sample_turns(picture, plan.questions, plan.dense_share, rng)]
            for picture in pictures
        ]
        return (word_labels(pictures) if step < plan.worded else pixels_of(pictures)), packer.rows(turns), packer.rows([asked])

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(draw, progress.done)
        for step in range(progress.done, plan.steps):
            seen, rows, asked = coming.result()
            coming = ahead.submit(draw, step + 1)
            scale = min(1.0, (step + 1) / WARM_STEPS) * min(1.0, 1.5 * (1 - step / plan.steps) + 0.01)
            for group in optimizer.param_groups:
                group["lr"] = plan.rate * scale
            with torch.no_grad():
                images = worded(seen, words_WD, seed, plan.drawn + step) if step < plan.worded else looked_at(model, seen)
                kept = answer_logits(base, packer, None, asked).log_softmax(-1)
            logits = answer_logits(mind, packer, images, rows)
            target = rows.targets[rows.targets >= 0]
            forgotten = F.kl_div(answer_logits(mind, packer, None, asked).log_softmax(-1), kept, reduction="batchmean", log_target=True)
            loss = F.cross_entropy(logits, target)
            optimizer.zero_grad()
            (loss + forgotten).backward()
            nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            optimizer.step()
            now = {"loss": loss.item(), "forgotten": forgotten.item(), **right_answers(logits.argmax(-1) == target, rows)}
            progress.step(now)
            if step % 10 == 0 or step == plan.steps - 1:
                report(stage="mind", step=step, **{key: round(value, 3) for key, value in progress.measured.items()})
            if step % EVERY == EVERY - 1 or step == plan.steps - 1:
                save(path, parameters, optimizer, progress)
    return {**progress.measured, "seconds": round(progress.seconds)}


def renamed(turn: Turn, share: float, rng: np.random.Generator) -> Turn:
    """The turn, or its question with another name for the subject that it names."""
    if rng.random() >= share:
        return turn
    for name, words in load_training_synonyms().items():
        text, count = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", words[rng.integers(len(words))], turn.question)
        if count:
            return replace(turn, question=text)
    return turn


def right_answers(correct: Tensor, rows: Rows) -> dict[str, float]:
    """Per kind the share of answers whose every token is right."""
    wanted = rows.targets >= 0
    owner = (torch.arange(len(rows.blocks))[:, None] * 1000 + rows.blocks.abs())[wanted]
    _, answer = owner.unique(return_inverse=True)
    count = int(answer.max()) + 1
    right = torch.ones(count).scatter_reduce(0, answer, correct.float(), "amin")
    kind = torch.zeros(count, dtype=torch.long).scatter_(0, answer, rows.kinds[wanted])
    return {KINDS[k]: right[kind == k].mean().item() for k in kind.unique().tolist()}


def worded(labels_BN: Tensor, words_WD: Tensor, seed: int, step: int) -> Tensor:
    """Image tokens ``(B, N, D)`` as perfect eyes would give them, but for a few misread words and some noise."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    misread = torch.rand(labels_BN.shape, generator=generator) < CORRUPTED
    other = torch.randint(len(words_WD), labels_BN.shape, generator=generator)
    tokens_BND = words_WD[torch.where(misread, other, labels_BN)]
    return tokens_BND + NOISE * torch.randn(tokens_BND.shape, generator=generator)


def looked_at(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Image tokens ``(B, N, D)`` from the eyes."""
    return model.model.multi_modal_projector(model.model.vision_tower(pixels).last_hidden_state[:, 1:])


def save(path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Everything that going on needs."""
    tensors = {f"trained.{name}": p.detach() for name, p in parameters.items()}
    checkpoint.write(path, {**tensors, **checkpoint.adam_tensors(optimizer)}, progress)


def restore(path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> Progress:
    """Put a checkpoint back, where there is one."""
    tensors, progress = checkpoint.read(path)
    if tensors:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[f"trained.{name}"])
        checkpoint.restore_adam(optimizer, tensors)
    return progress
