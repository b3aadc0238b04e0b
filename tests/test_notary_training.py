"""Training of Notary that goes on: what a checkpoint brings back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuralgate.notary.checkpoint import Progress
from neuralgate.notary.train_mind import restore, save


def train(parameters, optimizer, progress, steps, path):
    while progress.done < steps:
        optimizer.zero_grad()
        loss = (parameters["w"] - progress.done).square().sum()
        loss.backward()
        optimizer.step()
        progress.step({"loss": loss.item()})
    save(path, parameters, optimizer, progress)


def begun(path):
    parameters = {"w": nn.Parameter(torch.ones(3))}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.1)
    return parameters, optimizer, restore(path, parameters, optimizer)


def test_a_stage_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path):
    """Its weights, what it measured, and the seconds of both sittings."""
    whole = begun(tmp_path / "whole")
    train(*whole, 6, tmp_path / "whole")
    first = begun(tmp_path / "parts")
    first[2].before = 100.0
    train(*first, 2, tmp_path / "parts")
    second = begun(tmp_path / "parts")
    assert second[2].done == 2 and second[2].before >= 100.0
    train(*second, 6, tmp_path / "parts")
    assert torch.equal(whole[0]["w"], second[0]["w"]) and second[2].measured == pytest.approx(whole[2].measured)
    finished = begun(tmp_path / "parts")[2]
    assert finished.done == 6 and finished.measured == second[2].measured and finished.seconds >= 100.0, "nothing is left to do, and known"


def test_nothing_is_there_at_first(tmp_path):
    assert begun(tmp_path / "none")[2].done == 0 and Progress().measured == {}
