"""Files of the Neural Latents Benchmark."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from neurodata.errors import RawFileError, UsageError
from neurodata.loaders.formats.nlb_h5 import NlbH5
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw) -> ModuleType:
    return fake_raw("nlb_h5")


def load(path: Path, part: str = "", **options) -> Recording:
    loader = NlbH5(path, **options)
    (session,) = [session for session in loader.sessions() if session.endswith(part)]
    recording = loader.load(session)
    validate(recording)
    return recording


def test_trials_are_pieces_of_one_signal(fake, tmp_path):
    made = fake.arrays()
    fake.write(tmp_path / "all.h5", {"": made})
    recording = load(tmp_path / "all.h5")
    counts = recording.signals_stored["spike_counts"]
    assert counts.shape == (8 * fake.N_BINS, 8)
    assert counts.dtype.kind == "i"
    expected = np.concatenate(
        [np.concatenate([made[f"{split}_spikes_heldin"], made[f"{split}_spikes_heldout"]], axis=2) for split in ("train", "eval")]
    )  # fmt: skip
    np.testing.assert_array_equal(counts.values, expected.reshape(-1, 8))
    np.testing.assert_array_equal(counts[20:90, 1:].values, expected.reshape(-1, 8)[20:90, 1:])
    assert counts.coords["group"].values.tolist() == ["heldin"] * 6 + ["heldout"] * 2
    trials = recording.intervals["trials"]
    assert trials["split"].values.tolist() == ["train"] * 5 + ["eval"] * 3
    assert trials["trial"].values.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    np.testing.assert_array_equal(
        trials["decode_mask_1"], np.r_[made["train_decode_mask"], made["eval_decode_mask"]][:, 1]
    )
    for name in ("spike_counts", "behavior"):
        for row, (start, stop) in enumerate(zip(trials["start"].values, trials["stop"].values)):
            piece = recording.signals[name].sel(time=slice(start - 1e-6, stop - 1e-6))
            assert piece.sizes["time"] == fake.N_BINS
            if name == "spike_counts":
                np.testing.assert_array_equal(piece.values, expected[row])
    assert recording.signals["spike_counts"].attrs["sampling_rate_hz"] == pytest.approx(200.0)
    # the trial, its forward bins, a second of nothing
    np.testing.assert_allclose(np.diff(trials["start"]), (fake.N_BINS + fake.N_FORWARD) * 0.005 + 1.0)
    assert "1 s apart" in recording.metadata["extra"]["time"]


def test_forward_bins_follow_their_trial(fake, tmp_path):
    made = fake.arrays()
    fake.write(tmp_path / "all.h5", {"": made})
    recording = load(tmp_path / "all.h5")
    ahead = recording.signals["spike_counts_forward"]
    np.testing.assert_array_equal(ahead.values[: 5 * 4, :6], made["train_spikes_heldin_forward"].reshape(-1, 6))
    np.testing.assert_allclose(ahead.time.values[:: fake.N_FORWARD], recording.intervals["trials"]["stop"].values)
    assert set(ahead.coords["channel_id"].values) == set(recording.signals["spike_counts"].coords["channel_id"].values)


def test_missing_heldout_neurons_are_nan(fake, tmp_path):
    made = fake.arrays()
    made.pop("eval_spikes_heldout")
    fake.write(tmp_path / "all.h5", {"": made})
    counts = load(tmp_path / "all.h5").signals["spike_counts"]
    assert counts.dtype == np.float32
    assert np.isnan(counts.values[5 * fake.N_BINS :, 6:]).all()
    np.testing.assert_array_equal(counts.values[5 * fake.N_BINS :, :6], made["eval_spikes_heldin"].reshape(-1, 6))


def test_groups_are_recordings_with_their_bin_width(fake, tmp_path):
    fake.write_raw(tmp_path)
    maze, rsg = load(tmp_path / "target.h5", "mc_maze"), load(tmp_path / "target.h5", "dmfc_rsg_20")
    assert maze.signals["spike_counts"].attrs["sampling_rate_hz"] == pytest.approx(200.0)
    assert maze.signals["spike_counts"].attrs["sampling_rate_source"].startswith("5 ms, nlb_tools")
    assert np.isnan(maze.signals["spike_counts"].values[10:14]).all()
    assert rsg.signals["spike_counts"].attrs["sampling_rate_hz"] == pytest.approx(50.0)
    assert maze.metadata["subject"]["species"] == "Macaca mulatta"
    assert "behavior" not in rsg.signals
    assert rsg.intervals["trials"]["behavior_1"].values.tolist() == [1, 3, 5, 7, 9, 1, 3, 5]
    assert maze.signals["psth"].shape == (3 * fake.N_BINS, 8)
    assert load(tmp_path / "train_input.h5", bin_ms=20).signals["behavior"].attrs["sampling_rate_hz"] == 50.0
    assert load(tmp_path / "train_input.h5", gap_seconds=0.0).duration_seconds == pytest.approx(5 * 14 * 0.005)


def test_submissions_of_rates(fake, tmp_path):
    rates = {"train_rates_heldin": np.ones((5, 14, 6)), "train_rates_heldout": np.zeros((5, 14, 2))}
    fake.write(tmp_path / "submission.h5", {"mc_rtt": rates, "notes": {"version": np.ones(1)}})
    recording = load(tmp_path / "submission.h5", "mc_rtt")
    assert recording.signals["rates"].shape == (70, 8)
    assert recording.signals["rates"].coords["channel_id"].values[-1] == "heldout001"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"train_behavior": np.zeros((4, 14, 2))}, "'train_spikes_heldin' has 5 trials and 'train_behavior' has 4", id="trials"),
        pytest.param({"train_spikes_heldout": np.zeros((5, 13, 2))}, "'train_spikes_heldout' has 13 bins per trial and 'train_spikes_heldin' 14", id="bins"),
        pytest.param({"eval_spikes_heldin": np.zeros((3, 14, 7))}, "'eval_spikes_heldin' has 7 columns, another split 6", id="neurons"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_named(fake, tmp_path, changes, text):
    fake.write(tmp_path / "all.h5", {"": fake.arrays() | changes})
    with pytest.raises(RawFileError, match=text):
        load(tmp_path / "all.h5")


def test_other_hdf5_is_not_claimed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["train_images"] = np.zeros((3, 4, 4))
        file["train_labels"] = np.zeros(3)
        file["train_spikes_heldin"] = np.zeros((3, 4))
        file["text"] = "train_spikes_heldin"
    assert NlbH5.claim(tmp_path / "other.h5") == []
    assert NlbH5.claim(tmp_path) == []


def test_other_datasets_are_listed(fake, tmp_path):
    fake.write(tmp_path / "all.h5", {"": {**fake.arrays(), "note": np.zeros(3), "train_empty": np.zeros((5, 3, 0))}})
    assert load(tmp_path / "all.h5").metadata["extra"]["not_read"] == ["note", "train_empty"]


def test_options_are_checked(fake, tmp_path):
    fake.write_raw(tmp_path)
    with pytest.raises(UsageError, match="'gap_seconds' is 0 or more seconds, got -1"):
        NlbH5(tmp_path, gap_seconds=-1.0)
