"""A vision-language model with its processor, and the few things the rest of the package asks of it."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from neuralgate.errors import UserError
from neuralgate.files import write_folder
from neuralgate.lvlm.conversation import Conversation, Item
from neuralgate.lvlm.conversation import ImageLike as ImageLike  # what an LVLM is shown
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.generate import Generated, Sampling, generate, own_settings_aside
from neuralgate.lvlm.likelihood import choose, log_probabilities
from neuralgate.lvlm.memory import Batches
from neuralgate.lvlm.roles import all_roles, final_norm, find_decoder, output_projection
from neuralgate.lvlm.spelling import template_separator
from neuralgate.lvlm.styles import choose_style
from neuralgate.lvlm.turns import end_tokens, next_turn

if TYPE_CHECKING:
    from neuralgate.training.batches import SharedWork

Made = TypeVar("Made")

#: Architectures whose decoder reads one row of tokens after another with plain causal attention and whose image inputs
#: are one row an image: there the questions about one image can share its computation. Everywhere else each question
#: goes through the whole model by itself.
PLAIN_MODELS = ("llava", "llava_next", "llava_onevision", "idefics3", "smolvlm", "minigpt4")
PLAIN_DECODERS = ("llama", "mistral", "qwen2")


@dataclass
class LVLM:
    """``model`` in evaluation mode without parameter gradients, ``processor``, and ``name`` as the user gave it.

    Letters: ``B`` batch, ``T`` tokens, ``D`` hidden size, ``F`` FFN width, ``L`` decoder layers.
    """

    model: Any  # a transformers model; its class decides its attributes, so no static type knows them
    processor: Any
    name: str
    prompt_style: str = ""  # "" chooses one; see styles.py
    tokens: int = 0  # that went through the decoder, or the upper part of it, so far
    saved_seconds: float = 0.0  # that what was taken from the cache had taken, so far
    sizes: dict[str, int] = field(default_factory=dict, repr=False)  # work -> items at a time that its device had room for
    below: Below | None = field(default=None, repr=False)  # what is kept of earlier asks; see `Below.used`
    shared: SharedWork | None = field(default=None, repr=False)  # what is kept of earlier edits; see `SharedWork.used`

    def __post_init__(self) -> None:
        self.prompt_style = choose_style(self.processor, self.model_type, self.name, self.prompt_style)

    @property
    def model_type(self) -> str:
        return self.model.config.model_type

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where token ids go."""
        embeddings = self.model.get_input_embeddings()
        if (
            hasattr(embeddings, "_hf_hook") and embeddings.weight.device.type == "meta"
        ):  # accelerate keeps the weights elsewhere until they are needed
            return torch.device(embeddings._hf_hook.execution_device)
        return embeddings.weight.device

    @cached_property
    def decoder(self) -> Any:
        """The module that runs the language model's layers. The vision tower is never in it."""
        return find_decoder(self.model)[0]

    @property
    def layers(self) -> Any:
        return self.decoder.layers

    @property
    def norm(self) -> nn.Module:
        return final_norm(self.decoder)

    @property
    def head(self) -> nn.Module:
        """The output embeddings: hidden states in, logits out."""
        return self.model.get_output_embeddings()

    @property
    def text_config(self) -> Any:
        return self.model.config.get_text_config()

    @property
    def hidden_size(self) -> int:
        return self.text_config.hidden_size

    @property
    def softcap(self) -> float | None:
        """The bound that some models put on their logits, cap * tanh(logits / cap)."""
        return getattr(self.text_config, "final_logit_softcapping", None)

    @property
    def image_token(self) -> int:
        """The id of the tokens whose embeddings the image's features replace."""
        config = self.model.config
        return config.image_token_id if getattr(config, "image_token_id", None) is not None else config.image_token_index

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The ids of the tokens that end an answer."""
        return end_tokens(self)

    @cached_property
    def next_turn(self) -> re.Pattern[str] | None:
        """The words, if any, that open a next question."""
        return next_turn(self)

    @cached_property
    def template_separator(self) -> str | None:
        """What the chat template puts between the opening of an answer and its text."""
        return template_separator(self)

    @cached_property
    def is_plain(self) -> bool:
        """Whether attention is plainly causal with one position number a token, so that a prefix can be shared."""
        text = self.text_config
        windows = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
        return self.model_type in PLAIN_MODELS and text.model_type in PLAIN_DECODERS and not windows

    @cached_property
    def accepted(self) -> frozenset[str]:
        """The names of the inputs that the model's forward pass takes."""
        return frozenset(inspect.signature(self.model.forward).parameters)

    @property
    def is_quantised(self) -> bool:
        """Whether its weights are stored in 8 or 4 bit: located on and measured, never edited."""
        return getattr(self.model, "hf_quantizer", None) is not None

    def batches(self, size: int, what: str) -> Batches:
        """Batches of at most ``size`` items, or of what there was room for before."""
        return Batches(size, what, self.sizes)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gives; where edits share their work it is made once for each ``key``, which must say all that it hangs on but the
        model and the pairs."""
        return self.shared.once(key, make) if self.shared else make()

    def ffn_out(self, layer: int) -> Any:
        """The FFN output projection of decoder layer ``layer``: out = W a with W ``(D, F)``.

        Raises:
            UserError: the layer is out of range, or holds routed experts only.
        """
        if not 0 <= layer < len(self.layers):
            raise UserError(f"Layer {layer} is out of range: {self.name} has decoder layers 0 to {len(self.layers) - 1}.")
        return output_projection(self.layers[layer], layer)

    def parts_of(self, layers: Sequence[int], parts: Sequence[str]) -> dict[str, nn.Parameter]:
        """Role -> parameter of these parts (``ffn``, ``attention``, ``norm``, or ``all``) of decoder layers.

        Raises:
            UserError: a layer is out of range, or has none of them.
        """
        for layer in layers:
            self.ffn_out(layer)  # says so if it is out of range
        inside = {id(parameter) for layer in layers for parameter in self.layers[layer].parameters()}
        prefixes = tuple(f"decoder.{layer}.{part}." for layer in layers for part in parts)
        roles = {role: parameter for role, parameter in all_roles(self.model).items() if id(parameter) in inside}
        chosen = roles if "all" in parts else {role: parameter for role, parameter in roles.items() if role.startswith(prefixes)}
        if not chosen:
            raise UserError(f"Layer {', '.join(map(str, layers))} of {self.name} has no part {' or '.join(parts)}; name others (parts).")
        return chosen

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over names, shapes and bytes of all parameters when it was first asked for: the identity of the base model."""
        return self.weights_hash()

    def weights_hash(self) -> str:
        """The same of the parameters as they stand."""
        digest = hashlib.sha256()
        modules = dict(self.model.named_modules())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor_bytes(tensor if tensor.device.type != "meta" else offloaded(modules, name)))
        return digest.hexdigest()

    def save(self, folder: Path | str) -> None:
        """Write the model as it stands, with its complete processor, as a normal model directory: whole or not at all.

        Raises:
            UserError: ``folder`` exists already, or there is no space or no right to write.
        """

        def write(new: Path) -> None:
            try:
                with own_settings_aside(self.model):  # a temperature without sampling, as Vicuna's, is read but not saved by transformers
                    self.model.save_pretrained(new, safe_serialization=True)
                self.model.generation_config.to_json_file(new / "generation_config.json")
            except SafetensorError as error:  # how the library reports a full disk
                raise UserError(f"{folder} cannot be written ({error}); free some space or choose another folder.") from error
            self.processor.save_pretrained(new)

        write_folder(Path(folder), write)

    def generate(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[str]:
        """Free generation, one answer per item, in the order given: an item is ``(image or None, question)`` or a `Conversation`. The
        likeliest tokens, unless ``sampling`` says how to draw them; its samples of an item stand one after another.

        Raises:
            UserError: an item is something that the model cannot be asked, or its numbers overflow.
        """
        return [answer.text for answer in self.generate_answers(items, max_new_tokens, batch_size, report, sampling)]

    def generate_answers(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[Generated]:
        """The same with the ids of each answer's tokens, and whether it was cut off at ``max_new_tokens``."""
        return generate(self, items, max_new_tokens, batch_size, report, sampling=sampling)

    def log_probabilities(
        self, items: Sequence[Item], continuations: Sequence[str], batch_size: int = 64, report: Callable[..., None] | None = None
    ) -> list[list[float]]:
        """The natural logarithm of the probability of each token of each item's given answer; behind a prefill an answer stands exactly
        as it is written, with its blank.

        Raises:
            UserError: an answer has no token.
        """
        return log_probabilities(self, items, continuations, batch_size, report)

    def choose(self, conversations: Sequence[Conversation], batch_size: int = 64, report: Callable[..., None] | None = None) -> list[int]:
        """The number of each conversation's likeliest choice: the one whose tokens together are most probable.

        Raises:
            UserError: a conversation has fewer than two choices, or one of them has no token.
        """
        return choose(self, conversations, batch_size, report)


def offloaded(modules: dict[str, nn.Module], name: str) -> Tensor:
    """A weight that accelerate keeps in memory or on disk."""
    module, _, last = name.rpartition(".")
    return modules[module]._hf_hook.weights_map[last]  # type: ignore[union-attr, index]


def tensor_bytes(tensor: Tensor) -> bytes:
    """The raw bytes of a tensor, whatever its dtype."""
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
