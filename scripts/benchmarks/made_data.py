"""Made-up recordings of the benchmarks' sizes, as our store, as torch_brain's HDF5 files, chunked HDF5 and npy.

Three kinds: ``field`` (64 channels at 256 Hz: a 1/f spectrum, an alpha rhythm and a common source, rounded to the step
of an amplifier, so that it compresses as real recordings do), ``calcium`` (200 cells at 30 Hz: decaying transients and
noise) and ``spikes`` (100 units at 10 Hz).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_signal, make_units
from neurodata.store.table import write_index
from neurodata.store.write import write_recording
from neurodata.store.write_openings import write_openings

STORE, TORCH_BRAIN, CHUNKED, PLAIN = "store", "torch_brain", "chunked", "plain"
STEP_MICROVOLT = np.float32(0.1)


@dataclass(frozen=True)
class Work:
    """What is measured: windows of one kind of recordings.

    Parameters
    ----------
    name
        ``field``, ``calcium`` or ``spikes``; also the name of the signal or events.
    rate_hz
        Rate of the windows' clock (for spikes: bins per second).
    n_channels
        Channels, cells or units.
    window_samples
        Samples (bins) of a window.
    n_recordings, seconds
        How many recordings, and how long each is.
    """

    name: str
    rate_hz: float
    n_channels: int
    window_samples: int
    n_recordings: int = 16
    seconds: float = 600.0

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self.window_samples / self.rate_hz

    @property
    def n_samples(self) -> int:
        """Samples (bins) of a recording."""
        return int(self.seconds * self.rate_hz)

    @property
    def window_bytes(self) -> int:
        """Bytes of a window as float32."""
        return 4 * self.window_samples * self.n_channels

    def names(self) -> list[str]:
        """List the recordings."""
        return [f"r{number:02d}" for number in range(self.n_recordings)]


def list_work(quick: bool) -> list[Work]:
    """Return the three kinds; ``quick`` has windows of the same shapes from fewer and shorter recordings."""
    size: dict[str, Any] = {"n_recordings": 4, "seconds": 240.0} if quick else {}
    return [
        Work("field", 256.0, 64, 512, **size),
        Work("calcium", 30.0, 200, 30, **size),
        Work("spikes", 50.0, 100, 50, **size),
    ]


def make_field(work: Work, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return microvolts ``(time, channel)`` with the spectrum of an EEG, in steps of 0.1 µV."""
    frequency = np.fft.rfftfreq(work.n_samples, 1 / work.rate_hz).astype(np.float32)
    amplitude = 1 / np.sqrt(np.maximum(frequency, 0.5)) + 0.05 + 0.4 * np.exp(-0.5 * (frequency - 10) ** 2)
    common = _shaped_noise(amplitude, work.n_samples, rng)
    values = np.empty((work.n_samples, work.n_channels), np.float32)
    for channel in range(work.n_channels):
        own = _shaped_noise(amplitude, work.n_samples, rng)
        mixed = 25 * (own + 0.7 * common)
        values[:, channel] = np.rint(mixed / STEP_MICROVOLT) * STEP_MICROVOLT
    return values


