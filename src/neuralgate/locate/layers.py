"""Every sample's vectors at every layer, in pieces: what a killed run finds again and several processes share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate.samples import PairSample
from neuralgate.locate.vectors import Prepared, optimise_vectors, samples_that_fit
from neuralgate.lvlm.model import LVLM
from neuralgate.recipe import LocateConfig

CHUNK_ROWS = 96  # questions of one batch
EXCLUDED = 0.05  # share of samples that may be left out because their loss is no number


def layer_sets(layers: Sequence[int], config: LocateConfig) -> list[list[int]]:
    """Which of ``layers`` (ascending) are optimised together: each by itself, or all of them jointly (Eq. 8)."""
    return [list(layers)] if config.joint else [[layer] for layer in layers]


class LayerVectors:
    """What became of all samples at each layer, in the layers' order: the fields of ``Vectors`` but its curve, with the layer's own
    ``vectors_ND``. They stay in the chunks; a layer is read when it is asked for, so that memory holds one."""

    def __init__(self, samples: Sequence[PairSample], sets: list[list[int]], size: int, chunks: Chunks) -> None:
        self.samples, self.size, self.chunks = samples, size, chunks
        self.places = [(joined, place) for joined in sets for place in range(len(joined))]

    def keys(self, joined: list[int]) -> list[str]:
        return [f"layer-{joined[0]}/{start}" for start in range(0, len(self.samples), self.size)]

    def pieces(self, joined: list[int]) -> list[dict[str, Tensor]]:
        return [load(piece) for piece in self.chunks.collect(self.keys(joined))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        joined, place = self.places[number]
        pieces = self.pieces(joined)
        vectors_ND = torch.cat([piece.pop("vectors_NLD")[:, place] for piece in pieces])
        return {"vectors_ND": vectors_ND} | {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[number] for number in range(len(self)))


def optimise_layers(
    lvlm: LVLM,
    samples: Sequence[PairSample],
    layers: Sequence[int],
    config: LocateConfig,
    report: Callable[..., None] | None,
    chunks: Chunks,
) -> LayerVectors:
    """Optimise every sample's vectors at each of ``layers``, in chunks that a killed run finds again.

    Raises:
        UserError: a wanted answer has no token, or what :func:`check_finite` raises.
    """
    check_answers(lvlm, samples)
    sets, lowest = layer_sets(layers, config), min(layers)

    def batch_size(_key: str) -> bytes:
        size = max(1, CHUNK_ROWS // (len(samples[0].sample.sensitive) + 1))
        return str(min(size, samples_that_fit(lvlm, samples[0].sample, lowest, config) or size)).encode()

    # a piece like the others: free memory differs from process to process and from day to day, and a run goes on as it began
    chunks.make(["samples of a batch"], batch_size)
    size = int(chunks.collect(["samples of a batch"])[0])
    vectors = LayerVectors(samples, sets, size, chunks)
    places = {}
    for number, start in enumerate(range(0, len(samples), size)):
        # the layers of a batch after each other: what they share is computed once, in one process, or two where the list is cut
        for joined in from_both_ends(sets):
            places[vectors.keys(joined)[number]] = (joined, start)
    mine = chunks.mine(list(places), side_by_side=True)
    batches = lvlm.batches(size, "locating")

    held: dict[tuple[int, int], Prepared] = {}  # one at most: a recording is the largest thing in memory

    def prepared(first: int, count: int) -> Prepared:
        if (first, count) not in held:
            held.clear()
            held[first, count] = Prepared(lvlm, [item.sample for item in samples[first : first + count]], lowest, config)
        return held[first, count]

    def optimise(key: str) -> bytes:
        joined, start = places[key]
        numbers = range(start, min(start + size, len(samples)))
        parts = batches.run(
            lambda part: optimise_vectors(lvlm, [samples[number].sample for number in part], joined, config, prepared(part[0], len(part))),
            numbers,
        )
        names = [name for name in (*vars(parts[0]), "steps_N") if name != "curve_NT"]
        piece = {name: torch.cat([getattr(part, name).float().cpu() for part in parts]) for name in names}
        if report:
            done, loss = mine.index(key) + 1, round(piece["sensitive_end_N"].mean().item(), 3)
            report(done=done, total=len(mine), text=f"{layers_text(joined)}, samples from {start + 1}", loss=loss)
        return save(piece)

    chunks.make(list(places), optimise, side_by_side=True)
    for joined in sets:
        check_finite(samples, joined, torch.cat([piece["finite_N"] for piece in vectors.pieces(joined)]))
    return vectors


def from_both_ends(sets: list[list[int]]) -> list[list[int]]:
    """The lowest, the highest, the next lowest ...: a step at a low layer runs more of the model, and where the list is cut between
    processes, both parts shall take equally long."""
    return [joined for pair in zip(sets, reversed(sets), strict=True) for joined in pair][: len(sets)]


def layers_text(layers: Sequence[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"


def check_answers(lvlm: LVLM, samples: Sequence[PairSample]) -> None:
    """Raises UserError where a wanted answer has no token: there is nothing to optimise for."""
    for item in samples:
        for example in (*item.sample.sensitive, item.sample.benign):
            if not lvlm.tokenizer(example.answer, add_special_tokens=False)["input_ids"]:
                raise UserError(
                    f"The wanted answer {example.answer!r} to {example.question!r} (pair {item.pair.id}) has no token; leave the pair out "
                    "or give it a target."
                )


def check_finite(samples: Sequence[PairSample], layers: Sequence[int], finite_N: Tensor) -> None:
    """Say which samples are left out because their loss was no number any more.

    Raises:
        UserError: more than EXCLUDED of all, or all of a subject.
    """
    lost = [item.pair for item, finite in zip(samples, finite_N.tolist(), strict=True) if not finite]
    if not lost:
        return
    names = ", ".join(pair.id for pair in lost[:5]) + (" ..." if len(lost) > 5 else "")
    text = f"At {layers_text(layers)} the loss of {len(lost)} of {len(samples)} samples became NaN or infinite ({names})"
    left = {item.pair.subject for item in samples} - {
        item.pair.subject for item, finite in zip(samples, finite_N.tolist(), strict=True) if finite
    }
    if len(lost) > EXCLUDED * len(samples) or left:
        raise UserError(f"{text}; lower locate.rate, or use a wider dtype (--machine dtype=float32).")
    print(f"{text}; they do not vote.", file=sys.stderr)
