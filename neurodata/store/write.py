"""Writing a recording: complete or not there."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurodata.checks import check_recording_id
from neurodata.errors import StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate
from neurodata.store.documents import read_root_attributes
from neurodata.store.layout import plan_recording
from neurodata.store.manifest import (
    ARRAYS,
    MANIFEST,
    json_digest,
)
from neurodata.store.tree import Progress, digest_of, write_tree
from neurodata.store.workplace import TREE, hold_workplace, publish

WRITTEN, UP_TO_DATE, LEFT = "written", "up to date", "left to another process"


def write_recording(
    recording: Recording, store: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> str:
    """Write a recording into a store, complete or not at all.

    Work goes on in ``<store>/.partial/``; the finished recording is moved to its place in one step. A killed call
    leaves nothing a reader can see, and the next one resumes at the last finished shard. Lazy signals are streamed.

    Parameters
    ----------
    recording
        What to write; checked against the schema first.
    store
        The store's folder; made where it is missing.
    overwrite
        Replace a recording that was made from other sources or by another version of its loader.
    progress
        Called with bytes done and bytes in all.

    Returns
    -------
    outcome
        ``"written"``; ``"up to date"`` where the same sources were converted by the same loader before; or ``"left to
        another process"`` where another one is writing this recording now.

    Raises
    ------
    SchemaError
        If the recording breaks the schema.
    StoreError
        If another recording of that name is there, or the folder cannot be written (full, read-only).
    """
    validate(recording)
    store, recording_id = Path(store), recording.recording_id
    try:
        with hold_workplace(store, recording_id) as work:
            if work is None:
                return LEFT
            if not overwrite and _is_settled(recording, store):
                shutil.rmtree(work / TREE, ignore_errors=True)
                return UP_TO_DATE
            try:
                write_tree(recording, work / TREE / recording_id, _resume_key(recording), progress)
                publish(work, store, recording_id)
            except Exception:
                shutil.rmtree(work / TREE, ignore_errors=True)
                raise
    except OSError as error:
        raise _explain(error, store, recording_id) from error
    return WRITTEN


def _explain(error: OSError, store: Path, recording_id: str) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk under store {str(store)!r} is full; {recording_id!r} was not written and nothing of it was kept. "
            "Free some space and run the same command again"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreError(
            f"store {str(store)!r} cannot be written ({error.strerror}); choose a folder you may write to"
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return StoreError(f"store {str(store)!r} is not a folder; give a folder that exists or can be made")
    return StoreError(f"{recording_id!r} could not be written to store {str(store)!r}: {error}")


def is_up_to_date(
    store: str | Path, recording_id: str, source_files: list[dict[str, Any]], loader: Mapping[str, Any]
) -> bool:
    """Tell whether a store holds this recording, made from the same files by the same loader version and options."""
    check_recording_id(recording_id)
    folder = Path(store) / recording_id
    if not folder.exists():
        return False
    kept = read_root_attributes(folder)["metadata"]
    return bool(source_files) and _sources_key(kept) == _sources_key({"source_files": source_files, "loader": loader})


def _sources_key(metadata: Mapping[str, Any]) -> str | None:
    """Digest of what a recording was made from and by; None where its metadata does not say."""
    if not metadata.get("source_files"):
        return None
    return json_digest({key: metadata.get(key) for key in ("source_files", "loader")})


def _resume_key(recording: Recording) -> str | None:
    """Digest of all that fixes the bytes to be written: half-finished work is only taken up where it is the same."""
    if _sources_key(recording.metadata) is None:
        return None
    plan = plan_recording(recording)
    arrays = {array.path: [list(array.values.shape), str(array.values.dtype)] for array in plan.arrays}
    return json_digest({"metadata": dict(recording.metadata), "arrays": arrays, "format": plan.format_number})


def _is_settled(recording: Recording, store: Path) -> bool:
    """Whether the recording is there already; raises where another one of its name is."""
    folder = store / recording.recording_id
    if not folder.exists():
        return False
    kept = read_root_attributes(folder)
    ours, theirs = _sources_key(recording.metadata), _sources_key(kept["metadata"])
    if ours is None:
        digests = {plan.path: digest_of(plan) for plan in plan_recording(recording).arrays}
        same = digests == kept[MANIFEST].get(ARRAYS) and json_digest(dict(recording.metadata)) == json_digest(
            kept["metadata"]
        )
    else:
        same = ours == theirs
    if not same:
        raise StoreError(
            f"{recording.recording_id!r} is in store {str(store)!r} already, made from other files or by another loader "
            "version or options; give --overwrite to replace it, or another store"
        )
    return True
