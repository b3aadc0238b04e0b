"""Where the user keeps what is made once for all runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from neuralgate.errors import UserError

VARIABLE = "NEURALGATE_CACHE"


def cache_folder() -> Path:
    """``NEURALGATE_CACHE``, or ``neuralgate`` below the platform's folder for caches.

    Raises:
        UserError: there is no home folder to have one in.
    """
    try:
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser().absolute()
        if sys.platform == "darwin":
            return Path.home() / "Library/Caches/neuralgate"
        # a relative path in it must be ignored: https://specifications.freedesktop.org/basedir-spec/latest/
        if os.path.isabs(named := os.environ.get("XDG_CACHE_HOME", "")):
            return Path(named) / "neuralgate"
        return Path.home() / ".cache/neuralgate"
    except RuntimeError as error:
        raise UserError(f"There is no home folder to keep a cache in; name a folder with {VARIABLE}.") from error
