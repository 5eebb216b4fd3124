"""Does the wiring of published connectomes tell which neurons of the Kato worms go together?

``python scripts/score_structure_function.py FOLDER OUTPUT`` reads ``FOLDER/celegans`` (Kato et al. 2015 recordings and the
connectome tables), compares covariance measures of the named neurons with chemical and electrical wiring of several
reconstructions beside both nulls, and writes ``OUTPUT/structure_function.md`` with its figure. Negative results are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr

from neurodata.analyses.structure_function import (
    StructureFunction,
    make_functional,
    state_regressors,
    structure_function,
)
from neurodata.identity.celegans import table
from neurodata.loaders.connectomes import open_connectome
from neurodata.loaders.datasets.kato_brain_2015 import STATES, KatoBrain2015
from neurodata.recording.connectome import Connectome
from neurodata.recording.consensus import consensus, join
from neurodata.recording.recording import Recording
from neurodata.report.structure_figures import make_structure_figure

SOURCES = ("Cook2019", "WhiteWhole", "WitvlietA_07", "WitvlietA_08")
MEASURES = ("correlation", "correlation, no left–right pairs", "correlation given states", "partial correlation")
N_NULLS = 1000


def main(data: Path, output: Path) -> None:
    """Score every measure against every reconstruction, and write table and figure."""
    worms = read_worms(data / "celegans" / "kato2015-zimmer")
    wirings = read_wirings(data / "celegans" / "connectomes-pub_utils")
    functional = {measure: [make_measure(worm, measure) for worm in worms] for measure in MEASURES}
    found: dict[tuple[str, str], StructureFunction] = {}
    for source, wiring in wirings.items():
        for measure, matrices in functional.items():
            found[source, measure] = structure_function(matrices, wiring, n_nulls=N_NULLS)
            print(f"{source}, {measure}: done", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    shown = found["Cook2019", "correlation"]
    with matplotlib.rc_context(
        {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "legend.frameon": False}
    ):
        figure = make_structure_figure(shown.table, shown.pairs, shown.nulls, measure="|correlation|")
        figure.savefig(output / "structure_function.png")
    (output / "structure_function.md").write_text(make_page(found, functional), encoding="utf-8")


def read_worms(folder: Path) -> list[Recording]:
    """Return the five recordings; neurons whose name comes twice in a worm are unlabelled."""
    loader = KatoBrain2015(folder, duplicates="unlabel")
    return [loader.load(session) for session in loader.sessions()]


def read_wirings(folder: Path) -> dict[str, Connectome]:
    """Return the chemical and electrical table of each reconstruction, and the consensus of the two Witvliet adults."""
    found = {}
    for source in SOURCES:
        found[source] = join([open_connectome(folder / f"{kind}_{source}.csv") for kind in ("chemical", "electrical")])
    adults = join([found.pop("WitvlietA_07"), found.pop("WitvlietA_08")])
    found["Witvliet adults (in both)"] = consensus(adults, min_sources=2)
    return found


def make_measure(worm: Recording, measure: str) -> xr.DataArray:
    """Return one worm's functional matrix."""
    calcium = worm.signals["calcium"]
    traces, labels = calcium.values, [str(label) for label in calcium["label"].values]
    if measure == "partial correlation":
        return make_functional(traces, labels, measure="partial_correlation")
    given = (
        state_regressors(read_states(worm), float(calcium.attrs["sampling_rate_hz"])) if "states" in measure else None
    )
    functional = make_functional(traces, labels, given=given)
    if "left–right" in measure:
        partner = dict(zip(table()["name"], table()["left_right"]))
        names = functional["pre"].values
        mirrored = [[partner.get(str(one)) == str(two) for two in names] for one in names]
        functional = functional.where(~np.array(mirrored))
    return functional


def read_states(worm: Recording) -> np.ndarray:
    """Return the code of the motor state at each sample, shape ``(time,)``."""
    calcium, states = worm.signals["calcium"], worm.intervals["state"]
    times = calcium["time"].values
    at = np.clip(np.searchsorted(states["start"].values, times + 1e-9, side="right") - 1, 0, None)
    assert set(np.unique(states["code"].values)) <= set(range(len(STATES)))
    return np.asarray(states["code"].values[at])


def make_page(found: dict[tuple[str, str], StructureFunction], functional: dict[str, list[xr.DataArray]]) -> str:
    """Return the results as Markdown."""
    rows = []
    for (source, measure), one in found.items():
        for _, row in one.table[one.table["statistic"] != "pearson"].iterrows():
            rows.append(
                {
                    "wiring": f"{source}, {row['kind']}",
                    "measure": measure,
                    "statistic": row["statistic"],
                    "value [95 % CI]": f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
                    "names shuffled": f"{row['labels_mean']:.3f} ± {row['labels_sd']:.3f}",
                    "p": f"{row['labels_p']:.3f}",
                    "rewired": f"{row['degree_mean']:.3f} ± {row['degree_sd']:.3f}",
                    "p ": f"{row['degree_p']:.3f}",
                    "neurons": row["n_neurons"],
                    "pairs": f"{row['n_connected']}/{row['n_pairs']}",
                }
            )
    scores = pd.DataFrame(rows)
    aucs = scores[scores["statistic"] == "auc"].drop(columns="statistic")
    ranks = scores[scores["statistic"] == "spearman"].drop(columns="statistic")
    n_named = [matrix.sizes["pre"] for matrix in functional["correlation"]]
    rule = next(iter(found.values())).rule
    n_tests = len(scores)
    return f"""## Measured

Made by `scripts/score_structure_function.py` from the five worms of Kato et al. 2015 ({", ".join(map(str, n_named))} named
neurons) with {N_NULLS} shuffled graphs of each null. Compared: {rule}. Intervals are over worms (jackknife, five of them: wide);
p values are two-sided and not corrected for the {n_tests} lines below.

### AUC: connected pairs against the others (chance 0.5)

{as_markdown(aucs)}

### Spearman correlation with the strength of the connection (chance 0)

{as_markdown(ranks)}
"""


def as_markdown(scores: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    lines = ["| " + " | ".join(scores.columns) + " |", "|" + "---|" * scores.shape[1]]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in scores.itertuples(index=False)]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
