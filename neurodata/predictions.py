"""Predictions saved as data: what a model said, what was true, where and when; scores read these and no model."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from neurodata.checks import check_exists
from neurodata.errors import NeurodataError, SchemaError

CLASS, CONTINUOUS, FORECAST = KINDS = ("class", "continuous", "forecast")
MODEL, BASELINE, CHANCE = ROLES = ("model", "baseline", "chance")
"""What a predictor is: the one under test, a fitted simple one, or one that knows nothing of the moment."""

MAJORITY, SHUFFLED_LABELS, MEAN, COPY_LAST, RIDGE = "majority", "shuffled_labels", "mean", "copy_last", "ridge"
"""Simple predictors that stand beside every model."""

INFO_KEYS = (
    "model", "kind", "target", "classes", "role", "fold", "seed", "split_hash", "trained_on", "evaluated_on", "units"
)  # fmt: skip
_METADATA_KEY = b"neurodata_predictions"
_DIFFER_BETWEEN_PARTS = ("fold", "seed", "split_hash", "trained_on")


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model on one fold, checked when made.

    Parameters
    ----------
    table
        One row per prediction. Always ``recording``, ``subject`` (text), ``time`` (seconds in the recording of the
        moment predicted), ``truth``, ``prediction``. Class targets: ``truth`` and ``prediction`` are integer codes and
        ``probability_0`` … ``probability_{K-1}`` stand beside them. Forecasts: also ``channel`` (text),
        ``horizon_seconds`` (> 0) and ``last``, the last value known when the forecast was made. Moments without a
        truth are left out, not NaN.
    info
        ``model`` (name), ``kind`` (class | continuous | forecast), ``target``, ``classes`` (names by code; None unless
        class), ``role`` (model | baseline | chance), ``fold``, ``seed``, ``split_hash``, ``trained_on`` and
        ``evaluated_on`` (recording ids), ``units``. More keys are kept as they are; all must be JSON.

    Raises
    ------
    SchemaError
        Listing everything wrong with the columns or the info.
    """

    table: pd.DataFrame
    info: dict[str, Any]

    def __post_init__(self) -> None:
        problems = _info_problems(self.info)
        problems = problems or _table_problems(self.table, self.info["kind"], len(self.info["classes"] or ()))
        problems = problems or _recording_problems(self.table, self.info)
        if problems:
            name = self.info.get("model") if isinstance(self.info, dict) else None
            raise SchemaError(f"predictions of model {name!r}", problems)


def list_columns(kind: str, n_classes: int = 0) -> list[str]:
    """Return the columns that predictions of a kind must have, in order."""
    columns = ["recording", "subject", "time", "truth", "prediction"]
    if kind == CLASS:
        columns += [f"probability_{code}" for code in range(n_classes)]
    if kind == FORECAST:
        columns += ["channel", "horizon_seconds", "last"]
    return columns


def list_keys(kind: str) -> list[str]:
    """Return the columns that together name one moment; no two rows may agree in them."""
    return ["recording", "time"] + (["channel", "horizon_seconds"] if kind == FORECAST else [])


def write_predictions(predictions: Predictions, path: Path | str) -> None:
    """Write predictions as one parquet file, the info as JSON in its schema; whole or not at all.

    Raises
    ------
    NeurodataError
        If the folder cannot be written.
    """
    table = pa.Table.from_pandas(predictions.table, preserve_index=False)
    info = json.dumps(predictions.info, allow_nan=False, ensure_ascii=False).encode()
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({_METADATA_KEY: info}), buffer, compression="zstd")
    write_whole(buffer.getvalue().to_pybytes(), Path(path))


def read_predictions(path: Path | str) -> Predictions:
    """Read predictions and check them.

    Raises
    ------
    NeurodataError
        If the file is missing, is no parquet file, or holds no predictions; if columns or info are wrong (names all).
    """
    path = Path(path)
    check_exists("predictions file", path)
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise NeurodataError(
            f"cannot read predictions from {path.name!r}: not a whole parquet file ({error})"
        ) from None
    try:
        info = json.loads((table.schema.metadata or {})[_METADATA_KEY])
    except (KeyError, ValueError):
        raise NeurodataError(
            f"{path.name!r} is a parquet file but not one of predictions: its schema lacks the JSON metadata "
            f"{_METADATA_KEY.decode()!r}; write it with neurodata.predictions.write_predictions"
        ) from None
    return Predictions(table.replace_schema_metadata(None).to_pandas(), info)


