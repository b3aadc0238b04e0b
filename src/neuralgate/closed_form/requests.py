"""What a closed-form edit is to make true: questions with the answers wanted of them, and the states at their subjects' last tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.lvlm.forward import inputs_seen
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Example
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet, QuestionKind
from neuralgate.training.batches import Inputs

ROWS = 64  # questions at a time


@dataclass(frozen=True)
class Request:
    """A question by itself, then behind each context sentence, all with the same answer."""

    pair: str  # its id
    kind: QuestionKind
    asked: tuple[Example, ...]


def requests_of(pairs: PairSet, per_subject: int, kept: bool) -> list[Request]:
    """Both questions of the first training pairs of every subject, edited and contrast, with the targets that the pairs have; without
    ``kept`` the sensitive ones of edited subjects alone.

    Raises:
        UserError: some pairs have more context sentences than others.
    """
    chosen = [
        *pairs.split("train", "edit").per_subject(per_subject),
        *(pairs.split("train", "contrast").per_subject(per_subject) if kept else ()),
    ]
    if len({len(pair.openings) for pair in chosen}) > 1:
        raise UserError("Some pairs have more context sentences than others; give every pair equally many.")
    kinds: tuple[QuestionKind, ...] = ("sensitive", "benign") if kept else ("sensitive",)
    return [
        Request(pair.id, kind, tuple(example_of(pair, kind, pairs.folder, opening) for opening in pair.openings))
        for pair in chosen
        for kind in kinds
    ]


@torch.no_grad()
def subject_states(
    lvlm: LVLM, requests: Sequence[Request], key_layers: Sequence[int], layer: int, inputs: Inputs | None = None
) -> tuple[dict[int, Tensor], Tensor]:
    """At the subjects' last tokens: what the FFN output projections of ``key_layers`` are given, layer -> ``(N, C, F)`` over the ``C`` ways
    of asking, and the output of ``layer``, ``(N, D)``, for the bare question. In float32. ``inputs``, kept from one call to the next, hold
    what enters the lowest of these layers, below which nothing may have changed."""
    inputs = inputs or Inputs(lvlm, min([*key_layers, layer]))
    ways = len(requests[0].asked)
    keys: dict[int, list[Tensor]] = {key_layer: [] for key_layer in key_layers}
    outputs: list[Tensor] = []

    def read(chosen: Sequence[Request]) -> None:
        batch = inputs.batch([example for request in chosen for example in request.asked])
        at_BT = last_subjects(batch.classes_BT, batch.examples_BT)  # row after row the examples in their order

        def keep(key_layer: int, values: Tensor) -> None:
            keys[key_layer].append(at_tokens(values, at_BT))

        with ExitStack() as stack:
            stack.enter_context(inputs_seen({key_layer: lvlm.ffn_out(key_layer) for key_layer in key_layers}, keep))
            stack.callback(lvlm.layers[layer].register_forward_hook(_keep_output(outputs, at_BT)).remove)
            batch.run_through(lvlm, max([*key_layers, layer]))

    lvlm.batches(max(1, ROWS // ways), "reading keys").run(read, requests)
    return {key_layer: torch.cat(parts).unflatten(0, (-1, ways)) for key_layer, parts in keys.items()}, torch.cat(outputs)[::ways]


def last_subjects(classes_BT: Tensor, examples_BT: Tensor) -> Tensor:
    """Boolean ``(B, T)``: the last token of each example's subject, of which several may stand in a row."""
    subject_BT = classes_BT == SUBJECT
    last_BT = subject_BT.clone()
    last_BT[:, :-1] &= ~(subject_BT[:, 1:] & (examples_BT[:, 1:] == examples_BT[:, :-1]))
    return last_BT


def at_tokens(values: Tensor, at_BT: Tensor) -> Tensor:
    """``(N, F)``, in float32: the values at the tokens marked in ``at_BT``, row after row. OPT's FFN sees ``(B T, F)``."""
    return values.view(*at_BT.shape, -1)[at_BT.to(values.device)].float()


def _keep_output(kept: list[Tensor], at_BT: Tensor) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        hidden_BTD = output[0] if isinstance(output, tuple) else output
        kept.append(hidden_BTD[at_BT.to(hidden_BTD.device)].float())

    return hook


def mean_keys(keys_NCF: Tensor) -> Tensor:
    """``(F, N)``: of the bare question and of the mean over its contexts the mean, as MEMIT weighs them."""
    bare_NF = keys_NCF[:, 0]
    return ((bare_NF + keys_NCF[:, 1:].mean(1)) / 2 if keys_NCF.shape[1] > 1 else bare_NF).T
