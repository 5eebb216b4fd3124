"""Decoded arrays on disk: made once, opened read-only, evicted by use, filled chunk by chunk."""

import json
import multiprocessing
import os
import stat
import threading
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from neurodata.cli import app
from neurodata.errors import CacheError, CacheWarning
from neurodata.windows.cache import DecodedCache, GrowingEntry, make_key

MEGABYTE = 2**20


@pytest.fixture
def cache(tmp_path):
    return DecodedCache(tmp_path / "cache")


def values_of(number, n_rows=100):
    return np.random.default_rng(number).standard_normal((n_rows, 8)).astype(np.float32)


def make_entry(cache, number, n_bytes=0):
    """An entry of two arrays, at least so many bytes large."""
    values = values_of(number, max(100, n_bytes // 32))

    def make(writer):
        file = writer.create("values", values.shape, values.dtype)
        file.write(50, values[50:])
        file.write(0, values[:50])
        writer.create("target", (100,), np.int64).write(0, np.arange(100) + number)
        writer.facts["number"] = number

    return cache.open_or_make(make_key(number=number), f"made up {number}", values.nbytes, make)


def used_at(cache, number, seconds):
    """Pretend that an entry was last used so many seconds after 1970."""
    key = make_key(number=number)
    os.utime(cache.folder / key[:2] / key / "entry.json", (seconds, seconds))


def there(cache, numbers):
    keys = set(cache.list()["key"])
    return [number for number in numbers if make_key(number=number) in keys]


def test_what_is_made_is_found_again(cache):
    key = make_key(number=3)
    assert cache.open(key) is None
    assert not cache.folder.exists()
    for entry in (make_entry(cache, 3), cache.open(key)):
        np.testing.assert_array_equal(entry.arrays["values"], values_of(3))
        np.testing.assert_array_equal(entry.arrays["target"], np.arange(100) + 3)
        assert entry.facts == {"number": 3}
        assert (entry.key, entry.what) == (key, "made up 3")
        assert not entry.arrays["values"].flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            entry.arrays["values"][0] = 0
    assert repr(entry) == "Entry('made up 3': values float32[100, 8], target int64[100])"


def test_an_entry_that_is_there_is_not_made_again(cache):
    make_entry(cache, 1)

    def never(writer):
        raise AssertionError("made twice")

    entry = cache.open_or_make(make_key(number=1), "made up 1", 0, never)
    np.testing.assert_array_equal(entry.arrays["values"], values_of(1))


def test_arrays_outlive_the_entry_and_its_eviction(cache):
    values = make_entry(cache, 1).arrays["values"][10:20]
    assert cache.list()["in_use"].tolist() == [True]
    assert cache.clear() == 0
    os.system(f"rm -r {cache.folder}")
    np.testing.assert_array_equal(values, values_of(1)[10:20])


def test_empty_arrays_and_entries_are_kept(cache):
    def make(writer):
        writer.create("none", (0, 5), np.float32)

    def nothing(writer):
        writer.facts["empty"] = True

    assert cache.open_or_make(make_key(a=1), "", 0, make).arrays["none"].shape == (0, 5)
    assert cache.open_or_make(make_key(a=2), "", 0, nothing).facts == {"empty": True}


@pytest.mark.parametrize("dtype", ["bool", "i1", "u2", ">i4", "f2", "<f8", "uint64"])
def test_types_come_back(cache, dtype):
    values = np.arange(6).reshape(3, 2).astype(np.dtype(dtype).newbyteorder("<"))
    entry = cache.open_or_make(make_key(d=dtype), "", 0, lambda w: w.create("x", (3, 2), dtype).write(0, values))
    assert entry.arrays["x"].dtype == values.dtype
    np.testing.assert_array_equal(entry.arrays["x"], values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda w: w.create("x", (3,), "U5"), r"hold numbers of one of .*; 'x' is <U5", id="text"),
        pytest.param(lambda w: w.create("x", (3,), object), r"hold numbers of one of", id="objects"),
        pytest.param(lambda w: w.create("../x", (3,), "f4"), r"letters, digits and .* got '\.\./x'", id="a path"),
        pytest.param(lambda w: w.create("x", (), "f4"), r"expected a shape like \(time, channel\)", id="no rows"),
        pytest.param(lambda w: w.create("x", (4,), "f4"), r"0 rows of 'x' were written, expected 4", id="a hole"),
        pytest.param(
            lambda w: w.create("x", (4,), "f4").write(0, np.zeros(4)),
            r"\(float32, \(4,\)\) cannot be float64",
            id="type",
        ),
        pytest.param(
            lambda w: w.create("x", (4,), "f4").write(2, np.zeros(3, "f4")), r"rows from 2 of .* shape \(3,\)", id="end"
        ),
        pytest.param(lambda w: [w.create("x", (0,), "f4") for _ in "ab"], r"two arrays 'x'", id="twice"),
        pytest.param(lambda w: w.facts.update(a=float("nan")), r"facts of cache entry 'bad' are not JSON", id="nan"),
    ],
)
def test_what_cannot_be_kept_is_named_and_leaves_nothing(cache, make, message):
    with pytest.raises(CacheError, match=message):
        cache.open_or_make(make_key(), "bad", 0, make)
    assert cache.list().empty
    assert files_of(cache) == []