def concat(parts: Sequence[Predictions]) -> Predictions:
    """Join the folds of one model into one table.

    ``fold``, ``seed``, ``split_hash`` and ``trained_on`` become None where the parts differ (a joined list of training
    recordings would hold the held-out ones); the parts' own infos are kept in ``info["parts"]``.

    Raises
    ------
    NeurodataError
        If there are no parts or they differ in model, kind, target, classes, role or units.
    SchemaError
        If two parts predict the same moment, as two seeds do; score those one by one.
    """
    if not parts:
        raise NeurodataError("expected at least one part to concatenate, got none")
    first = parts[0].info
    for key in ("model", "kind", "target", "classes", "role", "units"):
        found = [part.info[key] for part in parts]
        if any(value != found[0] for value in found):
            raise NeurodataError(f"cannot concatenate predictions that differ in {key!r}: {found}")
    same = {key: first[key] for key in _DIFFER_BETWEEN_PARTS if all(p.info[key] == first[key] for p in parts)}
    info = {key: first[key] for key in INFO_KEYS} | dict.fromkeys(_DIFFER_BETWEEN_PARTS) | same
    info["evaluated_on"] = sorted({recording for part in parts for recording in part.info["evaluated_on"]})
    info["parts"] = [part.info for part in parts]
    return Predictions(pd.concat([part.table for part in parts], ignore_index=True), info)


def write_whole(content: bytes, path: Path) -> None:
    """Write a file so that a reader finds the old content or the new, never a part; makes its folder.

    Raises
    ------
    NeurodataError
        If the disk is full or the folder cannot be written; nothing is left behind.
    """
    unfinished: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(unfinished, path)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise NeurodataError(f"cannot write {path.name!r} in {str(path.parent)!r}: {error.strerror}") from error


def _info_problems(info: Any) -> list[str]:
    if not isinstance(info, dict):
        return [f"info: must be a dictionary, got {type(info).__name__}"]
    missing = [key for key in INFO_KEYS if key not in info]
    if missing:
        return [f"info: {key!r} is missing" for key in missing]
    problems = []
    for key, options in (("kind", KINDS), ("role", ROLES)):
        if info[key] not in options:
            problems.append(f"info: {key!r} must be one of {', '.join(options)}, got {info[key]!r}")
    for key in ("model", "target"):
        if not isinstance(info[key], str) or not info[key]:
            problems.append(f"info: {key!r} must be a name, got {info[key]!r}")
    if not _is_names(info["evaluated_on"]):
        problems.append(f"info: 'evaluated_on' must be a list of recording ids, got {info['evaluated_on']!r}")
    if info["trained_on"] is not None and not _is_names(info["trained_on"]):
        problems.append(f"info: 'trained_on' must be a list of recording ids or None, got {info['trained_on']!r}")
    if info["kind"] == CLASS and not (_is_names(info["classes"]) and info["classes"]):
        problems.append(f"info: 'classes' must list the names of the codes 0, 1, …, got {info['classes']!r}")
    try:
        json.dumps(info, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(f"info: must be plain JSON: {error}")
    return problems


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _table_problems(table: pd.DataFrame, kind: str, n_classes: int) -> list[str]:
    columns = list_columns(kind, n_classes)
    missing = [column for column in columns if column not in table]
    if missing:
        return [f"table: column {column!r} is missing" for column in missing]
    if table.empty:
        return ["table: no rows; a prediction needs at least one moment"]
    problems = []
    for column in columns:
        values = table[column]
        if column in ("recording", "subject", "channel"):
            if not all(isinstance(value, str) for value in values.unique()):
                problems.append(f"table: {column!r} must be text, got {values.dtype}")
        elif kind == CLASS and column in ("truth", "prediction"):
            problems += _code_problems(values, column, n_classes)
        elif not pd.api.types.is_float_dtype(values):
            problems.append(f"table: {column!r} must be floating point, got {values.dtype}")
        elif n_bad := int((~np.isfinite(values.to_numpy())).sum()):
            problems.append(
                f"table: {column!r} has {n_bad} NaN or infinite values of {len(values)}; leave those rows out"
            )
    return problems or _value_problems(table, kind, n_classes)


def _code_problems(values: pd.Series[Any], column: str, n_classes: int) -> list[str]:
    if not pd.api.types.is_integer_dtype(values):
        return [f"table: {column!r} must hold integer class codes, got {values.dtype}"]
    if values.min() < 0 or values.max() >= n_classes:
        return [
            f"table: {column!r} runs from {values.min()} to {values.max()} but the classes are 0 to {n_classes - 1}"
        ]
    return []


def _value_problems(table: pd.DataFrame, kind: str, n_classes: int) -> list[str]:
    problems = []
    if kind == CLASS:
        total = table[[f"probability_{code}" for code in range(n_classes)]].sum(axis=1)
        if n_bad := int(((total - 1).abs() > 1e-3).sum()):
            problems.append(f"table: the probabilities of {n_bad} of {len(table)} rows do not add up to 1")
    if kind == FORECAST and (table["horizon_seconds"] <= 0).any():
        problems.append(f"table: 'horizon_seconds' must be positive, got {table['horizon_seconds'].min()}")
    if n_twice := int(table.duplicated(list_keys(kind)).sum()):
        problems.append(f"table: {n_twice} rows repeat another's {', '.join(list_keys(kind))}; a moment counts once")
    return problems


def _recording_problems(table: pd.DataFrame, info: dict[str, Any]) -> list[str]:
    found, stated = set(table["recording"].unique()), set(info["evaluated_on"])
    if found == stated:
        return []
    return [f"info: 'evaluated_on' is {sorted(stated)} but the table holds {sorted(found)}"]
