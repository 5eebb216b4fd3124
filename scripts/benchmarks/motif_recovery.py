"""How well motifs of simulated animals are recovered: who is in a group, when it acts, and in which animals.

``python scripts/benchmarks/motif_recovery.py [N_SEEDS]`` prints the table of docs/motifs.md.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import roc_auc_score

from neurodata.models import DynamicConnectome
from neurodata.simulate.dynamic_communities import DynamicCommunities, simulate_dynamic_communities

SETTINGS: dict[str, dict[str, object]] = {
    "as described": {},
    "rank 3": {"rank": 3},
    "rank 8": {"rank": 8},
    "bins of 8 frames": {"bin_frames": 8},
    "`shared_time=False`": {"shared_time": False},
    "`minimum`": {"kernel": "minimum"},
    "`rises`": {"kernel": "rises"},
    "`absolute`": {"kernel": "absolute"},
}


def recovery(made: DynamicCommunities, model: DynamicConnectome) -> NDArray[np.float64]:
    """Return pair AUC, Jaccard of the top 8 neurons, and correlations in time and over animals, ``(group, 4)``."""
    first, second = model.pairs_
    weights = model.motifs_[:, first, second]
    auc = np.array([[roc_auc_score(group[first] & group[second], one) for one in weights] for group in made.members])
    rows = []
    for group, motif in zip(*linear_sum_assignment(-auc)):
        found = set(np.argsort(-np.nansum(model.motifs_[motif], axis=0))[:8].tolist())
        true = set(np.flatnonzero(made.members[group]).tolist())
        window = made.active[group].reshape(-1, model.bin_frames).mean(axis=1)
        with_group = np.flatnonzero(made.animals[group])
        courses = (
            [model.time_courses_[motif]] if model.shared_time else [model.time_courses_[a][motif] for a in with_group]
        )
        in_time = np.mean([np.corrcoef(course, window)[0, 1] for course in courses])
        there = made.animals[group]
        over_animals = np.nan if there.all() else np.corrcoef(model.loadings_[:, motif], there)[0, 1]
        rows.append((auc[group, motif], len(found & true) / len(found | true), in_time, over_animals))
    return np.array(rows)


def main() -> None:
    """Print one row per setting, mean (worst) over seeds, groups 1 / 2 / 3."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print("| settings | AUC | Jaccard | time | animals, group 3 | error | match of restarts |")
    for name, options in SETTINGS.items():
        found, errors, matches = [], [], []
        for seed in range(n_seeds):
            made = simulate_dynamic_communities(seed=seed)
            model = DynamicConnectome(**options, community_method=None, random_state=seed)
            model.fit(made.traces, made.rate_hz)
            found.append(recovery(made, model))
            errors.append(model.error_)
            matches.append(model.factor_match_)
        means, worst = np.mean(found, axis=0), np.min(found, axis=0)
        cells = [
            " / ".join(f"{means[group, column]:.2f} ({worst[group, column]:.2f})" for group in range(3))
            for column in range(3)
        ]
        cells += [f"{means[2, 3]:.2f} ({worst[2, 3]:.2f})", f"{np.mean(errors):.2f}", f"{np.mean(matches):.2f}"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
