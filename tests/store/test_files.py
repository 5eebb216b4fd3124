"""Files below a folder: read in part or whole, and what is no plain file inside it is never opened."""

import copy
import os

import pytest

from neurodata.errors import IntegrityError
from neurodata.store.files import LARGEST_FILE, LocalFiles, files_at


@pytest.fixture
def files(tmp_path):
    """A folder with one file of ten bytes, ``sub/digits``."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "digits").write_bytes(b"0123456789")
    return LocalFiles(tmp_path)


def test_a_file_is_read_whole_in_spans_or_from_its_end(files):
    assert files.read("sub/digits", 10) == b"0123456789"
    assert files.read_spans("sub/digits", [(0, 3), (2, 2), (7, 10), (1, 4)]) == [b"012", b"", b"789", b"123"]
    assert files.read_spans("sub/digits", []) == []
    assert files.read_tail("sub/digits", 4) == b"6789"
    assert files.has("sub/digits")


def test_a_folder_inside_is_reached_as_with_a_path(files, tmp_path):
    assert (files / "sub").read("digits", 10) == files.below("sub").read("digits", 10) == b"0123456789"
    assert files.below("") == files
    assert (files / "sub").parts == (tmp_path / "sub").parts
    assert files_at(tmp_path) == files_at(str(tmp_path)) == files_at(files) == files
    assert copy.deepcopy(files) == files  # goes the way of pickle
    assert not files.remote


@pytest.mark.parametrize("key", ["nothing", "sub/digits/below", "nowhere/at/all"])
def test_a_missing_file_is_named(files, key):
    with pytest.raises(FileNotFoundError):
        files.read(key, 10)
    for read in (lambda: files.read_spans(key, [(0, 1)]), lambda: files.read_tail(key, 1)):
        with pytest.raises(IntegrityError, match=f"file '{key}' is missing"):
            read()
    assert not files.has(key)


def test_a_file_that_is_too_long_too_short_or_empty_is_refused(files, tmp_path):
    with pytest.raises(IntegrityError, match="file 'sub/digits' is larger than 9 bytes"):
        files.read("sub/digits", 9)
    with pytest.raises(IntegrityError, match="file 'sub/digits' ends too early: 10 bytes where there must be 11"):
        files.read_spans("sub/digits", [(0, 2), (5, 11)])
    with pytest.raises(IntegrityError, match="file 'sub/digits' ends too early: 10 bytes where there must be 11"):
        files.read_tail("sub/digits", 11)
    (tmp_path / "none").touch()
    assert files.read("none", 9) == b""
    for read in (lambda: files.read_spans("none", [(0, 1)]), lambda: files.read_tail("none", 1)):
        with pytest.raises(IntegrityError, match="file 'none' is empty"):
            read()


@pytest.mark.parametrize("span", [(-1, 3), (5, 4), (-5, -1)])
def test_impossible_spans_are_refused(files, span):
    with pytest.raises(IntegrityError, match=r"impossible bytes .* are asked of file 'sub/digits'"):
        files.read_spans("sub/digits", [(0, 1), span])


def test_no_more_is_read_at_once_than_fits(files, tmp_path):
    os.truncate(tmp_path / "sub" / "digits", 4 * LARGEST_FILE)
    for read in (
        lambda: files.read_spans("sub/digits", [(0, LARGEST_FILE), (0, 1)]),
        lambda: files.read_tail("sub/digits", LARGEST_FILE + 1),
    ):
        with pytest.raises(
            IntegrityError, match=f"more than {LARGEST_FILE} bytes are asked of file 'sub/digits' at once"
        ):
            read()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(os.mkfifo, id="a pipe that nobody writes to"),
        pytest.param(lambda path: os.symlink("/dev/zero", path), id="a link to a device without end"),
        pytest.param(os.mkdir, id="a folder"),
    ],
)
def test_what_is_no_plain_file_is_not_opened(files, tmp_path, make):
    make(tmp_path / "odd")
    for read in (
        lambda: files.read("odd", 10),
        lambda: files.read_spans("odd", [(0, 1)]),
        lambda: files.read_tail("odd", 1),
    ):
        with pytest.raises(IntegrityError, match="'odd' is not a plain file"):
            read()
    assert not files.has("odd")


@pytest.mark.parametrize("key", ["../secret", "sub/../../secret", "/etc/passwd", "sub/\0"])
def test_a_key_does_not_leave_the_folder(files, tmp_path, key):
    (tmp_path.parent / "secret").write_text("x")
    for read in (lambda: files.read(key, 10), lambda: files.read_spans(key, [(0, 1)]), lambda: files.has(key)):
        with pytest.raises(IntegrityError, match="is no file inside"):
            read()


def test_a_stamp_tells_when_a_file_was_rewritten(files, tmp_path):
    stamp = files.stamp("sub/digits")
    assert files.stamp("sub/digits") == stamp
    (tmp_path / "new").write_bytes(b"9876543210")
    os.replace(tmp_path / "new", tmp_path / "sub" / "digits")
    assert files.stamp("sub/digits") != stamp
    (tmp_path / "sub" / "digits").unlink()
    assert files.stamp("sub/digits") != stamp
