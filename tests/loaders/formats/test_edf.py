"""EDF, EDF+ and BDF: integers as edfio reads them, rates, units, gaps and annotations as they are in the file."""

from __future__ import annotations

import re
import tracemalloc
import warnings

import edfio
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.formats._edf_channels import clean_units, split_label
from neurodata.loaders.formats.edf import Edf
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw):
    return fake_raw("edf")


def read_edf(path, **options):
    """The one recording of a file."""
    loader = Edf(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def reference(path):
    """What edfio reads; it names the formats by two functions and warns of what our loader warns of too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return edfio.read_bdf(path) if path.suffix == ".bdf" else edfio.read_edf(path)


def check_against_edfio(recording, path):
    """Every channel's integers, rate, unit and physical values, and all annotations."""
    other = reference(path)
    expected = [signal for signal in other._signals if not signal._is_annotation_signal]
    seen = []
    for name, signal in recording.signals_stored.items():
        physical = recording.signals[name].values
        for i, number in enumerate(signal.file_channel.values.tolist()):
            theirs = other._signals[number]
            np.testing.assert_array_equal(signal.values[:, i], theirs.digital)
            assert signal.attrs["sampling_rate_hz"] == pytest.approx(theirs.sampling_frequency, rel=1e-15)
            assert signal.label_raw.values[i] == theirs.label
            for column, text in (("filter", theirs.prefiltering), ("transducer", theirs.transducer_type)):
                assert (signal[column].values[i] if column in signal.coords else "") == text
            assert signal.attrs["units"].lower() in (theirs.physical_dimension.lower(), "a.u.")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.testing.assert_array_max_ulp(physical[:, i], theirs.data.astype(np.float32), 2)
            seen.append(number)
    assert sorted(seen) == [other._signals.index(signal) for signal in expected]
    check_annotations(recording, other.annotations)


def check_annotations(recording, expected):
    found = []
    if "annotations" in recording.events:
        table = recording.events["annotations"]
        found += [(onset, 0.0, text) for onset, text in zip(table.time.values.tolist(), table.text.values.tolist())]
    if "annotations" in recording.intervals:
        table = recording.intervals["annotations"]
        found += list(zip(table.start.values.tolist(), table.duration.values.tolist(), table.text.values.tolist()))
    assert sorted(found) == sorted((a.onset, a.duration or 0.0, a.text) for a in expected)


@pytest.mark.parametrize("run", [3, 4, 6, 7, 8, 10, 11, 12, 14])
def test_published_runs_are_read_as_edfio_does(real_data, run):
    path = real_data("eeg/eegmmidb-s001") / f"S001R{run:02}.edf"
    recording = read_edf(path)
    check_against_edfio(recording, path)
    assert recording.signals_stored["eeg"].shape == (20000, 64)
    assert recording.metadata["session_start"] == "2009-08-12T16:15:00"
    assert recording.metadata["device"] == "BCI2000"
    assert recording.metadata["subject"] == {"id": path.stem, "species": "unknown"}


@pytest.mark.parametrize("name", ["psg.edf", "gaps.edf", "cap.bdf", "plain.rec"])
def test_made_up_files_are_read_as_edfio_does(fake, tmp_path, name):
    fake.write_raw(tmp_path)
    recording = read_edf(tmp_path / name)
    if name == "plain.rec":  # its rate, 33 samples in 0.7 s, is a rounded number in edfio
        assert recording.signals_stored["eeg"].attrs["sampling_rate_hz"] == 33 / 0.7
    check_against_edfio(recording, tmp_path / name)


def test_files_that_edfio_wrote(tmp_path):
    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(rng.normal(0, 50, 2560), 256, label="EEG C3", physical_dimension="uV", prefiltering="HP:1Hz"),
        edfio.EdfSignal(rng.normal(0, 1, 320), 32, label="Resp chest", physical_dimension="mV"),
        edfio.EdfSignal(rng.normal(0, 50, 2560), 256, label="EEG C4", physical_dimension="uV"),
    ]
    notes = [edfio.EdfAnnotation(0.125, None, "a"), edfio.EdfAnnotation(3, 2.5, "b"), edfio.EdfAnnotation(3, 0, "")]
    edf = edfio.Edf(signals, annotations=notes, recording=edfio.Recording(equipment_code="amp_1"))
    edf.write(tmp_path / "a.edf")
    recording = read_edf(tmp_path / "a.edf")
    check_against_edfio(recording, tmp_path / "a.edf")
    assert list(recording.signals) == ["eeg", "resp"]
    bdf = edfio.Bdf([edfio.BdfSignal(rng.normal(0, 50, 2560), 256, label="Cz", physical_dimension="uV")],
                    annotations=notes)  # fmt: skip
    bdf.write(tmp_path / "b.bdf")
    check_against_edfio(read_edf(tmp_path / "b.bdf"), tmp_path / "b.bdf")


