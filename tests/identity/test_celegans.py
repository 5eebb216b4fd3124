"""The 302 neurons, and what is made of the labels that files hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError
from neurodata.identity import celegans
from neurodata.identity.celegans import MALE_ONLY, NAMES, check_names, clean_label, clean_labels, names_of

CONNECTOMES = "celegans/connectomes-pub_utils"
TABLE = celegans.table().set_index("name")


def test_the_table_has_the_known_counts():
    assert len(NAMES) == len(set(NAMES)) == 302
    assert TABLE["neuron_class"].nunique() == 118  # White et al. 1986
    assert (TABLE["system"] == "pharyngeal").sum() == 20
    assert TABLE.loc[TABLE["system"] == "pharyngeal", "neuron_class"].nunique() == 14
    assert (TABLE["born"] == "embryonic").sum() == 222  # Sulston & Horvitz 1977
    assert list(TABLE.index[TABLE["is_end_organ"]]) == ["CANL", "CANR"]
    assert (~TABLE["is_end_organ"]).sum() == 300
    assert list(TABLE.index[TABLE["sex"] == "hermaphrodite"]) == ["HSNL", "HSNR", *(f"VC{i}" for i in range(1, 7))]
    assert set(TABLE["function"]) == {"sensory", "inter", "motor", "unknown"}


def test_names_are_unpadded():
    assert not [name for name in NAMES if "0" in name and not name.endswith("10")]
    assert {"DB1", "VB2", "AS10", "VA10", "VB10", "VD10"} <= set(NAMES)


def test_a_copy_is_returned():
    mine = celegans.table()
    mine.loc[0, "name"] = "nobody"
    assert celegans.table().loc[0, "name"] == "I1L"


@pytest.mark.parametrize("column", ["left_right", "dorsal_ventral"])
def test_partners_are_involutions(column):
    partner = TABLE[column]
    for name in NAMES:
        if partner[name]:
            assert partner[name] != name
            assert partner[partner[name]] == name
            assert TABLE.loc[partner[name], "neuron_class"] == TABLE.loc[name, "neuron_class"]


def test_reflections_commute():
    both = TABLE[(TABLE["left_right"] != "") & (TABLE["dorsal_ventral"] != "")]
    assert len(both) == 4 * 12  # IL1 IL2 OLQ CEP URY URA SAA SIA SIB SMB SMD RMD
    for name, row in both.iterrows():
        across = TABLE.loc[row["left_right"], "dorsal_ventral"]
        assert across == TABLE.loc[row["dorsal_ventral"], "left_right"] != name


@pytest.mark.parametrize(
    ("name", "left_right", "dorsal_ventral"),
    [
        pytest.param("AVDL", "AVDR", "", id="the D of AVD is a name"),
        pytest.param("RMDL", "RMDR", "", id="the D of RMD is a name"),
        pytest.param("RMDDL", "RMDDR", "RMDVL", id="quadrant of RMD"),
        pytest.param("RMED", "", "RMEV", id="dorsal RME is on the midline"),
        pytest.param("RMEL", "RMER", "", id="lateral RME"),
        pytest.param("SABD", "", "", id="one dorsal SAB for two ventral"),
        pytest.param("SABVL", "SABVR", "", id="ventral SAB"),
        pytest.param("IL1L", "IL1R", "", id="lateral IL1"),
        pytest.param("IL2DL", "IL2DR", "IL2VL", id="quadrant of IL2"),
        pytest.param("SAAVR", "SAAVL", "SAADR", id="ventral SAA"),
        pytest.param("PVDL", "PVDR", "", id="the D of PVD is a name"),
        pytest.param("PHBL", "PHBR", "", id="a plain pair"),
        *(
            pytest.param(name, "", "", id=f"{name} is unpaired")
            for name in [
                "AVL",
                "AQR",
                "PQR",
                "RIR",
                "PVR",
                "AVM",
                "PVM",
                "ALA",
                "RID",
                "RIH",
                "RIS",
                "DVA",
                "DVB",
                "DVC",
                "M4",
                "PDA",
                "VD3",
                "DD3",
            ]
        ),
    ],
)
def test_partners(name, left_right, dorsal_ventral):
    assert (TABLE.loc[name, "left_right"], TABLE.loc[name, "dorsal_ventral"]) == (left_right, dorsal_ventral)


@pytest.mark.parametrize(
    ("name", "neuron_class", "function", "system"),
    [
        ("AVAL", "AVA", "inter", "somatic"),
        ("RMEV", "RME", "motor", "somatic"),
        ("RMDL", "RMD", "motor", "somatic"),
        ("RMDDL", "RMD", "motor", "somatic"),
        ("SMDVR", "SMD", "motor", "somatic"),
        ("SABD", "SAB", "inter", "somatic"),
        ("IL2DL", "IL2", "sensory", "somatic"),
        ("VB11", "VB", "motor", "somatic"),
        ("AS10", "AS", "motor", "somatic"),
        ("PDA", "PDA", "motor", "somatic"),
        ("ASEL", "ASE", "sensory", "somatic"),
        ("CANL", "CAN", "unknown", "somatic"),
        ("I1L", "I1", "inter", "pharyngeal"),
        ("MI", "MI", "motor", "pharyngeal"),
        ("NSMR", "NSM", "motor", "pharyngeal"),
    ],
)
def test_class_function_and_system(name, neuron_class, function, system):
    assert tuple(TABLE.loc[name, ["neuron_class", "function", "system"]]) == (neuron_class, function, system)


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        ("AVAL", "AVAL"),
        ("DB01", "DB1"),
        ("VB02", "VB2"),
        *((name, name) for name in ("AS10", "VA10", "VB10", "VD10", "VD13")),
        ("DB001", "DB1"),
        ("aval", "AVAL"),
        (" AVA L ", "AVAL"),
        ("ava_l", "AVAL"),
        ("DB-01", "DB1"),
        ("DB1/3", "DB1"),
        ("DB3/1", "DB3"),
        ("db01/03", "DB1"),
    ],
)
def test_certain_labels(raw, label):
    assert clean_label(raw).label == label
    assert clean_label(raw).confidence == 1.0


def test_every_name_cleans_to_itself():
    assert [clean_label(name).label for name in NAMES] == list(NAMES)
    assert [clean_label(name.lower()).note for name in NAMES] == [""] * 302
    male = names_of("male")
    assert [clean_label(name, names=male).label for name in male] == list(male)


@pytest.mark.parametrize(
    ("raw", "neuron_class", "note"),
    [
        pytest.param("AVA?", "AVA", "the side is uncertain", id="question mark for the side"),
        pytest.param("AVA", "AVA", "the side is uncertain", id="class only"),
        pytest.param("AVAL/R", "AVA", "the side is uncertain", id="either side"),
        pytest.param("SMDV?", "SMD", "the side is uncertain", id="ventral, side unknown"),
        pytest.param("VB?", "VB", "the side is uncertain", id="which VB is unknown"),
        pytest.param("AVAL?", "AVA", "the identity is uncertain", id="a whole name doubted"),
        pytest.param("RIS?", "RIS", "the identity is uncertain", id="a lone neuron doubted"),
        pytest.param("AVZL", "", "no neuron has this name; did you mean", id="no such neuron"),
        pytest.param("AV?", "", "no neuron has this name", id="several classes fit"),
        pytest.param("DB8", "", "no neuron has this name", id="there are seven DB"),
        pytest.param("CEMDL", "", "no neuron has this name", id="a male's neuron"),
        pytest.param("", "", "", id="empty"),
        pytest.param("17", "", "", id="a number"),
        pytest.param("nan", "", "", id="a missing value written out"),
        pytest.param(None, "", "", id="none"),
    ],
)
def test_uncertain_labels_are_unlabelled(raw, neuron_class, note):
    clean = clean_label(raw)
    assert (clean.label, clean.confidence, clean.neuron_class) == ("", 0.0, neuron_class)
    assert clean.note.startswith(note)
    assert bool(clean.note) == bool(note)


def test_duplicates_are_reported_and_unlabelled():
    cleaned = clean_labels(["AVAL", "DB01", "", "aval", "AVA?", "DB1/3", "foo", "RIS"])
    assert cleaned.label.tolist() == ["", "", "", "", "", "", "", "RIS"]
    assert cleaned.label_raw.tolist() == ["AVAL", "DB01", "", "aval", "AVA?", "DB1/3", "foo", "RIS"]
    assert cleaned.label_confidence.tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert cleaned.label_class.tolist() == ["AVA", "DB", "", "AVA", "AVA", "DB", "", "RIS"]
    assert cleaned.problems == (
        "channel 4: label 'AVA?': the side is uncertain; left unlabelled",
        "channel 6: label 'foo': no neuron has this name; left unlabelled",
        "channels 0, 3: all labelled 'AVAL'; left unlabelled",
        "channels 1, 5: all labelled 'DB1'; left unlabelled",
    )


def test_columns_for_a_signal():
    columns = clean_labels(["VB02", ""]).columns("the authors")
    assert columns["label"].tolist() == ["VB2", ""]
    assert columns["label_source"].tolist() == ["the authors", ""]
    assert clean_labels([]).label.dtype.kind == "U"


def test_vocabulary_ids():
    assert celegans.vocabulary_ids(NAMES).tolist() == list(range(302))
    assert celegans.vocabulary_ids(["", "I1L", "VC6"]).tolist() == [-1, 0, 301]
    with pytest.raises(NeurodataError, match=r"'DB01'; did you mean 'DB1'.*clean_labels"):
        celegans.vocabulary_ids(["DB01"])


def test_names_are_checked_against_sex_and_stage():
    assert len(names_of("male")) == 385
    assert check_names(["CEMDL", "CP00"], sex="male") == ("CEMDL", "CP0")
    with pytest.raises(NeurodataError, match=r"1 of 2 names are not those of hermaphrodite, adult(.|\n)*'CEMDL'"):
        check_names(["CEMDL", "AVAL"])
    with pytest.raises(NeurodataError, match="'HSNL'"):
        check_names(["HSNL"], sex="male")
    with pytest.raises(NeurodataError, match="'VA01'"):
        check_names(["VA01"], stage="hatchling")
    with pytest.raises(NeurodataError, match="'AVAL': comes 2 times"):
        check_names(["AVAL", "aval"])
    with pytest.raises(NeurodataError, match="no sex 'mael'; did you mean 'male'"):
        names_of("mael")
    with pytest.raises(NeurodataError, match="no stage 'egg'"):
        names_of(stage="egg")


def test_shared_tables_hold_the_names_of_their_sex(real_data):
    folder = real_data(CONNECTOMES)
    for path in sorted(folder.glob("*_*.csv")):
        if path.name == "neuron_features.csv":
            continue
        raw = list(pd.read_csv(path, index_col=0, nrows=400).index)
        if "Male" in path.name:
            assert set(check_names(raw, sex="male")) == set(names_of("male"))
            with pytest.raises(NeurodataError, match="91 of 385 names are not those of hermaphrodite"):
                check_names(raw)
        else:
            assert check_names(raw) == NAMES, path.name


def test_newborn_connectomes_hold_no_neuron_born_later(real_data):
    newborn = set(names_of(stage="hatchling"))
    for name in ("WitvlietL1_01", "WitvlietL1_02", "WitvlietL1_03"):
        weights = pd.read_csv(real_data(CONNECTOMES) / f"chemical_{name}.csv", index_col=0)
        seen = weights.index[weights.notna().any(axis=1)]
        assert len(seen) > 150
        assert set(check_names(seen, stage="hatchling")) <= newborn


def test_function_and_system_agree_with_the_features_table(real_data):
    features = pd.read_csv(real_data(CONNECTOMES) / "neuron_features.csv", index_col=0)
    words = {"sensory": "sensory", "interneuron": "inter", "motor": "motor", "unknown": "unknown"}
    for raw, row in features.iterrows():
        neuron = TABLE.loc[clean_label(raw).label]
        assert (neuron["system"] == "pharyngeal") == bool(row["cellType:pharynx"])
        if neuron["system"] == "somatic":
            assert [neuron["function"]] == [word for column, word in words.items() if row[f"cellType:{column}"]]


def test_the_packaged_table_is_what_the_script_makes(real_data, tmp_path):
    path = Path(__file__).resolve().parents[2] / "scripts" / "make_celegans_table.py"
    spec = importlib.util.spec_from_file_location("make_celegans_table", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make_table(real_data(CONNECTOMES)).to_csv(tmp_path / "made.csv", index=False, lineterminator="\n")
    packaged = Path(celegans.__file__).with_name("celegans_neurons.csv")
    assert (tmp_path / "made.csv").read_text() == packaged.read_text()


def test_male_names_are_distinct():
    assert len(MALE_ONLY) == len(set(MALE_ONLY)) == 91
    assert not set(MALE_ONLY) & set(NAMES)
    assert np.all([name == name.upper() for name in MALE_ONLY])
