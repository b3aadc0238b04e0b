"""Which dimensions of a subject's hidden state bring a refusal nearer where they move to those of protected subjects: patching by its
gradient, first order (attribution patching)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neuralgate.closed_form.directions import read_states
from neuralgate.lvlm.forward import final_hidden, output_changed, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Batch, Example, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet

SAMPLES = 8  # a subject
ROWS = 16


def at_subject(batch: Batch) -> Tensor:
    return batch.is_class(SUBJECT)


def attribution(lvlm: LVLM, pairs: PairSet, layer: int) -> dict[str, Tensor]:
    """Edited subject -> how much each dimension of the output of ``layer`` lowers the refusal's loss when it moves to the mean of protected
    subjects, ``(D,)``, nats a token: -(h' - h) * dL/dh, summed over the subject's tokens, a mean over samples."""
    protected = [example_of(pair, "sensitive", pairs.folder) for pair in pairs.split("validation", "protected")]
    sums: list[Tensor] = []
    read_states(lvlm, protected, [layer], at_subject, lambda _layer, states_ND: sums.append(states_ND))
    aim_D = torch.cat(sums).mean(0).float().to(lvlm.device)
    found = {}
    for subject in pairs.split("train", "edit").subjects():
        held = [pair for pair in pairs.split("train", "edit") if pair.subject == subject][:SAMPLES]
        examples = [example_of(pair, "sensitive", pairs.folder) for pair in held]
        parts = lvlm.batches(ROWS, "attribution").run(lambda chosen: gains(lvlm, chosen, layer, aim_D), examples)
        found[subject] = torch.cat(parts).mean(0).cpu()
    return found


def gains(lvlm: LVLM, examples: Sequence[Example], layer: int, aim_D: Tensor) -> Tensor:
    """See :func:`attribution`: of each example, ``(N, D)``."""
    batch = encode_examples(lvlm, examples)
    kept: list[Tensor] = []

    def change(hidden_BTD: Tensor) -> Tensor:
        leaf_BTD = hidden_BTD.detach().requires_grad_(True)
        kept.append(leaf_BTD)
        return leaf_BTD

    with torch.enable_grad(), output_changed(lvlm.layers[layer], change):
        losses_N = target_losses(lvlm, final_hidden(lvlm, batch), batch.labels_BT)
    (gradient_BTD,) = torch.autograd.grad(losses_N.sum(), kept)
    subject_BT1 = at_subject(batch)[..., None].to(gradient_BTD.device)
    moved_BTD = (aim_D.to(gradient_BTD) - kept[0].detach()) * gradient_BTD
    return -(moved_BTD * subject_BT1).sum(1).float()