def test_one_signal_per_type_rate_and_unit(fake, tmp_path):
    recording = read_edf(fake.write_file(tmp_path / "psg.edf", fake.polysomnography()))
    shapes = {
        name: (signal.shape, signal.attrs["units"], signal.attrs["role"])
        for name, signal in recording.signals_stored.items()
    }
    assert shapes == {
        "eeg": ((400, 3), "uV", "neural"),
        "eeg_50hz": ((200, 1), "uV", "neural"),
        "eog": ((400, 1), "uV", "behavior"),
        "resp": ((40, 1), "a.u.", "behavior"),
        "spo2": ((4, 1), "%", "behavior"),
        "pulse": ((4, 1), "bpm", "behavior"),
        "misc": ((400, 1), "mV", "behavior"),
    }
    eeg = recording.signals_stored["eeg"]
    assert eeg.channel_id.values.tolist() == ["EEG Fpz-Cz", "EEG C3-Ref", "EEG C3-Ref_2"]
    assert eeg.label.values.tolist() == ["Fpz-Cz", "C3", "C3"]
    assert eeg.label_raw.values.tolist() == ["EEG Fpz-Cz", "EEG C3-Ref", "EEG C3-Ref"]
    assert eeg.reference.values.tolist() == ["", "Ref", "Ref"]
    assert eeg.scale_factor.values[1] < 0, "a physical minimum above the maximum turns the polarity round"
    assert "scale_factor" not in eeg.attrs


def test_a_start_within_a_second_is_time_zero(fake, tmp_path):
    recording = read_edf(fake.write_file(tmp_path / "psg.edf", fake.polysomnography()))
    assert recording.metadata["session_start"] == "2002-03-02T11:25:00.250000"
    assert recording.signals["eeg"].time.values[0] == 0.0
    events = recording.events["annotations"]
    assert events.time.values.tolist() == [-1.25, 0.0, 0.0, 1.5, 2.25, 3.5, 99.25]
    assert events.text.values.tolist()[3:6] == ["", "Ärger, µV", " padded "]
    assert events.label.values.tolist()[5] == "padded"


def test_gaps_stay_gaps(fake, tmp_path):
    recording = read_edf(fake.write_file(tmp_path / "gaps.edf", fake.gaps()))
    eeg = recording.signals["eeg"]
    assert eeg.shape == (384, 2)
    np.testing.assert_array_equal(eeg.time.values[[0, 191, 192, 319, 320]], [0, 191 / 128, 7.125, 8.1171875, 8.25])
    assert eeg.sel(time=slice(1.5, 7.125)).sizes["time"] == 0
    validity = recording.intervals["validity"]
    assert validity.start.values.tolist() == [0.0, 7.125, 8.25] * 2
    assert validity.stop.values.tolist() == [1.5, 8.125, 8.75] * 2
    assert validity.signal.values.tolist() == ["eeg"] * 3 + ["ecg"] * 3


