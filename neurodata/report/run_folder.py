"""A run's folder read into memory: predictions, learning curves, a heat map and where they came from."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodata.checks import check_exists
from neurodata.errors import NeurodataError
from neurodata.predictions import Predictions, read_predictions

PROVENANCE_KEYS = ("command", "seed", "versions", "machine", "split_hash", "store", "recordings")
RECORDING_KEYS = (
    "recording_id", "subject", "n_channels", "n_named", "rate_hz", "duration_seconds", "licence", "citation"
)  # fmt: skip
CURVE_COLUMNS = ("model", "fold", "phase", "step", "split", "value")


@dataclass(frozen=True)
class HeatMap:
    """One recording to look at.

    Parameters
    ----------
    values
        Activity, float, shape ``(time, channel)``; NaN where not recorded.
    time
        Seconds, shape ``(time,)``.
    labels
        Channel names, shape ``(channel,)``; empty where unnamed.
    codes
        State code at each time, int, shape ``(time,)``; −1 where there is none.
    recording
        Its id, or empty.
    """

    values: NDArray[np.floating]
    time: NDArray[np.floating]
    labels: NDArray[np.str_]
    codes: NDArray[np.integer]
    recording: str = ""


@dataclass(frozen=True)
class Run:
    """What a report is made from; ``curves`` and ``heatmap`` may be absent.

    ``provenance`` is the content of ``run.json``: ``command, seed, versions, machine, split_hash`` (by fold), ``store``,
    ``recordings`` (one dictionary each) and, optionally, ``title``, ``main_model``, ``notes``, ``checkpoints`` and
    whatever else the run wants shown.
    """

    name: str
    predictions: tuple[Predictions, ...]
    provenance: Mapping[str, Any]
    curves: pd.DataFrame | None = None
    heatmap: HeatMap | None = None


def read_run(folder: Path | str) -> Run:
    """Read a run's folder.

    Parameters
    ----------
    folder
        Holds ``run.json``, ``predictions/*.parquet`` and, optionally, ``curves.csv`` and ``heatmap.npz``.

    Raises
    ------
    NeurodataError
        If a part is missing, damaged or incomplete, or if predictions are from another split than ``run.json`` states.
    """
    folder = Path(folder)
    check_exists("run folder", folder)
    files = sorted((folder / "predictions").glob("*.parquet"))
    if not files:
        raise NeurodataError(f"run {folder.name!r} holds no predictions: expected {folder.name}/predictions/*.parquet")
    predictions = tuple(read_predictions(path) for path in files)
    provenance = _read_provenance(folder / "run.json")
    _check_splits(predictions, provenance["split_hash"])
    curves, heatmap = folder / "curves.csv", folder / "heatmap.npz"
    return Run(
        folder.resolve().name,
        predictions,
        provenance,
        _read_curves(curves) if curves.exists() else None,
        _read_heatmap(heatmap) if heatmap.exists() else None,
    )


def _read_provenance(path: Path) -> dict[str, Any]:
    check_exists("provenance file", path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NeurodataError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise NeurodataError(f"{path.name} must hold a JSON object, got {type(content).__name__}")
    problems = [f"{key!r} is missing" for key in PROVENANCE_KEYS if key not in content]
    recordings = content.get("recordings", [])
    if not (isinstance(recordings, list) and all(isinstance(row, dict) for row in recordings)):
        problems.append("'recordings' must be a list of objects")
    else:
        problems += [
            f"recordings[{i}]: {key!r} is missing"
            for i, r in enumerate(recordings)
            for key in RECORDING_KEYS
            if key not in r
        ]
    checkpoints = content.get("checkpoints") or []
    if not (isinstance(checkpoints, list) and all(isinstance(row, dict) for row in checkpoints)):
        problems.append("'checkpoints' must be a list of objects with 'name', 'fold', 'sha256' and 'trained_on'")
    if not isinstance(content.get("split_hash", {}), dict):
        problems.append("'split_hash' must be an object, fold → hash")
    if problems:
        raise NeurodataError(f"{path.name} is incomplete:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return content


def _check_splits(predictions: tuple[Predictions, ...], hashes: Mapping[str, str]) -> None:
    for part in predictions:
        stated = hashes.get(str(part.info["fold"]))
        if stated != part.info["split_hash"]:
            raise NeurodataError(
                f"predictions of {part.info['model']!r}, fold {part.info['fold']}, are from split "
                f"{part.info['split_hash']!r} but run.json states {stated!r} for that fold; "
                "predict again or put back the run's own file"
            )


def _read_curves(path: Path) -> pd.DataFrame:
    try:
        curves = pd.read_csv(path, dtype={"model": str, "fold": str, "phase": str, "split": str})
    except (ValueError, OSError) as error:
        raise NeurodataError(f"cannot read {path.name}: {error}") from None
    missing = [column for column in CURVE_COLUMNS if column not in curves]
    if missing:
        raise NeurodataError(f"{path.name} lacks the columns {', '.join(missing)}; it has {', '.join(curves.columns)}")
    for column in ("step", "value"):
        if not pd.api.types.is_numeric_dtype(curves[column]):
            raise NeurodataError(f"{path.name}: {column!r} must be numbers, got {curves[column].dtype}")
    return curves


def _read_heatmap(path: Path) -> HeatMap:
    try:
        with np.load(path) as archive:  # refuses object arrays, which could run code
            found = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise NeurodataError(f"cannot read {path.name}: {error}") from None
    missing = [name for name in ("values", "time", "labels", "codes") if name not in found]
    if missing:
        raise NeurodataError(f"{path.name} lacks the arrays {', '.join(missing)}")
    values, time, labels, codes = (found[name] for name in ("values", "time", "labels", "codes"))
    if values.ndim != 2 or (time.shape, labels.shape) != ((values.shape[0],), (values.shape[1],)):
        raise NeurodataError(
            f"{path.name}: expected values (time, channel), time (time,), labels (channel,), "
            f"got {values.shape}, {time.shape}, {labels.shape}"
        )
    if codes.shape != time.shape:
        raise NeurodataError(f"{path.name}: expected codes of shape {time.shape} like time, got {codes.shape}")
    recording = str(found["recording"]) if "recording" in found else ""
    return HeatMap(values, time, labels.astype(str), codes, recording)
