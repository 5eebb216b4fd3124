"""Write the tiny store of format 1 that is kept for ever; the same bytes come out every time.

Run once, when the format was fixed: ``python tests/stores/make_format_1.py tests/stores/format_1``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units
from neurodata.store.write import write_recording


def make_recording() -> Recording:
    """A recording with a member of every kind, of values that need no random numbers."""
    calcium = np.arange(120.0).reshape(40, 3) / 8
    calcium[5:8, 1] = np.nan
    signals = {
        "calcium": make_signal(
            calcium, channel_id=["n1", "n2", "n3"], units="dF/F", rate_hz=3137 / 1080, start_seconds=0.5,
            columns={"label": ["AVAL", "", "öß 線虫"], "x": [0.0, 1.5, -2.0], "flagged": [True, False, True]},
        ),
        "eeg": make_signal(
            np.arange(-60, 60, dtype="int16").reshape(60, 2), channel_id=["Cz", "Pz"], units="uV", rate_hz=10.0,
            segments=([0.0, 30.0], [0, 20]), columns={"scale_factor": [0.5, 0.25], "add_offset": [0.0, 1.0]},
        ),
        "wheel": make_signal(
            np.arange(6, dtype="float32")[:, None], channel_id=["w"], units="m", role="behavior",
            time=[0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
        ),
        "frames": make_signal(np.zeros((4, 1), "uint8"), channel_id=["p"], units="a.u.", role="stimulus", scale_factor=2.0),
        # The one sharded array: five inner chunks in one shard, of values that compress to little.
        "long": make_signal(
            (np.arange(80_000) // 1000).astype("float64")[:, None], channel_id=["t"], units="V", rate_hz=1000.0
        ),
    }  # fmt: skip
    return Recording(
        {
            "dataset": "kept", "recording_id": "kept/first", "modality": "calcium", "session_start": "2015-10-22T09:00:00Z",
            "subject": {"id": "w1", "species": "Caenorhabditis elegans", "sex": "XX", "stage": "adult"},
            "source_files": [{"name": "raw.npz", "n_bytes": 10, "sha256": "0" * 64}],
            "loader": {"name": "by_hand", "version": 1, "options": {"rate_hz": 3.0}},
            "extra": {"note": "öß 線虫", "list": [1, None, True]},
        },
        signals,
        {"spikes": make_events([-0.5, 0.25, 1.0, 2.5], unit=[0, 1, 1, 0]), "taps": make_events([], label=[])},
        {"state": make_intervals([0.0, 4.0], [4.0, 9.0], label=["forward", "ünï"], code=[1, 2], attributes={"by": "hand"})},
        make_units(["u1", "u2"], snr=[1.5, np.nan]),
    )  # fmt: skip


if __name__ == "__main__":
    print(write_recording(make_recording(), Path(sys.argv[1])))
