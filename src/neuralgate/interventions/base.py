"""What is put on a model and taken off again, whatever it is made of: changed weights, vectors, words in front, a filter behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self

from neuralgate.interventions.card import Evidence
from neuralgate.lvlm.conversation import Item
from neuralgate.lvlm.generate import Generated, Sampling
from neuralgate.lvlm.model import LVLM


class Answerer(Protocol):
    """What answers questions: an `LVLM`, or one with something in front of it or behind it."""

    @property
    def name(self) -> str: ...

    def generate_answers(
        self,
        items: Sequence[Item],
        max_new_tokens: int = 16,
        batch_size: int = 64,
        report: Callable[..., None] | None = None,
        sampling: Sampling | None = None,
    ) -> list[Generated]:
        """One answer per ``(image or None, question)`` or `Conversation`, in the order given; with ``sampling`` each one's samples."""


class Intervention(Protocol):
    """`Patch`, `Steering`, `Prompt`, `Filter` or `Redaction`; read back by `load_intervention`."""

    information: dict[str, Any]  # method, base model ...

    @property
    def identity(self) -> str:
        """sha256 over what it does."""

    def unchanged_below(self, lvlm: LVLM) -> int:
        """The decoder layer below which ``lvlm`` stays as it is, weights and outputs; the number of its layers where all do."""

    def on(self, lvlm: LVLM) -> AbstractContextManager[Answerer]:
        """What answers while the intervention is on ``lvlm``, which is bit for bit itself after the context.

        Raises:
            UserError: it was made for another model, or cannot serve this one.
        """

    def at(self, strength: float) -> Self:
        """The same at ``strength`` times its own: nothing at 0, itself at 1. What is either there or not (a prompt, a filter) is there
        from one half on.

        Raises:
            UserError: ``strength`` is no finite number.
        """

    def save(self, folder: Path | str, evidence: str | Evidence = "") -> None:
        """Write its files and a model card (with ``evidence``: effect and damage as Markdown), each whole or not at all."""

    def table(self) -> tuple[list[str], list[list[str]]]:
        """What it changes, as a header and rows for a reader."""
