"""Scaling vectors (Eq. 2-5): per sample, which dimensions of the subject's hidden state must flip for a refusal.

For sample i and decoder layer l the layer's output at the subject's tokens is multiplied by m in [-1, 1]^D, and with
the model frozen

    min over m:  mean over contexts NLL(refusal prefix) + lambda NLL(first words of the own answer) + gamma mean|m - 1|

Samples are independent rows of one batch. What does not depend on m (everything up to layer l, and, where attention is causal,
every token before the first scaled one) is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from neuralgate.locate.samples import Sample
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.fast.resumable import resumable
from neuralgate.lvlm.fast.suffix import Suffix
from neuralgate.lvlm.forward import check_gradient, gradients_watched, output_changed, target_losses
from neuralgate.lvlm.generate import continuations
from neuralgate.lvlm.memory import SavedBytes, free_bytes
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Example, encode_examples
from neuralgate.recipe import Auto, LocateConfig

MEMORY_SHARE = 0.8  # of an accelerator's free memory that a batch may take by its first sample's measure


@dataclass
class Vectors:
    """What became of ``N`` samples at ``L`` layers."""

    vectors_NLD: Tensor
    sensitive_start_N: Tensor  # losses before ...
    sensitive_end_N: Tensor  # ... and after
    benign_start_N: Tensor
    benign_end_N: Tensor
    curve_NT: Tensor  # the loss without its L1 term before each step; NaN from where the sample has finished
    converged_N: Tensor
    finite_N: Tensor  # False where the loss became NaN or infinite; such a vector says nothing

    @property
    def steps_N(self) -> Tensor:
        return (~self.curve_NT.isnan()).sum(-1)


def scaled_positions(classes_BT: Tensor, tokens: str) -> Tensor:
    """Boolean ``(B, T)``: the subject's tokens, or the last of them alone. Padding is of another class."""
    subject_BT = classes_BT == SUBJECT
    if tokens == "all":
        return subject_BT
    place_T = torch.arange(subject_BT.shape[-1], device=subject_BT.device)
    last_B1 = torch.where(subject_BT, place_T, -1).amax(-1, keepdim=True)
    return subject_BT & (place_T == last_B1)


def scaled(hidden_BTD: Tensor, vectors_BD: Tensor, positions_BT: Tensor) -> Tensor:
    """The hidden states, multiplied at these positions (booleans) by their row's vector."""
    return torch.where(positions_BT[..., None].to(hidden_BTD.device), hidden_BTD * vectors_BD[:, None].to(hidden_BTD), hidden_BTD)


def start_values(count: int, layers: int, size: int, config: LocateConfig, device: torch.device | str = "cpu") -> Tensor:
    return torch.full((count, layers, size), config.start, dtype=torch.float32, device=device)


def vector_of(values: Tensor, config: LocateConfig) -> Tensor:
    """From the optimised values to m: ``tanh(w)``, or w itself, which `clamp_` keeps in [-1, 1]."""
    return torch.tanh(values) if config.parametrisation == "tanh" else values


def sparsity(values_NLD: Tensor, config: LocateConfig) -> Tensor:
    """The L1 term of each sample: mean distance from 1, or from the start value where m = tanh(w), summed over its layers."""
    return (values_NLD - (config.start if config.parametrisation == "tanh" else 1.0)).abs().mean(-1).sum(-1)