@pytest.mark.parametrize(
    ("reserved", "onsets", "starts", "warning"),
    [
        pytest.param("EDF+D", ["+0", "+0.5", "+1.0"], [0.0], None, id="EDF+D without a gap"),
        pytest.param("EDF+D", ["+0.3", "+0.8", "+5.3"], [0.0, 5.0], None, id="gap after a start within a second"),
        pytest.param("EDF+D", ["+0", "+0.501", "+1.001"], [0.0], None, id="less than half a sample late"),
        pytest.param("EDF+C", ["+0", "+0.5", "+9"], [0.0, 9.0], "says continuous, but there are 1 gaps", id="EDF+C"),
        pytest.param("EDF+D", ["+0", "+0.25", "+9"], [0.0, 9.0], "1 records begin before", id="overlap"),
        pytest.param("EDF+D", ["+7", "+0", "+0.5"], [0.0], "2 records begin before", id="onsets begin anew"),
        pytest.param("EDF+D", ["+0", "junk", "+9"], [0.0, 9.0], "1 of 3 records do not say", id="unreadable onset"),
        pytest.param("EDF+D", ["+0", "+1", "+1"], [0.0], None, id="onsets rounded to seconds"),
    ],
)
def test_onsets_of_records(fake, tmp_path, reserved, onsets, starts, warning):
    channels = [
        fake.Channel("C3", fake.integers(0, 3, 64)),
        fake.Channel("EDF Annotations", fake.record_times(onsets), "", ("-1", "1")),
    ]
    path = fake.write_file(tmp_path / "a.edf", fake.File(reserved=reserved, seconds="0.5", channels=channels))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        recording = read_edf(path)
    said = [str(entry.message).removeprefix("a.edf: ") for entry in record]
    assert said == recording.metadata["extra"].get("remarks", [])
    assert any(warning in text for text in said) if warning else not said
    eeg = recording.signals_stored["eeg"]
    assert eeg.shape == (192, 1)
    edges = np.flatnonzero(np.diff(eeg.time.values, prepend=-np.inf) > 1.5 / 128)
    assert eeg.time.values[edges].tolist() == starts


def test_triggers_of_a_status_channel(fake, tmp_path):
    recording = read_edf(fake.write_file(tmp_path / "cap.bdf", fake.cap()))
    status = recording.signals_stored["trigger"]
    assert status.dtype == np.int32
    assert status.attrs["role"] == "stimulus"
    triggers = recording.events["triggers"]
    assert triggers.code.values.tolist() == [5, 0, 255, 0, 7]
    assert triggers.time.values.tolist() == [10 / 64, 20 / 64, 1.0, 2.0, 2 + 30 / 64]
    assert triggers.status.values[-1] == -(1 << 23) | 7
    assert recording.signals_stored["eeg"].label.values.tolist() == ["Fp1", "Cz", "T8"]


def test_names_and_birth_dates_are_dropped(fake, tmp_path):
    fake.write_raw(tmp_path)
    loader = Edf(tmp_path)
    told = " ".join(str(dict(loader.load(session).metadata)) for session in loader.sessions())
    for secret in ("Haagse", "Harry", "1951", "Jane", "Doe", "Dr. Who", "BK/JOP", "somewhere"):
        assert secret not in told
    metadata = read_edf(tmp_path / "psg.edf").metadata
    assert metadata["subject"] == {"id": "MCH-0234567", "species": "unknown", "sex": "F"}
    assert metadata["device"] == "Sony MNC R"


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ("X X X X", {}),
        ("Harry M 02-MAY-1951 Harry", {"sex": "M"}),
        ("02-MAY-1951 M X X", {"sex": "M"}),
        ("19510502 F X X", {"sex": "F"}),
        ("s07", {"id": "s07"}),
        ("", {}),
    ],
)
def test_patient_codes_that_may_be_names_are_dropped(fake, tmp_path, patient, expected):
    file = fake.gaps()
    file.patient = patient
    recording = read_edf(fake.write_file(tmp_path / "a.edf", file))
    assert recording.metadata["subject"] == {"id": "a", "species": "unknown"} | expected


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"recording": "Startdate 02-MAR-1951 X X X"}, "1951-03-02T11:25:00"),
        ({"recording": "Startdate X X X X"}, None),
        ({"recording": "", "date": "31.12.84"}, "2084-12-31T11:25:00"),
        ({"recording": "", "date": "31.12.85"}, "1985-12-31T11:25:00"),
        ({"recording": "", "date": "01.01.85"}, None),
        ({"recording": "", "date": "00.00.00"}, None),
        ({"recording": "", "date": "02/03/02", "time": "11:25:01"}, "2002-03-02T11:25:01"),
        ({"recording": "", "time": "99.99.99"}, "2002-03-02"),
    ],
)
def test_start_dates(fake, tmp_path, changes, start):
    file = fake.gaps()
    for key, value in changes.items():
        setattr(file, key, value)
    assert read_edf(fake.write_file(tmp_path / "a.edf", file)).metadata.get("session_start") == start


