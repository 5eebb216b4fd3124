"""Smoothing of hidden Markov models, emissions given: ours beside dynamax (jitted, vmapped) and a step per bin.

All run in one process on the same numbers, in turn, so what else the machine does falls on all alike; compilation is
not counted. Results are compared before anything is timed. Needs the ``test`` extra, which brings dynamax.

    python scripts/benchmarks/hmm.py [--quick] [--rounds 30] [--threads 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import describe_machine, list_versions, median_ratio, time_interleaved, timed
from numpy.typing import NDArray
from rich.console import Console

from neurodata.models.layers.hmm import smooth, viterbi
from neurodata.models.layers.hmm_logs import smooth_in_logs
from neurodata.models.layers.threads import few_threads

N_SEQUENCES, N_BINS, N_STATES = 30, 2000, 5
"""Sequences for training, bins and states of the simulation of switching GLMs (Li et al. 2024, demo)."""

STAY = 0.98
"""Probability of staying in a state, about that of states of one second in bins of 20 ms."""

PLAIN = "a step per bin, in logs, float64"
"""The recursion as textbooks write it, vectorised over sequences and states only."""


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no scaling")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2, help="of torch; JAX takes those of the cores it may use")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options.rounds)
    if not options.quick:
        result["seconds_by_bins"] = scale([(N_SEQUENCES, 1000 * 2**step) for step in range(5)])
        result["seconds_by_sequences"] = scale([(n, N_BINS) for n in (10, 30, 100, 300, 1000)])
    result |= {"threads": options.threads, "machine": describe_machine()}
    result["versions"] = list_versions(("neurodata", "torch", "jax", "dynamax"))
    if options.json:
        print(json.dumps(result))
    else:
        Console().print(result)


def make_numbers(n_sequences: int, n_bins: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return log-emissions ``(sequence, time, state)``, transitions and first states, float64."""
    rng = np.random.default_rng(seed)
    transition = STAY * np.eye(N_STATES) + (1 - STAY) * rng.dirichlet(np.ones(N_STATES), N_STATES)
    emission = rng.normal(0, 3.0, (n_sequences, n_bins, N_STATES))
    return emission, transition, np.full(N_STATES, 1 / N_STATES)


def measure(rounds: int) -> dict[str, Any]:
    """Return median seconds of each contender, and how many times faster ours is, with the middle half of rounds."""
    emission, transition, initial = make_numbers(N_SEQUENCES, N_BINS)
    chain = torch.as_tensor(transition).log(), torch.as_tensor(initial).log()
    works: dict[str, Callable[[], Any]] = {}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        works[f"ours {name}"] = make_ours(torch.as_tensor(emission).to(dtype), *chain)
        works |= make_dynamax(emission.astype(name), transition.astype(name), initial.astype(name))
    whole = torch.as_tensor(emission)
    lengths = torch.full((N_SEQUENCES,), N_BINS)
    works[PLAIN] = lambda: plain(whole, *chain, lengths)
    works["ours, likeliest paths, float64"] = lambda: viterbi(whole, *chain)
    difference = compare(works)
    for work in works.values():
        work()
    seconds = time_interleaved({name: lambda _, work=work: timed(work) for name, work in works.items()}, rounds)
    return {
        "largest_difference": difference,
        "median_seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "times_faster": {
            f"{ours} than {theirs}": spread(seconds[theirs], seconds[ours])
            for ours in ("ours float32", "ours float64")
            for theirs in works
            if not theirs.startswith("ours") and (theirs[-2:] == ours[-2:] or theirs == PLAIN)
        },
    }


def plain(*given: torch.Tensor) -> Any:
    """Smooth a bin at a time, on one thread as ours does with so few numbers."""
    with few_threads(N_SEQUENCES * N_STATES**2):
        return smooth_in_logs(*given)


def make_ours(log_emission: torch.Tensor, *chain: torch.Tensor) -> Callable[[], Any]:
    """Return the work of one round."""
    return lambda: smooth(log_emission, *chain)


def make_dynamax(
    emission: NDArray[Any], transition: NDArray[Any], initial: NDArray[Any]
) -> dict[str, Callable[[], Any]]:
    """Return dynamax' two smoothers compiled: states, transitions pooled over sequences, and log-likelihoods."""
    import jax
    from dynamax.hidden_markov_model import hmm_smoother, hmm_two_filter_smoother

    jax.config.update("jax_enable_x64", emission.dtype == np.float64)
    arrays = [jax.numpy.asarray(value) for value in (initial, transition, emission)]
    works: dict[str, Callable[[], Any]] = {}
    for smoother in (hmm_smoother, hmm_two_filter_smoother):

        def everything(initial: Any, transition: Any, emission: Any, smoother: Any = smoother) -> Any:
            found = jax.vmap(lambda one: smoother(initial, transition, one))(emission)
            first = found.smoothed_probs[:, 0].sum(0)
            return found.smoothed_probs, found.trans_probs.sum(0), first, found.marginal_loglik

        compiled = jax.jit(everything).lower(*arrays).compile()
        works[f"dynamax {smoother.__name__} {emission.dtype}"] = lambda compiled=compiled, arrays=arrays: (
            jax.block_until_ready(compiled(*arrays))
        )
    return works


def compare(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the largest difference of any state's probability between ours and dynamax, per precision."""
    return {
        name: max(
            float(np.abs(np.asarray(theirs()[0]) - works[f"ours {name}"]()[0].numpy()).max())
            for other, theirs in works.items()
            if other.startswith("dynamax") and other.endswith(name)
        )
        for name in ("float32", "float64")
    }


def spread(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Return the median ratio over rounds and its quartiles."""
    ratios = [one / other for one, other in zip(slow, fast, strict=True)]
    lower, _, upper = statistics.quantiles(ratios, n=4)
    return {"median": median_ratio(slow, fast), "lower_quartile": lower, "upper_quartile": upper}


def scale(sizes: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
    """Return seconds of ours (float32) per size, and nanoseconds per bin, which stay alike where cost is linear."""
    found = {}
    for n_sequences, n_bins in sizes:
        emission, transition, initial = make_numbers(n_sequences, n_bins)
        work = make_ours(
            torch.as_tensor(emission).float(), torch.as_tensor(transition).log(), torch.as_tensor(initial).log()
        )
        work()
        seconds = statistics.median(timed(work) for _ in range(7))
        found[f"{n_sequences} x {n_bins}"] = {
            "seconds": seconds,
            "nanoseconds_per_bin": 1e9 * seconds / (n_sequences * n_bins),
        }
    return found


if __name__ == "__main__":
    main()
