"""States of whole worm brains beside the eight motor states that the authors derived from some of the same neurons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import neurodata as nd
from neurodata.loaders.datasets.kato_brain_2015 import STATES
from neurodata.models import SwitchingGLM
from neurodata.recording.recording import Recording
from neurodata.report.state_figures import Strip, make_state_time_figure

from .fits import NO_HISTORY, SEED, choose_states, cluster, decode, fit, likelihoods, write_png
from .measures import (
    Arrays,
    accuracy,
    balanced,
    hold_out_thirds,
    interval,
    match,
    read_out,
    shared_information,
    shown,
)  # fmt: skip

N_COMPONENTS = 10
RATE_HZ = 3.0
AR = {"emission": "gaussian", "prior": "gaussian", "state_variance": True}
ONE, PLAIN = "AR, one state", "HMM without history"
AR_STATES, CLUSTERS = "AR states", "k-means, of traces and their changes"
MAJORITY, TOLD = "always the commonest motor state", "told in training: logistic regression"
_N_SHIFTS = 200
_BLOCK, _GUARD, _SHIFT = 60, 5, 20
"""Seconds: a block, what is left out at both its ends where it is held out, and the smallest shift of the null."""


@dataclass(frozen=True)
class Worm:
    """States of one worm by every method.

    Parameters
    ----------
    states
        Method → states of the training and of the held-out sequences.
    told
        Motor states of the held-out sequences, by a classifier that was told those of the training sequences.
    classes
        Motor states of the training and of the held-out sequences.
    rate_hz
        Of all of them.
    """

    states: dict[str, tuple[Arrays, Arrays]]
    told: Arrays
    classes: tuple[Arrays, Arrays]
    rate_hz: float


def score_worms(recordings: list[Recording], output: Path) -> list[tuple[str, pd.DataFrame]]:
    """Each worm by itself, from all its neurons; and from four worms to the fifth, by the neurons all have in common."""
    worms = nd.homogenise(recordings, rate_hz=RATE_HZ)
    named = worms["mask"].any("time").all("recording").values
    shared = worms.sel(channel=worms["channel"].values[named])
    codes = [_codes(recording, worms["time"].values) for recording in recordings]
    own = [_fit_one(recording) for recording in recordings]
    across = [_fit_across(shared, codes, place) for place in range(len(recordings))]
    _draw(own[0][0], output)
    counts = pd.concat([table for _, table in own]).groupby("model", sort=False)
    likelihood = pd.DataFrame(
        [{"model": model, "log-likelihood per bin and component": shown(interval(rows["value"].to_numpy()))} | _ahead(rows)
         for model, rows in counts]
    )  # fmt: skip
    names = ", ".join(shared["channel"].values)
    return [
        ("Worms, each by itself: 10 components of all neurons, every third minute held out", _compare([w for w, _ in own])),
        ("Worms, each by itself: log-likelihood of held-out minutes", likelihood),
        (f"Worms, four to the fifth: {int(named.sum())} neurons named in all five ({names})", _compare(across)),
    ]  # fmt: skip


def _fit_one(recording: Recording) -> tuple[Worm, pd.DataFrame]:
    """One worm by itself: states of its training and held-out minutes, and held-out likelihoods."""
    signal = recording.signals["calcium"]
    values, seconds = np.asarray(signal.values, np.float64), np.asarray(signal["time"].values)
    rate = 1 / float(np.median(np.diff(seconds)))
    parts = hold_out_thirds(len(values), round(_BLOCK * rate), round(_GUARD * rate))
    classes = parts.of(_codes(recording, seconds))
    train, test = _components(*parts.of(values))
    changing = _components(*parts.of(np.hstack([_scaled(values), _scaled(_changes(values))])))
    states, models = _states((train, test), changing)
    chosen, _ = choose_states(train, AR)
    models["AR, states by likelihood"] = fit(train, chosen, **AR)
    states["AR states, their number by likelihood"] = _predict(models["AR, states by likelihood"], train, test)
    models[ONE] = fit(train, 1, **AR)
    rows = [
        {"model": name, "value": likelihoods(model, test).mean(), "n_states": model.n_states}
        for name, model in models.items()
    ]
    reference = next(row["value"] for row in rows if row["model"] == ONE)
    table = pd.DataFrame(rows).assign(ahead=lambda t: t["value"] - reference)
    print(f"{recording.recording_id}: {chosen} AR states by likelihood", flush=True)
    return Worm(states, decode(changing[0], classes[0], changing[1]), classes, rate), table


def _fit_across(shared: xr.Dataset, codes: list[NDArray[np.int64]], place: int) -> Worm:
    """Four worms to fit and match, the fifth to find the states of; every worm is scaled by itself."""
    values = []
    for recording in shared["activity"].values:
        known = np.isfinite(recording).all(axis=1)
        values.append(_scaled(recording[known]))
    classes = [code[: len(part)] for code, part in zip(codes, values)]
    changing = [np.hstack([part, _scaled(_changes(part))]) for part in values]
    others = [other for other in range(len(values)) if other != place]
    pick = ([values[other] for other in others], [values[place]])
    pick_changing = ([changing[other] for other in others], [changing[place]])
    states, _ = _states(pick, pick_changing)
    kept = ([classes[other] for other in others], [classes[place]])
    return Worm(states, decode(pick_changing[0], kept[0], pick_changing[1]), kept, RATE_HZ)


def _states(
    plain: tuple[Arrays, Arrays], changing: tuple[Arrays, Arrays]
) -> tuple[dict[str, tuple[Arrays, Arrays]], dict[str, SwitchingGLM]]:
    """Eight states by every method, and the models whose likelihoods can be compared."""
    n_states = len(STATES)
    models = {AR_STATES: fit(plain[0], n_states, **AR), PLAIN: fit(plain[0], n_states, **AR | NO_HISTORY)}
    states = {name: _predict(model, *plain) for name, model in models.items()}
    for name, options in ((AR_STATES, AR), (PLAIN, AR | NO_HISTORY)):
        with_changes = fit(changing[0], n_states, **options)
        states[f"{name}, of traces and their changes"] = _predict(with_changes, *changing)
    states["k-means"] = cluster(*plain, n_states, scale=False)
    states[CLUSTERS] = cluster(*changing, n_states, scale=False)
    return states, models


def _predict(model: SwitchingGLM, train: Arrays, test: Arrays) -> tuple[Arrays, Arrays]:
    return model.predict(train), model.predict(test)


def _compare(worms: list[Worm]) -> pd.DataFrame:
    """Agreement with the authors' states on what is held out: mean over worms, interval over worms, null by shifts."""
    rows = []
    for name in [*worms[0].states, MAJORITY, TOLD]:
        found = [_agree(worm, name, seed) for seed, worm in enumerate(worms)]
        row = {"states from": name}
        for at, measure in enumerate(("shared information", "accuracy, matched", "balanced accuracy, read out")):
            values = np.array([worm[at][0] for worm in found])
            null = np.mean([worm[at][1] for worm in found], axis=0)
            row[measure] = f"{shown(interval(values))}; {np.percentile(null, 95):.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _agree(worm: Worm, name: str, seed: int) -> list[tuple[float, NDArray[np.float64]]]:
    """Three measures of one worm, each with what circularly shifted states reach."""
    truth = np.concatenate(worm.classes[1])
    if name in worm.states:
        train, test = (np.concatenate(part) for part in worm.states[name])
        n_states = int(max(train.max(), test.max())) + 1
        classes = np.concatenate(worm.classes[0])
        one_to_one = match(train, classes, n_states)
        by_class = read_out(train, classes, n_states)
    elif name == MAJORITY:
        test = np.full(len(truth), np.bincount(np.concatenate(worm.classes[0])).argmax())
        one_to_one = by_class = np.arange(len(STATES))
    else:
        test = np.concatenate(worm.told)
        one_to_one = by_class = np.arange(len(STATES))
    measures = (
        lambda states: shared_information(states, truth),
        lambda states: accuracy(one_to_one[states], truth),
        lambda states: balanced(by_class[states], truth),
    )
    smallest = round(_SHIFT * worm.rate_hz)
    shifts = np.random.default_rng((SEED, seed)).integers(smallest, len(test) - smallest, _N_SHIFTS)
    return [(measure(test), np.array([measure(np.roll(test, by)) for by in shifts])) for measure in measures]


