"""All files of one recording, array by array, block by block."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from neurodata.errors import StoreError
from neurodata.recording.recording import Recording
from neurodata.store.arrays import open_array, read_values
from neurodata.store.chunks import ChunkPlan, chunk_keys, plan_chunks
from neurodata.store.documents import LARGEST_DOCUMENT, read_documents
from neurodata.store.layout import ArrayPlan, RecordingPlan, plan_recording
from neurodata.store.manifest import (
    DOCUMENTS_DIGEST,
    MANIFEST,
    ContentDigest,
    documents_digest,
    make_manifest,
)

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


def digest_of(plan: ArrayPlan) -> str:
    """Return the content digest an array would be stored under."""
    digest = ContentDigest(_dtype_name(plan), plan.values.shape)
    rows = _chunks_of(plan).stored[0]
    for first in range(0, plan.values.shape[0], rows):
        digest.update(_read_rows(plan, first, rows))
    return digest.hexdigest()


def write_tree(recording: Recording, folder: Path, resume_key: str | None, progress: Progress | None) -> None:
    """Write all of a recording into ``folder`` (``…/tree/<dataset>/<recording>``), root document last.

    Parameters
    ----------
    recording
        A recording that follows the schema.
    folder
        Where to; finished shards found there are kept where ``resume_key`` is the one they were written under.
    resume_key
        Digest of all that fixes the bytes to be written, None where nothing may be taken up.
    progress
        Called with bytes done and bytes in all, after every block.
    """
    _prepare_folder(folder, resume_key)
    plan = plan_recording(recording)
    store = LocalStore(folder)
    for path, attributes in plan.groups.items():
        _write_document(folder / path, {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})
    total = sum(array.values.nbytes for array in plan.arrays)
    done = 0
    digests: dict[str, str] = {}
    for array in plan.arrays:
        for count in _write_array(store, array, digests):
            done += count
            if progress is not None:
                progress(done, total)
    _remove_strangers(folder, plan)
    _write_root(folder, recording, plan.format_number, make_manifest(digests))


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
    text = json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False)
    _check_size(len(text.encode()))
    (folder / "zarr.json").write_text(text, encoding="utf-8")


def _dtype_name(plan: ArrayPlan) -> str:
    return "string" if plan.values.dtype.kind == "U" else str(plan.values.dtype.newbyteorder("="))


def _chunks_of(plan: ArrayPlan) -> ChunkPlan:
    return plan_chunks(plan.values.shape, plan.values.dtype.itemsize, text=plan.values.dtype.kind == "U")


def _read_rows(plan: ArrayPlan, first: int, rows: int) -> NDArray[Any]:
    return np.asarray(plan.values[first : first + rows].values)


def _create_array(store: LocalStore, plan: ArrayPlan, chunks: ChunkPlan) -> zarr.Array[Any]:
    text = plan.values.dtype.kind == "U"
    fill: Any = "" if text else (np.nan if plan.values.dtype.kind == "f" else plan.values.dtype.type(0))
    compressor = ZstdCodec(level=3) if text else BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
    with warnings.catch_warnings():
        # zarr speaks of its string type as lacking a final specification; the store fixes it to the v3 `string` type.
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
    resumed = folder.is_dir()
    # Made anew even then: a killed writer may have torn it, and only a created array writes chunks of zeros.
    (folder / "zarr.json").unlink(missing_ok=True)
    array = _create_array(store, plan, chunks)
    digest = ContentDigest(_dtype_name(plan), plan.values.shape)
    rows = chunks.stored[0]
    # Hashing one block takes an eighth as long as writing it, and both leave the other core alone: they go side by side.
    with ThreadPoolExecutor(1) as hasher:
        for number, first in enumerate(range(0, plan.values.shape[0], rows)):
            block = _finished_block(array, folder, number, first, rows, chunks) if resumed else None
            finished = block is not None
            if block is None:
                block = _read_rows(plan, first, rows)
            hashed = hasher.submit(digest.update, block)
            if not finished:
                array[first : first + rows] = block
            hashed.result()
            yield block.nbytes
    digests[plan.path] = digest.hexdigest()


def _finished_block(
    array: zarr.Array[Any], folder: Path, number: int, first: int, rows: int, chunks: ChunkPlan
) -> NDArray[Any] | None:
    """The block an interrupted run finished writing; None, with what is left of it cleared, where it did not."""
    keys = chunk_keys((1, *array.shape[1:]), (1, *chunks.stored[1:]))
    files = [folder / key.replace("c/0", f"c/{number}", 1) for key in keys]
    root = Path(*folder.parts[: len(folder.parts) - len(Path(array.path).parts)])
    try:
        # The strict reader: zarr's own takes an empty file for a block of fill values.
        strict = open_array(root, array.path, array.metadata.to_dict())
        return read_values(root, array.path, strict, slice(first, first + rows))
    except StoreError:
        for file in files:  # zarr would merge the new block into a torn one
            file.unlink(missing_ok=True)
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


def _write_root(folder: Path, recording: Recording, format_number: int, manifest: dict[str, Any]) -> None:
    """Write the root document last: metadata, format number, manifest and the consolidated copy of all documents."""
    attributes = {
        "neurodata_format": format_number,
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
    _check_size((folder / "zarr.json").stat().st_size)


def _check_size(size: int) -> None:
    """Raise where a document has grown larger than any that is read."""
    if size > LARGEST_DOCUMENT:
        raise StoreError(
            f"the metadata and attributes take {size} bytes, at most {LARGEST_DOCUMENT} are stored; move long lists into "
            "columns of a table"
        )
