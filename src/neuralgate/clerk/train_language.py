"""Stage 2: the language model, on frozen image tokens.

Several questions are packed behind one image under a block mask: each sees the image and itself, and its positions
restart right after the image. Every packed question is therefore, number for number, the single question it will be
at inference, while the image is computed once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from neuralgate.clerk.build import ASSISTANT, END, IMAGE_TOKENS, PAD, READING_LAYERS, USER, sketch_reading, value_tokens
from neuralgate.clerk.optimizer import Muon
from neuralgate.clerk.train_vision import pixels_of
from neuralgate.clerk.turns import KINDS, Turn, letter_turn
from neuralgate.clerk.world import sample_picture, sample_turns

PREFIX = 1 + IMAGE_TOKENS  # <user> and the image
TEXT_BUDGET = 152  # text tokens behind one image
WARM_STEPS = 60


@dataclass(frozen=True)
class Phase:
    """``steps`` during which the learning rates go from ``start`` to ``end`` of their full value."""

    steps: int
    start: float
    end: float
    scene_share: float
    dense_share: float
    letters: int = 0  # questions about option letters behind every picture


#: Reading at the full rate, then option letters, then all made exact by a long decay.
PHASES = (
    Phase(180, 1.0, 1.0, 0.35, 1.0),
    Phase(360, 1.0, 1.0, 0.35, 0.6),
    Phase(160, 1.0, 1.0, 0.35, 0.3, letters=2),
    Phase(600, 1.0, 0.0, 0.35, 0.15, letters=1),
)


class Packer:
    """Turns -> token rows with positions, block numbers and targets, all of one fixed length."""

    def __init__(self, processor: LlavaProcessor) -> None:
        self.tokenizer = processor.tokenizer
        self.pad, self.end, self.user, self.assistant = self.tokenizer.convert_tokens_to_ids([PAD, END, USER, ASSISTANT])

    def rows(self, turn_lists: list[list[Turn]]) -> dict[str, Tensor]:
        """``ids, positions, blocks, targets, kinds``, each ``(B, TEXT_BUDGET)``. Block 0 is padding; a negative block number
        is a question without image. ``targets`` is -100 except where the next token is part of an answer, and there
        ``kinds`` says of which kind of question."""
        texts = [text for turns in turn_lists for turn in turns for text in (turn.question, turn.answer)]
        encoded = iter(self.tokenizer(texts, add_special_tokens=False)["input_ids"])
        shape = (len(turn_lists), TEXT_BUDGET)
        ids, positions = np.full(shape, self.pad), np.zeros(shape, dtype=np.int64)
        blocks, targets = np.zeros(shape, dtype=np.int64), np.full(shape, -100)
        kinds = np.zeros(shape, dtype=np.int64)
        for row, turns in enumerate(turn_lists):
            used = 0
            for number, turn in enumerate(turns, start=1):
                question, answer = next(encoded), next(encoded)
                start = [] if turn.image else [self.user]
                tokens = [*start, *question, self.assistant, *answer, self.end]
                if used + len(tokens) > TEXT_BUDGET:
                    continue
                span = slice(used, used + len(tokens))
                ids[row, span] = tokens
                positions[row, span] = np.arange(len(tokens)) + (PREFIX if turn.image else 0)
                blocks[row, span] = number if turn.image else -number
                answer_start = used + len(tokens) - len(answer) - 2
                targets[row, answer_start : answer_start + len(answer) + 1] = [*answer, self.end]
                kinds[row, answer_start : answer_start + len(answer) + 1] = KINDS.index(turn.kind)
                used += len(tokens)
        return {
            name: torch.from_numpy(array)
            for name, array in (("ids", ids), ("positions", positions), ("blocks", blocks), ("targets", targets), ("kinds", kinds))
        }


def block_mask(blocks_BT: Tensor) -> Tensor:
    """Additive mask ``(B, 1, P+T, P+T)``: the prefix is causal, a block sees the prefix (if it has the image) and itself."""
    batch, length = blocks_BT.shape
    prefix = torch.full((batch, PREFIX), 10_000)
    all_blocks = torch.cat([prefix, blocks_BT], 1)
    same = all_blocks[:, :, None] == all_blocks[:, None, :]
    sees_prefix = (all_blocks[:, :, None] > 0) & (all_blocks[:, None, :] == 10_000)
    causal = torch.ones(PREFIX + length, PREFIX + length, dtype=torch.bool).tril()
    allowed = (same | sees_prefix) & causal
    return torch.zeros(allowed.shape).masked_fill_(~allowed, torch.finfo(torch.float32).min)[:, None]


def answer_loss(
    model: LlavaForConditionalGeneration, images_BND: Tensor, rows: dict[str, Tensor], user: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cross-entropy over answer tokens, with each token's correctness and target."""
    language = model.model.language_model
    embed = language.embed_tokens
    batch = images_BND.shape[0]
    first = embed(torch.full((batch, 1), user))
    hidden = torch.cat([first, images_BND, embed(rows["ids"])], 1)
    positions = torch.cat([torch.arange(PREFIX).expand(batch, -1), rows["positions"]], 1)
    rotary = language.rotary_emb(hidden, position_ids=positions)
    mask = block_mask(rows["blocks"])
    for layer in language.layers:
        hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary)
    wanted = rows["targets"] >= 0
    logits = model.lm_head(language.norm(hidden[:, PREFIX:][wanted]))
    target = rows["targets"][wanted]
    return F.cross_entropy(logits, target), logits.argmax(-1) == target, target


