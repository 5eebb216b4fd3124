"""numpy archives and arrays: what numpy reads is what comes out; objects only where a map asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.formats.npz import Npz
from neurodata.recording.validate import validate


def load(path, **options):
    loader = Npz(path, **options)
    (session,) = loader.sessions()
    recording = loader.load(session)
    validate(recording)
    return recording


def test_an_archive_is_read_by_names_and_shapes(tmp_path, fake_raw):
    arrays = fake_raw("npz").session()
    np.savez(tmp_path / "a.npz", **arrays)
    recording = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(recording.signals["dff"].values, arrays["dff"], strict=True)
    np.testing.assert_array_equal(recording.signals["running"].values[:, 0], arrays["running"])
    np.testing.assert_allclose(recording.signals["dff"].time.values, arrays["time"], rtol=0, atol=1e-9)
    spikes = recording.events["spikes"]
    np.testing.assert_array_equal(spikes["time"].values, arrays["spike_times"])
    ids = recording.units["unit_id"].values[spikes["unit"].values]
    np.testing.assert_array_equal(ids, arrays["spike_clusters"].astype(str))
    trial = recording.intervals["trial"]
    assert (trial["stop"].values.tolist(), trial["outcome"].values.tolist()) == ([0.9, 2.5], ["hit", "miss"])


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_single_array_stays_in_its_file(tmp_path, order):
    values = np.asarray(np.random.default_rng(0).normal(size=(3, 500)), order=order)
    np.save(tmp_path / "traces.npy", values)
    signal = load(tmp_path / "traces.npy", rate_hz=5.0, modality="calcium").signals["traces"]
    np.testing.assert_array_equal(signal.values, values.T, strict=True)
    np.testing.assert_array_equal(signal.isel(time=slice(17, 99)).values, values.T[17:99])
    assert signal.attrs["sampling_rate_hz"] == 5


@pytest.mark.parametrize("dtype", ["<i2", ">i2", ">f8", "?", "<u4", "<f2"])
def test_types_are_kept(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 2, (60, 3)).astype(dtype)
    np.savez(tmp_path / "a.npz", counts=values)
    stored = load(tmp_path / "a.npz").signals_stored["counts"]
    np.testing.assert_array_equal(stored.values, values.astype(stored.dtype))
    assert stored.dtype == {"?": np.dtype("u1"), "<f2": np.dtype("f4")}.get(dtype, np.dtype(dtype).newbyteorder("="))


def test_one_label_per_trial_shows_the_trials(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 5, 25))
    np.savez(tmp_path / "a.npz", X=x, y=np.arange(30) % 2, fs=50, ch_names=np.array(list("abcde")))
    recording = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(recording.signals["X"].values.reshape(30, 25, 5), x.transpose(0, 2, 1))
    np.testing.assert_array_equal(recording.intervals["trials"]["y"].values, np.arange(30) % 2)
    assert recording.signals["X"].coords["label"].values.tolist() == list("abcde")


def test_trials_of_one_channel_and_facts_per_trial_go_with_those_of_many(tmp_path):
    rng = np.random.default_rng(0)
    spks, wheel = rng.integers(0, 3, (6, 24, 30)), rng.normal(size=(1, 24, 30))
    session = {
        "spks": spks,
        "wheel": wheel,
        "response": np.arange(24) % 3,
        "contrast_left": np.arange(24) / 4,
        "bin_size": 0.01,
    }
    np.savez(tmp_path / "a.npz", dat=np.array([session], object))
    recording = load(tmp_path / "a.npz")
    assert sorted(recording.signals) == ["dat.spks", "dat.wheel"]
    np.testing.assert_array_equal(recording.signals["dat.spks"].values.reshape(24, 30, 6), spks.transpose(1, 2, 0))
    np.testing.assert_array_equal(recording.signals["dat.wheel"].values.reshape(24, 30), wheel[0])
    trials = recording.intervals["trials"]
    np.testing.assert_array_equal(trials["response"], session["response"])
    np.testing.assert_array_equal(trials["contrast_left"], session["contrast_left"])


def test_pynapple_groups_are_units(tmp_path):
    rng = np.random.default_rng(0)
    t, index = np.sort(rng.uniform(0, 9, 40)), rng.integers(0, 3, 40)
    np.savez(
        tmp_path / "a.npz", t=t, index=index, start=np.array([0.0]), end=np.array([9.0]), type=np.array(["TsGroup"])
    )
    recording = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(recording.events["spikes"]["time"].values, t)
    np.testing.assert_array_equal(recording.events["spikes"]["unit"].values, index)
    assert recording.intervals["epochs"]["stop"].values.tolist() == [9]


def test_objects_are_read_as_other_variables_are(tmp_path):
    rng = np.random.default_rng(0)
    dff, trains = rng.normal(size=(50, 3)), [np.sort(rng.uniform(0, 9, n)) for n in (5, 5, 7)]
    np.savez(tmp_path / "a.npz", dff=dff, info=np.array([{"fps": 3.0}], object))
    assert load(tmp_path / "a.npz").signals["dff"].attrs["sampling_rate_hz"] == 3
    np.save(tmp_path / "b.npy", np.array({"neural": {"traces": dff}, "fps": 3.0}, object))
    np.testing.assert_array_equal(load(tmp_path / "b.npy").signals["neural.traces"].values, dff)
    np.savez(tmp_path / "c.npz", spike_times=np.array(trains, object))
    spikes = load(tmp_path / "c.npz").events["spikes"]
    np.testing.assert_array_equal(spikes["time"].values, np.sort(np.concatenate(trains)))
    np.testing.assert_array_equal(np.bincount(spikes["unit"].values), [5, 5, 7])


@pytest.mark.parametrize("n_planes", [1, 2])
def test_pickled_settings_are_no_recording(n_planes, tmp_path):
    settings = {
        "fs": 30.0,
        "xoff": np.arange(90),
        "corrXY": np.ones(90),
        "xoff1": np.ones((90, 9)),
        "tPC": np.ones((90, 30)),
    }
    np.save(tmp_path / "ops1.npy", np.array([settings] * n_planes, object))
    with pytest.raises(RawFileError, match="none of the variables looks like a recording"):
        Npz(tmp_path / "ops1.npy").sessions()


def test_objects_are_read_where_a_map_asks(tmp_path):
    values = np.arange(150.0).reshape(50, 3)
    np.save(tmp_path / "b.npy", np.array({"dff": values, "fps": 3.0, "names": ["a", "b", "c"]}, object))
    (tmp_path / "m.yaml").write_text("signals: {calcium: {variable: dff, rate_hz: fps, labels: names}}\n")
    signal = load(tmp_path / "b.npy", map=str(tmp_path / "m.yaml")).signals["calcium"]
    np.testing.assert_array_equal(signal.values, values)
    assert signal.attrs["sampling_rate_hz"] == 3
    assert signal.coords["label"].values.tolist() == ["a", "b", "c"]


def test_code_in_objects_never_runs(tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return print, ("ran",)

    np.save(tmp_path / "b.npy", np.array([Hostile()], object))
    (tmp_path / "m.yaml").write_text("signals: {x: {variable: b}}\n")
    with pytest.raises(RawFileError, match="refused"):
        load(tmp_path / "b.npy", map=str(tmp_path / "m.yaml"))
    with pytest.raises(RawFileError, match=r"b \(Python objects, refused, .*would call builtins.print"):
        load(tmp_path / "b.npy")
    assert "ran" not in capsys.readouterr().out


def test_a_film_is_no_recording(tmp_path):
    np.save(tmp_path / "movie.npy", np.zeros((300, 120, 128), np.uint8))
    with pytest.raises(RawFileError, match="none of the variables looks like a recording"):
        Npz(tmp_path / "movie.npy").sessions()


def test_other_archives_are_not_claimed(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    assert Npz.claim(tmp_path / "a.zip") == []


def test_published_trials_are_kept(real_data):
    path = real_data("ieeg/combrisson2017-seeg") / "seeg_data_pac.npz"
    signal = load(path).signals_stored["data"]
    np.testing.assert_array_equal(signal.values, np.load(path)["data"].T, strict=True)
