"""Connectomes from files: names, kinds and sexes as everywhere, oddities said, what is wrong explained once."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.identity.celegans import MALE_ONLY, NAMES
from neurodata.loaders.connectomes import open_connectome
from neurodata.recording.consensus import consensus, join
from neurodata.recording.graphs import graph_problems
from neurodata.recording.recording import Recording
from neurodata.store.write import write_recording

FOLDER = "celegans/connectomes-pub_utils"


def write_matrix(path, rows, names=("AVAL", "VB02", "RIML"), columns=None):
    """Cells as text, so that anything can be in them."""
    lines = [",".join(["", *(columns or names)])]
    lines += [",".join([name, *map(str, row)]) for name, row in zip(names, rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_list(path, text):
    path.write_text(text.strip().replace(" ", "\t") + "\n")
    return path


def said(connectome, part):
    return any(part in problem for problem in connectome.problems)


# ---- matrices


def test_a_matrix_has_rows_presynaptic_and_clean_names(tmp_path):
    path = write_matrix(tmp_path / "chemical_Mine.csv", [[0, 3, 0], [0, 0, 0], [0, 5, 0]])
    wiring = open_connectome(path)
    assert wiring.neurons == NAMES
    assert wiring.edges[["pre", "post", "weight"]].to_numpy().tolist() == [["AVAL", "VB2", 3.0], ["RIML", "VB2", 5.0]]
    assert (wiring.kinds, wiring.sources, wiring.sex) == (("chemical",), ("Mine",), "hermaphrodite")
    assert len(wiring.tables[0].missing) == 299
    assert said(wiring, "299 neurons are not in the table")


def test_rows_and_columns_in_other_orders_are_read_by_name(tmp_path):
    path = write_matrix(tmp_path / "chemical_x.csv", [[1, 2], [3, 4]], ("AVAL", "AVAR"), ("AVAR", "AVAL"))
    matrix = open_connectome(path).matrix(neurons=["AVAL", "AVAR"])
    np.testing.assert_array_equal(matrix, [[2, 1], [4, 3]])


def test_empty_cells_are_unknown_and_zeros_are_no_connection(tmp_path):
    path = write_matrix(tmp_path / "chemical_x.csv", [[0, "", 2], ["", "", ""], [0, "", 0]])
    wiring = open_connectome(path)
    matrix = wiring.matrix(neurons=["AVAL", "VB2", "RIML"])
    np.testing.assert_array_equal(matrix, [[0, np.nan, 2], [np.nan] * 3, [0, np.nan, 0]])
    assert said(wiring, "1 neurons are not part of this reconstruction (empty cells): VB2")


def test_self_junctions_asymmetric_gap_junctions_and_idle_neurons_are_said_and_kept(tmp_path):
    path = write_matrix(tmp_path / "electrical_x.csv", [[4, 3, 0], [1.5, 0, 0], [0, 0, 0]])
    wiring = open_connectome(path)
    assert wiring.matrix().sum() == 8.5
    assert said(wiring, "1 self-junctions of weight 4 in all, kept: AVAL (4)")
    assert said(wiring, "1 gap junctions differ between the two directions (0 are in one direction only)")
    assert said(wiring, "AVAL–VB2 (3, 1.5)")
    assert said(wiring, "1 of its neurons have no connection at all: RIML")
    assert said(wiring, "1 weights are no whole numbers")


def test_male_tables_are_told_by_their_neurons(tmp_path):
    path = write_matrix(tmp_path / "chemical_x.csv", [[0, 1], [0, 0]], ("AVAL", "CP01"))
    wiring = open_connectome(path)
    assert wiring.sex == "male"
    assert len(wiring.neurons) == 385
    assert wiring.edges["post"].tolist() == ["CP1"]
    with pytest.raises(
        RawFileError, match=r"(?s)1 of 2 names are no neurons of the hermaphrodite.*'CP01'.*another sex"
    ):
        open_connectome(path, sex="hermaphrodite")


def test_kind_source_and_units_may_be_given(tmp_path):
    path = write_matrix(tmp_path / "mine.csv", [[0, 1], [0, 0]], ("AVAL", "AVAR"))
    with pytest.raises(RawFileError, match=r"neither the name of the file says what kind .* nor kind="):
        open_connectome(path)
    table = open_connectome(path, kind="gap junction", source="em", units="junctions").tables[0]
    assert (table.kind, table.source, table.units) == ("electrical", "em", "junctions")


def test_other_cells_of_a_matrix_are_left_out_and_said_or_kept(tmp_path):
    path = write_matrix(tmp_path / "chemical_x.csv", [[0, 3, 1], [0, 0, 0], [0, 0, 0]], ("AVAL", "MDL01", "AVAR"))
    wiring = open_connectome(path)
    assert wiring.edges["weight"].tolist() == [1]
    assert said(wiring, "1 cells that are no neurons are left out with 1 connections of weight 3 in all: MDL01")
    assert open_connectome(path, other_cells="keep").matrix().sum() == 4


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        pytest.param([[0, -1], [0, 0]], ("AVAL", "AVAR"), r"AVAL→AVAR: -1 is negative", id="negative"),
        pytest.param(
            [[0, "x"], ["inf", 0]], ("AVAL", "AVAR"), r"(?s)'x' is not a number.*inf is not finite", id="text"
        ),
        pytest.param([[0, 1]], ("AVAL", "AVAR"), r"is square.*got 1 × 2", id="not square"),
        pytest.param([[0, 1], [0]], ("AVAL", "AVAR"), r"header has 3 cells, but line 3 has 2", id="ragged"),
        pytest.param([[0, 1], [0, 0]], ("AVAL", "AVAL"), r"rows repeat", id="repeated"),
        pytest.param([[0, 1], [0, 0]], ("VB2", "VB02"), r"(?s)rows repeat.*'VB2': comes 2 times", id="repeated padded"),
        pytest.param(
            [[0] * 4] * 4, ("AVAL", "AVAR", "AVXL", "AVA?"), r"(?s)2 of 4 names .*'AVXL'.*'AVA\?'.*side", id="unknown"
        ),
    ],
)
def test_wrong_matrices_are_explained(tmp_path, rows, names, message):
    path = write_matrix(tmp_path / "chemical_x.csv", rows, names)
    with pytest.raises(RawFileError, match=message):
        open_connectome(path)


# ---- lists

NEMANODE = """
pre post type synapses
ADAL AVAL chemical 2
ADAL AVDR electrical 4
ADEL ADEL chemical 1
ADEL CEPshDL chemical 2
ADER BWM-DR04 chemical 7
"""
WORMATLAS = """
Neuron1 Neuron2 Type Nbr
ADAL AVAL S 1
ADAL AVAL Sp 2
AVAL ADAL R 1
AVAL ADAL Rp 2
VB02 NMJ NMJ 5
ADAL ADAR EJ 3
ADAR ADAL EJ 3
"""


def test_a_list_becomes_one_table_per_kind(tmp_path):
    wiring = open_connectome(write_list(tmp_path / "aconnectome_witvliet_2020_7.csv", NEMANODE))
    assert wiring.kinds == ("chemical", "electrical")
    assert wiring.sources == ("witvliet_2020_7",)
    assert wiring.matrix("chemical").sum() == 3
    assert wiring.matrix("electrical").sel(pre="ADAL", post="AVDR") == 4
    assert wiring.matrix("electrical").sel(pre="AVDR", post="ADAL") == 0, "listed once, kept so"
    assert said(wiring, "1 gap junctions differ between the two directions (1 are in one direction only)")
    assert said(wiring, "2 cells are no neurons; 2 connections of weight 9 in all are left out: CEPshDL, BWM-DR04")
    assert said(wiring, "1 chemical self-junctions")
    assert "ADEL" not in wiring.tables[0].missing
    assert "RIML" in wiring.tables[0].missing
    kept = open_connectome(tmp_path / "aconnectome_witvliet_2020_7.csv", other_cells="keep")
    assert kept.matrix("chemical").sum() == 12
    assert kept.neurons[-2:] == ("BWM-DR04", "CEPshDL")


def test_synapses_that_are_listed_from_both_ends_count_once(tmp_path):
    wiring = open_connectome(write_list(tmp_path / "NeuronConnect.csv", WORMATLAS))
    assert wiring.matrix("chemical").sel(pre="ADAL", post="AVAL") == 3
    assert wiring.matrix("chemical").sum() == 3
    assert wiring.matrix("electrical").sum() == 6
    assert said(wiring, "2 lines list synapses again from the receiving end (R, Rp); left out")
    only = "\n".join(line for line in WORMATLAS.splitlines() if " S" not in line)
    turned = open_connectome(write_list(tmp_path / "received.csv", only))
    assert turned.matrix("chemical").sel(pre="ADAL", post="AVAL") == 3


def test_transmitters_are_kept_beside_the_edge(tmp_path):
    path = tmp_path / "esconnectome_monoamines_Bentley_2016.csv"
    path.write_text(
        "#source neuron, target neuron, transmitter, receptor\n"
        "RIML,AIYL,tyramine,ser-2\nRIML,AIYL,tyramine,tyra-3\nRICL,RICL,octopamine,ser-6\n"
    )
    wiring = open_connectome(path)
    assert (wiring.kinds, wiring.sources) == (("monoamine",), ("Bentley_2016",))
    edge = wiring.edges.iloc[0]
    assert (edge["weight"], edge["transmitter"], edge["receptor"]) == (2, "tyramine", "ser-2, tyra-3")
    assert said(wiring, "the list states no weights; each line counts 1")
    assert said(wiring, "1 lines name a pair that an earlier one")


def test_source_and_target_are_who_and_whom(tmp_path):
    path = tmp_path / "herm_full_edgelist.csv"
    path.write_text("Source,Target,Weight,Type\nAVAL, VA08 ,7,chemical\nAVAL,AVAR,2,electrical\n")
    wiring = open_connectome(path)
    assert wiring.matrix("chemical").sel(pre="AVAL", post="VA8") == 7


def test_a_source_column_names_the_tables(tmp_path):
    text = "pre post kind weight dataset\nAVAL AVAR chemical 1 x\nAVAL AVAR chemical 5 y"
    wiring = open_connectome(write_list(tmp_path / "all.tsv", text))
    assert wiring.sources == ("x", "y")
    assert consensus(wiring).edges["sources"].tolist() == ["x, y"]


@pytest.mark.parametrize(
    "header",
    ["from to weight", "pre_name post_name weight", "Pre-neuron Post-neuron syn_count", "Source Target Synapses"],
)
def test_lists_are_known_by_their_headers(tmp_path, header):
    wiring = open_connectome(write_list(tmp_path / "list.tsv", f"{header}\nAVAL VA08 7"), kind="chemical")
    assert wiring.matrix().sel(pre="AVAL", post="VA8") == 7
    assert wiring.matrix().sum() == 7


def test_who_says_so_may_stand_beside_source_and_target(tmp_path):
    wiring = open_connectome(
        write_list(tmp_path / "l.tsv", "Source Target Type Dataset\nAVAL AVAR chemical x\nAVAL AVAR chemical y")
    )
    assert wiring.sources == ("x", "y")


def test_byte_order_marks_line_ends_of_windows_and_blank_lines_change_nothing(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xef\xbb\xbfpre,post,type,weight\r\n\r\nAVAL,AVAR,chemical,2\r\n,,,\r\nAVAR,AVAL,chemical,1\r\n")
    assert open_connectome(path).edges["weight"].tolist() == [2, 1]
    path.write_text("pre,post,type,weight\n\n\nAVAL,AVAR,chemical,2\n\nAVAR,AVAL,chemical,x\n")
    with pytest.raises(RawFileError, match="line 6: weight 'x'"):
        open_connectome(path)


def test_further_columns_are_kept_under_names_that_a_graph_can_hold(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(
        "pre,post,type,weight,tables,self,label,time,a b,a_b,größe,weight\nAVAL,AVAR,chemical,2,1,2,3,4,5,6,7,8\n"
    )
    graph = open_connectome(path).to_graph()
    assert list(graph_problems(graph)) == []
    more = {name: str(graph[name].values[0]) for name in ("tables", "self", "label_", "time_", "a_b", "a_b_", "gr_e")}
    assert list(more.values()) == list("1234567")
    assert graph["weight"].values.tolist() == [2]
    assert graph["weight_"].values.tolist() == ["8"]


def test_functional_weights_may_be_negative(tmp_path):
    wiring = open_connectome(write_list(tmp_path / "l.tsv", "pre post type weight\nAVAL AVAR functional -0.5"))
    assert wiring.matrix().sel(pre="AVAL", post="AVAR") == -0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("pre post type weight\nAVAL AVAR functional inf", r"'inf' is not a finite number", id="infinite"),
        pytest.param("pre post type synapses\nAVAL AVAR chemical 0", r"but of weight 0$", id="nothing but 0"),
        pytest.param("pre post type synapses\nAVAL AVAR chemical x", r"line 2: weight 'x' is not a number", id="text"),
        pytest.param(
            "pre post type synapses\nAVAL AVAR chemical -2", r"weight '-2' is not a number from 0", id="negative"
        ),
        pytest.param("pre post type synapses\nAVAL AVAR magic 2", r"line 2: kind 'magic' is not known", id="kind"),
        pytest.param("pre post type synapses\nAVAL AVAR", r"line 2: 2 cells, expected 4", id="short"),
        pytest.param("pre post synapses\nAVAL AVAR 2", r"kind '' is not known; give kind=", id="no kind"),
        pytest.param("pre post type synapses\nAVAL AVXR chemical 2", r"(?s)1 of 2 names .*'AVXR'", id="unknown name"),
        pytest.param("pre post type synapses", r"a header and no line", id="empty"),
        pytest.param(
            "pre post type synapses\nCEPshDL MDL01 chemical 2", r"no connection between neurons", id="no neuron"
        ),
    ],
)
def test_wrong_lists_are_explained(tmp_path, text, message):
    with pytest.raises(RawFileError, match=message):
        open_connectome(write_list(tmp_path / "list.csv", text))


# ---- the functional atlas


def write_atlas(path, names=(b"AVAL", b"AVAR", b"AWCOF", b"RIML"), **arrays):
    """As wormneuroatlas writes funatlas.h5: rows respond, columns were stimulated."""
    n = len(names)
    values = {"dFF": np.full((n, n), np.nan), "occ1": np.zeros((n, n), int), "q": np.full((n, n), np.nan)}
    values["dFF"][1, 0], values["occ1"][1, 0], values["q"][1, 0] = 0.4, 3, 0.01  # AVAR responds to AVAL
    values["dFF"][0, 3], values["occ1"][0, 3], values["q"][0, 3] = -0.2, 1, 0.5
    values["dFF"][0, 0], values["occ1"][0, 0] = 0.9, 5
    with h5py.File(path, "w") as file:
        file["neuron_ids"] = np.array(names, dtype="S5")
        for name, array in (values | arrays).items():
            if array is not None:
                file[f"wt/{name}"] = array
    return path


def test_the_stimulated_neuron_of_the_atlas_is_presynaptic(tmp_path):
    atlas = open_connectome(write_atlas(tmp_path / "funatlas.h5"))
    assert (atlas.kinds, atlas.sources) == (("functional",), ("Randi2023_wt",))
    matrix = atlas.matrix()
    assert matrix.sel(pre="AVAL", post="AVAR") == 0.4
    assert matrix.sel(pre="RIML", post="AVAL") == -0.2
    assert np.isnan(matrix.sel(pre="AVAR", post="AVAL")), "never seen is unknown"
    assert np.isfinite(matrix.values).sum() == 3
    assert atlas.matrix(value="q").sel(pre="AVAL", post="AVAR") == 0.01
    assert atlas.matrix(value="n_seen").sel(pre="AVAL", post="AVAL") == 5
    assert said(atlas, "3 pairs were measured; 1 of them are a neuron's response to itself")
    assert said(atlas, "AWCON is the left one or the right): AWCOF")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"dFF": None}, r"expected responses in 'wt/dFF'", id="no responses"),
        pytest.param({"occ1": np.zeros((2, 2))}, r"wt/occ1: expected numbers of shape \(4, 4\)", id="shape"),
        pytest.param({"names": (b"AVAL",) * 4}, r"'neuron_ids' repeats AVAL", id="repeated"),
        pytest.param({"names": (b"AVAL", b"AVAR", b"XYZ", b"RIML")}, r"(?s)1 of 4 names.*'XYZ'", id="unknown"),
    ],
)
def test_wrong_atlases_are_explained(tmp_path, change, message):
    with pytest.raises(RawFileError, match=message):
        open_connectome(write_atlas(tmp_path / "funatlas.h5", **change))


def test_matrices_without_names_are_refused(tmp_path):
    with h5py.File(tmp_path / "aconnectome_default.h5", "w") as file:
        file["chem"], file["gap"] = np.eye(3), np.eye(3)
    with pytest.raises(
        RawFileError, match=r"in 'neuron_ids' as in funatlas.h5, found chem, gap; matrices without names"
    ):
        open_connectome(tmp_path / "aconnectome_default.h5")


# ---- folders, stores, other files


def test_a_folder_is_joined_and_what_is_no_table_is_said(tmp_path):
    write_matrix(tmp_path / "chemical_a.csv", [[0, 1], [0, 0]], ("AVAL", "AVAR"))
    write_matrix(tmp_path / "chemical_b.csv", [[0, 2], [0, 0]], ("AVAL", "CP1"))
    write_atlas(tmp_path / "funatlas.h5")
    (tmp_path / "neuron_features.csv").write_text("neuronID,cellType:pharynx\nAVAL,0\n")
    (tmp_path / "README.md").write_text("read me")
    wiring = open_connectome(tmp_path)
    assert wiring.sources == ("a", "b", "Randi2023_wt")
    assert wiring.sex == "both"
    assert len(wiring.neurons) == 302 + len(MALE_ONLY)
    assert said(wiring, "skipped, for it is no table of connections: neuron_features.csv")


def test_a_stored_graph_is_the_connectome_that_was_written(tmp_path):
    write_matrix(tmp_path / "electrical_a.csv", [[4, 3], [1, 0]], ("AVAL", "AVAR"))
    wiring = open_connectome(tmp_path / "electrical_a.csv")
    metadata = {
        "dataset": "wiring",
        "recording_id": "wiring/a",
        "subject": {"id": "a", "species": "Caenorhabditis elegans"},
        "modality": "other",
    }
    write_recording(Recording(metadata, graphs={"connectome": wiring.to_graph()}), tmp_path / "store")
    back = open_connectome(tmp_path / "store" / "wiring" / "a")
    pd.testing.assert_frame_equal(back.edges, wiring.edges, check_dtype=False)
    assert (back.neurons, back.tables, back.problems) == (wiring.neurons, wiring.tables, wiring.problems)
    with pytest.raises(NeurodataError, match=r"no graph 'wires'.*Known: connectome"):
        open_connectome(tmp_path / "store" / "wiring" / "a", graph="wires")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("none.csv", None, r"does not exist", id="missing"),
        pytest.param("empty.csv", b"", r"the file is empty", id="empty"),
        pytest.param("binary.csv", b"\xff\xfe\x00", r"expected text in UTF-8", id="binary"),
        pytest.param("numbers.csv", b"1,2\n3,4\n", r"this is none of them", id="no names"),
        pytest.param("aconnectome.json", b"{}", r"this is none of them", id="json"),
        pytest.param("damaged.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50, r"truncated or damaged", id="damaged hdf5"),
    ],
)
def test_other_files_are_explained(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(NeurodataError, match=message):
        open_connectome(tmp_path / name)


def test_a_huge_table_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "chemical_huge.csv").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RawFileError, match=r"1099512 MB are too much for a table of connections \(64 MB\)"):
        open_connectome(tmp_path / "chemical_huge.csv")


def test_an_endless_file_is_not_read(tmp_path):
    (tmp_path / "chemical_endless.csv").symlink_to("/dev/zero")
    with pytest.raises(RawFileError, match=r"chemical_endless.csv: expected a file"):
        open_connectome(tmp_path / "chemical_endless.csv")


def test_a_folder_without_tables_is_explained(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(RawFileError, match=r"expected tables of connections .* found a.png"):
        open_connectome(tmp_path)
    with pytest.raises(RawFileError, match=r"of a store, name the recording: STORE/DATASET/RECORDING"):
        open_connectome(tmp_path)
    with pytest.raises(NeurodataError, match=r"kind is empty; say what connects"):
        open_connectome(tmp_path, kind=" ")
    with pytest.raises(NeurodataError, match=r"no way with other cells 'drop'"):
        open_connectome(tmp_path, other_cells="drop")


# ---- the 31 published tables


@pytest.fixture(scope="module")
def published():
    """Every table as pandas reads it, apart from our code."""

    def read(folder):
        tables = {}
        for path in sorted(folder.glob("*_*.csv")):
            if path.stem != "neuron_features":
                tables[tuple(path.stem.split("_", 1))] = pd.read_csv(path, index_col=0)
        return tables

    return read


def test_all_published_tables_load_with_their_totals_and_every_oddity(published, real_data):
    folder = real_data(FOLDER)
    tables = published(folder)
    wiring = open_connectome(folder)
    assert len(tables) == len(wiring.tables) == 31
    assert wiring.sex == "both"
    assert len(wiring.neurons) == 393
    groups = dict(list(wiring.edges.groupby(["kind", "source"])))
    for (kind, source), table in tables.items():
        values, known = table.to_numpy(), table.notna().to_numpy()
        ours = groups[kind, source]
        assert ours["weight"].sum() == pytest.approx(np.nansum(values), abs=1e-9)
        assert len(ours) == (values > 0).sum()
        ours_table = next(t for t in wiring.tables if (t.kind, t.source) == (kind, source))
        n_missing = int((~known.any(axis=1)).sum())
        assert len(ours_table.missing) == n_missing + 393 - len(table)
        matrix = wiring.matrix(kind, source)
        rows = matrix.sum("post").values
        theirs = np.nansum(values, axis=1)
        assert sorted(rows[rows > 0]) == pytest.approx(sorted(theirs[theirs > 0])), "rows stay presynaptic"

        def reported(part, name=f"{kind} {source}: "):
            return any(problem.startswith(name) and part in problem for problem in wiring.problems)

        n_own, differ = (
            int((np.diag(values) > 0).sum()),
            np.triu(np.nan_to_num(values) != np.nan_to_num(values).T).sum(),
        )
        filled = np.nan_to_num(values)
        n_idle = int((known.any(axis=1) & ~filled.any(axis=0) & ~filled.any(axis=1)).sum())
        assert reported(f"{n_own} self-junctions") == (n_own > 0)
        assert reported(f"{n_missing} neurons are not part of this") == (n_missing > 0)
        assert reported(f"{n_idle} of its neurons have no connection") == (n_idle > 0)
        assert reported(f"{differ} gap junctions differ") == (kind == "electrical" and differ > 0)
        n_parts = int((np.nan_to_num(values) % 1 != 0).sum())
        assert reported(f"{n_parts} weights are no whole numbers") == (n_parts > 0)


def test_published_synapses_keep_their_direction_and_names(real_data):
    cook = open_connectome(real_data(FOLDER) / "chemical_Cook2019.csv")
    table = pd.read_csv(real_data(FOLDER) / "chemical_Cook2019.csv", index_col=0)
    matrix = cook.matrix()
    assert matrix.sel(pre="AVAL", post="VA8") == table.loc["AVAL", "VA08"]
    assert matrix.sel(pre="ASHL", post="AVAL") == table.loc["ASHL", "AVAL"] > 0
    assert cook.tables[0].units == "EM sections"


def test_a_consensus_of_the_published_adults_keeps_who_saw_each_edge(real_data):
    folder = real_data(FOLDER)
    wiring = join([open_connectome(folder / f"chemical_WitvlietA_0{i}.csv") for i in (7, 8)])
    adults = consensus(wiring, kind="chemical", source=["WitvlietA_07", "WitvlietA_08"], min_sources=2)
    edges = adults.edges.set_index(["pre", "post"])
    one, two = (wiring.matrix("chemical", f"WitvlietA_0{i}") for i in (7, 8))
    assert len(edges) == int(((one > 0) & (two > 0)).sum())
    assert set(edges["sources"]) == {"WitvlietA_07, WitvlietA_08"}
    assert edges["weight"].sum() == pytest.approx(float(((one + two) / 2).where((one > 0) & (two > 0)).sum()))
