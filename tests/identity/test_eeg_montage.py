"""Names and positions of scalp electrodes."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.identity import eeg_montage
from neurodata.identity.channel_types import channel_type, depth_contacts, kind_of
from neurodata.identity.eeg_montage import (
    NAMES,
    clean_label,
    clean_labels,
    homologue,
    positions,
    vocabulary_ids,
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "label", "kind"),
    [
        ("Fc5.", "FC5", "electrode"),
        ("Cz..", "Cz", "electrode"),
        ("FP1", "Fp1", "electrode"),
        ("EEG Fp2-REF", "Fp2", "electrode"),
        ("EEG T3-LE", "T7", "electrode"),
        ("t4", "T8", "electrode"),
        ("T5", "P7", "electrode"),
        ("T6", "P8", "electrode"),
        ("AF_z", "AFz", "electrode"),
        ("P03", "PO3", "electrode"),
        ("0z", "Oz", "electrode"),
        ("POO9h", "POO9h", "electrode"),
        ("A1", "A1", "reference"),
        ("m2", "M2", "reference"),
        ("F4-A1", "F4-A1", "derivation"),
        ("CZ-A2", "Cz-A2", "derivation"),
        ("EEG Fpz-Cz", "Fpz-Cz", "derivation"),
        ("FP1-F7", "Fp1-F7", "derivation"),
        ("T3-T5", "T7-P7", "derivation"),
        ("E17", "E17", ""),
        ("B'4", "B'4", ""),
        ("C3-0", "C3-0", ""),
        ("", "", ""),
        ("n/a", "", ""),
    ],
)
def test_one_label(raw, label, kind):
    clean = clean_label(raw)
    assert (clean.label, clean.kind, clean.confidence) == (label, kind, float(bool(kind)))


def test_every_name_cleans_to_itself_and_has_a_position():
    assert [clean_label(name).label for name in NAMES] == list(NAMES)
    assert np.isfinite(positions(NAMES)).all()
    np.testing.assert_array_equal(vocabulary_ids(NAMES), np.arange(len(NAMES)))


def test_positions_are_those_of_mne():
    mne = pytest.importorskip("mne")
    with pytest.warns() if "colin27_1005" in mne.channels.get_builtin_montages() else _nothing():
        montage = mne.channels.make_standard_montage("standard_1005")
    info = mne.create_info(list(NAMES), 100.0, "eeg")
    info.set_montage(montage)
    expected = np.array([channel["loc"][:3] for channel in info["chs"]])
    np.testing.assert_allclose(positions(NAMES), expected, atol=1e-7)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_what_is_no_single_electrode_sits_nowhere():
    assert np.isnan(positions(["F4-A1", "E17", "", "T3"])).all()
    assert positions([]).shape == (0, 3)
    assert vocabulary_ids(["Cz", "F4-A1"]).tolist() == [NAMES.index("Cz"), -1]


def test_homologues_are_mirror_images():
    assert [homologue(name) for name in ("FC5", "FC6", "Cz", "P10", "FFC5h", "A1")] == [
        "FC6", "FC5", "Cz", "P9", "FFC6h", "A2",
    ]  # fmt: skip
    partners = [homologue(name) for name in NAMES]
    assert set(partners) == set(NAMES)
    assert [homologue(name) for name in partners] == list(NAMES)
    mirrored = positions(partners) * [-1, 1, 1]
    assert np.abs(mirrored - positions(NAMES)).max() < 0.012
    with pytest.raises(NeurodataError, match=r"'fc5' is no electrode of the 10-05 system; did you mean 'FC5'\?"):
        homologue("fc5")


@pytest.mark.parametrize(
    ("label", "stated", "kind"),
    [
        ("EOG1", "eeg", "eog"),
        ("HEOGL", "", "eog"),
        ("EOG ROC-A2", "eeg", "eog"),
        ("E1-M2", "eeg", "eog"),
        ("E1", "eeg", "eeg"),
        ("EKG", "eeg", "ecg"),
        ("ECoG1", "ecog", "ecog"),
        ("EMG chin", "eeg", "emg"),
        ("Resp oro-nasal", "eeg", "resp"),
        ("STATUS", "eeg", "stim"),
        ("SpO2", "eeg", "misc"),
        ("EEG Fpz-Cz", "eeg", "eeg"),
        ("Oz", "eeg", "eeg"),
        ("O2", "EEG", "eeg"),
        ("O1", "", "eeg"),
        ("T3", "seeg", "seeg"),
        ("EOG1", "misc", "misc"),
        ("MEG0111", "mag", "mag"),
    ],
)
def test_types(label, stated, kind):
    assert channel_type(label, stated) == kind


@pytest.mark.parametrize(
    ("label", "kind"),
    [("MKR1+", "stim"), ("BPM", "pulse"), ("MIC1", "audio"), ("PhotoDiode", "light"), ("ACC X", "accel"), ("ACC3", "")],
)
def test_organs_and_devices(label, kind):
    assert kind_of(label) == kind


def test_contacts_of_depth_electrodes_are_told_from_caps():
    shafts = [f"{stem}{i}" for stem in ("A", "B'", "LH") for i in range(1, 9)]
    assert depth_contacts([*shafts, "ECG1", "DC1"]) == set(shafts)
    assert depth_contacts([name for name in NAMES[:90] if not name.endswith("h")]) == set()
    assert depth_contacts([f"{side}{i}" for side in "AB" for i in range(1, 33)]) == set()
    assert depth_contacts([f"{stem}{i}" for stem in ("EXG", "CH") for i in range(1, 9)]) == set()


def test_every_electrode_is_eeg():
    assert {channel_type(name, "eeg") for name in NAMES} == {"eeg"}


def test_only_channels_of_type_eeg_are_scalp_electrodes():
    cleaned = clean_labels(["A1", "T3", "T3", "EOG1"], ["seeg", "seeg", "eeg", "eog"])
    assert cleaned.label.tolist() == ["A1", "T3", "T7", "EOG1"]
    assert cleaned.label_confidence.tolist() == [0, 0, 1, 0]
    assert cleaned.label_raw.tolist() == ["A1", "T3", "T3", "EOG1"]
    assert cleaned.problems == ()


def test_numbered_contacts_are_no_scalp_electrodes_though_typed_as_eeg():
    shafts = [f"{stem}{i}" for stem in ("A", "B'", "T", "F") for i in range(1, 9)]
    cleaned = clean_labels([*shafts, "Cz", "Fz"])
    assert cleaned.label.tolist() == [*shafts, "Cz", "Fz"]
    assert cleaned.label_confidence.tolist() == [0.0] * 32 + [1.0, 1.0]
    assert "numbered through" in cleaned.problems[0]
    pairs = clean_labels(["A1-A2", "A2-A3", "A3-A4", "A4-A5"])
    assert pairs.kind.tolist() == [""] * 4


def test_rows_of_a_dense_cap_are_no_depth_electrodes():
    cap = [name for name in NAMES[:90] if not name.endswith("h")]
    assert clean_labels([*cap, "EXG1", "EXG2", "EXG3", "EXG4"]).label_confidence[: len(cap)].all()
    ten_twenty = [
        "Fp1",
        "Fp2",
        "F7",
        "F3",
        "Fz",
        "F4",
        "F8",
        "T3",
        "C3",
        "Cz",
        "C4",
        "T4",
        "T5",
        "P3",
        "Pz",
        "P4",
        "T6",
        "O1",
        "O2",
        "A1",
        "A2",
    ]
    cleaned = clean_labels([f"EEG {name}-REF" for name in ten_twenty])
    assert cleaned.label_confidence.all()
    assert cleaned.kind.tolist().count("reference") == 2


def test_two_channels_are_never_the_same_electrode():
    cleaned = clean_labels(["T3", "T7", "Cz"])
    assert cleaned.label.tolist() == ["T3", "T7", "Cz"]
    assert cleaned.label_confidence.tolist() == [0, 0, 1]
    assert cleaned.problems[0] == "channel 0: label 'T3': 2 channels would be called T7; left as it is"


def test_columns_of_a_signal():
    columns = clean_labels(["Fc5.", ""]).columns("file.edf")
    assert columns["label"].tolist() == ["FC5", ""]
    assert columns["label_source"].tolist() == ["file.edf", ""]
    assert clean_labels([]).label.shape == (0,)
    assert len(eeg_montage.NAMES) == 339