def mended(fake, tmp_path, **changes):
    """A file that is wrong, but can be read: its recording and what was warned of."""
    file = fake.plain()
    channel = file.channels[0]
    for key, value in changes.items():
        setattr(channel if hasattr(channel, key) else file, key, value)
    path = fake.write_file(tmp_path / "a.edf", file)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        recording = read_edf(path)
    return recording, " ".join(str(entry.message) for entry in record)


@pytest.mark.parametrize(
    ("changes", "n_samples", "said"),
    [
        pytest.param({"n_records": "-1"}, 165, "", id="number of records unknown"),
        pytest.param({"n_records": "7"}, 165, "speaks of 7 records, the file holds 5", id="fewer records"),
        pytest.param({"n_records": "2"}, 165, "speaks of 2 records, the file holds 5", id="more records"),
        pytest.param({"cut": 10}, 132, "the last record is cut off; its 56 bytes of 66", id="last record cut off"),
        pytest.param({"tail": b"abc"}, 165, "its 3 bytes of 66", id="bytes behind the last record"),
        pytest.param({"n_bytes": "1024"}, 165, "'1024' bytes long; 1 signals make it 512", id="length of header"),
        pytest.param({"digital": ("0", "0")}, 165, "no calibration .* of 'FP1-F7'", id="digital range of nothing"),
        pytest.param({"physical": ("0", "0")}, 165, "no calibration .* of 'FP1-F7'", id="physical range of nothing"),
        pytest.param({"physical": ("", "n/a")}, 165, "no calibration .* of 'FP1-F7'", id="physical range missing"),
        pytest.param({"physical": ("-100,5", "100,5")}, 165, "", id="decimal commas"),
        pytest.param({"units": "\u00b5V"}, 165, "", id="Latin-1 in the header"),
        pytest.param({"version": b"0\0\0\0\0\0\0\0"}, 165, "", id="zeros for blanks"),
        pytest.param({"reserved": "EDF+C"}, 165, "5 of 5 records do not say when", id="EDF+ without annotations"),
    ],
)
def test_what_can_be_read_is_read(fake, tmp_path, changes, n_samples, said):
    recording, warned = mended(fake, tmp_path, **changes)
    assert re.search(said, warned)
    assert bool(said) == bool(warned)
    eeg = recording.signals_stored["eeg"]
    np.testing.assert_array_equal(eeg.values[:, 0], fake.plain().channels[0].values.reshape(-1)[:n_samples])
    assert eeg.attrs["units"] == ("a.u." if "calibration" in said else "uV")
    if changes.get("physical") == ("-100,5", "100,5"):
        assert eeg.attrs["scale_factor"] == pytest.approx(201 / 65535)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"seconds": "abc"}, "duration of a record in seconds, got 'abc'", id="duration"),
        pytest.param({"seconds": "-1"}, "duration of a record in seconds, got '-1'", id="negative duration"),
        pytest.param({"n_records": "1.5"}, "number of records in the header, got '1.5'", id="records"),
        pytest.param({"cut": 300}, "not one record of 66 bytes is complete, 30 bytes follow", id="no record"),
        pytest.param({"cut": 400}, "expected a header of 512 bytes for 1 signals", id="header cut off"),
    ],
)
def test_damaged_headers_are_explained(fake, tmp_path, changes, message):
    file = fake.plain()
    for key, value in changes.items():
        setattr(file, key, value)
    path = fake.write_file(tmp_path / "a.edf", file)
    with pytest.raises(RawFileError, match=message) as caught:
        Edf(path).sessions()
    assert "a.edf" in str(caught.value)


