"""BOLD volumes as nibabel reads them; regions as nilearn averages them; what lies beside them; what is refused."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import warnings

import nibabel
import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.convert import convert
from neurodata.loaders.formats import _nifti_volumes
from neurodata.loaders.formats.nifti import Nifti
from neurodata.loaders.options import OptionError
from neurodata.recording.validate import validate
from neurodata.store.read import open_recording


@pytest.fixture
def made(fake_raw):
    return fake_raw("nifti")


def load(path, **options):
    loader = Nifti(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def rows(array):
    """(i, j, k, t) → (t, voxel), i fastest."""
    return array.reshape(-1, array.shape[3], order="F").T


def write(folder, made, stored, name="run.nii.gz", **more):
    folder.mkdir(parents=True, exist_ok=True)
    made.make_image(stored, **more).to_filename(folder / name)
    return folder / name


def test_made_up_files(made, tmp_path):
    made.write_raw(tmp_path)
    rest = load(tmp_path / "rest.nii.gz")
    bold = rest.signals_stored["bold"]
    np.testing.assert_array_equal(bold.values, rows(made.values(0)), strict=True)
    assert (bold.attrs["scale_factor"], bold.attrs["add_offset"]) == (0.5, 100)
    np.testing.assert_array_equal(rest.signals["bold"].values, rows(made.values(0)) * np.float32(0.5) + 100)
    place = {axis: bold[axis].values for axis in "ijkxyz"}
    assert bold.channel_id.values[5] == f"{place['i'][5]}_{place['j'][5]}_{place['k'][5]}" == "1_1_0"
    np.testing.assert_allclose([place[a][5] for a in "xyz"], (made.AFFINE @ [1, 1, 0, 1])[:3])
    assert bold.attrs["space"] == "scanner"
    np.testing.assert_array_equal(bold.slice_time.values, 1.25 * place["k"])
    assert rest.metadata["task"] == "rest"
    motion = rest.signals["motion"]
    assert motion.channel_id.values.tolist()[:1] == ["rot_x"]
    assert motion["units"].values.tolist() == ["rad"] * 3 + ["mm"] * 3
    assert motion.attrs["sampling_rate_hz"] == 0.4
    trials = rest.intervals["trials"]
    assert trials["label"].values.tolist() == ["face", "house"]
    assert trials["stop"].values.tolist() == [5, 7.5]
    assert np.isnan(trials["response"].values[1])
    pair = load(tmp_path / "pair.img").signals["bold"]
    np.testing.assert_array_equal(pair.values, rows(made.values(1, "float32")), strict=True)
    second = load(tmp_path / "second.nii").signals_stored["bold"]
    np.testing.assert_array_equal(second.values, rows(made.values(2, "uint8")), strict=True)
    assert second.attrs["time_unit"] == "frame"


@pytest.mark.parametrize("compressed", [True, False])
def test_volumes_in_any_order_give_the_same(made, tmp_path, monkeypatch, compressed):
    monkeypatch.setattr(_nifti_volumes, "_BLOCK_BYTES", 100)
    path = write(tmp_path, made, made.values(3, "int32"), "run.nii.gz" if compressed else "run.nii")
    bold = load(path).signals_stored["bold"]
    expected = rows(made.values(3, "int32"))
    for part in (slice(2, 5), slice(0, 3), slice(5, 7), slice(1, 2)):
        np.testing.assert_array_equal(bold[part].values, expected[part])
    np.testing.assert_array_equal(bold[[6, 0, 3], [1, 7]].values, expected[[6, 0, 3]][:, [1, 7]])


def test_a_compressed_file_is_read_forward_once(made, tmp_path, monkeypatch):
    path, opened = write(tmp_path, made, made.values(3)), []
    true_open = gzip.open
    monkeypatch.setattr(_nifti_volumes.gzip, "open", lambda *args: opened.append(args) or true_open(*args))
    bold = load(path).signals_stored["bold"]
    for number in range(7):
        bold[number].values  # noqa: B018
    assert len(opened) == 1
    header = _nifti_volumes.NiftiHeader(path, path, (1, 1, 1), np.dtype("u1"), 0)
    again = pickle.loads(pickle.dumps(_nifti_volumes.Volumes(header)))  # noqa: S301 (our own)
    assert again.header.path == path


@pytest.mark.parametrize("run", ["bold_1slice", "bold_25mm"])
def test_published_files_are_kept_to_the_bit(real_data, tmp_path, run):
    path = real_data("fmri/haxby2001-pymvpa") / f"sub001/BOLD/task001_run003/{run}.nii.gz"
    convert("nifti", path, tmp_path / "store")
    stored = open_recording(tmp_path / "store" / "task001_run003" / run)
    image = nibabel.load(path)
    np.testing.assert_array_equal(
        stored.signals_stored["bold"].values, rows(np.asarray(image.dataobj.get_unscaled())), strict=True
    )
    assert stored.signals["bold"].attrs["sampling_rate_hz"] == 0.4


def test_label_means_agree_with_nilearn(made, tmp_path):
    from nilearn.maskers import NiftiLabelsMasker

    path = write(tmp_path, made, made.values(4, "float32"))
    labels = np.random.default_rng(0).choice([0, 2, 5, 9], made.SHAPE[:3]).astype("uint8")
    write(tmp_path, made, labels, "atlas-Mine_dseg.nii.gz")
    (tmp_path / "atlas-Mine_dseg.tsv").write_text("index\tname\n2\tV1\n5\tM1\n9\tA1\n")
    recording = load(path, labels=str(tmp_path / "atlas-Mine_dseg.nii.gz"))
    bold = recording.signals["bold"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = NiftiLabelsMasker(str(tmp_path / "atlas-Mine_dseg.nii.gz"), standardize=None).fit_transform(
            str(path)
        )
    np.testing.assert_allclose(bold.values, expected, rtol=1e-6)
    assert bold.channel_id.values.tolist() == bold.region.values.tolist() == ["V1", "M1", "A1"]
    assert (bold.attrs["atlas"], bold.attrs["position_source"]) == ("Mine", "centroid of the label image")
    inside = np.argwhere(labels == 5)
    np.testing.assert_allclose(bold.y.values[1], (inside @ made.AFFINE[:3, :3].T + made.AFFINE[:3, 3])[:, 1].mean())
    assert bold.n_voxels.values[1] == len(inside)
    assert {"atlas-Mine_dseg.nii.gz", "atlas-Mine_dseg.tsv"} < {f["name"] for f in recording.metadata["source_files"]}


def test_maps_by_regression_agree_with_nilearn_and_by_mean_are_weighted(made, tmp_path):
    from nilearn.maskers import NiftiMapsMasker

    path = write(tmp_path, made, made.values(5, "float32"))
    maps = (
        np.random.default_rng(1).random((*made.SHAPE[:3], 3)).astype("float32")
        * (np.arange(24).reshape(4, 3, 2) > 5)[..., None]
    )
    atlas = write(tmp_path / "atlas", made, maps, "maps.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = NiftiMapsMasker(str(atlas), standardize=None).fit_transform(str(path))
    fitted = load(path, maps=str(atlas), maps_method="regression").signals["bold"]
    np.testing.assert_allclose(fitted.values, expected, rtol=1e-4)
    assert "x" not in fitted.coords
    mean = load(path, maps=str(atlas)).signals["bold"].values
    weights = maps.reshape(-1, 3, order="F").astype(float)
    np.testing.assert_allclose(mean, rows(made.values(5, "float32")) @ weights / weights.sum(0))


def test_missing_voxels_are_left_out_of_means(made, tmp_path):
    stored = made.values(6, "float32")
    stored[0, 0, 0] = np.nan
    labels = np.ones(made.SHAPE[:3], "int16")
    labels[0, 0, 0], labels[1, 0, 0] = 2, 2
    bold = load(write(tmp_path, made, stored), labels=str(write(tmp_path, made, labels, "l.nii"))).signals["bold"]
    np.testing.assert_allclose(bold.values[:, 1], stored[1, 0, 0])


def test_a_mask_chooses_voxels_and_one_beside_the_file_marks_them(made, tmp_path):
    path = write(tmp_path, made, made.values(7))
    mask = (np.arange(24).reshape(4, 3, 2) % 3 == 0).astype("uint8")
    write(tmp_path, made, mask, "run_mask.nii.gz")
    inside = mask.reshape(-1, order="F") > 0
    everything = load(path).signals_stored["bold"]
    np.testing.assert_array_equal(everything["mask"].values, inside)
    chosen = load(path, mask=str(tmp_path / "run_mask.nii.gz")).signals_stored["bold"]
    np.testing.assert_array_equal(chosen.values, rows(made.values(7))[:, inside], strict=True)
    np.testing.assert_array_equal(chosen.channel_id.values, everything.channel_id.values[inside])


def test_a_label_image_beside_the_file_names_voxels(made, tmp_path):
    path = write(tmp_path, made, made.values(8))
    labels = np.arange(24).reshape(4, 3, 2) % 2
    write(tmp_path, made, labels.astype("uint8"), "run_labels.nii.gz")
    (tmp_path / "run_labels.json").write_text(json.dumps({"1": "V1"}))
    bold = load(path).signals_stored["bold"]
    np.testing.assert_array_equal(bold.atlas_index.values, labels.reshape(-1, order="F"))
    assert set(bold.region.values[bold.atlas_index.values == 1]) == {"V1"}
    assert bold.shape == (7, 24)


def bids(tmp_path, made, **sidecar):
    func = tmp_path / "sub-01" / "ses-2" / "func"
    func.mkdir(parents=True)
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (tmp_path / "task-nback_bold.json").write_text(
        json.dumps({"RepetitionTime": 1.5, "PatientName": "Someone", "Manufacturer": "GE", "TaskName": "n-back"})
    )
    stem = "sub-01_ses-2_task-nback_run-1"
    path = write(func, made, made.values(9), f"{stem}_bold.nii.gz", tr=1.5)
    (func / f"{stem}_bold.json").write_text(json.dumps(sidecar))
    (func / f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n-1\t2\tgo\n")
    (func / f"{stem.replace('run-1', 'run-2')}_events.tsv").write_text("onset\tduration\ttrial_type\n3\t2\tstop\n")
    (func / f"{stem}_desc-confounds_timeseries.tsv").write_text(
        "trans_x\trot_x\tframewise_displacement\tnote\n" + "0.5\t0.01\tn/a\tgood\n" * 7
    )
    return path


def test_bids_names_bring_sidecars_events_and_confounds(made, tmp_path):
    path = bids(tmp_path, made, SliceTiming=[0.5, 0.0], SliceEncodingDirection="k-", StartTime=0.25)
    recording = load(path)
    assert recording.metadata["subject"]["id"] == "01"
    assert recording.metadata["session"] == "ses-2"
    assert recording.metadata["task"] == "n-back"
    assert recording.metadata["device"] == "GE"
    assert "Someone" not in json.dumps(dict(recording.metadata))
    bold = recording.signals["bold"]
    assert bold.attrs["sampling_rate_source"] == "RepetitionTime of the JSON sidecar"
    assert bold.attrs["start_seconds"] == 0.25
    np.testing.assert_array_equal(bold.slice_time.values, np.where(bold.k == 0, 0.0, 0.5))
    assert recording.intervals["trials"]["label"].values.tolist() == ["go"]
    confounds = recording.signals["confounds"]
    assert confounds.channel_id.values.tolist() == ["trans_x", "rot_x", "framewise_displacement"]
    assert confounds["units"].values.tolist() == ["mm", "rad", "mm"]
    assert np.isnan(confounds.values[:, 2]).all()


def test_contradictions_are_told_and_the_sidecar_wins(made, tmp_path):
    path = bids(tmp_path, made, RepetitionTime=2.0)
    with pytest.warns(UserWarning, match=r"sidecar says 2 s between volumes, the header 1\.5 s"):
        recording = load(path)
    assert recording.signals["bold"].attrs["sampling_rate_hz"] == 0.5
    assert "sidecar says 2 s" in recording.metadata["extra"]["notes"][0]


def test_volumes_that_are_not_evenly_spaced(made, tmp_path):
    times = [0, 3, 6, 10, 13, 16, 20]
    recording = load(bids(tmp_path, made, VolumeTiming=times))
    assert recording.signals["bold"].time.values.tolist() == times


@pytest.mark.parametrize(
    ("tr", "units", "seconds"),
    [
        pytest.param(2000, "msec", 2.0, id="milliseconds"),
        pytest.param(720000, "usec", 0.72, id="microseconds"),
        pytest.param(0.72, "sec", 0.72, id="float32 seconds"),
        pytest.param(0.72, None, 0.72, id="no unit, plausible seconds"),
        pytest.param(1.0, "sec", 1.0, id="one stated second"),
        pytest.param(1.0, None, None, id="one without a unit is nobody's word"),
        pytest.param(0.0, "sec", None, id="zero"),
    ],
)
def test_spacing_by_the_header(made, tmp_path, tr, units, seconds):
    bold = load(write(tmp_path, made, made.values(0), tr=tr, units=units)).signals["bold"]
    assert bold.attrs.get("sampling_rate_hz") == (None if seconds is None else pytest.approx(1 / seconds, rel=1e-12))


def test_impossible_spacing_is_read_in_the_other_unit_with_a_warning(made, tmp_path):
    path = write(tmp_path, made, made.values(0), tr=2000, units="sec")
    with pytest.warns(UserWarning, match="2000 s, which cannot be; it is read as 2 s"):
        assert load(path).signals["bold"].attrs["sampling_rate_hz"] == 0.5
    assert load(path, tr=3.0).signals["bold"].attrs["sampling_rate_hz"] == pytest.approx(1 / 3)
    assert load(path, rate_hz=0.25).signals["bold"].attrs["sampling_rate_hz"] == 0.25


def test_no_coordinates_are_invented(made, tmp_path):
    image = nibabel.Nifti1Image(made.values(0), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    image.to_filename(tmp_path / "run.nii")
    assert "x" not in load(tmp_path / "run.nii", tr=2.0).signals["bold"].coords


def test_slice_timing_of_the_header(made, tmp_path):
    image = made.make_image(made.values(0))
    image.header.set_dim_info(slice=2)
    image.header["slice_code"], image.header["slice_duration"], image.header["slice_end"] = 2, 1.25, 1
    image.to_filename(tmp_path / "run.nii")
    bold = load(tmp_path / "run.nii").signals["bold"]
    np.testing.assert_array_equal(bold.slice_time.values, np.where(bold.k == 0, 1.25, 0.0))


def test_floats_are_scaled_as_nibabel_does(made, tmp_path):
    image = made.make_image(made.values(0, "float32"))
    image.to_filename(tmp_path / "run.nii")
    content = bytearray((tmp_path / "run.nii").read_bytes())
    content[112:120] = struct.pack("<ff", 2.0, -3.0)
    (tmp_path / "run.nii").write_bytes(bytes(content))
    bold = load(tmp_path / "run.nii").signals["bold"].values
    np.testing.assert_allclose(bold, rows(nibabel.load(tmp_path / "run.nii").get_fdata()), rtol=1e-6)


def test_analyze_files(made, tmp_path):
    image = nibabel.AnalyzeImage(made.values(0), None)
    image.header.set_zooms((3, 3, 4, 2.0))
    image.to_filename(tmp_path / "old.img")
    bold = load(tmp_path / "old.hdr").signals["bold"]
    np.testing.assert_array_equal(bold.values, rows(made.values(0)))
    assert "x" not in bold.coords
    assert bold.attrs["sampling_rate_hz"] == 0.5


def with_intent(made, tmp_path, code):
    image = made.make_image(made.values(0))
    image.header.set_intent(code)
    image.to_filename(tmp_path / "run.nii")
    return tmp_path / "run.nii"


def test_what_is_no_recording_is_said(made, tmp_path):
    cases = [
        (write(tmp_path / "a", made, made.values(0)[..., 0]), "one volume"),
        (write(tmp_path / "b", made, made.values(0)[..., :1]), "one volume"),
        (write(tmp_path / "c", made, made.values(0), "sub-01_dwi.nii.gz"), "diffusion volumes"),
    ]
    for path, text in cases:
        with pytest.raises(RawFileError, match=text):
            Nifti.claim(path)
    for code, text in (("t test", "statistics"), ("vector", "vectors")):
        with pytest.raises(RawFileError, match=rf"its volumes are {text}"):
            Nifti.claim(with_intent(made, tmp_path, code))
    path = write(tmp_path / "d", made, made.values(0))
    path.with_name("run.bval").write_text("0 1000")
    with pytest.raises(RawFileError, match="bval beside it"):
        Nifti.claim(path)


def test_atlases_on_another_grid_are_refused(made, tmp_path):
    path = write(tmp_path, made, made.values(0))
    small = write(tmp_path / "o", made, np.ones((2, 2, 2), "uint8"), "small.nii")
    with pytest.raises(RawFileError, match=r"label image has \(2, 2, 2\) voxels, run.nii.gz \(4, 3, 2\); resample"):
        load(path, labels=str(small))
    moved = nibabel.Nifti1Image(np.ones((4, 3, 2), "uint8"), made.AFFINE + np.eye(4)[:, [3, 3, 3, 0]] * 5)
    moved.to_filename(tmp_path / "o" / "moved.nii")
    with pytest.raises(RawFileError, match=r"mm away from run\.nii\.gz"):
        load(path, mask=str(tmp_path / "o" / "moved.nii"))


def test_wrong_options_and_atlases(made, tmp_path):
    path = write(tmp_path, made, made.values(0))
    empty = str(write(tmp_path / "o", made, np.zeros((4, 3, 2), "uint8"), "empty.nii"))
    with pytest.raises(RawFileError, match="0 everywhere"):
        load(path, mask=empty)
    with pytest.raises(RawFileError, match="every voxel has label 0"):
        load(path, labels=empty)
    with pytest.raises(RawFileError, match="expected labels, whole numbers"):
        load(path, labels=str(write(tmp_path / "o", made, np.full((4, 3, 2), 0.5, "float32"), "half.nii")))
    with pytest.raises(RawFileError, match="one volume of labels, got 7"):
        load(path, labels=str(path))
    with pytest.raises(OptionError, match="give one of them"):
        Nifti(path, tr=2.0, rate_hz=0.5)
    with pytest.raises(OptionError, match="'labels' and 'mask' both say"):
        Nifti(path, labels=empty, mask=empty)
    with pytest.raises(OptionError, match=r"there is none at 'nowhere\.nii'"):
        Nifti(path, labels="nowhere.nii")
    (tmp_path / "short.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(RawFileError, match=r"short.tsv has 1 rows for 7 volumes; expected one row per volume"):
        load(path, confounds=str(tmp_path / "short.tsv"))


def test_too_many_voxels_ask_for_a_mask(made, tmp_path, monkeypatch):
    path = write(tmp_path, made, made.values(0))
    monkeypatch.setattr("neurodata.loaders.formats._nifti_atlas.MOST_VOXELS", 20)
    with pytest.raises(RawFileError, match=r"24 voxels; up to 20 are kept.*--set mask=FILE"):
        load(path)


def test_files_that_promise_more_than_they_hold(made, tmp_path):
    path = write(tmp_path, made, made.values(0), "run.nii")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(RawFileError, match="the file ends early: shape"):
        load(path)
    huge = bytearray(whole)
    huge[40:56] = struct.pack("<8h", 4, 32000, 32000, 32000, 32000, 1, 1, 1)
    path.write_bytes(bytes(huge))
    with pytest.raises(RawFileError, match="the file ends early"):
        load(path)
    zipped = tmp_path / "z.nii.gz"
    zipped.write_bytes(gzip.compress(bytes(huge)))
    with pytest.raises(RawFileError, match="compressed bytes cannot hold them"):
        load(zipped)
    noise = np.random.default_rng(0).integers(0, 30000, (8, 8, 8, 9)).astype("int16")
    cut = write(tmp_path / "cut", made, noise)
    cut.write_bytes(cut.read_bytes()[:-2000])
    with pytest.raises(RawFileError, match=r"run.nii.gz: (volume \d+ cannot be read|the file ends within volume)"):
        load(cut).signals["bold"].values  # noqa: B018


def test_a_damaged_checksum_is_noticed(made, tmp_path):
    path = write(tmp_path, made, made.values(0))
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(NeurodataError, match=r"cannot be read .*CRC"):
        load(path).signals["bold"].values  # noqa: B018


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("lut.txt", "2 V one 0 0 0 255\n5 M one 1 1 1 255\n9 A one 2 2 2 255\n", id="FreeSurfer, names with blanks"),
        pytest.param("lut.tsv", "2\tV one\t120\t18\t131\t0\n5\tM one\t1\t1\t1\t0\n9\tA one\t2\t3\t4\t0\n", id="Schaefer"),
        pytest.param("lut.txt", "FAG\tV one\t2\nFAD\tM one\t5\nS1G\tA one\t9\n", id="AAL, number last"),
        pytest.param("lut.csv", "ROI,Name,x\n2,V one,3\n5,M one,4\n9,A one,5\n", id="csv"),
        pytest.param("lut.txt", "V one\nM one\nA one\n", id="names only"),
        pytest.param("lut.json", '{"V one": 2, "M one": 5, "A one": 9}', id="JSON, names first"),
        pytest.param("lut.json", '[{"index": 2, "name": "V one"}, {"index": 5, "name": "M one"}, {"index": 9, "name": "A one"}]', id="JSON, list"),
        pytest.param("lut.txt", '2 255 0 0 1 1 1 "V one"\n5 0 255 0 1 1 1 "M one"\n9 0 0 1 1 1 1 "A one"\n# LABEL\n', id="ITK-SNAP"),
        pytest.param("lut.xml", "<?xml version='1.0' encoding='ISO-8859-1'?><atlas><data><label><index>2</index><name>V one</name></label><label><index>5</index><name>M one</name></label><label><index>9</index><name>A one</name></label></data></atlas>", id="AAL xml"),
        pytest.param("lut.xml", '<atlas><header><type>Probabilistic</type></header><data><label index="1" x="1" y="2" z="3">V one</label><label index="4">M one</label><label index="8">A one</label></data></atlas>', id="FSL xml counts from 0"),
    ],
)  # fmt: skip
def test_lookup_tables(made, tmp_path, name, text):
    path = write(tmp_path, made, made.values(0))
    labels = np.random.default_rng(0).choice([0, 2, 5, 9], made.SHAPE[:3]).astype("uint8")
    atlas = write(tmp_path / "o", made, labels, "atlas.nii")
    (tmp_path / name).write_text(text)
    bold = load(path, labels=str(atlas), lut=str(tmp_path / name)).signals["bold"]
    assert bold.region.values.tolist() == ["V one", "M one", "A one"]


def test_positions_of_a_lookup_table_come_first(made, tmp_path):
    path = write(tmp_path, made, made.values(0))
    labels = (np.arange(24).reshape(4, 3, 2) % 3).astype("uint8")
    atlas = write(tmp_path / "o", made, labels, "atlas.nii")
    (tmp_path / "o" / "atlas.tsv").write_text("index\tname\tx\ty\tz\n1\tA\t1.5\t2\t3\n2\tB\t4\t5\t-6\n")
    bold = load(path, labels=str(atlas)).signals["bold"]
    assert bold.x.values.tolist() == [1.5, 4]
    assert bold.attrs["position_source"] == "atlas.tsv"


def test_xml_with_entities_is_refused(made, tmp_path):
    path = write(tmp_path, made, made.values(0))
    atlas = write(tmp_path / "o", made, np.ones((4, 3, 2), "uint8"), "atlas.nii")
    (tmp_path / "bomb.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><x><label index="1">&a;</label></x>')
    with pytest.raises(RawFileError, match="defines entities"):
        load(path, labels=str(atlas), lut=str(tmp_path / "bomb.xml"))


def test_maps_in_the_same_folder_are_no_recording(made, tmp_path):
    write(tmp_path, made, made.values(0))
    maps = write(tmp_path, made, np.ones((4, 3, 2, 3), "float32"), "atlas.nii.gz")
    assert load(tmp_path, maps=str(maps)).signals["bold"].shape == (7, 3)


def test_a_relative_path_knows_its_companions(made, tmp_path, monkeypatch):
    path = bids(tmp_path / "data", made)
    monkeypatch.chdir(tmp_path)
    relative = path.relative_to(tmp_path)
    (claim,) = Nifti.claim(relative)
    assert relative.with_name("sub-01_ses-2_task-nback_run-1_events.tsv") in claim.files
    assert not any(file.is_absolute() for file in claim.files)


def test_odd_values_of_a_sidecar_are_kept_as_far_as_they_can(made, tmp_path):
    path = bids(tmp_path, made)
    text = '{"a": 1e999, "b": [NaN, {"PatientID": "7", "c": 99999999999999999999}], "d": "\\ud800"}'
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(text)
    kept = load(path).metadata["extra"]["sidecar"]
    assert kept["a"] is None
    assert kept["b"] == [None, {"c": "99999999999999999999"}]
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text("{")
    with pytest.raises(RawFileError, match=r"_bold\.json: expected JSON"):
        load(path)


def test_a_whole_brain_passes_through_a_little_memory(made, tmp_path):
    resource = pytest.importorskip("resource")
    shape = (60, 60, 40, 30)
    stored = np.broadcast_to(np.arange(30, dtype="int16"), shape)
    path = write(tmp_path, made, stored)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bold = load(path).signals_stored["bold"]
    assert bold.channel_id.dtype.itemsize <= 4 * len("59_59_39")
    for first in range(0, 30, 5):
        assert (bold[first : first + 5].values == np.arange(first, min(30, first + 5))[:, None]).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
