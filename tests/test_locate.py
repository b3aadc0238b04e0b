"""Locate against a plain loop of one sample at a time, and the votes that come of it."""

import random
import weakref

import pytest
import torch

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.locate import evidence as evidence_module
from neuralgate.locate import layers as layers_module
from neuralgate.locate.locate import locate_gate, locate_votes
from neuralgate.locate.samples import Sample, make_samples
from neuralgate.locate.summary import verdict
from neuralgate.locate.vectors import Prepared, answers_under, optimise_vectors
from neuralgate.lvlm.prompts import Example, encode_examples
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.templates import PARAPHRASES, TEMPLATES
from neuralgate.recipe import LocateConfig
from tests.plain_locate import few_differ, plain_fit, scaled, subject_places

BASE = LocateConfig(steps=6, samples_per_subject=2, stop_loss=0.0)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokens": "last", "contexts": True, "one_prefix": False},
        {"parametrisation": "clamp", "gamma": 1.0, "contexts": True},
        {"parametrisation": "clamp", "tokens": "last", "start": 0.9},
        {"start": 2.0, "lambda_benign": 0.0, "eps": 1e-6, "rate": 1.0},
    ],
    ids=["default", "authors", "paper", "clamp-last", "small-eps"],
)
def test_vectors_are_those_of_the_plain_loop(tiny, pairs, settings, layer):
    config = BASE.model_copy(update=settings)
    samples = [item.sample for item in make_samples(pairs, config)]
    assert len(samples) == 4 and len(samples[0].sensitive) == (6 if config.contexts else 1)
    result = optimise_vectors(tiny, samples, [layer], config)
    for index, sample in enumerate(samples):
        expected = plain_fit(tiny, sample, [layer], config)
        torch.testing.assert_close(result.vectors_NLD[index, 0], expected.vector, rtol=0, atol=2e-3)
        clear = expected.vector.abs() > 2e-3
        assert torch.equal((result.vectors_NLD[index, 0] < 0)[clear], (expected.vector < 0)[clear]) and clear.float().mean() > 0.9
        found = [result.sensitive_start_N, result.benign_start_N, result.sensitive_end_N, result.benign_end_N]
        for value, wanted in zip(found, (*expected.start, *expected.end), strict=True):
            assert value[index].item() == pytest.approx(wanted.item(), abs=2e-3)
        assert result.steps_N[index] == expected.steps == config.steps
    assert (result.vectors_NLD[:, 0].abs() <= 1).all()
    if config.gamma < 1:  # otherwise sparsity may win within six steps
        assert (result.vectors_NLD[:, 0] < 0).any() and result.sensitive_end_N.mean() < result.sensitive_start_N.mean()


CASES = 12


