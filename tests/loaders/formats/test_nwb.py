"""NWB files: what pynwb reads is what we read, and files that are odd, old, extended, damaged or hostile."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from pynwb import ecephys, misc

from neurodata.errors import RawFileError
from neurodata.loaders.discover import find_recordings
from neurodata.loaders.formats._nwb_metadata import read_age, read_species
from neurodata.loaders.formats._nwb_rows import SeriesRows, sort_times
from neurodata.loaders.formats.nwb import Nwb
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


def load(path: Path, **options) -> Recording:
    loader = Nwb(path, **options)
    [session] = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


@pytest.fixture
def made(fake_raw):
    return fake_raw("nwb")


@pytest.fixture
def minimal(made, tmp_path):
    """Write a file with what a function adds by pynwb, then what another one does to it by h5py."""

    def write(add=None, change=None) -> Path:
        nwb = made.make_file("minimal")
        nwb.add_acquisition(pynwb.TimeSeries(name="kept", data=np.arange(4.0), unit="V", rate=2.0))
        if add is not None:
            add(nwb)
        path = made.write_file(nwb, tmp_path / "minimal.nwb")
        if change is not None:
            with h5py.File(path, "r+") as file:
                change(file)
        return path

    return write


def add_series(file: h5py.File, path: str, data, kind="TimeSeries", namespace="core", **members) -> h5py.Group:
    group = file.create_group(path)
    group.attrs.update({"neurodata_type": kind, "namespace": namespace, "object_id": path})
    group["data"] = data
    group["data"].attrs.update({"unit": "V", "conversion": 1.0})
    for name, values in members.items():
        group[name] = values
    return group


def test_ephys_is_what_pynwb_reads(made, tmp_path):
    path = made.write_ephys(tmp_path / "a.nwb")
    recording = load(path)
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        raw, mine = nwb.acquisition["raw"], recording.signals_stored["raw"]
        np.testing.assert_array_equal(mine.values, raw.data[:], strict=True)
        physical = raw.data[:] * raw.conversion * np.array(raw.channel_conversion[:]) + raw.offset
        np.testing.assert_allclose(recording.signals["raw"].values, physical, rtol=1e-6)
        assert (mine.attrs["sampling_rate_hz"], mine.attrs["start_seconds"]) == (raw.rate, raw.starting_time)
        table = raw.electrodes.to_dataframe()
        for column in ("x", "y", "z", "imp", "location", "filtering", "channel_name", "group_name"):
            assert mine.coords[column].values.tolist() == table[column].tolist()
        lfp, mine = nwb.processing["ecephys"]["LFP"]["ElectricalSeries"], recording.signals["ElectricalSeries"]
        np.testing.assert_array_equal(mine.values, lfp.data[:], strict=True)
        np.testing.assert_array_equal(mine.time.values, lfp.timestamps[:])
        assert mine.coords["channel_id"].values.tolist() == ["3", "1"]
        hand = nwb.processing["behavior"]["Position"]["hand"]
        np.testing.assert_array_equal(recording.signals["hand"].values, hand.data[:] * hand.conversion)
        assert (recording.signals["hand"].attrs["units"], recording.signals["hand"].attrs["role"]) == ("m", "behavior")
        light = recording.signals["light"]
        assert (light.attrs["role"], light.attrs["nwb"]["site"]["name"]) == ("stimulus", "S1-left")
        for name in ("stimulus", "choice", "go_time", "rewarded"):
            np.testing.assert_array_equal(
                recording.intervals["trials"][name].values, np.array(list(nwb.trials[name][:]))
            )
        licks = [json.loads(text) for text in recording.intervals["trials"]["licks"].values]
        assert licks == [np.asarray(row).tolist() for row in nwb.trials["licks"][:]]
        spikes = recording.events["spikes"]
        for unit in range(made.N_UNITS):
            np.testing.assert_array_equal(
                spikes.time.values[spikes.unit.values == unit], nwb.units["spike_times"][unit]
            )
        assert json.loads(str(recording.units["waveform_mean"].values[1])) == nwb.units["waveform_mean"][1].tolist()
        assert json.loads(str(recording.units["electrodes"].values[1])) == [1, 2]
        assert recording.units["region"].values.tolist() == ["CA1"] * 3
        assert recording.intervals["obs_intervals"]["unit_id"].values.tolist() == ["10", "10", "11", "11", "12", "12"]
    assert recording.metadata["subject"] == {
        "id": "m1", "species": "Mus musculus", "sex": "M", "age": "P90D", "strain": "C57BL/6J"
    }  # fmt: skip
    assert recording.metadata["session"] == "s1"
    assert recording.metadata["session_start"] == "2021-03-04T10:30:00+00:00"
    assert "Doe" not in json.dumps(dict(recording.metadata))


def test_behaviour_events_and_epochs(made, tmp_path):
    recording = load(made.write_ephys(tmp_path / "a.nwb"))
    assert recording.events["licks"]["time"].values.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert recording.events["cues"]["label"].values.tolist() == ["a", "b", "ä"]
    running = recording.intervals["running"]
    assert (running["start"].values.tolist(), running["stop"].values.tolist()) == ([1.0, 3.0], [2.0, 4.5])
    assert running["code"].values.tolist() == [1, 2]
    assert recording.intervals["epochs"]["tags"].values.tolist() == ['["first", "calm"]', '["second"]']
    assert recording.signals["speed"].time.values[0] == 0.1


def test_human_units_and_pictures(made, tmp_path):
    recording = load(made.write_human(tmp_path / "a.nwb"))
    shown = recording.events["StimulusPresentation"]
    assert shown["label"].values.tolist() == ["image_2", "image_0", "image_1"]
    assert recording.events["events"]["label"].values.tolist() == ["61", "1", "2", "66"]
    assert recording.metadata["modality"] == "spikes"
    assert (recording.metadata["subject"]["species"], recording.metadata["subject"]["age"]) == ("Homo sapiens", "P35Y")
    np.testing.assert_array_equal(recording.intervals["trials"]["response_time"], [np.nan, 0.5, 0.7])
    assert "StimulusTemplates" in recording.metadata["extra"]["not_read"][0]


def test_the_same_cell_has_the_same_name_in_every_series(made, tmp_path):
    recording = load(made.write_cells(tmp_path / "a.nwb"))
    assert recording.metadata["modality"] == "calcium"
    assert set(recording.signals) == {"Fluorescence-RoiResponseSeries", "Neuropil", "DfOverF-RoiResponseSeries"}
    some = recording.signals["DfOverF-RoiResponseSeries"]
    assert some.coords["channel_id"].values.tolist() == ["4", "1"]
    assert some.coords["x"].values.tolist() == [5.5, 2.5]  # (4 · 1 + 6 · 3) / 4: pixels are weighted
    assert recording.signals["Neuropil"].coords["accepted"].values.tolist() == [True, True, True, False, True]
    assert any("movie (TwoPhotonSeries)" in note for note in recording.metadata["extra"]["not_read"])


@pytest.mark.parametrize("version", ["2.0.0", "2.0b", "2.4.0", "2.99.0"])
def test_versions_do_not_matter(made, tmp_path, version):
    path = made.write_human(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        file.attrs["nwb_version"] = version
        del file["specifications"], file.attrs[".specloc"]
    assert load(path).metadata["extra"]["nwb_version"] == version


def test_masks_as_images_give_centroids(made, tmp_path):
    path = made.write_cells(tmp_path / "a.nwb")
    images = np.zeros((5, 4, 6))
    for i in range(4):
        images[i, i, [1, 3]] = 1
    with h5py.File(path, "r+") as file:
        table = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        del table["pixel_mask"], table["pixel_mask_index"]
        table["image_mask"] = images
    neuropil = load(path).signals["Neuropil"]
    np.testing.assert_array_equal(neuropil.coords["x"], [0, 1, 2, 3, np.nan])
    np.testing.assert_array_equal(neuropil.coords["y"], [2, 2, 2, 2, np.nan])


def test_rows_without_an_edge_are_kept(made, tmp_path):
    path = made.write_ephys(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        trials = file["intervals/trials"]
        trials["start_time"][2] = np.nan
        trials["stop_time"][3:5] = np.nan
        trials["start_time"][4] = np.nan
        trials["stop_time"][5] = 0.0
    with pytest.warns(UserWarning, match=r"/intervals/trials: 4 rows without a finite start and a later stop"):
        recording = load(path)
    trials = recording.intervals["trials"]
    assert trials["id"].values.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert (trials["start"].values[2], trials["stop"].values[2]) == (5.5, 5.5)
    assert (trials["start"].values[3], trials["stop"].values[3]) == (6.0, 6.0)
    np.testing.assert_array_equal(trials["stop_time"].values[3:5], [np.nan, 0.0])
    lost = recording.metadata["extra"]["rows_without_time"]["/intervals/trials"]
    assert (lost["id"], lost["stimulus"]) == ([4], ["right"])


def test_times_that_no_signal_can_have_are_mended_and_said(minimal):
    stamps = [0.0, 1.0, 1.0, np.nan, 3.0, 2.0]
    path = minimal(change=lambda file: add_series(file, "acquisition/odd", np.arange(6.0), timestamps=stamps))
    with pytest.warns(UserWarning, match="odd: 1 samples have no finite timestamp.*go back at 1.*moved on by one ulp"):
        recording = load(path)
    odd = recording.signals["odd"]
    assert odd.values[:, 0].tolist() == [0, 1, 2, 5, 4]
    np.testing.assert_allclose(odd.time.values, [0, 1, 1, 2, 3], atol=1e-12)
    assert (np.diff(odd.time.values) > 0).all()
    assert len(recording.metadata["extra"]["mended"]) == 3


def test_sorting_times_keeps_runs_of_equal_ones_apart():
    times, order, _ = sort_times(np.array([5.0, 5.0, 5.0, np.nextafter(5.0, 6.0), 1.0]))
    assert (np.diff(times) > 0).all()
    assert order.tolist() == [4, 0, 1, 2, 3]


def test_lengths_and_orientation_that_do_not_fit(minimal):
    def change(file):
        add_series(file, "acquisition/long", np.arange(6.0), timestamps=np.arange(8.0))
        add_series(file, "acquisition/turned", np.arange(6.0).reshape(2, 3), timestamps=np.arange(3.0))

    with pytest.warns(UserWarning, match=r"8 timestamps for 6 samples.*turned: its data \(2, 3\) is \(channel, time\)"):
        recording = load(minimal(change=change))
    assert recording.signals["long"].time.values.tolist() == [0, 1, 2, 3, 4, 5]
    assert recording.signals["turned"].values.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_without_a_rate_samples_are_counted(minimal):
    path = minimal(change=lambda file: add_series(file, "acquisition/frames", np.arange(6, dtype="int8")))
    with pytest.warns(UserWarning, match="neither timestamps nor a rate"):
        assert load(path).signals["frames"].attrs["time_unit"] == "frame"


def test_more_dimensions_become_channels(minimal):
    def add(nwb):
        warnings.filterwarnings("ignore", "Neither source_timeseries")
        bands = misc.DecompositionSeries(
            name="power", data=np.arange(24.0).reshape(4, 3, 2), metric="power", rate=10.0, unit="V"
        )
        bands.add_band(band_name="alpha", band_limits=(8.0, 12.0), band_mean=np.nan, band_stdev=np.nan)
        bands.add_band(band_name="beta", band_limits=(13.0, 30.0), band_mean=np.nan, band_stdev=np.nan)
        nwb.create_processing_module(name="ecephys", description="x").add(bands)

    with warnings.catch_warnings():
        path = minimal(add)
    power = load(path).signals["power"]
    assert power.shape == (4, 6)
    assert power.coords["band_name"].values.tolist() == ["alpha", "beta"] * 3
    assert power.coords["axis1"].values.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(power.values, np.arange(24.0).reshape(4, 6))


def test_the_same_name_in_two_places_and_names_of_ours(minimal):
    def change(file):
        add_series(file, "acquisition/time", np.arange(4.0), timestamps=np.arange(4.0))
        add_series(file, "acquisition/my series: 1", np.arange(4.0), timestamps=np.arange(4.0))
        add_series(file, "processing/a/kept", np.arange(5.0), timestamps=np.arange(5.0))
        file["processing/b"] = h5py.SoftLink("/processing/a")
        file["processing/nothing"] = h5py.SoftLink("/processing/gone")

    recording = load(minimal(change=change))
    assert set(recording.signals) == {"acquisition-kept", "a-kept", "acquisition-time", "my_series_1"}


def test_columns_of_any_name_and_kind_are_kept(minimal):
    def add(nwb):
        for name in ("unit", "label", "a b", "start"):
            nwb.add_trial_column(name=name, description=name)
        for i in range(2):
            nwb.add_trial(start_time=1.0 * i, stop_time=i + 1.0, unit=i, label=f"é{i}", **{"a b": 0.5, "start": 7})

    def change(file):
        trials = file["intervals/trials"]
        trials["group"] = np.array([file["acquisition"].ref] * 2, h5py.ref_dtype)
        trials["image"] = np.arange(8, dtype="float32").reshape(2, 4)
        trials["half"] = np.array([1, 2], "float16")
        trials["nested"], trials["nested_index"] = np.arange(3), np.array([1, 2, 3], "uint8")
        trials["nested_index_index"] = np.array([2, 3], "uint8")
        pair = np.zeros(2, [("idx_start", "i4"), ("count", "i4"), ("timeseries", h5py.ref_dtype)])
        pair["timeseries"] = [file["acquisition/kept"].ref] * 2
        trials["parts"] = pair
        for name in ("group", "image", "half", "nested", "nested_index", "nested_index_index", "parts"):
            trials[name].attrs["neurodata_type"] = "VectorIndex" if "_index" in name else "VectorData"

    trials = load(minimal(add, change)).intervals["trials"]
    assert trials["label"].values.tolist() == ["é0", "é1"]
    assert trials["start_column"].values.tolist() == [7, 7]
    assert trials.attrs["renamed_columns"] == {"a_b": "a b", "start_column": "start"}
    assert trials["group"].values.tolist() == ["acquisition"] * 2
    assert json.loads(str(trials["image"].values[1])) == [4, 5, 6, 7]
    assert trials["half"].dtype == np.float32
    assert trials["nested"].values.tolist() == ["[[0], [1]]", "[[2]]"]
    assert json.loads(str(trials["parts"].values[0])) == {"idx_start": 0, "count": 0, "timeseries": "/acquisition/kept"}


def test_values_per_spike_and_spikes_without_a_time(minimal):
    def add(nwb):
        for i in range(2):
            nwb.add_unit(spike_times=[0.5 + i, 2.0, np.nan])

    def change(file):
        units = file["units"]
        units["spike_amplitudes"] = np.array([1.0, 2, 3, 4, 5, 6])
        units["spike_amplitudes_index"] = units["spike_times_index"][()]
        units["spike_amplitudes_index"].attrs["neurodata_type"] = "VectorIndex"

    with pytest.warns(UserWarning, match="2 spikes have no finite time"):
        recording = load(minimal(add, change))
    spikes = recording.events["spikes"]
    assert spikes["time"].values.tolist() == [0.5, 1.5, 2.0, 2.0]
    assert spikes["unit"].values.tolist() == [0, 1, 0, 1]
    assert spikes["spike_amplitudes"].values.tolist() == [1, 4, 2, 5]
    assert "spike_amplitudes" not in recording.units


def test_unknown_extensions_are_skipped_with_one_warning_that_names_them(minimal):
    def change(file):
        for name in ("one", "two"):
            add_series(file, f"acquisition/{name}", np.arange(4.0), "OddSeries", "ndx-odd", timestamps=np.arange(4.0))

    with pytest.warns(UserWarning, match="unknown extensions") as caught:
        recording = load(minimal(change=change))
    [warning] = caught
    assert "unknown extensions are not read: OddSeries of ndx-odd at /acquisition/one, /acquisition/two" in str(
        warning.message
    )
    assert recording.metadata["extra"]["unknown_extensions"] == [
        "OddSeries of ndx-odd: /acquisition/one, /acquisition/two"
    ]


def test_extensions_whose_specification_is_in_the_file_are_read_as_what_they_extend(minimal):
    def change(file):
        add_series(file, "acquisition/one", np.arange(4.0), "OddSeries", "ndx-odd", timestamps=np.arange(4.0))
        groups = {"groups": [{"neurodata_type_def": "OddSeries", "neurodata_type_inc": "TimeSeries", "doc": ""}]}
        file["specifications/ndx-odd/0.1.0/ndx-odd.extensions"] = json.dumps(groups)

    assert load(minimal(change=change)).signals["one"].values[:, 0].tolist() == [0, 1, 2, 3]


def test_event_tables_of_the_standard_and_of_ndx_events(minimal):
    def add(nwb):
        table = nwb.create_events_table(name="rewards", description="drops")
        table.add_column(name="volume", description="ul")
        for time in (3.0, 1.0):
            table.add_row(timestamp=time, volume=time * 2)

    def change(file):
        labeled = add_series(
            file,
            "acquisition/doors",
            np.array([0, 1, 0], "uint8"),
            "LabeledEvents",
            "ndx-events",
            timestamps=[1.0, 2.0, 3.0],
        )
        labeled["data"].attrs["labels"] = ["open", "shut"]

    recording = load(minimal(add, change))
    assert recording.events["rewards"]["time"].values.tolist() == [1.0, 3.0]
    assert recording.events["rewards"]["volume"].values.tolist() == [2.0, 6.0]
    assert recording.events["doors"]["label"].values.tolist() == ["open", "shut", "open"]


def test_samples_stay_in_the_file_until_they_are_asked_for(made, tmp_path, monkeypatch):
    path = made.write_ephys(tmp_path / "a.nwb")
    recording = load(path)
    asked = []
    read = SeriesRows.__call__
    monkeypatch.setattr(SeriesRows, "__call__", lambda self, *rows: asked.append(rows) or read(self, *rows))
    signal = recording.signals_stored["raw"]
    assert asked == []
    part = signal[100:110].values
    assert asked == [(100, 110)]
    elsewhere = pickle.loads(pickle.dumps(recording))  # noqa: S301 (our own, as another process would get it)
    np.testing.assert_array_equal(elsewhere.signals_stored["raw"][100:110].values, part)


@pytest.mark.parametrize(
    ("stated", "latin"),
    [
        ("mouse", "Mus musculus"), ("Human", "Homo sapiens"), ("http://purl.obolibrary.org/obo/NCBITaxon_9606", "Homo sapiens"),
        ("https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?mode=Info&id=10116", "Rattus norvegicus"),
        ("NCBITaxon:6239", "Caenorhabditis elegans"), ("C. elegans", "Caenorhabditis elegans"),
        ("mus musculus", "Mus musculus"), ("Mus musculus domesticus", "Mus musculus domesticus"),
        ("Macaca mulatta (rhesus)", "Macaca mulatta"), ("N/A", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_species(stated, latin):
    assert read_species(stated) == latin


@pytest.mark.parametrize(
    ("stated", "iso"),
    [
        ("P90D", "P90D"),
        ("35 years", "P35Y"),
        ("8 weeks old", "P8W"),
        ("12 months", "P12M"),
        ("P1D/P3D", None),
        ("old", None),
    ],
)
def test_age(stated, iso):
    assert read_age(stated) == iso


@pytest.mark.parametrize(
    ("location", "rate", "modality"),
    [
        ("ECoG grid, left", 1000.0, "ecog"),
        ("sEEG depth electrode", 500.0, "seeg"),
        ("CA1", 1250.0, "lfp"),
        ("CA1", 3e4, "spikes"),
    ],
)
def test_modality_of_voltages(made, tmp_path, location, rate, modality):
    nwb = made.make_file("a")
    made.add_electrodes(nwb, location=location)
    region = nwb.create_electrode_table_region(region=[0, 1], description="two")
    nwb.add_acquisition(
        ecephys.ElectricalSeries(name="v", data=np.zeros((9, 2), "int16"), electrodes=region, rate=rate)
    )
    path = made.write_file(nwb, tmp_path / "a.nwb")
    assert load(path).metadata["modality"] == modality
    assert load(path, modality="eeg").metadata["modality"] == "eeg"


def test_what_is_no_nwb_2_in_hdf5_is_refused(tmp_path):
    old = tmp_path / "old.nwb"
    with h5py.File(old, "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
    zarr = tmp_path / "some.nwb.zarr"
    zarr.mkdir()
    (zarr / ".zattrs").write_text('{"neurodata_type": "NWBFile"}')
    (tmp_path / "cut.nwb").write_bytes(old.read_bytes()[:700])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    found, skipped = find_recordings(tmp_path, [Nwb])
    reasons = {entry.path.name: entry.reason for entry in skipped}
    assert found == []
    assert "expected NWB 2, this is version 1 (NWB-1.0.6)" in reasons["old.nwb"]
    assert "NWB in Zarr is not read; export it to HDF5" in reasons["some.nwb.zarr"]
    assert "damaged" in reasons["cut.nwb"]
    assert reasons["other.h5"] == "no loader recognises it"


def test_other_files_are_not_followed(minimal, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.zeros(3)
    path = minimal(change=lambda file: file.__setitem__("acquisition/x", h5py.ExternalLink("secret.h5", "x")))
    with pytest.raises(RawFileError, match="lies in another file"):
        load(path)


def test_a_file_with_nothing_to_read_says_what_is_in_it(made, tmp_path):
    nwb = made.make_file("empty")
    nwb.add_acquisition(
        pynwb.image.ImageSeries(
            name="film", external_file=["a.avi"], format="external", timestamps=[0.0, 1.0], unit="n.a."
        )
    )
    path = made.write_file(nwb, tmp_path / "a.nwb")
    with pytest.raises(
        RawFileError, match=r"a\.nwb: expected signals, units.*film \(ImageSeries\): images are no traces"
    ):
        load(path)


def test_an_odd_series_leaves_the_others_as_they_are(minimal):
    def change(file):
        add_series(file, "acquisition/words", np.zeros(3, [("a", "i4"), ("b", "f8")]), timestamps=np.arange(3.0))

    with pytest.warns(UserWarning, match=r"/acquisition/words \(TimeSeries\) is not read: its data is of type"):
        recording = load(minimal(change=change))
    assert set(recording.signals) == {"kept"}
    assert any("words" in note for note in recording.metadata["extra"]["not_read"])


def test_nothing_else_is_said_about_clean_files(made, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(made.write_ephys(tmp_path / "a.nwb"))


def series(file, name: str, shape: tuple[int, ...], **options) -> h5py.Dataset:
    group = file.create_group(f"acquisition/{name}")
    group.attrs["neurodata_type"], group.attrs["namespace"] = "TimeSeries", "core"
    group.create_dataset("starting_time", data=0.0).attrs["rate"] = 30.0
    data = group.create_dataset("data", shape, "f4", **options)
    data.attrs["unit"] = "V"
    return data


def test_volumes_and_empty_promises_are_left_out(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"], file.attrs["neurodata_type"] = "2.6.0", "NWBFile"
        series(file, "good", (20, 3))
        series(file, "volumes", (4, 5, 6, 3))
        series(file, "wide", (2, 400, 400))
        series(file, "promised", (10**9, 10**3), chunks=(1000, 100))
    with pytest.warns(UserWarning, match="is not read") as caught:
        recording = load(tmp_path / "a.nwb")
    assert list(recording.signals) == ["good"]
    said = " ".join(str(warning.message) for warning in caught)
    assert said.count("images and volumes are no traces") == 2
    assert "promises 4000000000000 bytes, 0 are stored" in said


def test_row_vectors_padded_words_and_numbers_as_text_of_old_matnwb(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"], file.attrs["neurodata_type"] = "2.0b", "NWBFile"
        events = file.create_group("acquisition/events")
        events.attrs["neurodata_type"] = "AnnotationSeries"
        events["data"], events["timestamps"] = np.array([b" 55", b"  1"]), [0.5, 1.5]
        trials = file.create_group("intervals/trials")
        trials.attrs["neurodata_type"], trials.attrs["colnames"] = (
            "TimeIntervals",
            ["start_time", "stop_time", "rt", "kind"],
        )
        trials["id"], trials["start_time"], trials["stop_time"] = [0, 1, 2], [[0.0, 1, 2]], [[0.5, 1.5, 2.5]]
        trials["rt"], trials["kind"] = [[0.1, 0.2, 0.3]], np.array([[b"a", b"b", b"c"]])
        data = series(file, "volts", (4, 2))
        del data.parent["starting_time"]
        data.parent["timestamps"] = np.array([[0.0, 0.1, 0.25, 0.3]]).T
        table = file.create_group("general/extracellular_ephys/electrodes")
        table.attrs["neurodata_type"], table.attrs["colnames"] = "DynamicTable", ["x"]
        table["id"], table["x"] = [0, 1], np.array([b"-17.5", b"NaN"])
        region = data.parent.create_dataset("electrodes", data=[0, 1])
        region.attrs["table"] = table.ref
    recording = load(tmp_path / "a.nwb")
    assert recording.events["events"]["label"].values.tolist() == ["55", "1"]
    trials = recording.intervals["trials"]
    assert trials["start"].values.tolist() == [0, 1, 2]
    assert trials["rt"].values.tolist() == [0.1, 0.2, 0.3]
    assert trials["kind"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(recording.signals["volts"]["time"].values, [0.0, 0.1, 0.25, 0.3])
    np.testing.assert_array_equal(recording.signals["volts"].coords["x"].values, [-17.5, np.nan])


def test_cells_of_worms_get_canonical_labels(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"], file.attrs["neurodata_type"] = "2.6.0", "NWBFile"
        file["general/subject/species"] = "Caenorhabditis elegans"
        cells = file.create_group("processing/ophys/cells")
        cells.attrs["neurodata_type"], cells.attrs["colnames"] = "PlaneSegmentation", ["ID_labels"]
        cells["id"], cells["ID_labels"] = [0, 1, 2], ["AVAL", "", "rimr?"]
        response = file.create_group("processing/ophys/dff")
        response.attrs["neurodata_type"] = "RoiResponseSeries"
        response.create_dataset("starting_time", data=0.0).attrs["rate"] = 3.0
        response["data"] = np.ones((20, 3))
        response.create_dataset("rois", data=[2, 1, 0]).attrs["table"] = cells.ref
    signal = load(tmp_path / "a.nwb").signals["dff"]
    assert signal.coords["label"].values.tolist() == ["", "", "AVAL"]
    assert signal.coords["label_raw"].values.tolist() == ["rimr?", "", "AVAL"]
    assert signal.coords["ID_labels"].values.tolist() == ["rimr?", "", "AVAL"]
