"""CIFTI series as nibabel reads them, and CIFTI files that are no recordings."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import ScalarAxis

from neurodata.errors import RawFileError
from neurodata.loaders.formats.cifti import Cifti
from neurodata.loaders.formats.nifti import Nifti
from neurodata.recording.validate import validate


@pytest.fixture
def made(fake_raw):
    return fake_raw("cifti")


def load(path, **options):
    loader = Cifti(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


@pytest.mark.parametrize("dtype", ["float32", "int16", ">f4", "float64"])
def test_dense_series(made, tmp_path, dtype):
    values = made.write_series(tmp_path / "run.dtseries.nii", made.brain(), dtype=dtype)
    bold = load(tmp_path / "run.dtseries.nii").signals_stored["bold"]
    np.testing.assert_array_equal(bold.values, np.asarray(nibabel.load(tmp_path / "run.dtseries.nii").dataobj))
    np.testing.assert_array_equal(bold.values, values)
    assert bold.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(bold[3:5].values, values[3:5])
    assert bold.attrs["sampling_rate_hz"] == pytest.approx(1 / 0.72)
    assert bold.structure.values.tolist() == ["CORTEX_LEFT"] * 5 + ["CORTEX_RIGHT"] * 3 + ["THALAMUS_LEFT"] * 3
    assert bold.vertex.values.tolist() == [0, 1, 2, 5, 6, 1, 2, 4, -1, -1, -1]
    assert bold.channel_id.values[[4, 8]].tolist() == ["CORTEX_LEFT_6", "THALAMUS_LEFT_1_2_3"]
    assert [bold[axis].values[8] for axis in "ijkxyz"] == [1, 2, 3, 2, 4, 6]
    assert np.isnan(bold.x.values[0])


def test_parcellated_series(made, tmp_path):
    values = made.write_series(tmp_path / "run.ptseries.nii", made.parcels(), step=2.0)
    bold = load(tmp_path / "run.ptseries.nii").signals["bold"]
    np.testing.assert_array_equal(bold.values, values)
    assert bold.channel_id.values.tolist() == bold.label.values.tolist() == ["V1", "M1", "Thalamus"]
    assert bold.n_vertices.values.tolist() == [3, 5, 0]
    assert bold.n_voxels.values.tolist() == [0, 0, 3]


def test_a_bids_name_and_its_confounds(made, tmp_path):
    name = "sub-7_task-rest_space-fsLR_den-91k_bold"
    made.write_series(tmp_path / f"{name}.dtseries.nii", made.brain())
    (tmp_path / f"{name}.json").write_text('{"RepetitionTime": 0.8}')
    (tmp_path / "sub-7_task-rest_desc-confounds_timeseries.tsv").write_text("trans_x\n" + "0.5\n" * made.N_VOLUMES)
    with pytest.warns(UserWarning, match=r"sidecar says 0\.8 s between volumes, the header 0\.72 s"):
        recording = load(tmp_path / f"{name}.dtseries.nii")
    assert recording.signals["bold"].attrs["sampling_rate_hz"] == pytest.approx(1.25)
    assert recording.signals["confounds"].shape == (made.N_VOLUMES, 1)
    assert recording.metadata["subject"]["id"] == "7"


def test_spacing_that_cannot_be_and_other_axes(made, tmp_path):
    made.write_series(tmp_path / "ms.dtseries.nii", made.brain(), step=720.0)
    with pytest.warns(UserWarning, match=r"720 s, which cannot be; it is read as 0\.72 s"):
        load(tmp_path / "ms.dtseries.nii")
    made.write_series(tmp_path / "hz.dtseries.nii", made.brain(), unit="HERTZ")
    assert load(tmp_path / "hz.dtseries.nii").signals["bold"].attrs["time_unit"] == "frame"
    assert load(tmp_path / "hz.dtseries.nii", tr=2.0).signals["bold"].attrs["sampling_rate_hz"] == 0.5


def test_scalars_are_no_recording_and_nifti_leaves_cifti_alone(made, tmp_path):
    header = nibabel.Cifti2Header.from_axes((ScalarAxis(["myelin"]), made.brain()))
    image = nibabel.Cifti2Image(np.zeros((1, made.N_CHANNELS), "float32"), header)
    image.nifti_header.set_intent(3006)
    image.to_filename(tmp_path / "a.dscalar.nii")
    with pytest.raises(RawFileError, match="CIFTI with scalar maps"):
        Cifti.claim(tmp_path / "a.dscalar.nii")
    made.write_series(tmp_path / "run.dtseries.nii", made.brain())
    assert Nifti.claim(tmp_path / "run.dtseries.nii") == []


def test_damage_is_explained(made, tmp_path):
    path = tmp_path / "run.dtseries.nii"
    made.write_series(path, made.brain())
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(RawFileError, match="the file ends early"):
        load(path)
    path.write_bytes(whole.replace(b"<Matrix", b"<Matrxx", 1))
    with pytest.raises(RawFileError, match="expected a CIFTI-2 file"):
        load(path)
    path.write_bytes(whole.replace(b"<CIFTI", b"<!ENTITY", 1))
    with pytest.raises(RawFileError, match="defines entities"):
        load(path)
