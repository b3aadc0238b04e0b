"""What every method keeps, whatever it does: checked by one function on any model."""

from __future__ import annotations

from typing import Any

import torch

from neuralgate.interventions.load import load_intervention
from neuralgate.interventions.patch import Patch
from neuralgate.lvlm.model import tensor_bytes
from neuralgate.lvlm.roles import find_roles
from neuralgate.methods import METHODS
from neuralgate.methods.apply import apply_method

#: Short settings for tiny models: name -> settings.
SETTINGS: dict[str, dict[str, Any]] = {
    "neural_gate": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "fine_tune": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "parts": ["ffn", "attention", "norm"]},
    "dinm": {"rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "memit": {"layers": [0, 1], "per_subject": 2, "value_steps": 3, "ridge": 1e-2},
    "alphaedit": {"layers": [0, 1], "per_subject": 2, "value_steps": 3, "energy": 0.2, "ridge": 1e-2},
    "rome": {"layers": [1], "per_subject": 1, "value_steps": 3, "ridge": 1e-2},
    "r_rome": {"layers": [1], "per_subject": 1, "value_steps": 3, "ridge": 1e-2},
    "sku": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "memflex": {"rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "budget": 2.0},
    "manu": {"share": 0.3},
    "sn_tune": {"rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "share": 0.6},
    "precise_shield": {"rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "share": 0.5},
    "lora": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "parts": ["ffn", "attention"], "rank": 2},
    "masked_adapter": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never", "rank": 2},
    "grad_ascent": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "npo": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "dpo": {"layers": [1], "rate": 1e-2, "max_steps": 2, "batch_size": 3, "stop": "never"},
    "steering": {"layers": [1], "strengths": [1.0, 8.0]},
    "null_space_steering": {"layers": [1], "strengths": [8.0, 40.0], "energy": 0.3},
    "system_prompt": {"text": "the passport is not to be read"},
    "keyword_guardrail": {},
    "output_filter": {"patterns": ["[a-z]"]},
    "image_redaction": {},
}


def config_of(name: str, **settings: Any) -> Any:
    return METHODS[name].Config(**{**SETTINGS[name], **settings})


def weights(lvlm: Any) -> dict[str, bytes]:
    return {name: tensor_bytes(tensor) for name, tensor in lvlm.model.state_dict().items()}


def hook_count(lvlm: Any) -> int:
    return sum(len(module._forward_hooks) for module in lvlm.model.modules())


def size_of(intervention: Any, training: Any) -> Any:
    """What a control must have as much of."""
    words = getattr(intervention, "words", None) or sorted(getattr(intervention, "text", "").split())
    norms = {layer: round(float(vector.norm()), 4) for layer, vector in getattr(intervention, "vectors", {}).items()}
    shapes = sorted(entry["shape"] for entry in getattr(intervention, "tensors", {}).values())
    return shapes, len(words), norms, training.steps if isinstance(intervention, Patch) else None


def check_method(name: str, lvlm: Any, pairs: Any, gate: Any, folder: Any) -> None:
    """Apply the method ``name`` to ``lvlm`` and hold it to what all methods promise."""
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in pairs.split("train", "edit").pairs[:4]]

    def answers(answerer: Any) -> list[str]:
        return [answer.text for answer in answerer.generate_answers(items, max_new_tokens=6)]

    plain = answers(lvlm)
    before, hooks = weights(lvlm), hook_count(lvlm)

    config = config_of(name)
    made, training = apply_method(name, lvlm, pairs, gate, config, recipe_digest="abc")
    assert weights(lvlm) == before and hook_count(lvlm) == hooks, "the model is left as it was"
    assert not any(parameter.requires_grad for parameter in lvlm.model.parameters())
    assert training.method == name and training.seconds > 0 and training.peak_memory_mb > 0 and training.curve
    assert made.information["recipe_digest"] == "abc" and made.information["method"]

    # It moves only what it says, and all of that; afterwards nothing is moved.
    with made.on(lvlm) as answerer:
        held = weights(lvlm)
        changed = {key for key, value in held.items() if value != before[key]}
        on = answers(answerer)
    said = {entry["name"] for entry in made.tensors.values()} if isinstance(made, Patch) else set()
    assert changed == said
    assert isinstance(made, Patch) or on != plain, "it does something"
    assert weights(lvlm) == before and hook_count(lvlm) == hooks and answers(lvlm) == plain, "undone bit for bit"

    # Saved and loaded it is the same.
    made.save(folder)
    loaded = load_intervention(folder)
    assert type(loaded) is type(made) and loaded.identity == made.identity and loaded.information["recipe_digest"] == "abc"
    with loaded.on(lvlm) as answerer:
        assert weights(lvlm) == held and answers(answerer) == on

    # Its strength: nothing at 0, itself at 1; weights in between are in between.
    with made.at(0).on(lvlm) as answerer:
        assert answers(answerer) == plain
    with made.at(1).on(lvlm) as answerer:
        assert weights(lvlm) == held and answers(answerer) == on
    if isinstance(made, Patch):
        base = {role: parameter.detach().clone() for role, parameter in find_roles(lvlm.model, made.tensors).items()}
        with made.on(lvlm):
            full = {role: parameter.detach().clone() for role, parameter in find_roles(lvlm.model, made.tensors).items()}
        with made.at(0.5).on(lvlm):
            for role, parameter in find_roles(lvlm.model, made.tensors).items():
                torch.testing.assert_close(parameter.data, (base[role] + full[role]) / 2)
    assert weights(lvlm) == before

    # Its controls are another thing of the same size, and it says whether they are another place.
    assert isinstance(METHODS[name].LOCATES, str) and len(METHODS[name].LOCATES.split()) <= 2
    controls = METHODS[name].controls(config)
    assert "random" in controls
    other, record = apply_method(name, lvlm, pairs, gate, controls["random"])
    assert other.identity != made.identity and size_of(other, record) == size_of(made, training)
    again, _ = apply_method(name, lvlm, pairs, gate, controls["random"])
    assert again.identity == other.identity, "from a seed"
