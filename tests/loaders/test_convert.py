"""Raw files into a store: what is good is kept, what is bad is listed, what is there is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurodata.errors import NeurodataError, RawFileError, UsageError
from neurodata.loaders.convert import ConversionError, Outcome, convert
from neurodata.loaders.datasets.kato_brain_2015 import KatoBrain2015
from neurodata.store.read import open_recording
from neurodata.store.store import open_store

NAME = "kato_brain_2015"


@pytest.fixture
def fake(fake_raw):
    return fake_raw(NAME)


@pytest.fixture
def raw(fake, tmp_path):
    fake.write_raw(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def statuses(outcomes):
    return {outcome.recording_id.split("/")[1]: outcome.status for outcome in outcomes}


def test_raw_values_come_back_from_the_store(raw, store, fake):
    assert statuses(convert(NAME, raw, store)) == {"worm1": "written", "worm2": "written"}
    for worm in range(2):
        recording = open_recording(store / NAME / f"worm{worm + 1}")
        values = recording.signals["calcium"].values
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, fake.traces(worm))
        loaded = KatoBrain2015(raw).load(f"{NAME}/worm{worm + 1}")
        assert recording.intervals["state"].identical(loaded.intervals["state"])
        assert recording.metadata["source_files"] == loaded.metadata["source_files"]


def test_what_is_there_is_not_even_loaded(raw, store, monkeypatch):
    convert(NAME, raw, store)
    monkeypatch.setattr(KatoBrain2015, "load", lambda self, session: pytest.fail("loaded again"))
    assert statuses(convert(NAME, raw, store)) == {"worm1": "up to date", "worm2": "up to date"}


def test_other_sources_need_overwrite(raw, store, fake):
    convert(NAME, raw, store)
    changed = fake.traces(0) + 1
    np.savez(raw / "raw_full_data_worm_1.npz", changed)
    with pytest.raises(ConversionError, match=r"(?s)1 of 2 recordings.*kato_brain_2015/worm1: .*--overwrite"):
        convert(NAME, raw, store)
    np.testing.assert_array_equal(open_recording(store / NAME / "worm1").signals["calcium"].values, fake.traces(0))
    assert statuses(convert(NAME, raw, store, overwrite=True)) == {"worm1": "written", "worm2": "written"}
    np.testing.assert_array_equal(open_recording(store / NAME / "worm1").signals["calcium"].values, changed)


def test_other_options_need_overwrite(raw, store):
    convert(NAME, raw, store)
    with pytest.raises(ConversionError, match="--overwrite"):
        convert(NAME, raw, store, options=["duration_seconds=600"])


def test_good_recordings_are_kept_and_bad_ones_listed(raw, store):
    (raw / "worm_0_y.csv").write_text("1,2,9\n")
    seen = []
    with pytest.raises(
        ConversionError,
        match=r"(?s)1 of 2 recordings could not be converted by 'kato_brain_2015' \(1 are in the store\):\n"
        r"  - kato_brain_2015/worm1: .*worm_0_y.csv: expected state codes 0 … 7, got '9'",
    ) as caught:
        convert(NAME, raw, store, progress=lambda done, total, outcome: seen.append((done, total, outcome.status)))
    assert statuses(caught.value.outcomes) == {"worm1": "failed", "worm2": "written"}
    assert seen == [(1, 2, "failed"), (2, 2, "written")]
    assert not (store / NAME / "worm1").exists()
    assert open_recording(store / NAME / "worm2").recording_id == "kato_brain_2015/worm2"


def test_nothing_is_written_where_all_fail_and_the_same_reason_is_given_once(raw, store):
    for name in ("worm_0_y.csv", "worm_1_y.csv"):
        (raw / name).unlink()
    with pytest.raises(ConversionError, match=r"2 of 2 recordings .* \(0 are in the store\)"):
        convert(NAME, raw, store)
    assert not store.exists()
    same = [Outcome(f"{NAME}/worm{number}", "failed", "disk full") for number in (1, 2)]
    assert str(ConversionError(NAME, same)).endswith("  - kato_brain_2015/worm1, kato_brain_2015/worm2: disk full")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"name": "kato_brain_2051"}, r"no loader 'kato_brain_2051'; did you mean 'kato_brain_2015'", id="loader"
        ),
        pytest.param({"raw": "nowhere"}, r"raw data '.*nowhere' does not exist", id="no raw folder"),
        pytest.param({"options": ["rate=3"]}, r"KatoBrain2015 has no option 'rate'", id="unknown option"),
        pytest.param(
            {"options": ["duplicates=keep"]}, r"'duplicates' is one of refuse, unlabel, got 'keep'", id="choice"
        ),
        pytest.param({"workers": 0}, r"workers is the number of processes, at least 1, got 0", id="no workers"),
    ],
)
def test_wrong_calls_are_explained_and_write_nothing(arguments, message, raw, store):
    arguments = {"name": NAME, "raw": raw, **arguments}
    with pytest.raises(NeurodataError, match=message):
        convert(store=store, **arguments)
    assert not store.exists()


def test_an_empty_folder_is_an_error(tmp_path, store):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RawFileError, match=r"expected raw_full_data_worm_1.npz …, known_neurons.npz and .*found none"):
        convert(NAME, tmp_path / "empty", store)
    assert not store.exists()


def test_a_hostile_archive_is_refused(raw, store, tmp_path):
    class Call:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    hostile = np.empty(2, object)
    hostile[0] = Call()
    np.savez(raw / "known_neurons.npz", hostile, hostile)
    (tmp_path / "executed").unlink(missing_ok=True)
    with pytest.raises(
        RawFileError, match=r"known_neurons.npz, array 'arr_0': refused, reading it would call (_?io|builtins)\.open"
    ):
        convert(NAME, raw, store)
    assert not (tmp_path / "executed").exists()
    assert not store.exists()


def test_workers_give_the_same_store(raw, tmp_path):
    (raw / "worm_1_y.csv").write_text("1\n")
    with pytest.raises(ConversionError, match="1 states for 48 samples") as caught:
        convert(NAME, raw, tmp_path / "parallel", workers=2)
    assert statuses(caught.value.outcomes) == {"worm1": "written", "worm2": "failed"}
    with pytest.raises(ConversionError):
        convert(NAME, raw, tmp_path / "serial")
    one, other = (open_recording(tmp_path / folder / NAME / "worm1") for folder in ("parallel", "serial"))
    assert one.signals["calcium"].identical(other.signals["calcium"])


def lab(folder: Path) -> Path:
    """A lab's folder: traces of cells, an archive that is nothing, and notes."""
    folder.mkdir()
    values = np.round(np.random.default_rng(0).normal(size=(50, 4)), 3)
    lines = ["time,a,b,c,d", *(f"{k / 10}," + ",".join(map(str, row)) for k, row in enumerate(values))]
    (folder / "mouse1.csv").write_text("\n".join(lines))
    (folder / "notes.txt").write_text("ate well")
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    return folder


