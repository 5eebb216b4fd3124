"""What the weighted block model finds in small graphs, and how long a fit takes.

    python scripts/benchmarks/communities.py [--seeds 5]

prints a table in Markdown: blocks found and normalised mutual information with the planted ones, mean over seeds, and
seconds of CPU per fit. Its numbers are in docs/decisions/weighted-block-model.md.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

from neurodata.analyses.communities import communities
from neurodata.simulate.block_graphs import simulate_block_graph

CASES = [
    *((n, blocks, ratio, density) for n in (30, 45, 60) for blocks in (2, 4) for ratio in (3.0, 5.0) for density in (0.5, 1.0)),
    *((n, 4, 5.0, 0.5) for n in (100, 200, 302)),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="graphs per row (1 from 100 nodes on)")
    seeds = parser.parse_args().seeds
    print("| nodes | blocks | mean weight inside : between | pairs joined | blocks found | NMI | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for n_nodes, n_blocks, ratio, density in CASES:
        found = np.array(
            [fit(n_nodes, n_blocks, ratio, density, seed) for seed in range(seeds if n_nodes < 100 else 1)]
        )
        n_found, nmi, seconds = found.mean(axis=0)
        print(
            f"| {n_nodes} | {n_blocks} | {ratio:g} : 1 | {density:.0%} | {n_found:.1f} | {nmi:.2f} | {seconds:.1f} |",
            flush=True,
        )


def fit(n_nodes: int, n_blocks: int, ratio: float, density: float, seed: int) -> tuple[int, float, float]:
    """Blocks found, normalised mutual information with those planted, and seconds of CPU."""
    graph = simulate_block_graph(
        n_nodes, n_blocks, density_inside=density, density_between=density, mean_inside=ratio, seed=seed
    )
    start = time.process_time()
    result = communities(graph.weights, seed=seed)
    seconds = time.process_time() - start
    return result.n_communities, float(normalized_mutual_info_score(graph.labels, result.labels)), seconds


if __name__ == "__main__":
    main()
