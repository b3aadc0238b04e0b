"""The analysis of a gate: statistics against plain computations, texts that follow the numbers, files, resume."""

import copy
import csv
import json
import shutil
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from fake_run import make_run
from scipy import stats
from test_pipeline import recipe_for

from neuralgate.chunks import Chunks
from neuralgate.cli import main as cli
from neuralgate.errors import UserError
from neuralgate.evaluate.intervals import wilson
from neuralgate.files import hash_path, read_json, read_jsonl, write_json
from neuralgate.locate import layers as locate_layers
from neuralgate.locate.gate import Gate
from neuralgate.locate.samples import make_samples
from neuralgate.lvlm.prompts import encode_examples
from neuralgate.machine import Machine
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.subjects import subjects_of
from neuralgate.paper import activation, edits, overlap, profile, section, sensitivity, sweeps
from neuralgate.paper.analyse import analyse, edited_layer, other_draws, refuse_other_votes
from neuralgate.paper.figures import edit_texts, exhibits, load_analysis, vote_figures
from neuralgate.paper.figures.words import OPENINGS, difference
from neuralgate.paper.scores import eta_score, mean_score, wilson_score
from neuralgate.paper.section import analysis_section
from neuralgate.recipe import EditConfig, LocateConfig
from neuralgate.records.choice import read_choice
from neuralgate.report.html import write_report
from neuralgate.run import pipeline
from neuralgate.run.folder import Run
from tests.plain_locate import subject_places

#: The real sweeps are for a model that can do something; here every kind of piece is made once or twice.
FEW = {"lambda_benign": (1.0, 1.25), "parametrisation": ("tanh", "clamp"), "tokens": ("all", "last")}


@pytest.fixture(scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "LOCATE_SWEEP", FEW)
        patch.setattr(sensitivity, "LOCATE_SWEEP", FEW)
        patch.setattr(edits, "LAMBDAS", (1.0, 1.25))
        patch.setattr(edits, "THRESHOLDS", (0.3, 0.6))
        for module in (profile, overlap, activation):
            patch.setattr(module, "DRAWS", 50)
        yield


