"""Stage 1: the vision tower and the projector, supervised per patch.

Each patch says which words belong to it (subject, attribute, value, colour ...), and the projected patch must equal
the sum of those words' embeddings, which stay random and frozen. The language model then starts on image tokens that
already are superpositions of words, so that reading is one attention look-up and not a plateau of half an hour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from neuralgate.clerk.build import value_tokens
from neuralgate.clerk.optimizer import Muon
from neuralgate.clerk.world import sample_picture
from neuralgate.pairs.drawn.documents import (
    DOCUMENT_COLUMNS,
    DOCUMENT_ROWS,
    GRID,
    PLACE,
    SHAPE_COLOURS,
    SHAPES,
    Picture,
    layout,
    value_parts,
)
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, load_subjects

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def categories() -> dict[str, list[str]]:
    """Category of patch label -> the tokens it may take."""
    subjects = load_subjects()
    return {
        "subject": [subject.name.split()[-1] for subject in subjects],
        "attribute": sorted({attribute for subject in subjects for attribute in subject.written}),
        "value": value_tokens(),
        "colour": list(dict.fromkeys((*VISUAL_ATTRIBUTES["colour"], *SHAPE_COLOURS))),
        "figure": list(dict.fromkeys((*VISUAL_ATTRIBUTES["stamp"], *SHAPES))),
        "border": list(VISUAL_ATTRIBUTES["border"]),
        "position": list(VISUAL_ATTRIBUTES["position"]),
    }


def patch_labels(picture: Picture, index: dict[str, dict[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of every patch: words ``(64, categories)`` with 0 for none, and details ``(64, 4)`` with -1 for none:
    three characters, and the place inside the document (what tells a field's kind, given the subject)."""
    names = list(index)
    words = np.zeros((GRID, GRID, len(names)), dtype=np.int64)
    details = np.full((GRID, GRID, 4), -1, dtype=np.int64)
    subjects = {subject.name: subject for subject in load_subjects()}

    def put(rows: slice | int, columns: slice | int, category: str, token: str) -> None:
        words[rows, columns, names.index(category)] = index[category][token] + 1

    for document in picture.documents:
        subject = subjects[document.subject]
        rows = slice(document.row, document.row + DOCUMENT_ROWS)
        columns = slice(document.column, document.column + DOCUMENT_COLUMNS)
        put(rows, columns, "subject", subject.name.split()[-1])
        put(rows, columns, "colour", document.values["colour"])
        put(rows, columns, "figure", document.values["stamp"])
        put(rows, columns, "border", document.values["border"])
        put(rows, columns, "position", document.values["position"])
        details[rows, columns, 3] = np.arange(DOCUMENT_ROWS * DOCUMENT_COLUMNS).reshape(DOCUMENT_ROWS, DOCUMENT_COLUMNS)
        for attribute, (row, column) in layout(subject)[0].items():
            put(document.row + row, document.column + column - 1, "attribute", attribute)
            for offset, part in enumerate(value_parts(document.values[attribute])):
                r, c = document.row + row, document.column + column + offset
                put(r, c, "attribute", attribute)
                put(r, c, "value", part if offset == 0 or " " in document.values[attribute] else f"##{part}")
                for place, character in enumerate(part):
                    details[r, c, place] = CHARACTERS.index(character)
    for shape in picture.shapes:
        # labelled on its whole place: a word that stands on few patches is hard to find among so many
        top, left = shape.row // PLACE * PLACE, shape.column // PLACE * PLACE
        for category, token in (("figure", shape.shape), ("colour", shape.colour)):
            put(slice(top, top + PLACE), slice(left, left + PLACE), category, token)
    return words.reshape(GRID * GRID, -1), details.reshape(GRID * GRID, 4)


