"""The layers above a change, run again by the fastest form that the model has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from neuralgate.lvlm.fast.recorded import Recorded, record
from neuralgate.lvlm.fast.suffix import Suffix
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example, encode_examples


def resumable(
    lvlm: LVLM, groups: Sequence[Sequence[Example]], lowest: int, changing: Callable[[Tensor], Tensor]
) -> tuple[Suffix | Recorded, Tensor, Tensor]:
    """A pass over ``groups`` of equally many questions, each about one image, that can be resumed from layer ``lowest`` or above; and of
    the tokens that are run again the labels and which of them change, ``(B, T)``. ``changing`` says so of classes ``(B, T)``."""
    if lvlm.is_plain:
        passed = Suffix(lvlm, groups, lowest, lambda classes_T: changing(classes_T[None])[0])
        return passed, passed.labels_BT, passed.changing_BT
    # the ends, which are run again, stand in the same columns
    batch = encode_examples(lvlm, [example for group in groups for example in group], padding="left")
    changing_BT = changing(batch.classes_BT)
    recorded = record(lvlm, batch, lowest, changing_BT)
    return recorded, batch.labels_BT[:, recorded.columns], changing_BT[:, recorded.columns]
