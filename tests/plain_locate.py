"""Locate by the book: one sample, one question and the whole sequence at a time: the oracle of the engine; and when gates are equal."""

from types import SimpleNamespace

import torch

from neuralgate.lvlm.prompts import SUBJECT, encode_examples


def scaled(lvlm, layer, places, vector):
    """A hook that multiplies the layer's output by ``vector`` at ``places`` of the one row."""

    def hook(_module, _inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        factor = torch.ones_like(hidden)
        factor[0, places] = vector.to(factor)
        hidden = hidden * factor
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    return lvlm.layers[layer].register_forward_hook(hook)


def subject_places(batch, tokens):
    places = (batch.classes_BT[0] == SUBJECT).nonzero().flatten().tolist()
    return places if tokens == "all" else places[-1:]


def plain_loss(lvlm, batch, layers, vectors, tokens):
    """Mean NLL of one example's targets by a whole forward pass of the whole model."""
    handles = [scaled(lvlm, layer, subject_places(batch, tokens), vector) for layer, vector in zip(layers, vectors, strict=True)]
    logits = lvlm.model(**batch.prompt, use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    target = batch.labels_BT[0][batch.labels_BT[0] >= 0].tolist()
    places = range(logits.shape[0] - len(target) - 1, logits.shape[0] - 1)
    return -torch.stack([logits[place].log_softmax(-1)[token] for place, token in zip(places, target, strict=True)]).mean()


def plain_fit(lvlm, sample, layers, config):
    """One sample's vectors, one for each of ``layers``, optimised by the book."""

    asked = [encode_examples(lvlm, [example]) for example in (*sample.sensitive, sample.benign)]

    def vectors():
        return torch.tanh(free) if config.parametrisation == "tanh" else free

    def data_losses(values):
        *sensitive, benign = [plain_loss(lvlm, batch, layers, values, config.tokens) for batch in asked]
        return torch.stack(sensitive).mean(), benign

    free = torch.full((len(layers), lvlm.hidden_size), config.start, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=config.rate, eps=config.eps)
    origin = config.start if config.parametrisation == "tanh" else 1.0
    with torch.no_grad():
        start = data_losses(torch.ones(len(layers), lvlm.hidden_size))
    curve = []
    while len(curve) < config.steps:
        sensitive, benign = data_losses(vectors())
        data = sensitive + config.lambda_benign * benign
        if data.item() < config.stop_loss:
            break
        curve.append(data.item())
        optimizer.zero_grad()
        (data + config.gamma * sum((row - origin).abs().mean() for row in free)).backward()
        optimizer.step()
        if config.parametrisation == "clamp":
            free.data.clamp_(-1, 1)
    with torch.no_grad():
        end = data_losses(vectors())
    found = vectors().detach()
    return SimpleNamespace(vectors=found, vector=found[0], start=start, end=end, steps=len(curve), curve=curve)


def few_differ(first, second):
    """A value may stand within rounding of zero."""
    return ((first.votes_SLD - second.votes_SLD).abs() > 1e-6).sum() <= 2