def test_a_header_that_promises_a_giant_allocates_nothing(fake, tmp_path):
    path = fake.write_file(tmp_path / "a.edf", fake.plain())
    content = bytearray(path.read_bytes())
    content[256 + 216 : 256 + 224] = b"99999999"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(RawFileError, match="not one record of 199999998 bytes is complete"):
        Edf(path).sessions()
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_annotations_only(fake, tmp_path):
    notes = [tal + b"" for tal in (fake.tal("+0", "") + fake.tal("+0", "Sleep stage W", duration="30"), b"")]
    channels = [fake.Channel("EDF Annotations", notes, "", ("-1", "1"))]
    recording = read_edf(fake.write_file(tmp_path / "hypnogram.edf", fake.File(seconds="0", channels=channels)))
    assert list(recording.signals) == []
    assert recording.metadata["modality"] == "other"
    assert recording.intervals["annotations"].label.values.tolist() == ["Sleep stage W"]


def test_records_without_duration_that_hold_one_sample_each_have_times(fake, tmp_path):
    channels = [
        fake.Channel("CO2", fake.integers(0, 3, 1), "mmHg"),
        fake.Channel("EDF Annotations", fake.record_times(["+0.5", "+1", "+4.25"]), "", ("-1", "1")),
    ]
    path = fake.write_file(tmp_path / "a.edf", fake.File(reserved="EDF+D", seconds="0", channels=channels))
    assert read_edf(path).signals["resp"].time.values.tolist() == [0.0, 0.5, 3.75]
    assert read_edf(path, rate_hz=2.0).signals["resp"].time.values.tolist() == [0.0, 0.5, 1.0]
    many = fake.File(seconds="0", reserved="", channels=[fake.Channel("C3", fake.integers(0, 3, 8))])
    path = fake.write_file(tmp_path / "b.edf", many)
    assert read_edf(path).signals["eeg"].attrs["time_unit"] == "frame"
    assert read_edf(path, rate_hz=8.0).signals["eeg"].attrs["sampling_rate_hz"] == 8.0


def test_damaged_annotations_are_counted_and_texts_in_latin1_are_read(fake, tmp_path):
    notes = [fake.tal("+0", "") + b"garbage\x00" + fake.tal("+0.5", "Ärger", encoding="latin-1")]
    channels = [fake.Channel("EDF Annotations", notes, "", ("-1", "1"))]
    path = fake.write_file(tmp_path / "a.edf", fake.File(channels=channels))
    with pytest.warns(UserWarning, match=r"a\.edf: 1 annotations are damaged"):
        recording = read_edf(path)
    assert recording.events["annotations"].text.values.tolist() == ["Ärger"]


def test_endless_texts_are_refused(fake, tmp_path):
    notes = [fake.tal("+0", "") + fake.tal("+1", "x" * 100_000) + fake.tal("+1", "y") * 3000]
    path = fake.write_file(tmp_path / "a.edf", fake.File(channels=[fake.Channel("EDF Annotations", notes)]))
    with pytest.raises(RawFileError, match="3001 annotations of up to 100000 characters"):
        read_edf(path)


