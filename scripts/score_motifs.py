"""Motifs of five worms against their motor states and their wiring, beside baselines and nulls.

``python scripts/score_motifs.py FOLDER_OF_DATA OUTPUT`` converts the recordings of Kato et al. 2015, finds motifs of
neurons that change together, asks when they are active and whether their pairs are wired, prints each table and writes
tables and figures to OUTPUT. What came out is in docs/results/motifs.md.
"""

from __future__ import annotations

import base64
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neurodata as nd
from neurodata.analyses.affinity import affinity, bin_times, pair_indices
from neurodata.analyses.structure_function import shuffle_edges
from neurodata.identity.celegans import table as neuron_table
from neurodata.loaders.connectomes import open_connectome
from neurodata.loaders.datasets.kato_brain_2015 import STATES
from neurodata.models import DynamicConnectome
from neurodata.report.figures import draw
from neurodata.report.motif_figures import make_block_figure, make_course_figure, make_loading_figure, make_motif_figure

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# All settings were fixed before any result was looked at; RANKS shows what another rank would have said.
RATE_HZ, RANK, RANKS, BIN_FRAMES, SEED = 3.0, 5, (1, 3, 5, 8), 2, 0
FEWEST_WORMS = 3
"""Neurons named in fewer worms would give pairs that one worm has alone."""
N_NULLS, SHORTEST_SHIFT_SECONDS = 1000, 30.0
LAGS_SECONDS = (-4.0, -2.0, 0.0, 2.0, 4.0)
"""What a decoder sees around a moment; the same for motifs and for traces."""


def open_worms(data: Path, output: Path) -> tuple[xr.Dataset, list[Codes]]:
    """Return the neurons named in at least three worms on one clock, and each worm's state in each bin (−1: none)."""
    nd.convert("kato_brain_2015", data / "celegans/kato2015-zimmer", output / "store")
    recordings = list(nd.open_store(output / "store").select(dataset="kato_brain_2015"))
    worms = nd.homogenise(recordings, rate_hz=RATE_HZ)
    named_in = np.isfinite(worms["activity"].values).any(axis=1).sum(axis=0)
    worms = worms.isel(channel=np.flatnonzero(named_in >= FEWEST_WORMS))
    times = bin_times(worms.sizes["time"], RATE_HZ, BIN_FRAMES)
    return worms, [_states_at(recording, times) for recording in recordings]


def _states_at(recording: nd.Recording, times: Floats) -> Codes:
    runs = recording.intervals["state"]
    start, stop, code = (np.asarray(runs[name].values) for name in ("start", "stop", "code"))
    place = np.searchsorted(start, times, side="right") - 1
    inside = (place >= 0) & (times < stop[np.maximum(place, 0)])
    return np.where(inside, code[np.maximum(place, 0)], -1).astype(np.int64)


def make_model(rank: int = RANK, seed: int = SEED) -> DynamicConnectome:
    """Motifs as everywhere below: defaults of the estimator, time not shared."""
    return DynamicConnectome(rank, bin_frames=BIN_FRAMES, shared_time=False, n_restarts=5, random_state=seed)


def without_communities(rank: int = RANK, seed: int = SEED) -> DynamicConnectome:
    """The same without looking for communities."""
    return make_model(rank, seed).set_params(community_method=None)


def rank_table(worms: xr.Dataset) -> pd.DataFrame:
    """How much of hidden affinities of a left-out worm motifs explain; rank 1 is one static pattern."""
    rows, full = [], {}
    for rank in RANKS:
        full[rank] = without_communities(rank).fit(worms)
        scores, match = [], []
        for left_out in range(worms.sizes["recording"]):
            rest = without_communities(rank).fit(_recorded(_leave_out(worms, left_out)))
            scores.append(rest.score(_only(worms, left_out, rest.names_)))
            match.append(_match(full[rank], rest))
        rows.append({"motifs": rank, "relative error": f"{full[rank].error_:.3f}",
                     "match of restarts": f"{full[rank].factor_match_:.2f}" if rank > 1 else "–",
                     "match without a worm": f"{np.mean(match):.2f}",
                     "left-out worm, share explained": _interval(scores)})  # fmt: skip
    return pd.DataFrame(rows)


