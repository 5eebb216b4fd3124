"""A run folder as a leave-one-worm-out run leaves it, made up: five worms, eight states, six predictors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from neurodata.predictions import Predictions, write_predictions

STATES = ["dt", "fwd", "nostate", "rev1", "rev2", "revsus", "slow", "vt"]
CYCLE = ["fwd", "slow", "fwd", "rev1", "revsus", "rev2", "dt", "fwd", "slow", "rev1", "revsus", "vt"]
DWELL_SECONDS = {"fwd": 18, "slow": 7, "rev1": 5, "revsus": 9, "rev2": 6, "dt": 5, "vt": 5, "nostate": 6}
ACCURACY = {"transformer": 0.78, "gru": 0.70, "logistic": 0.62, "logistic_lags": 0.72}
ROLES = {"majority": "chance", "shuffled_labels": "chance", "logistic": "baseline", "logistic_lags": "baseline"}
FORECAST_ERROR = {"transformer": 0.80, "gru": 0.85, "ridge": 0.88}
HORIZONS = (1.0, 2.0, 5.0)
N_WORMS, SECONDS = 5, 1080


def make_states(rng: np.random.Generator, n: int) -> np.ndarray:
    """Make a sequence of state codes, one a second, with dwell times like a worm's."""
    codes: list[int] = []
    while len(codes) < n:
        for state in CYCLE:
            state = "nostate" if rng.random() < 0.03 else state
            codes += [STATES.index(state)] * max(2, int(rng.gamma(4, DWELL_SECONDS[state] / 4)))
    return np.array(codes[:n])


