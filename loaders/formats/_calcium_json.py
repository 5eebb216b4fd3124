"""What is what in a JSON of traces: which list is the traces, the times, the names, the behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.checks import is_safe_part
from neurodata.errors import RawFileError

from ._tables_json import matrix, numbers, printable, sections, texts

ORIGINAL = ("trace_original", "trace_array_original", "traces_original")
ZSCORED = ("trace_array", "traces_zscored")
"""Keys of WormWideWeb: ratios as measured, and z-scored (flavell-lab/CePNEM-web, readme_data.md)."""
_OF_WORMS = {
    "timestamp_confocal", "reversal_events", "labeled", "head_curvature", "head_angle", "pumping", "avg_timestep", "uid",
    "angular_velocity",
}  # fmt: skip
"""Further keys of WormWideWeb, two of which tell it from others that have a ``trace_array``."""
_GENERIC = (
    "traces", "trace", "calcium", "dff", "df_f", "dfof", "deltaf_f", "delta_f_over_f", "dff_traces", "fluorescence",
    "f", "c", "activity", "neural_activity", "neural_data", "neuron_activity", "neural_traces", "calcium_traces",
    "calcium_data", "neurons", "cells", "gcamp", "data", "values",
)  # fmt: skip
"""Keys of others, in lower case, the surest first."""
_TIMES = (
    "timestamp_confocal", "timestamps", "timestamp", "time_s", "time_seconds", "times", "time", "t", "tv",
    "timevectorseconds", "time_vector", "seconds",
)  # fmt: skip
_LABELS = (
    "labels", "label", "neuron_names", "neuron_labels", "neuron_ids", "neuronnames", "names", "neurons", "ids", "id",
    "cell_ids", "cell_names", "roi_ids", "channels", "columns",
)  # fmt: skip
_RATES = (
    "rate_hz",
    "sampling_rate_hz",
    "sampling_rate",
    "sample_rate",
    "frame_rate",
    "framerate",
    "fps",
    "fs",
    "hz",
    "fr",
)
_STEPS = ("dt", "mean_timestep", "timestep", "time_step", "frame_interval", "volume_interval")
_NAME_OF = ("label", "name", "neuron", "neuron_name", "cell", "id", "cell_id", "roi")
_TRACE_OF = ("trace", "traces", "dff", "df_f", "values", "activity", "calcium", "fluorescence", "data", "f", "signal")
FEWEST_SAMPLES = 10
WORDS = tuple(f'"{word}'.encode() for word in (*ORIGINAL, *ZSCORED)) + tuple(
    f'"{form}'.encode()
    for key in (*_GENERIC, *_TIMES, *_NAME_OF)
    for form in {key, key.upper(), key.capitalize(), "dFF", "dF"}
)
"""One of these is in every file that is read."""


@dataclass
class Parsed:
    """The lists of a JSON of traces.

    Parameters
    ----------
    traces
        Signal → traces, shape ``(time, channel)``.
    units
        Signal → physical unit.
    labels
        Name of each channel, empty where it has none.
    time
        Seconds, shape ``(time,)``, None where there are none.
    rate_hz, rate_source
        What the file says of the rate, and where.
    columns
        More facts per channel.
    is_worm_wide_web
        Whether the layout is WormWideWeb's.
    """

    traces: dict[str, NDArray[np.float64]]
    units: dict[str, str]
    labels: list[str]
    time: NDArray[np.float64] | None = None
    time_key: str = ""
    rate_hz: float | None = None
    rate_source: str = ""
    columns: dict[str, list[str]] = field(default_factory=dict)
    is_worm_wide_web: bool = False
    used: set[str] = field(default_factory=set)


def parse(path: Path, content: Any) -> Parsed | None:
    """Find the traces and what belongs to them; None where there are none.

    Raises
    ------
    RawFileError
        If traces of WormWideWeb's layout are no rows of one length.
    """
    if isinstance(content, list):
        return _from_records(content)
    if not isinstance(content, dict):
        return None
    found = {str(key): value for key, value in reversed(list(sections(content)))}
    lower = {key.lower(): key for key in reversed(list(found))}
    if any(key in found for key in (*ORIGINAL, *ZSCORED)) and len(_OF_WORMS & set(found)) >= 2:
        return _worm_wide_web(path, found)
    for key in (*ORIGINAL, *_GENERIC, *ZSCORED):
        value = found.get(lower.get(key, ""))
        parsed = _named_traces(value)
        if parsed is None and (values := matrix(value)) is not None:
            parsed = Parsed({"calcium": values}, {"calcium": _units(key)}, [])
        if parsed is not None:
            parsed.used.add(lower[key])
            _add_time(parsed, found, lower)
            return _oriented(parsed, found, lower)
    return _from_columns(content)


def _units(key: str) -> str:
    return "dF/F" if key.replace("_", "").startswith(("dff", "dfof", "deltaf")) else "a.u."


def _worm_wide_web(path: Path, found: Mapping[str, Any]) -> Parsed:
    """Neurons in rows: ``trace_original`` (ratios) and ``trace_array`` (z-scored)."""
    parsed = Parsed({}, {}, [], is_worm_wide_web=True)
    for keys, signal, units in ((ORIGINAL, "calcium", "a.u."), (ZSCORED, "calcium_zscored", "z-score")):
        key = next((key for key in keys if key in found), None)
        if key is None:
            continue
        values = matrix(found[key])
        if values is None:
            raise RawFileError(f"{path}: expected {key!r} to be a list of numbers for each neuron, all of one length")
        parsed.traces[signal], parsed.units[signal] = values.T, units
        parsed.used.add(key)
    if "calcium" not in parsed.traces:
        parsed.traces = {"calcium": parsed.traces["calcium_zscored"]}
        parsed.units = {"calcium": "z-score"}
    shapes = {values.shape for values in parsed.traces.values()}
    if len(shapes) > 1:
        raise RawFileError(f"{path}: expected original and z-scored traces of one shape, got {sorted(shapes)}")
    n_neurons = parsed.traces["calcium"].shape[1]
    parsed.labels = [""] * n_neurons
    _add_time(parsed, found, {key.lower(): key for key in found})
    labeled: dict[str, Any] = next((found[key] for key in ("labeled", "label") if isinstance(found.get(key), dict)), {})
    _add_labels(path, parsed, labeled, n_neurons)
    return parsed


def _add_labels(path: Path, parsed: Parsed, labeled: Mapping[str, Any], n_neurons: int) -> None:
    """Labels by the number of the neuron, which counts from 1 (Julia), or from 0 where there is a neuron 0."""
    first = 0 if "0" in labeled else 1
    for key, entry in labeled.items():
        if not isinstance(entry, dict) or not str(key).isdecimal():
            continue
        place = int(key) - first
        if not 0 <= place < n_neurons:
            raise RawFileError(f"{path}: neuron {key} has a label, but there are {n_neurons} neurons")
        parsed.labels[place] = printable(entry.get("label") or entry.get("neuron_class") or "")
        for name, value in entry.items():
            column = "rating" if name == "confidence" else str(name)
            if column != "label" and is_safe_part(column) and column not in ("x", "y", "z", "channel", "time"):
                parsed.columns.setdefault(column, [""] * n_neurons)[place] = "" if value is None else printable(value)


def _named_traces(value: Any) -> Parsed | None:
    """Traces by name (``{"AVAL": [...], …}``) or as records (``[{"name": "AVAL", "trace": [...]}, …]``)."""
    if isinstance(value, dict) and len(value) >= 2:
        rows = [numbers(row) for row in value.values()]
        lengths = {0 if row is None else len(row) for row in rows}
        if len(lengths) == 1 and max(lengths) >= FEWEST_SAMPLES:
            return Parsed(
                {"calcium": np.array(rows).T}, {"calcium": "a.u."}, [printable(key) for key in value], used=set(value)
            )
    return _from_records(value) if isinstance(value, list) else None


def _from_records(records: Any) -> Parsed | None:
    """One record per neuron with its trace, or one per sample with a number per neuron."""
    if not isinstance(records, list) or len(records) < 2 or not all(isinstance(record, dict) for record in records):
        return None
    keys = {key.lower(): key for key in records[0]}
    name = next((keys[key] for key in _NAME_OF if key in keys), None)
    trace = next((keys[key] for key in _TRACE_OF if key in keys and isinstance(records[0][keys[key]], list)), None)
    if trace is not None:
        values = matrix([record.get(trace) for record in records])
        if values is None or values.shape[1] < FEWEST_SAMPLES:
            return None
        labels = [printable(record.get(name) or "") if name else "" for record in records]
        return Parsed({"calcium": values.T}, {"calcium": _units(trace.lower())}, labels)
    if len(records) < FEWEST_SAMPLES:
        return None
    return _from_columns({key: [record.get(key) for record in records] for key in records[0]})


def _from_columns(content: Mapping[str, Any]) -> Parsed | None:
    """Lists of one length by name, one of them the time."""
    lists = {str(key): row for key, value in content.items() if (row := numbers(value)) is not None}
    time = next((key for key in lists if key.lower() in _TIMES), None)
    if time is None or len(lists[time]) < FEWEST_SAMPLES or not (np.diff(lists[time]) > 0).all():
        return None
    cells = [key for key in lists if key != time and len(lists[key]) == len(lists[time])]
    if len(cells) < 2 or all((lists[key] == np.round(lists[key])).all() for key in cells):
        return None
    values = np.array([lists[key] for key in cells]).T
    labels = [printable(key) for key in cells]
    return Parsed({"calcium": values}, {"calcium": "a.u."}, labels, lists[time], time, used=set(cells))


def _add_time(parsed: Parsed, found: Mapping[str, Any], lower: Mapping[str, str]) -> None:
    """Times, or what the file says of the rate."""
    key = next((lower[key] for key in _TIMES if key in lower and numbers(found[lower[key]]) is not None), None)
    if key is not None:
        times = numbers(found[key])
        if times is not None and len(times) > 1:
            parsed.time, parsed.time_key = times, key
    for name in _RATES:
        value = found.get(lower.get(name, ""))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6:
            parsed.rate_hz, parsed.rate_source = float(value), lower[name]
            return
    for name in _STEPS:
        value = found.get(lower.get(name, ""))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 1e-6 < value < 1e4:
            parsed.rate_hz, parsed.rate_source = 1.0 / float(value), f"{lower[name]} = {value:g} s"
            return
    value = found.get("avg_timestep")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1e-6:
        parsed.rate_hz, parsed.rate_source = _rate_of_average(float(value))


def _rate_of_average(value: float) -> tuple[float, str]:
    """WormWideWeb's ``avg_timestep`` is in minutes; an older description has samples per minute, some files seconds.

    Volumes take 0.3 to 6 s in all of them, so the number tells which it is.
    """
    if value <= 0.1:
        return 1.0 / (60.0 * value), f"avg_timestep = {value:g} min"
    if value <= 10.0:
        return 1.0 / value, f"avg_timestep = {value:g}, which can only be seconds"
    return value / 60.0, f"avg_timestep = {value:g} samples a minute"


def _oriented(parsed: Parsed, found: Mapping[str, Any], lower: Mapping[str, str]) -> Parsed | None:
    """Turn generic traces so that time comes first: by the times, the names, or the longer side."""
    values = parsed.traces["calcium"]
    labels = next(
        (names for key in _LABELS if (names := texts(found.get(lower.get(key, "")))) and len(names) in values.shape),
        None,
    )
    if not parsed.labels:
        n_time = len(parsed.time) if parsed.time is not None else None
        n_names = len(labels) if labels else None
        if n_time in values.shape and values.shape[0] != values.shape[1]:
            turned = values.shape[0] != n_time
        elif n_names in values.shape and values.shape[0] != values.shape[1]:
            turned = values.shape[0] == n_names
        else:
            turned = values.shape[0] < values.shape[1]
        values = values.T if turned else values
        parsed.labels = labels if labels and len(labels) == values.shape[1] else [""] * values.shape[1]
    evidence = any(parsed.labels) or parsed.time is not None or parsed.rate_hz is not None
    if not evidence or values.shape[0] < FEWEST_SAMPLES or values.shape[0] == values.shape[1]:
        return None
    parsed.traces["calcium"] = values
    return parsed


def session_of(found: Mapping[str, Any]) -> str | None:
    """The recording's own id, where it is one (``2022-08-02-01``)."""
    uid = found.get("uid")
    return uid if isinstance(uid, str) and re.fullmatch(r"[A-Za-z0-9_.+=-]{1,64}", uid) else None
