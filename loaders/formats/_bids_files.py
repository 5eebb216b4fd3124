"""Files of a BIDS data set: which are recordings, and which tables hold for which of them."""

from __future__ import annotations

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


def inherited(path: Path, suffix: str, ending: str) -> Path | None:
    """Return the most specific table (or JSON file) of a kind that holds for a recording, None where there is none.

    Its entities are among the recording's; ``space`` names the table's frame and not the recording.

    References
    ----------
    BIDS specification 1.10, "The Inheritance Principle".
    """
    ours = parse_name(path).entities
    for folder in reversed(bids_folders(path)):
        fitting = []
        for other in folder.glob(f"*{suffix}{ending}"):
            name = parse_name(other)
            bare = other.name == f"{suffix}{ending}"
            shared = {key: value for key, value in name.entities.items() if key != "space"}.items() <= ours.items()
            if other.is_file() and (bare or (name.suffix == suffix and shared)):
                fitting.append(other)
        if fitting:
            return max(fitting, key=lambda other: (len(parse_name(other).entities), other.name))
    return None


def description(root: Path) -> dict[str, Any]:
    """Return the fields of a data set's description."""
    fields = read_json(root / "dataset_description.json")
    return fields if isinstance(fields, dict) else {}
