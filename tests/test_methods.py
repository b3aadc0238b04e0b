"""One contract for all methods, on the tiny model; the list of them, and what they refuse."""

import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuralgate.edit_settings import GATE_MODES, MethodConfig
from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.methods import METHODS, idea, keyword_guardrail, parse_methods
from neuralgate.methods.apply import apply_method
from neuralgate.pairs.schema import PairSet
from neuralgate.training import rate
from neuralgate.training.batches import SharedWork
from neuralgate.training.loop import Trainer
from tests.method_contract import SETTINGS, check_method, config_of, weights


@pytest.fixture(scope="module")
def gate(tiny):
    votes = torch.rand(2, 3, 32, generator=torch.Generator().manual_seed(3))
    return Gate(votes, ("passport", "student id"), (0, 1, 2), tiny.fingerprint, 0.3)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract(name, tiny, pairs, gate, tmp_path):
    check_method(name, tiny, pairs, gate, tmp_path / name)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name):
    method = METHODS[name]
    assert method.PAPER.startswith("https://") and method.PAPER in method.__doc__ and method.EDITS and method.TRAINED
    assert issubclass(method.Config, MethodConfig) and idea(method).endswith(".")
    for key, field in method.Config.model_fields.items():
        assert field.description and field.description.endswith("."), key
    assert len(Path(method.__file__).read_text(encoding="utf-8").splitlines()) < 120


def test_what_is_a_place():
    """Controls of all others are noise, or other words, directions or answers."""
    assert {name: method.LOCATES for name, method in METHODS.items() if method.LOCATES} == {
        "neural_gate": "dimensions",
        "fine_tune": "values",
        "dinm": "layer",
        "memflex": "tensors",
        "manu": "neurons",
        "precise_shield": "neurons",
        "sn_tune": "rows",
        "masked_adapter": "values",
        "image_redaction": "boxes",
    }


def test_methods_are_listed_without_torch():
    code = (
        "import sys; from neuralgate.cli.main import main; sys.argv = ['neuralgate', 'ls', 'methods']\n"
        "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    for word in (*METHODS, *GATE_MODES, "arxiv.org"):
        assert word in made.stdout


def untouched(lvlm: LVLM, monkeypatch) -> None:
    """No method may begin to work where it can say no."""
    for name in ("generate_answers", "generate"):
        monkeypatch.setattr(LVLM, name, lambda *_, **__: pytest.fail("it has begun to work"))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if "layers" in method.Config.model_fields])
def test_a_layer_out_of_range_or_left_open_is_refused(name, tiny, pairs, gate, monkeypatch):
    untouched(tiny, monkeypatch)
    with pytest.raises(UserError, match="Layer 99 is out of range"):
        apply_method(name, tiny, pairs, gate, config_of(name, layers=[99]))
    with pytest.raises(UserError, match="No layer is named yet"):
        apply_method(name, tiny, pairs, gate, config_of(name, layers="search"))
    assert config_of(name, layers="search").at_layers([2]).layers == [2]
    assert config_of(name, layers=[1]).at_layers([2]).layers == [1]


@pytest.mark.parametrize("name", ["neural_gate", "fine_tune"])
def test_quantised_weights_are_refused(name, tiny_copy, pairs, gate, monkeypatch):
    untouched(tiny_copy, monkeypatch)
    packed = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    tiny_copy.ffn_out(1).weight = packed
    with pytest.raises(UserError, match="Quantised weights cannot be edited"):
        apply_method(name, tiny_copy, pairs, gate, config_of(name))


@pytest.mark.parametrize("name", METHODS)
def test_no_pairs_are_refused(name, tiny, pairs, gate):
    with pytest.raises(UserError, match="no training pairs"):
        apply_method(name, tiny, PairSet((pair for pair in pairs if pair.split == "validation"), pairs.folder), gate, config_of(name))