def test_any_rows_are_those_of_the_whole(fake, tmp_path):
    file = fake.polysomnography()
    file.channels += [fake.Channel("EEG C4", fake.integers(40, 4, 100))]
    eeg = read_edf(fake.write_file(tmp_path / "psg.edf", file)).signals_stored["eeg"]
    whole = eeg.values
    assert whole.shape == (400, 4)
    for first in (0, 1, 99, 100, 101, 250, 399):
        for after in (first, first + 1, 100, 199, 200, 201, 400):
            np.testing.assert_array_equal(eeg[first:after].values, whole[first:after])
    np.testing.assert_array_equal(eeg[::7, [3, 0]].values, whole[::7, [3, 0]])


def test_reading_rows_takes_little_memory_even_of_one_giant_record(fake, tmp_path):
    channels = [fake.Channel(f"X{i}", np.zeros((1, 500_000), np.int32)) for i in range(8)]
    recording = read_edf(fake.write_file(tmp_path / "a.edf", fake.File(reserved="", seconds="500", channels=channels)))
    eeg = recording.signals_stored["eeg"]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    assert eeg[1000:2000].values.shape == (1000, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 1 << 20


def test_a_file_that_shrinks_is_noticed(fake, tmp_path):
    path = fake.write_file(tmp_path / "a.edf", fake.plain())
    recording = read_edf(path)
    path.write_bytes(path.read_bytes()[:-70])
    with pytest.raises(RawFileError, match="shorter than when it was opened"):
        recording.signals_stored["eeg"].values  # noqa: B018 (read it)


@pytest.mark.parametrize(
    ("labels", "units", "expected"),
    [
        pytest.param(["EEG FP1-REF", "EEG T3-REF", "EEG EKG1-REF", "PHOTIC-REF", "EEG LOC-REF"], "uV",
                     {"eeg": 2, "ecg": 1, "trigger": 1, "eog": 1}, id="TUH"),
        pytest.param(["FP1-F7", "T8-P8", "-", "T8-P8", "ECG", "VNS"], "uV", {"eeg": 4, "misc": 1, "ecg": 1}, id="CHB-MIT"),
        pytest.param([f"EEG {s}{i}-Ref" for s in ("A", "B'", "LAT") for i in range(1, 9)] + ["EEG Fz-Ref", "ECG1"], "uV",
                     {"seeg": 24, "eeg": 1, "ecg": 1}, id="shafts"),
        pytest.param([f"POL {s}{i}" for s in ("F", "TP", "ACC") for i in range(1, 11)] + ["POL DC01"], "uV",
                     {"seeg": 30, "misc": 1}, id="shafts called like scalp rows"),
        pytest.param([f"{s}{i}" for s in "ABCD" for i in range(1, 33)] + ["EXG1"], "uV", {"eeg": 129}, id="BioSemi 128"),
        pytest.param([f"E{i}" for i in range(1, 65)], "uV", {"eeg": 64}, id="EGI"),
        pytest.param(["Fp1", "Fp2", "M1", "Chin1-Chin2", "E1-M2", "Leg/L", "Snore", "Thorax", "Position"], "uV",
                     {"eeg": 3, "emg": 2, "eog": 1, "audio": 1, "resp": 1, "position": 1}, id="sleep laboratory"),
    ],
)  # fmt: skip
def test_channels_are_typed_by_label(fake, tmp_path, labels, units, expected):
    channels = [fake.Channel(label, fake.integers(i, 1, 4), units) for i, label in enumerate(labels)]
    path = fake.write_file(tmp_path / "a.edf", fake.File(reserved="", channels=channels))
    recording = read_edf(path)
    assert {name: signal.sizes["channel"] for name, signal in recording.signals_stored.items()} == expected
    assert recording.metadata["modality"] == next(iter(expected))
    everything = [i for signal in recording.signals.values() for i in signal.channel_id.values.tolist()]
    assert len(set(everything)) == len(labels)
    depth = read_edf(path, modality="seeg")
    assert "eeg" not in depth.signals
    assert depth.metadata["modality"] == "seeg"


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("Fc5.", ("Fc5", "", "")),
        ("EEG FP1-REF", ("FP1", "REF", "eeg")),
        ("EEG Fpz-Cz", ("Fpz-Cz", "", "eeg")),
        ("F4-A1", ("F4-A1", "", "")),
        ("EEG A'12-Ref", ("A'12", "Ref", "eeg")),
        ("POL DC01", ("DC01", "", "pol")),
        ("ECG II", ("ECG II", "", "ecg")),
        ("Iz..", ("Iz", "", "")),
        ("EEG afz-le", ("afz", "le", "eeg")),
        ("", ("", "", "")),
    ],
)
def test_labels_are_taken_apart(raw, parts):
    assert split_label(raw) == parts


