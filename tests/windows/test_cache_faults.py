"""The decoded cache when things go wrong: kills, crowds, full and read-only disks, damage, restarts of the machine."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from neurodata.errors import CacheError
from neurodata.windows._cache_settle import settle_all
from neurodata.windows.cache import DecodedCache, make_key

KEY = make_key(what="faults")
VALUES = np.arange(200_000, dtype=np.float32).reshape(-1, 8)
ANOTHER_BOOT = "00000000-0000-0000-0000-000000000000"

CHILD = """
import os, sys, time, warnings
import numpy as np
from neurodata.errors import CacheError
from neurodata.windows.cache import DecodedCache, make_key
warnings.simplefilter("error")
cache = DecodedCache(sys.argv[1], int(sys.argv[2]) if sys.argv[2] else None)
KEY = make_key(what="faults")
VALUES = np.arange(200_000, dtype=np.float32).reshape(-1, 8)

def say(*words):
    print(*words, flush=True)

def write(writer):
    writer.create("values", VALUES.shape, VALUES.dtype).write(0, VALUES)
"""


@pytest.fixture
def cache(tmp_path):
    return DecodedCache(tmp_path / "cache")


@pytest.fixture
def child():
    """Start a process that has a cache, and runs this."""
    started = []

    def start(cache, code, limit=""):
        arguments = [sys.executable, "-c", CHILD + code, str(cache.folder), str(limit)]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path):
    """A cache on a mounted file system of 4 MB; remounted read-only by calling the second value."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root in a place that allows it")
    yield DecodedCache(place), lambda: subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    settle_all(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


def write(writer):
    writer.create("values", VALUES.shape, VALUES.dtype).write(0, VALUES)


def make(cache, key=KEY):
    return cache.open_or_make(key, "made up", VALUES.nbytes, write)


def make_sized(cache, number, n_bytes):
    return cache.open_or_make(
        make_key(n=number), f"number {number}", n_bytes,
        lambda w: w.create("x", (n_bytes,), "u1").write(0, np.zeros(n_bytes, np.uint8)),
    )  # fmt: skip


def check_whole(entry):
    np.testing.assert_array_equal(entry.arrays["values"], VALUES)


def leftovers(cache):
    """Unfinished work and locks of keys."""
    return os.listdir(cache.folder / ".neurodata-cache" / "making")


def entry_folder(cache, key=KEY):
    return cache.folder / key[:2] / key


def test_processes_that_want_the_same_at_once_make_it_once(cache, child):
    code = """
def slowly(writer):
    say("made")
    file = writer.create("values", VALUES.shape, VALUES.dtype)
    time.sleep(0.5)
    file.write(0, VALUES)
say("ready"); sys.stdin.readline()
entry = cache.open_or_make(KEY, "made up", VALUES.nbytes, slowly)
say("same" if (entry.arrays["values"] == VALUES).all() else "differs")
"""
    processes = [child(cache, code) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    words = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(words) == [["made", "same"], ["same"], ["same"]]
    assert leftovers(cache) == []


MOMENTS = ["before any array", "space reserved", "half written", "all written"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_maker_leaves_nothing(cache, child, moment):
    code = f"""
def stop(moment):
    if moment == {moment!r}:
        say("here"); time.sleep(600)
def killed(writer):
    stop("before any array")
    file = writer.create("values", VALUES.shape, VALUES.dtype)
    stop("space reserved")
    file.write(0, VALUES[:12500])
    stop("half written")
    file.write(12500, VALUES[12500:])
    stop("all written")
cache.open_or_make(KEY, "made up", VALUES.nbytes, killed)
"""
    maker = child(cache, code)
    assert maker.stdout.readline() == "here\n"
    assert cache.open(KEY) is None
    assert cache.list().empty
    assert len(leftovers(cache)) == 2
    waiting = child(
        cache, 'say("same" if (cache.open_or_make(KEY, "", 0, write).arrays["values"] == VALUES).all() else 0)'
    )
    time.sleep(0.1)
    maker.kill()
    assert waiting.communicate(timeout=60)[0] == "same\n"
    assert leftovers(cache) == []
    check_whole(cache.open(KEY))


def test_kills_at_any_time_leave_nothing_or_all(cache, child):
    """Moments between the last value and the entry's place are not for a maker to stop at, so time chooses."""
    code = """
say("ready"); sys.stdin.readline()
for number in range(10**6):
    cache.open_or_make(make_key(number=number), "made up", VALUES.nbytes, write)
"""
    for moment in range(5):
        maker = child(cache, code)
        maker.stdout.readline()
        maker.stdin.write("go\n")
        maker.stdin.flush()
        time.sleep(0.05 + 0.023 * moment)
        maker.kill()
        maker.communicate()
        keys = cache.list()["key"]
        assert leftovers(cache) == []
        for key in keys:
            check_whole(cache.open(key))
        cache.clear()


def test_what_killed_makers_left_goes_when_another_makes_room(cache, child):
    maker = child(cache, """
def killed(writer):
    writer.create("x", (10**6,), "f4"); say("here"); time.sleep(600)
cache.open_or_make(KEY, "made up", 4_000_000, killed)
""")  # fmt: skip
    maker.stdout.readline()
    small = DecodedCache(cache.folder, 7_000_000)
    make_sized(small, 1, 2_000_000)
    assert len(leftovers(cache)) == 2, "a live maker's work was removed"
    maker.kill()
    maker.communicate()
    make_sized(small, 2, 2_000_000)
    assert leftovers(cache) == []
    assert len(cache.list()) == 2


def test_a_full_disk_is_named_and_nothing_is_kept(small_disk):
    cache, _ = small_disk
    kept = make(cache)
    need = r"has no room for number 9: it needs 8\.0 MB, \d\.\d MB are free \(No space left on device\); "
    with pytest.raises(CacheError, match=need + r"point NEURODATA_CACHE at a larger disk, run 'neurodata cache clear'"):
        make_sized(DecodedCache(cache.folder, 10**9), 9, 8_000_000)
    assert leftovers(cache) == []
    assert len(cache.list()) == 1
    check_whole(kept)
    make_sized(cache, 10, 1_000_000)


def test_a_full_disk_is_emptied_of_what_nobody_uses_first(small_disk):
    cache = DecodedCache(small_disk[0].folder, 10**12)
    for number in range(12):
        make_sized(cache, number, 1_000_000)
    assert 2 <= len(cache.list()) <= 4


@pytest.mark.filterwarnings("ignore::neurodata.errors.CacheWarning")
def test_a_growing_entry_on_a_full_disk_says_so_and_keeps_what_it_has(small_disk):
    cache, _ = small_disk
    entry = cache.open_growing(KEY, "growing", shape=(2**21, 2), dtype="f4", chunk_rows=2**16, facts={})
    block = np.ones((2**16, 2), np.float32)
    chunk = 0
    while shutil.disk_usage(cache.folder).free > block.nbytes:
        entry.fill(chunk * 2**16, block)
        chunk += 1
    assert chunk > 4
    with pytest.raises(CacheError, match=r"has no room for growing: it needs 0\.5 MB, 0\.\d MB are free"):
        entry.fill(chunk * 2**16, block)
    assert entry.missing(0, 2**21) == [(chunk * 2**16, 2**21)]
    assert (entry.values[: chunk * 2**16] == 1).all()


def test_a_read_only_folder_is_used_as_it_is(small_disk, child):
    cache, make_read_only = small_disk
    child(cache, 'cache.open_or_make(KEY, "made up", VALUES.nbytes, write)').communicate(timeout=60)
    make_read_only()
    check_whole(make(cache))
    check_whole(cache.open(KEY))
    assert cache.list()["what"].tolist() == ["made up"]
    for action in (lambda: make(cache, make_key(other=1)), cache.clear):
        with pytest.raises(CacheError, match=r"cannot be written"):
            action()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_else_s_cache_is_used_as_it_is(child):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        cache = DecodedCache(Path(folder) / "cache")
        make(cache)
        for open_to_all in (cache.folder, cache.folder.parent):
            open_to_all.chmod(0o755)
        check_somebody_else(cache, child)
        entry_folder(cache).chmod(0o700)
        check_closed(cache, child)


def check_somebody_else(cache, child):
    code = """
from neurodata.windows._cache_settle import boot_id
boot_id()  # while its codec can still be imported
os.setgid(65534); os.setuid(65534)
say((cache.open_or_make(KEY, "", 0, write).arrays["values"] == VALUES).all())
try:
    cache.open_or_make(make_key(other=1), "another", 0, write)
except CacheError as error:
    say(error)
"""
    said = child(cache, code).communicate(timeout=60)[0].splitlines()
    assert said[0] == "True"
    assert (
        "cannot be written (Permission denied), and another is not in it; point NEURODATA_CACHE at a folder" in said[1]
    )
    assert len(cache.list()) == 1


def check_closed(cache, child):
    code = """
os.setgid(65534); os.setuid(65534)
try:
    cache.open(KEY)
except CacheError as error:
    say(error)
"""
    said = child(cache, code).communicate(timeout=60)[0]
    assert "cannot be opened (Permission denied); point NEURODATA_CACHE at a folder of yours" in said


def change(**changes):
    def damage(folder):
        file = folder / "entry.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return damage


def span(**changes):
    return change(arrays={"values": {"dtype": "<f4", "shape": [25000, 8], "start": 0} | changes})


DAMAGE = [
    pytest.param(lambda f: os.truncate(f / "data", 100), id="data cut short"),
    pytest.param(lambda f: os.truncate(f / "data", 10**7), id="data too long"),
    pytest.param(lambda f: (f / "data").unlink(), id="data missing"),
    pytest.param(lambda f: (f / "entry.json").unlink(), id="description missing"),
    pytest.param(lambda f: (f / "entry.json").write_bytes(b""), id="description empty"),
    pytest.param(lambda f: (f / "entry.json").write_bytes(b"\0" * 300), id="description of zeros"),
    pytest.param(lambda f: (f / "entry.json").write_text("[" * 100_000), id="description deep"),
    pytest.param(lambda f: (f / "entry.json").write_text("[1]"), id="description a list"),
    pytest.param(lambda f: os.truncate(f / "entry.json", 2**40), id="description huge"),
    pytest.param(change(neurodata_cache=99), id="another format"),
    pytest.param(change(arrays=[]), id="arrays a list"),
    pytest.param(span(dtype="|O"), id="objects"),
    pytest.param(span(dtype=["<f4"]), id="dtype a list"),
    pytest.param(span(shape=[10**9, 8]), id="array beyond the file"),
    pytest.param(span(shape=[2**62, 2**62]), id="array beyond all"),
    pytest.param(span(shape=[-1, 8]), id="negative shape"),
    pytest.param(span(shape="88"), id="shape is text"),
    pytest.param(span(start=-4096), id="negative start"),
    pytest.param(span(start=0.0), id="start is no whole number"),
    pytest.param(change(arrays={"../x": {"dtype": "<f4", "shape": [1], "start": 0}}), id="name is a path"),
    pytest.param(change(chunk_rows=-3), id="negative chunk"),
    pytest.param(change(chunk_rows=16), id="a growing entry without its parts"),
    pytest.param(change(facts=7), id="facts are no mapping"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_dropped_and_made_anew(cache, damage):
    make(cache)
    damage(entry_folder(cache))
    assert len(cache.list()) == 1
    assert cache.open(KEY) is None
    assert cache.list().empty
    check_whole(make(cache))
    damage(entry_folder(cache))
    check_whole(make(cache))
    assert leftovers(cache) == []


def growing(cache):
    return cache.open_growing(KEY, "growing", shape=(1000, 8), dtype="f4", chunk_rows=100, facts={})


def test_after_a_restart_of_the_machine_only_what_was_synced_is_believed(cache):
    restarted = change(boot=ANOTHER_BOOT)
    make(cache)
    restarted(entry_folder(cache))
    assert cache.open(KEY) is None
    check_whole(make(cache))
    settle_all(cache.folder)
    restarted(entry_folder(cache))
    check_whole(cache.open(KEY))


def test_after_a_restart_a_growing_entry_keeps_what_was_synced(cache):
    entry, block = growing(cache), np.ones((100, 8), np.float32)
    entry.fill(0, block)
    settle_all(cache.folder)
    entry.fill(100, block)
    with (entry_folder(cache) / "data").open("r+b") as data:
        place = data.read().index(entry._boot.tobytes())
        data.seek(place)
        data.write(ANOTHER_BOOT.encode())
    assert entry.missing(0, 1000) == growing(cache).missing(0, 1000) == [(100, 1000)]
    growing(cache).fill(300, block)
    assert entry.missing(0, 1000) == [(100, 300), (400, 1000)]
    entry.fill(100, block)
    assert growing(cache).missing(0, 1000) == [(200, 300), (400, 1000)]


USER = """
entries = [cache.open(make_key(n=number)) for number in (0, 1)]
say("open"); sys.stdin.readline()
entries = entries[:1]; cache.open(make_key(n=0)); say("one"); sys.stdin.readline()
"""


def test_what_another_live_process_uses_is_never_removed(cache, child):
    limited = DecodedCache(cache.folder, 5_000_000)
    for number in range(4):
        make_sized(limited, number, 1_000_000)
    user = child(cache, USER)
    assert user.stdout.readline() == "open\n"
    for number in (0, 1):
        os.utime(entry_folder(cache, make_key(n=number)) / "entry.json", (1000, 1000))
    for number in range(4, 9):
        make_sized(limited, number, 1_000_000)
    in_use = cache.list().set_index("what")["in_use"]
    assert sorted(in_use[in_use].index) == ["number 0", "number 1"]
    cache.clear()
    assert sorted(cache.list()["what"]) == ["number 0", "number 1"]
    user.stdin.write("\n")
    user.stdin.flush()
    assert user.stdout.readline() == "one\n"
    cache.clear()
    assert cache.list()["what"].tolist() == ["number 0"]
    user.kill()
    user.communicate()
    assert cache.list()["in_use"].tolist() == [False]
    cache.clear()
    assert cache.list().empty


def test_a_forked_child_keeps_its_parent_s_lease_and_takes_its_own(cache, child):
    make_sized(cache, 0, 1000), make_sized(cache, 1, 1000)
    parent = child(cache, """
mine = cache.open(make_key(n=0))
if os.fork() == 0:
    theirs = cache.open(make_key(n=1))
    say(mine.arrays["x"].sum()); time.sleep(600)
time.sleep(600)
""")  # fmt: skip
    assert parent.stdout.readline() == "0\n"
    assert cache.list()["in_use"].tolist() == [True, True]
    child_id = int(subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=True).stdout)
    os.kill(child_id, 9)
    deadline = time.monotonic() + 10
    while cache.list()["in_use"].sum() == 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cache.list().set_index("what")["in_use"].to_dict() == {"number 0": True, "number 1": False}


def test_a_child_forked_while_its_parent_makes_holds_no_lock(cache, child):
    parent = child(cache, """
def make(writer):
    if os.fork() == 0:
        say("forked"); time.sleep(600)
    time.sleep(600)
cache.open_or_make(KEY, "made up", 0, make)
""")  # fmt: skip
    assert parent.stdout.readline() == "forked\n"
    child_id = int(subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=True).stdout)
    try:
        parent.kill()
        maker = child(cache, 'cache.open_or_make(KEY, "made up", 0, write); say("made")')
        assert maker.stdout.readline() == "made\n"
    finally:
        os.kill(child_id, 9)


def test_thousands_of_entries_are_open_with_few_descriptors(cache, child):
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
def tiny(writer):
    writer.create("x", (4, 8), "f4").write(0, np.ones((4, 8), "f4"))
keys = [make_key(n=number) for number in range(2000)]
for key in keys:
    cache.open_or_make(key, "tiny", 128, tiny)
began = time.perf_counter()
entries = [cache.open(key) for key in keys]
say(time.perf_counter() - began)
say(sum(entry.arrays["x"].sum() for entry in entries))
"""
    seconds, total = child(cache, code).communicate(timeout=120)[0].split()
    assert float(total) == 2000 * 32
    assert float(seconds) < 4, "2 ms for an entry: something is read that need not be"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256


def test_processes_fill_a_growing_entry_together(cache, child):
    code = """
entry = cache.open_growing(KEY, "growing", shape=VALUES.shape, dtype="f4", chunk_rows=100, facts={})
say("ready"); sys.stdin.readline()
order = np.random.default_rng(int(sys.stdin.readline())).permutation(250)
filled = 0
for chunk in order.tolist():
    for first, after in entry.missing(100 * chunk, 100 * chunk + 100):
        entry.fill(first, VALUES[first:after]); filled += 1
    assert (entry.values[100 * chunk : 100 * chunk + 100] == VALUES[100 * chunk : 100 * chunk + 100]).all()
say(filled, entry.complete)
"""
    processes = [child(cache, code) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for seed, process in enumerate(processes):
        process.stdin.write(f"go\n{seed}\n")
        process.stdin.flush()
    words = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [complete for _, complete in words] == ["True", "True"]
    assert 250 <= sum(int(filled) for filled, _ in words) < 400
    np.testing.assert_array_equal(cache.open(KEY).arrays["values"], VALUES)


def test_a_growing_entry_that_was_removed_by_hand_is_not_mixed_with_its_successor(cache):
    entry = growing(cache)
    subprocess.run(["rm", "-r", str(cache.folder)], check=True)
    with pytest.raises(CacheError, match=r"'growing' was removed from '.*' while it was in use; run this again"):
        entry.fill(0, np.ones((100, 8), np.float32))
    anew = growing(cache)
    with pytest.raises(CacheError, match=r"was removed from"):
        entry.fill(0, np.ones((100, 8), np.float32))
    assert anew.missing(0, 1000) == [(0, 1000)]
    assert cache.list()["in_use"].tolist() == [True]


def test_a_cache_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        CacheError, match=r"decoded cache '.*file' cannot be opened \(Not a directory\); point NEURODATA_CACHE at"
    ):
        make(DecodedCache(tmp_path / "file"))
    assert DecodedCache(tmp_path / "file").list().empty
