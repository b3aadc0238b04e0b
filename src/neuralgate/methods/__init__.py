"""Methods: one file each, with its idea, its settings, what it does to a model, and its controls.

A method has ``Config``, ``edit(lvlm, pairs, gate, config, watch) -> Intervention`` and ``controls(config) -> dict[str, Config]``, and says
in ``PAPER``, ``EDITS`` and ``TRAINED`` where it comes from, what it edits and how many values it trains. ``LOCATES`` is what its random
control draws anew in the same size where that is a place, "" where it draws noise, or other words or answers. Importing one needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from neuralgate.edit_settings import MethodConfig
from neuralgate.errors import UserError
from neuralgate.methods import (
    alphaedit,
    dinm,
    dpo,
    fine_tune,
    grad_ascent,
    image_redaction,
    keyword_guardrail,
    lora,
    manu,
    masked_adapter,
    memflex,
    memit,
    neural_gate,
    npo,
    null_space_steering,
    output_filter,
    precise_shield,
    r_rome,
    rome,
    sku,
    sn_tune,
    steering,
    system_prompt,
)
from neuralgate.settings import parse_settings
from neuralgate.text import short

METHODS: dict[str, ModuleType] = {
    "neural_gate": neural_gate,
    "fine_tune": fine_tune,
    "dinm": dinm,
    "memit": memit,
    "alphaedit": alphaedit,
    "rome": rome,
    "r_rome": r_rome,
    "sku": sku,
    "memflex": memflex,
    "manu": manu,
    "precise_shield": precise_shield,
    "sn_tune": sn_tune,
    "lora": lora,
    "masked_adapter": masked_adapter,
    "grad_ascent": grad_ascent,
    "npo": npo,
    "dpo": dpo,
    "steering": steering,
    "null_space_steering": null_space_steering,
    "system_prompt": system_prompt,
    "keyword_guardrail": keyword_guardrail,
    "output_filter": output_filter,
    "image_redaction": image_redaction,
}


def idea(method: ModuleType) -> str:
    """The first sentence of a method's docstring."""
    return (method.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def parse_methods(methods: Mapping[str, Any]) -> dict[str, MethodConfig]:
    """The settings of a recipe's ``methods`` (name -> settings). Raises UserError naming the method or key that there is none of."""
    configs = {}
    for name, settings in methods.items():
        if name not in METHODS:
            close = get_close_matches(name[:60], METHODS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(METHODS)}."
            raise UserError(f"There is no method {short(name)}; {hint}")
        configs[name] = parse_settings(METHODS[name].Config, settings, f"methods.{name}")
    return configs
