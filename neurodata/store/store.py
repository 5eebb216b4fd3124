"""A folder of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurodata.checks import is_safe_part, suggest
from neurodata.errors import IntegrityError, StoreError
from neurodata.recording.recording import Recording
from neurodata.store.files import REMOTE_SCHEMES
from neurodata.store.read import open_recording
from neurodata.store.remote import RemoteFiles
from neurodata.store.row import COLUMNS, read_row
from neurodata.store.table import INDEX_FILE, list_recordings, read_table, select_rows, table_of

_LARGEST_INDEX = 256 * 1024 * 1024


class Store:
    """Recordings of a store, or a selection of them; iterating opens one after the other, lazily.

    Parameters
    ----------
    path
        The store's folder, or its files on a server.
    recording_ids
        The selection, in order.
    table
        The rows of all recordings where they cannot change (the store is on a server); else they are read when asked
        for.
    """

    def __init__(
        self, path: Path | RemoteFiles, recording_ids: Sequence[str], table: pd.DataFrame | None = None
    ) -> None:
        self.path, self.recording_ids = path, tuple(recording_ids)
        self._table = table

    @property
    def table(self) -> pd.DataFrame:
        """One row per recording: subject, species, modality, rate, duration … (`neurodata.store.table.COLUMNS`)."""
        table = self._table
        if table is None and isinstance(self.path, RemoteFiles):  # a bucket without an index
            table = self._table = pd.DataFrame(
                [read_row(self.path, name) for name in self.recording_ids], columns=COLUMNS
            )
        elif table is None:
            assert isinstance(self.path, Path)
            table = read_table(self.path)
        return table.set_index("recording_id", drop=False).loc[list(self.recording_ids)].reset_index(drop=True)

    def snapshot(self) -> Store:
        """Return the same recordings with their table as it is now: what a run plans by does not change under it."""
        return Store(self.path, self.recording_ids, self.table)

    def select(self, **wanted: Any) -> Store:
        """Return the recordings whose row matches, for example ``select(species="Caenorhabditis elegans")``.

        Parameters
        ----------
        wanted
            Column of the table, or name of a metadata entry → a value; a list of values of which one must match; or a
            function of the column that gives true or false per row (`neurodata.store.table.select_rows` says more).

        Raises
        ------
        NeurodataError
            If there is no such column; names the closest one.
        """
        table = self.table
        chosen = table.loc[select_rows(table, wanted), "recording_id"].tolist()
        return Store(self.path, chosen, self._table)

    def __getitem__(self, recording_id: str) -> Recording:
        return open_recording(self.path / self.resolve(recording_id))

    def resolve(self, name: str) -> str:
        """Return the full id of a recording given as ``dataset/recording`` or, where that is unique, as ``recording``.

        Raises
        ------
        StoreError
            If none or several recordings have that name.
        """
        found = [full for full in self.recording_ids if full == name or full.endswith(f"/{name}")]
        if len(found) != 1:
            known = self.recording_ids
            hint = f"; it could be any of {', '.join(found)}" if found else suggest(name, known)
            raise StoreError(
                f"no single recording {name!r} in store {str(self.path)!r}{hint} ({len(known)} recordings)"
            )
        return found[0]

    def __iter__(self) -> Iterator[Recording]:
        return (open_recording(self.path / recording_id) for recording_id in self.recording_ids)

    def __len__(self) -> int:
        return len(self.recording_ids)

    def __repr__(self) -> str:
        return f"<Store {self.path} · {len(self)} recordings>"


def open_store(path: str | Path | RemoteFiles, storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open a store: a folder of recordings, on this disk, on a web server or in a bucket.

    Parameters
    ----------
    path
        The store's folder, or its address: ``https://…``, ``http://…`` or ``s3://BUCKET/PREFIX``.
    storage_options
        For an address: obstore's settings, such as ``{"region": "eu-west-1"}`` (docs/remote.md).

    Raises
    ------
    StoreError
        If the folder does not exist, or the server cannot be read or holds no store.

    Examples
    --------
    >>> import neurodata as nd
    >>> store = nd.open_store("https://data.example.org/worms")  # doctest: +SKIP
    """
    if isinstance(path, str) and path.startswith(REMOTE_SCHEMES):
        path = RemoteFiles(path, storage_options, is_store=True)
    if isinstance(path, RemoteFiles):
        return _open_remote(path)
    folder = Path(path)
    if not folder.is_dir():
        raise StoreError(f"no store at {str(path)!r}; 'neurodata convert LOADER RAW STORE' makes one")
    return Store(folder, list_recordings(folder))


def open_place(path: str, storage_options: Mapping[str, Any] | None = None) -> Store | Path | RemoteFiles:
    """Return the store at a path or address, or where one recording is.

    Parameters
    ----------
    path
        ``STORE`` or ``STORE/DATASET/RECORDING``.
    storage_options
        As of `open_store`.
    """
    if not path.startswith(REMOTE_SCHEMES):
        return Path(path) if (Path(path) / "zarr.json").exists() else open_store(path)
    try:
        return open_store(path, storage_options)
    except StoreError:
        recording = RemoteFiles(path, storage_options)
        if not recording.has("zarr.json"):
            raise
        return recording


def _open_remote(files: RemoteFiles) -> Store:
    try:
        table = table_of(files.read(INDEX_FILE, _LARGEST_INDEX))
    except FileNotFoundError:
        if not files.url.startswith("s3://"):
            raise StoreError(
                f"no store at {files.url!r}: there is no {INDEX_FILE}, and a web server does not list its folders; run "
                "'neurodata store index STORE' where the store was written and upload index.parquet and openings.parquet "
                "with it. One recording opens without: open_recording('ADDRESS/DATASET/RECORDING')"
            ) from None
        return Store(files, _list_bucket(files))
    except IntegrityError as error:
        raise IntegrityError(f"store {files.url!r}: {error}") from error
    return Store(files, table["recording_id"].tolist(), table)


def _list_bucket(files: RemoteFiles) -> list[str]:
    """Recordings of a bucket that has no index: two levels of folders, and a root document in each of the lower ones."""
    if files.has("zarr.json"):
        raise StoreError(f"{files.url!r} is one recording, not a store of them; open it with open_recording")
    names = [
        f"{dataset}/{recording}"
        for dataset in filter(is_safe_part, files.server.list_folders(""))
        for recording in filter(is_safe_part, files.server.list_folders(dataset))
    ]
    found = files.server.threads.map(lambda name: files.has(f"{name}/zarr.json"), names)
    complete = sorted(name for name, is_there in zip(names, found) if is_there)
    if not complete:
        raise StoreError(
            f"no store at {files.url!r}: there is neither {INDEX_FILE} nor a recording (DATASET/RECORDING/zarr.json); check "
            "bucket and prefix, or upload a store: docs/remote.md"
        )
    return complete
