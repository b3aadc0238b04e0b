"""The whole pipeline on every family: pairs, locate, edit, evaluate, report; then the patch in the saved model."""

from neuralgate import pipeline
from neuralgate.edit import Patch
from neuralgate.edit.export import export_merged
from neuralgate.files import read_json, read_jsonl
from neuralgate.judges import contains
from neuralgate.lvlm.load import load
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import Machine, Recipe
from neuralgate.run import Run

SETTINGS = {
    "pairs": {
        "subjects": ["passport"],
        "contrast": ["bus ticket"],
        "per_subject": 3,
        "contrast_per_subject": 1,
        "validation_per_subject": 1,
        "test_per_subject": 1,
        "source": None,
        "size": None,
        "only_read": False,
    },
    "locate": {"layers": [0, 1], "steps": 2, "samples_per_subject": 2},
    "edit": {"gate": "strong", "layers": [1], "max_steps": 2, "check_every": 2, "batch_size": 3, "rate": 0.05},
    "evaluate": {"vqa": 2, "max_new_tokens": 3},
    "variants": ["none"],
}


def test_from_model_and_subjects_to_patch_and_evidence(folder, lvlm, tmp_path):
    recipe = Recipe.parse({**SETTINGS, "model": str(folder)})
    before = lvlm.fingerprint
    with Run.open(tmp_path / "run", recipe, before) as run:
        pipeline.execute(run, lambda: lvlm, Machine())
    assert lvlm.__dict__.pop("fingerprint") == before == lvlm.fingerprint, "the model is left as it was"
    scores = read_json(tmp_path / "run/scores.json")
    assert set(scores["base"]) == set(scores["edited"]) == set(scores["controls"]["none"])
    patch = Patch.from_pretrained(tmp_path / "run/patch")
    assert list(patch.tensors) == [role_of(1)] and (tmp_path / "run/report.html").stat().st_size > 10_000
    rows = [row for row in read_jsonl(tmp_path / "run/answers.jsonl") if row["benchmark"] == "privacypair-test"]
    export_merged(folder, patch, tmp_path / "edited")
    served = load(tmp_path / "edited")
    items = [(tmp_path / "run" / row["image"], row["question"]) for row in rows]
    assert served.generate(items, max_new_tokens=3) == [row["answers"]["edited"] for row in rows]


def test_clerk_reads(tmp_path):
    """The embedded model with this transformers: the family tests run with the oldest supported one, too."""
    pairs = PairSet.synthetic(tmp_path, subjects=["passport"], contrast=["bus ticket"], per_subject=6, contrast_per_subject=1)
    chosen = list(pairs.split("train", "edit"))
    answers = load("clerk").generate([(pairs.folder / pair.image, pair.sensitive_question) for pair in chosen])
    assert sum(contains(answer, pair.sensitive_truth) for answer, pair in zip(answers, chosen, strict=True)) >= 5