class Prepared:
    """A batch of samples, all with equally many questions, and all that no vector changes, made once for every layer from ``lowest``
    up."""

    def __init__(self, lvlm: LVLM, samples: Sequence[Sample], lowest: int, config: LocateConfig) -> None:
        self.lvlm, self.count = lvlm, len(samples)
        contexts = len(samples[0].sensitive)
        groups = [(*sample.sensitive, sample.benign) for sample in samples]
        self.passed, self.labels_BT, self.scaled_BT = resumable(
            lvlm, groups, lowest, lambda classes_BT: scaled_positions(classes_BT, config.tokens)
        )
        weights = [1.0 / contexts] * contexts + [config.lambda_benign]
        self.weight_C = torch.tensor(weights, device=lvlm.device)  # C questions of each sample, the benign one last

    @property
    def runs_suffix(self) -> bool:
        """Whether a step runs the ends of the questions alone, and samples can leave the batch."""
        return isinstance(self.passed, Suffix) or self.passed.columns != slice(None)

    def select(self, samples_N: Tensor, layer: int) -> Prepared:
        """The same for some of the samples (boolean, of all there are here) from one layer up, where ``runs_suffix``."""
        rows_B = samples_N.repeat_interleave(len(self.weight_C))
        chosen = copy(self)
        chosen.count = int(samples_N.sum())
        chosen.passed = self.passed.select(rows_B, layer)
        chosen.labels_BT, chosen.scaled_BT = self.labels_BT[rows_B], self.scaled_BT[rows_B]
        return chosen

    def losses(self, layers: Sequence[int], vectors_NLD: Tensor) -> Tensor:
        """Mean negative log-likelihood of each question's target, ``(N, C)``, while each of ``layers`` (ascending) is scaled by its
        samples' vectors."""
        vectors_BLD = vectors_NLD.repeat_interleave(len(self.weight_C), 0)

        def scale(layer: int, hidden_BTD: Tensor) -> Tensor:
            if layer not in layers:
                return hidden_BTD
            return scaled(hidden_BTD, vectors_BLD[:, layers.index(layer)], self.scaled_BT)

        lowest = layers[0]
        change = scale if len(layers) > 1 else None
        last_BTD = self.passed.resume(lowest, scale(lowest, self.passed.outputs[lowest]), change)
        return target_losses(self.lvlm, last_BTD, self.labels_BT).to(self.weight_C.device).view(self.count, -1)

    def weighted(self, losses_NC: Tensor) -> Tensor:
        """Each sample's data term, ``(N,)``: the mean over contexts plus lambda times the benign loss."""
        return losses_NC @ self.weight_C.to(losses_NC.dtype)


def sample_bytes(prepared: Prepared, layers: Sequence[int]) -> int:
    """What one sample takes at most, measured on a batch of few: what is known of it, twice while a batch shrinks, and what the graph
    of a step keeps."""
    storage_bytes = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in prepared.passed.tensors()}
    vectors_NLD = torch.ones(prepared.count, len(layers), prepared.lvlm.hidden_size, device=prepared.lvlm.device, requires_grad=True)
    saved = SavedBytes([*prepared.lvlm.model.parameters(), *prepared.passed.tensors()])
    with saved:
        prepared.losses(layers, vectors_NLD)
    return (2 * sum(storage_bytes.values()) + saved.count) // prepared.count


