"""Every fast path gives what plain xarray slicing gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_signal, make_units
from neurodata.store.read import open_recording
from neurodata.store.write import write_recording
from neurodata.windows.splits import Split, Stretch

RATE, LENGTH, SIZE = 64.0, 32, 640
KINDS = ("float", "gaps", "integers", "late", "few channels", "one channel")


def signal_of(kind, rng):
    n_channels = {"few channels": 3, "one channel": 1}.get(kind, 5)
    ids = [f"c{i}" for i in range(n_channels)]
    values = rng.normal(size=(SIZE, n_channels)).astype(np.float32)
    if kind == "gaps":
        values[100:140] = np.nan
        values[rng.random(values.shape) < 0.01] = np.nan
    if kind == "integers":
        values = rng.integers(-3000, 3000, values.shape).astype(np.int16)
        return make_signal(values, channel_id=ids, units="uV", rate_hz=RATE, scale_factor=0.17, add_offset=3.0)
    start = 10 / RATE if kind == "late" else 0.0
    return make_signal(values, channel_id=ids, units="uV", rate_hz=RATE, start_seconds=start)


def metadata(name):
    return {
        "dataset": "made_up", "recording_id": f"made_up/{name.replace(' ', '_')}", "modality": "eeg",
        "subject": {"id": name, "species": "Homo sapiens"}, "licence": "CC0-1.0",
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("signals"), np.random.default_rng(0)
    for kind in KINDS:
        write_recording(Recording(metadata(kind), {"eeg": signal_of(kind, rng)}), folder)
    return folder


def everything(store, seconds=SIZE / RATE):
    names = sorted(path.name for path in (store / "made_up").iterdir())
    return Split({"train": tuple(Stretch(f"made_up/{name}", 0.0, seconds) for name in names)}, "recording")


def module(store, **options):
    settings = {"inputs": "eeg", "identity": "channel_id", "rate_hz": RATE, "window_seconds": LENGTH / RATE}
    return RecordingDataModule(store, **({"split": everything(store), "scaling": "none"} | settings | options))


def sliced(store, recording_id, first):
    """The obvious way: the slice of xarray on a clock that begins at the session's start, NaN where there is nothing."""
    signal = open_recording(store / recording_id).signals["eeg"]
    found = signal.sel(time=slice((first - 0.25) / RATE, (first + LENGTH - 0.25) / RATE))
    values = np.full((LENGTH, signal.sizes["channel"]), np.nan, np.float32)
    at = np.round(found["time"].values * RATE).astype(int) - first
    values[at] = found.values
    return values


@pytest.fixture(scope="module")
def dataset(store):
    return module(store).dataset("train")


@given(draws=st.lists(st.integers(0, 6 * (SIZE - LENGTH + 1) - 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_what_xarray_slices(store, dataset, draws):
    batch = dataset.__getitems__(draws)
    for row, index in enumerate(draws):
        recording_id, first = dataset.windows.locate(index)
        expected = sliced(store, recording_id, first)
        n_channels = expected.shape[1]
        there = np.isfinite(expected)
        np.testing.assert_array_equal(batch.values[row, :, :n_channels].numpy(), np.where(there, expected, 0))
        np.testing.assert_array_equal(batch.recorded[row, :, :n_channels].numpy(), there)
        assert not batch.values[row, :, n_channels:].any()
        assert not batch.recorded[row, :, n_channels:].any()
        assert batch.present[row].tolist() == [True] * n_channels + [False] * (batch.values.shape[2] - n_channels)
        assert (dataset.recording_ids[batch.recording[row]], int(batch.first[row])) == (recording_id, first)
        one = dataset[index]
        np.testing.assert_array_equal(one.values, batch.values[row, :, :n_channels])


@pytest.mark.parametrize("scaling", ["training", "recording"])
def test_scaled_batches_are_the_slices_scaled_in_float32(store, scaling):
    data = module(store, scaling=scaling)
    dataset = data.dataset("train")
    draws = np.random.default_rng(1).integers(0, len(dataset), 40).tolist()
    batch = dataset.__getitems__(draws)
    for row, index in enumerate(draws):
        recording_id, first = dataset.windows.locate(index)
        mean, std = (part.astype(np.float32) for part in data.statistics[recording_id])
        expected = (sliced(store, recording_id, first) - mean) / std
        found = batch.values[row, :, : expected.shape[1]].numpy()
        np.testing.assert_array_equal(found, np.where(np.isfinite(expected), expected, np.float32(0)))


def spikes(name, rng, n_units):
    time = np.sort(rng.uniform(0, SIZE / RATE, 900).round(3))
    return Recording(
        metadata(name),
        events={"spikes": make_events(time, unit=rng.integers(0, n_units, 900))},
        units=make_units([f"u{i}" for i in range(n_units)]),
        intervals={}, signals={},
    )  # fmt: skip


@pytest.mark.parametrize("n_units", [(4, 4), (4, 2)], ids=["as many units", "ragged"])
def test_spikes_are_counted_as_one_by_one(tmp_path, n_units):
    rng = np.random.default_rng(3)
    for name, count in zip(("a", "b"), n_units):
        write_recording(spikes(name, rng, count), tmp_path)
    dataset = module(
        tmp_path, inputs="spikes", rate_hz=50.0, window_seconds=0.5, split=everything(tmp_path, 9.0)
    ).dataset("train")
    draws = rng.integers(0, len(dataset), 50).tolist()
    batch = dataset.__getitems__(draws)
    for row, index in enumerate(draws):
        recording_id, first = dataset.windows.locate(index)
        table = open_recording(tmp_path / recording_id).events["spikes"]
        expected = np.zeros(batch.values.shape[1:], np.float32)
        for time, unit in zip(table["time"].values, table["unit"].values):
            bin_of = int(np.floor(time * 50.0 + 1e-7)) - first
            if 0 <= bin_of < 25:
                expected[bin_of, unit] += 1
        np.testing.assert_array_equal(batch.values[row].numpy(), expected)
        assert batch.recorded[row].sum() == 25 * batch.present[row].sum()
