"""States of motor and somatosensory cortex while a monkey reaches, beside the speed of its hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.models import SwitchingGLM
from neurodata.recording.recording import Recording
from neurodata.report.coupling_figures import make_state_weights_figure
from neurodata.report.state_figures import Strip, Trace, make_state_number_figure, make_state_time_figure

from .fits import (
    COUNTS,
    HISTORY,
    NO_HISTORY,
    SEED,
    choose_states,
    cluster,
    compare_likelihoods,
    curve_table,
    decode,
    fit,
    measured,
    write_png,
)  # fmt: skip
from .measures import (
    Arrays,
    Parts,
    balanced,
    correlation,
    hold_out_end,
    read_out,
    read_out_mean,
    score,
    shift_each,
    trailing_mean,
)  # fmt: skip

N_UNITS = 30


def score_reaching(recording: Recording, name: str, output: Path) -> list[tuple[str, pd.DataFrame]]:
    """Spikes of motor or somatosensory cortex, 50 ms bins; the last quarter is held out, 10 s before it unused."""
    counts = np.asarray(recording.signals["spike_counts"].values, np.float64)
    velocity = np.asarray(recording.signals["hand_velocity"].values, np.float64)
    parts = hold_out_end(len(counts), length=200, share=0.25, guard=200)
    busiest = np.sort(np.argsort(-np.concatenate(parts.of(counts)[0]).mean(axis=0))[:N_UNITS])
    train, test = parts.of(counts[:, busiest])
    behaviour = _classes(velocity, parts)
    speeds, held_out_speed = parts.of(np.linalg.norm(velocity, axis=1))

    chosen, curve = choose_states(train, COUNTS)
    models = {
        f"switching GLM, {chosen} states": fit(train, chosen, **COUNTS),
        "one state (GLM)": fit(train, 1, **COUNTS),
        f"HMM without history, {chosen} states": fit(train, chosen, **COUNTS | NO_HISTORY),
        "switching GLM fitted to shifted units": fit(shift_each(train, np.random.default_rng(SEED)), chosen, **COUNTS),
    }
    if "switching GLM, 2 states" not in models:
        models["switching GLM, 2 states"] = fit(train, 2, **COUNTS)
    smooth, smooth_test = trailing_mean(train, HISTORY), trailing_mean(test, HISTORY)
    states = {key: (model.predict(train), model.predict(test)) for key, model in models.items() if model.n_states > 1}
    states[f"k-means of smoothed counts, {chosen} clusters"] = cluster(smooth, smooth_test, chosen)
    total = [np.digitize(part.sum(axis=1), _cuts(smooth, chosen)) for part in smooth]
    states[f"total count in {chosen} equal classes"] = (
        total, [np.digitize(part.sum(axis=1), _cuts(smooth, chosen)) for part in smooth_test],
    )  # fmt: skip

    _draw_reaching(name, output, models[f"switching GLM, {chosen} states"], curve, chosen, test, held_out_speed)
    where = (
        f"{name.upper()}, {N_UNITS} busiest of {counts.shape[1]} units, {len(train)} and {len(test)} sequences of 10 s"
    )
    return [
        (f"{where}: number of states, within training (chosen: {chosen})", curve_table(curve)),
        (f"{where}: held-out log-likelihood", compare_likelihoods(train, test, models, "one state (GLM)")),
        *(
            (f"{where}: {title}", _follow(states, smooth, smooth_test, *classes))
            for title, classes in behaviour.items()
        ),
        (
            f"{where}: correlation of the states' training speed with held-out speed",
            _trace(states, speeds, held_out_speed),
        ),
    ]


def _classes(velocity: NDArray[np.float64], parts: Parts) -> dict[str, tuple[Arrays, Arrays]]:
    """What states may follow: title → class of each bin in training and held-out sequences, -1 where it has none."""
    speed = np.linalg.norm(velocity, axis=1)
    in_training = np.concatenate(parts.of(speed)[0])
    moving = (speed > np.median(in_training)).astype(int)
    quadrant = np.floor(np.arctan2(velocity[:, 1], velocity[:, 0]) / (np.pi / 2)).astype(int) % 4
    direction = np.where(speed > np.quantile(in_training, 0.75), quadrant, -1)
    return {
        "faster or slower than the median speed, balanced accuracy (chance 0.5)": parts.of(moving),
        "which quarter of the plane the hand goes to, its fastest quarter of bins, balanced accuracy (chance 0.25)":
            parts.of(direction),
    }  # fmt: skip


def _follow(
    states: dict[str, tuple[Arrays, Arrays]], smooth: Arrays, smooth_test: Arrays, classes: Arrays, held_out: Arrays
) -> pd.DataFrame:
    """How well held-out classes are read out of states, and of counts by a classifier told those of training."""
    counted, counted_test = [part >= 0 for part in classes], [part >= 0 for part in held_out]
    known, truth = _pick(classes, counted), _pick(held_out, counted_test)
    rows = []
    for name, (train, test) in states.items():
        n = int(max(part.max() for part in train + test)) + 1
        by_class = read_out(np.concatenate(_pick(train, counted)), np.concatenate(known), n)
        predicted = [by_class[part] for part in _pick(test, counted_test)]
        rows.append(measured(name, score(predicted, truth, balanced, shifted=100, seed=SEED)))
    told = decode(_pick(smooth, counted), known, _pick(smooth_test, counted_test))
    rows.append(measured("told in training: logistic regression", score(told, truth, balanced, shifted=100, seed=SEED)))
    return pd.DataFrame(rows)


def _trace(states: dict[str, tuple[Arrays, Arrays]], speeds: Arrays, held_out: Arrays) -> pd.DataFrame:
    """How the mean speed of each state in training correlates with held-out speed."""
    rows = []
    for name, (train, test) in states.items():
        n = int(max(part.max() for part in train + test)) + 1
        by_mean = read_out_mean(np.concatenate(train), np.concatenate(speeds), n)
        found = score([by_mean[part] for part in test], held_out, correlation, shifted=100, seed=SEED)
        rows.append(measured(name, found))
    return pd.DataFrame(rows)


def _pick(sequences: Arrays, chosen: Arrays) -> Arrays:
    return [values[wanted] for values, wanted in zip(sequences, chosen)]


def _cuts(train: Arrays, n_classes: int) -> NDArray[np.float64]:
    total = np.concatenate(train).sum(axis=1)
    return np.quantile(total, np.arange(1, n_classes) / n_classes)


def _draw_reaching(
    name: str, output: Path, model: SwitchingGLM, curve: pd.DataFrame, chosen: int, test: Arrays, speed: Arrays
) -> None:
    write_png(output / f"states_{name}_number.png", make_state_number_figure, curve, chosen=chosen)
    n_shown = 6
    codes = np.concatenate(model.predict(test[:n_shown]))
    strip = Strip("states", codes, [f"state {state}" for state in range(chosen)])
    unit = "m/s" if name == "m1" else "cm/s"
    rows = [
        Trace(f"speed ({unit})", np.concatenate(speed[:n_shown])),
        Trace("counts per bin", np.concatenate(trailing_mean(test[:n_shown], HISTORY)).mean(axis=1)),
    ]
    title = f"{name.upper()}, held-out minute; states found without the hand"
    write_png(output / f"states_{name}_time.png", make_state_time_figure, np.arange(len(codes)) / 20, [strip], rows, title=title)  # fmt: skip
    write_png(output / f"states_{name}_weights.png", make_state_weights_figure, model.weights_)