class PatchHeads(nn.Module):
    """Reads labels off projected patches by comparing them with frozen word embeddings; thrown away after stage 1."""

    def __init__(self, model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
        super().__init__()
        self.tables = categories()
        embeddings = model.get_input_embeddings().weight.detach()
        self.words = [embeddings[torch.tensor(processor.tokenizer.convert_tokens_to_ids(tokens))] for tokens in self.tables.values()]
        self.none = nn.Parameter(torch.zeros(len(self.words)))
        self.scale = nn.Parameter(torch.tensor(0.1))
        # characters and places are read off the tower itself, all with the classes of the larger set
        self.details = nn.Linear(model.config.vision_config.hidden_size, 4 * len(CHARACTERS))

    def forward(self, features_BSD: Tensor, projected_BSD: Tensor, words_BSC: Tensor, details_BS4: Tensor) -> tuple[Tensor, Tensor]:
        """Training loss, and accuracy per category over patches that carry a label, then of details."""
        loss = projected_BSD.new_zeros(())
        target = torch.zeros_like(projected_BSD)
        accuracies = []
        for i, words_WD in enumerate(self.words):
            logits = projected_BSD @ words_WD.T * self.scale
            logits = torch.cat([self.none[i].expand(*logits.shape[:2], 1) + 4.0, logits], -1)
            label = words_BSC[..., i]
            loss = loss + F.cross_entropy(logits.flatten(0, 1), label.flatten())
            target = target + F.embedding(label, torch.cat([words_WD.new_zeros(1, words_WD.shape[1]), words_WD]))
            accuracies.append((logits.argmax(-1) == label)[label > 0].float().mean())
        loss = loss + (projected_BSD - target).pow(2).mean() / self.words[0].pow(2).mean()
        logits = self.details(features_BSD).unflatten(-1, (4, -1))
        loss = loss + 2 * F.cross_entropy(logits.flatten(0, 2), details_BS4.flatten(), ignore_index=-1)
        labelled_BS4 = details_BS4 >= 0
        accuracies.append((logits.argmax(-1) == details_BS4)[labelled_BS4].float().mean())
        return loss, torch.stack(accuracies).detach()


def pixels_of(pictures: list[Picture]) -> Tensor:
    """Rendered at scale 1 and normalised as Clerk's image processor does, ``(B, 3, 128, 128)``."""
    batch = np.stack([np.asarray(render_picture(picture)) for picture in pictures])
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def train_vision(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, steps: int, batch: int, seed: int, report: Callable[..., None]
) -> dict[str, float]:
    """Train tower and projector in place; returns the last accuracies per category of label."""
    rng = np.random.default_rng([seed, 1])
    heads = PatchHeads(model, processor)
    index = {name: {token: i for i, token in enumerate(tokens)} for name, tokens in heads.tables.items()}
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    named = [*tower.named_parameters(), *projector.named_parameters()]
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for _, p in named if id(p) not in chosen] + list(heads.parameters())
    optimizer = Muon(matrices, [(others, 2e-3)], rate=0.02)
    accuracies = torch.zeros(len(heads.tables) + 1)
    for step in range(steps):
        optimizer.set_scale(min(1.0, (step + 1) / 50) * max(0.02, min(1.0, 1.6 * (1 - step / steps))))
        pictures = [sample_picture(rng, scene_share=0.25) for _ in range(batch)]
        labels = [patch_labels(picture, index) for picture in pictures]
        words = torch.from_numpy(np.stack([words for words, _ in labels]))
        details = torch.from_numpy(np.stack([details for _, details in labels]))
        features = tower(pixels_of(pictures)).last_hidden_state[:, 1:]
        loss, accuracy = heads(features, projector(features), words, details)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracies = accuracy if step == 0 else accuracies.lerp(accuracy.nan_to_num(1.0), 0.05)
        if step % 20 == 0 or step == steps - 1:
            report(stage="vision", step=step, loss=round(loss.item(), 4), accuracy=[round(x, 3) for x in accuracies.tolist()])
    return dict(zip((*heads.tables, "details"), accuracies.tolist(), strict=True))
