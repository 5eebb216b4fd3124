"""BrainVision headers that MNE-Python refuses although all that matters is in them."""

from __future__ import annotations

import inspect
import re
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import Any

from neurodata.checks import import_extra
from neurodata.errors import RawFileError

from ._mne_signatures import brainvision_companions

NO_SETTINGS = "the amplifier settings in the header's comment differ from its channels and are not read"


def read_brainvision(path: Path) -> Any:
    """Return an ``mne.io.BaseRaw`` of a BrainVision header, its companions as `brainvision_companions` finds them.

    MNE reads names in capitals (``.VHDR``), Latin-1 markers, and channels of one name or none not at all, and trips over
    a comment whose table of channels is not that of the recording (channels renamed or left out since). Such a header
    is read from a corrected copy; the samples stay where they are.
    """
    data, markers = brainvision_companions(path)
    written = _decoded(path)
    header = _with_names(written)
    if path.suffix in (".vhdr", ".ahdr") and header == written:
        try:
            return _read(path, data, markers)
        except (AssertionError, IndexError, ValueError):
            pass
    folder = tempfile.TemporaryDirectory(prefix="neurodata-")
    copy = Path(folder.name) / f"header{path.suffix.lower()}"
    if markers is not None:
        copied = copy.with_suffix(".vmrk")
        copied.write_text(_decoded(markers), encoding="utf-8")
        markers = copied
    try:
        copy.write_text(header, encoding="utf-8")
        raw = _read(copy, data, markers)
    except (AssertionError, IndexError):
        copy.write_text(re.sub(r"^\[Comment\][^\n]*\n(?:(?!\[\w+ \w+\]).*\n?)*", "", header, flags=re.M), "utf-8")
        raw = _read(copy, data, markers)
        warnings.warn(NO_SETTINGS, stacklevel=2)
    weakref.finalize(raw, folder.cleanup)
    return raw


def _read(path: Path, data: Path | None, markers: Path | None) -> Any:
    mne = import_extra("mne", "eeg")
    more: dict[str, Any] = {}
    if "overrides" in inspect.signature(mne.io.read_raw_brainvision).parameters:
        more["overrides"] = {
            "data_fname": str(data.absolute()) if data else "",
            "marker_fname": str(markers.absolute()) if markers else False,
        }
    else:
        _check_names(path, data, markers)
    return mne.io.read_raw_brainvision(path, preload=False, verbose="warning", **more)


def _decoded(path: Path) -> str:
    """A text file as UTF-8 and saying so; one that is no UTF-8 is of a Western European Windows."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    text = "\n".join(text.splitlines()) + "\n"
    return re.sub(r"^Codepage\s*=.*$", "Codepage=UTF-8", text, flags=re.MULTILINE)


def _with_names(header: str) -> str:
    """A header in which every channel has a name of its own: ``Cz``, ``Cz_2``, ``channel_3``."""
    given: set[str] = set()

    def rename(match: re.Match[str]) -> str:
        name = match[3].strip() or f"channel_{match[2]}"
        unique, number = name, 1
        while unique in given:
            number += 1
            unique = f"{name}_{number}"
        given.add(unique)
        return f"{match[1]}{unique},"

    before, mark, after = header.partition("[Channel Infos]")
    channels, end, rest = after.partition("\n[")
    return before + mark + re.sub(r"^(Ch(\d+)=)([^,\n]*),", rename, channels, flags=re.MULTILINE) + end + rest


def _check_names(path: Path, data: Path | None, markers: Path | None) -> None:
    header = path.read_bytes().decode("latin-1")
    for key, file in (("DataFile", data), ("MarkerFile", markers)):
        if file is not None and f"{key}={file.name}" not in header.replace(" ", ""):
            raise RawFileError(f"{path}: the header's {key} is not {file.name!r}, the file beside it; mend the header")
