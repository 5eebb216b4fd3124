"""Made-up recordings with known content, for the tests and for the processes they start and kill."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units
from neurodata.store.write import write_recording


def metadata(recording_id="made_up/first", **changes):
    return {
        "dataset": recording_id.split("/")[0],
        "recording_id": recording_id,
        "subject": {"id": "w1", "species": "Caenorhabditis elegans", "sex": "XX", "strain": "N2"},
        "modality": "calcium",
        "extra": {"notes": ["öß 線虫 🐛", None, 1.5, True], "temperature": 20},
        **changes,
    }


def sources(version=1, sha256="0" * 64):
    """Metadata saying what a recording was made from: only such a recording is resumed or called up to date."""
    return {
        "source_files": [{"name": "raw.npz", "n_bytes": 10, "sha256": sha256}],
        "loader": {"name": "made_up", "version": version, "options": {}},
    }


def full_recording(recording_id="made_up/first", seed=0, **changes):
    """One member of every kind: regular, irregular, counted in frames, with gaps, integers, text, empty tables, spikes."""
    rng = np.random.default_rng(seed)
    calcium = rng.normal(size=(300, 5))
    calcium[10:20, 1], calcium[:, 4] = np.nan, np.nan
    ids = ["AVAL", "AVAR", "öß", "線虫", "x" * 300]
    per_channel = {"scale_factor": [0.1, 0.2, -0.5], "add_offset": [0.0, 1.0, 2.0]}
    integers = rng.integers(-32768, 32767, size=(1000, 3)).astype("int16")
    signals = {
        "calcium": make_signal(
            calcium, channel_id=ids, units="dF/F", rate_hz=3137 / 1080, start_seconds=1.5, filters={"low": [1, 2.5]},
            columns={"label": ids, "x": np.arange(5.0), "good": [True, False, True, True, False]},
        ),
        "eeg": make_signal(integers, channel_id=list("abc"), units="uV", rate_hz=160, columns=per_channel),
        "gaps": make_signal(
            np.arange(200, dtype="uint8").reshape(100, 2), channel_id=["l", "r"], units="V", rate_hz=10.0,
            segments=([0.0, 20.0, 50.5], [0, 30, 70]), scale_factor=0.5, add_offset=-1.0,
        ),
        "wheel": make_signal(
            rng.normal(size=(50, 1)).astype("float32"), channel_id=["w"], units="m", role="behavior",
            time=np.cumsum(rng.random(50) + 0.01),
        ),
        "frames": make_signal(np.zeros((7, 2), "int16"), channel_id=["p", "q"], units="a.u.", role="stimulus"),
        "none": make_signal(np.zeros((0, 2), "float32"), channel_id=["p", "q"], units="s", rate_hz=1.0),
    }  # fmt: skip
    times = np.sort(rng.random(500) * 100) - 1
    events = {
        "spikes": make_events(times, unit=rng.integers(0, 3, 500), attributes={"sorter": "kilosort"}),
        "marks": make_events([0.5, 0.5, 9.0], label=["", "Ünï", "b"]),
        "never": make_events([], label=[]),
    }
    intervals = {
        "state": make_intervals([0.0, 4.0], [4.0, 9.0], label=["fwd", "rev"], code=[0, 1], attributes={"by": "hand"}),
        "bad": make_intervals([], []),
    }
    units = make_units(["u1", "u2", "u3"], snr=[1.0, np.nan, 3.0], good=[True, True, False])
    return Recording(metadata(recording_id, **changes), signals, events, intervals, units)


def large_recording(recording_id="made_up/large", megabytes=36):
    """Shards that compress badly, one of zeros only (which a careless writer leaves out), and smaller arrays."""
    rng = np.random.default_rng(1)
    rows = megabytes * 2**20 // (2 * 32)
    samples = {"noise": rng.integers(-30000, 30000, size=(rows, 32)), "silence": np.zeros((2**16, 32))}
    samples |= {f"more{i}": rng.integers(-30000, 30000, size=(2**14, 32)) for i in range(4)}
    ids = [f"n{i}" for i in range(32)]
    signals = {
        name: make_signal(values.astype("int16"), channel_id=ids, units="uV", rate_hz=2000.0)
        for name, values in samples.items()
    }
    events = {"marks": make_events(np.arange(100.0), label=[f"m{i}" for i in range(100)])}
    return Recording(metadata(recording_id, modality="eeg", **sources()), signals, events)


def main(store, recording_id, megabytes, kill_at):
    """Write a large recording; with ``kill_at`` ≥ 0 this process dies by SIGKILL once that many bytes are done."""

    def die(done, total):
        if 0 <= int(kill_at) <= done:
            os.kill(os.getpid(), signal.SIGKILL)

    print(write_recording(large_recording(recording_id, int(megabytes)), Path(store), progress=die))


if __name__ == "__main__":
    main(*sys.argv[1:])
