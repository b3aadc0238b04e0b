"""Patches of the Hugging Face hub: fetched into its cache, and uploaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from neuralgate.errors import UserError, first_line
from neuralgate.lvlm.load import HUB_ID


def published_name(name: str) -> str:
    """A model's name for other eyes: nobody else has this machine's folders."""
    return name if HUB_ID.fullmatch(name) and not os.path.exists(name) else Path(name).resolve().name


def fetched(repo_id: str, revision: str | None, endpoint: str | None, files: Sequence[str]) -> Path:
    """The folder of a repository of the hub with these ``files`` of it, in the local cache."""
    try:
        return Path(snapshot_download(repo_id, revision=revision, endpoint=endpoint, allow_patterns=[*files]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repo_id} is no folder here, and it cannot be had from the hub ({first_line(error)}); check the name, or "
            "log in with `hf auth login`."
        ) from error


def local_folder(folder: Path | str, revision: str | None, endpoint: str | None, files: Sequence[str]) -> Path | str:
    """``folder`` itself, or where it is nothing here but the name of a repository of the hub, that in the local cache."""
    if not os.path.exists(folder) and HUB_ID.fullmatch(str(folder)):
        return fetched(str(folder), revision, endpoint, files)
    return folder


def push(
    write: Callable[[str], None], repo_id: str, private: bool, message: str, endpoint: str | None = None, token: str | None = None
) -> str:
    """Upload the folder that ``write`` fills and return its address. The repository is made if it is not there, for nobody else to see
    where it is ``private``.

    Raises:
        UserError: the hub refuses or cannot be reached.
    """
    api = HfApi(endpoint=endpoint, token=token)
    with TemporaryDirectory() as folder:
        write(folder)
        try:
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            if private and not api.model_info(repo_id).private:
                raise UserError(f"{repo_id} is there already and everybody can see it; choose another name, or say that it is public.")
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message)
        except UserError:
            raise
        except Exception as error:  # the libraries below the hub's have errors of their own for every kind of failure
            raise UserError(f"{repo_id} cannot be written on the hub ({first_line(error)}); log in with `hf auth login`.") from error
    return str(address)
