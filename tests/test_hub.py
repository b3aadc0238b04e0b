"""Patches and models of a hub, against a small server that speaks its interface."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from tests.test_export import patch_of

COMMIT = "0" * 39 + "1"


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: create, commit, list, resolve; one is gated, what is unknown is not there."""

    repositories: ClassVar[dict[str, dict[str, bytes]]] = {}
    made: ClassVar[list[dict]] = []
    private: ClassVar[dict[str, bool]] = {}

    def log_message(self, *_):
        pass

    def reply(self, data=b"", status=200, **headers):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            Hub.made.append({**asked, "id": name})
            Hub.private[name] = Hub.private.get(name, is_private(asked))
            Hub.repositories.setdefault(name, {})
            self.reply({"url": f"http://{self.headers['Host']}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self.reply({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]})
        elif "/commit/" in self.path:
            name = self.path.split("/api/models/")[1].split("/commit/")[0]
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    Hub.repositories[name][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.reply({"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.reply({"error": "unknown"}, 404)

    def do_GET(self):
        path = self.path.partition("?")[0]
        name = "/".join((path.removeprefix("/api/models") if path.startswith("/api/") else path).strip("/").split("/")[:2])
        files = Hub.repositories.get(name)
        if name == "someone/gated":
            self.reply({"error": "gated"}, 403, X_Error_Code="GatedRepo", X_Error_Message="Access to model someone/gated is restricted.")
        elif files is None:
            self.reply({"error": "no such repository"}, 404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        elif "/tree/" in path:
            below = path.split("/tree/")[1].partition("/")[2]
            entries = [{"type": "file", "path": file, "size": len(data), "oid": "0"} for file, data in files.items()]
            self.reply(*([{"error": "no such folder"}, 404] if below else [entries]))
        elif path.startswith("/api/"):
            listed = [{"rfilename": file} for file in files]
            self.reply({"id": name, "sha": COMMIT, "siblings": listed, "private": Hub.private.get(name, False)})
        else:
            file = path.split("/resolve/")[1].partition("/")[2]
            if file not in files:
                self.reply({"error": "no such file"}, 404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
            else:
                self.reply(files[file], ETag=f'"{hashlib.sha1(files[file]).hexdigest()}"')

    do_HEAD = do_GET


@pytest.fixture
def hub():
    """Address of a fresh hub."""
    Hub.repositories, Hub.made, Hub.private = {}, [], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


def is_private(asked: dict) -> bool:
    return asked.get("private") is True or asked.get("visibility") == "private"  # the name of the field has changed


def test_a_patch_goes_to_the_hub_and_comes_back(hub, cache, tiny):
    patch = patch_of(tiny)
    patch.push_to_hub("someone/patch", endpoint=hub, token="hf_test")
    assert Hub.made[0]["id"] == "someone/patch" and is_private(Hub.made[0])
    assert set(Hub.repositories["someone/patch"]) == {"patch.json", "patch.safetensors", "README.md"}
    again = Patch.from_pretrained("someone/patch", endpoint=hub)
    assert again.tensors == patch.tensors and again.information == patch.information
    assert all(again.differences[role].equal(bits) for role, bits in patch.differences.items())


def test_only_who_says_so_publishes(hub, cache, tiny):
    patch_of(tiny).push_to_hub("someone/patch", private=False, endpoint=hub, token="hf_test")
    assert not is_private(Hub.made[0])


def test_what_everybody_sees_is_not_filled_unasked(hub, cache, tiny):
    Hub.repositories["someone/patch"], Hub.private["someone/patch"] = {}, False
    with pytest.raises(UserError, match="is there already and everybody can see it"):
        patch_of(tiny).push_to_hub("someone/patch", endpoint=hub, token="hf_test")
    assert not Hub.repositories["someone/patch"]


@pytest.mark.parametrize("name", ["../nothing", "a/b/c", "nothing"])
def test_a_path_that_is_not_there_is_no_repository(name):
    with pytest.raises(UserError, match="is not a patch folder"):
        Patch.from_pretrained(name)


def test_a_patch_that_is_nowhere(hub, cache):
    with pytest.raises(UserError, match=r"someone/nothing is no folder here, and it cannot be had from the hub"):
        Patch.from_pretrained("someone/nothing", endpoint=hub)


def test_a_hub_that_refuses(hub, cache, tiny, monkeypatch):
    monkeypatch.setattr(Hub, "do_POST", lambda self: self.reply({"error": "no"}, 403))
    with pytest.raises(UserError, match=r"someone/patch cannot be written on the hub"):
        patch_of(tiny).push_to_hub("someone/patch", endpoint=hub, token="hf_test")


# --- models ---------------------------------------------------------------------------------------------------------


def doctor(name: str, endpoint: str, cache: Path, **more: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", **more}
    return subprocess.run(
        [sys.executable, "-m", "neuralgate", "doctor", name], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("someone/gated", "is gated: accept its licence"),
        ("someone/nothing", "no folder and no public model called someone/nothing"),
        ("someone/own-code", "needs code from its own repository, which neuralgate never runs"),
        ("someone/text", "without a vision part"),
    ],
)
def test_what_the_hub_says_is_one_sentence(hub, tmp_path, name, said):
    own = {"model_type": "secret", "auto_map": {"AutoConfig": "configuration_secret.SecretConfig"}}
    Hub.repositories["someone/own-code"] = {"config.json": json.dumps(own).encode(), "configuration_secret.py": b"raise SystemExit(99)"}
    Hub.repositories["someone/text"] = {"config.json": b'{"model_type": "llama"}'}
    done = doctor(name, hub, tmp_path)
    fetching, error = done.stderr.strip().splitlines()
    assert done.returncode == 2 and said in error and fetching.startswith(f"{name} is no folder here: taken from the hub"), done.stderr


def test_without_a_network_and_without_a_cache(tmp_path):
    done = doctor("someone/model", "http://127.0.0.1:1", tmp_path)
    assert done.returncode == 2 and "the hub cannot be reached" in done.stderr, done.stderr
    done = doctor("someone/model", "http://127.0.0.1:1", tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 2 and "the hub cannot be reached" in done.stderr, done.stderr


def test_a_model_of_the_hub_is_loaded(hub, tmp_path, tiny_folder, tiny):
    Hub.repositories["someone/tiny"] = {path.name: path.read_bytes() for path in tiny_folder.iterdir()}
    done = doctor("someone/tiny", hub, tmp_path)
    assert done.returncode == 0 and "LlavaForConditionalGeneration" in done.stdout, done.stderr
    program = "import sys, neuralgate; print(neuralgate.load('someone/tiny', dtype='float32').fingerprint)"
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == tiny.fingerprint, done.stderr