@pytest.mark.parametrize("name", ["neural_gate", "fine_tune", "steering"])
def test_a_question_without_its_subject_is_refused(name, tiny, pairs):
    before = weights(tiny)
    others = PairSet((replace(pair, subject="zebra", called="") for pair in pairs), pairs.folder)
    with pytest.raises(UserError, match="zebra"):
        apply_method(name, tiny, others, None, config_of(name))
    assert weights(tiny) == before


def test_steering_takes_the_strongest_within_the_limits(tiny, pairs, gate):
    """The tiny model refuses nothing: the first strength stays, and that is said."""
    made, training = apply_method("steering", tiny, pairs, gate, config_of("steering", max_benign_refused=1.0, max_contrast_lost=1.0))
    assert made.strength == 1.0 and training.kept_step == 1 and training.steps == 2 and "Nothing was refused" in training.note


def test_fine_tuning_trains_the_share(tiny, pairs):
    made, training = apply_method("fine_tune", tiny, pairs, None, config_of("fine_tune", share=0.05, parts=["ffn"]))
    assert set(made.tensors) == {f"decoder.1.ffn.{part}" for part in ("in", "gate", "out")}
    for entry in made.tensors.values():
        assert 0 < entry["changed"] <= round(0.05 * entry["shape"][0] * entry["shape"][1])
    assert training.values_changed == sum(entry["changed"] for entry in made.tensors.values())


def test_fine_tuning_finds_its_rate_with_its_own_values(tiny, pairs, monkeypatch):
    trainers = []
    monkeypatch.setattr(rate, "losses_at", lambda trainer: trainers.append(trainer) or [5.0 - 0.1 * step for step in range(11)])
    _, training = apply_method("fine_tune", tiny, pairs, None, config_of("fine_tune", rate="auto", parts=["norm"]))
    (trainer,) = trainers
    assert trainer.config.rate == rate.RATES[0] and list(trainer.masters.parameters) == list(trainer.masters.copies)
    assert all(".norm." in role for role in trainer.masters.parameters) and trainer.picking and training.values_changed > 0


def test_all_of_a_layer_can_be_trained(tiny, pairs):
    config = config_of("fine_tune", parts=["all"])
    inside = {id(parameter) for parameter in tiny.layers[1].parameters()}
    assert {id(parameter) for parameter in tiny.parts_of([1], config.parts).values()} == inside


def test_log_odds_are_their_formula(pairs):
    scores = keyword_guardrail.log_odds(pairs)
    train = list(pairs.split("train"))
    sensitive = [pair.sensitive_question for pair in train if pair.role == "edit"]
    others = [pair.benign_question for pair in train] + [pair.sensitive_question for pair in train if pair.role != "edit"]
    for word in ("number", "passport", "the"):
        s, b = (sum(f" {word} " in re.sub(r"[?.,]", " ", f" {text} ").casefold() for text in asked) for asked in (sensitive, others))
        odds = [(count + 0.5) / (len(asked) - count + 0.5) for count, asked in ((s, sensitive), (b, others))]
        assert scores[word] == pytest.approx(torch.tensor(odds[0] / odds[1]).log().item(), abs=1e-5), word


def test_a_recipe_names_methods_and_keys_that_there_are():
    configs = parse_methods({"steering": {"layers": [3]}, "keyword_guardrail": {}})
    assert configs["steering"].layers == [3] and configs["keyword_guardrail"].count == 10
    for methods, sentence in (
        ({"stering": {}}, "There is no method 'stering'; did you mean steering?"),
        ({"steering": {"layer": [3]}}, "methods.steering: unknown key layer; did you mean layers?"),
        ({"zzz": {}}, "There is no method 'zzz'; known are neural_gate, fine_tune,"),
    ):
        with pytest.raises(UserError) as caught:
            parse_methods(methods)
        assert str(caught.value).startswith(sentence), json.dumps(str(caught.value))


def stepped(name: str) -> bool:
    return "max_steps" in METHODS[name].Config.model_fields and "max_steps" in SETTINGS[name]


