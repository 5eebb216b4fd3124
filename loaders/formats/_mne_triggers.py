"""Onsets on the trigger channels of EEG and MEG files."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurodata.recording.timed import make_events

from ._mne_source import Source

_BLOCK = 1_000_000
"""Samples of a trigger channel that are looked through at once."""


def find_triggers(source: Source, stim: NDArray[np.int64]) -> xr.Dataset | None:
    """Return the onsets on trigger channels, None where there are none.

    As ``mne.find_events``: an onset is a step to a higher value, and where a summary channel is there (``STI101``,
    ``STI 014``) only that one counts. But the channel is read in blocks, and a one-sample trigger is no error.

    Parameters
    ----------
    source
        The recording.
    stim
        Positions of the trigger channels.
    """
    labels = {str(source.info["ch_names"][i]): int(i) for i in stim}
    chosen = next(([name] for name in ("STI101", "STI 014") if name in labels), list(labels))
    rate, found = float(source.info["sfreq"]), []
    for name in chosen:
        steps = _onsets(source, labels[name])
        # A channel that steps at every other sample carries a clock or a waveform, no triggers.
        if 4 * len(steps) < source.n_times:
            found += [(sample / rate, after, before, name) for sample, before, after in steps]
    if not found:
        return None
    found.sort(key=lambda entry: entry[0])
    time, code, previous, channel = zip(*found)
    return make_events(
        np.array(time),
        label=[str(value) for value in code],
        code=np.array(code, np.int64),
        previous=np.array(previous, np.int64),
        stim_channel=list(channel),
    )


def _onsets(source: Source, channel: int) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    last: int | None = None
    for first in range(0, source.n_times, _BLOCK):
        block = source.read(np.array([channel]), first, min(first + _BLOCK, source.n_times))[:, 0]
        codes = np.abs(np.nan_to_num(block).astype(np.int64))
        before = np.r_[codes[0] if last is None else last, codes[:-1]]
        up = np.flatnonzero(codes > before)
        found += [(first + int(i), int(before[i]), int(codes[i])) for i in up]
        last = int(codes[-1])
    return found
