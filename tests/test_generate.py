"""Sharing the image's keys and values between questions changes no answer."""

from __future__ import annotations

import pytest

from neuralgate.lvlm.generate import generate
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_shared_images_answer_as_single_questions(tiny: LVLM, pairs: PairSet, batch_size: int) -> None:
    items = [(pairs.folder / pair.image, question) for pair in pairs for question in (pair.benign_question, pair.sensitive_question)]
    items += [(None, "Is the passport private?"), (None, "Is the number of the bus ticket private?"), (items[0][0], "Describe the image.")]
    single = [generate(tiny, [item], 8, 1, None, share_images=False)[0] for item in items]
    assert generate(tiny, items, 8, batch_size, None) == single


def test_questions_without_any_image(tiny: LVLM) -> None:
    items = [(None, "Is the passport private?"), (None, "Is the bus ticket private?")]
    assert tiny.generate(items, max_new_tokens=4) == [tiny.generate([item], max_new_tokens=4)[0] for item in items]
