"""Simulated EEG with fMRI: alpha power tells occipital BOLD where the source is shared, and nothing where it is not."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from neurodata.errors import NeurodataError
from neurodata.simulate._fmri_volumes import FINE_SECONDS, respond
from neurodata.simulate.eeg_fmri import EEG_HZ, LABELS, TR_SECONDS, simulate_eeg_fmri, write_raw
from neurodata.windows.fmri_views import cosine_drifts


def alpha_power(truth):
    """Logarithm of alpha power at Oz every `FINE_SECONDS`, smoothed."""
    band = butter(3, (8, 12), "bandpass", fs=EEG_HZ, output="sos")
    power = sosfiltfilt(band, truth.samples[:, LABELS.index("Oz")]) ** 2
    step = round(FINE_SECONDS * EEG_HZ)
    power = power[: len(power) // step * step].reshape(-1, step).mean(1)
    return np.log(np.convolve(power, np.ones(20) / 20, "same"))


def coupling(truth):
    """Correlation of occipital BOLD with what alpha power predicts, drift taken out."""
    power = alpha_power(truth)
    predicted = respond((power - power.mean())[:, None], TR_SECONDS, truth.volumes.shape[3])[:, 0]
    from neurodata.simulate._fmri_volumes import make_head

    labels = make_head(np.random.default_rng(0)).labels
    bold = truth.volumes[(labels == 1) | (labels == 2)].mean(0)
    drift = np.column_stack([np.ones(len(bold)), cosine_drifts(len(bold), TR_SECONDS), truth.motion])
    left = [values - drift @ np.linalg.lstsq(drift, values, rcond=None)[0] for values in (predicted, bold)]
    return np.corrcoef(*left)[0, 1]


def test_alpha_power_follows_the_source():
    (truth,) = simulate_eeg_fmri(1, 300, seed=0)
    power = alpha_power(truth)
    assert np.corrcoef(power, truth.source[: len(power)])[0, 1] > 0.7


def test_the_shared_source_couples_alpha_and_bold_and_the_null_case_does_not():
    shared = [coupling(truth) for truth in simulate_eeg_fmri(2, 400, seed=1)]
    apart = [coupling(truth) for truth in simulate_eeg_fmri(2, 400, seed=1, shared=False)]
    assert max(shared) < -0.6
    assert abs(np.mean(apart)) < 0.35


def test_seeds_and_the_switch():
    first, second = simulate_eeg_fmri(2, 60, seed=2)
    (null,) = simulate_eeg_fmri(1, 60, seed=2, shared=False)
    np.testing.assert_array_equal(first.samples, null.samples)
    assert (first.bold_source != null.bold_source).any()
    assert (first.samples != second.samples).any()
    with pytest.raises(NeurodataError, match="at least 40 s long, got 10 s"):
        simulate_eeg_fmri(1, 10, seed=0)


def test_both_recordings_are_written(tmp_path):
    edfio = pytest.importorskip("edfio")
    (truth,) = write_raw(tmp_path / "raw", recordings=1, seconds=60, seed=3)
    place = tmp_path / "raw" / "sub-01"
    image = nibabel.load(place / "func" / "sub-01_task-rest_bold.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), truth.volumes)
    edf = edfio.read_edf(place / "eeg" / "sub-01_task-rest_eeg.edf")
    assert [signal.label for signal in edf.signals] == list(LABELS)
    np.testing.assert_allclose(edf.signals[-1].data, truth.samples[:, -1], atol=0.051)
    assert edf.duration == image.shape[3] * TR_SECONDS
