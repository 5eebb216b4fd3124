"""Text read without zarr is what zarr reads, and what is damaged or unpacks without end is refused."""

import json
import struct

import google_crc32c
import numcodecs.zstd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import IntegrityError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_events
from neurodata.store.arrays import open_array, read_values
from neurodata.store.documents import read_documents
from neurodata.store.text import read_text
from neurodata.store.write import write_recording

LABEL = "events/e/label"


def write_labels(made, folder, entries):
    events = make_events(np.arange(float(len(entries))), label=entries)
    write_recording(Recording(made.metadata(), events={"e": events}), folder, overwrite=True)
    recording = folder / "made_up" / "first"
    return recording, read_documents(recording)[LABEL]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300), min_size=1, max_size=50))
def test_text_is_what_was_written_and_what_zarr_reads(made, tmp_path_factory, entries):
    recording, document = write_labels(made, tmp_path_factory.mktemp("text"), entries)
    found = read_text(recording, LABEL, document)
    assert found == entries
    assert found == read_values(recording, LABEL, open_array(recording, LABEL, document), slice(None)).tolist()


@pytest.mark.parametrize("chunk", [1, 7, 20, 100])
def test_text_in_several_files_is_put_together(made, tmp_path, chunk, monkeypatch):
    monkeypatch.setattr("neurodata.store.chunks.TEXT_CHUNK", chunk)
    entries = [f"entry {i}" for i in range(20)]
    recording, document = write_labels(made, tmp_path, entries)
    assert len(list((recording / LABEL / "c").iterdir())) == -(-20 // chunk)
    assert read_text(recording, LABEL, document) == entries


@pytest.fixture
def labels(made, tmp_path):
    """A text array of three entries: recording, document, file."""
    recording, document = write_labels(made, tmp_path, ["a", "öß", "x" * 1000])
    return recording, document, recording / LABEL / "c" / "0"


def packed(text):
    content = bytes(numcodecs.zstd.compress(text, 3))
    return content + struct.pack("<I", google_crc32c.value(content))


def with_frame_of(n_bytes):
    """A zstd frame that says it gets this long, and holds nothing."""
    content = b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", n_bytes) + b"\x01\0\0"
    return content + struct.pack("<I", google_crc32c.value(content))


ENTRIES = b"".join(struct.pack("<I", len(entry)) + entry for entry in (b"a", b"b", b"c"))
DAMAGED = {
    "missing": (None, "is missing"),
    "empty": (b"", "is empty"),
    "three bytes": (b"abc", "does not fit its checksum"),
    "no zstd": (b"abcd" * 2 + struct.pack("<I", google_crc32c.value(b"abcd" * 2)), "unpacks to None bytes"),
    "a bomb": (with_frame_of(2**40), "unpacks to 1099511627776 bytes, at most 1073741824 are read"),
    "nothing in a frame": (with_frame_of(100), "[Zz]std decompression error"),
    "other entries": (packed(struct.pack("<I", 2**32 - 1) + ENTRIES), "holds 4294967295 entries where there must be 3"),
    "an entry without end": (packed(struct.pack("<II", 3, 2**31 - 1) + b"abc"), "corrupt buffer"),
    "no UTF-8": (packed(struct.pack("<I", 3) + ENTRIES.replace(b"b", b"\xff")), "utf-8"),
    "too few entries": (packed(struct.pack("<I", 3) + ENTRIES[:10]), "corrupt buffer"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_text_is_refused(labels, content, message):
    recording, document, file = labels
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(
        IntegrityError, match=rf"recording 'made_up/first': array '{LABEL}' is damaged: .*{message}.*; run"
    ):
        read_text(recording, LABEL, document)


def test_every_flipped_bit_is_noticed(labels):
    recording, document, file = labels
    content = file.read_bytes()
    for position in range(len(content)):
        file.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(
            IntegrityError, match=f"array '{LABEL}' is damaged: file '{LABEL}/c/0' does not fit its checksum"
        ):
            read_text(recording, LABEL, document)


def test_text_of_no_entries_has_no_file(made, tmp_path):
    recording, document = write_labels(made, tmp_path, ["a"])
    assert read_text(recording, LABEL, document | {"shape": [0]}) == []


def test_text_stored_in_another_way_is_left_to_zarr(labels):
    recording, document, _ = labels
    other = json.loads(json.dumps(document))
    other["codecs"].pop()
    with pytest.raises(IntegrityError, match=f"array '{LABEL}' is damaged"):
        read_text(recording, LABEL, other)
