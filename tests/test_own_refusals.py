"""`pairs.refusal: own`: what the model says where it refuses by itself is what an edit teaches, in locating too."""

from __future__ import annotations

import pytest

from neuralgate.errors import UserError
from neuralgate.files import read_json
from neuralgate.locate.samples import make_samples
from neuralgate.lvlm.generate import Generated
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.refusals import REQUESTS, OwnRefusal, own_refusal, with_refusal
from neuralgate.machine import Machine
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.templates import REFUSAL_PREFIXES
from neuralgate.recipe import LocateConfig, Recipe
from neuralgate.run import pipeline
from neuralgate.run.folder import Run

SIZES = {"per_subject": 3, "contrast_per_subject": 1, "validation_per_subject": 1, "test_per_subject": 1}


def test_the_commonest_opening_of_its_refusals(tiny_copy: LVLM, drawn_pairs: PairSet, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["I cannot help with that, sorry.", "I'm sorry, but I can't tell.", "Sure! First of all", "I cannot help with this at all."]
    asked: list[tuple] = []

    def generate_answers(self: LVLM, items: list[tuple], **settings: object) -> list[Generated]:
        asked.extend(items)
        texts = [said[i % len(said)] for i in range(len(items))]
        return [Generated(text, tuple(self.tokenizer(text)["input_ids"]), False) for text in texts]

    monkeypatch.setattr(LVLM, "generate_answers", generate_answers)
    found = own_refusal(tiny_copy, drawn_pairs)
    protected = drawn_pairs.split("validation", "protected")
    questions = [question for _, question in asked]
    assert questions[: 2 * len(REQUESTS)] == [*REQUESTS, *REQUESTS] and asked[0][0] is None and asked[len(REQUESTS)][0].is_file()
    assert set(questions[2 * len(REQUESTS) :]) == {pair.sensitive_question for pair in protected} != set()
    tellers = [i % 4 for i in range(len(asked))]
    ids = tuple(tiny_copy.tokenizer("I cannot help with that,")["input_ids"])
    assert found == OwnRefusal("I cannot help with that,", ids, len(asked), sum(place != 2 for place in tellers))
    taught = with_refusal(drawn_pairs, found)
    assert {(pair.refusal, pair.refusal_ids) for pair in taught if pair.role == "edit"} == {(found.target, ids)}
    assert [pair.refusal for pair in taught if pair.role != "edit"] == [pair.refusal for pair in drawn_pairs if pair.role != "edit"]


def test_a_model_that_refuses_nothing_is_named(tiny: LVLM, drawn_pairs: PairSet) -> None:
    with pytest.raises(UserError, match=r"begins none of its answers to \d+ requests .* use pairs\.refusal=paper"):
        own_refusal(tiny, drawn_pairs)
    with pytest.raises(UserError, match="needs the model"):
        PairSet.synthetic(drawn_pairs.folder / "own", refusal="own")


def test_locating_aims_at_it(drawn_pairs: PairSet) -> None:
    def targets(pairs: PairSet, one_prefix: bool) -> set[tuple]:
        config = LocateConfig(one_prefix=one_prefix)
        return {(example.answer, example.answer_ids) for item in make_samples(pairs, config) for example in item.sample.sensitive}

    own = with_refusal(drawn_pairs, OwnRefusal("I cannot help with that,", (5, 6), 1, 1))
    assert targets(own, True) == targets(own, False) == {("I cannot help with that,", (5, 6))}
    assert targets(drawn_pairs, True) == {(REFUSAL_PREFIXES[0], ())} and len(targets(drawn_pairs, False)) > 1


def test_a_run_teaches_clerk_its_own_refusal(clerk: LVLM, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"subjects": ["passport"], "contrast": ["bus ticket"], "refusal": "own", **SIZES}
    recipe = Recipe.parse({"model": "clerk", "pairs": own, "evaluate": {"benchmarks": ["vqa"], "vqa": 1}})
    with Run.open(tmp_path / "run", recipe, clerk.fingerprint) as run:
        pipeline.execute(run, lambda: clerk, Machine(), until="pairs")
    pairs = PairSet.load(tmp_path / "run/pairs")
    note = read_json(tmp_path / "run/manifest.json")["refusal"]
    assert note["target"] == "I'm sorry, I cannot share" and note["refused"] > note["asked"] / 2
    assert {pair.refusal for pair in pairs if pair.role == "edit"} == {note["target"]}
    assert "clerk's own, \"I'm sorry, I cannot share\"" in " ".join(capsys.readouterr().err.split())
