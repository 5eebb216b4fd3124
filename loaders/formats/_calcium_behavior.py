"""Behaviour, events and states that lie beside traces in a JSON, on the traces' clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.checks import is_safe_part
from neurodata.recording.timed import make_events, make_intervals, make_signal, run_lengths

from ._calcium_json import Parsed
from ._tables_json import matrix, numbers, printable, texts

_STIMULI = ("stim", "heat", "odor", "odour", "light", "temperature", "laser")
_NO_BEHAVIOR = {"ranges", "tau_vals", "forwardness", "dorsalness", "feedingness", "pumpingness", "idx_splits"}
"""What models found out about neurons (WormWideWeb's ``encoding``)."""
_RESERVED = {"calcium", "calcium_zscored", "time", "channel", "segment", "channel_id"}


def behavior_signals(
    parsed: Parsed, found: Mapping[str, Any], clock: dict[str, Any], said: str
) -> dict[str, xr.DataArray]:
    """Return every list of numbers with one value (or row of values) per sample, which is no trace and no time."""
    n_time = parsed.traces["calcium"].shape[0]
    signals = {}
    for key, value in found.items():
        if key in parsed.used | _NO_BEHAVIOR | _RESERVED or key == parsed.time_key or not is_safe_part(key):
            continue
        if key.startswith(("timestamp", "rel_enc")):
            continue
        values = _per_sample(value, n_time)
        if values is None:
            continue
        role = "stimulus" if any(word in key.lower() for word in _STIMULI) else "behavior"
        n_channels = values.shape[1]
        ids = [key] if n_channels == 1 else [f"{key}_{number}" for number in range(n_channels)]
        signals[key] = make_signal(values, channel_id=ids, units="a.u.", role=role, sampling_rate_source=said, **clock)
    return signals


def _per_sample(value: Any, n_time: int) -> NDArray[np.float64] | None:
    if not isinstance(value, list) or not value:
        return None
    flags = len(value) == n_time and all(isinstance(item, bool) for item in value)
    row = numbers([int(item) for item in value] if flags else value) if len(value) == n_time else None
    if row is not None:
        return None if np.isnan(row).all() else row[:, None]
    if not isinstance(value[0], list) or len(value) != n_time:
        return None
    values = matrix(value)
    return None if values is None or values.shape[1] in (n_time, 0) or values.shape[1] > 1000 else values


def state_intervals(
    parsed: Parsed, found: Mapping[str, Any], times: NDArray[np.float64] | None
) -> dict[str, xr.Dataset]:
    """Return reversals, and each list with one word per sample, as intervals; none where the rate is unknown."""
    if times is None:
        return {}
    tables = {}
    pairs = _pairs(found.get("reversal_events"), len(times) - 1)
    if pairs is not None:
        start, stop = pairs.T
        tables["reversals"] = make_intervals(
            times[start], times[stop], label=["reversal"] * len(start), start_frame=start, stop_frame=stop
        )
    for key, value in found.items():
        words = texts(value) if isinstance(value, list) and len(value) == len(times) - 1 else None
        if words is None or not is_safe_part(key) or key in tables or len(words) == len(parsed.labels):
            continue
        labels, codes = np.unique([printable(word) for word in words], return_inverse=True)
        first, after, code = run_lengths(codes)
        tables[key] = make_intervals(times[first], times[after], label=labels[code], code=code.astype(np.int64))
    return tables


def _pairs(value: Any, n_time: int) -> NDArray[np.int64] | None:
    """First and last sample of each reversal, counted from 1, which are ``[first, last)`` counted from 0.

    The published code takes the sample before the first reversed one and the last reversed one, both counted from 1
    (flavell-lab, ``findall(diff(reversal_vec) .== ±1)``). Julia writes matrices by columns, so that starts and stops
    may also be a list each.
    """
    values = matrix(value)
    if values is None or 2 not in values.shape or not (values == np.round(values)).all():
        return None
    if values.min() < 0 or values.max() > n_time:
        return None
    for pairs in [values] * (values.shape[1] == 2) + [values.T] * (values.shape[0] == 2):
        steps = pairs.ravel()
        if (np.diff(steps) >= 0).all():
            return pairs.astype(np.int64)
    return None


def sample_events(found: Mapping[str, Any], times: NDArray[np.float64] | None) -> dict[str, xr.Dataset]:
    """Return events given by the samples (counted from 1) at which they are: WormWideWeb's ``event``, ``events``."""
    listed = next((found[key] for key in ("event", "events") if isinstance(found.get(key), dict)), None)
    if listed is None or times is None:
        return {}
    rows = [
        (int(sample), printable(name))
        for name, value in listed.items()
        if (samples := numbers(value if isinstance(value, list) else [value])) is not None
        for sample in samples
        if sample == round(sample) and 1 <= sample <= len(times) - 1
    ]
    if not rows:
        return {}
    rows.sort()
    samples = np.array([sample for sample, _ in rows], np.int64)
    table = make_events(times[samples - 1], label=[name for _, name in rows], frame=samples)
    return {"events": table}
