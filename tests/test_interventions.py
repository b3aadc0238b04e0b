"""Patches of any tensor in files and model directories, and faulty folders of steerings, prompts and filters."""

import json
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard

from neuralgate.errors import UserError
from neuralgate.interventions.card import Evidence
from neuralgate.interventions.diff import difference_table
from neuralgate.interventions.directory import revert_folder
from neuralgate.interventions.export import export_merged, export_peft
from neuralgate.interventions.filter import Filter
from neuralgate.interventions.header import sealed
from neuralgate.interventions.load import load_intervention
from neuralgate.interventions.low_rank import decompose, energy_ranks, ranks_of
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.prompt import Prompt
from neuralgate.interventions.redaction import Redaction
from neuralgate.interventions.steering import Steering
from neuralgate.interventions.values import Sparse, difference, flipped
from neuralgate.lvlm.conversation import Conversation
from neuralgate.lvlm.generate import Sampling
from neuralgate.lvlm.load import load
from neuralgate.lvlm.roles import find_role
from tests.conftest import TINY_SIZE

VISION = "parameter:model.vision_tower.encoder.layers.0.mlp.fc1.bias"
ROLES = ("decoder.0.ffn.gate", "decoder.1.attention.key", "decoder.2.norm.attention", "decoder.norm", "embeddings", "head", VISION)


def change(lvlm, values) -> Patch:
    """A patch that adds 1 to the first ``values`` values of each role."""
    base = {role: find_role(lvlm.model, role).detach().clone() for role in values}
    edited = {role: tensor.clone() for role, tensor in base.items()}
    for role, count in values.items():
        edited[role].view(-1)[:count] += 1
    return Patch.between(lvlm, base, edited, {"method": "test"})


# --- any tensor -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_any_tensor_goes_into_a_directory_and_out_again(tiny_folder, tmp_path, role):
    lvlm = load(tiny_folder)
    patch = change(lvlm, {role: 3})
    export_merged(tiny_folder, patch, tmp_path / "in")
    assert patch.state(load(tmp_path / "in").model) == "patched"
    revert_folder(tmp_path / "in", patch, tmp_path / "back")
    assert (tmp_path / "back/model.safetensors").read_bytes() == (tiny_folder / "model.safetensors").read_bytes()


def test_few_values_take_little_room(tiny, tmp_path):
    few, many = change(tiny, {"decoder.0.ffn.gate": 3}), change(tiny, {"decoder.0.ffn.gate": 10**6})
    for patch, name in ((few, "few"), (many, "many")):
        patch.save(tmp_path / name)
        again = load_intervention(tmp_path / name)
        assert again.tensors == patch.tensors and again.identity == patch.identity
    assert few.tensors["decoder.0.ffn.gate"]["encoding"] == "sparse xor" and many.tensors["decoder.0.ffn.gate"]["encoding"] == "xor"
    sizes = [(tmp_path / name / "patch.safetensors").stat().st_size for name in ("few", "many")]
    assert sizes[0] < 400 < sizes[1]


def test_a_sparse_difference_leads_both_ways():
    before = torch.arange(100.0).reshape(4, 25)
    after = before.clone()
    after[1, 3], after[3, 24] = -0.0, 7
    sparse = difference(before, after)
    assert isinstance(sparse, Sparse) and sparse.places_N.tolist() == [28, 99]
    assert torch.equal(flipped(before, sparse), after) and torch.equal(flipped(after, sparse), before)
    assert torch.equal(flipped(before.bfloat16(), difference(before.bfloat16(), after.bfloat16())), after.bfloat16())


@pytest.mark.parametrize("places", [[0, 1, 10**6], [-1, 1, 2], [2, 1, 3], [1, 1, 2], [0, 1]])
def test_places_outside_or_in_disorder_are_refused(tiny, tmp_path, places):
    patch = change(tiny, {"decoder.0.ffn.gate": 3})
    sparse = patch.differences["decoder.0.ffn.gate"]
    patch.differences["decoder.0.ffn.gate"] = Sparse(torch.tensor(places), sparse.bits_N)
    patch.save(tmp_path)
    with pytest.raises(UserError, match="list different tensors"):
        load_intervention(tmp_path)


def test_a_base_of_zeros_has_no_norm(tiny_copy, tmp_path):
    find_role(tiny_copy.model, VISION).data.zero_()
    patch = change(tiny_copy, {VISION: 2})
    assert patch.tensors[VISION]["relative_change"] is None
    patch.save(tmp_path)
    assert "from zero" in (tmp_path / "README.md").read_text() and load_intervention(tmp_path).tensors == patch.tensors


