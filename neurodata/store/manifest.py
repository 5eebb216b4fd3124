"""Digests: what makes a changed byte or an edited attribute show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MANIFEST, DOCUMENTS_DIGEST, ARRAYS, CONTENT_DIGEST = "manifest", "documents_sha256", "arrays", "content_sha256"


class ContentDigest:
    """sha256 of an array's type, shape and decoded values in C order, little-endian, fed block by block.

    Text is hashed as UTF-8, each entry after its length in bytes (unsigned 64-bit, little-endian).
    """

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        self._hash = hashlib.sha256(f"{dtype} {list(shape)}\n".encode())

    def update(self, block: NDArray[Any]) -> None:
        """Add the next rows."""
        if block.dtype.kind in "UT":
            for text in block.ravel().tolist():
                encoded = text.encode()
                self._hash.update(len(encoded).to_bytes(8, "little") + encoded)
        else:
            self._hash.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).view(np.uint8).data)

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        return self._hash.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return JSON that is the same for equal values: keys sorted, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def json_digest(value: Any) -> str:
    """Return the sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def documents_digest(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the digest of every ``zarr.json`` of a recording, so that an edited attribute shows.

    Parameters
    ----------
    documents
        Path of a group or array (``""`` is the root) → its ``zarr.json``. The consolidated copy is left out, and so
        is the place in the root's manifest where this digest is kept.
    """
    plain = {
        path: {k: v for k, v in document.items() if k != "consolidated_metadata"}
        for path, document in documents.items()
    }
    root = json.loads(canonical_json(plain[""]))
    root.get("attributes", {}).get(MANIFEST, {}).pop(DOCUMENTS_DIGEST, None)
    return json_digest(plain | {"": root})


def make_manifest(digests: Mapping[str, str]) -> dict[str, Any]:
    """Return a recording's manifest: the digest of each array, and one over all of them."""
    return {ARRAYS: dict(sorted(digests.items())), CONTENT_DIGEST: json_digest(dict(digests))}