def make_prediction(truth: np.ndarray, model: str, rng: np.random.Generator) -> np.ndarray:
    """Make the codes a model of known accuracy would give, wrong in bouts rather than in single seconds."""
    if model == "majority":
        return np.full(truth.size, STATES.index("fwd"))
    if model == "shuffled_labels":
        return rng.permutation(truth)
    bouts = np.repeat(rng.random(truth.size // 4 + 1), 4)[: truth.size]
    wrong = np.repeat(rng.permutation(truth), 4)[: truth.size]
    return np.where(bouts < ACCURACY[model], truth, wrong)


def list_worms(dataset: str = "made_up") -> list[str]:
    return [f"{dataset}/worm{i + 1}" for i in range(N_WORMS)]


def make_class_predictions(model: str, fold: int, worms: list[str], truth: np.ndarray) -> Predictions:
    rng = np.random.default_rng([fold, *model.encode()])
    prediction = make_prediction(truth, model, rng)
    table = pd.DataFrame({"recording": worms[fold], "subject": f"{worms[fold]}-animal"}, index=range(truth.size))
    table = table.assign(time=np.arange(truth.size) + 0.5, truth=truth, prediction=prediction)
    for code in range(len(STATES)):
        table[f"probability_{code}"] = np.where(prediction == code, 0.65, 0.05)
    role = ROLES.get(model, "model")
    return Predictions(table, make_info(model, role, fold, worms) | {"kind": "class", "classes": STATES})


def make_forecasts(model: str, fold: int, worms: list[str], n: int = 120) -> Predictions:
    rng = np.random.default_rng([fold, *model.encode()])
    shared = np.random.default_rng(fold)
    parts = []
    for horizon in HORIZONS:
        for channel in ("AVAL", "AVBL", "RIML", "SMDVR"):
            last = shared.normal(size=n)
            truth = last + np.sqrt(horizon) * shared.normal(0, 0.3, n)
            error = FORECAST_ERROR[model] + 0.05 * rng.random()
            prediction = truth + error * (last - truth) + 0.05 * rng.normal(size=n)
            columns = {"time": 100.0 + horizon + np.arange(n), "truth": truth, "prediction": prediction, "last": last}
            parts.append(pd.DataFrame(columns).assign(channel=channel, horizon_seconds=horizon))
    table = pd.concat(parts, ignore_index=True).assign(recording=worms[fold], subject=f"{worms[fold]}-animal")
    role = "baseline" if model == "ridge" else "model"
    info = make_info(model, role, fold, worms)
    return Predictions(table, info | {"kind": "forecast", "target": "calcium", "classes": None, "units": "dF/F"})


def make_info(model: str, role: str, fold: int, worms: list[str]) -> dict:
    others = [worm for i, worm in enumerate(worms) if i != fold]
    return {
        "model": model, "target": "state", "role": role, "fold": fold, "seed": 0, "split_hash": f"5b1d{fold:04d}",
        "trained_on": others, "evaluated_on": [worms[fold]], "units": "",
    }  # fmt: skip


def make_provenance(worms: list[str]) -> dict:
    recordings = [
        {
            "recording_id": worm, "subject": f"{worm}-animal", "n_channels": 109 + 5 * i, "n_named": 31 + 4 * i,
            "rate_hz": 2.9046 - 0.03 * i, "duration_seconds": 1080.0, "licence": "GPL-3.0",
            "citation": "Kato et al. 2015, Cell 163:656-669", "content_digests": {"signals/calcium": f"{i:x}" * 64},
        }
        for i, worm in enumerate(worms)
    ]  # fmt: skip
    return {
        "title": "Motor state of five made-up worms, leave one out",
        "main_model": "transformer",
        "command": "neurodata demo --seed 0",
        "seed": 0,
        "versions": {"neurodata": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
        "machine": "2 cores, no GPU",
        "split_hash": {str(fold): f"5b1d{fold:04d}" for fold in range(len(worms))},
        "store": "store",
        "recordings": recordings,
        "checkpoints": [
            {"name": f"transformer-fold{fold}", "fold": fold, "sha256": f"{fold:x}" * 64,
             "trained_on": [worm for i, worm in enumerate(worms) if i != fold]}
            for fold in range(len(worms))
        ],
    }  # fmt: skip


def write_provenance(folder: Path, dataset: str = "made_up", **changes) -> None:
    content = make_provenance(list_worms(dataset)) | changes
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")


def make_curves() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for phase, start, end in (("pretrain", 1.0, 0.45), ("decode", 2.1, 0.7), ("forecast", 1.0, 0.8)):
        for model in ("transformer", "gru")[: 1 if phase == "pretrain" else 2]:
            for fold in range(N_WORMS):
                for step in range(0, 1001, 50):
                    fall = end + (start - end) * np.exp(-step / 200) + 0.03 * rng.normal()
                    rows.append((model, fold, phase, step, "train", fall))
                    rows.append((model, fold, phase, step, "validation", fall + 0.1 + 0.1 * step / 1000))
    return pd.DataFrame(rows, columns=["model", "fold", "phase", "step", "split", "value"])


def make_heatmap_arrays(states: np.ndarray, n_channels: int = 120, n_named: int = 38) -> dict[str, np.ndarray]:
    """Make activity that follows the states at 3 Hz, some neurons up and some down, with noise."""
    rng = np.random.default_rng(3)
    codes = np.repeat(states, 3)
    drive = rng.normal(0, 1, (len(STATES), n_channels))[codes]
    kernel = np.exp(-np.arange(30) / 6)
    values = np.apply_along_axis(lambda x: np.convolve(x, kernel / kernel.sum())[: x.size], 0, drive)
    values = (values + 0.3 * rng.normal(size=values.shape)).astype(np.float32)
    values[500:560, 7] = np.nan
    names = [f"{stem}{side}" for stem in ("AVA", "AVB", "AVE", "RIM", "RIB", "SMDV", "SMDD", "RME", "RIV", "AIB", "RID",
             "VB0", "DB0", "ALA", "RIS", "ASK", "OLQD", "OLQV", "URYD") for side in "LR"]  # fmt: skip
    labels = np.array(names[:n_named] + [""] * (n_channels - n_named))
    return {"values": values, "time": np.arange(codes.size) / 3.0, "labels": labels, "codes": codes}


def write_made_up_run(
    folder: Path,
    *,
    dataset: str = "made_up",
    forecasts: bool = True,
    extras: bool = True,
    leave_out: tuple[str, ...] = (),
) -> Path:
    """Write the run; ``extras`` are the curves and the heat map, ``leave_out`` names predictors to leave out."""
    worms = list_worms(dataset)
    states = [make_states(np.random.default_rng([7, fold]), SECONDS) for fold in range(N_WORMS)]
    for fold in range(N_WORMS):
        for model in ("transformer", "gru", *ROLES):
            if model not in leave_out:
                part = make_class_predictions(model, fold, worms, states[fold])
                write_predictions(part, folder / "predictions" / f"state-{model}-{fold}.parquet")
        for model in FORECAST_ERROR if forecasts else ():
            if model not in leave_out:
                part = make_forecasts(model, fold, worms)
                write_predictions(part, folder / "predictions" / f"forecast-{model}-{fold}.parquet")
    write_provenance(folder, dataset)
    if extras:
        make_curves().to_csv(folder / "curves.csv", index=False)
        np.savez(folder / "heatmap.npz", recording=np.array(worms[0]), **make_heatmap_arrays(states[0]))
    return folder
