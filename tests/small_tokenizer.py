"""Small tokenizers of the two kinds that models come with."""

from __future__ import annotations

import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

from neuralgate.pairs.templates import CONTEXTS, PARAPHRASES, REFUSAL_PREFIXES, TEMPLATES


def tokenizer(special: dict[str, str], sentencepiece: bool = False, bos: bool = True) -> T.PreTrainedTokenizerFast:
    """A byte-level BPE as Qwen's and GPT's, or one with byte fallback and a visible space as Llama's and Gemma's."""
    texts = [*TEMPLATES, *PARAPHRASES, *CONTEXTS, *REFUSAL_PREFIXES, "USER: ASSISTANT: number colour passport student id bus ticket"]
    core = Tokenizer(models.BPE(byte_fallback=sentencepiece, unk_token="<unk>" if sentencepiece else None))
    names, alphabet = ["<pad>", "<s>", "</s>", *special.values()], pre_tokenizers.ByteLevel.alphabet()
    if sentencepiece:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        core.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        names, alphabet = [*names, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))], []
    else:
        core.normalizer = normalizers.NFC()  # as Qwen's
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    )
    if bos:
        core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))])
    return T.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", extra_special_tokens=special
    )