def test_an_edit_that_changes_nothing_is_no_patch(tiny):
    with pytest.raises(UserError, match=r"changed no value of decoder\.norm"):
        change(tiny, {"decoder.norm": 0})


def test_an_edit_of_some_tensors_leaves_others(tiny):
    assert change(tiny, {"decoder.norm": 0, "head": 1}).tensors["decoder.norm"]["changed"] == 0


@pytest.mark.parametrize("role", ["decoder.0.ffn.up", "parameter:nothing", "decoder.0.attention.query.bias", "decoder.9.ffn.in", "lm_head"])
def test_a_tensor_that_is_not_there(tiny, role):
    with pytest.raises(UserError, match=r"has no tensor|names no tensor"):
        find_role(tiny.model, role)


def test_a_role_and_a_name_of_one_tensor(tiny):
    name = "parameter:model.language_model.norm.weight"
    with pytest.raises(UserError, match=r"are one tensor of this model"):
        change(tiny, {"decoder.norm": 1, name: 1})


def test_a_folder_of_format_2_is_read(tiny, tmp_path):
    patch = change(tiny, {"decoder.0.ffn.out": 10**6})
    patch.save(tmp_path)
    header = json.loads((tmp_path / "patch.json").read_text())
    header = {key: value for key, value in header.items() if key != "checksum"} | {"format": 2}
    header["tensors"]["decoder.0.ffn.out"]["energy_ranks"] = {"0.5": 1, "0.9": 2, "0.99": 3}
    (tmp_path / "patch.json").write_text(json.dumps(sealed(header)))
    assert Patch.from_pretrained(tmp_path).identity == patch.identity


# --- strength -------------------------------------------------------------------------------------------------------


def test_a_resolved_patch_is_exact_both_ways(tiny_folder, tiny_copy, tmp_path):
    half = change(tiny_copy, {"decoder.0.ffn.out": 5}).at(0.5)
    exact, before = half.resolved(tiny_copy.model), tiny_copy.fingerprint
    half.apply_(tiny_copy.model)
    assert exact.state(tiny_copy.model) == "patched"
    with pytest.raises(UserError, match=r"at strength 0\.5 knows the way from the base alone"):
        half.revert_(tiny_copy.model)
    exact.revert_(tiny_copy.model)
    del tiny_copy.__dict__["fingerprint"]
    assert tiny_copy.fingerprint == before
    export_merged(tiny_folder, half, tmp_path / "in")
    assert exact.state(load(tmp_path / "in").model) == "patched"
    with pytest.raises(UserError, match="knows the way from the base alone"):
        revert_folder(tmp_path / "in", half, tmp_path / "back")


def test_a_strength_that_overflows_is_refused(tiny):
    before = tiny.fingerprint
    with pytest.raises(UserError, match="no finite numbers"), change(tiny, {"decoder.0.ffn.out": 5}).at(1e300).on(tiny):
        pass
    assert tiny.fingerprint == before


# --- low rank -------------------------------------------------------------------------------------------------------


def test_ranks_of_a_change(tiny_folder, tiny):
    assert ranks_of(tiny_folder, change(tiny, {"decoder.0.ffn.out": 40, "decoder.norm": 3})) == {
        "decoder.0.ffn.out": {0.5: 1, 0.9: 1, 0.99: 1},
        "decoder.norm": {0.5: 1, 0.9: 1, 0.99: 1},
    }
    assert energy_ranks(torch.eye(10)) == {0.5: 5, 0.9: 9, 0.99: 10} and energy_ranks(torch.zeros(2, 2)) == {}


