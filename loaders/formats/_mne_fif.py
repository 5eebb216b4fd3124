"""FIF files from the outside: what they hold, whether they are whole, and which file goes on where one ends.

A FIF file is a chain of tags: kind, type, number of bytes, position of the next one (each a big-endian int32), then
the bytes (Neuromag, "FIFF file format"; constants as in MNE-Python's ``mne._fiff.constants``).
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from neurodata.errors import RawFileError

_FILE_ID, _BLOCK_START, _REF_ROLE, _REF_NUMBER, _REF_NAME = 100, 104, 115, 117, 118
_RAW_BLOCKS = {102: "raw", 112: "raw", 119: "raw"}
"""Raw data, continuous data, and data recorded with Internal Active Shielding."""
_OTHER_BLOCKS = {
    104: "averaged responses", 352: "a forward solution", 355: "a covariance matrix", 351: "a source space",
    310: "a boundary element model", 362: "an ICA solution", 107: "head digitisation", 313: "projectors",
}  # fmt: skip
_EPOCHS_BLOCK = 373
_PREVIOUS, _NEXT = 1, 2
_MOST_TAGS = 5_000_000


@dataclass
class Contents:
    """What a scan of the tags found.

    Parameters
    ----------
    blocks
        Kinds of block, in order.
    previous, following
        Names of the files of which this one is a part, as it states them; empty where it states none.
    """

    blocks: list[int] = field(default_factory=list)
    previous: str = ""
    following: str = ""

    @property
    def kind(self) -> str:
        """``epochs``, ``raw``, or what else the file holds in words."""
        if _EPOCHS_BLOCK in self.blocks:
            return "epochs"
        if any(block in _RAW_BLOCKS for block in self.blocks):
            return "raw"
        return next((_OTHER_BLOCKS[block] for block in self.blocks if block in _OTHER_BLOCKS), "no samples")


def find_parts(path: Path, head: bytes) -> tuple[Path, ...]:
    """Return the files of a recording that begins with this FIF file; none for other files and for later parts.

    Raises
    ------
    RawFileError
        If the file is FIF but cut off or without samples, or if another part is missing.
    """
    if not _is_fif(head):
        return ()
    contents = scan(path)
    if contents.kind not in ("raw", "epochs"):
        raise RawFileError(f"{path}: a FIF file with {contents.kind}, no recording")
    if contents.previous:
        first = Path(contents.previous).name
        if (path.parent / first).is_file():
            return ()
        raise RawFileError(f"{path}: it goes on from {first!r}, which is not beside it; copy all parts")
    parts = [path]
    while contents.following:
        part = _beside(parts[-1], contents.following)
        if not part.is_file():
            raise RawFileError(f"{path}: it goes on in {part.name!r}, which is not beside it; copy all parts")
        if part in parts:
            raise RawFileError(f"{path}: its parts name each other in a circle; they are damaged")
        contents = scan(part)
        parts.append(part)
    return tuple(parts)


def holds_epochs(path: Path) -> bool:
    """Tell whether a FIF file holds epochs rather than a continuous recording."""
    return scan(path).kind == "epochs"


def _is_fif(head: bytes) -> bool:
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 16)
        except zlib.error:
            return False
    return len(head) >= 12 and struct.unpack(">3i", head[:12]) == (_FILE_ID, 31, 20)


def scan(path: Path) -> Contents:
    """Walk through the tags of a FIF file (plain or gzip) without reading the samples.

    Raises
    ------
    RawFileError
        If a tag reaches beyond the end of the file, or the chain is broken.
    """
    contents, role = Contents(), 0
    try:
        for kind, content in _tags(path):
            if kind == _BLOCK_START:
                contents.blocks.append(struct.unpack(">i", content)[0])
                role = 0
            elif kind == _REF_ROLE:
                role = struct.unpack(">i", content)[0]
            elif kind in (_REF_NAME, _REF_NUMBER):
                _note_reference(contents, path, role, kind, content)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise RawFileError(f"{path}: the FIF file is cut off or damaged ({error}); copy it again") from error
    return contents


def _note_reference(contents: Contents, path: Path, role: int, kind: int, content: bytes) -> None:
    if kind == _REF_NAME:
        name = content.rstrip(b"\0").decode("latin-1")
    else:  # some files give the number of the next part only
        number = struct.unpack(">i", content)[0]
        first, dot, rest = path.name.partition(".")
        name = f"{re.sub(r'-[0-9]+$', '', first)}-{number}{dot}{rest}"
    if role == _NEXT:
        contents.following = name if kind == _REF_NAME else contents.following or name
    elif role == _PREVIOUS:
        contents.previous = name if kind == _REF_NAME else contents.previous


def _beside(path: Path, name: str) -> Path:
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise RawFileError(
            f"{path}: it goes on in {name!r}, a path out of its folder, which is not followed; "
            "keep all parts in one folder"
        )
    return path.with_name(name)


_WANTED = {_BLOCK_START, _REF_ROLE, _REF_NUMBER, _REF_NAME}


def _tags(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        length = None if packed else path.stat().st_size
        stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=plain) if packed else plain
        for _ in range(_MOST_TAGS):
            head = stream.read(16)
            if len(head) < 16:
                if head:
                    raise EOFError("the last tag is incomplete")
                return
            kind, _, size, following = struct.unpack(">4i", head)
            here = stream.tell()
            if size < 0 or (length is not None and here + size > length):
                raise EOFError(f"a tag of {size} bytes at byte {here - 16} reaches past the end of the file")
            if kind in _WANTED and size <= 4096:
                yield kind, stream.read(size)
            if following == -1:
                return
            target = following if following > 0 else here + size
            if target < here:
                # A directory points back to a part that was written before it; what follows has been seen.
                return
            stream.seek(target)
        raise EOFError(f"it has more than {_MOST_TAGS} tags")
