"""What is written is what is read: by us, and by every other reader."""

import hashlib
import warnings
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events, make_intervals, make_signal
from neurodata.recording.validate import list_problems
from neurodata.store.chunks import plan_chunks
from neurodata.store.documents import read_documents, read_root_attributes
from neurodata.store.event_index import candidates, make_event_index
from neurodata.store.read import open_recording
from neurodata.store.verify import schema_problems, verify_recording
from neurodata.store.write import write_recording


def assert_same(got, expected):
    """Every value, type, attribute and time of two recordings."""
    assert dict(got.metadata) == dict(expected.metadata)
    for kind in ("signals_stored", "signals", "events", "intervals"):
        ours, theirs = getattr(got, kind), getattr(expected, kind)
        assert set(ours) == set(theirs)
        for name in theirs:
            assert_same_member(ours[name], theirs[name])
    assert (got.units is None) == (expected.units is None)
    if expected.units is not None:
        assert_same_member(got.units, expected.units)


def assert_same_member(got, expected):
    assert got.attrs == expected.attrs
    assert got.sizes == expected.sizes
    arrays = [expected.variables] if isinstance(expected, xr.Dataset) else [expected.coords, {None: expected}]
    for variables in arrays:
        for name, theirs in variables.items():
            ours = got if name is None else got[name]
            assert ours.dtype == theirs.dtype.newbyteorder("="), name
            assert ours.dims == theirs.dims
            assert ours.attrs == theirs.attrs
            np.testing.assert_array_equal(ours.values, theirs.values)


def test_every_kind_of_member_comes_back(made, stored):
    recording = made.full_recording()
    got = open_recording(stored)
    assert_same(got, recording)
    assert_same(ForkingPickler.loads(ForkingPickler.dumps(got)), recording)
    assert list_problems(got) == schema_problems(stored) == verify_recording(stored) == []
    assert open_recording(stored, decode=False).signals["eeg"].dtype == np.int16
    assert (
        got.signals["gaps"].sel(time=slice(20, 21)).values[:, 0].tolist() == (np.arange(60, 80, 2) * 0.5 - 1).tolist()
    )


def test_nothing_read_from_a_store_can_be_edited(stored):
    recording = open_recording(stored)
    with pytest.raises((TypeError, ValueError), match=r"read-only|item assignment|not support"):
        recording.signals["calcium"][0, 0] = 1.0
    view = recording.signals["calcium"]
    view.values[0, 0] = 99.0  # a copy of its own
    assert recording.signals["calcium"].values[0, 0] != 99.0


DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">f4", ">i2"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@st.composite
def recordings(draw):
    size, channels = draw(st.integers(0, 60)), draw(st.integers(1, 6))
    values = draw(hnp.arrays(np.dtype(draw(st.sampled_from(DTYPES))), (size, channels)))
    ids = draw(st.lists(TEXT.filter(bool), min_size=channels, max_size=channels, unique=True))
    columns = {"label": draw(st.lists(TEXT, min_size=channels, max_size=channels)), "flag": np.arange(channels) > 2}
    rate = draw(st.none() | st.floats(0.01, 1e5))
    times = np.cumsum(draw(hnp.arrays("float64", size, elements=st.floats(0.001, 5))))
    clock = draw(st.sampled_from([{"rate_hz": rate}, {"time": times}]))
    signal = make_signal(values, channel_id=ids, units="V", columns=columns, **clock)
    rows = draw(st.integers(0, 5))
    intervals = make_intervals(
        np.arange(rows), np.arange(rows) + 1.0, label=draw(st.lists(TEXT, min_size=rows, max_size=rows))
    )
    events = make_events(np.sort(draw(hnp.arrays("float64", st.integers(0, 20), elements=st.floats(-5, 50)))))
    metadata = {"dataset": "d", "recording_id": "d/r", "subject": {"id": draw(TEXT.filter(bool)), "species": "unknown"}}
    return Recording(metadata | {"modality": "other"}, {"s": signal}, {"e": events}, {"i": intervals})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recordings(), st.data())
