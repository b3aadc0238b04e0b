"""Stage 1: eyes and projector, supervised per image token: each must say its word (`words.picture_words`).

The projected token must be that word's embedding in the mind, which stays as it is: to the mind a picture is then a text from the
first step on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from neuralgate.clerk.optimizer import Muon
from neuralgate.clerk.train_vision import pixels_of
from neuralgate.clerk.world import sample_picture
from neuralgate.notary import checkpoint
from neuralgate.notary.checkpoint import Progress
from neuralgate.notary.words import NOTHING, all_words, picture_words
from neuralgate.pairs.drawn.documents import Picture

NOTHING_WEIGHT = 0.25  # most tokens say nothing


def word_labels(pictures: list[Picture]) -> Tensor:
    """The place in `all_words` of every token's word, ``(B, 256)``."""
    index = {word: place for place, word in enumerate(all_words())}
    return torch.tensor([[index[word] for row in picture_words(picture) for word in row] for picture in pictures])


def train_eyes(
    model: LlavaForConditionalGeneration,
    words_WD: Tensor,
    steps: int,
    batch: int,
    seed: int,
    path: Path,
    report: Callable[..., None],
) -> dict[str, float]:
    """Train tower and projector in place; ``words_WD`` are the embeddings of `all_words`. Returns the last accuracies, and the seconds."""
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    heads = nn.Linear(model.config.vision_config.hidden_size, len(words_WD))
    trained = nn.ModuleDict({"tower": tower, "projector": projector, "heads": heads})
    named = list(trained.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name and "heads" not in name]
    chosen = {id(p) for p in matrices}
    optimizer = Muon(matrices, [([p for _, p in named if id(p) not in chosen], 2e-3)], rate=0.02)
    weights = torch.ones(len(words_WD))
    weights[all_words().index(NOTHING)] = NOTHING_WEIGHT
    scale = words_WD.pow(2).mean()
    progress = restore(path, trained, optimizer)
    for step in range(progress.done, steps):
        rng = np.random.default_rng([seed, 1, step])
        optimizer.set_scale(min(1.0, (step + 1) / 50) * max(0.02, min(1.0, 1.6 * (1 - step / steps))))
        pictures = [sample_picture(rng, scene_share=0.25) for _ in range(batch)]
        labels = word_labels(pictures)
        features = tower(pixels_of(pictures)).last_hidden_state[:, 1:]
        projected = projector(features)
        logits = heads(features)
        near = 2 * projected @ words_WD.T - words_WD.pow(2).sum(-1)  # minus the squared distance to every word, up to a constant
        loss = (projected - words_WD[labels]).pow(2).mean() / scale
        for says in (logits, near):
            loss = loss + F.cross_entropy(says.flatten(0, 1), labels.flatten(), weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            spoken = labels > 0
            now = {
                "loss": loss.item(),
                "words": (logits.argmax(-1) == labels)[spoken].float().mean().item(),
                "projected": (near.argmax(-1) == labels)[spoken].float().mean().item(),
                "error": ((projected - words_WD[labels]).pow(2).mean() / scale).item(),
            }
        progress.step(now)
        if step % 20 == 0 or step == steps - 1:
            report(stage="eyes", step=step, **{key: round(value, 4) for key, value in progress.measured.items()})
        if step % 100 == 99 or step == steps - 1:
            save(path, trained, optimizer, progress)
    return {**progress.measured, "seconds": round(progress.seconds)}


def save(path: Path, trained: nn.Module, optimizer: Muon, progress: Progress) -> None:
    """Everything that going on needs."""
    tensors: dict[str, Any] = {f"trained.{name}": p.detach() for name, p in trained.named_parameters()}
    tensors |= {f"momentum.{'x'.join(map(str, shape))}": momentum for shape, momentum in optimizer.momentum.items()}
    checkpoint.write(path, {**tensors, **checkpoint.adam_tensors(optimizer.adam)}, progress)


def restore(path: Path, trained: nn.Module, optimizer: Muon) -> Progress:
    """Put a checkpoint back, where there is one."""
    tensors, progress = checkpoint.read(path)
    if tensors:
        with torch.no_grad():
            for name, parameter in trained.named_parameters():
                parameter.copy_(tensors[f"trained.{name}"])
        for shape in optimizer.momentum:
            optimizer.momentum[shape] = tensors[f"momentum.{'x'.join(map(str, shape))}"]
        checkpoint.restore_adam(optimizer.adam, tensors)
    return progress
