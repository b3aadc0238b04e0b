"""Memory and time of writing an export: a synthetic checkpoint of at least 6 GB in shards, one tensor edited. The loads before and
after it, which hold the result against what was measured, are not in it.

    python -m benchmarks.export [--gigabytes 6.5]

The export runs in a process of its own, whose peak memory (resident, from the system) is read; the same process with
the libraries imported and nothing exported is the zero. Writes experiments/evidence/export.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file

from experiments.cells import FOLDER
from neuralgate.files import write_folder, write_json
from neuralgate.interventions.patch import Patch
from neuralgate.interventions.values import as_bits, sha256

SHAPE = (4096, 11008)  # the FFN output projection of LLaVA-1.5-7B
NAMES = ("down_proj", "gate_proj", "up_proj")
SHARD = 12  # tensors a file


def build(folder: Path, gigabytes: float) -> Patch:
    """A checkpoint of bfloat16 tensors with the names of a LLaVA on the hub, and a patch of its first edited one."""
    count = int(gigabytes * 1e9 / (2 * SHAPE[0] * SHAPE[1])) + 1
    keys = [f"language_model.model.layers.{index // 3}.mlp.{NAMES[index % 3]}.weight" for index in range(count)]
    draw, weight_map, patch = torch.Generator().manual_seed(0), {}, None
    for start in range(0, count, SHARD):
        name = f"model-{start // SHARD:05d}.safetensors"
        tensors = {key: torch.randn(SHAPE, generator=draw).to(torch.bfloat16) for key in keys[start : start + SHARD]}
        weight_map |= dict.fromkeys(tensors, name)
        if patch is None:
            base = tensors[keys[0]]
            edited = (base.float() + 0.01 * torch.randn(SHAPE, generator=draw)).to(torch.bfloat16)
            entry = {"name": keys[0], "shape": list(SHAPE), "dtype": "bfloat16", "encoding": "xor", "base_sha256": sha256(base)}
            entry |= {"result_sha256": sha256(edited), "changed": 0, "relative_change": 0.0}
            information = {"base_model": "synthetic", "base_fingerprint": "0" * 64, "prompt_style": "chat"}
            patch = Patch({"decoder.0.ffn.out": as_bits(base) ^ as_bits(edited)}, {"decoder.0.ffn.out": entry}, information)
        save_file(tensors, folder / name, metadata={"format": "pt"})
    index = {"metadata": {"total_size": count * 2 * SHAPE[0] * SHAPE[1]}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "llava", "dtype": "bfloat16"}))
    assert patch is not None
    return patch


def child(base: str, patch: str, out: str) -> None:
    """The process that is measured."""
    from neuralgate.interventions.directory import write_patched

    started = time.perf_counter()
    if out:
        write_folder(Path(out), lambda folder: write_patched(Path(base), Patch.from_pretrained(patch), folder))
    status = Path("/proc/self/status").read_text()  # getrusage would count what the parent held at the fork
    peak = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    print(json.dumps({"peak_bytes": peak, "seconds": round(time.perf_counter() - started, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=6.5)
    parser.add_argument("--child", nargs=3)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    with TemporaryDirectory() as work:
        base, patch, out = (Path(work) / name for name in ("base", "patch", "out"))
        base.mkdir()
        build(base, arguments.gigabytes).save_pretrained(patch)
        size = sum(path.stat().st_size for path in base.glob("*.safetensors"))

        def measured(target: str) -> dict:
            command = [sys.executable, "-m", "benchmarks.export", "--child", str(base), str(patch), target]
            return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        zero, done = measured(""), measured(str(out))
    tensor = 2 * SHAPE[0] * SHAPE[1]
    result = {
        "checkpoint_bytes": size,
        "tensor_bytes": tensor,
        "seconds": done["seconds"],
        "peak_bytes_above_imports": done["peak_bytes"] - zero["peak_bytes"],
        "allowed_bytes": 2 * tensor + 300_000_000,
    }
    write_json(FOLDER / "export.json", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