def train_language(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    phases: Sequence[Phase],
    batch: int,
    seed: int,
    report: Callable[..., None],
) -> dict[str, float]:
    """Train the language model in place. Returns the last smoothed loss and accuracies."""
    rng = np.random.default_rng([seed, 2])
    packer = Packer(processor)
    language = model.model.language_model
    # Muon moves a matrix by its rate whatever the gradient, and within a hundred steps nothing is left of what the sketch matches
    sketched = [getattr(language.layers[index].self_attn, name).weight for index in READING_LAYERS for name in ("q_proj", "k_proj")]
    kept = {id(p) for p in sketched}
    matrices = [p for name, p in language.layers.named_parameters() if p.ndim == 2 and id(p) not in kept]
    norms = [p for p in language.parameters() if p.ndim == 1]
    # image tokens are sums of the word embeddings of stage 1, so these may only drift
    groups = [(norms, 2e-3), (sketched, 3e-4), (list(language.embed_tokens.parameters()), 2e-4), (list(model.lm_head.parameters()), 1e-3)]
    optimizer = Muon(matrices, groups, rate=0.007)
    value_ids = torch.tensor(processor.tokenizer.convert_tokens_to_ids(value_tokens()))
    sketch_reading(model, processor)
    for layer in language.layers:
        if shutil.which("c++"):  # torch's compiler needs one; without it a step takes longer, that is all
            layer.compile(dynamic=False)
    smooth: dict[str, float] = {}

    plan = [(phase, place / phase.steps) for phase in phases for place in range(phase.steps)]

    def draw(phase: Phase) -> tuple[Tensor, dict[str, Tensor]]:
        """Pixels and packed rows of one step. The first phase shows mostly single documents, which are listed whole: matching one word
        with one patch is the first step of reading. Questions about scenes are short, so more fit."""
        two_share = 0.2 if phase.dense_share == 1.0 else 0.7
        pictures = [sample_picture(rng, phase.scene_share, two_share) for _ in range(batch)]
        turns = [
            [letter_turn(rng) for _ in range(phase.letters)] + sample_turns(picture, 12 if picture.shapes else 7, phase.dense_share, rng)
            for picture in pictures
        ]
        return pixels_of(pictures), packer.rows(turns)

    with ThreadPoolExecutor(1) as ahead:  # one worker draws one step ahead: the order of draws stays fixed
        coming = ahead.submit(draw, plan[0][0])
        for step, (phase, progress) in enumerate(plan):
            pixels, rows = coming.result()
            coming = ahead.submit(draw, plan[min(step + 1, len(plan) - 1)][0])
            optimizer.set_scale(min(1.0, (step + 1) / WARM_STEPS) * (phase.start + (phase.end - phase.start) * progress))
            with torch.no_grad():
                features = model.model.vision_tower(pixels).last_hidden_state[:, 1:]
                images = model.model.multi_modal_projector(features)
            loss, correct, target = answer_loss(model, images, rows, packer.user)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values = torch.isin(target, value_ids)
            now = {"loss": loss.item(), "correct": correct.float().mean().item(), "values": correct[values].float().mean().item()}
            kinds = rows["kinds"][rows["targets"] >= 0]
            now |= {KINDS[kind]: correct[kinds == kind].float().mean().item() for kind in kinds.unique().tolist()}
            smooth |= {key: 0.95 * smooth.get(key, value) + 0.05 * value for key, value in now.items()}
            if step % 20 == 0 or step == len(plan) - 1:
                report(stage="language", step=step, **{key: round(value, 4) for key, value in smooth.items()})
    return smooth
