"""How much neurons have to do with what is to be forgotten: MANU's importance, by what they do with and without the picture.

Of a neuron's activations z over a set of questions, each read at the last token before the answer, with the picture (m) and without (t):

    absolute   |mean|z_m| - mean|z_t|| / (mean|z_m| + mean|z_t|)          variance   sqrt(Var z_m + Var z_t)
    frequency  |N_m - N_t| / (N_m + N_t), N = #{z > 0.1}                  square     sqrt(|sum z_m^2 - sum z_t^2| / (sum z_m^2 + sum z_t^2))

I is the sum of the four, the score I(forget) / I(retain). A vision tower is given no text, so that its neurons, and with ``form: code``
all, are compared as the authors' code does: S = 2 (A_f/A_r - 1) + 2 (V_f/V_r - 1) + 2 (R_f/R_r - 1) with A = mean|z|, V the deviation and
R the root mean square over all their positions. Letters: ``F`` neurons of an FFN.

Source: https://arxiv.org/abs/2502.15910 (formulas as two independent readers restate them) and the released code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from neuralgate.locate.neurons import BATCH, last_activations
from neuralgate.lvlm.forward import embed, inputs_seen
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example, encode_examples

LOUD = 0.1  # from which on a neuron counts as active
TINY = 1e-5


@dataclass
class Moments:
    """Of activations z: their number, how many are loud, and the sums of z, |z| and z^2, each ``(F,)``."""

    count: int
    loud_F: Tensor
    sum_F: Tensor
    absolute_F: Tensor
    square_F: Tensor

    @classmethod
    def of(cls, values_NF: Tensor) -> Moments:
        z_NF = values_NF.double()
        return cls(len(z_NF), (z_NF > LOUD).sum(0), z_NF.sum(0), z_NF.abs().sum(0), z_NF.square().sum(0))

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def variance_F(self) -> Tensor:
        return (self.square_F / self.count - (self.sum_F / self.count).square()).clamp(min=0)


def contrast(pictured: Moments, told: Moments) -> Tensor:
    """I, ``(F,)``: how differently a neuron behaves with the picture and without."""

    def apart(first_F: Tensor, second_F: Tensor) -> Tensor:
        return (first_F - second_F).abs() / (first_F + second_F + TINY)

    absolute_F = apart(pictured.absolute_F / pictured.count, told.absolute_F / told.count)
    frequency_F = apart(pictured.loud_F, told.loud_F)
    variance_F = (pictured.variance_F + told.variance_F).sqrt()
    return absolute_F + frequency_F + variance_F + apart(pictured.square_F, told.square_F).sqrt()


def code_score(forget: Moments, retain: Moments) -> Tensor:
    """S of the authors' code, ``(F,)``; the frequency has no weight there."""

    def measures(of: Moments) -> tuple[Tensor, ...]:
        return of.absolute_F / of.count, of.variance_F.sqrt(), (of.square_F / of.count).sqrt()

    ratios = [(f / (r + TINY) - 1) for f, r in zip(measures(forget), measures(retain), strict=True)]
    return 2 * torch.stack(ratios).sum(0)


def language_scores(
    lvlm: LVLM, forget: Sequence[Example], retain: Sequence[Example], layers: Sequence[int], form: str
) -> dict[int, Tensor]:
    """The score of each neuron of decoder layers, layer -> ``(F,)``; ``form`` is `paper` or `code`."""

    def read(examples: Sequence[Example]) -> dict[int, Moments]:
        return {layer: Moments.of(values_NF) for layer, values_NF in last_activations(lvlm, examples, layers).items()}

    if form == "code":
        of_forget, of_retain = read(forget), read(retain)
        return {layer: code_score(of_forget[layer], of_retain[layer]) for layer in layers}
    importance = []
    for examples in (forget, retain):
        pictured, told = read(examples), read([replace(example, image=None) for example in examples])
        importance.append({layer: contrast(pictured[layer], told[layer]) for layer in layers})
    return {layer: importance[0][layer] / (importance[1][layer] + TINY) for layer in layers}


@torch.no_grad()
def vision_scores(lvlm: LVLM, forget: Sequence[Example], retain: Sequence[Example], modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The same for the FFN output projections ``modules`` of a vision tower, by the pictures alone."""

    def read(examples: Sequence[Example]) -> dict[str, Moments]:
        found: dict[str, Moments] = {}

        def add(name: str, values: Tensor) -> None:
            moments = Moments.of(values.reshape(-1, values.shape[-1]))
            found[name] = found[name] + moments if name in found else moments

        def work(chosen: Sequence[Example]) -> None:
            with inputs_seen(modules, add):
                embed(lvlm, encode_examples(lvlm, chosen))

        lvlm.batches(BATCH, "reading the vision tower").run(work, examples)
        return found

    of_forget, of_retain = read(forget), read(retain)
    return {name: code_score(of_forget[name], of_retain[name]) for name in modules}


def largest_of_all(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Place -> booleans ``(F,)``: the ``share`` of all neurons, at least one, of largest score, whichever their places."""
    every = torch.cat([score_F.flatten() for score_F in scores.values()])
    marked = torch.zeros_like(every, dtype=torch.bool)
    marked[every.topk(max(1, int(share * len(every)))).indices] = True
    return dict(zip(scores, marked.split([len(score_F) for score_F in scores.values()]), strict=True))