def _leave_out(worms: xr.Dataset, place: int) -> xr.Dataset:
    return worms.isel(recording=[i for i in range(worms.sizes["recording"]) if i != place])


def _recorded(worms: xr.Dataset) -> xr.Dataset:
    return worms.isel(channel=np.flatnonzero(np.isfinite(worms["activity"].values).any(axis=(0, 1))))


def _only(worms: xr.Dataset, place: int, names: Sequence[str]) -> xr.Dataset:
    return worms.isel(recording=[place]).sel(channel=list(names))


def _match(one: DynamicConnectome, other: DynamicConnectome) -> float:
    """Mean cosine of the motifs of two fits, over the pairs that both have, best matching."""
    places = [one.names_.index(name) for name in other.names_]
    mine = one.motifs_[:, places][:, :, places].reshape(one.rank, -1)
    theirs = other.motifs_.reshape(other.rank, -1)
    both = np.isfinite(mine[0]) & np.isfinite(theirs[0])
    mine, theirs = mine[:, both], theirs[:, both]
    cosine = (mine @ theirs.T) / np.outer(np.linalg.norm(mine, axis=1), np.linalg.norm(theirs, axis=1))
    return float(cosine[linear_sum_assignment(-cosine)].mean())


def state_table(model: DynamicConnectome, states: list[Codes]) -> pd.DataFrame:
    """AUC of each motif's activity for each state, mean over worms; starred where beyond the largest of the nulls.

    Nulls shift a worm's states in a circle against its courses. The largest deviation over motifs and states of each
    null corrects for having looked at all of them.
    """
    courses = [_ranks(course) for course in model.time_courses_]
    found = np.nanmean([_aucs(course, code) for course, code in zip(courses, states)], axis=0)
    rng = np.random.default_rng(SEED)
    nulls = [
        np.nanmax(np.abs(np.nanmean([_aucs(c, _shifted(s, rng)) for c, s in zip(courses, states)], axis=0) - 0.5))
        for _ in range(N_NULLS)
    ]
    chance = (1 + (np.array(nulls)[:, None, None] >= np.abs(found - 0.5)).sum(axis=0)) / (1 + N_NULLS)
    table = pd.DataFrame([[f"{auc:.2f}{'*' if p < 0.05 else ''}" for auc, p in zip(*row)] for row in zip(found, chance)],
                         columns=list(STATES))  # fmt: skip
    table.insert(0, "motif", range(1, len(table) + 1))
    return table


def _ranks(course: Floats) -> Floats:
    return np.asarray(pd.DataFrame(course.T).rank().to_numpy().T)


def _aucs(ranks: Floats, codes: Codes) -> Floats:
    """AUC of every course for every state, shape ``(motif, state)``: the Mann–Whitney statistic from ranks."""
    there = np.isfinite(ranks[0]) & (codes >= 0)
    ranks = pd.DataFrame(ranks[:, there].T).rank().to_numpy().T
    one = codes[there] == np.arange(len(STATES))[:, None]
    inside, outside = one.sum(axis=1), (~one).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((ranks @ one.T - inside * (inside + 1) / 2) / (inside * outside))


def _shifted(codes: Codes, rng: np.random.Generator) -> Codes:
    """States shifted in a circle within the stretch that has any, by at least 30 s."""
    there = np.flatnonzero(codes >= 0)
    shortest = int(SHORTEST_SHIFT_SECONDS * RATE_HZ / BIN_FRAMES)
    shifted = codes.copy()
    shifted[there] = np.roll(codes[there], int(rng.integers(shortest, len(there) - shortest)))
    return shifted


