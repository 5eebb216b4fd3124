"""Simulated blocks: the responses are SPM's, a regression finds the betas, and the loaders read what was written."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from nilearn.glm.first_level import spm_hrf as their_hrf

from neurodata.errors import NeurodataError
from neurodata.loaders.formats.nifti import Nifti
from neurodata.recording.validate import validate
from neurodata.simulate._fmri_volumes import FINE_SECONDS, REGIONS, respond, spm_hrf
from neurodata.simulate.fmri import CONDITIONS, simulate_fmri, write_raw
from neurodata.windows.fmri_views import cosine_drifts


def design_of(truth, conditions):
    fine = np.zeros((int(truth.volumes.shape[3] * truth.tr / FINE_SECONDS) + 1, len(CONDITIONS)))
    for onset, duration, condition in zip(truth.onsets, truth.durations, conditions):
        fine[round(onset / FINE_SECONDS) : round((onset + duration) / FINE_SECONDS), condition] = 1
    return respond(fine, truth.tr, truth.volumes.shape[3])


def region_means(truth):
    return np.stack([truth.volumes[truth.labels == number].mean(0) for number in range(1, len(REGIONS) + 1)], 1)


def estimate(truth, conditions):
    n_volumes = truth.volumes.shape[3]
    design = np.column_stack(
        [design_of(truth, conditions), np.ones(n_volumes), cosine_drifts(n_volumes, truth.tr), truth.motion]
    )
    values = region_means(truth)
    weights = np.linalg.lstsq(design, values, rcond=None)[0]
    return 100 * weights[: len(CONDITIONS)] / values.mean(0)


def test_the_response_is_that_of_spm():
    theirs = their_hrf(2.0, oversampling=20, time_length=32.0)
    ours = spm_hrf(0.1)
    times = np.arange(len(ours)) * 0.1
    assert times[np.argmax(ours)] == pytest.approx(5.0, abs=0.15)
    assert np.corrcoef(ours[: len(theirs)], theirs[: len(ours)])[0, 1] > 0.999
    assert ours.sum() == pytest.approx(1)


def test_a_regression_finds_the_betas():
    (truth,) = simulate_fmri(1, 400, seed=3)
    np.testing.assert_allclose(estimate(truth, truth.conditions), truth.betas, atol=0.25)


def test_in_the_null_case_events_say_nothing():
    (real,), (null,) = (simulate_fmri(1, 600, seed=4, events_drive_bold=drive) for drive in (True, False))
    np.testing.assert_array_equal(real.onsets, null.onsets)
    np.testing.assert_array_equal(real.conditions, null.conditions)
    assert (null.driving_conditions != null.conditions).any()
    right = REGIONS.index("temporal_R")
    told = [np.subtract(*estimate(truth, truth.conditions)[:, right]) for truth in (real, null)]
    assert told[0] > 2.5 * abs(told[1])


def test_seeds_and_switches():
    first, second = simulate_fmri(2, 80, seed=5)
    (again,) = simulate_fmri(1, 80, seed=5)
    np.testing.assert_array_equal(first.volumes, again.volumes)
    assert (first.volumes != second.volumes).any()
    still = simulate_fmri(1, 80, seed=5, motion_scale=0.0)[0]
    assert not still.motion.any()
    with pytest.raises(NeurodataError, match="at least 56 s, got 30 s"):
        simulate_fmri(1, 30, seed=0)


def test_files_hold_the_truth(tmp_path):
    truths = write_raw(tmp_path / "raw", recordings=2, seconds=90, seed=1)
    for truth in truths:
        path = tmp_path / "raw" / truth.subject / "func" / f"{truth.subject}_task-blocks_bold.nii.gz"
        np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj), truth.volumes)
        loader = Nifti(path, labels=str(tmp_path / "raw/atlas/atlas-Simulated_dseg.nii.gz"))
        recording = loader.load(loader.sessions()[0])
        validate(recording)
        bold = recording.signals["bold"]
        assert bold.region.values.tolist() == list(REGIONS)
        np.testing.assert_allclose(bold.values, region_means(truth))
        assert bold.attrs["sampling_rate_hz"] == 0.5
        trials = recording.intervals["trials"]
        assert trials["label"].values.tolist() == [CONDITIONS[c] for c in truth.conditions]
        np.testing.assert_array_equal(trials["start"].values, truth.onsets)
        np.testing.assert_allclose(recording.signals["motion"].values, truth.motion, rtol=1e-8)
        assert recording.metadata["subject"]["id"] == truth.subject.removeprefix("sub-")
    with pytest.raises(NeurodataError, match="holds files already"):
        write_raw(tmp_path / "raw", recordings=1, seconds=90, seed=1)