@pytest.fixture(scope="module")
def folder(few, tiny, tiny_folder, tmp_path_factory):
    """A finished run, analysed through the command line. Leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "analysed"
    with Run.open(folder, recipe_for(tiny_folder, []), tiny.fingerprint) as run:
        pipeline.execute(run, lambda: tiny, Machine())
    assert "Analysis of the gate" not in (folder / "report.html").read_text()
    call("locate", folder, "--analyse", "--machine", "threads=1")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return read_json(folder / "analysis/analysis.json")


def call(*arguments):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", ["neuralgate", *map(str, arguments)])
        cli.main()
    assert not stop.value.code


# --- statistics -----------------------------------------------------------------------------------------------------


def test_bins_sum_to_one_and_are_closed_on_the_right():
    votes_D = torch.tensor([0, 3, 3, 1, 10, 4]) / 10
    assert profile.vote_bins(votes_D) == pytest.approx([1 / 6, 1 / 6, 0, 2 / 6, 1 / 6, 0, 0, 0, 0, 0, 1 / 6])
    for samples in range(1, 40):  # a vote of n is in the bin that its class says, whatever rounding does
        votes_D = torch.tensor([float(count) for count in range(samples + 1)]) / samples
        bins = profile.vote_bins(votes_D)
        assert sum(bins) == pytest.approx(1) and len(bins) == 11
        assert sum(bins[4:]) == pytest.approx(profile.class_shares(votes_D[None], 0.3)["strong"].item())


def test_the_chance_level_of_jaccard_is_that_of_a_simulation():
    generator = np.random.default_rng(0)
    first, second, size = 12, 20, 40
    drawn = []
    for _ in range(4000):
        one, other = (set(generator.permutation(size)[:count]) for count in (first, second))
        drawn.append(len(one & other) / len(one | other))
    assert overlap.expected_jaccard(first, second, size) == pytest.approx(np.mean(drawn), abs=0.005)
    sets = [np.isin(np.arange(size), generator.permutation(size)[:count])[None] for count in (first, second)]
    compared = overlap.mean_overlap(*sets)
    assert (compared["chance_low"], compared["chance_high"]) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.03)
    assert compared["value"] == pytest.approx((sets[0] & sets[1]).sum() / (sets[0] | sets[1]).sum(), abs=1e-4)


def test_two_empty_sets_have_no_overlap_and_equal_ones_the_whole():
    nothing, something = np.zeros((1, 5), bool), np.eye(5, dtype=bool)[:1]
    assert overlap.mean_overlap(nothing, nothing) is None
    assert overlap.mean_overlap(nothing, something)["value"] == 0 and overlap.mean_overlap(something, something)["value"] == 1


def test_the_interval_of_shares_covers_what_other_samples_would_give():
    """Samples of dimensions that flip with known chances: about 95 % of the intervals contain the expected share."""
    generator = torch.Generator().manual_seed(0)
    size, count, draws = 120, 10, 60
    chance_D = torch.rand(size, generator=generator) ** 2
    owner_N = torch.zeros(count, dtype=torch.long)

    def sample():
        # samples differ as wholes, too: their dimensions flip more or less together
        flips_N1 = 0.5 + torch.rand(count, 1, generator=generator)
        return torch.rand(count, size, generator=generator) < chance_D * flips_N1

    expected = torch.stack([profile.class_shares(sample().float().mean(0)[None], 0.3)["strong"] for _ in range(2000)]).mean().item()
    hits = 0
    for draw in range(draws):
        score = profile.shares_with_intervals(sample(), owner_N, 0.3, seed=draw)["strong"]
        assert score["low"] <= score["value"] <= score["high"]
        hits += score["low"] <= expected <= score["high"]
    assert hits >= 0.85 * draws


def test_shares_of_samples_that_say_little():
    never = profile.shares_with_intervals(torch.zeros(6, 20, dtype=torch.bool), torch.arange(2).repeat(3), 0.3)
    assert never["rare"] is None and never["inactive"]["value"] == 1, "nothing flips, so nothing flips rarely or often"
    flips_ND = torch.zeros(20, 20, dtype=torch.bool)
    flips_ND[0, :10] = True  # of the first subject, once in ten samples
    some = profile.shares_with_intervals(flips_ND, torch.arange(2).repeat_interleave(10), 0.3)
    assert some["rare"]["value"] == 1, "the subject without a flip does not count"
    single = profile.shares_with_intervals(flips_ND[:2], torch.arange(2), 0.3)["strong"]
    assert (single["low"], single["high"]) == (0, 1), "one sample a subject has no spread"


def test_subjects_that_share_dimensions_do_not_narrow_chance():
    """Six copies of one gate against six of an unrelated one: chance is that of one pair, not of six independent ones."""
    generator = np.random.default_rng(0)
    hits, top = 0, 0
    for seed in range(100):
        first_D, second_D = (generator.permutation(200) < 40 for _ in range(2))
        compared = overlap.mean_overlap(np.tile(first_D, (6, 1)), np.tile(second_D, (6, 1)), seed)
        hits += compared["chance_low"] <= compared["value"] <= compared["chance_high"]
        sizes_SD = torch.from_numpy(generator.permutation(200)).float().expand(6, -1)
        found = activation.against_votes(sizes_SD, torch.from_numpy(np.tile(first_D, (6, 1))).float(), 0.3)["top"]
        top += found["chance_low"] <= found["value"] <= found["chance_high"]
    assert hits >= 85 and top >= 85


def test_halves_of_clones_agree_and_halves_of_noise_do_not():
    generator = torch.Generator().manual_seed(0)
    owner_N = torch.arange(2).repeat_interleave(8)
    always_ND = (torch.rand(2, 200, generator=generator) < 0.3)[owner_N]
    same = overlap.between_halves(always_ND, owner_N, 0.3)
    assert same["value"] == 1 and same["low"] > same["chance_high"]
    noise = overlap.between_halves(torch.rand(16, 200, generator=generator) < 0.3, owner_N, 0.3)
    assert noise["chance_low"] < noise["value"] < noise["chance_high"] and noise["value"] == pytest.approx(noise["chance"], abs=0.08)
    assert overlap.between_halves(always_ND[:1], owner_N[:1], 0.3) is None


def test_size_and_votes():
    size_SD = torch.arange(1.0, 101)[None].repeat(2, 1)
    follows = activation.against_votes(size_SD, size_SD / 200, 0.3)
    assert follows["rho"]["value"] == pytest.approx(1) and follows["top"]["value"] == 1 and follows["top"]["chance"] == pytest.approx(0.4)
    opposed = activation.against_votes(size_SD, 1 - size_SD / 101, 0.3)
    assert opposed["rho"]["high"] < 0 and opposed["top"]["value"] < opposed["top"]["chance_low"]
    assert activation.against_votes(size_SD, torch.zeros(2, 100), 0.3) == {"rho": None, "top": None}
    assert activation.massive(torch.cat([size_SD, torch.full((2, 1), 2000.0)], 1)) == [{"dimension": 100, "ratio": 39.2}]


@pytest.mark.parametrize("tokens", ["all", "last"])
def test_sizes_are_those_of_the_scaled_tokens(tiny, pairs, tokens):
    located = make_samples(pairs, LocateConfig(samples_per_subject=1))
    size_NLD, first_NLD, ratio_NL = activation.layer_sizes(tiny, located, [0, 1], tokens)
    for number, item in enumerate(located):
        batch = encode_examples(tiny, [item.sample.sensitive[0]])
        with torch.no_grad():
            hidden_TD = tiny.model(**batch.inputs, output_hidden_states=True).hidden_states[1][0]  # after layer 0
        places = subject_places(batch, tokens)
        assert torch.allclose(size_NLD[number, 0], hidden_TD[places].abs().mean(0), atol=1e-5)
        assert torch.allclose(first_NLD[number, 0], hidden_TD[0].abs(), atol=1e-5)
        norms_T = hidden_TD.norm(dim=-1)
        assert ratio_NL[number, 0].item() == pytest.approx((norms_T[0] / norms_T.median()).item(), rel=1e-4)


def test_intervals():
    score = wilson_score(0.25, 48)
    assert (score["low"], score["high"]) == pytest.approx(wilson(12, 48), abs=1e-4)
    assert wilson_score(None, 5) is None and wilson_score(0.5, 0) is None
    perfect = eta_score(wilson_score(1.0, 30), wilson_score(0.0, 30))
    assert perfect["value"] == 1 and perfect["low"] < 1 and perfect["high"] == 1
    assert mean_score([0.2, 0.4])["value"] == pytest.approx(0.3) and mean_score([0.2])["low"] == 0.2
    gap = difference(wilson_score(0.9, 60), wilson_score(0.1, 60))
    assert gap["low"] > 0.6 and difference(score, score)["low"] < 0 < difference(score, score)["high"]


# --- the whole ------------------------------------------------------------------------------------------------------


def test_the_folder_holds_every_figure_three_times(folder, found):
    names = {path.name for path in (folder / "analysis").iterdir()}
    figures = [item.drawing.name for item in exhibits(found)]
    assert names == {"analysis.json", *(f"{figure}.{kind}" for figure in figures for kind in ("svg", "pdf", "csv"))}
    assert "<h2>Analysis of the gate</h2>" in (folder / "report.html").read_text(), "drawn again"
    assert not list((folder / ".work").glob("*"))


def test_votes_are_the_gates_and_the_rest_stands_beside_them(folder, found):
    gate = Gate.load(folder / "gate")
    assert found["votes_changed"] == 0 and found["gate"] == hash_path(folder / "gate")
    assert found["chosen_layer"] == read_choice(folder)["chosen_layer"] and [row["layer"] for row in found["radius"]["layers"]] == [0, 1]
    for row, known in zip(found["profile"], gate.summary["profile"], strict=True):
        assert [row[name]["value"] for name in ("inactive", "weak", "strong")] == pytest.approx(
            [known[name] for name in ("inactive", "weak", "strong")], abs=1e-4
        )
        assert set(row["gradient"]) == {"image", "question", "subject", "answer"} and row["gradient"]["answer"]["value"] > 0
        assert row["own"]["refused_benign"]["n"] == 4
    assert all(abs(sum(row) - 1) < 1e-3 for rows in found["bins"]["subjects"].values() for row in rows)
    assert list(found["overlap"]["again"]) == ["other samples"]


def test_sweeps_have_their_controls_and_their_damage(found):
    for name, values in (("lambda", (1.0, 1.25)), ("threshold", (0.3, 0.6))):
        rows = found["sweeps"][name]
        assert [(row["value"], row["gate"]) for row in rows] == [(value, gate) for value in values for gate in ("strong", "random", "none")]
        for row in rows:
            assert row["rta_sensitive"]["n"] and row["rta_benign"]["n"] and row["benign_accuracy"]["n"]
            assert row["public_refused"]["n"] == len(subjects_of("contrast")) - 1, "one of them is contrast"
    # a trial that both sweeps need was made once
    assert found["sweeps"]["lambda"][3] == found["sweeps"]["threshold"][0] | {"value": 1.25}
    own = [row for row in found["sensitivity"] if row["is_own"]]
    assert all(row["overlap"]["value"] == 1 for row in own if row["overlap"]) and {row["setting"] for row in own} == set(FEW)
    assert [row["radius"] for row in found["radius"]["rows"]] == list(sweeps.RADII)


def test_csv_files_hold_the_numbers_that_are_drawn(folder, found):
    def rows(name):
        with (folder / f"analysis/{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    assert [float(row["strong_low"]) for row in rows("shares")] == [row["strong"]["low"] for row in found["profile"]]
    flips = {(row["subject"], int(row["layer"]), row["votes"]): float(row["share"]) for row in rows("flips")}
    assert flips["passport", 0, "0"] == found["bins"]["subjects"]["passport"][0][0]
    assert [float(row["eta"]) for row in rows("lambda")] == [row["eta"]["value"] for row in found["sweeps"]["lambda"]]
    rho = [row["rho"]["value"] if row["rho"] else "" for row in found["activation"]["rows"]]
    assert [row["rho"] for row in rows("activation-layers")] == list(map(str, rho))
    assert [float(row["mean_size"]) for row in rows("activation")] == [point[0] for point in found["activation"]["points"]]
    assert len(rows("sensitivity")) == len(found["sensitivity"]) and len(rows("radius")) == 6


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16])
def test_flips_are_drawn_for_any_number_of_subjects(found, count):
    """Maps stand three in a row; the last row need not be full."""
    maps = next(iter(found["bins"]["subjects"].values()))
    bins = {**found["bins"], "subjects": {f"subject {number}": maps for number in range(count)}}
    drawing = vote_figures.flips({**found, "bins": bins})
    assert drawing.svg().count(b"subject ") == count and len(drawing.rows) == count * sum(map(len, maps))


def test_the_same_analysis_gives_the_same_bytes(folder, found):
    for item in exhibits(found):
        drawing = item.drawing
        assert (folder / f"analysis/{drawing.name}.csv").read_text() == drawing.csv()
        if drawing.name in ("flips", "answers", "radius", "activation"):  # every kind of mark; all would take long
            assert (folder / f"analysis/{drawing.name}.svg").read_bytes() == drawing.svg()
            assert (folder / f"analysis/{drawing.name}.pdf").read_bytes() == drawing.pdf()


def test_a_second_time_nothing_is_done(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    with Run.load(tmp_path / "run") as run:
        pipeline.execute(run, lambda: pytest.fail("the model was loaded"), Machine(), until="locate", analysed=True)
        pipeline.execute(run, lambda: pytest.fail("the model was loaded"), Machine())
    stages = [event["stage"] for event in read_jsonl(tmp_path / "run/events.jsonl") if event.get("event") == "skipped"][-11:]
    located = ["pairs", "locate", "choose"]
    assert stages == [*located, "analyse", "report", *located, "edit", "evaluate", "report"]


def test_a_killed_analysis_goes_on_where_it_was(few, folder, found, tiny, tmp_path, monkeypatch):
    """Every piece is made once over all attempts, and the result is that of an undisturbed analysis."""
    gate, recipe = Gate.load(folder / "gate"), Run.load(folder).recipe
    pairs = PairSet.load(folder / "pairs")
    calls = {"fit": 0, "edit": 0}

    def counted(module, name, kind):
        original = getattr(module, name)

        def wrapper(*arguments, **settings):
            calls[kind] += 1
            if calls[kind] in died_at[kind]:
                raise KeyboardInterrupt
            return original(*arguments, **settings)

        monkeypatch.setattr(module, name, wrapper)

    died_at = {"fit": {3, 7}, "edit": {2, 5}}
    counted(locate_layers, "optimise_vectors", "fit")
    counted(edits, "try_edit", "edit")
    deaths, result = 0, None
    while result is None:
        try:
            result = analyse(tiny, pairs, gate, read_choice(folder), recipe.locate, recipe.edit, chunks=Chunks(tmp_path / "work"))
        except KeyboardInterrupt:
            deaths += 1
    assert deaths == 4 and {"gate": found["gate"], **result} == found
    variants = len(sweeps.variants(recipe.locate))
    # two layers of own and of other samples, then the variants: the one of lambda at a single layer
    layers = len({found["chosen_layer"], found["centre_layer"]})
    assert calls["fit"] == 4 + 1 + (variants - 1) * layers + len(died_at["fit"])
    assert calls["edit"] == 8 + len(died_at["edit"])


def test_other_votes_are_refused(folder):
    gate = Gate.load(folder / "gate")
    with pytest.raises(UserError, match="give other votes than the gate holds"):
        refuse_other_votes(gate, 1 - gate.votes_SLD)


def test_other_votes_are_refused_where_few_dimensions_have_any(folder):
    generator = torch.Generator().manual_seed(0)
    sparse, other = ((torch.rand(2, 1, 500, generator=generator) < 0.02).float() for _ in range(2))
    gate = Gate(sparse, ("a", "b"), (0,), "model")
    with pytest.raises(UserError, match="give other votes than the gate holds"):
        refuse_other_votes(gate, other)
    assert refuse_other_votes(gate, sparse) == 0
    nearly = sparse.clone()
    nearly[0, 0, int(sparse[0, 0].argmax())] = 0.9
    assert 0 < refuse_other_votes(gate, nearly) < 0.02


def test_other_draws_share_no_sample(pairs):
    config = LocateConfig(samples_per_subject=2)
    own = {pair.id for pair in pairs.split("train", "edit").per_subject(2)}
    [(name, other)] = other_draws(pairs, config).items()
    assert name == "other samples" and len(other) == len(own) and not own & {item.pair.id for item in other}
    assert other_draws(pairs, LocateConfig(samples_per_subject=5)) == {}, "there are no further pairs"
    again = other_draws(pairs, LocateConfig(samples_per_subject=5, one_prefix=False))["other prefixes"]
    assert any(item.sample.sensitive[0].answer != item.pair.benign_target for item in again)


def test_the_edited_layer(folder):
    gate = Gate.load(folder / "gate")
    choice = read_choice(folder)
    assert edited_layer(gate, choice, EditConfig()) == choice["chosen_layer"]
    assert edited_layer(gate, {}, EditConfig(layers=[5, 1])) == 1 and edited_layer(gate, {}, EditConfig(layers=[5])) == 0


@pytest.mark.parametrize(
    ("edited", "said"),
    [([0], "the edited layer 0"), ([0, 2], "layer 0 (one of the edited layers 0, 2)"), ([5], "layer 0 (the edited 5 is not located)")],
)
def test_the_layer_looked_at_is_named_for_what_it_is(other, edited, said):
    text = sentences(other | {"edited_layers": edited}, "lambda")
    assert f"at {said}" in text


# --- in words -------------------------------------------------------------------------------------------------------


def sentences(analysis, name):
    return " ".join(next(item for item in exhibits(analysis) if item.drawing.name == name).words.sentences)


def score(value, half=0.02, n=100):
    return {"value": value, "low": value - half, "high": value + half, "n": n}


@pytest.fixture
def other(found):
    """A copy with three located layers whose vectors have an effect, to be bent."""
    changed = copy.deepcopy(found)
    changed["samples"] = {"passport": 24, "student id": 24}
    row = changed["profile"][0]
    changed["profile"] = [copy.deepcopy(row) | {"layer": layer} for layer in range(3)]
    for row in changed["profile"]:
        row["own"] |= {"refused_sensitive": score(0.9), "refused_benign": score(0.02)}
    changed["chosen_layer"] = changed["activation"]["layer"] = 0
    return changed


def no_vector_has_an_effect(analysis):
    for row in analysis["profile"]:
        row["own"] |= {"refused_sensitive": score(0.03), "refused_benign": score(0.02)}


def openings(text):
    return [opening for opening in OPENINGS.values() if opening in text]


def test_the_text_on_shares_follows_the_shares(other):
    def told(*strong, half=0.01):
        for row, value in zip(other["profile"], strong, strict=True):
            row["strong"] = score(value, half)
        return next(item for item in exhibits(other) if item.drawing.name == "shares").words.verdicts

    assert [kind for kind, _ in told(0.02, 0.07, 0.03)] == ["agrees", "agrees"]
    assert [kind for kind, _ in told(0.30, 0.20, 0.10)] == ["against", "against"]
    assert [kind for kind, _ in told(0.10, 0.10, 0.10)] == ["open", "open"]
    assert [kind for kind, _ in told(0.02, 0.07, 0.03, half=0.2)] == ["open", "open"]
    other["profile"][1]["own"]["refused_sensitive"] = score(0.02)
    assert [kind for kind, _ in told(0.02, 0.07, 0.03)] == ["agrees", "open"], "the peak is one of votes for nothing"
    other["samples"]["passport"] = 23
    assert [kind for kind, _ in told(0.02, 0.07, 0.03)] == ["open"] and "23 a subject are too few" in sentences(other, "shares")
    other["samples"]["passport"] = 24
    no_vector_has_an_effect(other)
    assert [kind for kind, _ in told(0.02, 0.07, 0.03)] == ["open"]
    other["samples"] = {"passport": 3}
    assert "every" not in sentences(other, "shares") and "with so few samples" in sentences(other, "shares")


def test_the_text_on_flips_follows_the_bins(other):
    for value, said in ((0.9, "agrees"), (0.1, "against"), (0.51, "open")):
        for row in other["profile"]:
            row["rare"] = score(value)
        assert OPENINGS[said] in sentences(other, "flips")
    other["profile"][0]["rare"] = None
    assert OPENINGS["open"] in sentences(other, "flips"), "a layer without a flip does not count"
    for row in other["profile"]:
        row["rare"] = score(0.9)
    assert OPENINGS["agrees"] in sentences(other, "flips")
    no_vector_has_an_effect(other)
    assert "no evidence of anything" in sentences(other, "flips")
    other["samples"] = {"passport": 2}
    assert "with so few samples" in sentences(other, "flips")
    assert "of the votes differ" not in sentences(other, "flips")
    assert "1.2 % of the votes differ" in sentences(other | {"votes_changed": 0.012}, "flips")


@pytest.mark.parametrize(
    ("own", "gate", "random", "said"),
    [(0.9, 0.7, 0.1, "agrees"), (0.9, 0.1, 0.1, "against"), (0.05, 0.04, 0.04, "open"), (0.9, 0.3, 0.2, "open")],
)
def test_the_text_on_answers_needs_the_random_set(other, own, gate, random, said):
    half = 0.02 if said != "open" else 0.15
    for row in other["profile"]:
        for kind, value in (("own", own), ("strong_flipped", gate), ("random_flipped", random)):
            row[kind] |= {"refused_sensitive": score(value, half), "refused_benign": score(0.02)}
    text = sentences(other, "answers")
    assert openings(text) == [OPENINGS[said]] and "of the benign questions" in text and "n = 100" in text


def test_the_text_on_lambda_follows_eta_and_the_random_gate(other):
    rows = other["sweeps"]["lambda"]

    def told(eta, gap, stopped="limit"):
        for row in rows:
            row["eta"], row["stopped"] = score(eta[row["value"]]), stopped
            for measure in ("rta_sensitive", "rta_unseen"):
                row[measure] = score(0.6 - (gap if row["gate"] == "random" else 0))
        return [kind for kind, _ in next(item for item in exhibits(other) if item.drawing.name == "lambda").words.verdicts]

    assert told({1.0: 0.7, 1.25: 0.9}, 0.3) == ["agrees", "agrees"]
    assert told({1.0: 0.9, 1.25: 0.7}, -0.3) == ["against", "against"]
    assert told({1.0: 0.7, 1.25: 0.71}, 0.0) == ["open", "open"]
    # where the stop rule ends every edit, EtA says that the rule was met
    assert told({1.0: 0.7, 1.25: 0.9}, 0.3, "converged") == ["open", "agrees"]
    assert "At 6 of the 6 points the stop rule ended the edit" in sentences(other, "lambda") and "30.0" not in sentences(other, "radius")
    for row in rows:  # one better and one worse is chance, however many there are
        row["public_refused"] = score(0.3 if row["gate"] == "random" else 0.6)
    assert told({1.0: 0.7, 1.25: 0.9}, 0.3) == ["agrees", "open"]
    for row in rows:
        row["public_refused"] = score(0.3)
    rows[0]["rta_sensitive"] = score(0.9)
    for row in rows[1:]:
        row["rta_sensitive"] = row["rta_unseen"] = score(0.5)
    rows[0]["rta_unseen"] = score(0.5)
    [_, (kind, text)] = next(item for item in exhibits(other) if item.drawing.name == "lambda").words.verdicts
    assert kind == "open" and "in 1 comparisons" in text, "one of so many is expected"


def test_a_gate_that_two_thresholds_share_counts_once(other):
    rows = other["sweeps"]["threshold"]
    for row in rows:
        row["threshold"] = 0.3
        for measure in ("rta_sensitive", "rta_unseen"):
            row[measure] = score(0.6 if row["gate"] == "strong" else 0.3)
    text = sentences(other, "threshold")
    assert "differ beyond the intervals in 2 comparisons" in text and "0.6 as 0.3" in text


def test_how_many_intervals_miss_by_chance():
    for count in (1, 12, 28, 42):
        assert edit_texts.by_chance_at_most(count) == stats.binom.ppf(0.975, count, 0.05)


def test_the_text_on_the_radius_follows_the_means(other):
    found = other["radius"]
    template = found["layers"][0]

    def told(*eta):
        found["centre"] = 0
        found["layers"] = [template | {"layer": layer, "eta": score(value)} for layer, value in enumerate(eta)]
        for row in found["rows"]:
            near = [entry for entry in found["layers"] if entry["layer"] <= row["radius"]]
            best = max(near, key=lambda entry: entry["eta"]["value"])
            row |= {
                "layers": [entry["layer"] for entry in near],
                "best_layer": best["layer"],
                "max": best["eta"],
                "mean": edits.mean_eta(near),
            }
        return [kind for kind, _ in next(item for item in exhibits(other) if item.drawing.name == "radius").words.verdicts]

    found["gate"] = "none"
    assert told(0.9, 0.9, 0.9, 0.9, 0.5, 0.5) == ["open", "open"], "ungated edits say nothing of the paper's"
    found["gate"] = "strong"
    assert told(0.9, 0.9, 0.9, 0.9, 0.5, 0.5) == ["agrees", "agrees"]
    assert told(0.5, 0.5, 0.5, 0.5, 0.9, 0.9) == ["against", "against"]
    assert told(0.9, 0.9) == ["open", "open"]


def test_stability_and_activation_in_words(other):
    half = other["overlap"]["halves"][0]
    half |= {"value": 0.6, "low": 0.5, "high": 0.7, "chance": 0.2, "chance_low": 0.15, "chance_high": 0.25, "n": 2}
    assert OPENINGS["open"] in sentences(other, "stability") and "more than chance" in sentences(other, "stability")
    half |= {"low": 0.55}
    assert OPENINGS["agrees"] in sentences(other, "stability")
    half |= {"value": 0.2, "low": 0.1, "high": 0.3}
    assert OPENINGS["against"] in sentences(other, "stability") and "not told from chance" in sentences(other, "stability")
    no_vector_has_an_effect(other)
    assert OPENINGS["open"] in sentences(other, "stability")
    assert "at the subject's tokens: none. At the first token: none." in sentences(other, "activation")
    row = other["activation"]["rows"][0]
    row |= {"massive": [{"dimension": 7, "ratio": 44.0}], "is_sink": True, "first_token": 9.0}
    row["first_massive"] = [{"dimension": dimension, "ratio": 30.0 + dimension} for dimension in range(9)]
    text = sentences(other, "activation")
    assert "layer 0: 8 (38 times), 7 (37 times)" in text and "and 4 more" in text
    assert "layer 0: 7 (44 times)" in text and "is a sink" in text and "left out of the drawing and of nothing else" in text
    drawing = next(item for item in exhibits(other) if item.drawing.name == "activation").drawing
    assert [bool(cells[3]) for cells in drawing.rows].index(True) == 7 and len(drawing.rows) == 32, "named, not removed"


def test_an_empty_gate_of_one_subject_is_drawn_too(other):
    overlap_of = other["overlap"]
    overlap_of["subjects"] = {
        "subjects": ["passport"],
        "rows": [{"layer": layer, "jaccard": [[None]], "chance": [[None]], "mean": None} for layer in other["layers"]],
    }
    overlap_of["layers"]["rows"] = [row | {"overlap": None} for row in overlap_of["layers"]["rows"]]
    overlap_of["halves"] = [{"layer": layer, "value": None} for layer in other["layers"]]
    overlap_of["again"] = {}
    other["activation"]["rows"] = [row | {"rho": None, "top": None} for row in other["activation"]["rows"]]
    other["sensitivity"] = [row | {"overlap": None} for row in other["sensitivity"]]
    for sweep in other["sweeps"].values():
        sweep[:] = [row | {"rta_unseen": None} for row in sweep]
    for item in exhibits(other):
        if item.drawing.name in ("subjects", "layers", "stability", "activation", "activation-layers", "sensitivity"):
            assert item.drawing.svg() and item.drawing.csv() and item.words.sentences
    assert "too few samples or strong dimensions" in sentences(other, "stability")


# --- in the page ----------------------------------------------------------------------------------------------------


def test_the_report_has_the_section_and_escapes_it(found, tmp_path, monkeypatch):
    some = ("flips", "subjects", "gradient", "radius")  # all would take long; the run above draws all
    monkeypatch.setattr(section, "exhibits", lambda analysis: [item for item in exhibits(analysis) if item.drawing.name in some])
    folder = make_run(tmp_path / "run")
    bad = "<b>pass$port$</b>"
    changed = json.loads(json.dumps(found).replace("passport", bad)) | {"gate": hash_path(folder / "gate")}
    write_json(folder / "analysis/analysis.json", changed)
    page = write_report(folder, analysis_section(folder)).read_text()
    assert "<h2>Analysis of the gate</h2>" in page and bad not in page and "&lt;b&gt;pass$port$&lt;/b&gt;" in page
    assert "<h2>Votes by layer</h2>" not in page, "drawn once, with intervals"
    assert page.count("<h3>How often dimensions flip</h3>") == 1 and "Where the gradient arrives" in page
    assert all(f'id="analysis-{name}-' in page for name in some)
    write_json(folder / "gate/gate.json", {**read_json(folder / "gate/gate.json"), "threshold": 0.4})
    assert load_analysis(folder) is None, "the gate is another one now"


def test_no_sweep_repeats_itself():
    for values in (sweeps.LAMBDAS, sweeps.THRESHOLDS, sweeps.RADII):
        assert all(low < high for low, high in pairwise(values))
    named = sweeps.variants(LocateConfig())
    assert "lambda_benign 1.25" not in named and named["parametrisation clamp"].start == 1.0
    assert named["tokens last"].tokens == "last" and sweeps.plan()["lambdas"] == sweeps.LAMBDAS