def samples_that_fit(lvlm: LVLM, sample: Sample, lowest: int, config: LocateConfig) -> int | None:
    """How many samples have room on the model's accelerator, by what the first one takes; None on a CPU."""
    free = free_bytes(lvlm.device)
    if free is None:
        return None
    try:
        taken = sample_bytes(Prepared(lvlm, [sample], lowest, config), [lowest])
    except torch.OutOfMemoryError:  # not even one: whoever tries it says so
        return 1
    return max(1, int(free * MEMORY_SHARE) // taken)


def optimise_vectors(
    lvlm: LVLM, samples: Sequence[Sample], layers: Sequence[int], config: LocateConfig, prepared: Prepared | None = None
) -> Vectors:
    """Optimise each sample's vectors at ``layers`` (ascending; more than one jointly, Eq. 8), all samples in one batch, which
    shrinks as they finish. A sample whose loss is no number any more is given up.

    Others do not take the place of the finished: what no vector changes is made once for a batch and serves every layer. A batch that is
    filled up would need it anew for each layer, which with hundreds of image tokens takes longer than the steps of a small batch lose.
    """
    whole = prepared or Prepared(lvlm, samples, layers[0], config)
    device = lvlm.device
    values_NLD = start_values(len(samples), len(layers), lvlm.hidden_size, config, device).requires_grad_()
    optimizer = torch.optim.Adam([values_NLD], lr=config.rate, eps=config.eps)
    with torch.no_grad():
        start_NC = whole.losses(layers, torch.ones_like(values_NLD))
    part, members_M = whole, torch.arange(len(samples), device=device)
    running_N = torch.ones(len(samples), dtype=torch.bool, device=device)
    finite_N = running_N.clone()
    curve_NT = torch.full((len(samples), config.steps), float("nan"), device=device)
    for step in range(config.steps):
        values_MLD = values_NLD[members_M]
        # a projection that autograd does not know would leave the vectors a gradient along the residual alone
        with ExitStack() if step else gradients_watched(lvlm):
            data_M = part.weighted(part.losses(layers, vector_of(values_MLD, config)))
        finite_N[members_M[~data_M.isfinite()]] = False
        running_M = running_N[members_M] & (data_M.detach() >= config.stop_loss) & finite_N[members_M]
        running_N[members_M] = running_M
        curve_NT[members_M[running_M], step] = data_M.detach()[running_M].to(curve_NT.dtype)
        if not running_M.any():
            break
        optimizer.zero_grad()
        (data_M + config.gamma * sparsity(values_MLD, config))[running_M].sum().backward()
        if not step:
            check_gradient(values_NLD.grad, f"The vectors at layer {', '.join(map(str, layers))}")
        kept_NLD = values_NLD.detach().clone()
        optimizer.step()
        with torch.no_grad():
            if config.parametrisation == "clamp":
                values_NLD.clamp_(-1, 1)
            values_NLD[~running_N] = kept_NLD[~running_N]  # Adam's momentum would move a finished sample on
        del data_M, values_MLD  # with their graph, which holds what the smaller batch is made of
        if whole.runs_suffix and not running_M.all():
            part, members_M = part.select(running_M, layers[0]), members_M[running_M]
    with torch.no_grad():
        vectors_NLD = vector_of(values_NLD, config)
        end_NC = whole.losses(layers, vectors_NLD)
    finite_N &= end_NC.isfinite().all(-1) & vectors_NLD.isfinite().all(-1).all(-1)
    return Vectors(
        vectors_NLD=vectors_NLD.detach(),
        sensitive_start_N=start_NC[:, :-1].mean(-1),
        sensitive_end_N=end_NC[:, :-1].mean(-1),
        benign_start_N=start_NC[:, -1],
        benign_end_N=end_NC[:, -1],
        curve_NT=curve_NT,
        converged_N=whole.weighted(end_NC) < config.stop_loss,
        finite_N=finite_N,
    )


@torch.inference_mode()
def answers_under(
    lvlm: LVLM, examples: Sequence[Example], layers: Sequence[int], vectors_NLD: Tensor, tokens: str, max_new_tokens: int | Auto = "auto"
) -> list[str]:
    """Greedy answers while the output of each of ``layers`` at each example's subject tokens is scaled by its vector; `auto` is long enough
    for a leak to be seen."""

    def answer(places: Sequence[int]) -> list[str]:
        chosen = [examples[place] for place in places]
        questions = [replace(example, answer="") for example in chosen]
        batch = encode_examples(lvlm, questions, padding="left")
        positions_BT = scaled_positions(batch.classes_BT, tokens)

        def change(hidden_BTD: Tensor, place: int) -> Tensor:
            if hidden_BTD.shape[1] != positions_BT.shape[1]:
                return hidden_BTD  # only the prefill has the subject's tokens; later steps bring one token at a time
            return scaled(hidden_BTD, vectors_NLD[list(places), place], positions_BT)

        with ExitStack() as stack:
            for place, layer in enumerate(layers):
                stack.enter_context(output_changed(lvlm.layers[layer], partial(change, place=place)))
            return [made.text for made in continuations(lvlm, batch.prompt, answer_tokens(lvlm, max_new_tokens, clerk=10))]

    parts = lvlm.batches(64, "answering under vectors").run(answer, range(len(examples)))
    return [text for part in parts for text in part]