#: Beside the methods as they are: stages of several trainings, and objectives that look back at the base model.
FORMS = [
    *((name, {}) for name in METHODS if stepped(name)),
    ("sku", {"teach": "negation"}),
    ("dinm", {"hold": "distribution"}),
    ("memflex", {"teach": "ascent"}),
    ("manu", {**SETTINGS["neural_gate"], "action": "teach", "layers": "all"}),
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_training_goes_on_from_a_shorter_one(tiny, pairs, gate, monkeypatch, name, form):
    """The same bits as by itself."""
    taken, plain = Counter(), Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, optimizer: (taken.update([tiny.shared is shared]), plain(self, optimizer)))
    shared = SharedWork(tiny)
    with shared.used():
        for steps in (2, 5, 3):  # the last finds a longer one
            made, training = apply_method(name, tiny, pairs, gate, config_of(name, **{**form, "max_steps": steps}))
            with SharedWork(tiny).used():
                alone, by_itself = apply_method(name, tiny, pairs, gate, config_of(name, **{**form, "max_steps": steps}))
            assert made.identity == alone.identity
            assert [point["loss_sensitive"] for point in training.curve] == [point["loss_sensitive"] for point in by_itself.curve]
            assert (training.steps, training.gradient_share) == (by_itself.steps, by_itself.gradient_share)
    trainings = 2 if name == "masked_adapter" else 1
    assert taken[False] - taken[True] == 2 * trainings


def test_no_step_is_taken_twice(tiny, pairs, gate, monkeypatch):
    taken, seconds, plain = [], [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, optimizer: (taken.append(1), plain(self, optimizer)))
    with SharedWork(tiny).used():
        for steps in (2, 5, 5):
            _, training = apply_method("neural_gate", tiny, pairs, gate, config_of("neural_gate", max_steps=steps))
            seconds.append(training.seconds)
        assert len(taken) == 5 and seconds[2] >= seconds[1] > seconds[0], "costs are told as of a training by itself"
        apply_method("neural_gate", tiny, pairs, gate, config_of("neural_gate", max_steps=6, rate=2e-2))
        apply_method("neural_gate", tiny, pairs, gate, config_of("neural_gate", max_steps=6, stop="loss"))
        assert len(taken) == 5 + 6 + 6, "other settings, or another way to end"
        other = replace(gate, votes_SLD=1 - gate.votes_SLD)
        made, _ = apply_method("neural_gate", tiny, pairs, other, config_of("neural_gate", gate="strong"))
        again, _ = apply_method("neural_gate", tiny, pairs, gate, config_of("neural_gate", gate="strong"))
    assert len(taken) == 17 + 2 + 2 and made.identity != again.identity, "another gate"


@pytest.mark.parametrize(
    ("name", "place", "further"),
    [
        ("memflex", "neuralgate.training.regions.part_gradients", {"budget": 4.0}),
        ("manu", "neuralgate.locate.importance.language_scores", {"share": 0.5}),
        ("manu", "neuralgate.locate.importance.vision_scores", {"share": 0.5}),
        ("sn_tune", "neuralgate.locate.neurons.always_busy", {"neurons": "random"}),
        ("precise_shield", "neuralgate.locate.neurons.last_activations", {"share": 0.7}),
        ("dinm", "neuralgate.methods.dinm.distances", {"hold": "distribution"}),
        ("null_space_steering", "neuralgate.closed_form.directions.moments_at", {"energy": 0.6}),
    ],
)
def test_what_settings_do_not_change_is_found_once(tiny, pairs, gate, monkeypatch, name, place, further):
    found, (module, _, function) = [], place.rpartition(".")
    plain = getattr(importlib.import_module(module), function)
    monkeypatch.setattr(place, lambda *given, **named: (found.append(1), plain(*given, **named))[1])
    with SharedWork(tiny).used():
        apply_method(name, tiny, pairs, gate, config_of(name))
        count = len(found)
        made, _ = apply_method(name, tiny, pairs, gate, config_of(name, **further))
    assert len(found) == count > 0
    with SharedWork(tiny).used():
        alone, _ = apply_method(name, tiny, pairs, gate, config_of(name, **further))
    assert made.identity == alone.identity and len(found) == 2 * count
