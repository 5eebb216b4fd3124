"""A view against another reference is the arithmetic its name says, on good channels of one type."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.recording.timed import make_signal
from neurodata.windows.eeg_views import bad_channels, band_pass, re_reference

LABELS = ["F3", "Fz", "F4", "M1", "M2"]
STEP = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [4, 0, 0], [5, 0, 0]])


def made(values=None, labels=LABELS, **columns):
    values = np.random.default_rng(0).normal(size=(50, len(labels))) if values is None else np.asarray(values)
    ids = [f"e{i}" for i in range(len(labels))]
    given = {"label": labels} | columns
    return make_signal(values, channel_id=ids, units="V", rate_hz=100.0, columns=given).rename("eeg")


def at(places):
    return dict(zip("xyz", np.asarray(places, float).T))


def test_the_average_is_that_of_mne():
    mne = pytest.importorskip("mne")
    signal = made(bad=[False, False, True, False, False])
    info = mne.create_info(LABELS, 100.0, "eeg")
    info["bads"] = ["F4"]
    raw = mne.io.RawArray(signal.values.T.copy(), info, verbose="error")
    expected = raw.set_eeg_reference("average", verbose="error").get_data().T
    found = re_reference(signal, "average")
    good = [0, 1, 3, 4]
    # mne leaves a bad channel against its old reference; here it is referenced with the rest.
    np.testing.assert_allclose(found.values[:, good], expected[:, good], atol=1e-12)
    np.testing.assert_allclose(found.values[:, 2], signal.values[:, 2] - signal.values[:, good].mean(axis=1))
    assert found.attrs["reference"] == "average"
    assert found.attrs["history"] == ["re_reference('average', exclude_bad=True)"]


def test_all_channels_count_where_bad_ones_are_not_excluded():
    found = re_reference(made(bad=[False, False, True, False, False]), "average", exclude_bad=False)
    np.testing.assert_allclose(found.values.mean(axis=1), 0, atol=1e-15)


def test_named_channels():
    signal = made()
    found = re_reference(signal, ["M1", "e4"])
    np.testing.assert_allclose(found, signal.values - signal.values[:, 3:].mean(axis=1, keepdims=True))
    assert found.attrs["reference"] == "M1, e4"
    np.testing.assert_array_equal(re_reference(signal, ["Fz"]).values[:, 1], 0)


@pytest.mark.parametrize("to", ["average", ["M1", "M2"], "laplacian"])
def test_a_missing_sample_is_missing_in_its_channel_only(to):
    signal = made(**at(STEP))
    values = signal.values.copy()
    values[10:20, 3] = np.nan
    whole, part = re_reference(signal, to), re_reference(signal.copy(data=values), to)
    np.testing.assert_array_equal(np.isnan(part), np.isnan(values))
    np.testing.assert_array_equal(part.values[:10], whole.values[:10])
    if to == ["M1", "M2"]:
        np.testing.assert_allclose(part.values[10:20, 0], values[10:20, 0] - values[10:20, 4])


def test_a_dead_reference_leaves_nothing():
    signal = made()
    values = signal.values.copy()
    values[:, 3] = np.nan
    assert np.isnan(re_reference(signal.copy(data=values), ["M1"])).all()


@pytest.mark.parametrize("to", ["average", "laplacian", "bipolar"])
def test_property_the_future_changes_nothing_before_it(to):
    signal = made(np.random.default_rng(1).normal(size=(300, 5)), ["A1", "A2", "A3", "B1", "B2"], **at(STEP))
    for at_sample, value in ((37, np.nan), (211, 5.0)):
        values = signal.values.copy()
        values[at_sample:] = value
        changed = re_reference(signal.copy(data=values), to).values[:at_sample]
        np.testing.assert_array_equal(changed, re_reference(signal, to).values[:at_sample])
        np.testing.assert_array_equal(changed, re_reference(signal[:at_sample], to).values)


def test_bipolar_pairs_are_neighbours_on_a_shaft():
    labels = ["A'1", "A'2", "A'4", "B10", "B9", "B01", "EKG", "B2"]
    signal = made(labels=labels, region=["V1", "V1", "V2", "x", "y", "x", "", "x"], **at(np.arange(24).reshape(8, 3)))
    with pytest.warns(UserWarning, match="2 good channels of 'eeg' have no neighbour.*A'4, EKG"):
        found = re_reference(signal, "bipolar")
    assert found["channel_id"].values.tolist() == ["e0-e1", "e4-e3", "e5-e7"]
    assert found["label"].values.tolist() == ["A'1-A'2", "B9-B10", "B01-B2"]
    assert found["region"].values.tolist() == ["V1", "y-x", "x"]
    assert found["x"].values.tolist() == [1.5, 10.5, 18.0]
    np.testing.assert_array_equal(found.values, signal.values[:, [0, 4, 5]] - signal.values[:, [1, 3, 7]])
    assert found.sel(time=slice(0.1, 0.2)).sizes["time"] == 10


def test_a_bad_contact_makes_no_pair():
    signal = made(labels=["A1", "A2", "A3", "A4", "A5"], bad=[True, False, False, False, False], snr=[1.0, 2, 3, 4, 5])
    found = re_reference(signal, "bipolar")
    assert found["label"].values.tolist() == ["A2-A3", "A3-A4", "A4-A5"]
    assert "snr" not in found.coords
    assert not bad_channels(found).any()
    assert re_reference(signal, "bipolar", exclude_bad=False).sizes["channel"] == 4


def test_a_laplacian_subtracts_the_nearest():
    signal = made(**at(STEP))
    found = re_reference(signal, "laplacian", neighbours=2).values
    nearest = [[1, 2], [0, 2], [1, 0], [4, 2], [3, 2]]
    for channel, others in enumerate(nearest):
        expected = signal.values[:, channel] - signal.values[:, others].mean(axis=1)
        np.testing.assert_allclose(found[:, channel], expected)


def test_a_laplacian_takes_no_bad_neighbour():
    signal = made(status=["good", "Bad", "good", "good", "n/a"], **at(STEP))
    found = re_reference(signal, "laplacian", neighbours=1)
    np.testing.assert_allclose(found[:, 0], signal.values[:, 0] - signal.values[:, 2])
    np.testing.assert_allclose(found[:, 1], signal.values[:, 1] - signal.values[:, 0])


def test_one_type_at_a_time():
    signal = made(type=["eeg", "eeg", "eeg", "eog", "eog"])
    with pytest.raises(NeurodataError, match="type eeg, eog, which share no reference; say which with kind='eeg'"):
        re_reference(signal, "average")
    found = re_reference(signal, "average", kind="eeg")
    assert found["label"].values.tolist() == LABELS[:3]
    np.testing.assert_allclose(found, signal.values[:, :3] - signal.values[:, :3].mean(axis=1, keepdims=True))


def test_views_chain_leave_the_signal_alone_and_take_integers():
    integers = np.arange(250, dtype=np.int16).reshape(50, 5)
    signal = make_signal(integers, channel_id=LABELS, units="uV", rate_hz=100.0, scale_factor=0.5)
    view = band_pass(re_reference(signal, ["Fz"], stretch=(0.1, 0.4)), 1, 40)
    assert view.shape == (30, 5)
    assert view.dtype == np.float32
    assert len(view.attrs["history"]) == 2
    assert "history" not in signal.attrs
    np.testing.assert_array_equal(re_reference(signal, ["Fz"])[0], [-0.5, 0, 0.5, 1, 1.5])
    np.testing.assert_array_equal(signal.values, integers)


@pytest.mark.parametrize(
    ("signal", "to", "options", "says"),
    [
        (made(), "mean", {}, "no reference 'mean'"),
        (made(), ["M3"], {}, "no channel 'M3'; it has F3, Fz"),
        (made(), [], {}, "an empty list of reference channels"),
        (made(bad=[False] * 4 + [True]), ["M2"], {}, "'M2' is marked bad"),
        (made(good=[False] * 5), "average", {}, "every channel of 'eeg' is marked bad"),
        (made(labels=["Fz", "Fz"]), ["Fz"], {}, "2 channels of 'eeg' are labelled 'Fz'; name one.*e0, e1"),
        (made(), "average", {"kind": "eeg"}, "no column 'type'"),
        (made(type=["eeg"] * 5), "average", {"kind": "eog"}, "no channel type 'eog'"),
        (made(type=["eeg"] * 5), "bipolar", {}, "places on the head"),
        (made(labels=["P", "Q"]), "bipolar", {}, "no two adjacent contacts in 'eeg'.*got P, Q"),
        (made(labels=["A1", "A01"]), "bipolar", {}, "comes twice"),
        (made(), "laplacian", {}, "no column x, y, z"),
        (made(**at([*STEP[:4], [np.nan] * 3])), "laplacian", {}, "1 channels of 'eeg' have no position: M2"),
        (made(**at(STEP)), "laplacian", {"neighbours": 5}, "5 neighbours, from 1 to one less than the 5 good"),
    ],
)  # fmt: skip
def test_what_cannot_be_referenced_says_why(signal, to, options, says):
    with pytest.raises(NeurodataError, match=says):
        re_reference(signal, to, **options)