def test_auto_converts_what_it_recognises_and_lists_the_rest(tmp_path):
    outcomes = {o.recording_id: o for o in convert("auto", lab(tmp_path / "lab"), tmp_path / "store")}
    assert outcomes["lab/mouse1"].status == "written"
    assert {name for name, o in outcomes.items() if o.status == "skipped"} == {"notes.txt", "noise.bin"}
    assert outcomes["notes.txt"].message == "no loader recognises it"
    again = {o.recording_id: o.status for o in convert("auto", tmp_path / "lab", tmp_path / "store")}
    assert again["lab/mouse1"] == "up to date"


def test_auto_of_nonsense_is_an_error_that_lists_it(tmp_path):
    folder = lab(tmp_path / "lab")
    (folder / "mouse1.csv").unlink()
    with pytest.raises(RawFileError, match=r"no loader recognises anything here.*\n  - noise\.bin: no loader rec"):
        convert("auto", folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_options_of_auto_go_to_the_loaders_that_have_them(tmp_path):
    folder = lab(tmp_path / "lab")
    convert("auto", folder, tmp_path / "store", options=["dataset=mine", "species=Mus musculus"])
    assert open_store(tmp_path / "store")["mine/mouse1"].metadata["subject"]["species"] == "Mus musculus"
    with pytest.raises(UsageError, match="no loader of what was found here has an option 'raet_hz'"):
        convert("auto", folder, tmp_path / "other", options=["raet_hz=3"])
    convert("auto", folder / "mouse1.csv", tmp_path / "named", options=["name=first"])
    assert open_store(tmp_path / "named").recording_ids == ("lab/first",)


def test_an_unknown_loader_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(NeurodataError, match=r"no loader 'nwbb'; did you mean 'nwb'\?.*auto.*loaders/formats/nwbb\.py"):
        convert("nwbb", lab(tmp_path / "lab"), tmp_path / "store")
