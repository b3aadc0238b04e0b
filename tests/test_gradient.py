"""The gated gradient by two oracles: the sum over tokens written out, and finite differences."""

import pytest
import torch

from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.forward import final_hidden, target_losses
from neuralgate.lvlm.prompts import ANSWER, IMAGE, OTHER, QUESTION, SUBJECT, encode_examples
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import GATE_MODES, EditConfig
from neuralgate.training.gated import gated_trainer
from neuralgate.training.masks import SHARE_NAMES, flow_recorded, flow_shares
from neuralgate.training.rows import rows_of

EVERYWHERE = ["subject", "question", "image", "answer"]
SUBSETS = [EVERYWHERE, ["subject"], ["answer", "image"], ["question", "subject"], ["question"]]
exact = {"rtol": 1e-9, "atol": 1e-12}


@pytest.fixture(scope="module")
def votes():
    return torch.rand(2, 3, 32, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def trainer(tiny_double, pairs, votes):
    """A trainer on the float64 model, by settings."""

    def make(**settings):
        config = EditConfig(**{"layers": [1], "contrast_weight": 0.7, **settings})
        gate = Gate(votes, ("passport", "student id"), (0, 1, 2), tiny_double.fingerprint, 0.6)
        made = gated_trainer(tiny_double, pairs, gate, config, config.layers)
        made.gate = gate
        for parameter in made.masters.parameters.values():
            parameter.requires_grad_(True)
        return made

    return make


@pytest.fixture
def rows(pairs):
    """Two edit pairs of two subjects and a contrast pair: all parts of the loss, gated rows and open ones."""
    import numpy as np

    edit, contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
    chosen = [edit.subset([name]).pairs[0] for name in ("passport", "student id")] + [contrast.pairs[0]]
    rng = np.random.default_rng(0)
    return [row for pair in chosen for row in rows_of(pair, PairSet(pairs.pairs, pairs.folder), rng)]


def gradients(made, rows):
    made.gradients(rows)
    return {layer: made.masters.copies[role_of(layer)].grad for layer in made.layers}


def plain_total(made, rows, batch):
    """The loss of a step, written again: means over each part's rows."""
    losses = target_losses(made.lvlm, final_hidden(made.lvlm, batch), batch.labels_BT)
    weights = {"sensitive": 1.0, "benign": made.config.lambda_benign, "contrast": made.config.contrast_weight}
    counts = {part: sum(row.part == part for row in rows) for part in weights}
    return sum(weights[row.part] / counts[row.part] * loss for row, loss in zip(rows, losses, strict=True))


def open_by_hand(made, rows, batch, layer, place):
    """Which dimensions of one token's delta count, for every row ``(B, D)``; token ``place``."""
    config, size = made.config, made.lvlm.hidden_size
    names = {OTHER: "question", QUESTION: "question", IMAGE: "image", SUBJECT: "subject", ANSWER: "answer"}
    masks = []
    for row, classes in zip(rows, batch.classes_BT.tolist(), strict=True):
        kind = classes[place]
        mask = torch.full((size,), names[kind] in config.positions)
        gated = kind == SUBJECT and (config.tokens == "all" or SUBJECT not in classes[place + 1 :])
        if gated and row.is_gated:
            mask &= made.gate.open_dimensions(row.subject, layer, config.gate, config.gate_seed)
        masks.append(mask)
    return torch.stack(masks)


def summed_by_hand(made, rows):
    """grad W = sum over tokens of (mask * delta_t) a_t^T, from an ordinary backward pass, for every edited layer."""
    lvlm = made.lvlm
    batch = encode_examples(lvlm, [row.example for row in rows])
    kept = {}
    handles = []
    for layer in made.layers:

        def keep(_module, inputs, output, layer=layer):
            output.retain_grad()
            kept[layer] = inputs[0].detach(), output

        handles.append(lvlm.ffn_out(layer).register_forward_hook(keep))
    plain_total(made, rows, batch).backward()
    for handle in handles:
        handle.remove()
    total = {}
    for layer, (a_BTF, output_BTD) in kept.items():
        total[layer] = torch.zeros_like(lvlm.ffn_out(layer).weight)
        for place in range(a_BTF.shape[1]):
            delta_BD = output_BTD.grad[:, place] * open_by_hand(made, rows, batch, layer, place)
            total[layer] += torch.einsum("bd,bf->df", delta_BD, a_BTF[:, place])
    return total


@pytest.mark.parametrize("positions", SUBSETS, ids="+".join)
@pytest.mark.parametrize("gate_at", ["ffn", "layer"])
@pytest.mark.parametrize("mode", GATE_MODES)
def test_one_layers_gradient_is_the_masked_sum_over_tokens(trainer, rows, mode, gate_at, positions):
    made = trainer(gate=mode, gate_at=gate_at, positions=positions)
    expected = summed_by_hand(made, rows)[1]
    torch.testing.assert_close(gradients(made, rows)[1], expected, **exact)
    assert expected.norm() > 0 or (mode, positions) == ("closed", ["subject"])


@pytest.mark.parametrize("gate_at", ["ffn", "layer"])
@pytest.mark.parametrize("mode", ["strong", "closed"])
def test_the_gate_can_act_on_the_subjects_last_token_alone(trainer, rows, mode, gate_at):
    made = trainer(gate=mode, gate_at=gate_at, tokens="last")
    found = gradients(made, rows)[1]
    torch.testing.assert_close(found, summed_by_hand(made, rows)[1], **exact)
    assert not torch.equal(found, gradients(trainer(gate=mode, gate_at=gate_at), rows)[1]), "a subject of two tokens"


@pytest.mark.parametrize("mode", GATE_MODES)
def test_several_layers_gated_at_the_ffn_keep_the_flow_between_them_whole(trainer, rows, mode):
    """Equation 7 masks each weight's gradient and nothing else: what reaches the lower layer is not cut above."""
    made = trainer(layers=[0, 1, 2], gate=mode, gate_at="ffn", positions=["subject", "answer"])
    expected, found = summed_by_hand(made, rows), gradients(made, rows)
    for layer in made.layers:
        torch.testing.assert_close(found[layer], expected[layer], **exact)


def test_gates_differ(trainer, rows):
    """None of the equalities above is one of zeros or of one mode with another."""
    found = {mode: gradients(trainer(gate=mode), rows)[1] for mode in GATE_MODES}
    norms = {(one, other): (found[one] - found[other]).norm() / found["none"].norm() for one in found for other in found if one < other}
    assert min(norms.values()) > 1e-3
    torch.testing.assert_close(found["strong"] + found["inverted"], found["none"] + found["closed"], **exact)
    seeded = gradients(trainer(gate="random", gate_seed=1), rows)[1]
    assert not torch.allclose(seeded, found["random"])


def test_gating_does_not_change_the_losses(trainer, rows):
    made = trainer(gate="strong", layers=[0, 1], gate_at="layer")
    total, losses = made.gradients(rows)
    batch = encode_examples(made.lvlm, [row.example for row in rows])
    assert total == pytest.approx(plain_total(made, rows, batch).item(), rel=1e-12)
    assert set(losses) == {"sensitive", "benign", "contrast"}


@pytest.mark.parametrize("size", [1, 2, 5])
def test_fewer_rows_at_a_time_give_the_same_gradient(trainer, rows, size):
    whole, parts = trainer(gate="strong", layers=[0, 1]), trainer(gate="strong", layers=[0, 1])
    parts.fitting.size = size
    assert parts.gradients(rows)[0] == pytest.approx(whole.gradients(rows)[0], rel=1e-12)
    for role in whole.masters.copies:
        torch.testing.assert_close(parts.masters.copies[role].grad, whole.masters.copies[role].grad, **exact)


def test_rows_that_do_not_fit_are_halved(trainer, rows, monkeypatch, capsys):
    """Memory runs out in the middle of a batch, after part of the gradient was there."""
    made, expected = trainer(gate="strong"), gradients(trainer(gate="strong"), rows)[1]
    losses = made.row_losses

    def short_of_memory(chosen, **settings):
        if len(chosen) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses(chosen, **settings)

    monkeypatch.setattr(made, "row_losses", short_of_memory)
    torch.testing.assert_close(gradients(made, rows)[1], expected, **exact)
    assert made.fitting.size <= 2 and "do not fit into memory" in capsys.readouterr().err
    made.fitting.size = 1
    monkeypatch.setattr(made, "row_losses", lambda chosen, **settings: short_of_memory([None] * 3))
    with pytest.raises(UserError, match="does not hold a single one"):
        made.gradients(rows)


# --- finite differences ---------------------------------------------------------------------------------------------


def difference(weight, coordinate, loss, step=1e-4):
    """Central difference of ``loss()`` in one coordinate of ``weight``, of fourth order."""
    start = weight[coordinate].item()
    values = []
    with torch.no_grad():
        for times in (2, 1, -1, -2):
            weight[coordinate] = start + times * step
            values.append(loss().item())
        weight[coordinate] = start
    return (-values[0] + 8 * values[1] - 8 * values[2] + values[3]) / (12 * step)


def held(made, rows, batch):
    """Hooks that keep what the gate closes at the values which the unchanged model has."""
    masks = {
        layer: torch.stack([open_by_hand(made, rows, batch, layer, place) for place in range(batch.input_ids_BT.shape[1])], 1)
        for layer in made.layers
    }
    modules = {layer: made.lvlm.ffn_out(layer) if made.config.gate_at == "ffn" else made.lvlm.layers[layer] for layer in made.layers}
    base = {}

    def note(layer):
        return lambda _module, _inputs, output: base.__setitem__(layer, output.detach().clone())

    handles = [module.register_forward_hook(note(layer)) for layer, module in modules.items()]
    with torch.no_grad():
        plain_total(made, rows, batch)
    for handle in handles:
        handle.remove()

    def hold(layer):
        return lambda _module, _inputs, output: torch.where(masks[layer], output, base[layer])

    return [module.register_forward_hook(hold(layer)) for layer, module in modules.items()]


def largest(gradient, count=3):
    """The coordinates where there is most to compare, and one drawn at random."""
    flat = gradient.abs().flatten()
    chosen = [*flat.topk(count).indices.tolist(), int(torch.randint(len(flat), (1,), generator=torch.Generator().manual_seed(0)))]
    return [divmod(index, gradient.shape[1]) for index in chosen]


@pytest.mark.parametrize("layer", [0, 2])
def test_without_a_gate_it_is_the_derivative_of_the_loss(trainer, rows, layer):
    made = trainer(gate="none", layers=[layer])
    batch = encode_examples(made.lvlm, [row.example for row in rows])
    gradient = gradients(made, rows)[layer]
    for coordinate in largest(gradient):
        expected = difference(made.lvlm.ffn_out(layer).weight, coordinate, lambda: plain_total(made, rows, batch))
        assert gradient[coordinate].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("mode", "gate_at", "layers", "positions"),
    [
        ("strong", "ffn", [1], EVERYWHERE),
        ("strong", "layer", [1], EVERYWHERE),
        ("random", "ffn", [0], ["subject", "image"]),
        ("closed", "ffn", [1], EVERYWHERE),
        ("inverted", "layer", [0, 1, 2], EVERYWHERE),
        ("strong", "layer", [0, 1], ["subject", "answer"]),
    ],
)
def test_with_a_gate_it_is_the_derivative_while_what_is_closed_is_held(trainer, rows, mode, gate_at, layers, positions):
    made = trainer(gate=mode, gate_at=gate_at, layers=layers, positions=positions)
    batch = encode_examples(made.lvlm, [row.example for row in rows])
    found = gradients(made, rows)
    plain = gradients(trainer(gate="none", layers=layers), rows)
    handles = held(made, rows, batch)
    for layer in layers:
        for coordinate in largest(plain[layer] - found[layer], 2):  # where the gate makes most of a difference
            expected = difference(made.lvlm.ffn_out(layer).weight, coordinate, lambda: plain_total(made, rows, batch))
            assert found[layer][coordinate].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)
    for handle in handles:
        handle.remove()


# --- where the gradient flows ---------------------------------------------------------------------------------------


def test_flow_shares_are_norms_of_parts_that_add_up(trainer, rows):
    made = trainer(gate="none")
    batch = encode_examples(made.lvlm, [row.example for row in rows])
    store = {}
    with flow_recorded(made.lvlm, 1, store):
        loss = plain_total(made, rows, batch)
    loss.backward()
    shares = flow_shares(batch.classes_BT, store)
    assert tuple(shares) == SHARE_NAMES
    parts = {name: gradients(trainer(gate="none", positions=[name]), rows)[1] for name in EVERYWHERE}
    whole = gradients(trainer(gate="none"), rows)[1]
    torch.testing.assert_close(sum(parts.values()), whole, **exact)
    for name, part in parts.items():
        assert shares[name] == pytest.approx((part.norm() / whole.norm()).item(), rel=1e-9) and 0 < shares[name] < 2
    assert not made.lvlm.ffn_out(1)._forward_hooks
