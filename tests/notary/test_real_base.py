"""The real base of Notary, where the cache has it; `make test-notary` runs these tests, `make test` does not."""

import pytest
import torch

from neuralgate.cache import cache_folder
from neuralgate.files import hash_path
from neuralgate.notary import cache
from neuralgate.notary.assemble import delta_folder, notary_folder
from neuralgate.notary.base import SMOLLM2, base_folder


@pytest.fixture(scope="session")
def mind():
    """Its model directory, which must be there: the tests fetch nothing."""
    folder = cache_folder() / SMOLLM2.key
    if not cache.is_made(folder, SMOLLM2.weights_sha256):
        pytest.skip(f"{cache_folder()} has no {SMOLLM2.name}; run `neuralgate fetch notary`")
    return folder


@pytest.fixture(scope="session")
def tokenizer(mind):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(mind)


@pytest.fixture(scope="session")
def model(mind):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(mind, dtype=torch.float32)


def test_the_cache_is_whole(mind):
    assert base_folder(thorough=True) == mind and hash_path(mind / cache.WEIGHTS) == SMOLLM2.weights_sha256


def test_it_knows_what_it_knew(model, tokenizer):
    """Greedy answers to plain questions: with queries turned wrongly, or another scale of a block, they would be noise."""
    for question, answer in [("What is the capital of France?", "Paris"), ("What color is the sky on a clear day?", "blue")]:
        encoded = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        said = model.generate(**encoded, max_new_tokens=24, do_sample=False)[0, encoded["input_ids"].shape[1] :]
        assert answer in tokenizer.decode(said), tokenizer.decode(said)


def test_text_is_probable(model, tokenizer):
    """Nats a token of a plain sentence; an untrained model would have ln 49152 = 10.8."""
    ids = tokenizer("The passport is an official document that is issued by a government and used to travel.", return_tensors="pt")[
        "input_ids"
    ]
    assert model(ids, labels=ids).loss.item() < 3.5


def test_its_own_tokens(tokenizer):
    assert len(tokenizer) == 49152 and tokenizer("<|im_end|>")["input_ids"] == [2]
    assert tokenizer.tokenize("number 4471") == ["number", "Ġ", "4", "4", "7", "1"], "every digit is a token"
    for text in ("What's the number\n\n 12?", "naïve Straße 日本 <|im_start|>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_notary_is_put_together_as_it_was_measured(mind):
    if not (delta_folder() / "delta.safetensors").is_file():
        pytest.skip("no delta comes with this version")
    from neuralgate.lvlm.load import load

    folder = notary_folder(thorough=True)
    lvlm = load("notary")
    assert hash_path(folder / cache.WEIGHTS) == cache.Made.model_validate_json((folder / cache.RECORD).read_bytes()).sha256
    assert lvlm.model.config.text_config.num_hidden_layers == 30 and lvlm.is_plain
