"""Simulated cohorts of each modality: raw files, store, windows, and the noise-free signal behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import neurodata as nd
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.build import make_network, make_task
from neurodata.models.train import fit
from neurodata.simulate import eeg, fmri, spikes
from neurodata.simulate._edf_noise import make_rhythm
from neurodata.simulate.calcium import Noise, SimulatedWorm, simulate_worms

N_CHANNELS = 60
"""Neurons kept of each simulated worm, all that have a name among them: half as many as are recorded, for speed."""

Oracle = Mapping[str, NDArray[np.float64]]
"""Recording id → noise-free signal on the windows' clock, ``(time, channel)``; NaN where there is none."""


@dataclass(frozen=True)
class Kind:
    """How one modality is simulated and looked at.

    Parameters
    ----------
    name
        ``worms``, ``spikes``, ``eeg`` or ``fmri``.
    inputs, rate_hz, window_seconds, scaling
        As of the datamodule.
    n_train, n_test, seconds
        Recordings to pretrain on and to hold out, and their length.
    steps, batch_size
        Of the pretraining.
    """

    name: str
    inputs: str
    rate_hz: float
    window_seconds: float
    scaling: str
    n_train: int
    n_test: int
    seconds: float
    steps: int
    batch_size: int


KINDS = {
    kind.name: kind
    for kind in (
        Kind("worms", "calcium", 3.0, 12.0, "recording", 5, 3, 240.0, 300, 4),
        Kind("spikes", "spikes", 20.0, 2.0, "none", 3, 3, 120.0, 300, 8),
        Kind("eeg", "eeg", 160.0, 2.0, "recording", 5, 3, 60.0, 300, 4),
        Kind("fmri", "bold", 0.5, 60.0, "recording", 5, 3, 480.0, 300, 4),
    )
}


@dataclass(frozen=True)
class Cohort:
    """Recordings of one modality and seed, in a store, with their truth.

    Parameters
    ----------
    kind
        How they were made.
    store
        Where they are.
    train, test
        Ids of the recordings to pretrain on, and of those held out.
    oracle
        What is behind the held-out ones.
    cache
        Folder of decoded recordings.
    """

    kind: Kind
    store: nd.Store
    train: tuple[str, ...]
    test: tuple[str, ...]
    oracle: Oracle
    cache: Path

    def windows(self, recordings: tuple[str, ...], split: Any, target: str = "", batch_size: int = 0) -> RecordingDataModule:  # fmt: skip
        """Return windows of some of the recordings."""
        kind = self.kind
        return RecordingDataModule(
            self.store.select(recording_id=list(recordings)), inputs=kind.inputs, target=target, rate_hz=kind.rate_hz,
            window_seconds=kind.window_seconds, split=split, scaling=kind.scaling, channels="all",
            identity="recording_channel", batch_size=batch_size or kind.batch_size, cache=self.cache,
        )  # fmt: skip

    def halves(self, recordings: tuple[str, ...] = (), target: str = "") -> RecordingDataModule:
        """Return windows of held-out recordings: the first half may be adapted to, the second is scored."""
        split = nd.split_by("time", test=0.5, guard_seconds=self.kind.window_seconds)
        return self.windows(recordings or self.test, split, target, batch_size=8)


def make_cohort(kind: Kind, seed: int, folder: Path) -> Cohort:
    """Simulate, write raw files, convert them into a store, and keep the truth of what is held out."""
    raw, store = folder / f"sim_{kind.name}_{seed}", folder / f"store_{kind.name}_{seed}"
    oracle = _SIMULATE[kind.name](kind, seed, raw)
    options = [f"labels={raw}/atlas/atlas-Simulated_dseg.nii.gz"] if kind.name == "fmri" else []
    loader = {"worms": "kato_brain_2015", "fmri": "nifti"}.get(kind.name, "auto")
    nd.convert(loader, raw, store, options=options)
    opened = nd.open_store(store)
    ids = tuple(sorted(opened.recording_ids))
    truth = dict(zip(ids, oracle))
    train, test = ids[: kind.n_train], ids[kind.n_train :]
    return Cohort(kind, opened, train, test, {key: truth[key] for key in test}, folder / f"cache_{kind.name}_{seed}")


def pretrain(cohort: Cohort, seed: int) -> Any:
    """Return the task after masked prediction of the training recordings."""
    data = cohort.windows(cohort.train, nd.split_by("recording"))
    data.setup()
    torch.manual_seed(seed)
    task = make_task("pretrain", make_network("perceiver", data.spec, {}), {"patch_seconds": 0.0})
    return fit(task, data.train_dataloader(), steps=cohort.kind.steps, seed=seed).task


