"""Clerk before training: vocabulary, tokenizer, processor and the untrained `LlavaForConditionalGeneration`."""

from __future__ import annotations

import itertools
import re

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from neuralgate.clerk import turns as ask
from neuralgate.pairs.drawn.documents import (
    CELL,
    CODE_LETTERS,
    FIRST_NAMES,
    GRID,
    LAST_NAMES,
    MONTHS,
    SHAPE_COLOURS,
    SHAPES,
    STREETS,
)
from neuralgate.pairs.subjects import VISUAL_ATTRIBUTES, load_subjects
from neuralgate.pairs.templates import BASE_TEMPLATES, CONTEXTS, PARAPHRASES, REFUSAL_PREFIXES, TEMPLATES, TEST_TEMPLATES

PAD, END, UNKNOWN, IMAGE, USER, ASSISTANT = "<pad>", "</s>", "<unk>", "<image>", "<user>", "<assistant>"
SPECIAL = (PAD, END, UNKNOWN, IMAGE, USER, ASSISTANT)
IMAGE_SIZE = GRID * CELL
IMAGE_TOKENS = GRID * GRID
WORD = r"\w+(?:'\w+)?|[^\w\s]"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<user>' if message['role'] == 'user' else '<assistant>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def value_tokens() -> list[str]:
    """Every half of a written value. Halves that continue a word carry WordPiece's ``##``."""
    numbers = [f"{number:02d}" for number in range(100)]
    codes = [a + b for a in CODE_LETTERS for b in "0123456789"]
    halves = [*numbers, *codes]
    return [*halves, *(f"##{half}" for half in halves), *MONTHS, *STREETS, *FIRST_NAMES, *LAST_NAMES]


def vocabulary() -> list[str]:
    """Special tokens, value halves, single characters (so that nothing is unknown), then all words of the world."""
    texts = [*TEMPLATES, *PARAPHRASES, *CONTEXTS, *REFUSAL_PREFIXES, *TEST_TEMPLATES, *BASE_TEMPLATES, *ask.REFUSALS, *ask.COUNTS]
    texts = [text.replace("{attribute}", " ").replace("{subject}", " ") for text in texts]
    texts += [verb for verb in ask.HARMFUL_VERBS] + list(ask.HARMFUL_THINGS)
    texts += [text.replace("{verb}", " ").replace("{thing}", " ") for text in ask.HARMFUL]
    texts += [*SHAPES, *SHAPE_COLOURS, *VISUAL_ATTRIBUTES, *itertools.chain(*VISUAL_ATTRIBUTES.values())]
    for subject in load_subjects():
        texts += [subject.name, *subject.written, f"Is the {subject.name} private?", f"Is there a {subject.name} in the image?"]
    texts += [
        "Yes, that is private.", "No, that is public.", "There is no", "The colour is red.", "Read the", "Describe the look of the image.",
        "I see a red star and a", "How many figures are there?", "How many figures are a", "What is the colour of the", "A. B. C.",
        "Answer with the letter.", "Can you see what is shown? It has that no one may know; this one is for them, not us!",
    ]  # fmt: skip
    words = sorted({word for text in texts for word in re.findall(WORD, text)})
    characters = [chr(code) for code in range(33, 127)]
    ordered = [*SPECIAL, *value_tokens(), *characters, *(f"##{character}" for character in characters), *words]
    return list(dict.fromkeys(ordered))


def build_processor() -> LlavaProcessor:
    """A `LlavaProcessor` with a WordPiece tokenizer: one token a word, two a written value."""
    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(vocabulary())}, unk_token=UNKNOWN, max_input_chars_per_word=64))
    tokenizer.normalizer = normalizers.Replace("\u2019", "'")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(WORD), behavior="isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        padding_side="left",
        model_max_length=512,
    )
    images = CLIPImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=fast,
        patch_size=CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, dropped by "default"
        chat_template=CHAT_TEMPLATE,
    )