def files_of(cache):
    """Every file but the lock and the leases."""
    found = (p.relative_to(cache.folder).as_posix() for p in cache.folder.rglob("*") if p.is_file())
    return sorted(f for f in found if not f.startswith((".neurodata-cache/live/", ".neurodata-cache/lock")))


def test_the_maker_s_own_error_comes_through(cache):
    def make(writer):
        writer.create("x", (10**6,), "f4")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cache.open_or_make(make_key(), "bad", 0, make)
    assert files_of(cache) == []


def test_keys_depend_on_every_part_and_not_on_their_order():
    assert make_key(a=1, b=[2, "x"]) == make_key(b=[2, "x"], a=1)
    assert len({make_key(a=1), make_key(a=2), make_key(b=1), make_key(a="1"), make_key()}) == 5
    with pytest.raises(CacheError, match=r"made of text, numbers, lists"):
        make_key(a=np.zeros(3))
    with pytest.raises(CacheError, match=r"made of text, numbers, lists"):
        make_key(a=float("nan"))


@pytest.mark.parametrize("key", ["../../etc", "", "ab", "A" * 64, "a" * 63 + "/", 5])
def test_a_key_that_is_none_is_refused(cache, key):
    with pytest.raises(CacheError, match=r"a cache key is 64 hexadecimal digits from make_key"):
        cache.open(key)


def test_folder_and_limit_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("NEURODATA_CACHE_BYTES", raising=False)
    monkeypatch.setenv("NEURODATA_CACHE", str(tmp_path / "a"))
    assert DecodedCache() == DecodedCache(tmp_path / "a")
    monkeypatch.setenv("NEURODATA_CACHE_BYTES", "1000")
    assert DecodedCache(tmp_path / "b") == DecodedCache(tmp_path / "b", 1000)
    monkeypatch.setenv("NEURODATA_CACHE_BYTES", "many")
    with pytest.raises(CacheError, match=r"NEURODATA_CACHE_BYTES is a number of bytes such as 50000000000, got 'many'"):
        DecodedCache()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_its_owner_s_alone(cache):
    make_entry(cache, 1)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_the_least_recently_used_go_first(tmp_path):
    cache = DecodedCache(tmp_path, 4 * MEGABYTE)
    for number in range(3):
        make_entry(cache, number, MEGABYTE)
    used_at(cache, 0, 3000)
    used_at(cache, 1, 1000)
    used_at(cache, 2, 2000)
    make_entry(cache, 3, MEGABYTE)
    assert there(cache, range(4)) == [0, 2, 3]
    cache.open(make_key(number=2))
    make_entry(cache, 4, MEGABYTE)
    assert there(cache, range(5)) == [2, 3, 4]
    assert cache.list()["bytes"].sum() <= 4 * MEGABYTE


