"""Shared fixtures: a tiny random Clerk, a few pairs drawn for it, and the shipped Clerk."""

import os

# The models here are so small that a second thread costs more than it gives; tests that start processes inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from importlib.util import find_spec

import pytest

#: Those need torchvision, which changes how transformers reads images: `make test` runs them in a process of their own.
collect_ignore = ["notary", *([] if find_spec("torchvision") else ["families"])]  # those of Notary's real base: `make test-notary`

TINY_LAYERS, TINY_SIZE = 3, 32


def _limit_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session", autouse=True)
def a_cache_of_our_own(tmp_path_factory):
    """No test writes moments or values into the user's cache, or reads them there."""
    from neuralgate.closed_form import kept

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "cache_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A model directory: Clerk's processor, and a random Llava of 3 decoder layers and 32 dimensions."""
    import torch
    from transformers import LlavaForConditionalGeneration

    from neuralgate.clerk.build import SPECIAL, build_model, build_processor

    _limit_threads()
    config = build_model(0).config
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers, text.head_dim = TINY_SIZE, 48, TINY_LAYERS, TINY_SIZE // 4
    vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers, vision.num_attention_heads = 32, 48, 1, 4
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    processor = build_processor()
    known = len(processor.tokenizer)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # larger than the usual start, so that every token and patch matters to the answer
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            if name.endswith(("q_proj.weight", "k_proj.weight")) and "language_model" in name:
                parameter.mul_(2)  # attention to a few tokens, or the subject would be one of 90
        model.get_input_embeddings().weight.normal_()
        model.lm_head.weight.mul_(3)
        model.lm_head.weight[: len(SPECIAL)] = 0  # it never ends an answer, and an answer is never empty
        model.lm_head.weight[known:] = 0
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.generation_config.update(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id, do_sample=False)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """The tiny model in float32. Shared by all tests: leave it as it is."""
    from neuralgate.lvlm.load import load

    return load(tiny_folder)


@pytest.fixture
def tiny_copy(tiny_folder):
    """A tiny model of one's own."""
    from neuralgate.lvlm.load import load

    return load(tiny_folder)


@pytest.fixture
def tiny_double(tiny_folder, monkeypatch):
    """A tiny model of one's own that computes in float64 throughout: transformers' RMSNorm goes by way of float32."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    from neuralgate.lvlm.load import load

    def exact(self, hidden):
        return self.weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(LlamaRMSNorm, "forward", exact)
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # the loss, too
    lvlm = load(tiny_folder)
    lvlm.model.double()
    return lvlm


@pytest.fixture(scope="session")
def drawn_pairs(tmp_path_factory):
    """Pairs of two private subjects (one and two words) and a public one, with guards for validation."""
    from neuralgate.pairs.schema import PairSet

    folder = tmp_path_factory.mktemp("pairs")
    sizes = {"per_subject": 5, "contrast_per_subject": 2, "validation_per_subject": 1, "test_per_subject": 1}
    return PairSet.synthetic(folder, seed=3, subjects=["passport", "student id"], contrast=["bus ticket"], **sizes)


@pytest.fixture(scope="session")
def pairs(tiny, drawn_pairs):
    """The same with the tiny model's own answers as targets."""
    from neuralgate.lvlm.targets import with_own_answers

    return with_own_answers(tiny, drawn_pairs)


@pytest.fixture(scope="session")
def locate_config():
    """A short locate at two layers, in which no vector finishes."""
    from neuralgate.recipe import LocateConfig

    return LocateConfig(layers=[0, 1], steps=5, samples_per_subject=3, stop_loss=0.0)


@pytest.fixture(scope="session")
def located_gate(tiny, pairs, locate_config):
    """What that finds. Leave it as it is."""
    from neuralgate.locate.locate import locate_gate

    return locate_gate(tiny, pairs, locate_config)


@pytest.fixture(scope="session")
def clerk():
    """The embedded model."""
    from neuralgate.lvlm.load import load

    _limit_threads()
    return load("clerk")