@pytest.mark.parametrize("seed", range(CASES))
def test_in_double_precision_every_sign_is_that_of_the_plain_loop(tiny_double, pairs, seed):
    """Cases drawn at random: ragged lengths, the subject early or late in the question, one to six contexts, one or all of its
    tokens, one layer or two jointly; every other time a sample finishes before the others and leaves the batch."""
    draw = random.Random(seed)
    config = BASE.model_copy(
        update={
            "tokens": draw.choice(["all", "last"]),
            "parametrisation": draw.choice(["tanh", "clamp"]),
            "gamma": draw.choice([0.001, 0.1]),
            "steps": draw.choice([3, 5]),
        }
    )
    contexts = draw.choice([1, 2, 6])
    samples = []
    for pair in draw.sample(list(pairs.split("train", "edit")), 3):
        image = pairs.folder / pair.image
        wordings = [draw.choice([*TEMPLATES, *PARAPHRASES]).format(attribute="{}", subject=pair.subject) for _ in range(contexts)]
        sensitive = tuple(Example(image, text.format("number"), pair.subject, pair.refusal) for text in wordings)
        target = draw.choice(["The colour", "It is the colour red"])
        samples.append(Sample(pair.subject, sensitive, Example(image, wordings[0].format("colour"), pair.subject, target)))
    layers = draw.choice([[0], [1], [0, 1], [1, 2]])
    if seed % 2:
        second_N = optimise_vectors(tiny_double, samples, layers, config).curve_NT[:, 1].sort().values
        config = config.model_copy(update={"stop_loss": second_N[:2].mean().item()})
    result = optimise_vectors(tiny_double, samples, layers, config)
    assert (result.steps_N.min() < result.steps_N.max()) == bool(seed % 2), "nothing left the batch: the case tests less than it says"
    for index, sample in enumerate(samples):
        expected = plain_fit(tiny_double, sample, layers, config)
        assert result.steps_N[index] == expected.steps
        assert result.curve_NT[index, : expected.steps].tolist() == pytest.approx(expected.curve, rel=1e-6)
        assert torch.equal(result.vectors_NLD[index] < 0, expected.vectors < 0)
        torch.testing.assert_close(result.vectors_NLD[index], expected.vectors, rtol=0, atol=5e-5)
        for value, wanted in zip((result.sensitive_end_N, result.benign_end_N), expected.end, strict=True):
            assert value[index].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_one_pass_serves_all_layers_and_a_smaller_batch_is_the_same_batch(tiny, pairs):
    samples = [item.sample for item in make_samples(pairs, BASE)]
    prepared = Prepared(tiny, samples, 0, BASE)
    assert prepared.labels_BT.shape[1] < 30, "the image and all that stands before the subject are left out of the steps"
    vectors = torch.rand(len(samples), 1, tiny.hidden_size, generator=torch.Generator().manual_seed(5)) * 2 - 1
    members = torch.tensor([True, False, True, True])
    for layer in (0, 1):
        with torch.no_grad():
            losses = prepared.losses([layer], vectors)
            alone = Prepared(tiny, samples, layer, BASE).losses([layer], vectors)
            fewer = prepared.select(members, layer).losses([layer], vectors[members])
        torch.testing.assert_close(losses, alone, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(losses[members], fewer, rtol=1e-5, atol=1e-5)


def test_a_batch_that_does_not_fit_leaves_no_recording_behind(tiny, pairs, locate_config, located_gate, monkeypatch):
    """Memory for one recording of at most two samples: it is found by halving, and no second one is ever held."""
    held = weakref.WeakSet()

    class Small(Prepared):
        def __init__(self, lvlm, samples, lowest, config):
            if len(held) or len(samples) > 2:
                raise torch.OutOfMemoryError("no memory")
            super().__init__(lvlm, samples, lowest, config)
            held.add(self)

    monkeypatch.setattr(layers_module, "Prepared", Small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(tiny, "sizes", {})
    found = locate_gate(tiny, pairs, locate_config)
    assert few_differ(found, located_gate)
    assert tiny.sizes["locating"] <= 2


def test_a_sample_stops_when_its_own_loss_is_low_and_the_others_go_on(tiny, pairs):
    config = BASE.model_copy(update={"steps": 25, "lambda_benign": 0.2})
    samples = [item.sample for item in make_samples(pairs, config)]
    free = optimise_vectors(tiny, samples, [0], config)
    losses = free.sensitive_end_N + config.lambda_benign * free.benign_end_N
    config = config.model_copy(update={"stop_loss": losses.sort().values[1:3].mean().item()})  # two samples get there
    result = optimise_vectors(tiny, samples, [0], config)
    plain = [plain_fit(tiny, sample, [0], config) for sample in samples]
    assert result.steps_N.tolist() == [expected.steps for expected in plain]
    assert len(set(result.steps_N.tolist())) > 1 and (result.steps_N < 25).any(), "nothing stopped early: the test tests nothing"
    torch.testing.assert_close(result.vectors_NLD[:, 0], torch.stack([expected.vector for expected in plain]), rtol=0, atol=5e-3)
    end = torch.stack([expected.end[0] + config.lambda_benign * expected.end[1] for expected in plain])
    assert result.converged_N.tolist() == (end < config.stop_loss).tolist()


def test_a_sample_does_not_feel_its_neighbours(tiny, pairs):
    samples = [item.sample for item in make_samples(pairs, BASE)]
    together, alone = optimise_vectors(tiny, samples, [1], BASE), optimise_vectors(tiny, samples[1:2], [1], BASE)
    torch.testing.assert_close(together.vectors_NLD[1], alone.vectors_NLD[0], rtol=0, atol=1e-3)


def plain_answer(lvlm, example, layer, vector, tokens, length):
    """Greedy, one token at a time, without a cache."""
    batch = encode_examples(lvlm, [type(example)(example.image, example.question, example.subject, "")])
    places = subject_places(batch, tokens)
    ids = batch.input_ids_BT
    for _ in range(length):
        handle = scaled(lvlm, layer, places, vector)
        logits = lvlm.model(input_ids=ids, **batch.fields, use_cache=False).logits[0, -1]
        handle.remove()
        ids = torch.cat([ids, logits.argmax()[None, None]], 1)
    return lvlm.tokenizer.decode(ids[0, batch.input_ids_BT.shape[1] :]).strip()


@torch.no_grad()
@pytest.mark.parametrize("tokens", ["all", "last"])
@pytest.mark.parametrize("layer", [0, 2])
def test_answers_under_vectors_are_those_of_one_hooked_sample(tiny, pairs, tokens, layer):
    examples = [example for item in make_samples(pairs, BASE) for example in (item.sample.sensitive[0], item.sample.benign)]
    vectors = 3 * torch.randn(len(examples), tiny.hidden_size, generator=torch.Generator().manual_seed(layer))
    answers = answers_under(tiny, examples, [layer], vectors[:, None], tokens, max_new_tokens=4)
    assert answers == [plain_answer(tiny, e, layer, v, tokens, 4) for e, v in zip(examples, vectors, strict=True)]
    untouched = answers_under(tiny, examples, [layer], torch.ones_like(vectors)[:, None], tokens, max_new_tokens=4)
    assert untouched == tiny.generate([(e.image, e.question) for e in examples], max_new_tokens=4)
    assert layer == 2 or answers != untouched, "at the last layer the subject's tokens speak to nobody any more"


# --- the whole stage ------------------------------------------------------------------------------------------------


def test_votes_are_shares_of_negative_values(tiny, pairs, locate_config, located_gate):
    samples = make_samples(pairs, locate_config)
    assert located_gate.subjects == ("passport", "student id") and located_gate.layers == (0, 1) and located_gate.model == tiny.fingerprint
    for layer in located_gate.layers:
        for subject in located_gate.subjects:
            vectors = [plain_fit(tiny, item.sample, [layer], locate_config).vector for item in samples if item.sample.subject == subject]
            share = sum((vector < 0).float() for vector in vectors) / 3
            differing = (located_gate.votes(subject, layer) - share).abs() > 1e-6
            assert differing.sum() <= 1, "one value may stand within rounding of zero"


def test_the_summary_says_what_the_votes_say(located_gate, locate_config):
    for row, layer in zip(located_gate.summary["profile"], located_gate.layers, strict=True):
        votes = located_gate.votes_SLD[:, located_gate.layers.index(layer)]
        assert row["layer"] == layer
        assert row["inactive"] + row["weak"] + row["strong"] == pytest.approx(1, abs=2e-4)
        assert row["strong"] == pytest.approx((votes > 0.3).double().mean().item(), abs=1e-4)
        assert row["loss_end"] < row["loss_start"]
        assert (
            {"refused_sensitive", "refused_benign", "leak", "degenerate", "n"}
            == set(row["own"])
            == set(row["strong_flipped"])
            == set(row["random_flipped"])
            == set(row["held_out_majority"])
            == set(row["held_out_mean"])
            == set(row["shuffled_mean"])
            == set(row["other_mean"])
        )
        assert row["held_out_mean"]["n"] == 6, "every sample is asked under what the two others of its subject say"
        assert row["own"]["n"] == 6
        counts = located_gate.summary["histogram"]["counts"][str(layer)]
        assert sum(counts) == pytest.approx(1, abs=1e-3) and len(counts) == len(located_gate.summary["histogram"]["edges"]) - 1
        for subject in located_gate.subjects:
            assert located_gate.summary["strong_count"][subject][str(layer)] == int((located_gate.votes(subject, layer) > 0.3).sum())
    assert located_gate.summary["settings"] == locate_config.model_dump(mode="json")
    assert "do nothing at any layer" in located_gate.summary["verdict"], "five steps on a random model"


def test_held_out_vectors_know_nothing_of_their_own_sample(pairs):
    located = make_samples(pairs, LocateConfig(samples_per_subject=3))
    subjects = [item.pair.subject for item in located]
    generator = torch.Generator().manual_seed(0)
    vectors_NLD = torch.randn(len(located), 2, 7, generator=generator)
    places, found = evidence_module.held_out_vectors(located, vectors_NLD)
    assert places == list(range(len(located)))
    for row, place in enumerate(places):
        others = [i for i, subject in enumerate(subjects) if subject == subjects[place] and i != place]
        strangers = [i for i, subject in enumerate(subjects) if subject != subjects[place]]
        mean = sum(vectors_NLD[i] for i in others) / len(others)
        assert torch.allclose(found["held_out_mean"][row], mean)
        flips = sum((vectors_NLD[i] < 0).int() for i in others)
        assert torch.equal(found["held_out_majority"][row], torch.where(2 * flips > len(others), -1.0, 1.0))
        assert torch.allclose(found["other_mean"][row], sum(vectors_NLD[i] for i in strangers) / len(strangers))
        assert torch.allclose(found["shuffled_mean"][row].sort(-1).values, mean.sort(-1).values)
        assert not torch.allclose(found["shuffled_mean"][row], mean)
        changed = vectors_NLD.clone()
        changed[place] = 9.0
        again = evidence_module.held_out_vectors(located, changed)[1]
        assert all(torch.equal(again[kind][row], found[kind][row]) for kind in ("held_out_mean", "held_out_majority", "shuffled_mean"))


def test_a_sample_alone_has_no_others(pairs):
    alone = make_samples(pairs, LocateConfig(samples_per_subject=1))
    assert evidence_module.held_out_vectors(alone, torch.ones(len(alone), 1, 5)) == ([], {})


@pytest.mark.parametrize(
    ("own", "strong", "mean", "shuffled", "said"),
    [
        (0.1, 0.0, 0.0, 0.0, "do nothing at any layer"),
        (0.6, 0.0, 0.0, 0.0, "for a part of the samples only, but their votes do not carry it"),
        (0.9, 0.0, 0.5, 0.4, "one by one, but their votes do not carry it"),
        (0.9, 0.0, 0.5, 0.1, "their mean carries part of it to other samples"),
        (0.9, 0.4, 0.5, 0.1, "their votes carry part of it"),
    ],
)
def test_the_verdict_follows_from_the_answers(own, strong, mean, shuffled, said):
    refused = {
        "own": own,
        "strong_flipped": strong,
        "random_flipped": 0.0,
        "held_out_mean": mean,
        "shuffled_mean": shuffled,
        "other_mean": 0.0,
    }
    row = {kind: {"refused_sensitive": share, "refused_benign": 0.0, "n": 12} for kind, share in refused.items()}
    text = verdict([{"layer": 3, "strong": 0.1, **row}])
    assert said in text and f"other samples it is refused {mean:.2f}" in text
    assert "other samples" not in verdict([{"layer": 3, "strong": 0.1, **{k: row[k] for k in list(row)[:3]}}]).replace("samples only", "")


def test_a_killed_stage_finds_its_chunks(tiny, pairs, locate_config, located_gate, tmp_path, monkeypatch):
    monkeypatch.setattr(layers_module, "CHUNK_ROWS", 4)  # two samples a chunk
    first = locate_gate(tiny, pairs, locate_config, chunks=Chunks(tmp_path))
    assert few_differ(first, located_gate)
    monkeypatch.setattr(layers_module, "optimise_vectors", None)
    monkeypatch.setattr(evidence_module, "answers_under", None)
    again = locate_gate(tiny, pairs, locate_config, chunks=Chunks(tmp_path))
    assert torch.equal(again.votes_SLD, first.votes_SLD) and again.summary == first.summary


def test_the_model_is_left_as_it_was(tiny, pairs, locate_config, located_gate):
    hooks = [hook for layer in tiny.layers for hook in layer._forward_hooks.values()]
    assert not [hook for hook in hooks if hook.__module__.startswith("neuralgate")]
    assert type(tiny)(tiny.model, tiny.processor, "again").fingerprint == located_gate.model


@pytest.mark.parametrize("layers", [[3], [0, 17]])
def test_a_layer_out_of_range_is_refused(tiny, pairs, locate_config, layers):
    with pytest.raises(UserError, match=r"Layer (3|17) is out of range: .* layers 0 to 2"):
        locate_gate(tiny, pairs, locate_config.model_copy(update={"layers": layers}))


def test_nothing_to_locate_is_refused(tiny, pairs, locate_config):
    with pytest.raises(UserError, match="no training pairs"):
        locate_gate(tiny, pairs.split("validation"), locate_config)
    with pytest.raises(UserError, match="no training pairs"):
        locate_gate(tiny, PairSet([], pairs.folder), locate_config)


def test_votes_alone_ask_the_model_nothing_and_are_those_of_the_gate(tiny, pairs, locate_config, located_gate, monkeypatch):
    monkeypatch.setattr(evidence_module, "answers_under", None)
    votes = locate_votes(tiny, pairs, locate_config)
    assert votes.gate.identity == located_gate.identity and not votes.gate.summary
    assert torch.equal(votes.owner_N, torch.tensor([located_gate.subjects.index(item.pair.subject) for item in votes.samples]))


# --- layers jointly -------------------------------------------------------------------------------------------------


def test_joint_layers_have_a_vector_each_and_one_loss(tiny, pairs, locate_config):
    joint = locate_config.model_copy(update={"joint": True})
    gate = locate_gate(tiny, pairs, joint)
    samples = make_samples(pairs, joint)
    assert gate.layers == (0, 1)
    for subject in gate.subjects:
        vectors = [plain_fit(tiny, item.sample, [0, 1], joint).vectors for item in samples if item.sample.subject == subject]
        share_LD = sum((vector < 0).float() for vector in vectors) / 3
        for place, layer in enumerate(gate.layers):
            assert ((gate.votes(subject, layer) - share_LD[place]).abs() > 1e-6).sum() <= 1
    first, second = gate.summary["profile"]
    assert first["layer"] == 0 and second["layer"] == 1 and first["loss_end"] == second["loss_end"]
    assert first["own"] == second["own"]
    assert not torch.equal(gate.votes_SLD[:, 0], gate.votes_SLD[:, 1])
    alone = locate_gate(tiny, pairs, locate_config)
    assert not torch.equal(alone.votes_SLD, gate.votes_SLD)


def test_answers_under_vectors_are_long_enough_to_leak(tiny, pairs):
    """A card number has 17 to 24 tokens where a digit is one; Clerk's answers are short."""
    example = make_samples(pairs, BASE)[0].sample.sensitive[0]
    ones = torch.ones(1, 1, tiny.hidden_size)
    assert answers_under(tiny, [example], [0], ones, "all") == tiny.generate([(example.image, example.question)], max_new_tokens=64)
    short = type(tiny)(tiny.model, tiny.processor, "clerk")
    assert answers_under(short, [example], [0], ones, "all") == tiny.generate([(example.image, example.question)], max_new_tokens=10)