def test_what_this_process_uses_stays_and_going_over_the_limit_is_told_once(tmp_path):
    cache = DecodedCache(tmp_path, 3 * MEGABYTE)
    kept = [make_entry(cache, number, MEGABYTE) for number in range(2)]
    with pytest.warns(CacheWarning, match=r"goes 0\.\d MB over its limit of 3\.1 MB, because live processes use all"):
        kept.append(make_entry(cache, 2, MEGABYTE))
    kept.append(make_entry(cache, 3, MEGABYTE))
    assert there(cache, range(4)) == [0, 1, 2, 3]
    for number, entry in enumerate(kept):
        np.testing.assert_array_equal(entry.arrays["values"], values_of(number, MEGABYTE // 32))


def test_two_limits_each_is_kept_by_who_adds(tmp_path):
    large, small = DecodedCache(tmp_path, 100 * MEGABYTE), DecodedCache(tmp_path, 2 * MEGABYTE)
    for number in range(4):
        make_entry(large, number, MEGABYTE)
    assert len(large.list()) == 4
    make_entry(small, 5)
    assert small.list()["bytes"].sum() < 2 * MEGABYTE


def test_clear_removes_what_nobody_uses(cache):
    kept = make_entry(cache, 0, MEGABYTE)
    for number in (1, 2, 3):
        make_entry(cache, number, MEGABYTE)
    assert MEGABYTE < cache.clear([make_key(number=1), make_key(number=77)]) < 1.1 * MEGABYTE
    assert there(cache, range(4)) == [0, 2, 3]
    assert 2 * MEGABYTE < cache.clear() < 2.1 * MEGABYTE
    assert there(cache, range(4)) == [0]
    del kept
    assert cache.clear() > MEGABYTE
    assert files_of(cache) == []
    assert DecodedCache(cache.folder / "nowhere").clear() == 0


def test_foreign_files_are_never_touched(tmp_path):
    key, other = make_key(number=1), make_key(number=2)
    foreign = [
        "notes.txt", "lock", "ab/file", "ab/data", f"{'f' * 64}/entry.json", f"{other[:2]}/{other}/thesis.tex",
        f"{other[:2]}/{other}/data", ".neurodata-cache/making/mine/data", f".neurodata-cache/making/{other}.1-a/mine",
    ]  # fmt: skip
    for name in foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "data").write_text("mine")
    linked = "e" * 64
    (tmp_path / "ee").mkdir()
    (tmp_path / "ee" / linked).symlink_to(outside)
    cache = DecodedCache(tmp_path, MEGABYTE)
    for number in (1, 3, 4):
        make_entry(cache, number, MEGABYTE // 2)
    assert cache.open(key) is None
    assert cache.open(linked) is None
    cache.clear()
    assert cache.list().empty
    assert [(tmp_path / name).read_text() for name in foreign] == ["mine"] * len(foreign)
    assert (outside / "data").read_text() == "mine"


def test_list_and_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODATA_CACHE", str(tmp_path))
    cache = DecodedCache()
    assert list(cache.list()) == ["key", "what", "bytes", "last_used", "in_use", "complete"]
    entry = make_entry(cache, 1)
    make_entry(cache, 2, MEGABYTE)
    cache.open_growing(make_key(g=1), "growing", shape=(9, 2), dtype="f4", chunk_rows=4, facts={})
    used_at(cache, 1, 86400)
    table = cache.list().set_index("what")
    assert table["in_use"].to_dict() == {"made up 1": True, "made up 2": False, "growing": False}
    assert table["complete"].to_dict() == {"made up 1": True, "made up 2": True, "growing": False}
    assert table.index[-1] == "made up 1"
    assert str(table.loc["made up 1", "last_used"]) == "1970-01-02 00:00:00+00:00"
    run = CliRunner()
    shown = run.invoke(app, ["cache", "list"])
    assert shown.exit_code == 0
    assert "3 entries, 1.1 MB" in " ".join(shown.output.split())
    listed = json.loads(run.invoke(app, ["cache", "list", "--json"]).output)
    assert [row["what"] for row in listed][-1] == "made up 1"
    assert "1.1 MB freed; 1 entries stay, live processes use them" in run.invoke(app, ["cache", "clear"]).output
    assert cache.list()["key"].tolist() == [entry.key]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_share_the_cache(cache, method):
    entry = make_entry(cache, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside the thread that syncs, from 3.12 on
        pool = multiprocessing.get_context(method).Pool(1)
    with pool:
        assert pool.apply(DecodedCache.clear, (cache,)) == 0
        assert pool.apply(DecodedCache.list, (cache,))["in_use"].tolist() == [True]
        del entry
        assert cache.list()["in_use"].tolist() == [False]
        assert pool.apply(DecodedCache.clear, (cache,)) > 0
        pool.close()
        pool.join()
    assert cache.list().empty


def test_threads_make_an_entry_once(cache):
    made, results = [], []

    def make(writer):
        made.append(1)
        writer.create("x", (1000,), "f4").write(0, np.ones(1000, np.float32))

    def work():
        for number in range(20):
            results.append(cache.open_or_make(make_key(n=number), "", 4000, make).arrays["x"].sum())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 20
    assert results == [1000.0] * 80


def growing(cache, n_rows=1000, chunk_rows=64):
    return cache.open_growing(
        make_key(rows=n_rows, chunk=chunk_rows), "growing", shape=(n_rows, 8), dtype=np.float32, chunk_rows=chunk_rows,
        facts={"rate": 2.0},
    )  # fmt: skip


def test_a_growing_entry_fills_in_any_order(cache):
    values, order = values_of(5, 1000), np.random.default_rng(0).permutation(16)
    entry, other = growing(cache), growing(cache)
    assert entry.facts == {"rate": 2.0}
    assert entry.missing(0, 1000) == entry.missing(-5, 10**9) == [(0, 1000)]
    assert entry.missing(70, 71) == [(64, 128)]
    filled = np.zeros(1000, bool)
    for chunk in order:
        rows = slice(64 * chunk, min(1000, 64 * chunk + 64))
        assert not entry.complete
        entry.fill(rows.start, values[rows])
        filled[rows] = True
        np.testing.assert_array_equal(other.arrays["values"][filled], values[filled])
        left = np.zeros(1000, bool)
        for first, after in other.missing(0, 1000):
            assert first % 64 == 0
            left[first:after] = True
        np.testing.assert_array_equal(left, ~filled)
        assert other.missing(rows.start, rows.stop) == other.missing(5, 5) == other.missing(10**6, 10**7) == []
    assert entry.complete
    assert isinstance(cache.open(entry.key), GrowingEntry)
    np.testing.assert_array_equal(cache.open(entry.key).values, values)
    assert not entry.values.flags.writeable


def test_a_growing_entry_takes_room_as_it_grows(cache):
    entry = growing(cache, n_rows=10**7, chunk_rows=2**15)
    assert cache.list()["bytes"].item() < 100_000
    entry.fill(2**20, np.ones((2**15, 8), np.float32))
    assert MEGABYTE <= cache.list()["bytes"].item() < 1.2 * MEGABYTE


def test_a_growing_cache_makes_room_for_itself(tmp_path):
    cache = DecodedCache(tmp_path, 40 * MEGABYTE)
    make_entry(cache, 1, 20 * MEGABYTE)
    entry = growing(cache, n_rows=2**20, chunk_rows=2**17)
    for chunk in range(8):
        entry.fill(chunk * 2**17, np.ones((2**17, 8), np.float32))
    assert cache.list()["what"].tolist() == ["growing"]


@pytest.mark.parametrize(
    ("first", "n_rows", "dtype", "message"),
    [
        (1, 64, "f4", r"rows 1 to 65 of cache entry 'growing' are not whole chunks of 64 rows"),
        (0, 60, "f4", r"rows 0 to 60 .* are not whole chunks"),
        (0, 64, "f8", r"cannot be float64 of shape \(64, 8\)"),
        (960, 64, "f4", r"rows from 960 of cached array 'values'"),
        (-64, 64, "f4", r"rows from -64 of cached array 'values'"),
    ],
)
def test_what_does_not_fit_a_growing_entry_is_refused(cache, first, n_rows, dtype, message):
    entry = growing(cache)
    with pytest.raises(CacheError, match=message):
        entry.fill(first, np.zeros((n_rows, 8), dtype))
    assert entry.missing(0, 1000) == [(0, 1000)]


def test_a_growing_entry_of_another_shape_is_refused(cache):
    key = make_key(a=1)
    cache.open_growing(key, "x", shape=(9, 2), dtype="f4", chunk_rows=4, facts={})
    with pytest.raises(
        CacheError, match=r"'x' is not a growing one of float32\[9, 3\] in chunks of 4 rows; its key must"
    ):
        cache.open_growing(key, "x", shape=(9, 3), dtype="f4", chunk_rows=4, facts={})
    make_entry(cache, 1)
    with pytest.raises(CacheError, match=r"'made up 1' is not a growing one"):
        cache.open_growing(make_key(number=1), "x", shape=(9, 3), dtype="f4", chunk_rows=4, facts={})
    with pytest.raises(CacheError, match=r"chunk_rows must be at least 1, got 0"):
        cache.open_growing(make_key(a=2), "x", shape=(9, 3), dtype="f4", chunk_rows=0, facts={})