def test_any_recording_comes_back(tmp_path_factory, recording, data):
    store = tmp_path_factory.mktemp("store")
    assert write_recording(recording, store) == "written"
    got = open_recording(store / "d" / "r")
    assert_same(got, recording)
    assert verify_recording(store / "d" / "r") == []
    start, stop = data.draw(st.floats(-1, 60)), data.draw(st.floats(-1, 60))
    np.testing.assert_array_equal(
        got.signals["s"].sel(time=slice(start, stop)).values, recording.signals["s"].sel(time=slice(start, stop)).values
    )
    assert write_recording(recording, store) == "up to date"


@pytest.fixture(scope="module")
def chunked(tmp_path_factory):
    """A signal of many inner chunks in two shards, and its values."""
    values = np.random.default_rng(0).integers(-9, 9, (70_000, 300)).astype("int16")
    signal = make_signal(values, channel_id=[str(i) for i in range(300)], units="V", rate_hz=1000.0)
    store = tmp_path_factory.mktemp("store")
    metadata = {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s", "species": "unknown"}, "modality": "eeg"}
    write_recording(Recording(metadata, {"s": signal}), store)
    return open_recording(store / "d" / "r", decode=False).signals["s"], values


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_selection_reads_what_numpy_would(chunked, data):
    signal, values = chunked

    def key(size):
        bound = st.none() | st.integers(-size - 3, size + 3)
        some = st.lists(st.integers(-size, size - 1), max_size=4)
        return data.draw(
            st.one_of(
                st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 999])), some, st.integers(-size, size - 1)
            )
        )

    rows, columns = key(len(values)), key(values.shape[1])
    expected = values[rows] if np.ndim(rows) == 0 else values[np.asarray(rows, int)]
    expected = expected[..., columns] if np.ndim(columns) == 0 else expected[..., np.asarray(columns, int)]
    np.testing.assert_array_equal(signal.isel(time=rows).isel(channel=columns).values, expected)


def test_plain_xarray_opens_a_recording_without_a_warning(made, stored):
    recording = made.full_recording()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(stored, engine="zarr")
        tree.load()
    for name in recording.signals:
        dataset = tree[f"signals/{name}"].dataset
        values = dataset[name].values
        if name == "eeg":  # xarray applies one factor per array by itself; one per channel lies beside it
            values = values * dataset["scale_factor"].values + dataset["add_offset"].values
        np.testing.assert_allclose(values, recording.signals[name].values, rtol=1e-6)
        assert dataset["channel_id"].values.tolist() == recording.signals[name].channel_id.values.tolist()
        assert "channel_id" in dataset[name].coords
    assert tree["signals/eeg"].dataset.sizes == {"time": 1000, "channel": 3}
    np.testing.assert_array_equal(tree["events/spikes/time"].values, recording.events["spikes"].time.values)
    assert tree["intervals/state"].dataset["label"].values.tolist() == ["fwd", "rev"]
    assert tree["units"].dataset["unit_id"].values.tolist() == ["u1", "u2", "u3"]


def arrays_of(folder):
    return {p: d for p, d in read_documents(folder).items() if d["node_type"] == "array"}


def test_zarr_reads_every_array_and_the_digests_are_as_specified(stored):
    digests = read_root_attributes(stored)["manifest"]["arrays"]
    group = zarr.open_group(stored, mode="r")
    assert set(digests) == set(arrays_of(stored))
    for path, document in arrays_of(stored).items():
        values, kind = group[path][...], document["data_type"]
        if kind == "string":
            encoded = [str(text).encode() for text in values.tolist()]
            content = b"".join(len(e).to_bytes(8, "little") + e for e in encoded)
        else:
            content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        head = f"{kind} {document['shape']}\n".encode()
        assert hashlib.sha256(head + content).hexdigest() == digests[path], path


