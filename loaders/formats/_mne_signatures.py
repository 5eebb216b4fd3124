"""Which of the formats that MNE-Python reads a file or folder is, by what is in it, and which files belong to it.

Nothing here imports MNE: every file that ``auto`` meets is shown to these functions.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurodata.errors import RawFileError

from . import _mne_eeglab, _mne_fif
from ._mne_beside import find_beside

_HEAD_BYTES = 4096
_SHORTEST = 64
"""No recording is shorter, so every signature may look at so many bytes."""
_MOST_CHANNELS = 100_000
"""More channels than any machine has; a header that states more is damaged."""


@dataclass(frozen=True)
class Known:
    """What a path is.

    Parameters
    ----------
    kind
        Name of the format: a key of `neurodata.loaders.formats._mne_open.READERS`.
    files
        Every file that it is read from.
    """

    kind: str
    files: tuple[Path, ...]


def recognise(path: Path) -> Known | None:
    """Return what a file or folder is, None where it is nothing that is read here.

    Raises
    ------
    RawFileError
        If it is of one of the formats but cannot be read as it is; says why.
    """
    if path.is_dir():
        return _ctf(path) or _mff(path)
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if len(head) < _SHORTEST:
        return None
    for look in _LOOKS:
        known = look(path, head)
        if known:
            return known
    return None


def _fif(path: Path, head: bytes) -> Known | None:
    files = _mne_fif.find_parts(path, head)
    return Known("fif", files) if files else None


def _eeglab(path: Path, head: bytes) -> Known | None:
    files = _mne_eeglab.find_files(path, head)
    return Known("eeglab", files) if files else None


def _brainvision(path: Path, head: bytes) -> Known | None:
    first = head.split(b"\n", 1)[0].decode("latin-1")
    if not re.search(r"Brain ?Vision( Core| V-Amp)? Data( Exchange)? Header File", first):
        return None
    _check_suffix(path, (".vhdr", ".ahdr"))
    header = _text(path)
    stated = re.search(r"^NumberOfChannels\s*=\s*(\d+)", header, re.MULTILINE)
    if stated and int(stated[1]) > _MOST_CHANNELS:
        raise RawFileError(f"{path}: the header states {stated[1]} channels; it is damaged")
    data, markers = brainvision_companions(path, header)
    if data is None:
        name = _entry(header, "DataFile") or path.with_suffix(".eeg").name
        raise RawFileError(
            f"{path}: the samples are expected in {Path(name).name!r} beside the header, which is not there; "
            "put header, samples and markers (.vhdr, .eeg, .vmrk) into one folder"
        )
    return Known("brainvision", tuple(file for file in (path, data, markers) if file))


def brainvision_companions(path: Path, header: str | None = None) -> tuple[Path | None, Path | None]:
    """Return the files of samples and of markers beside a BrainVision header, None for what is not there.

    The header gives their names; where files were renamed since, those of the header's own name are taken. A folder
    in such a name is not followed.
    """
    header = _text(path) if header is None else header
    found: list[Path | None] = []
    for key, suffixes in (("DataFile", (".eeg", ".dat", ".avg", ".seg")), ("MarkerFile", (".vmrk", ".amrk"))):
        stated = _entry(header, key).replace("$b", path.stem)
        found.append(find_beside(path, [stated, *(path.with_suffix(suffix).name for suffix in suffixes)]))
    return found[0], found[1]


def _entry(header: str, key: str) -> str:
    match = re.search(rf"^{key}\s*=(.*)$", header, re.MULTILINE)
    return match[1].strip() if match else ""


def _gdf(path: Path, head: bytes) -> Known | None:
    if not re.match(rb"GDF [0-9]\.[0-9]", head):
        return None
    _check_suffix(path, (".gdf",))
    channels = struct.unpack("<H", head[252:254])[0] if len(head) >= 256 else 0
    if path.stat().st_size < 256 * (channels + 1) or channels == 0:
        raise RawFileError(f"{path}: the header states {channels} channels, which the file is too short for")
    return Known("gdf", (path,))


def _neuroscan(path: Path, head: bytes) -> Known | None:
    if not head.startswith(b"Version 3.0"):
        return None
    channels = struct.unpack("<H", head[370:372])[0] if len(head) >= 900 else 0
    if not channels > 0 or path.stat().st_size < 900 + 75 * channels:
        raise RawFileError(f"{path}: a Neuroscan CNT header of {channels} channels, which the file is too short for")
    return Known("cnt", (path,))


def _kit(path: Path, head: bytes) -> Known | None:
    """KIT/Ricoh ``.con`` and ``.sqd`` begin with a directory of blocks; the second is the system, the fifth the channels."""
    length = path.stat().st_size
    count = struct.unpack("<i", head[12:16])[0]
    if not 9 <= count <= 200 or len(head) < 16 * count:
        return None
    entries = list(struct.iter_unpack("<4i", head[: 16 * count]))
    if any(not 0 <= start <= length or size < 0 or number < 0 for start, size, _, number in entries[1:]):
        return None
    system = _at(path, entries[1][0], 272)
    if not system:
        return None
    version, revision, _ = struct.unpack("<3i", system[:12])
    channels = struct.unpack("<i", system[268:272])[0]
    is_text = all(byte in b"\0\n\r\t" or 32 <= byte < 127 for byte in system[12:40])
    if not (0 <= version <= 20 and 0 <= revision <= 1000 and 0 < channels <= 10_000 and is_text):
        return None
    if entries[4][0] + entries[4][1] * channels > length:
        return None
    _check_suffix(path, (".con", ".sqd", ".raw"))
    return Known("kit", (path,))


def _persyst(path: Path, head: bytes) -> Known | None:
    if not head.lstrip(b"\xef\xbb\xbf \r\n").lower().startswith(b"[fileinfo]"):
        return None
    header = _text(path)
    if not all(re.search(rf"^{key}\s*=", header, re.MULTILINE | re.IGNORECASE) for key in ("File", "WaveformCount")):
        return None
    _check_suffix(path, (".lay",))
    data = persyst_data(path, header)
    if not data.is_file():
        raise RawFileError(f"{path}: the samples are expected in {data.name!r} beside it, which is not there")
    return Known("persyst", (path, data))


def persyst_data(path: Path, header: str) -> Path:
    """Return the file of samples that a Persyst header names, beside it wherever the name leads."""
    match = re.search(r"^File\s*=(.*)$", header, re.MULTILINE | re.IGNORECASE)
    names = [match[1].strip() if match else "", path.with_suffix(".dat").name]
    return find_beside(path, names) or path.with_name(re.split(r"[\\/]", names[0] or names[1])[-1])


_NIHON = re.compile(rb"(EEG-1[12]00[ABC] V01\.00|QI-403A   V0[12]\.00|EEG-2100  V0[12]\.00|DAE-2100D V0[12]\.[03]0)")


def _nihon(path: Path, head: bytes) -> Known | None:
    if not _NIHON.match(head):
        return None
    if path.suffix.lower() != ".eeg":
        return None  # the companions .PNT and .LOG begin alike
    names = {f"{path.stem}{suffix}".lower() for suffix in (".pnt", ".21e", ".log", ".cmt", ".egf")}
    others = sorted(file for file in path.parent.iterdir() if file.name.lower() in names and file.is_file())
    return Known("nihon", (path, *others))


def _egi(path: Path, head: bytes) -> Known | None:
    """EGI simple binary: version 2, 4 or 6 (continuous int16, float32, float64), then a date that can be."""
    version, year, month, day, hour, minute, second, _, rate, channels = struct.unpack(">i6hi2h", head[:24])
    is_date = 1980 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61
    if version not in range(2, 8) or not is_date or not rate > 0 or not 0 < channels <= 1024:
        return None
    if version % 2:
        raise RawFileError(f"{path}: an EGI file cut into segments; export it as a continuous recording")
    return Known("egi", (path,))


def _ctf(path: Path) -> Known | None:
    res4, meg4 = sorted(path.glob("*.res4")), sorted(path.glob("*.meg4"))
    if path.suffix.lower() != ".ds" or not (res4 or meg4):
        return None
    if not (res4 and meg4):
        raise RawFileError(f"{path}: a CTF folder holds a .res4 header and .meg4 samples; copy the folder again")
    return Known("ctf", tuple(sorted(file for file in path.rglob("*") if file.is_file())))


def _mff(path: Path) -> Known | None:
    if not (path / "info.xml").is_file() or not (path / "signal1.bin").is_file():
        return None
    _check_suffix(path, (".mff",))
    return Known("egi", tuple(sorted(file for file in path.rglob("*") if file.is_file())))


_LOOKS: tuple[Callable[[Path, bytes], Known | None], ...] = (
    _fif, _brainvision, _gdf, _neuroscan, _persyst, _nihon, _kit, _egi, _eeglab,
)  # fmt: skip


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise RawFileError(
            f"{path}: its content asks for a name that ends in {' or '.join(suffixes)}, by which its reader goes; "
            "rename it"
        )


def _text(path: Path) -> str:
    if path.stat().st_size > 64 << 20:
        raise RawFileError(f"{path}: a text header of {path.stat().st_size} bytes; it is damaged")
    return path.read_bytes().decode("latin-1")


def _at(path: Path, offset: int, n_bytes: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        found = stream.read(n_bytes)
    return found if len(found) == n_bytes else b""
