"""Writing a recording: complete or not there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from neurodata import names
from neurodata.checks import check_recording_id
from neurodata.errors import StoreError
from neurodata.recording.recording import Recording
from neurodata.recording.validate import validate
from neurodata.store.chunks import ChunkPlan, chunk_keys, plan_chunks
from neurodata.store.layout import ArrayPlan, RecordingPlan, plan_recording
from neurodata.store.manifest import (
    ARRAYS,
    DOCUMENTS_DIGEST,
    MANIFEST,
    ContentDigest,
    documents_digest,
    json_digest,
    make_manifest,
)
from neurodata.store.read import read_documents, read_root_attributes

WRITTEN, UP_TO_DATE, LEFT = "written", "up to date", "left to another process"
PARTIAL = ".partial"
Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


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
    check_recording_id(recording.metadata.get("recording_id"))
    validate(recording)
    store, recording_id = Path(store), recording.recording_id
    try:
        with _workplace(store, recording_id) as work:
            if work is None:
                return LEFT
            if not overwrite and _is_settled(recording, store):
                return UP_TO_DATE
            try:
                _write_tree(recording, work / "tree" / recording_id, _resume_key(recording), progress)
                _publish(work, store, recording_id)
            except Exception:
                shutil.rmtree(work / "tree", ignore_errors=True)
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
    arrays = {plan.path: [list(plan.values.shape), str(plan.values.dtype)] for plan in plan.arrays}
    return json_digest({"metadata": dict(recording.metadata), "arrays": arrays, "format": names.FORMAT_NUMBER})


def _is_settled(recording: Recording, store: Path) -> bool:
    """Whether the recording is there already; raises where another one of its name is."""
    folder = store / recording.recording_id
    if not folder.exists():
        return False
    kept = read_root_attributes(folder)
    ours, theirs = _sources_key(recording.metadata), _sources_key(kept["metadata"])
    if ours is None:
        digests = {plan.path: _digest_of(plan) for plan in plan_recording(recording).arrays}
        same = digests == kept[MANIFEST][ARRAYS] and dict(recording.metadata) == kept["metadata"]
    else:
        same = ours == theirs
    if not same:
        raise StoreError(
            f"{recording.recording_id!r} is in store {str(store)!r} already, made from other files or by another loader "
            "version or options; give --overwrite to replace it, or another store"
        )
    return True


@contextmanager
def _workplace(store: Path, recording_id: str) -> Iterator[Path | None]:
    """This recording's folder under ``.partial``, held alone; None where another process holds it.

    The lock is the kernel's (flock): it goes when its process goes, however that ends.
    """
    work = store / PARTIAL / recording_id.replace("/", "~")
    while True:
        work.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # another process finished and cleared the folder just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            yield None
            return
        if (work / "lock").exists() and os.fstat(handle).st_ino == (work / "lock").stat().st_ino:
            break
        os.close(handle)
    try:
        yield work
    finally:
        # An interrupted conversion keeps its tree and is resumed; all else is cleared.
        if not (work / "tree").exists():
            shutil.rmtree(work, ignore_errors=True)
        os.close(handle)
        _remove_if_empty(store / PARTIAL)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _write_tree(recording: Recording, folder: Path, resume_key: str | None, progress: Progress | None) -> None:
    _prepare_folder(folder, resume_key)
    plan = plan_recording(recording)
    store = LocalStore(folder)
    for path, attributes in plan.groups.items():
        _write_document(folder / path, {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})
    total = sum(array.values.nbytes for array in plan.arrays)
    done, digests = 0, {}
    for array in plan.arrays:
        for count in _write_array(store, array, digests):
            done += count
            if progress is not None:
                progress(done, total)
    _remove_strangers(folder, plan)
    _write_root(folder, recording, make_manifest(digests))


def _prepare_folder(folder: Path, resume_key: str | None) -> None:
    """Keep what an interrupted run of the same conversion left, clear anything else."""
    note = folder.parent.parent / "resume.json"
    wanted = json.dumps({"resume_key": resume_key})
    if resume_key is None or not note.exists() or note.read_text() != wanted:
        shutil.rmtree(folder.parent.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(wanted)


def _write_document(folder: Path, document: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(
        json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False), encoding="utf-8"
    )


def _dtype_name(plan: ArrayPlan) -> str:
    return "string" if plan.values.dtype.kind == "U" else str(plan.values.dtype.newbyteorder("="))


def _digest_of(plan: ArrayPlan) -> str:
    digest = ContentDigest(_dtype_name(plan), plan.values.shape)
    rows = _chunks_of(plan).stored[0]
    for first in range(0, plan.values.shape[0], rows):
        digest.update(_read_rows(plan, first, rows))
    return digest.hexdigest()


def _chunks_of(plan: ArrayPlan) -> ChunkPlan:
    return plan_chunks(plan.values.shape, plan.values.dtype.itemsize, text=plan.values.dtype.kind == "U")


def _read_rows(plan: ArrayPlan, first: int, rows: int) -> NDArray[Any]:
    return np.asarray(plan.values[first : first + rows].values)


def _create_array(store: LocalStore, plan: ArrayPlan, chunks: ChunkPlan) -> zarr.Array[Any]:
    text = plan.values.dtype.kind == "U"
    fill: Any = "" if text else (np.nan if plan.values.dtype.kind == "f" else plan.values.dtype.type(0))
    compressor = ZstdCodec(level=3) if text else BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
    with warnings.catch_warnings():
        # zarr speaks of its string type as lacking a final specification; format 1 fixes it to the v3 `string` type.
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        return zarr.create_array(
            store,
            name=plan.path,
            shape=plan.values.shape,
            dtype="string" if text else plan.values.dtype.newbyteorder("<"),
            chunks=chunks.chunk,
            shards=chunks.shard,
            compressors=[compressor, Crc32cCodec()],
            filters=None,
            fill_value=fill,
            dimension_names=[str(dimension) for dimension in plan.values.dims],
            attributes=dict(plan.attributes),
            overwrite=False,
            config={"write_empty_chunks": True},
        )


def _write_array(store: LocalStore, plan: ArrayPlan, digests: dict[str, str]) -> Iterator[int]:
    """Write an array block by block (one row of shards at a time), yielding bytes done; finished shards are kept."""
    chunks, folder = _chunks_of(plan), Path(store.root) / plan.path
    finished = (folder / "zarr.json").exists()
    array = zarr.open_array(store, path=plan.path, mode="r+") if finished else _create_array(store, plan, chunks)
    digest = ContentDigest(_dtype_name(plan), plan.values.shape)
    rows = chunks.stored[0]
    for number, first in enumerate(range(0, plan.values.shape[0], rows)):
        block = _finished_block(array, folder, number, first, rows, chunks) if finished else None
        if block is None:
            block = _read_rows(plan, first, rows)
            array[first : first + rows] = block
        digest.update(block)
        yield block.nbytes
    digests[plan.path] = digest.hexdigest()


def _finished_block(
    array: zarr.Array[Any], folder: Path, number: int, first: int, rows: int, chunks: ChunkPlan
) -> NDArray[Any] | None:
    """The block an interrupted run finished writing, None where it did not."""
    keys = chunk_keys((1, *array.shape[1:]), (1, *chunks.stored[1:]))
    if not all((folder / key.replace("c/0", f"c/{number}", 1)).exists() for key in keys):
        return None
    try:
        return np.asarray(array[first : first + rows])
    except Exception:  # whatever is wrong with it, it is written again
        return None


def _remove_strangers(folder: Path, plan: RecordingPlan) -> None:
    """Clear what an interrupted run left besides finished chunks (half-written temporary files)."""
    expected = {folder / path / "zarr.json" for path in plan.groups}
    for array in plan.arrays:
        expected.add(folder / array.path / "zarr.json")
        keys = chunk_keys(array.values.shape, _chunks_of(array).stored)
        expected |= {folder / array.path / key for key in keys}
    for path in folder.rglob("*"):
        if path.is_file() and path not in expected:
            path.unlink()


def _write_root(folder: Path, recording: Recording, manifest: dict[str, Any]) -> None:
    """Write the root document last: metadata, format number, manifest and the consolidated copy of all documents."""
    attributes = {
        "neurodata_format": names.FORMAT_NUMBER,
        "metadata": dict(recording.metadata),
        MANIFEST: manifest,
    }
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    _write_document(folder, root)
    manifest[DOCUMENTS_DIGEST] = documents_digest(read_documents(folder))
    _write_document(folder, root)
    with warnings.catch_warnings():
        # Consolidated metadata is an extension the reader may ignore; it spares remote readers many requests.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(LocalStore(folder), zarr_format=3)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(work: Path, store: Path, recording_id: str) -> None:
    """Move a finished tree to its place in one step, after every byte of it has reached the disk."""
    dataset, _ = recording_id.split("/")
    tree, target = work / "tree", store / recording_id
    for path in [*sorted(tree.rglob("*"), reverse=True), tree]:
        _sync(path)
    if target.exists():
        os.rename(target, tree / "replaced")
    try:
        os.rename(tree / dataset, store / dataset)  # a dataset folder appears with its first complete recording
    except OSError:
        os.rename(tree / recording_id, target)
    _sync(target.parent)
    _sync(store)
    shutil.rmtree(tree)
