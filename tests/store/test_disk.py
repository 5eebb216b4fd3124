"""A disk that is full or read-only: one clear message, and nothing half written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from neurodata.errors import StoreError
from neurodata.store.store import open_store
from neurodata.store.table import write_index
from neurodata.store.verify import verify_recording
from neurodata.store.write import write_recording

CHILD = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
import made_recordings
from neurodata.errors import StoreError
from neurodata.store.write import write_recording
recording = made_recordings.large_recording(megabytes=8)
exec(sys.argv[3])
try:
    print(write_recording(recording, sys.argv[2]))
except StoreError as error:
    print("StoreError:", error)
"""
NOBODY = 65534


def write_in_child(store, first):
    """Write a recording in a process of its own after it has run ``first``; return what it printed."""
    arguments = [sys.executable, "-W", "error", "-c", CHILD, str(Path(__file__).parent), str(store), first]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def small_disk(tmp_path):
    """A mounted file system of 2 MB; remounted read-only by calling the second value."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root in a place that allows it")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_nothing_is_kept(small_disk, made):
    store = small_disk[0] / "store"
    write_recording(made.full_recording(), store)
    for recording_id in ("made_up/large", "other/large"):
        with pytest.raises(StoreError, match=rf"the disk under store '.*' is full; '{recording_id}' was not written"):
            write_recording(made.large_recording(recording_id, 8), store)
        assert [path.name for path in store.iterdir()] == ["made_up"]
        assert open_store(store).recording_ids == ("made_up/first",)
    assert verify_recording(store / "made_up" / "first") == []
    assert write_recording(made.full_recording("made_up/second"), store) == "written"


def test_an_overwrite_on_a_full_disk_keeps_the_old_recording(small_disk, made):
    store = small_disk[0] / "store"
    write_recording(made.full_recording("made_up/large"), store)
    with pytest.raises(StoreError, match=r"is full"):
        write_recording(made.large_recording(megabytes=8), store, overwrite=True)
    assert verify_recording(store / "made_up" / "large") == []
    assert open_store(store)["large"].signals["eeg"].sizes["time"] == 1000


def test_a_read_only_disk_is_named(small_disk, made):
    disk, make_read_only = small_disk
    write_recording(made.full_recording(), disk / "store")
    make_read_only()
    with pytest.raises(StoreError, match=r"store '.*' cannot be written \(Read-only file system\); choose a folder"):
        write_recording(made.large_recording(megabytes=1), disk / "store")
    with pytest.raises(StoreError, match=r"cannot be written"):
        write_recording(made.large_recording(megabytes=1), disk / "new")
    write_index(disk / "store")
    assert open_store(disk / "store").recording_ids == ("made_up/first",)
    assert sorted(path.name for path in disk.rglob("*") if path.parent == disk / "store") == ["made_up"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else_is_named(tmp_path):
    message = write_in_child(tmp_path, f"os.setgid({NOBODY}); os.setuid({NOBODY})")
    assert message.startswith("StoreError: store '")
    assert "cannot be written (Permission denied)" in message
    assert list(tmp_path.iterdir()) == []


def test_a_limit_on_file_sizes_ends_as_a_full_disk_does(tmp_path):
    limit = 1_000_000
    message = write_in_child(
        tmp_path, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))"
    )
    assert "StoreError: 'made_up/large' could not be written to store" in message
    assert "File too large" in message
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_a_file_is_named(made, tmp_path):
    (tmp_path / "file").write_text("x")
    for store in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=r"is not a folder; give a folder that exists or can be made"):
            write_recording(made.full_recording(), store)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing" / "place")
    with pytest.raises(StoreError, match=r"is not a folder|could not be written"):
        write_recording(made.full_recording(), tmp_path / "nowhere")
