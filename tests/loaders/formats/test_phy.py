"""Folders of phy and Kilosort."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.formats.phy import Phy
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate


@pytest.fixture
def fake(fake_raw) -> ModuleType:
    return fake_raw("phy")


@pytest.fixture
def folder(fake, tmp_path) -> Path:
    fake.write_kilosort(tmp_path / "sorted")
    return tmp_path / "sorted"


def load(folder: Path, **options) -> Recording:
    loader = Phy(folder, **options)
    recording = loader.load(loader.sessions()[0])
    validate(recording)
    return recording


def test_spikes_are_those_of_the_files(folder, fake):
    spikes, units = load(folder).events["spikes"], load(folder).units
    samples = np.load(folder / "spike_times.npy")[:, 0]
    clusters = np.load(folder / "spike_clusters.npy")
    order = np.lexsort((clusters, samples))
    np.testing.assert_array_equal(spikes["time"], samples[order] / fake.RATE)
    np.testing.assert_array_equal(units["cluster_id"].values[spikes["unit"].values], clusters[order])
    np.testing.assert_array_equal(spikes["amplitude"], np.load(folder / "amplitudes.npy")[order, 0])
    np.testing.assert_array_equal(spikes["template"], np.load(folder / "spike_templates.npy")[order, 0])
    np.testing.assert_array_equal(spikes["positions_1"], np.load(folder / "spike_positions.npy")[order, 1])
    assert spikes["unit"].dtype == np.int32
    assert spikes.attrs["sampling_rate_hz"] == fake.RATE


def test_units_are_clusters_with_spikes_and_all_their_columns(folder):
    recording = load(folder)
    units = recording.units
    assert units["unit_id"].values.tolist() == ["0", "1", "2", "9"]
    assert units["group"].values.tolist() == ["good", "noise", "", "unsorted"]
    assert units["KSLabel"].values.tolist() == ["mua", "good", "mua", "good"]
    assert units["quality"].values.tolist() == ["good", "noise", "mua", "good"]
    np.testing.assert_array_equal(units["ContamPct"], [1.5, 100.0, np.nan, np.nan])
    assert units["ch"].values.tolist() == [1, 1, 0, 2]
    assert units["fr"].values.tolist() == [2.5, 2.5, 1.25, 0.5]
    extra = recording.metadata["extra"]
    assert extra["clusters_without_spikes"] == 1
    assert extra["raw_recording"] == ["recording.dat"]
    assert extra["n_channels_dat"] == 8


def test_peaks_are_those_of_unwhitened_mean_templates(folder):
    units = load(folder).units
    templates, inverse = np.load(folder / "templates.npy"), np.load(folder / "whitening_mat_inv.npy")
    clusters, of = np.load(folder / "spike_clusters.npy"), np.load(folder / "spike_templates.npy")[:, 0]
    for row, cluster in enumerate((0, 1, 2, 9)):
        numbers, counts = np.unique(of[clusters == cluster], return_counts=True)
        mean = np.average(templates[numbers].astype(float), axis=0, weights=counts) @ inverse
        peak = np.ptp(mean, axis=0).argmax()
        assert units["peak_channel"].values[row] == peak
        np.testing.assert_allclose(json.loads(str(units["waveform_mean"].values[row])), mean[:, peak], rtol=1e-5)
        assert units["template_amplitude"].values[row] == pytest.approx(np.ptp(mean[:, peak]))
        assert units["file_channel"].values[row] == np.load(folder / "channel_map.npy")[peak, 0]
        assert (units["x"].values[row], units["y"].values[row]) == tuple(
            np.load(folder / "channel_positions.npy")[peak]
        )
    assert load(folder, waveforms=False).units.get("waveform_mean") is None


def test_sparse_templates_name_their_channels(fake, tmp_path):
    fake.write_sparse(tmp_path / "s")
    recording = load(tmp_path / "s")
    assert recording.units["peak_channel"].values.tolist() == [3, 2]
    assert recording.units["y"].values.tolist() == [60.0, 40.0]
    assert recording.units["si_unit_id"].values.tolist() == ["A", "B"]
    assert recording.events["spikes"]["unit"].values.tolist() == [0, 1, 1, 0]
    assert recording.metadata["extra"]["waveforms"] == "mean templates, as in templates.npy"


def test_kilosort_before_phy_has_templates_only(folder):
    (folder / "spike_clusters.npy").unlink()
    for path in folder.glob("cluster_*"):
        path.unlink()
    recording = load(folder)
    assert recording.units["unit_id"].values.tolist() == ["0", "1", "2", "3"]
    assert set(recording.units["quality"].values.tolist()) == {""}
    assert "template" not in recording.events["spikes"]


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        pytest.param("sample_rate = 3e4  # Hz", 30000.0, id="comment"),
        pytest.param("sample_rate=24414.0625", 24414.0625, id="no blanks"),
        pytest.param("sample_rate = __import__('os').getpid()", None, id="code"),
        pytest.param("sample_rate = -1", None, id="negative"),
        pytest.param("rate = 3", None, id="missing"),
    ],
)
def test_params_are_read_and_never_run(folder, line, rate):
    (folder / "params.py").write_text(f"import os\ndat_path = [r'D:\\a\\b.bin',\n 'c']\n{line}\nprint(1/0)\n")
    if rate is None:
        with pytest.raises(RawFileError, match=r"params.py: expected 'sample_rate = .*--set rate_hz="):
            load(folder)
        rate = 1000.0
        recording = load(folder, rate_hz=1000.0)
    else:
        recording = load(folder)
    assert recording.events["spikes"].attrs["sampling_rate_hz"] == rate
    samples = np.load(folder / "spike_times.npy").astype(float)
    assert recording.events["spikes"]["time"].values[-1] == samples[-1, 0] / rate


def test_no_params(folder):
    (folder / "params.py").unlink()
    with pytest.raises(RawFileError, match=r"there is no params\.py; give --set rate_hz=RATE"):
        load(folder)
    assert load(folder, rate_hz=30000.0).units.sizes["unit"] == 4


def test_old_tables_with_tabs_in_csv(folder):
    (folder / "cluster_group.tsv").rename(folder / "cluster_groups.csv")
    assert load(folder).units["group"].values.tolist() == ["good", "noise", "", "unsorted"]


def test_no_spikes_at_all(folder):
    for name in ("spike_times", "spike_clusters", "spike_templates", "amplitudes", "spike_positions"):
        values = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", values[:0])
    recording = load(folder)
    assert recording.events["spikes"].sizes["event"] == 0
    assert recording.units.sizes["unit"] == 0


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        pytest.param("spike_clusters", np.zeros(7, np.int32), r"spike_clusters.npy: has shape \(7,\), but spike_times.npy has 400", id="length"),
        pytest.param("amplitudes", np.zeros((400, 2)), r"amplitudes.npy: has shape \(400, 2\)", id="two per spike"),
        pytest.param("spike_times", np.arange(400) + 0.5, "spike_times.npy: expected samples as whole numbers", id="seconds"),
        pytest.param("spike_times", np.zeros((20, 20), int), r"expected one value per spike, got shape \(20, 20\)", id="matrix"),
        pytest.param("spike_templates", np.full(400, 4), "spike_templates.npy: templates run from 4 to 4, but templates.npy has 4", id="template"),
        pytest.param("templates", np.zeros((4, 5)), r"templates.npy: expected floats of shape \(template, sample, channel\)", id="templates"),
        pytest.param("whitening_mat_inv", np.eye(5), r"whitening_mat_inv.npy: expected shape \(6, 6\)", id="whitening"),
        pytest.param("channel_positions", np.zeros((2, 2)), r"channel_positions.npy: expected one row per channel", id="positions"),
        pytest.param("template_ind", np.zeros((4, 5)), r"template_ind.npy: expected the channels of each template", id="sparse"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_named(folder, name, values, text):
    np.save(folder / f"{name}.npy", values)
    with pytest.raises(RawFileError, match=text):
        load(folder)


def test_pickled_arrays_are_refused(folder):
    np.save(folder / "spike_clusters.npy", np.array([{}] * 400, object), allow_pickle=True)
    with pytest.raises(RawFileError, match=r"spike_clusters.npy"):
        load(folder)


def test_ragged_tables_are_named(folder):
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\tyes\n")
    with pytest.raises(RawFileError, match=r"cluster_group.tsv: row 2 has 3 cells, the header 2"):
        load(folder)


def test_other_folders_are_not_claimed(tmp_path, folder):
    assert Phy.claim(folder.parent) == []
    assert Phy.claim(folder / "params.py") == []
    (folder / "spike_clusters.npy").unlink()
    (folder / "spike_templates.npy").unlink()
    with pytest.raises(NeurodataError, match="expected 'phy' data"):
        Phy(folder).sessions()
