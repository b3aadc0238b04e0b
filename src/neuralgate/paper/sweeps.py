"""What the analysis tries: every value of every sweep, in one place. Imports nothing heavy, so that a run can hash it.

A locate variant costs as much as locating a layer or two, a trial edit as much as one of the layer search, and together they are most of an
analysis: so there are few points.
"""

from __future__ import annotations

from typing import Any

from neuralgate.recipe import GateMode, LocateConfig

BINS = 10  # columns of Fig. 2(c) and Fig. 7 between 0 and 1
DRAWS = 1000  # bootstrap draws over samples, and permutations for what chance gives
HALVES = 50  # random splits of the samples into halves
RADII = tuple(range(6))  # Table 4
LAMBDAS = (0.5, 0.75, 1.0, 1.25, 1.5)  # Fig. 4; 1.25 is the authors' code, 1.0 and 1.5 the text's inferior neighbours
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # around the paper's 0.3 (section 3.2.3)
GATES: tuple[GateMode, ...] = ("strong", "random", "none")  # the method never stands without its controls

#: Settings of `locate` that neither publication fixes or in which they differ, with the values tried.
LOCATE_SWEEP: dict[str, tuple[Any, ...]] = {
    "lambda_benign": LAMBDAS,
    "steps": (25, 60, 100),  # 25: both publications; 60: our default; 100: is it still moving?
    "rate": (0.1, 0.5),  # 0.5: the authors' code
    "eps": (1e-8, 1e-3),  # Adam's usual one, and the authors' code
    "parametrisation": ("tanh", "clamp"),  # the authors' code, and the paper
    "tokens": ("all", "last"),  # the paper, and the authors' code
}

#: A dimension is massive when its mean size is more than this many times the layer's median (the published definition, Sun et al. 2024,
#: asks for 1000 times in single activations of models a thousand times larger).
MASSIVE = 20.0
#: The first token is a sink when its state is longer than this many times the median token's.
SINK = 5.0


def variants(config: LocateConfig) -> dict[str, LocateConfig]:
    """Every locate setting that the sweep tries beside ``config`` itself: name -> settings."""
    made = {}
    for setting, values in LOCATE_SWEEP.items():
        for value in values:
            if value != getattr(config, setting):
                # tanh and clamp mean different things by a start value; 1 is within the reach of both
                start = {"start": 1.0} if setting == "parametrisation" else {}
                made[variant_name(setting, value)] = config.model_copy(update={setting: value, **start})
    return made


def variant_name(setting: str, value: Any) -> str:
    return f"{setting} {value:g}" if isinstance(value, int | float) else f"{setting} {value}"


def plan() -> dict[str, Any]:
    """Everything above as plain data: what an analysis depends on besides the run."""
    return {name.lower(): value for name, value in globals().items() if name.isupper()}
