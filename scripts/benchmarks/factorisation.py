"""Non-negative factorisation beside tensorly's HALS, and a tensor that is larger than memory in blocks.

Complete made-up tensors. tensorly goes first, from the same random start, with NumPy and with PyTorch; its faster one
counts. Ours is then timed as a whole call (``fit``, one start) with as many passes as reach tensorly's final error. All
are timed in one process, rounds interleaved, one seed per round; the ratio is the median over rounds of tensorly's
seconds by ours: above 1 we are faster.

``--blocks`` factorises some rows of a tensor of 44,850 pairs × 3,000 frames × 100 animals (300 neurons), in blocks made
as they are asked for, and says what a pass over all rows would take and how much memory the process took at most.

    python scripts/benchmarks/factorisation.py [--quick] [--json] [--rounds 3] [--blocks] [--rows 512]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorly
import torch
from measuring import describe_machine, list_versions, timed
from numpy.typing import NDArray
from rich.console import Console
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import non_negative_parafac_hals

from neurodata.models import TensorFactorisation
from neurodata.models.networks.tensor_factors import TensorFactors

CASES = (((60, 80, 100), 5), ((60, 80, 100), 10), ((200, 300, 20), 5), ((200, 300, 20), 10))
QUICK = (((30, 40, 50), 5),)
NOISE = 0.5
"""Standard deviation of the noise by that of the tensor."""
FULL = (300 * 299 // 2, 3000, 100)
"""Pairs of 300 neurons, frames, animals."""


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="one small tensor")
    parser.add_argument("--rounds", type=int, default=3, help="seeds, each timed once")
    parser.add_argument("--blocks", action="store_true", help="the tensor in blocks instead")
    parser.add_argument("--rows", type=int, default=512, help="rows of the tensor in blocks")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine(), "versions": list_versions(("torch", "tensorly", "numpy"))}
    result["threads"] = torch.get_num_threads()
    if options.blocks:
        result["blocks"] = measure_blocks(options.rows)
    else:
        cases = QUICK if options.quick else CASES
        timed(lambda: compare(*QUICK[0], seed=0))  # what is slow the first time
        result |= {f"{shape} rank {rank}": measure_case(shape, rank, options.rounds) for shape, rank in cases}
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)


def measure_case(shape: tuple[int, ...], rank: int, rounds: int) -> dict[str, Any]:
    """Return the median ratio over seeds, and what each round gave."""
    found = [compare(shape, rank, seed=seed) for seed in range(rounds)]
    return {"ratio": statistics.median(one["ratio"] for one in found), "details": found}


def make_tensor(shape: tuple[int, ...], rank: int, seed: int) -> NDArray[np.float64]:
    """Return non-negative components with noise, cut off at 0."""
    random = np.random.default_rng(seed)
    whole = np.einsum("ir,jr,kr->ijk", *(random.gamma(0.5, size=(size, rank)) for size in shape))
    return np.asarray((whole + NOISE * whole.std() * random.standard_normal(shape)).clip(0))


def compare(shape: tuple[int, ...], rank: int, *, seed: int) -> dict[str, Any]:
    """Return seconds and errors of both, from the same start."""
    tensor = make_tensor(shape, rank, seed)
    network = TensorFactors(shape=shape, ranks=[rank], double=True)
    network.draw(int(np.random.RandomState(seed).randint(2**31 - 1, size=1)[0]))
    start = [factor.detach().numpy().copy() for factor in network.factors]
    theirs = {backend: run_tensorly(tensor, rank, start, backend) for backend in ("numpy", "pytorch")}
    backend = min(theirs, key=lambda name: theirs[name][0])
    seconds, error, n_theirs = theirs[backend]
    model = TensorFactorisation(rank, n_restarts=1, tol=1e-9, random_state=seed, accelerator="cpu", max_iter=500)
    reached = np.flatnonzero(np.array(model.fit(tensor).errors_) <= error * (1 + 1e-6))
    if not len(reached):
        return {"ratio": 0.0, "error": model.error_, "tensorly_error": error}
    model.set_params(max_iter=int(reached[0]) + 1)
    ours = timed(lambda: model.fit(tensor))
    return {
        "ratio": seconds / ours,
        "seconds": ours,
        "passes": model.n_iter_,
        "error": model.error_,
        "tensorly_seconds": seconds,
        "tensorly_passes": n_theirs,
        "tensorly_error": error,
        "tensorly_backend": backend,
    }


def run_tensorly(
    tensor: NDArray[np.float64], rank: int, start: list[NDArray[np.float64]], backend: str
) -> tuple[float, float, int]:
    """Return the seconds tensorly takes with its default settings, its final error, and its passes."""
    with tensorly.backend_context(backend):
        data = tensorly.tensor(tensor)
        factors = [tensorly.tensor(factor.copy()) for factor in start]
        begin = time.perf_counter()
        _, errors = non_negative_parafac_hals(
            data, rank, init=CPTensor((tensorly.ones(rank, **tensorly.context(data)), factors)), return_errors=True
        )
        return time.perf_counter() - begin, float(errors[-1]), len(errors)


def measure_blocks(n_rows: int, rank: int = 5, rows_per_block: int = 64, passes: int = 2) -> dict[str, Any]:
    """Return seconds per pass (made-up blocks taken off) and the most memory, over the first rows of the full tensor."""
    random = np.random.default_rng(0)
    shape = (n_rows, *FULL[1:])
    factors = [random.random((size, rank), dtype=np.float32) for size in shape]
    right = np.einsum("jr,kr->rjk", *factors[1:]).reshape(rank, -1)
    lacking = random.random((n_rows, 1, shape[2])) < 0.3  # a pair of which an animal lacks a neuron
    making = [0.0]

    def blocks() -> Iterator[tuple[int, NDArray[np.float32]]]:
        for first in range(0, n_rows, rows_per_block):
            begin = time.perf_counter()
            part = slice(first, min(n_rows, first + rows_per_block))
            block = (factors[0][part] @ right).reshape(-1, *shape[1:])
            np.copyto(block, np.nan, where=lacking[part])
            making[0] += time.perf_counter() - begin
            yield first, block

    model = TensorFactorisation(rank, n_restarts=1, max_iter=passes, tol=1e-12, random_state=0, accelerator="cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = timed(lambda: model.fit_blocks(blocks, shape)) - making[0]
    per_pass = seconds / (passes + 1)
    return {
        "rows_of_the_full": [n_rows, FULL[0]],
        "seconds_per_pass_of_all_rows": per_pass * FULL[0] / n_rows,
        "gib_before_and_at_most": [before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20],
        "block_mib": rows_per_block * FULL[1] * FULL[2] * 4 / 2**20,
    }


if __name__ == "__main__":
    main()