def _ahead(rows: pd.DataFrame) -> dict[str, str]:
    ahead = "" if (rows["model"] == ONE).all() else shown(interval(rows["ahead"].to_numpy()), 3, "+")
    return {f"ahead of {ONE}": ahead, "states": ", ".join(map(str, rows["n_states"]))}


def _components(train: Arrays, test: Arrays) -> tuple[Arrays, Arrays]:
    """Leading principal components of standardised values; all fitted on training sequences."""
    scaler = StandardScaler().fit(np.concatenate(train))
    model = PCA(N_COMPONENTS, random_state=SEED).fit(scaler.transform(np.concatenate(train)))
    return [model.transform(scaler.transform(part)) for part in train], [
        model.transform(scaler.transform(part)) for part in test
    ]


def _changes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change over the last five samples, per sample: what noise leaves of the rate of change without a look ahead."""
    padded = np.vstack([np.repeat(values[:1], 5, axis=0), values])
    return (padded[5:] - padded[:-5]) / 5


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)


def _codes(recording: Recording, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Motor state of each moment; the intervals leave no gaps."""
    states = recording.intervals["state"]
    place = np.searchsorted(states["start"].values, seconds, side="right") - 1
    return np.asarray(states["code"].values[place.clip(0)], np.int64)


def _draw(worm: Worm, output: Path) -> None:
    """A worm's held-out stretches end to end."""
    classes = np.concatenate(worm.classes[0])
    strips = []
    for name in (AR_STATES, CLUSTERS):
        train, test = (np.concatenate(part) for part in worm.states[name])
        strips.append(Strip(name, match(train, classes, len(STATES))[test], STATES))
    strips.append(Strip("authors' motor states", np.concatenate(worm.classes[1]), STATES))
    time = np.arange(len(strips[0].codes)) / worm.rate_hz
    title = "Worm 1, its six held-out stretches of 50 s end to end; states matched to the authors' in training"
    write_png(output / "states_worms_time.png", make_state_time_figure, time, strips, title=title)