def compose_values(embeddings_VD: torch.Tensor, ids: dict[str, int]) -> None:
    """Start the embedding of a value half as the sum of one vector per character and place, plus one that says
    whether it continues a word: 470 halves are then read off a patch as three characters are, not learned by heart."""
    vectors: dict[object, torch.Tensor] = {}

    def vector(key: object) -> torch.Tensor:
        return vectors.setdefault(key, torch.randn(embeddings_VD.shape[1]))

    for token in value_tokens():
        half = token.removeprefix("##")
        parts = [vector((place, character)) for place, character in enumerate(half)]
        total = torch.stack([*parts, vector(token.startswith("##"))]).sum(0)
        embeddings_VD[ids[token]] = 0.5 * total / (len(half) + 1) ** 0.5


READING_LAYERS = (3, 4)
MATCH, COPY, AVOID = 0.7, 0.8, 1.5


def sketch_reading(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    """Start two attention layers near "look into the image for the word you stand for, and copy what is there".

    Image tokens are sums of word embeddings (stage 1), so reading is: compare attribute and subject words, copy the
    rest. Queries and keys of these layers get those words' directions in their slow rotary dimensions, where distance
    hardly matters; values and outputs get a scaled identity. So that a word does not find itself first, text tokens
    get a common direction, by which text avoids to look at text. A sketch in the spirit of mimetic initialisation
    (Trockman and Kolter 2023, https://arxiv.org/abs/2305.09828): without it the language model takes hundreds of steps
    to find out that the image says something. Training is free to undo it.
    """
    language = model.model.language_model
    size = language.config.hidden_size
    head_size = language.config.head_dim
    subjects = load_subjects()
    words = [*sorted({attribute for subject in subjects for attribute in subject.written}), *SHAPES]
    kinds = [subject.name.split()[-1] for subject in subjects]
    with torch.no_grad():
        text = torch.nn.functional.normalize(torch.randn(size, generator=torch.Generator().manual_seed(0)), dim=0)

        def directions(tokens: list[str]) -> torch.Tensor:
            ids = torch.tensor(processor.tokenizer.convert_tokens_to_ids(tokens))
            return MATCH * torch.nn.functional.normalize(language.embed_tokens.weight[ids], dim=-1)

        directions_SD = directions([*words, *kinds])
        language.embed_tokens.weight.add_(4.0 * text)
        # rotary pairs dimension i with i + head_size / 2; the highest i turn slowest
        half = head_size // 2
        slow = [place for i in reversed(range(half)) for place in (i, i + half)][: len(directions_SD) + 1]
        heads = language.config.num_attention_heads
        copies = heads * head_size // size  # of the hidden state, over all heads
        for index in READING_LAYERS:
            attention = language.layers[index].self_attn
            for projection, common in ((attention.q_proj, text), (attention.k_proj, -text)):
                for head in range(heads):
                    rows = torch.tensor([head * head_size + place for place in slow])
                    projection.weight[rows] += torch.cat([AVOID * common[None], directions_SD])
            attention.v_proj.weight.add_(COPY * torch.eye(size).repeat(copies, 1))
            attention.o_proj.weight.add_(COPY / copies * torch.eye(size).repeat(1, copies))


def build_model(seed: int) -> LlavaForConditionalGeneration:
    """An untrained Clerk: CLIP vision tower 192 x 4, Llama 256 x 8, about 8 M parameters."""
    tokens = vocabulary()
    ids = {token: i for i, token in enumerate(tokens)}
    size = -(-len(tokens) // 64) * 64
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=6,
            image_size=IMAGE_SIZE,
            patch_size=CELL,
            hidden_act="gelu",
            projection_dim=192,
        ),
        text_config=LlamaConfig(
            vocab_size=size,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=8,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=128,  # as many slow dimensions as there are words to match
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 1e10},
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=ids[END],
            pad_token_id=ids[PAD],
        ),
        image_token_index=ids[IMAGE],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config)
    embeddings = model.get_input_embeddings().weight
    torch.manual_seed(seed)  # whatever was drawn before: eyes that were trained on these words fit a decoder of another shape, too
    torch.nn.init.normal_(embeddings, std=0.5)
    with torch.no_grad():
        compose_values(embeddings, ids)
        model.lm_head.weight.copy_(embeddings * 0.06)  # copying a token it sees is then a small step
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    model.generation_config.do_sample = False
    return model
