"""Files of a BIDS data set: which are recordings, and which tables hold for which of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ._fmri_sidecar import bids_folders, parse_name, read_json

READ = {
    "eeg": ("eeg", (".edf", ".bdf", ".vhdr", ".set", ".cnt", ".fif")),
    "ieeg": ("ieeg", (".edf", ".bdf", ".vhdr", ".set", ".nwb", ".fif", ".lay")),
    "meg": ("meg", (".fif", ".ds", ".con", ".sqd", ".kdf")),
    "bold": ("func", (".nii", ".nii.gz")),
}
"""Suffix of a recording → the folder it lies in, and the extensions that are read."""


def is_bids(folder: Path) -> bool:
    """Tell whether a folder is a BIDS data set: it says so in a description, and holds subjects."""
    description = folder / "dataset_description.json"
    if not description.is_file() or not any(path.is_dir() for path in folder.glob("sub-*")):
        return False
    fields = read_json(description)
    return isinstance(fields, dict) and "BIDSVersion" in fields


def root_of(path: Path) -> Path | None:
    """Return the data set that a file or folder is, or is part of; None where it is in none.

    Only what a data set's own names tell to be part of it is looked at: ``sub-…``, ``ses-…`` and folders of a kind.
    """
    if path.is_dir() and is_bids(path):
        return path
    inside = path.absolute()
    if not inside.name.startswith(("sub-", "ses-")) and inside.name not in {folder for folder, _ in READ.values()}:
        return None
    return next((folder for folder in list(inside.parents)[:4] if is_bids(folder)), None)


def list_recordings(root: Path) -> list[Path]:
    """List the data files of all recordings, sorted by subject and name."""
    found = []
    for subject in sorted(path for path in root.glob("sub-*") if path.is_dir()):
        for place in (subject, *sorted(path for path in subject.glob("ses-*") if path.is_dir())):
            for suffix, (folder, extensions) in READ.items():
                if (place / folder).is_dir():
                    found += [
                        path for path in sorted((place / folder).iterdir()) if is_recording(path, suffix, extensions)
                    ]
    return found


def is_recording(path: Path, suffix: str, extensions: tuple[str, ...]) -> bool:
    """Tell whether a file is a recording of a kind; of a split FIF recording the first part reads the others."""
    name = parse_name(path)
    ending = path.name.partition(".")[2].lower()
    first = name.entities.get("split", "1").lstrip("0") == "1"
    return name.suffix == suffix and "sub" in name.entities and f".{ending}" in extensions and first


def stem(path: Path) -> str:
    """Return a BIDS name without its extension."""
    return path.name.partition(".")[0]


def list_unread(root: Path) -> list[Path]:
    """List what by its name is a recording, but in a format that is not read."""
    found = []
    for suffix, (folder, extensions) in READ.items():
        for path in sorted([*root.glob(f"sub-*/{folder}/*"), *root.glob(f"sub-*/ses-*/{folder}/*")]):
            ending = path.name.partition(".")[2].lower()
            if parse_name(path).suffix == suffix and ending not in _BESIDE and f".{ending}" not in extensions:
                found.append(path)
    return found


_BESIDE = (
    "json",
    "tsv",
    "tsv.gz",
    "vmrk",
    "eeg",
    "dat",
    "fdt",
    "img",
    "txt",
    "md",
    "pdf",
    "html",
    "log",
    "bvec",
    "bval",
)
"""Extensions of files that belong to a recording or describe it."""


def run_name(path: Path) -> str:
    """Return a recording's name: that of its file without extension and without the number of a part."""
    return re.sub(r"_split-\d+", "", stem(path))


def inherited(path: Path, suffix: str, ending: str) -> Path | None:
    """Return the most specific table (or JSON file) of a kind that holds for a recording, None where there is none."""
    return next(iter(_all_inherited(path, suffix, ending)), None)


def _all_inherited(path: Path, suffix: str, ending: str) -> list[Path]:
    """Files of a kind in the folder nearest to a recording, those with most entities first, then the last by name.

    Their entities are among the recording's; ``space`` names the table's frame and not the recording.

    References
    ----------
    BIDS specification 1.10, "The Inheritance Principle".
    """
    ours = _entities(path)
    for folder in reversed(bids_folders(path)):
        fitting = []
        for other in folder.glob(f"*{suffix}{ending}"):
            shared = {key: value for key, value in _entities(other).items() if key != "space"}.items() <= ours.items()
            bare = other.name == f"{suffix}{ending}"
            if other.is_file() and (bare or (parse_name(other).suffix == suffix and shared)):
                fitting.append(other)
        if fitting:
            return sorted(fitting, key=lambda other: (len(_entities(other)), other.name), reverse=True)
    return []


def electrodes_of(path: Path) -> tuple[Path | None, Path | None]:
    """Return the table of a recording's electrodes and the description of the axes that they are in.

    Of tables in several spaces the last by name that is described is taken.
    """
    tables = _all_inherited(path, "electrodes", ".tsv")
    axes = _all_inherited(path, "coordsystem", ".json")
    for table in tables:
        for described in axes:
            if _space(table) == _space(described):
                return table, described
    loose = [described for described in axes if not tables or not _space(tables[0]) or not _space(described)]
    return (tables[0] if tables else None), (loose[0] if loose else None)


def _space(path: Path) -> str:
    return parse_name(path).entities.get("space", "")


def _entities(path: Path) -> dict[str, str]:
    """Entities of a name, numbers without leading zeros: ``run-1`` is ``run-01``."""
    return {
        key: value.lstrip("0") if key in ("run", "split", "echo") else value
        for key, value in parse_name(path).entities.items()
    }


def description(root: Path) -> dict[str, Any]:
    """Return the fields of a data set's description."""
    fields = read_json(root / "dataset_description.json")
    return fields if isinstance(fields, dict) else {}