def _shaped_noise(amplitude: NDArray[np.float32], n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of unit variance with a given spectrum, ``(time,)``."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples, np.float32)) * amplitude
    noise = np.fft.irfft(spectrum, n_samples).astype(np.float32)
    return np.asarray(noise / noise.std(), np.float32)


def make_calcium(work: Work, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return dF/F ``(time, cell)``: transients that decay with 1 s, and noise."""
    shape = (work.n_samples, work.n_channels)
    transients = lfilter([1.0], [1.0, -np.exp(-1 / work.rate_hz)], rng.random(shape) < 0.2 / work.rate_hz, axis=0)
    return (transients + 0.2 * rng.standard_normal(shape, np.float32)).astype(np.float32)


def make_spikes(
    work: Work, rng: np.random.Generator, rate_hz: float = 10.0
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return times in seconds, sorted, and unit of every spike; the last one ends the recording."""
    n_spikes = int(work.seconds * work.n_channels * rate_hz)
    times = np.sort(rng.random(n_spikes)) * work.seconds
    times[-1] = work.seconds - 1e-4
    return times, rng.integers(0, work.n_channels, n_spikes).astype(np.int32)


def make_data(work: Work, folder: Path, seed: int = 0) -> Path:
    """Write all forms of a kind's recordings below a folder, once; a folder made with other sizes is made anew."""
    home, done = folder / work.name, folder / work.name / "made.json"
    facts = {"seed": seed, "version": 2, **asdict(work)}
    if done.is_file() and json.loads(done.read_text()) == facts:
        return home
    shutil.rmtree(home, ignore_errors=True)
    for form in (STORE, TORCH_BRAIN, CHUNKED, PLAIN):
        (home / form).mkdir(parents=True)
    for number, name in enumerate(work.names()):
        rng = np.random.default_rng([seed, number])
        if work.name == "spikes":
            _write_spikes(work, home, name, *make_spikes(work, rng))
        else:
            make = make_field if work.name == "field" else make_calcium
            _write_samples(work, home, name, make(work, rng))
    # What a web server must have, and what spares a large store's readers from looking into each recording.
    write_index(home / STORE)
    write_openings(home / STORE)
    done.write_text(json.dumps(facts))
    return home


def _metadata(work: Work, name: str) -> dict[str, Any]:
    modality = {"field": "eeg", "calcium": "calcium", "spikes": "spikes"}[work.name]
    subject = {"id": f"subject_{name}", "species": "unknown"}
    return {"dataset": "made", "recording_id": f"made/{name}", "subject": subject, "modality": modality}


def _write_samples(work: Work, home: Path, name: str, values: NDArray[np.float32]) -> None:
    from torch_brain.data import Data, RegularTimeSeries

    ids = [f"c{channel:03d}" for channel in range(work.n_channels)]
    units = "uV" if work.name == "field" else "dF/F"
    signal = make_signal(values, channel_id=ids, units=units, rate_hz=work.rate_hz, columns={"label": ids})
    write_recording(Recording(_metadata(work, name), {work.name: signal}), home / STORE)
    series = RegularTimeSeries(sampling_rate=work.rate_hz, values=values)
    _write_torch_brain(Data(samples=series, domain=series.domain), home, name)
    with h5py.File(home / CHUNKED / f"{name}.h5", "w") as file:
        # One window per chunk and gzip with shuffle: what NWB files of such data usually look like.
        file.create_dataset(
            "values", data=values, chunks=(work.window_samples, work.n_channels), compression=4, shuffle=True
        )
    np.save(home / PLAIN / f"{name}.npy", values)


def _write_spikes(work: Work, home: Path, name: str, times: NDArray[np.float64], units: NDArray[np.int32]) -> None:
    from torch_brain.data import ArrayDict, Data, Interval, IrregularTimeSeries

    ids = [f"u{unit:03d}" for unit in range(work.n_channels)]
    recording = Recording(
        _metadata(work, name), {}, {"spikes": make_events(times, unit=units)}, {}, make_units(ids, label=ids)
    )
    write_recording(recording, home / STORE)
    domain = Interval(0.0, work.seconds)
    spikes = IrregularTimeSeries(timestamps=times, unit_index=units.astype(np.int64), domain=domain)
    _write_torch_brain(Data(spikes=spikes, units=ArrayDict(id=np.asarray(ids)), domain=domain), home, name)
    with h5py.File(home / CHUNKED / f"{name}.h5", "w") as file:
        file.create_dataset("times", data=times, chunks=(16384,), compression=4, shuffle=True)
        file.create_dataset("units", data=units, chunks=(16384,), compression=4, shuffle=True)
    np.savez(home / PLAIN / f"{name}.npz", times=times, units=units)


def _write_torch_brain(data: Any, home: Path, name: str) -> None:
    """Uncompressed and in one piece, as its own ``to_hdf5`` writes: the fastest layout it has."""
    with h5py.File(home / TORCH_BRAIN / f"{name}.h5", "w") as file:
        data.to_hdf5(file)


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