def test_an_adapter_holds_matrices_of_linear_layers_alone(tiny_folder, tiny, tmp_path):
    pytest.importorskip("peft")
    with pytest.raises(UserError, match=r"decoder\.norm is no matrix"):
        decompose(tiny_folder, change(tiny, {"decoder.norm": 3}))
    parts = decompose(tiny_folder, change(tiny, {"embeddings": 3}))
    with pytest.raises(UserError, match="embeddings: not the weight of a linear layer"):
        export_peft(tiny.model, "tiny", parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- steering, prompt, filter ---------------------------------------------------------------------------------------


def steering(lvlm) -> Steering:
    return Steering.for_model(lvlm, {1: torch.ones(TINY_SIZE)}, {"method": "test"})


@pytest.mark.parametrize("vectors", [{}, {1: torch.zeros(TINY_SIZE)}, {1: torch.full((TINY_SIZE,), torch.nan)}])
def test_a_vector_that_steers_nowhere(tiny, vectors):
    with pytest.raises(UserError, match=r"none was given|steers nowhere"):
        Steering.for_model(tiny, vectors, {})


@pytest.mark.parametrize(("layer", "size"), [(1, TINY_SIZE + 1), (99, TINY_SIZE)])
def test_a_vector_of_another_model(tiny, layer, size):
    with pytest.raises(UserError, match=r"has 3 layers of hidden size 32"):
        Steering.for_model(tiny, {layer: torch.ones(size)}, {})


def test_steering_is_the_sum(tiny):
    from neuralgate.lvlm.forward import final_hidden
    from neuralgate.lvlm.prompts import Example, encode_examples

    seen = []
    handle = tiny.layers[2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    batch = encode_examples(tiny, [Example(None, "What is the number of the passport?", "passport", "no")])
    with torch.no_grad():
        final_hidden(tiny, batch)
        with steering(tiny).at(0.5).on(tiny):
            final_hidden(tiny, batch)
    handle.remove()
    torch.testing.assert_close(seen[1], seen[0] + 0.5)


def test_a_filter_refuses_whole_words(tiny, monkeypatch):
    asked = []
    answer = type(tiny).generate_answers
    monkeypatch.setattr(type(tiny), "generate_answers", lambda self, items, *rest: asked.extend(items) or answer(self, items, *rest))
    refusing = Filter(words=("student ID", "passport"), refusal="No.")
    with refusing.on(tiny) as answerer:
        questions = ["Whose Passport?", "Which passports?", "A student id", "Why?"]
        answers = answerer.generate_answers([(None, question) for question in questions], max_new_tokens=3)
    assert [answer.text == "No." for answer in answers] == [True, False, True, False]
    assert [question for _, question in asked] == ["Which passports?", "Why?"]
    with Filter(patterns=(r"\d{3}",)).on(tiny) as answerer:
        monkeypatch.setattr(type(tiny), "generate_answers", lambda self, items, *rest: [answers[1], replaced(answers[1], "it is 4829")])
        kept, hidden = answerer.generate_answers([(None, "a"), (None, "b")])
    assert kept == answers[1] and hidden.text == Filter(words=("a",)).refusal and not hidden.cut_off


def test_a_filter_of_drawn_answers_keeps_their_places(tiny):
    questions = [(None, question) for question in ("Whose passport?", "Why?", "How?")]
    sampling = Sampling(samples=2, seed=3)
    plain = tiny.generate_answers(questions, max_new_tokens=3, sampling=sampling)
    with Filter(words=("passport",)).on(tiny) as answerer:
        assert answerer.generate_answers(questions, max_new_tokens=3, sampling=sampling)[2:] == plain[2:]
        assert [answer.cut_off for answer in answerer.generate_answers(questions, max_new_tokens=3, sampling=sampling)[:2]] == [False] * 2


def test_a_filter_sees_earlier_questions_and_the_prefill(tiny):
    asked = Conversation("Go on.", turns=(("Whose passport?", "Hers."),), prefill="The number is 48")
    for refusing in (Filter(words=("passport",)), Filter(patterns=("is 48",))):
        with refusing.on(tiny) as answerer:
            assert answerer.generate_answers([asked], max_new_tokens=3)[0].text == refusing.refusal


def test_a_prompt_keeps_what_was_asked():
    asked = Conversation("Go on.", turns=(("Why?", "So."),), system="Be kind.", prefill="Yes")
    assert Prompt("No names.").conversation(asked) == replace(asked, system="No names.\nBe kind.")
    assert Prompt("No names.", "question").conversation(asked) == replace(asked, question="No names.\nGo on.")


def replaced(answer, text):
    return type(answer)(text, answer.ids, answer.cut_off)


@pytest.mark.parametrize("settings", [{}, {"words": [" "]}, {"words": ["a"], "refusal": ""}, {"patterns": ["("]}])
def test_a_filter_that_would_do_nothing(settings):
    with pytest.raises(UserError, match=r"A filter needs|no regular expression"):
        Filter(**settings)


def test_an_empty_prompt_is_refused():
    with pytest.raises(UserError, match="needs a text"):
        Prompt(" ")


MADE = {
    "steering": steering,
    "prompt": lambda _: Prompt("Be quiet.", "question"),
    "filter": lambda _: Filter(("passport",)),
    "redaction": lambda _: Redaction(seed=3),
}


def rewrite(folder, **changed):
    header = json.loads((folder / "intervention.json").read_text())
    del header["checksum"]
    (folder / "intervention.json").write_text(json.dumps(sealed({**header, **changed})))


@pytest.mark.parametrize("kind", MADE)
def test_a_faulty_folder_is_one_sentence(tiny, tmp_path, kind):
    MADE[kind](tiny).save(tmp_path)
    path = tmp_path / "intervention.json"
    whole = path.read_bytes()
    for spoiled, said in (
        (whole[:-9], "is broken"),
        (b"[]", "is broken"),
        (whole.replace(b'"kind"', b'"kinds"'), "does not match its checksum"),
        (whole.replace(b'"format": 1', b'"format": 2'), "is of format 2, this neuralgate reads format 1"),
    ):
        path.write_bytes(spoiled)
        with pytest.raises(UserError, match=said):
            load_intervention(tmp_path)
    path.write_bytes(whole)
    for changed, said in (
        ({"kind": "spell"}, "is of the kind 'spell', known are"),
        ({"kind": ["filter"]}, "known are"),
        ({"text": 5, "words": 5, "strength": "5", "places": 5}, f"no description of a {kind}"),
        ({"text": " ", "words": [], "safetensors_sha256": "0" * 64, "seed": 1.5}, r"needs|does not match its checksum|no description"),
    ):
        path.write_bytes(whole)
        rewrite(tmp_path, **changed)
        with pytest.raises(UserError, match=said):
            load_intervention(tmp_path)
    path.write_bytes(whole)
    link = tmp_path / "link"
    link.symlink_to("/")
    with pytest.raises(UserError, match="is a link"):
        load_intervention(tmp_path)
    link.unlink()
    path.unlink()
    with pytest.raises(UserError, match=r"is no intervention's folder .neither patch\.json nor intervention\.json"):
        load_intervention(tmp_path)


def test_other_vectors_are_refused(tiny, tmp_path):
    import hashlib

    from safetensors.torch import save

    steering(tiny).save(tmp_path)
    for tensors in (
        {},
        {"a": torch.ones(3)},
        {"decoder.01.output": torch.ones(TINY_SIZE)},
        {"decoder.1.output": torch.ones(2, 2)},
        {"decoder.1.output": torch.full((TINY_SIZE,), torch.inf)},
    ):
        data = save(tensors)
        (tmp_path / "steering.safetensors").write_bytes(data)
        with pytest.raises(UserError, match="does not match its checksum"):
            load_intervention(tmp_path)
        rewrite(tmp_path, safetensors_sha256=hashlib.sha256(data).hexdigest())
        with pytest.raises(UserError, match=r"something else than vectors|holds no vector"):
            load_intervention(tmp_path)
        steering(tiny).save(tmp_path)
    (tmp_path / "steering.safetensors").unlink()
    with pytest.raises(UserError, match="is missing or does not match"):
        load_intervention(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "x" * 300 + "/y"])
def test_a_name_that_no_folder_can_have(name):
    with pytest.raises(UserError, match=r"is no intervention's folder|cannot be had from the hub"):
        load_intervention(name)


# --- side by side, and on cards -------------------------------------------------------------------------------------


def test_two_filters_side_by_side(tiny):
    header, rows = difference_table(Filter(("a", "b")), Filter(("b",), ("c",)))
    assert header[-1] == "in" and {tuple(row[1:]) for row in rows} == {("a", "first"), ("b", "both"), ("c", "second")}
    with pytest.raises(UserError, match="A filter and steering have nothing to compare"):
        difference_table(Filter(("a",)), steering(tiny))


def test_scores_stand_in_the_metadata_of_the_card(tiny, tmp_path):
    score = {"value": 0.75, "low": 0.5, "high": 0.9, "n": 8}
    patch = change(tiny, {"head": 1})
    patch.information["base_model"] = "someone/model"
    patch.save(tmp_path, Evidence("## Effect\n\n", {"unseen-subjects": {"rta_sensitive": score}}))
    data = ModelCard.load(tmp_path / "README.md").data
    (result,) = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("unseen-subjects", "rta_sensitive", 0.75)
    assert data.base_model == "someone/model" and "## Effect" in (tmp_path / "README.md").read_text()