def test_tensorstore_reads_every_numeric_array(stored):
    tensorstore = pytest.importorskip("tensorstore")
    group, seen = zarr.open_group(stored, mode="r"), 0
    for path, document in arrays_of(stored).items():
        if document["data_type"] == "string":
            continue
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(stored / path)}}
        np.testing.assert_array_equal(tensorstore.open(spec, read=True).result().read().result(), group[path][...])
        seen += 1
    assert seen >= 20


def test_every_array_is_specified_checksummed_and_named(stored):
    for path, document in arrays_of(stored).items():
        codecs = document["codecs"]
        inner = codecs[0]["configuration"]["codecs"] if codecs[0]["name"] == "sharding_indexed" else codecs
        assert inner[-1]["name"] == "crc32c", path
        assert {codec["name"] for codec in inner} <= {"bytes", "vlen-utf8", "blosc", "zstd", "crc32c"}
        assert len(document["dimension_names"]) == len(document["shape"])
    root = (stored / "zarr.json").read_text()
    assert "NaN" not in root.replace('"NaN"', "")


def test_writing_twice_gives_the_same_bytes(made, stored, tmp_path, file_bytes):
    write_recording(made.full_recording(), tmp_path / "again")
    assert file_bytes(tmp_path / "again") == file_bytes(tmp_path / "store")


@pytest.mark.parametrize(
    ("shape", "itemsize"),
    [
        ((172_800_000, 64), 2),
        ((10**9,), 8),
        ((1_000_000, 109), 8),
        ((1200, 900_000), 4),
        ((0, 5), 4),
        ((5, 0), 4),
        ((1, 1), 8),
    ],
    ids=str,
)
def test_files_stay_few_and_chunks_small(shape, itemsize):
    plan, n_bytes = plan_chunks(shape, itemsize), int(np.prod(shape)) * itemsize
    files = np.prod([-(-length // step) for length, step in zip(shape, plan.stored)])
    assert files <= 1 + n_bytes / 2**25
    assert np.prod(plan.chunk) * itemsize <= 256 * 1024
    if n_bytes > 2**26:
        assert 16 * 2**20 <= np.prod(plan.stored) * itemsize <= 64 * 2**20
    assert all(step % inner == 0 for step, inner in zip(plan.stored, plan.chunk))


def test_files_of_a_recording_stay_within_the_promise(made, tmp_path):
    recording = made.large_recording(megabytes=36)
    write_recording(recording, tmp_path)
    folder = tmp_path / recording.recording_id
    files = [path for path in folder.rglob("*") if path.is_file()]
    arrays = arrays_of(folder)
    n_bytes = sum(signal.nbytes for signal in recording.signals_stored.values())
    further_members = len(recording.signals) - 1
    assert len(files) <= 8 + further_members + 2 * len(arrays) + n_bytes / 2**25
    assert sorted(path.name for path in (folder / "signals" / "noise" / "noise" / "c").iterdir()) == ["0", "1"]


@given(hnp.arrays("float64", st.integers(0, 50), elements=st.floats(-3, 30)), st.floats(-5, 40), st.floats(0, 20))
def test_the_event_index_brackets_every_window(times, start, seconds):
    times = np.sort(times)
    index = make_event_index(times)
    found = candidates(index, len(times), start, start + seconds)
    inside = np.flatnonzero((times >= start) & (times < start + seconds))
    assert set(inside) <= set(range(found.start, found.stop))
    extra = times[found][(times[found] < start - 1) | (times[found] >= start + seconds + 1)]
    assert (extra < 0).all()  # only what came before second 0 is read besides


def test_the_event_index_holds_the_first_event_of_each_second():
    assert make_event_index(np.array([-1.0, 0.5, 1.0, 1.0, 2.7])).tolist() == [1, 2, 4, 5]
    assert candidates(np.array([1, 2, 4, 5]), 5, 1.0, 2.0) == slice(2, 4)