def test_only_scalp_electrodes_get_canonical_names(fake, tmp_path):
    labels = ["EEG T3-Ref", "Fc5.", "CZ-A2", "EEG X7-Ref"]
    channels = [fake.Channel(label, fake.integers(i, 1, 4)) for i, label in enumerate(labels)]
    path = fake.write_file(tmp_path / "a.edf", fake.File(reserved="", channels=channels))
    eeg = read_edf(path).signals["eeg"]
    assert eeg.label.values.tolist() == ["T7", "FC5", "Cz-A2", "X7"]
    assert eeg.label_confidence.values.tolist() == [1.0, 1.0, 1.0, 0.0]
    depth = read_edf(path, modality="seeg").signals["seeg"]
    assert depth.label.values.tolist() == ["T3", "Fc5", "CZ-A2", "X7"]


def test_no_electrode_of_a_biosemi_cap_is_an_ear_and_no_two_are_one(fake, tmp_path):
    labels = [*(f"{side}{i}" for side in "AB" for i in range(1, 33)), "EXG1", "GSR1", "Erg1", "Plet", "T3", "T7"]
    channels = [fake.Channel(label, fake.integers(i, 1, 4)) for i, label in enumerate(labels)]
    recording = read_edf(fake.write_file(tmp_path / "a.edf", fake.File(reserved="", channels=channels)))
    eeg = recording.signals["eeg"]
    assert eeg.label.values.tolist() == [*labels[:65], "T3", "T7"]
    assert not eeg.label_confidence.values.any()
    assert {str(s["type"].values[0]) for s in recording.signals.values()} == {"eeg", "gsr", "misc", "ppg"}


def test_units_are_spelt_alike():
    units = ["\u00b5V", "\u03bcV", "UV", "mv", "MV", "", "BPM", "%", "mmHg", "V", "nV", "\u00b0C", "degC", "kOhm"]
    spelt = ["uV", "uV", "uV", "mV", "MV", "a.u.", "bpm", "%", "mmHg", "V", "nV", "degC", "degC", "kOhm"]
    assert [clean_units(unit) for unit in units] == spelt
    # In full, cut to eight characters, and a micro sign of code page 437 or Shift JIS read as Latin-1.
    for unit in ("uVolt", "\u00b5Volts", "microvol", "microV", "micro V", "mcV", "\u00e6V", " \u00caV"):
        assert clean_units(unit) == "uV", unit


def test_electrodes_are_eeg_in_any_unit_that_a_potential_may_have(fake, tmp_path):
    units = {"Fp1": "uVolt", "Fz": "odd", "Cz": "kOhm", "HR": "BPM", "Temp2": "degC", "Resp": "V"}
    channels = [fake.Channel(label, fake.integers(i, 1, 4), unit) for i, (label, unit) in enumerate(units.items())]
    recording = read_edf(fake.write_file(tmp_path / "a.edf", fake.File(reserved="", channels=channels)))
    found = {i: str(s["type"].values[0]) for s in recording.signals.values() for i in s.channel_id.values.tolist()}
    assert found == {"Fp1": "eeg", "Fz": "eeg", "Cz": "misc", "HR": "pulse", "Temp2": "temperature", "Resp": "resp"}
