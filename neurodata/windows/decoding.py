"""How a stored recording is decoded, and that it is still the one a run began with."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from neurodata.checks import check_option
from neurodata.errors import IntegrityError
from neurodata.recording.recording import Recording
from neurodata.store.documents import read_root_attributes
from neurodata.store.files import Location
from neurodata.store.manifest import CONTENT_DIGEST, DOCUMENTS_DIGEST, MANIFEST
from neurodata.store.read import open_recording
from neurodata.store.remote import RemoteFiles
from neurodata.windows.cache import make_key
from neurodata.windows.prepare import ALL, NAMED, input_signal
from neurodata.windows.quantize import FLOAT16, INT16
from neurodata.windows.spec import DataSpec

FLOAT32 = "float32"
DTYPES = (FLOAT32, FLOAT16, INT16)
DECODING = 1
"""Raised when the same recording and `Decoding` come to give other values, so that older entries are not used."""


class Digests(NamedTuple):
    """What a recording held when a run began: digest of its values and of its documents."""

    content: str
    documents: str


def read_digests(folder: Location) -> Digests:
    """Return the digests of a stored recording."""
    manifest = read_root_attributes(folder)[MANIFEST]
    return Digests(str(manifest.get(CONTENT_DIGEST)), str(manifest.get(DOCUMENTS_DIGEST)))


def check_digests(store: Location, recording_id: str, digests: Digests | None) -> None:
    """Raise where a recording is no longer what it was when a run began.

    Raises
    ------
    IntegrityError
        Names the recording.
    """
    if digests is None or read_digests(store / recording_id) == digests:
        return
    if isinstance(store, Path):
        raise IntegrityError(
            f"recording {recording_id!r} was rewritten since this run began; old and new values are not mixed. "
            "Start the run anew"
        )
    raise IntegrityError(
        f"recording {recording_id!r} of store {str(store)!r} is not the one its index lists: it was rewritten since this "
        "run began, or openings.parquet and index.parquet are of different times; old and new values are not mixed. Start "
        "the run anew; if that changes nothing, run 'neurodata store index STORE' where the store was written and upload "
        "both files again"
    )


@dataclass(frozen=True)
class Decoding:
    """How recordings are decoded; a value, so that it can be sent to workers and hashed into a key.

    Parameters
    ----------
    spec
        Signal, rate, vocabulary, views and target.
    channels
        ``named`` or ``all``.
    causal
        Whether resampling looks at past samples only.
    dtype
        ``float32``, or ``float16`` or ``int16`` for half the disk and a stated error.
    """

    spec: DataSpec
    channels: str = NAMED
    causal: bool = False
    dtype: str = FLOAT32

    def __post_init__(self) -> None:
        check_option("choice of channels", self.channels, (NAMED, ALL))
        check_option("cache dtype", self.dtype, DTYPES)

    def input_key(self, digests: Digests) -> str:
        """Name of a recording's activity in the cache."""
        return make_key(kind="input", channels=self.channels, dtype=self.dtype, **self._shared(digests))

    def target_key(self, digests: Digests) -> str:
        """Name of a recording's target in the cache."""
        spec = self.spec
        target = {"target": spec.target, "target_kind": spec.target_kind, "classes": spec.classes}
        return make_key(kind="target", **target, **self._shared(digests))

    def _shared(self, digests: Digests) -> dict[str, object]:
        spec = self.spec.to_json()
        same = {name: spec[name] for name in ("signal", "rate_hz", "vocabulary", "identity", "views")}
        return same | {"causal": self.causal, "digests": list(digests), "decoding": DECODING}


@dataclass
class Source:
    """The stored recording, opened when something of it is first needed and held to its digests."""

    store: Location
    recording_id: str
    decoding: Decoding
    digests: Digests
    _recording: Recording | None = None

    @property
    def recording(self) -> Recording:
        if self._recording is None:
            self.check()
            self._recording = open_recording(self.store / self.recording_id)
        return self._recording

    @functools.cached_property
    def signal(self) -> xr.DataArray:
        return input_signal(self.recording, self.decoding.spec)

    def check(self) -> None:
        """Raise where the recording is no longer what it was when the run began."""
        check_digests(self.store, self.recording_id, self.digests)

    def check_served(self) -> None:
        """As `check`, once values were read: a server is asked itself, for openings may be older than what came."""
        store = self.store.served() if isinstance(self.store, RemoteFiles) else self.store
        check_digests(store, self.recording_id, self.digests)
