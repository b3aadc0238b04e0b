"""A gate: which dimensions it opens, and how it is kept."""

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate


@pytest.fixture
def voted():
    """Random votes of two subjects at two layers."""
    votes = torch.rand(2, 2, 64, generator=torch.Generator().manual_seed(1))
    return Gate(votes, ("passport", "student id"), (2, 5), "fingerprint", 0.7, {"note": "x"})


@pytest.mark.parametrize("subject", ["passport", "student id"])
@pytest.mark.parametrize("layer", [2, 5])
def test_modes_of_a_gate(voted, subject, layer):
    masks = {mode: voted.open_dimensions(subject, layer, mode) for mode in ("strong", "none", "random", "inverted", "closed")}
    assert torch.equal(masks["strong"], voted.votes(subject, layer) > 0.7) and 0 < masks["strong"].sum() < 64
    assert torch.equal(masks["inverted"], ~masks["strong"])
    assert masks["none"].all() and not masks["closed"].any()
    assert masks["random"].sum() == masks["strong"].sum() and not torch.equal(masks["random"], masks["strong"])
    assert all(mask.dtype == torch.bool and mask.shape == (64,) for mask in masks.values())


def test_random_gates_are_drawn_from_seed_subject_and_layer(voted):
    def draw(subject="passport", layer=2, seed=0):
        return voted.open_dimensions(subject, layer, "random", seed)

    assert torch.equal(draw(), draw())
    voted.votes_SLD[:] = voted.votes_SLD[0, 0]  # now only the draw differs
    assert len({tuple(draw(subject, layer, seed).tolist()) for subject in voted.subjects for layer in (2, 5) for seed in (0, 1)}) == 8


def test_a_dimension_at_the_threshold_is_weak(voted):
    voted.votes_SLD[0, 0, :2] = torch.tensor([0.7, 0.7001])
    assert voted.open_dimensions("passport", 2, "strong")[:2].tolist() == [False, True]


@pytest.mark.parametrize("mode", ["strong", "random", "inverted"])
def test_votes_that_a_gate_has_not(voted, mode):
    with pytest.raises(UserError, match=r"no votes for 'receipt'.*held: passport, student id"):
        voted.open_dimensions("receipt", 2, mode)
    with pytest.raises(UserError, match=r"no votes for layer 3; locate it first \(held: 2, 5\)"):
        voted.open_dimensions("passport", 3, mode)


def test_a_gate_comes_back_as_it_was_saved(voted, tmp_path):
    voted.save(tmp_path / "gate")
    assert sorted(path.name for path in (tmp_path / "gate").iterdir()) == ["gate.json", "gate.safetensors"]
    for loaded in (Gate.load(tmp_path / "gate"), Gate.load(tmp_path / "gate", "fingerprint")):
        assert torch.equal(loaded.votes_SLD, voted.votes_SLD)
        assert (loaded.subjects, loaded.layers, loaded.model, loaded.threshold, loaded.summary) == (
            voted.subjects,
            voted.layers,
            "fingerprint",
            0.7,
            {"note": "x"},
        )


def test_a_gate_of_another_model_or_none_is_refused(voted, tmp_path):
    voted.save(tmp_path)
    with pytest.raises(UserError, match="was located on another model"):
        Gate.load(tmp_path, "other")
    with pytest.raises(UserError, match=r"has no gate\.safetensors"):
        Gate.load(tmp_path / "none")
    data = (tmp_path / "gate.safetensors").read_bytes()
    for broken in (data[:20], data[:-8], b"", b"\xff" * 64):
        (tmp_path / "gate.safetensors").write_bytes(broken)
        with pytest.raises(UserError, match="is not a gate or is broken"):
            Gate.load(tmp_path)
