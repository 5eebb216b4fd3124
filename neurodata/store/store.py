"""A folder of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurodata.checks import check_option, suggest
from neurodata.errors import StoreError
from neurodata.recording.recording import Recording
from neurodata.store.read import open_recording
from neurodata.store.table import COLUMNS, list_recordings, read_table


class Store:
    """Recordings of a store, or a selection of them; iterating opens one after the other, lazily.

    Parameters
    ----------
    path
        The store's folder.
    recording_ids
        The selection, in order.
    """

    def __init__(self, path: Path, recording_ids: Sequence[str]) -> None:
        self.path, self.recording_ids = path, tuple(recording_ids)

    @property
    def table(self) -> pd.DataFrame:
        """One row per recording: subject, species, modality, rate, duration … (`neurodata.store.table.COLUMNS`)."""
        table = read_table(self.path)
        return table.set_index("recording_id", drop=False).loc[list(self.recording_ids)].reset_index(drop=True)

    def select(self, **wanted: Any) -> Store:
        """Return the recordings whose row matches, for example ``select(species="Caenorhabditis elegans")``.

        Parameters
        ----------
        wanted
            Column → value, or a list of values of which one must match.

        Raises
        ------
        NeurodataError
            If there is no such column; names the closest one.
        """
        table = self.table
        chosen = pd.Series(True, index=table.index)
        for column, values in wanted.items():
            check_option("column", column, COLUMNS)
            chosen &= table[column].isin(values if isinstance(values, (list, tuple, set)) else [values])
        return Store(self.path, table.loc[chosen, "recording_id"].tolist())

    def __getitem__(self, recording_id: str) -> Recording:
        return open_recording(self.path / self.resolve(recording_id))

    def resolve(self, name: str) -> str:
        """Return the full id of a recording given as ``dataset/recording`` or, where that is unique, as ``recording``.

        Raises
        ------
        StoreError
            If none or several recordings have that name.
        """
        found = [full for full in self.recording_ids if name in (full, full.split("/")[1])]
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


def open_store(path: str | Path) -> Store:
    """Open a store: a folder of recordings.

    Parameters
    ----------
    path
        The store's folder.

    Raises
    ------
    StoreError
        If the folder does not exist.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise StoreError(f"no store at {str(path)!r}; 'neurodata convert LOADER RAW STORE' makes one")
    return Store(folder, list_recordings(folder))
