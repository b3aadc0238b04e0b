"""The forward pass cut open at a decoder layer: hooks that change what a layer gives, and losses from what leaves the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralgate.errors import UserError

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM
    from neuralgate.lvlm.prompts import Batch

Place = TypeVar("Place")
#: From a layer's index and output ``(B, T, D)`` to what shall stand in for that output.
Change = Callable[[int, Tensor], Tensor]


@contextmanager
def output_changed(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace a module's output by ``change(output)`` while the context lasts, for modules that return a tensor or
    a tuple whose first element is one."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def inputs_seen(modules: Mapping[Place, nn.Module], see: Callable[[Place, Tensor], None]) -> Iterator[None]:
    """While the context lasts, ``see(place, values)`` is told what each module is first given, whenever it is run."""
    with ExitStack() as hooks:
        for place, module in modules.items():
            hook = partial(_tell, see, place)
            hooks.callback(module.register_forward_pre_hook(hook).remove)
        yield


def _tell(see: Callable[[Place, Tensor], None], place: Place, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    see(place, inputs[0])


@contextmanager
def gradients_watched(lvlm: LVLM) -> Iterator[None]:
    """Raises UserError when a projection of the decoder, run while the context lasts, loses the gradient of what it was given: what is
    fitted through it would follow the residual alone."""

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if torch.is_grad_enabled() and inputs[0].requires_grad and not output.requires_grad:
            raise UserError(
                f"A {type(module).__name__} of {lvlm.name} passes no gradient back, so nothing can be fitted; load it in another dtype."
            )

    handles = [module.register_forward_hook(look) for module in lvlm.decoder.modules() if isinstance(module, nn.Linear)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_gradient(gradient: Tensor | None, what: str) -> None:
    """Raises UserError when what is to be fitted, named by ``what``, has no gradient at its first step or one of zeros: every later step
    would leave it as it is, and it would look like a result."""
    if gradient is None or not bool(gradient.any()):
        raise UserError(
            f"{what} got no gradient at the first step, so nothing would be fitted; look at the gate, the positions and the dtype."
        )


@contextmanager
def only_layers(lvlm: LVLM, start: int, stop: int) -> Iterator[None]:
    """Let the decoder consist of its layers from ``start`` up to ``stop``, without the last norm when they end below
    the top. Hooks on single layers stay; indices into ``lvlm.layers`` are wrong meanwhile."""
    decoder = lvlm.decoder
    layers, norm = decoder.layers, decoder.norm
    decoder.layers = layers[start:stop]
    if stop < len(layers):
        decoder.norm = nn.Identity()
    try:
        yield
    finally:
        decoder.layers, decoder.norm = layers, norm


class _Reached(Exception):
    """Ends a forward pass at the decoder's door."""

    def __init__(self, inputs_BTD: Tensor) -> None:
        self.inputs_BTD = inputs_BTD


@torch.no_grad()
def embed(lvlm: LVLM, batch: Batch) -> Tensor:
    """Token embeddings with the image features in their places, ``(B, T, D)``: what the decoder is given."""

    def stop(_module: nn.Module, _arguments: Any, keywords: dict[str, Any]) -> NoReturn:
        raise _Reached(keywords["inputs_embeds"])

    handle = lvlm.decoder.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        lvlm.model(**batch.inputs, use_cache=False)
    except _Reached as reached:
        return reached.inputs_BTD
    finally:
        handle.remove()
    raise AssertionError("the model did not call its decoder")


def final_hidden(lvlm: LVLM, batch: Batch, cache: Any = None) -> Tensor:
    """What the output embeddings are given, ``(B, T, D)``: the plain form, the whole model as it stands. A ``cache`` is given the
    keys and values."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(arguments[0])
        return (arguments[0][:, -1:],)  # nobody needs the vocabulary's logits at every token

    lvlm.tokens += int(batch.attention_mask_BT.sum())
    handle = lvlm.head.register_forward_pre_hook(keep)
    try:
        lvlm.model(**batch.inputs, past_key_values=cache, use_cache=cache is not None)
    finally:
        handle.remove()
    return seen[0]


def at_least_float32(values: Tensor) -> Tensor:
    """What a softmax is taken of."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def target_logits(lvlm: LVLM, hidden_BTD: Tensor, labels_BT: Tensor) -> Tensor:
    """The logits that each target token is drawn by, ``(T, V)``, row after row; those of no other position are computed."""
    logits_TV = at_least_float32(lvlm.head(hidden_BTD[(labels_BT >= 0).to(hidden_BTD.device)]))
    return torch.tanh(logits_TV / lvlm.softcap) * lvlm.softcap if lvlm.softcap else logits_TV


def token_losses(lvlm: LVLM, hidden_BTD: Tensor, labels_BT: Tensor) -> Tensor:
    """Negative log-likelihood of each target token, ``(T,)``, row after row."""
    logits_TV = target_logits(lvlm, hidden_BTD, labels_BT)
    return F.cross_entropy(logits_TV, labels_BT[labels_BT >= 0].to(logits_TV.device), reduction="none")


def target_losses(lvlm: LVLM, hidden_BTD: Tensor, labels_BT: Tensor, examples_BT: Tensor | None = None, count: int = 0) -> Tensor:
    """Mean negative log-likelihood of each example's target tokens, ``(N,)``, 0 for an example without any. A row is an example unless
    ``examples_BT`` numbers the ``count`` examples token by token."""
    if examples_BT is None:
        count = len(labels_BT)
        examples_BT = torch.arange(count, device=labels_BT.device)[:, None].expand_as(labels_BT)
    return example_means(token_losses(lvlm, hidden_BTD, labels_BT), labels_BT, examples_BT, count)


def example_means(values_T: Tensor, labels_BT: Tensor, examples_BT: Tensor, count: int) -> Tensor:
    """The mean of each example's target tokens, ``(N,)``, from theirs row after row; 0 for an example without any."""
    examples_T = examples_BT.to(values_T.device)[(labels_BT >= 0).to(values_T.device)]
    counts_N = torch.bincount(examples_T, minlength=count).clamp(min=1)
    return values_T.new_zeros(count).index_add(0, examples_T, values_T) / counts_N
