"""HDF5 of strangers: looked through by a child process, no other file ever opened, every end a clear error."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders import hdf5
from neurodata.loaders.hdf5 import is_hdf5, open_hdf5, read_part


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["group/values"] = np.arange(2000.0)
        file["text"] = "hello"
        file["group"].attrs["colnames"] = np.empty(0, h5py.string_dtype())
        file["group"].attrs["nothing"] = h5py.Empty("f")
        file["loop"] = file["group"]
        file["dangling"] = h5py.SoftLink("/nowhere")
        file.create_dataset("packed", data=np.zeros((5000, 100)), chunks=(100, 100), compression="gzip")
    return path


def test_a_whole_file_opens(good):
    assert is_hdf5(good)
    with open_hdf5(good) as file:
        np.testing.assert_array_equal(file["group/values"][:], np.arange(2000.0))


def test_matlab_s_user_block_is_known(tmp_path):
    path = tmp_path / "v73.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = 1
    assert is_hdf5(path)
    assert not is_hdf5(tmp_path)
    (tmp_path / "short").write_bytes(b"\x89HDF")
    assert not is_hdf5(tmp_path / "short")


@pytest.mark.parametrize("kind", ["link", "raw", "virtual"])
def test_what_lies_in_another_file_is_refused_by_name(tmp_path, kind):
    secret = tmp_path / "secret"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(10)
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as file:
        if kind == "link":
            file["stolen"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "raw":
            file.create_dataset("stolen", (10,), "u1", external=[(str(secret), 0, 10)])
        else:
            layout = h5py.VirtualLayout((10,), "i8")
            layout[:] = h5py.VirtualSource(str(secret), "x", (10,))
            file.create_virtual_dataset("stolen", layout)
    with pytest.raises(RawFileError, match=r"hostile\.h5: .*stolen.* another file.*no path from a file is followed"):
        open_hdf5(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_said_to_be(good, share):
    good.write_bytes(good.read_bytes()[: int(good.stat().st_size * share)])
    with pytest.raises(RawFileError, match=r"good\.h5: the HDF5 file is truncated or damaged"):
        open_hdf5(good)


def test_the_death_of_the_child_is_our_error(good, monkeypatch, tmp_path):
    crashing = tmp_path / "hdf5.py"
    (tmp_path / "hdf5_probe.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(hdf5, "__file__", str(crashing))
    hdf5._look_through.cache_clear()
    with pytest.raises(RawFileError, match=r"damaged: looking through it ended a child process \(status -11\)"):
        open_hdf5(good)


def test_a_file_that_takes_too_long_or_too_much_memory_is_refused(good, monkeypatch):
    monkeypatch.setattr(hdf5, "_SECONDS", 0.01)
    hdf5._look_through.cache_clear()
    with pytest.raises(RawFileError, match=r"took longer than 0\.01 s"):
        open_hdf5(good)
    monkeypatch.setattr(hdf5, "_SECONDS", 60)
    monkeypatch.setattr(hdf5, "_MOST_OBJECTS", 2)
    hdf5._look_through.cache_clear()
    with pytest.raises(RawFileError, match="holds more than 2 groups and datasets"):
        open_hdf5(good)
    hdf5._look_through.cache_clear()


@pytest.mark.parametrize(
    "key", [(slice(10, 900),), (slice(None), slice(1, 5)), (slice(5, 5),), (slice(0, 1000), slice(0, 7))]
)
@pytest.mark.parametrize("chunks", [(1, 7), (1, 1), (50, 2), None])
def test_many_small_chunks_are_read_a_few_at_a_time(tmp_path, monkeypatch, key, chunks):
    values = np.arange(7000).reshape(1000, 7)
    calls = []
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", data=values, chunks=chunks)
        monkeypatch.setattr(hdf5, "_MOST_CHUNKS", 64)
        monkeypatch.setattr(h5py.Dataset, "__getitem__", counting(calls, h5py.Dataset.__getitem__))
        np.testing.assert_array_equal(read_part(data, *key), values[key])
    if chunks == (1, 7) and key == (slice(10, 900),):
        assert len(calls) == 14


def counting(calls, getitem):
    def counted(self, *arguments, **options):
        calls.append(arguments)
        return getitem(self, *arguments, **options)

    return counted
