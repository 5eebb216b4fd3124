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
    speed = np.linalg.norm(np.asarray(recording.signals["hand_velocity"].values, np.float64), axis=1)
    parts = hold_out_end(len(counts), length=200, share=0.25, guard=200)
    busiest = np.sort(np.argsort(-np.concatenate(parts.of(counts)[0]).mean(axis=0))[:N_UNITS])
    train, test = parts.of(counts[:, busiest])
    speeds, held_out_speed = parts.of(speed)
    moving = [(part > np.median(np.concatenate(speeds))).astype(int) for part in speeds]
    moved = [(part > np.median(np.concatenate(speeds))).astype(int) for part in held_out_speed]

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

    fast, trace = [], []
    for key, (of_train, of_test) in states.items():
        n = int(max(part.max() for part in of_train + of_test)) + 1
        by_class = read_out(np.concatenate(of_train), np.concatenate(moving), n)
        by_mean = read_out_mean(np.concatenate(of_train), np.concatenate(speeds), n)
        fast.append(measured(key, score([by_class[part] for part in of_test], moved, balanced, shifted=200, seed=SEED)))
        predicted = [by_mean[part] for part in of_test]
        trace.append(measured(key, score(predicted, held_out_speed, correlation, shifted=200, seed=SEED)))
    told = decode(smooth, moving, smooth_test)
    fast.append(measured("told in training: logistic regression", score(told, moved, balanced, shifted=200, seed=SEED)))

    _draw_reaching(name, output, models[f"switching GLM, {chosen} states"], curve, chosen, test, held_out_speed)
    where = (
        f"{name.upper()}, {N_UNITS} busiest of {counts.shape[1]} units, {len(train)} and {len(test)} sequences of 10 s"
    )
    return [
        (f"{where}: number of states, within training (chosen: {chosen})", curve_table(curve)),
        (f"{where}: held-out log-likelihood", compare_likelihoods(train, test, models, "one state (GLM)")),
        (f"{where}: faster or slower than the median speed, balanced accuracy", pd.DataFrame(fast)),
        (f"{where}: correlation of the states' training speed with held-out speed", pd.DataFrame(trace)),
    ]


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
