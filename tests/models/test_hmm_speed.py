"""What hidden Markov recursions cost: linear, and no more than compiled code of another hand."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neurodata.models.layers.hmm import smooth, viterbi


@pytest.fixture(autouse=True)
def one_thread():
    """What threads wait for one another counts as their work, and would be measured here."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def make_chain(n_sequences, n_bins, dtype):
    """Five sticky states, and emissions that tell a bin's state fairly well."""
    generator = torch.Generator().manual_seed(0)
    emission = 3 * torch.randn(n_sequences, n_bins, 5, generator=generator, dtype=dtype)
    transition = torch.full((5, 5), 0.01, dtype=dtype).fill_diagonal_(0.96)
    return emission, transition.log(), torch.full((5,), 0.2, dtype=dtype).log()


def test_likeliest_paths_of_thirty_long_sequences_take_less_than_half_a_second():
    chain = make_chain(30, 2000, torch.float64)
    begin = time.process_time()
    viterbi(*chain)
    assert time.process_time() - begin < 0.5


@pytest.mark.slow
def test_cost_is_linear_in_bins_and_in_sequences():
    def seconds(n_sequences, n_bins):
        chain = make_chain(n_sequences, n_bins, torch.float32)
        times = []
        for _ in range(5):
            begin = time.process_time()
            smooth(*chain)
            times.append(time.process_time() - begin)
        return min(times)

    one = seconds(30, 2000)
    assert seconds(30, 16000) < 2 * 8 * one
    assert seconds(240, 2000) < 2 * 8 * one


@pytest.mark.slow
def test_smoothing_is_at_least_eight_tenths_as_fast_as_compiled_dynamax():
    script = Path(__file__).resolve().parents[2] / "scripts" / "benchmarks" / "hmm.py"
    done = subprocess.run(
        [sys.executable, script, "--quick", "--rounds", "15", "--json"], check=True, stdout=subprocess.PIPE
    )
    result = json.loads(done.stdout)
    assert result["largest_difference"]["float32"] < 1e-5
    assert result["largest_difference"]["float64"] < 1e-10
    for precision in ("float32", "float64"):
        for smoother in ("hmm_smoother", "hmm_two_filter_smoother"):
            ratio = result["times_faster"][f"ours {precision} than dynamax {smoother} {precision}"]
            assert ratio["median"] >= 0.8
