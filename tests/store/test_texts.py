"""Columns of text come as zarr reads them, and damage or a lie ends in a message."""

from __future__ import annotations

import google_crc32c
import numpy as np
import pytest
import zarr
from numcodecs.vlen import VLenUTF8
from numcodecs.zstd import Zstd

from neurodata.errors import IntegrityError
from neurodata.store.documents import read_documents
from neurodata.store.files import LocalFiles
from neurodata.store.read import open_recording
from neurodata.store.texts import read_text

LABEL = "events/marks/label"


def sealed(data):
    return data + google_crc32c.value(data).to_bytes(4, "little")


def frame(*texts):
    return bytes(Zstd(3).encode(VLenUTF8().encode(np.array(texts, object))))


def test_text_is_what_zarr_reads(stored):
    documents = read_documents(stored)
    for path, document in documents.items():
        if document.get("data_type") == "string":
            found = read_text(LocalFiles(stored), path, document)
            np.testing.assert_array_equal(found, zarr.open_array(stored / path, mode="r")[:])
            assert found.dtype.kind == "U"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(frame("a", "b", "c"), "does not fit its checksum", id="no checksum"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(sealed(frame("a", "b")), "holds 2 entries, not 3", id="too few"),
        pytest.param(sealed(frame("a", "b", "c", "d")), "holds 4 entries, not 3", id="too many"),
        pytest.param(sealed(b"not packed at all"), "no Zstandard frame", id="no frame"),
        pytest.param(sealed(b"\x28\xb5\x2f\xfd\x00" + bytes(20)), "does not state its size", id="no size"),
        pytest.param(
            sealed(b"\x28\xb5\x2f\xfd\xe0" + (10**12).to_bytes(8, "little") + bytes(9)),
            "claims to unfold to 1000000000000 bytes",
            id="a terabyte",
        ),
        pytest.param(sealed(bytes(Zstd(3).encode(b"\x03\0\0\0" + b"\xff" * 8))), "is damaged", id="lengths that lie"),
        pytest.param(sealed(bytes(Zstd(3).encode(b"\x03\0"))), "is damaged", id="two bytes"),
    ],
)
def test_damaged_text_ends_in_a_message(content, message, stored):
    (stored / LABEL / "c" / "0").write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"recording 'made_up/first': array 'events/marks/label'.*{message}"):
        open_recording(stored)
