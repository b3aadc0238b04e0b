"""How fast float32 matrix products are here, by torch's own BLAS and by oneDNN, which torch brings along, too.

    python -m benchmarks.matrix_products               both, and bfloat16, at the shapes of Clerk and Notary
    python -m benchmarks.matrix_products --preload     the same once more where MKL takes this CPU for one of its maker's (needs cc)

One thread; they follow each other within one run. MKL, the BLAS of torch's wheels for Linux, asks for the CPU's maker and gives others its
AVX2 kernels, whatever units they have. Writes benchmarks/matrix_products.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn.functional import linear

from benchmarks.locate import product_speed
from neuralgate.files import write_json

#: Rows, columns and inner size of the FFN's projections, and of the attention's.
SHAPES = {"Clerk": [(2048, 512, 256), (2048, 256, 512)], "Notary": [(2048, 1536, 576), (2048, 576, 1536), (2048, 576, 576)]}
ROUNDS = 3  # of which the fastest counts
#: What a CPU is asked for in MKL; exported by torch's library, so that a preloaded one answers instead.
ANSWER = "int mkl_serv_intel_cpu(void) { return 1; }\nint mkl_serv_intel_cpu_true(void) { return 1; }\n"
FILE = Path(__file__).with_suffix(".json")


def measured() -> dict[str, dict[str, float]]:
    """Model -> billions of operations a second by each way, the mean over its shapes."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for model, shapes in SHAPES.items():
        sums: dict[str, list[float]] = {"BLAS": [], "oneDNN": [], "bfloat16": []}
        for rows, columns, inner in shapes:
            a, w = torch.randn(rows, inner), torch.randn(columns, inner)
            half_a, half_w = a.bfloat16(), w.bfloat16()
            ways = {
                "BLAS": lambda a=a, w=w: linear(a, w),
                "oneDNN": lambda a=a, w=w: torch.ops.mkldnn._linear_pointwise(a, w, None, "none", [], ""),
                "bfloat16": lambda a=half_a, w=half_w: linear(a, w),
            }
            for name, way in ways.items():
                sums[name].append(max(product_speed(way, 2 * rows * columns * inner) for _ in range(ROUNDS)) / 1e9)
        found[model] = {name: round(sum(values) / len(values), 1) for name, values in sums.items()}
    return found


def preloaded() -> dict[str, dict[str, float]]:
    """The same in a process whose MKL is answered by a library of ours."""
    with TemporaryDirectory() as folder:
        source, library = Path(folder) / "answer.c", Path(folder) / "answer.so"
        source.write_text(ANSWER, encoding="utf-8")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
        command = [sys.executable, "-m", "benchmarks.matrix_products", "--print"]
        done = subprocess.run(command, env={**os.environ, "LD_PRELOAD": str(library)}, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preload", action="store_true", help="measure with MKL's question answered, too")
    parser.add_argument("--print", action="store_true", help="print JSON and write nothing")
    arguments = parser.parse_args()
    found = {"as it is": measured(), **({"preloaded": preloaded()} if arguments.preload else {})}
    if arguments.print:
        print(json.dumps(found["as it is"]))
        return
    write_json(FILE, {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(), "gigaflops": found})
    for how, models in found.items():
        for model, ways in models.items():
            print(f"{how}, {model}: {', '.join(f'{name} {value:g}' for name, value in ways.items())} GFLOPS")


if __name__ == "__main__":
    main()
