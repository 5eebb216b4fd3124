"""States of four thalamic units in a delayed-response task, beside the trial's epochs and the side licked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodata.recording.recording import Recording
from neurodata.report.state_figures import make_state_trials_figure

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
    likelihoods,
    measured,
    write_png,
)  # fmt: skip
from .measures import Arrays, Measure, balanced, read_out, score, shift_each, shown, trailing_mean

EPOCHS = ("before", "sample", "delay", "response")
_EPOCH_STARTS = (-2.6, -1.3, 0.0)
"""Seconds from the cue at which the pole came in, went out, and the mouse was told to lick (the session's tables)."""
_BIN = 0.1


def score_thalamus(recording: Recording, output: Path) -> list[tuple[str, pd.DataFrame]]:
    """Four thalamic units, trials without light or early lick; every fourth block of ten trials is held out."""
    table = recording.intervals["trials"]
    used = np.isin(table["response"].values, ["correct", "incorrect"]) & (table["is_good"].values == 1)
    used &= table["stim_present"].values == 0
    found = recording.align("trials/cue_start_time", window=(-3.2, 1.6), rate_hz=1 / _BIN, where=used)
    counts = list(np.asarray(found.values, np.float64))
    seconds = -3.2 + _BIN * (np.arange(len(counts[0])) + 0.5)
    epoch = np.digitize(seconds, _EPOCH_STARTS)
    told_left = found["type"].values == "lick left"
    licked = np.where(told_left == (found["response"].values == "correct"), "licked left", "licked right")
    held_out = np.arange(len(counts)) // 10 % 4 == 3
    train, test = _pick(counts, ~held_out), _pick(counts, held_out)
    epochs, held_out_epochs = [epoch] * len(train), [epoch] * len(test)

    chosen, curve = choose_states(train, COUNTS)
    models = {
        f"switching GLM, {chosen} states": fit(train, chosen, **COUNTS),
        "one state (GLM)": fit(train, 1, **COUNTS),
        f"HMM without history, {chosen} states": fit(train, chosen, **COUNTS | NO_HISTORY),
        "switching GLM fitted to shifted units": fit(shift_each(train, np.random.default_rng(SEED)), chosen, **COUNTS),
    }
    if chosen != 4:
        models["switching GLM, 4 states"] = fit(train, 4, **COUNTS)
    drifting = {"one state (GLM) in each quarter of the session": _score_quarters(counts, held_out)}
    smooth, smooth_test = trailing_mean(train, HISTORY), trailing_mean(test, HISTORY)
    states = {key: (model.predict(train), model.predict(test)) for key, model in models.items() if model.n_states > 1}
    states["k-means of smoothed counts, 4 clusters"] = cluster(smooth, smooth_test, 4)
    rows, sides = [], []
    for key, (of_train, of_test) in states.items():
        n = int(max(part.max() for part in of_train + of_test)) + 1
        by_class = read_out(np.concatenate(of_train), np.concatenate(epochs), n)
        predicted = [by_class[part] for part in of_test]
        rows.append(measured(key, _score_in_trials(predicted, held_out_epochs, balanced)))
        for window, first in (("delay", -1.3), ("response", 0.0)):
            inside = (seconds > first) & (seconds < first + 1.3)
            shares = [_shares(part, inside, n) for part in (of_train, of_test)]
            sides.append({"window": window} | _score_side(key, *shares, licked[~held_out], licked[held_out]))
    told = decode(smooth, epochs, smooth_test)
    rows.append(measured("told in training: logistic regression", _score_in_trials(told, held_out_epochs, balanced)))
    for window, first in (("delay", -1.3), ("response", 0.0)):
        inside = (seconds > first) & (seconds < first + 1.3)
        totals = [np.stack([values[inside].sum(axis=0) for values in part]) for part in (train, test)]
        sides.append(
            {"window": window} | _score_side("counts, no states", *totals, licked[~held_out], licked[held_out])
        )

    names = [f"state {state}" for state in range(chosen)]
    codes = np.stack(models[f"switching GLM, {chosen} states"].predict(counts))
    events = [("sample", -2.6), ("delay", -1.3), ("cue", 0.0)]
    order = np.argsort(licked, kind="stable")
    write_png(output / "states_thalamus_trials.png", make_state_trials_figure, seconds, codes[order], list(licked[order]), names, events=events, title="Four thalamic units; all trials, three in four of them used to fit")  # fmt: skip
    where = f"Thalamus, 4 units, {len(train)} and {len(test)} trials of 4.8 s in 100 ms bins"
    return [
        (f"{where}: number of states, within training (chosen: {chosen})", curve_table(curve)),
        (f"{where}: held-out log-likelihood", compare_likelihoods(train, test, models, "one state (GLM)", drifting)),
        (f"{where}: which of four epochs, balanced accuracy (chance 0.25)", pd.DataFrame(rows)),
        (f"{where}: side licked from the share of time in each state, balanced accuracy", pd.DataFrame(sides)),
    ]


def _score_quarters(counts: Arrays, held_out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Likelihood of each held-out trial under one state fitted to its quarter: what slow change alone would gain."""
    quarter = np.arange(len(counts)) * 4 // len(counts)
    found = []
    for number in range(4):
        model = fit(_pick(counts, ~held_out & (quarter == number)), 1, **COUNTS)
        found.append(likelihoods(model, _pick(counts, held_out & (quarter == number))))
    return np.concatenate(found)


def _pick(sequences: Arrays, chosen: NDArray[np.bool_]) -> Arrays:
    return [values for values, wanted in zip(sequences, chosen) if wanted]


def _shares(states: Arrays, inside: NDArray[np.bool_], n_states: int) -> NDArray[np.float64]:
    return np.stack([np.bincount(part[inside], minlength=n_states) / inside.sum() for part in states])


def _score_in_trials(predicted: Arrays, truth: Arrays, measure: Measure) -> dict[str, float]:
    """As `score`, but each trial's states are shifted by an amount of their own: all trials have one time course."""
    rng = np.random.default_rng(SEED)
    row = score(predicted, truth, measure, shifted=1, seed=SEED)
    rolled = [[np.roll(part, int(rng.integers(len(part)))) for part in predicted] for _ in range(500)]
    null = np.array([measure(np.concatenate(parts), np.concatenate(truth)) for parts in rolled])
    p = (1 + (null >= row["value"]).sum()) / (1 + len(null))
    return row | {"null": null.mean(), "null_high": np.percentile(null, 95), "p": p}


def _score_side(name: str, train: NDArray, test: NDArray, sides: NDArray, held_out: NDArray) -> dict[str, str]:
    """Balanced accuracy of the side, with an interval over trials, and of shuffled sides as the null."""
    rng = np.random.default_rng(SEED)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    predicted = model.fit(train, sides).predict(test)
    value = balanced(predicted, held_out)
    drawn = [balanced(predicted[rows], held_out[rows]) for rows in rng.integers(len(test), size=(500, len(test)))]
    null = np.array([balanced(model.fit(train, rng.permutation(sides)).predict(test), held_out) for _ in range(200)])
    p = (1 + (null >= value).sum()) / (1 + len(null))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"from": name, "held out": shown((value, low, high)),
            "shuffled sides: mean, 95th percentile": f"{null.mean():.3f}, {np.percentile(null, 95):.3f}",
            "p": f"{p:.3f}"}  # fmt: skip
