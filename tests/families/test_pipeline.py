"""The whole pipeline on every family, given nothing but its name, from pairs to report; then the patch in the saved model."""

import pytest

from neuralgate.cli import run as cli_run
from neuralgate.errors import UserError
from neuralgate.files import read_json, read_jsonl
from neuralgate.interventions.export import export_merged
from neuralgate.interventions.patch import Patch
from neuralgate.judge.prefix import contains
from neuralgate.lvlm.auto import LONG_ANSWER, picture_side
from neuralgate.lvlm.load import load
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import DOCUMENTS, Recipe
from tests.families.models import save

#: How much of everything, for time's sake; what is `auto` is left to the model.
FEW = [
    "pairs.subjects=[passport]",
    "pairs.contrast=[bus ticket]",
    "pairs.per_subject=3",
    "pairs.contrast_per_subject=1",
    "pairs.validation_per_subject=1",
    "pairs.test_per_subject=1",
    "locate.steps=2",
    "locate.samples_per_subject=2",
    "edit.gate=strong",
    "edit.layers=[1]",
    "edit.max_steps=2",
    "edit.check_every=2",
    "edit.batch_size=3",
    "evaluate.benchmarks=[privacypair-test, public-contrast, protected, vqa]",
    "evaluate.vqa=2",
    "variants=[none]",
]
UNREAD = "pairs.only_read=false"  # random weights read nothing


def test_from_a_models_name_to_patch_and_evidence(folder, lvlm, tmp_path, monkeypatch):
    monkeypatch.setattr("neuralgate.run.model.load_quietly", lambda *_, **__: lvlm)
    before = lvlm.fingerprint
    cli_run.begin(str(folder), None, tmp_path / "run", [*FEW, UNREAD], None, None, "report")
    assert lvlm.__dict__.pop("fingerprint") == before == lvlm.fingerprint, "the model is left as it was"
    found = Recipe.load(tmp_path / "run/recipe.yaml")
    assert not found.automatic() and found.pairs.source == DOCUMENTS and found.pairs.size == picture_side(lvlm.processor)
    assert found.locate.layers is None and found.evaluate.max_new_tokens == LONG_ANSWER and 1e-5 <= found.edit.rate <= 3e-3
    scores = read_json(tmp_path / "run/scores.json")
    assert set(scores["base"]) == set(scores["edited"]) == set(scores["controls"]["none"])
    patch = Patch.from_pretrained(tmp_path / "run/patch")
    assert list(patch.tensors) == [role_of(1)] and (tmp_path / "run/report.html").stat().st_size > 10_000
    rows = [row for row in read_jsonl(tmp_path / "run/answers.jsonl") if row["benchmark"] == "privacypair-test"]
    export_merged(folder, patch, tmp_path / "edited")
    served = load(tmp_path / "edited")
    items = [(tmp_path / "run" / row["image"], row["question"]) for row in rows]
    assert served.generate(items, max_new_tokens=LONG_ANSWER) == [row["answers"]["edited"] for row in rows]


def test_a_model_that_reads_nothing_has_nothing_to_prevent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("llava", tmp_path / "llava")
    with pytest.raises(UserError, match=r"reads none of the private subjects .* pairs\.only_read=false"):
        cli_run.begin("llava", None, None, FEW, None, None, "report")
    assert Recipe.load(tmp_path / "runs/llava-default/recipe.yaml").pairs.only_read is True


def test_clerk_reads(tmp_path):
    """The embedded model with this transformers: the family tests run with the oldest supported one, too."""
    pairs = PairSet.synthetic(tmp_path, subjects=["passport"], contrast=["bus ticket"], per_subject=6, contrast_per_subject=1)
    chosen = list(pairs.split("train", "edit"))
    answers = load("clerk").generate([(pairs.folder / pair.image, pair.sensitive_question) for pair in chosen])
    assert sum(contains(answer, pair.sensitive_truth) for answer, pair in zip(answers, chosen, strict=True)) >= 5