def keep_channels(worm: SimulatedWorm, n_channels: int) -> SimulatedWorm:
    """Return a worm of which only so many neurons were recorded: the named ones first."""
    kept = np.sort(np.argsort(worm.labels == "", kind="stable")[:n_channels])
    return dataclasses.replace(
        worm, traces=worm.traces[:, kept], labels=worm.labels[kept], channels=worm.channels[kept]
    )


def make_worms(n_worms: int, seconds: float, seed: int, n_channels: int = N_CHANNELS) -> list[SimulatedWorm]:
    """Return simulated worms as they are recorded."""
    return [keep_channels(worm, n_channels) for worm in simulate_worms(n_worms, seconds, seed)]


def _worms(kind: Kind, seed: int, raw: Path) -> list[NDArray[np.float64]]:
    """The same worms once more without measurement noise: all else is drawn from streams of its own."""
    n_worms = kind.n_train + kind.n_test
    nd.write_kato_layout(make_worms(n_worms, kind.seconds, seed), raw)
    silent = simulate_worms(n_worms, kind.seconds, seed, noise=Noise(measurement_sd=0.0), missing_runs=0)
    clock = np.arange(int(kind.seconds * kind.rate_hz) + 1) / kind.rate_hz
    return [
        np.column_stack([np.interp(clock, worm.times, trace) for trace in worm.traces.T])
        for worm in (keep_channels(worm, N_CHANNELS) for worm in silent)
    ]


def _spikes(kind: Kind, seed: int, raw: Path) -> list[NDArray[np.float64]]:
    """Expected counts per bin."""
    made = spikes.write_raw(raw, recordings=kind.n_train + kind.n_test, seconds=kind.seconds, seed=seed)
    per_bin = round(1 / (made[0].bin_seconds * kind.rate_hz))
    n_bins = int(kind.seconds * kind.rate_hz)
    return [
        one.rates_hz[: n_bins * per_bin].reshape(n_bins, per_bin, -1).mean(1) / kind.rate_hz
        for one in made
    ]  # fmt: skip


def _eeg(kind: Kind, seed: int, raw: Path) -> list[NDArray[np.float64]]:
    """The rhythms of the sources at the electrodes, without background, mains and artefacts."""
    made = eeg.write_raw(raw, recordings=kind.n_train + kind.n_test, seconds=kind.seconds, seed=seed)
    return [eeg_rhythms(one, seed, number, len(made)) for number, one in enumerate(made)]


def eeg_rhythms(truth: eeg.SimulatedEeg, seed: int, number: int, n_recordings: int) -> NDArray[np.float64]:
    """Return what the sources send to the electrodes: drawn again from the simulator's own stream of rhythms."""
    stream = np.random.SeedSequence(seed).spawn(n_recordings)[number]
    rng = np.random.default_rng(stream).spawn(5)[1]
    n_samples, n_sources = truth.amplitude.shape
    alpha = make_rhythm(n_samples, n_sources, eeg._ALPHA_HZ, truth.rate_hz, rng) * eeg._ALPHA_UV
    beta = make_rhythm(n_samples, n_sources, eeg._BETA_HZ, truth.rate_hz, rng) * (eeg._BETA_UV, eeg._BETA_UV, 0.0)
    return np.asarray(((alpha + beta) * truth.amplitude) @ truth.mixing)


def _fmri(kind: Kind, seed: int, raw: Path) -> list[NDArray[np.float64]]:
    """The regions' haemodynamic responses in percent."""
    made = fmri.write_raw(raw, recordings=kind.n_train + kind.n_test, seconds=kind.seconds, seed=seed)
    return [one.percent for one in made]


_SIMULATE: dict[str, Callable[[Kind, int, Path], list[NDArray[np.float64]]]] = {
    "worms": _worms, "spikes": _spikes, "eeg": _eeg, "fmri": _fmri,
}  # fmt: skip


def open_worms(store: Path, steps: int, folder: Path) -> Cohort:
    """Return published worms: four to learn from, the fifth held out. Nobody knows what is behind them."""
    kind = Kind("real worms", "calcium", 3.0, 12.0, "recording", 4, 1, 0.0, steps, 6)
    opened = nd.open_store(store)
    ids = [f"kato_brain_2015/worm{number}" for number in range(1, 6)]
    return Cohort(kind, opened, tuple(ids[:4]), tuple(ids[4:]), {}, folder / "cache_real_worms")
