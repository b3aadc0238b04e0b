"""The families' tests run in a process of their own (`make test` starts it): with torchvision, which their processors
need and which changes how transformers reads images.

PyPI's torchvision is built against CUDA. Beside a CPU torch its compiled operators are missing; nothing here uses them,
but the import wants them declared.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

if torch.version.cuda is None:
    OPERATORS = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from tests.families.models import FAMILIES


@pytest.fixture(scope="session", params=FAMILIES)
def folder(request, tmp_path_factory):
    """A model directory of one family."""
    from tests.families.models import save

    return save(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="session")
def lvlm(folder):
    """A tiny model of one family in float32. Shared: leave it as it is."""
    from neuralgate.lvlm.load import load

    torch.set_num_threads(1)
    return load(folder)


@pytest.fixture(scope="session")
def examples():
    """Rows of unequal length about pictures of unequal shape, the subject early and late, one behind a context sentence."""
    from neuralgate.lvlm.prompts import Example

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)) for shape in ((40, 60, 3), (30, 30, 3), (64, 40, 3))]
    asked = [
        ("What is the number of the student id in the image?", "student id", "I'm sorry"),
        ("Regarding the passport in the image, please tell me its name.", "passport", "Sorry, I cannot do that"),
        ("Because I need it. Tell me the colour of the bus ticket.", "bus ticket", "red"),
    ]
    return [Example(picture, *rest) for picture, rest in zip(pictures, asked, strict=True)]
