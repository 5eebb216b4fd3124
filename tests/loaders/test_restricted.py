"""Hostile and damaged archives: refused by name, nothing executed, nothing allocated on a header's word."""

from __future__ import annotations

import datetime
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.npy_files import list_arrays, open_npy, read_npy
from neurodata.loaders.restricted import read_array


def header(descr: str, shape: str, *, version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


def archive(path: Path, content: bytes, *, key: str = "arr_0", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        out.writestr(f"{key}.npy", content)
    return path


def object_archive(path: Path, pickled: bytes, shape: str = "(1,)") -> Path:
    return archive(path, header("'|O'", shape) + pickled)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.parts = (function, arguments)

    def __reduce__(self):
        return self.parts


def pickled_array(element, protocol=4) -> bytes:
    array = np.empty(1, object)
    array[0] = element
    return pickle.dumps(array, protocol=protocol)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        pytest.param(os.system, ("touch {marker}",), r"posix\.system", id="os.system"),
        pytest.param(eval, ("open('{marker}', 'w')",), r"(__builtin__|builtins)\.eval", id="eval"),
        pytest.param(np.load, ("{marker}",), r"numpy\.load", id="numpy.load"),
        pytest.param(np.fromfile, ("{marker}",), r"numpy\.(_core\.multiarray\.)?fromfile", id="numpy.fromfile"),
        pytest.param(np.save, ("{marker}", 1), r"numpy\.save", id="numpy.save"),
        pytest.param(getattr, ("x", "upper"), r"(__builtin__|builtins)\.getattr", id="getattr"),
        pytest.param(bytearray, (1 << 40,), r"(__builtin__|builtins)\.bytearray", id="bytearray of a terabyte"),
    ],
)
def test_calls_are_refused_by_name(function, arguments, named, protocol, tmp_path):
    marker = tmp_path / "executed"
    arguments = tuple(a.format(marker=marker) if isinstance(a, str) else a for a in arguments)
    path = object_archive(tmp_path / "bad.npz", pickle.dumps([Call(function, *arguments)], protocol=protocol))
    with pytest.raises(RawFileError, match=rf"bad.npz, array 'arr_0': refused, reading it would call {named}"):
        read_array(path, "arr_0", objects=True)
    assert not marker.exists()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR".replace(b"S'b'", b"Vb")
