"""Long work in pieces: a killed run finds the finished ones again, and several processes make them side by side.

The processes that `accelerate launch` or `torchrun` starts share nothing but the run folder: each makes its part of the pieces, and
whoever needs a piece of another process waits for its file. So every piece is made exactly as one process would make it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from neuralgate.errors import UserError
from neuralgate.files import write_bytes

POLL_SECONDS = 0.1
HASH_BYTES = 32


@dataclass(frozen=True)
class ProcessShare:
    """Which of ``count`` processes this one is."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the results."""
        return self.rank == 0


def launched() -> ProcessShare:
    """This process's share, as a launcher says it in the environment; the whole without one."""
    return ProcessShare(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


class StageOver(Exception):
    """The leading process has finished the stage; the pieces are gone."""


class Chunks:
    """The finished pieces of one piece of long work, kept in a folder so that the work can go on after a kill; without a
    folder, in memory.

    A piece is bytes under a key that says which piece it is ("layer-4/batch-2"). It is there as it was put, or not at all: a file
    begins with the hash of key and piece, and one that does not match it counts as not made.
    """

    def __init__(self, folder: Path | None = None, share: ProcessShare | None = None, over: Callable[[], bool] = lambda: False) -> None:
        self.folder, self.share, self.over = folder, share or ProcessShare(), over
        self._memory: dict[str, bytes] = {}

    def within(self, part: str) -> Chunks:
        """The pieces of one part of the work, under names of their own; cleared with the whole."""
        return Chunks(self.folder and self.folder / quote(part, safe=" "), self.share, self.over)

    def mine(self, keys: Sequence[str], side_by_side: bool = False) -> Sequence[str]:
        """Those that this process makes: every n-th one, or, where keys ``side_by_side`` share something costly (a patched model, the
        start of a computation), the n-th part of the list. Either way no process has two more than another."""
        rank, count = self.share.rank, self.share.count
        if side_by_side:
            return keys[rank * len(keys) // count : (rank + 1) * len(keys) // count]
        return keys[rank::count]

    def make(self, keys: Sequence[str], work: Callable[[str], bytes], side_by_side: bool = False) -> None:
        """Make this process's share of the pieces (see `mine`) that are not there yet."""
        for key in self.mine(keys, side_by_side):
            if self.done(key) is None:
                self.put(key, work(key))

    def collect(self, keys: Sequence[str]) -> list[bytes]:
        """All pieces, waiting for those that other processes make.

        Raises:
            StageOver: the leading process has cleared them away.
            UserError: a piece that this process made has gone, and there is no other.
        """
        pieces = []
        for key in keys:
            while (piece := self.done(key)) is None:
                if self.over():
                    raise StageOver
                if self.share.count == 1:  # nobody else makes it
                    raise UserError(f"A finished piece in {self.folder} was lost or changed; run the same command again, it is made anew.")
                time.sleep(POLL_SECONDS)
            pieces.append(piece)
        return pieces

    def done(self, key: str) -> bytes | None:
        """The piece, or None when it is not finished, or not what was put."""
        if self.folder is None:
            return self._memory.get(key)
        try:
            data = self._path(self.folder, key).read_bytes()
        except FileNotFoundError:
            return None
        piece = data[HASH_BYTES:]
        return piece if data[:HASH_BYTES] == self._hash(key, piece) else None

    def put(self, key: str, data: bytes) -> None:
        if self.folder is None:
            self._memory[key] = data
        else:
            write_bytes(self._path(self.folder, key), self._hash(key, data) + data)

    def clear(self) -> None:
        self._memory.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _hash(key: str, data: bytes) -> bytes:
        return hashlib.sha256(key.encode() + b"\0" + data).digest()

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / (quote(key, safe=" ") + ".chunk")
