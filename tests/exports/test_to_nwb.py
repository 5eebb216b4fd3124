"""Recordings as NWB files: what the inspector says of them, what pynwb reads, and the way back."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from nwbinspector import Importance, inspect_nwbfile

from neurodata.cli import main
from neurodata.errors import NeurodataError, SchemaError
from neurodata.exports.to_nwb import to_nwb
from neurodata.loaders.datasets.guo_thalamus_2017 import GuoThalamus2017
from neurodata.loaders.datasets.kato_brain_2015 import KatoBrain2015
from neurodata.loaders.formats.nwb import Nwb
from neurodata.recording.graphs import make_graph
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal, make_units
from neurodata.recording.validate import validate
from neurodata.store.read import open_recording
from neurodata.store.write import write_recording

ROOT = Path(__file__).resolve().parents[1]


def module(path: str):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


made_recordings = module("store/made_recordings.py")


def everything(modality: str = "lfp") -> Recording:
    """Every kind of signal that the export tells apart, spikes with amplitudes, tables with awkward columns."""
    rng = np.random.default_rng(0)
    shanks = {"label": ["L1", ""], "region": ["CA1", "CA3"], "x": [1.0, 2.0], "good": [True, False]}
    integers = rng.integers(-999, 999, (50, 2)).astype("int16")
    signals = {
        "lfp": make_signal(integers, channel_id=["a", "b"], units="uV", rate_hz=1000.0, columns=shanks, scale_factor=0.195),
        "per_channel": make_signal(integers, channel_id=["b", "c"], units="mV", rate_hz=1000.0, start_seconds=2.5,
                                   columns={"scale_factor": [0.1, -0.2], "add_offset": [0.0, 1.0]}),
        "gaps": make_signal(integers, channel_id=["a", "b"], units="V", rate_hz=10.0, segments=([0.0, 9.0], [0, 30])),
        "cells": make_signal(rng.normal(size=(50, 3)), channel_id=["n0", "n1", "n2"], units="dF/F", rate_hz=3.0),
        "cells_irregular": make_signal(rng.normal(size=(50, 3)).astype("float32"), channel_id=["n0", "n1", "n2"],
                                       units="dF/F", time=np.cumsum(rng.random(50) + 0.1)),
        "field": make_signal(rng.normal(size=(50, 4)), channel_id=list("wxyz"), units="T", rate_hz=100.0),
        "wheel": make_signal(rng.normal(size=(50, 1)), channel_id=["w"], units="m", role="behavior", rate_hz=20.0),
        "light": make_signal(rng.normal(size=(50, 2)), channel_id=["p", "q"], units="W", role="stimulus"),
    }  # fmt: skip
    times = np.sort(rng.random(300) * 5)
    events = {
        "spikes": make_events(times, unit=rng.integers(0, 3, 300), amplitude=rng.normal(size=300)),
        "licks": make_events([0.5, 0.5, 2.0], label=["", "ä", "b"], duration=[0.1, np.nan, 0.2], id=["x", "y", "z"]),
        "none": make_events([], label=[], value=np.zeros(0, "int16")),
    }
    intervals = {
        "trials": make_intervals([0.0, 2.0], [1.0, 3.0], label=["left", "right"], code=np.array([0, 1], "int8"),
                                 tags=["t", ""], cue_index=[np.nan, 2.0], cue=[1, 2], good=[True, False]),
        "epochs": make_intervals([0.0], [3.0], label=["all"]),
        "state": make_intervals([0.0], [3.0], attributes={"by": {"hand": [1, None]}}),
        "empty": make_intervals([], [], label=[]),
    }  # fmt: skip
    units = make_units(["u1", "u2", "u3"], snr=[1.0, np.nan, 3.0], electrodes=["[0]", "[1]", "[]"],
                       waveform_mean=["[0.5, 1.25]", "[1.0, null]", "[0.1, 0.2]"])  # fmt: skip
    about = {
        "session_start": "2020-01-02T03:04:05", "device": "a probe", "task": "rest", "licence": "CC0", "citation": "doi:x",
        "subject": {"id": "m/1", "species": "Mus musculus", "sex": "F", "age": "P90D", "strain": "C57BL/6J"},
        "history": ["made up"], **made_recordings.sources(),
    }  # fmt: skip
    metadata = made_recordings.metadata("made_up/everything", modality=modality, **about)
    return Recording(metadata, signals, events, intervals, units)


def read_back(path: Path) -> Recording:
    loader = Nwb(path, dataset="made_up")
    [session] = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def check_same(first: Recording, second: Recording) -> None:
    """Everything but what a recording was made from."""
    for group in ("signals", "events", "intervals"):
        assert set(getattr(first, group)) == set(getattr(second, group))
    for name, signal in first.signals_stored.items():
        other = second.signals_stored[name]
        np.testing.assert_array_equal(signal.values, other.values, strict=True)
        np.testing.assert_array_equal(signal.time.values, other.time.values)
        assert (signal.attrs, set(signal.coords)) == (other.attrs, set(other.coords))
        for column in set(signal.coords) - {"time"}:
            assert signal.coords[column].variable.identical(other.coords[column].variable), column
    for group in ("events", "intervals"):
        for name, table in getattr(first, group).items():
            assert table.load().identical(getattr(second, group)[name]), f"{group}/{name}"
    assert (first.units is None) == (second.units is None)
    assert first.units is None or first.units.load().identical(second.units)
    assert set(first.graphs) == set(second.graphs)
    for name, graph in first.graphs.items():
        assert graph.load().identical(second.graphs[name].load()), name
    assert second.metadata["extra"]["exported_from"]["recording_id"] == first.recording_id
    kept = set(first.metadata) - {"dataset", "recording_id", "source_files", "loader", "extra"}
    assert {key: first.metadata[key] for key in kept} == {key: second.metadata.get(key) for key in kept}
    assert first.metadata.get("extra", {}).items() <= second.metadata["extra"].items()


def critical(path: Path) -> list[str]:
    found = inspect_nwbfile(nwbfile_path=str(path), importance_threshold=Importance.CRITICAL)
    return [f"{message.location}: {message.message}" for message in found]


@pytest.mark.parametrize("modality", ["lfp", "calcium"])
def test_everything_comes_back_and_passes_the_inspector(tmp_path, modality):
    recording = everything(modality)
    path = to_nwb(recording, tmp_path / "everything.nwb")
    assert critical(path) == []
    check_same(recording, read_back(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["everything.nwb"]


def test_the_store_s_own_test_recording_comes_back(tmp_path):
    recording = made_recordings.full_recording()
    path = to_nwb(recording, tmp_path / "full.nwb")
    check_same(recording, read_back(path))
    assert all("/none: Data may be in the wrong orientation" in found for found in critical(path))  # (0, 2): no sample


def test_worms_of_a_store_come_back_and_pass_the_inspector(tmp_path):
    module("loaders/fake_raw/kato_brain_2015.py").write_raw(tmp_path / "raw")
    loader = KatoBrain2015(tmp_path / "raw")
    for session in loader.sessions():
        write_recording(loader.load(session), tmp_path / "store")
        stored = open_recording(tmp_path / "store" / session)
        path = to_nwb(stored, tmp_path / f"{session.partition('/')[2]}.nwb")
        # The made-up worms have fewer samples than a real one; the inspector takes the longer side for time.
        assert [found for found in critical(path) if "orientation" not in found] == []
        back = read_back(path)
        check_same(stored, back)
        assert (back.metadata["subject"]["species"], back.metadata["subject"]["sex"]) == (
            "Caenorhabditis elegans",
            "XX",
        )


def test_published_worms_pass_the_inspector(tmp_path, real_data):
    loader = KatoBrain2015(real_data("celegans/kato2015-zimmer"))
    recording = loader.load("kato_brain_2015/worm1")
    path = to_nwb(recording, tmp_path / "worm1.nwb")
    assert critical(path) == []
    check_same(recording, read_back(path))


def test_published_mouse_comes_back_and_passes_the_inspector(tmp_path, real_data):
    loader = GuoThalamus2017(real_data("spiking/guo2017-thalamus-alm-nwb"))
    recording = loader.load(loader.sessions()[0])
    path = to_nwb(recording, tmp_path / "guo.nwb")
    assert critical(path) == []
    check_same(recording, read_back(path))


def test_others_read_physical_values_and_times(tmp_path):
    recording = everything()
    with pynwb.NWBHDF5IO(to_nwb(recording, tmp_path / "a.nwb"), "r") as io:
        nwb = io.read()
        lfp = nwb.acquisition["lfp"]
        volts = lfp.data[:] * lfp.conversion + lfp.offset
        np.testing.assert_allclose(volts * 1e6, recording.signals["lfp"].values, rtol=1e-6)
        assert lfp.electrodes.to_dataframe()["location"].tolist() == ["CA1", "CA3"]
        each = nwb.acquisition["per_channel"]
        np.testing.assert_allclose(each.conversion * np.array(each.channel_conversion[:]), [1e-4, -2e-4])
        np.testing.assert_array_equal(nwb.acquisition["gaps"].timestamps[:], recording.signals["gaps"].time.values)
        cells = nwb.processing["ophys"]["DfOverF"]
        assert cells["cells"].rois.table is cells["cells_irregular"].rois.table
        assert cells["cells"].rois.table["channel_id"][:].tolist() == ["n0", "n1", "n2"]
        for unit in range(3):
            mine = recording.events["spikes"].time.values[recording.events["spikes"].unit.values == unit]
            np.testing.assert_array_equal(nwb.units["spike_times"][unit], mine)
        assert nwb.units["waveform_mean"].data.shape == (3, 2)
        assert nwb.trials["label"][:].tolist() == ["left", "right"]
        assert nwb.events["licks"]["timestamp"][:].tolist() == [0.5, 0.5, 2.0]
        assert "wheel" in nwb.processing["behavior"]["BehavioralTimeSeries"].time_series
        assert nwb.stimulus["light"].unit == "W"


def test_what_another_program_changed_is_read_as_it_now_is(tmp_path):
    import h5py

    path = to_nwb(everything(), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["acquisition/field/data"]
        file["acquisition/field/data"] = np.ones((50, 3))
        file["acquisition/field/data"].attrs["unit"] = "pT"
    changed = read_back(path).signals["field"]
    assert (changed.attrs["units"], changed.shape) == ("pT", (50, 3))


def test_a_large_signal_passes_through_little_memory(tmp_path):
    def read(first: int, after: int):
        return (np.arange(first, after) % 1000).astype("int16")[:, None] + np.zeros(64, "int16")

    rows = 750_000  # 96 MB
    signal = make_signal(
        lazy_rows((rows, 64), "int16", read), channel_id=[f"c{i}" for i in range(64)], units="uV", rate_hz=1000.0
    )
    recording = Recording(made_recordings.metadata(modality="ecog"), {"ecog": signal})
    to_nwb(everything(), tmp_path / "first.nwb")  # what importing costs is not the signal's
    tracemalloc.start()
    path = to_nwb(recording, tmp_path / "large.nwb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6
    back = read_back(path).signals_stored["ecog"]
    np.testing.assert_array_equal(back[-1000:].values, read(rows - 1000, rows))


def test_bad_places_and_recordings_are_refused_and_leave_nothing(tmp_path):
    recording = everything()
    (tmp_path / "there.nwb").write_text("mine")
    with pytest.raises(NeurodataError, match=r"there\.nwb: there is such a file already.*--overwrite"):
        to_nwb(recording, tmp_path / "there.nwb")
    with pytest.raises(NeurodataError, match=r"there is no folder .*nowhere"):
        to_nwb(recording, tmp_path / "nowhere" / "a.nwb")
    unnamed = recording.replace(signals={"wheel": recording.signals["wheel"].drop_attrs()})
    with pytest.raises(SchemaError, match="attribute 'units' is missing"):
        to_nwb(unnamed, tmp_path / "a.nwb")

    def fails(first: int, after: int):
        raise NeurodataError("the raw file is gone")

    broken = make_signal(lazy_rows((10, 1), "int16", fails), channel_id=["a"], units="V", rate_hz=1.0)
    with pytest.raises(NeurodataError, match="the raw file is gone"):
        to_nwb(recording.replace(signals={"broken": broken}), tmp_path / "a.nwb")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.nwb"]
    assert to_nwb(recording, tmp_path / "there.nwb", overwrite=True).stat().st_size > 1000


def test_the_command_writes_a_file_and_explains_what_is_wrong(tmp_path, monkeypatch, capsys):
    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["neurodata", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    write_recording(everything(), tmp_path / "store")
    recording, file = tmp_path / "store/made_up/everything", tmp_path / "a.nwb"
    assert run("nwb", recording, file) == (0, f"written: {file}")
    check_same(open_recording(recording), read_back(file))
    for arguments, code, words in (
        (("nwb", recording, file), 1, "there is such a file already"),
        (("nbw", recording, tmp_path / "b.nwb"), 1, "did you mean 'nwb'"),
        (("nwb", tmp_path / "store/made_up/nobody", tmp_path / "b.nwb"), 1, "nobody"),
        (("nwb", recording), 2, "Missing argument"),
    ):
        ended, said = run(*arguments)
        assert ended == code, said
        assert words in said


GRAPH = make_graph(
    ["AVAL", "öß"], [0, 1, 1], [1, 0, 1], kind=["chemical", "électrical", "chemical"], weight=[3, 0.5, 1e-300],
    source="White1986", n_sections=np.array([1, 2, 3], "uint8"), node_columns={"id": ["x", ""]},
    tables=[{"kind": "chemical", "source": "White1986", "units": "synapses", "missing": []},
            {"kind": "électrical", "source": "White1986", "units": "junctions", "missing": []}],
    attributes={"sex": "hermaphrodite"},
)  # fmt: skip
GRAPH["weight"].attrs["origin"] = "counted by hand"
EMPTY = make_graph([], [], [], kind=[], weight=[], source=[])


@pytest.mark.parametrize("alone", [True, False], ids=["graphs only", "graphs beside a signal"])
def test_graphs_come_back_and_are_tables_to_others(tmp_path, alone):
    recording = everything().replace(graphs={"wiring": GRAPH, "empty": EMPTY})
    if alone:
        recording = recording.replace(signals={}, events={}, intervals={}, units=None)
    path = to_nwb(recording, tmp_path / "graphs.nwb")
    back = read_back(path)
    check_same(recording, back)
    assert "/processing/graphs/wiring_edges" not in back.metadata["extra"].get("tables", {})
    assert critical(path) == []
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        tables = io.read().processing["graphs"]
        assert tables["wiring_edges"]["weight"].data[:].tolist() == [3, 0.5, 1e-300]
        assert tables["wiring_nodes"]["label"].data[:].tolist() == ["AVAL", "öß"]


def test_a_graph_whose_table_somebody_changed_is_said_not_to_be_read(tmp_path):
    path = to_nwb(everything().replace(graphs={"wiring": GRAPH}), tmp_path / "graphs.nwb")
    with h5py.File(path, "r+") as file:
        del file["processing/graphs/wiring_nodes/label"]
        file["processing/graphs/wiring_nodes"].attrs["colnames"] = ["id_column"]
    back = read_back(path)
    assert not back.graphs
    [noted] = back.metadata["extra"]["not_read"]
    assert noted == "/processing/graphs/wiring_nodes: this table of graph 'wiring' is not as it was exported"