OBJECT = RECONSTRUCT + b"(I1\n(I1\ntcnumpy\ndtype\n(VO8\ntRI00\n]"
"""An array of one object: the object, ``a`` (append), ``tb`` (its state) and ``.`` follow."""
STEPS = {
    "persistent id": (b"\x80\x02Vx\nQ.", r"the step BINPERSID"),
    "persistent id as text": (b"Pabc\n.", r"the step PERSID \('abc'\)"),
    "extension code": (b"\x80\x02\x82\x01.", r"the step EXT1 \(1\)"),
    "INST": (b"(ios\nsystem\n.", r"the step INST \('os system'\)"),
    "OBJ": (b"(cnumpy\nndarray\no.", r"the step OBJ"),
    "NEWOBJ": (b"\x80\x02cnumpy\nndarray\n)\x81.", r"the step NEWOBJ"),
    "set": (b"\x80\x04\x8f.", r"the step EMPTY_SET"),
    "dictionary where an array is due": (b"\x80\x02}.", r"no array"),
    "buffer outside the file": (b"\x80\x05\x97.", r"the step NEXT_BUFFER"),
    "dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dot\x93.", r"would call numpy\.ndarray\.dot"),
    "name by STACK_GLOBAL": (b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", r"would call numpy\.load"),
    "BUILD on a function": (b"cnumpy\nndarray\n(Va\nVb\ntb.", r"it changes a function"),
    "BUILD on a list": (b"](Va\nVb\ntb.", r"not plain arrays, text and numbers"),
    "call of a list": (b"](Va\ntR.", r"not plain arrays, text and numbers"),
    "text where an array is due": (b"Vhello\n.", r"it holds str, no array"),
    "array never filled": (RECONSTRUCT + b".", r"begun and never filled"),
    "memo number of a terabyte": (b"\x80\x02]r\xff\xff\xff\xff.", r"memo number 4294967295"),
    "text longer than the file": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\x00\x00abc.", r"truncated or damaged"),
    "cut off": (b"\x80\x04](", r"truncated or damaged"),
    "nothing": (b"", r"truncated or damaged"),
    "type with fields": (
        b"cnumpy\ndtype\n(VV8\nI0\nI1\ntR.",
        r"it makes the type 'V8'; numbers and text are admitted",
    ),
    "type from a comma list": (b"cnumpy\ndtype\n(Vi8,O\ntR.", r"it makes the type 'i8,O'"),
    "type rebuilt with fields": (
        b"cnumpy\ndtype\n(Vi8\ntR(I3\nV<\nNVa\nNI-1\nI-1\nI0\ntb.",
        r"it makes a structured type",
    ),
    "objects from raw bytes": (
        b"\x80\x03" + RECONSTRUCT + b"(I1\n(I1\ntcnumpy\ndtype\n(VO8\ntRI00\nC\x08AAAAAAAAtb.",
        r"array of objects from something that is no list",
    ),
    "array larger than its bytes": (
        b"\x80\x03" + RECONSTRUCT + b"(I1\n(I99\ntcnumpy\ndtype\n(Vi8\ntRI00\nC\x08AAAAAAAAtb.",
        r"gives 1 elements to an array of shape \(99,\)",
    ),
    "array of negative size": (
        b"\x80\x03" + RECONSTRUCT + b"(I1\n(I-1\nI-1\ntcnumpy\ndtype\n(Vi8\ntRI00\nC\x08AAAAAAAAtb.",
        r"with an odd shape",
    ),
    "dictionary with a list for a key": (OBJECT + b"}(lK\x01satb.", r"has the key \[\] \(list\)"),
    "dictionary with an array for a key": (OBJECT + b"}" + RECONSTRUCT + b"K\x01satb.", r"has the key .*\(Array\)"),
    "dictionary with a tuple for a key": (OBJECT + b"})K\x01satb.", r"has the key \(\) \(tuple\)"),
    "dictionary with keys chosen to collide": (
        OBJECT + b"}\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x1fK\x01satb.",
        r"has the key 2305843009213693951 \(int\)",
    ),
    "dictionary without a last value": (OBJECT + b"}(K\x01uatb.", r"last key has no value"),
    "dictionary that holds itself": (OBJECT + b"}q\x07(Vself\nh\x07uatb.", r"nested deeper than 6"),
    "items of a list": (OBJECT + b"](K\x01K\x02uatb.", r"no dictionary"),
    "items of a function": (b"cnumpy\nndarray\n(K\x01K\x02u.", r"no dictionary"),
    "BUILD on a dictionary": (b"}(Va\nVb\ntb.", r"changes the state of Pairs"),
    "call of a dictionary": (b"}(Va\ntR.", r"calls something that is no function"),
    "call in a dictionary": (OBJECT + b"}(Va\ncos\nsystem\n(Vtrue\ntRuatb.", r"would call os\.system"),
    "ordered dictionary from a list": (b"ccollections\nOrderedDict\n((ltR.", r"a dictionary from something"),
    "date of nothing": (b"cdatetime\ndatetime\n(K\x01tR.", r"ten bytes"),
    "path of numbers": (b"cpathlib\nPosixPath\n(K\x01tR.", r"a path from something"),
    "bytes of a strange encoding": (b"c_codecs\nencode\n(Vab\nVzip\ntR.", r"bytes from something"),
    "memo that was never made": (b"\x80\x02h\x05.", r"not plain arrays, text and numbers"),
    "mark that was never made": (b"\x80\x02e.", r"not plain arrays, text and numbers"),
    "number of a million digits": (
        OBJECT + b"\x8b\x40\x42\x0f\x00" + b"\x7f" * 1_000_000 + b"atb.",
        r"whole number of 7999999 bits",
    ),
    "one text copied a thousand times": (
        b"c_codecs\nencode\nq\x01X\xa0\x86\x01\x00"
        + b"a" * 100_000
        + b"q\x02Vlatin1\nq\x03"
        + b"h\x01h\x02h\x03\x86R" * 1000
        + b".",
        r"many copies of the same bytes",
    ),
    "list that holds itself": (
        RECONSTRUCT + b"(I1\n(I1\ntcnumpy\ndtype\n(VO8\ntRI00\n(lp1\ng1\natb.",
        r"nested deeper than 6",
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_that_arrays_do_not_need_are_refused(case, tmp_path):
    pickled, message = STEPS[case]
    with pytest.raises(RawFileError, match=message):
        read_array(object_archive(tmp_path / "bad.npz", pickled), "arr_0", objects=True)


@pytest.mark.parametrize("protocol", [3, 4])  # numpy.save writes 3 (old releases) or 4
def test_arrays_text_and_numbers_survive(protocol, tmp_path):
    elements = [
        np.arange(5, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["AVAL", "RID"]),
        ["AVAL", "Ünicode", 3, 2.5, None, True],
        np.float32(1.5),
        np.str_("RIML"),
    ]
    array = np.empty(len(elements), object)
    for i, element in enumerate(elements):
        array[i] = element
    path = object_archive(tmp_path / "good.npz", pickle.dumps(array, protocol=protocol), f"({len(elements)},)")
    found = read_array(path, "arr_0", objects=True)
    assert found.shape == (len(elements),)
    for expected, got in zip(elements, found):
        assert type(got) is type(expected)
        np.testing.assert_array_equal(np.asarray(got, object), np.asarray(expected, object))


@pytest.mark.parametrize("protocol", range(2, 5))
def test_dictionaries_survive(protocol, tmp_path):
    settings = {
        "fs": 30.0, "nplanes": np.int64(2), "none": None, "yes": True, 3: "number as key", np.int16(4): "and a numpy one",
        "nested": {"block_size": [128, 128], "diameter": (12, 12), "empty": {}},
        "mean": np.arange(6, dtype=np.float32).reshape(2, 3), "flags": np.array([True, False]), "dtype": np.dtype("<i2"),
        "ordered": OrderedDict(a=1), "path": PurePosixPath("/data/a.tif"),
        "date": datetime.datetime(2024, 2, 3, 4, 5, 6, 7),
    }  # fmt: skip
    array = np.array(settings, dtype=object)
    (tmp_path / "ops.npy").write_bytes(header("'|O'", "()") + pickle.dumps(array, protocol=protocol))
    found = read_npy(tmp_path / "ops.npy", objects=True)[()]
    np.testing.assert_array_equal(found.pop("mean"), settings.pop("mean"), strict=True)
    np.testing.assert_array_equal(found.pop("flags"), settings.pop("flags"), strict=True)
    settings["nested"]["diameter"] = [12, 12]
    assert found == settings | {
        "ordered": {"a": 1},
        "path": "/data/a.tif",
        "dtype": "int16",
        "date": "2024-02-03T04:05:06",
    }
    assert all(type(key) in (str, int) for key in found)
    assert type(found["nplanes"]) is np.int64


def test_shared_dictionaries_do_not_take_for_ever(tmp_path):
    shared: dict = {str(i): "x" for i in range(100)}
    for _ in range(4):
        shared = {str(i): shared for i in range(1000)}
    path = object_archive(tmp_path / "a.npz", pickled_array(shared))
    assert len(read_array(path, "arr_0", objects=True)[0]) == 1000


def test_bytes_shared_by_arrays_of_foreign_byte_order_are_not_copied_without_end(tmp_path):
    content = np.zeros(20_000, ">f8").tobytes()
    array = b"(I1\n(I20000\ntcnumpy\ndtype\n(Vf8\ntR(I3\nV>\nNNNI-1\nI-1\nI0\ntbI00\ng9\ntb"
    pickled = RECONSTRUCT + b"(I1\n(I300\ntcnumpy\ndtype\n(VO8\ntRI00\n](" + (RECONSTRUCT + array) * 300 + b"etb."
    pickled = b"\x80\x03B" + struct.pack("<I", len(content)) + content + b"p9\n0" + pickled
    with pytest.raises(RawFileError, match="many copies of the same bytes"):
        read_array(object_archive(tmp_path / "a.npz", pickled, "(300,)"), "arr_0", objects=True)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<i2", "|b1", "<U3", "<c16"])
def test_npy_files_are_those_that_numpy_reads(kind, order, tmp_path):
    values = np.asarray(np.arange(12).reshape(3, 4), order=order).astype(kind)
    for name, array in (("a", values), ("empty", values[:0]), ("single", values[0, 0])):
        np.save(tmp_path / f"{name}.npy", array)
        opened, read = open_npy(tmp_path / f"{name}.npy"), read_npy(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(opened, array, strict=True)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=")
        assert not opened.flags.writeable
    assert open_npy(tmp_path / "a.npy").flags.f_contiguous == (order == "F")


def test_npy_headers_of_python_2_and_of_later_versions(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(header("'<f8'", "(3L, )") + np.arange(3.0).tobytes())
    np.testing.assert_array_equal(open_npy(path), np.arange(3.0))
    for version in ((1, 0), (2, 0), (3, 0)):
        with path.open("wb") as stream:
            np.lib.format.write_array(stream, np.arange(3), version)
        np.testing.assert_array_equal(read_npy(path), np.arange(3))


def test_npy_objects_are_read_where_they_are_admitted_only(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}, {"a": 2}], dtype=object))
    assert [entry["a"] for entry in read_npy(path, objects=True)] == [1, 2]
    for read in (open_npy, read_npy):
        with pytest.raises(
            RawFileError, match=r"a.npy: expected plain numbers, found Python objects \(object\); refused"
        ):
            read(path)
    for read in (open_npy, read_npy):
        with pytest.raises(RawFileError, match=r"b.npy: there is no such file"):
            read(tmp_path / "b.npy")


def test_a_header_of_gigabytes_is_not_read(tmp_path):
    content = b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(64 << 20)
    path = archive(tmp_path / "a.npz", content, method=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        for read in (list_arrays, lambda path: read_array(path, "arr_0")):
            with pytest.raises(RawFileError, match=r"4294967295 bytes long, at most 10000 are read"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_an_archive_says_what_it_holds(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", first=np.zeros((3, 4), ">f4"), names=np.array(["ab"]), single=1)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as extended:
        extended.writestr("README", "more")
    assert list_arrays(tmp_path / "a.npz") == {
        "first": ((3, 4), np.dtype(">f4")),
        "names": ((1,), np.dtype("<U2")),
        "single": ((), np.dtype("<i8")),
    }
    with pytest.raises(RawFileError, match="there is no such file"):
        list_arrays(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(b"PK")
    with pytest.raises(RawFileError, match=r"c.npz: expected a whole .npz archive"):
        list_arrays(tmp_path / "c.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<i2", "|b1", "<U3", "<c16"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_plain_arrays_are_those_that_numpy_reads(kind, order, save, tmp_path):
    values = np.asarray(np.arange(12).reshape(3, 4), order=order).astype(kind)
    save(tmp_path / "a.npz", first=values, empty=values[:0])
    found = read_array(tmp_path / "a.npz", "first")
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype.newbyteorder("=")
    assert read_array(tmp_path / "a.npz", "empty").shape == (0, 4)


PLAIN = {
    "a header of 10^12 numbers": (
        header("'<f8'", "(1000000, 1000000)") + bytes(64),
        r"8000000000000 bytes, but 64 are",
    ),
    "fewer bytes than stated": (header("'<f8'", "(3,)") + bytes(16), r"is 24 bytes, but 16 are there"),
    "more bytes than stated": (header("'<f8'", "(3,)") + bytes(99), r"is 24 bytes, but 99 are there"),
    "negative sizes": (header("'<f8'", "(-1, -2)") + bytes(16), r"sizes are not negative"),
    "10^20 empty texts": (header("'<U0'", "(10**20,)".replace("10**20", "1" + "0" * 20)), r"expected numbers or text"),
    "a structured type": (header("[('a', '<f8')]", "(1,)") + bytes(8), r"expected numbers or text, found type"),
    "objects inside a structured type": (header("[('a', '|O')]", "(1,)") + bytes(8), r"found Python objects"),
    "an expression for a shape": (header("'<f8'", "(__import__('os').getpid(),)"), r"expected the header"),
    "unknown type": (header("'nonsense'", "(1,)") + bytes(8), r"expected the header of a numpy array"),
    "unbalanced header": (b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((\n\n", r"expected the header of a numpy array"),
    "unknown version": (header("'<f8'", "(1,)", version=b"\x09\x00") + bytes(8), r"expected the header"),
    "no array at all": (b"hello", r"expected the header of a numpy array"),
    "nothing": (b"", r"expected the header of a numpy array"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_headers_are_checked_against_the_bytes(case, tmp_path):
    content, message = PLAIN[case]
    path = archive(tmp_path / "bad.npz", content)
    tracemalloc.start()
    try:
        with pytest.raises(RawFileError, match=message):
            read_array(path, "arr_0", objects=True)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", PLAIN)
def test_npy_headers_are_checked_against_the_bytes(case, tmp_path):
    content, message = PLAIN[case]
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        for read in (open_npy, read_npy, lambda path: read_npy(path, objects=True)):
            with pytest.raises(RawFileError, match=f"bad.npy: .*{message}"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = archive(tmp_path / "bomb.npz", bytes(1 << 20), method=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    assert struct.unpack_from("<I", data, place)[0] == 1 << 20
    struct.pack_into("<I", data, place, 3 << 30)
    path.write_bytes(data)
    with pytest.raises(RawFileError, match=r"bomb.npz: array 'arr_0' claims to unpack \d+ bytes into 3221225472"):
        read_array(path, "arr_0")


def test_too_many_objects_are_refused(tmp_path):
    content = header("'|O'", "(1,)") + bytes(17 << 20)
    path = archive(tmp_path / "big.npz", content, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(RawFileError, match=r"bytes of Python objects, at most 16777216 are read"):
        read_array(path, "arr_0", objects=True)


def test_objects_are_refused_where_numbers_are_due(tmp_path):
    path = object_archive(tmp_path / "a.npz", pickled_array("x"))
    with pytest.raises(RawFileError, match=r"expected plain numbers, found Python objects \(object\); refused"):
        read_array(path, "arr_0")


def test_stated_shape_must_be_that_of_the_objects(tmp_path):
    path = object_archive(tmp_path / "a.npz", pickled_array("x"), shape="(2,)")
    with pytest.raises(RawFileError, match=r"the header says shape \(2,\), the objects have shape \(1,\)"):
        read_array(path, "arr_0", objects=True)


def test_shared_lists_do_not_take_for_ever(tmp_path):
    shared: list = ["x"] * 100
    for _ in range(3):
        shared = [shared] * 2000
    path = object_archive(tmp_path / "a.npz", pickled_array(shared))
    assert len(read_array(path, "arr_0", objects=True)[0]) == 2000


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_archive(share, tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, np.arange(1000.0))
    path = tmp_path / "cut.npz"
    path.write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    with pytest.raises(RawFileError, match=r"cut.npz: expected a whole .npz archive, but it is truncated or damaged"):
        read_array(path, "arr_0")


def test_a_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, np.arange(1000.0))
    data = bytearray(path.read_bytes())
    data[4000] ^= 1
    path.write_bytes(data)
    with pytest.raises(RawFileError, match=r"truncated or damaged \(Bad CRC-32"):
        read_array(path, "arr_0")


def test_random_damage_gives_errors_and_nothing_else(tmp_path):
    """Damaged object archives with right checksums, so that the damage reaches the pickle."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    np.save(buffer, np.array([np.arange(4), ["AVAL", "RID"]], dtype=object))
    whole, refused = buffer.getvalue(), 0
    for _ in range(600):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        try:
            read_array(archive(tmp_path / "a.npz", bytes(data)), "arr_0", objects=True)
        except RawFileError:
            refused += 1
    assert 300 < refused < 600
