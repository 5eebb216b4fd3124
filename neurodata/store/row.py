"""What a store's table says of one recording, read from its documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurodata import names
from neurodata.recording.clock import Clock
from neurodata.store.documents import check_root, document_problem, read_documents
from neurodata.store.files import Files
from neurodata.store.layout import SEGMENT_START
from neurodata.store.manifest import CONTENT_DIGEST, DOCUMENTS_DIGEST, MANIFEST
from neurodata.store.read import open_recording

COLUMNS = (
    "recording_id", "dataset", "subject", "species", "sex", "age", "stage", "strain", "modality", "session", "task",
    "device", "licence", "citation", "loader", "loader_version", "signals", "events", "intervals", "graphs", "n_channels",
    "sampling_rate_hz", "duration_seconds", "content_sha256", "documents_sha256", "metadata",
)  # fmt: skip
"""``metadata`` is JSON text: every single value of a recording's metadata, nested ones under dotted names."""

NUMBERS = ("loader_version", "n_channels", "sampling_rate_hz", "duration_seconds")
"""Columns of numbers; all others hold text."""

_LONGEST_ENTRY, LONGEST_METADATA = 1000, 64 * 1024
"""Characters of one metadata entry that are kept, and of all of a recording's; longer ones are left out of the table."""


def read_row(store: Path | Files, recording_id: str) -> dict[str, Any]:
    """Return a recording's row of the store's table, read from the recording itself: column → text, number or None."""
    folder = store / recording_id
    documents = read_documents(folder)
    root = check_root(folder, documents[""])
    metadata = root["metadata"]
    subject, loader = (value if isinstance(value := metadata.get(key), dict) else {} for key in ("subject", "loader"))
    row = {key: metadata.get(key) for key in COLUMNS} | {
        key: subject.get(key) for key in ("species", "sex", "age", "stage", "strain")
    }
    row |= {"recording_id": recording_id, "subject": f"{metadata.get('dataset')}/{subject.get('id')}"}
    row |= {"loader": loader.get("name"), "loader_version": loader.get("version")}
    row |= {group: _member_names(documents, group) for group in names.GROUPS}
    row |= _first_signal(documents) | {key: root[MANIFEST].get(key) for key in (CONTENT_DIGEST, DOCUMENTS_DIGEST)}
    row["metadata"] = _metadata_text(metadata)
    row["duration_seconds"] = _duration(folder, documents)
    return {key: _plain_value(key, value) for key, value in row.items()}


def _plain_value(column: str, value: Any) -> Any:
    """Text or a number, as the column wants it; whatever else a strange store holds is left out."""
    if column in NUMBERS:
        return float(value) if isinstance(value, (int, float)) and type(value) is not bool else None
    return value if isinstance(value, str) and _is_unicode(value) else None


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text; JSON can spell lone surrogates."""
    try:
        return text.encode() is not None
    except UnicodeEncodeError:
        return False


def _metadata_text(metadata: Mapping[str, Any]) -> str | None:
    """Single values of the metadata as JSON, nested ones under dotted names; long texts and lists are left out."""
    entries: dict[str, Any] = {}
    layer: list[tuple[str, Any]] = [("", metadata)]
    while layer:
        prefix, value = layer.pop()
        if isinstance(value, dict) or value is metadata:
            layer += [(f"{prefix}.{key}".lstrip("."), entry) for key, entry in value.items()]
        elif isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _LONGEST_ENTRY):
            entries[prefix] = value
    text = json.dumps(dict(sorted(entries.items())), ensure_ascii=False)
    return text if len(text) <= LONGEST_METADATA else None


def _duration(folder: Path | Files, documents: Mapping[str, Any]) -> float | None:
    """End of the recording in seconds, None where it is unknown.

    A recording whose signals are all regular is as long as its documents say; late starts are in there too. Where there
    are gaps, explicit times or no signals, the recording itself is asked.
    """
    clocks = [_clock(documents, name) for name in _member_names(documents, names.SIGNALS).split()]
    if not clocks or None in clocks or document_problem(documents) is not None:
        return open_recording(folder).duration_seconds or None
    ends = [clock.time(max(0, clock.size - 1)) + bool(clock.size) / clock.rate_hz for clock in clocks if clock]
    return max(0.0, *ends) or None


def _clock(documents: Mapping[str, Any], signal: str) -> Clock | None:
    """The clock of a signal without gaps; None where its documents alone do not tell it."""
    path = f"{names.SIGNALS}/{signal}"
    document = documents.get(f"{path}/{signal}", {})
    rate, start = (document.get("attributes", {}).get(key) for key in (names.SAMPLING_RATE, names.START_SECONDS))
    if document.get("node_type") != "array" or {f"{path}/{names.TIME}", f"{path}/{SEGMENT_START}"} & set(documents):
        return None
    if not isinstance(rate, (int, float)) or not isinstance(start, (int, float)) or not rate > 0:
        return None
    return Clock(float(rate), document["shape"][0], (float(start),))


def _member_names(documents: Mapping[str, Any], group: str) -> str:
    """Names of a group's members, separated by blanks."""
    return " ".join(path.split("/")[1] for path in documents if path.startswith(f"{group}/") and path.count("/") == 1)


def _first_signal(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Channels and rate of the first neural signal (of the first signal where none is neural)."""
    signals = [
        document
        for path, document in documents.items()
        if document["node_type"] == "array" and path == "/".join([names.SIGNALS, *[path.split("/")[-1]] * 2])
    ]
    signals.sort(key=lambda document: document["attributes"].get(names.ROLE) != "neural")
    if not signals:
        return {"n_channels": None, "sampling_rate_hz": None}
    shape, rate = signals[0]["shape"], signals[0]["attributes"].get(names.SAMPLING_RATE)
    regular = isinstance(rate, (int, float)) and rate > 0
    return {"n_channels": shape[-1], "sampling_rate_hz": rate if regular else None}