def information_table(model: DynamicConnectome, worms: xr.Dataset, states: list[Codes]) -> pd.DataFrame:
    """Information between one label per bin (the motif that is most active, or a cluster) and the states, beyond nulls."""
    scaled = [course / np.nanmean(np.concatenate(model.time_courses_, axis=1), axis=1)[:, None]
              for course in model.time_courses_]  # fmt: skip
    slopes, levels = (_frames(worms, kind) for kind in ("changes", "levels"))
    labels = {
        "strongest motif": [np.argmax(np.nan_to_num(course), axis=0) for course in scaled],
        f"k-means of {RANK}, motif activities": _clusters([course.T for course in scaled]),
        f"k-means of {RANK}, changes of neurons": _clusters(slopes),
        f"k-means of {RANK}, activity of neurons": _clusters(levels),
    }
    rows = []
    for name, label in labels.items():
        rng = np.random.default_rng(SEED)
        found = np.array([_information(one, code) for one, code in zip(label, states)])
        nulls = np.array([[_information(one, _shifted(code, rng)) for one, code in zip(label, states)]
                          for _ in range(N_NULLS)])  # fmt: skip
        p = (1 + (nulls.mean(axis=1) >= found.mean()).sum()) / (1 + N_NULLS)
        rows.append({"label of a bin": name, "bits beyond shifted states": _interval(found - nulls.mean(axis=0)),
                     "bits, shifted states": f"{nulls.mean():.3f}", "p": f"{p:.3f}"})  # fmt: skip
    return pd.DataFrame(rows)


def _information(label: Codes, codes: Codes) -> float:
    there = codes >= 0
    return float(mutual_info_score(label[there], codes[there]) / np.log(2))


def _clusters(frames: list[Floats]) -> list[Codes]:
    filled = [np.nan_to_num(frame) for frame in frames]
    fitted = KMeans(RANK, n_init=10, random_state=SEED).fit(np.concatenate(filled))
    return [fitted.predict(frame) for frame in filled]


def _frames(worms: xr.Dataset, kind: str) -> list[Floats]:
    """Each worm's z-scored activity, or its changes, averaged in bins, ``(bin, neuron)``; what is missing is 0."""
    from neurodata.analyses._affinity_changes import changes

    frames = []
    for activity in worms["activity"].values:
        if kind == "changes":
            values = changes(activity, RATE_HZ)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a worm without the neuron
                values = (activity - np.nanmean(activity, axis=0)) / np.nanstd(activity, axis=0)
        values = np.nan_to_num(values)
        values = np.pad(values, ((0, -len(values) % BIN_FRAMES), (0, 0)), mode="edge")
        frames.append(values.reshape(-1, BIN_FRAMES, values.shape[1]).mean(axis=1))
    return frames


def decoding_table(worms: xr.Dataset, states: list[Codes]) -> pd.DataFrame:
    """Balanced accuracy of the state of a worm that neither motifs nor decoder have seen."""
    levels, slopes = _frames(worms, "levels"), _frames(worms, "changes")
    scores: dict[str, list[float]] = {}
    for left_out in range(worms.sizes["recording"]):
        rest = [i for i in range(worms.sizes["recording"]) if i != left_out]
        inputs: dict[str, list[Floats]] = {}
        for rank in RANKS:
            model = without_communities(rank).fit(_recorded(_leave_out(worms, left_out)))
            own = model.time_courses(_only(worms, left_out, model.names_))
            everyone = dict(zip([*rest, left_out], [*model.time_courses_, *own]))
            inputs[f"{rank} motif{'s' if rank > 1 else ''}"] = [
                np.nan_to_num(np.sqrt(everyone[i])).T for i in range(len(everyone))
            ]
        inputs |= {"activity of neurons": levels, "changes of neurons": slopes}
        for name, frames in inputs.items():
            scores.setdefault(name, []).append(_decode(frames, states, rest, left_out))
        shuffled = [_shifted(code, np.random.default_rng(i)) for i, code in enumerate(states)]
        scores.setdefault(f"{RANK} motifs, shifted states in training", []).append(
            _decode(inputs[f"{RANK} motifs"], [*shuffled[:left_out], states[left_out], *shuffled[left_out + 1 :]],
                    rest, left_out)
        )  # fmt: skip
        present = len(np.unique(states[left_out][states[left_out] >= 0]))
        scores.setdefault("most frequent state", []).append(1 / present)
    return pd.DataFrame([{"decoded from": name, **{f"worm{i + 1}": f"{v:.3f}" for i, v in enumerate(values)},
                          "mean": _interval(values)} for name, values in scores.items()])  # fmt: skip


