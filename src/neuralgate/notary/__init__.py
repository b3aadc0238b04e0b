"""Notary: eyes of our own before a pretrained mind. Only what we trained comes with the package; the mind is fetched once, into a cache."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """Notary's model directory, made in the cache when it is wanted for the first time.

    Raises:
        UserError: its base is not here and cannot be had, or the cache cannot be written.
    """
    from neuralgate.notary.assemble import notary_folder

    return notary_folder()
