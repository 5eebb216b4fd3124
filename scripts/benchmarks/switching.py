"""How well, and how fast, switching GLMs are recovered from simulated counts (protocol of Li et al. 2024, demo).

20 units, 5 states, sequences of 2000 bins: 30 or 4 of them to fit, and always the same 20 to test on, which no fit saw.
Beside each fit stands the oracle, which knows the true parameters and not the states.

    python scripts/benchmarks/switching.py [--seeds 0 1] [--train 30 4] [--priors none gaussian onehot]
                                           [--threads 2] [--quick | --no-scaling] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from measuring import describe_machine, list_versions
from numpy.typing import NDArray
from rich.console import Console

from neurodata.errors import NeurodataError
from neurodata.models import SwitchingGLM
from neurodata.models.layers.hmm import smooth, viterbi
from neurodata.models.layers.states import match_states
from neurodata.simulate.switching_glm import SimulatedSwitchingGLM, simulate_switching_glm

N_TRAIN, N_TEST, N_BINS, N_UNITS, N_STATES = 30, 20, 2000, 20, 5
"""Of the published protocol."""

ACCURACY_BELOW, NATS_BELOW = 0.02, 0.003
"""How far accuracy, and log-likelihood per bin and unit, of a fit may be below the oracle's."""

CORRELATION = {30: 0.95, 4: 0.85}
"""Least correlation of fitted with true weights, by sequences to fit."""

COLUMNS = {
    "seed": 4,
    "train": 5,
    "model": 10,
    "accuracy": 8,
    "log_likelihood": 14,
    "correlation": 11,
    "squared_error": 13,
    "sweeps": 6,
    "seconds": 8,
    "reached": 7,
}
"""What is said of each fit, and how wide that is printed."""


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--train", type=int, nargs="+", default=[30, 4], help="sequences to fit, at most 30")
    parser.add_argument("--priors", nargs="+", default=["none", "gaussian", "onehot"])
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument(
        "--quick", action="store_true", help="8 units and 3 states, one fit of each: shows that it runs"
    )
    parser.add_argument("--no-scaling", action="store_true", help="leave seconds by bins and by sequences out")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n_units, n_states = (8, 3) if options.quick else (N_UNITS, N_STATES)
    rows = []
    for seed in options.seeds[:1] if options.quick else options.seeds:
        simulated = simulate_switching_glm(N_TRAIN + N_TEST, N_BINS, n_units, n_states, seed)
        oracle = rate_oracle(simulated)
        rows.append({"seed": seed, "train": 0, "model": "oracle", "correlation": 1.0, "squared_error": 0.0, **oracle})
        for n_train in options.train[-1:] if options.quick else options.train:
            for prior in options.priors:
                print(f"seed {seed}, {n_train} sequences, {prior}", file=sys.stderr, flush=True)
                rows.append({"seed": seed, "train": n_train} | rate_fit(simulated, oracle, n_train, prior))
    result: dict[str, Any] = {"rows": rows}
    if not (options.quick or options.no_scaling):
        result["seconds_by_bins"] = scale([(8, 500 * 2**step) for step in range(4)])
        result["seconds_by_sequences"] = scale([(4 * 2**step, 1000) for step in range(4)])
    result |= {"threads": options.threads, "machine": describe_machine()}
    result["versions"] = list_versions(("neurodata", "torch", "lightning"))
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def rate_oracle(simulated: SimulatedSwitchingGLM) -> dict[str, float]:
    """Return accuracy and log-likelihood of the true parameters on the test sequences."""
    counts, states = simulated.counts[-N_TEST:], simulated.states[-N_TEST:]
    with np.errstate(divide="ignore"):
        log_transition = torch.as_tensor(np.log(simulated.transition))
    chain = torch.as_tensor(simulated.log_emission(counts)), log_transition, torch.as_tensor(simulated.log_initial())
    return {
        "accuracy": float((viterbi(*chain).numpy() == states).mean()),
        "log_likelihood": float(smooth(*chain).log_likelihood.sum()) / counts.size,
    }


def rate_fit(simulated: SimulatedSwitchingGLM, oracle: dict[str, float], n_train: int, prior: str) -> dict[str, Any]:
    """Return what a fit reaches on the test sequences, or why it was refused."""
    n_states = len(simulated.weights)
    model = SwitchingGLM(n_states, prior=prior, link="sigmoid", random_state=0)
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dead states show in the accuracy
            model.fit(simulated.counts[:n_train])
    except NeurodataError as error:
        return {"model": prior, "seconds": time.perf_counter() - begin, "reached": f"refused: {error}"}
    seconds = time.perf_counter() - begin
    truth = list(simulated.states[-N_TEST:])
    found = model.predict(simulated.counts[-N_TEST:])
    names = name_all(match_states(found, truth), n_states)
    weights = np.empty_like(simulated.weights)
    weights[names] = model.weights_
    row = {
        "model": prior,
        "accuracy": float(np.mean(names[np.stack(found)] == np.stack(truth))),
        "log_likelihood": model.score(simulated.counts[-N_TEST:]),
        "correlation": float(np.corrcoef(weights.ravel(), simulated.weights.ravel())[0, 1]),
        "squared_error": float(((weights - simulated.weights) ** 2).mean()),
        "sweeps": model.n_iter_,
        "seconds": seconds,
    }
    reached = (
        row["accuracy"] >= oracle["accuracy"] - ACCURACY_BELOW
        and (n_train != N_TRAIN or row["log_likelihood"] >= oracle["log_likelihood"] - NATS_BELOW)
        and row["correlation"] >= CORRELATION.get(n_train, 0.0)
    )
    return row | {"reached": "yes" if reached else "no"}


def name_all(matched: NDArray[np.int64], n_states: int) -> NDArray[np.int64]:
    """Return a true state for every fitted one, also for those that are never the likeliest."""
    names = np.full(n_states, -1)
    names[: len(matched)] = matched
    names[names < 0] = np.setdiff1d(np.arange(n_states), names)
    return names


def scale(sizes: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
    """Return seconds per sweep of one fit of each size, and microseconds per bin, alike where cost is linear."""
    found = {}
    for n_sequences, n_bins in sizes:
        print(f"scaling, {n_sequences} x {n_bins}", file=sys.stderr, flush=True)
        counts = simulate_switching_glm(n_sequences, n_bins, seed=0).counts
        model = SwitchingGLM(N_STATES, link="sigmoid", n_restarts=1, max_iter=8, allow_twins=True, random_state=0)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(counts)
        seconds = (time.perf_counter() - begin) / model.n_iter_
        found[f"{n_sequences} x {n_bins}"] = {
            "seconds_per_sweep": seconds,
            "microseconds_per_bin": 1e6 * seconds / (n_sequences * n_bins),
        }
    return found


def show(result: dict[str, Any]) -> None:
    """Print the table, and the rest as it is."""
    print("  ".join(name.rjust(width) for name, width in COLUMNS.items()))
    for row in result.pop("rows"):
        values = [row.get(column, "") for column in COLUMNS]
        texts = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in values]
        print("  ".join(text.rjust(width) for text, width in zip(texts, COLUMNS.values(), strict=True)))
    Console().print(result)


if __name__ == "__main__":
    main()