def _decode(frames: list[Floats], states: list[Codes], rest: list[int], left_out: int) -> float:
    seen = [_lagged(frame) for frame in frames]
    there = [code >= 0 for code in states]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"))
    model.fit(np.concatenate([seen[i][there[i]] for i in rest]), np.concatenate([states[i][there[i]] for i in rest]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        return float(
            balanced_accuracy_score(states[left_out][there[left_out]], model.predict(seen[left_out][there[left_out]]))
        )


def _lagged(frames: Floats) -> Floats:
    steps = [round(lag * RATE_HZ / BIN_FRAMES) for lag in LAGS_SECONDS]
    places = np.clip(np.arange(len(frames))[:, None] + steps, 0, len(frames) - 1)
    return np.asarray(frames[places].reshape(len(frames), -1))


def wiring_table(model: DynamicConnectome, worms: xr.Dataset, data: Path) -> pd.DataFrame:
    """Whether the pairs of a motif are wired: chemical or electrical synapses of Cook et al. 2019, either direction."""
    connectome = open_connectome(data / "celegans/connectomes-pub_utils").select(source="Cook2019")
    wired = sum(connectome.matrix(kind, neurons=model.names_, binary=True, symmetrise="max").values
                for kind in ("chemical", "electrical")) > 0  # fmt: skip
    np.fill_diagonal(wired, False)
    patterns = {f"motif {i + 1}": motif for i, motif in enumerate(model.motifs_)} | _static(worms)
    known = neuron_table().set_index("name")["left_right"]
    partners = np.array([[known[a] == b for b in model.names_] for a in model.names_])
    nulls = {kind: _shuffled(wired, kind) for kind in ("degree", "labels")}
    rows = []
    for name, pattern in patterns.items():
        row: dict[str, object] = {"pattern": name}
        for title, left_out in (("all pairs", np.zeros_like(wired)), ("without left-right partners", partners)):
            used = np.isfinite(pattern) & ~left_out & np.triu(np.ones_like(wired), 1)
            found = _ratio(pattern, wired, used)
            row[f"{title}: wired / not"] = f"{found:.2f}"
            for kind, graphs in nulls.items():
                chance = np.array([_ratio(pattern, graph, used) for graph in graphs])
                row[f"p, {kind}" + (", without" if left_out.any() else "")] = _p_value(found, chance)
        rows.append(row)
    print(f"{int(np.triu(wired).sum())} of {wired.shape[0] * (wired.shape[0] - 1) // 2} pairs are wired")
    return pd.DataFrame(rows)


def _shuffled(wired: NDArray[np.bool_], kind: str) -> list[NDArray[np.bool_]]:
    rng = np.random.default_rng(SEED)
    return [shuffle_edges(wired.astype(np.float64), rng, kind) > 0 for _ in range(N_NULLS)]


def _ratio(pattern: Floats, wired: NDArray[np.bool_], used: NDArray[np.bool_]) -> float:
    """Mean weight of wired pairs over mean weight of the others."""
    return float(pattern[used & wired].mean() / pattern[used & ~wired].mean())


def _p_value(found: float, nulls: Floats) -> str:
    return f"{(1 + (nulls >= found).sum()) / (1 + len(nulls)):.3f}"


def _static(worms: xr.Dataset) -> dict[str, Floats]:
    """Patterns without time: mean affinity, and correlations of activity, averaged over the worms that have a pair."""
    n = worms.sizes["channel"]
    first, second = pair_indices(n)
    mean = np.full((n, n), np.nan)
    found: dict[str, list[Floats]] = {"mean affinity": [], "positive correlation": [], "|correlation|": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pairs that a worm lacks
        for activity in worms["activity"].values:
            one = mean.copy()
            one[first, second] = one[second, first] = np.nanmean(affinity(activity, RATE_HZ), axis=1)
            found["mean affinity"].append(one)
            correlation = pd.DataFrame(activity).corr().to_numpy()
            found["positive correlation"].append(np.maximum(correlation, 0))
            found["|correlation|"].append(np.abs(correlation))
        return {f"static: {name}": np.nanmean(each, axis=0) for name, each in found.items()}


def _interval(values: Sequence[float] | Floats) -> str:
    """Mean and 95 % bootstrap interval over worms."""
    given = np.asarray(values, np.float64)
    drawn = np.random.default_rng(SEED).choice(given, (10000, len(given))).mean(axis=1)
    return f"{given.mean():.3f} ({np.quantile(drawn, 0.025):.3f} to {np.quantile(drawn, 0.975):.3f})"


def draw_figures(model: DynamicConnectome, states: list[Codes], output: Path) -> None:
    """Write the four figures of the motifs."""
    known = neuron_table().set_index("name")["function"]
    classes = [str(known.get(name, "unknown")) for name in model.names_]
    worms = [f"worm{i + 1}" for i in range(len(states))]
    rows = [(*row,) for row in zip(worms, model.time_, model.time_courses_, states)]
    labels = [found.labels for found in model.communities_]
    figures: dict[str, tuple[Callable[..., object], tuple[object, ...]]] = {
        "motifs": (make_motif_figure, (model.motifs_, model.names_, classes)),
        "motif_communities": (make_block_figure, (model.motifs_, model.names_, labels)),
        "motif_courses": (make_course_figure, (rows, STATES)),
        "motif_loadings": (make_loading_figure, (model.loadings_, worms)),
    }
    for name, (make, arguments) in figures.items():
        uri = draw(make, *arguments, vector=False)  # type: ignore[arg-type]
        (output / f"{name}.png").write_bytes(base64.b64decode(uri.partition(",")[2]))


def community_table(model: DynamicConnectome) -> pd.DataFrame:
    """Communities of each motif: sizes, and the neurons of the block whose pairs weigh most."""
    rows = []
    for place, (motif, found) in enumerate(zip(model.motifs_, model.communities_)):
        sizes = np.bincount(found.labels)
        weights = [np.nanmean(motif[np.ix_(found.labels == k, found.labels == k)]) if n > 1 else 0
                   for k, n in enumerate(sizes)]  # fmt: skip
        strongest = np.flatnonzero(found.labels == int(np.argmax(weights)))
        rows.append({"motif": place + 1, "communities": len(sizes), "sizes": ", ".join(map(str, sizes)),
                     "the block of the strongest pairs": " ".join(model.names_[i] for i in strongest)})  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Score everything and write tables and figures."""
    data, output = Path(sys.argv[1]), Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    worms, states = open_worms(data, output)
    model = make_model().fit(worms)
    print(f"{worms.sizes['channel']} neurons, {model.pairs_.shape[1]} pairs")
    runs: dict[str, Callable[[], pd.DataFrame]] = {
        "Communities of each motif": lambda: community_table(model),
        "How many motifs": lambda: rank_table(worms),
        "When motifs are active (AUC)": lambda: state_table(model, states),
        "What a bin's label says of the state": lambda: information_table(model, worms, states),
        "State of a left-out worm, balanced accuracy": lambda: decoding_table(worms, states),
        "Are the pairs of a motif wired?": lambda: wiring_table(model, worms, data),
    }
    sections = []
    for title, run in runs.items():
        begin = time.time()
        table = run()
        print(f"{title} ({time.time() - begin:.0f} s)\n{table.to_string(index=False)}\n", flush=True)
        sections.append(f"### {title}\n\n{_markdown(table)}")
    (output / "tables.md").write_text("\n".join(sections), encoding="utf-8")
    draw_figures(model, states, output)


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
