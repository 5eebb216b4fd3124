"""``params.py`` of a phy folder, read as text: nothing in it is ever run."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from neurodata.errors import RawFileError

_MOST_BYTES = 1 << 16
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\s*=\s*([^=].*)")


def read_params(path: Path) -> dict[str, Any]:
    r"""Return what ``params.py`` assigns, as far as it is a number, text or a list of them on one line.

    Line by line, for many a file is no valid Python (``dat_path = 'C:\Users…'``).

    Raises
    ------
    RawFileError
        If the file is too large or no text.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RawFileError(f"{path}: {path.stat().st_size} bytes; expected a few lines of settings")
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror})") from error
    params: dict[str, Any] = {}
    for line in text.splitlines():
        match = _ASSIGNMENT.match(line.strip())
        if match:
            params[match[1]] = _value(match[2].strip())
    return params


def _value(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in paths, which are none of the reader's business
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        # A path with backslashes, a call such as Path('…'), a list that goes on in the next line.
        quoted = re.search(r"(['\"])(.*?)\1", text)
        return quoted[2] if quoted else text
    return value


def file_names(value: Any) -> list[str]:
    """Return the names, without folders, of the raw files that ``dat_path`` names."""
    entries = value if isinstance(value, (list, tuple)) else [value]
    names = [
        PureWindowsPath(entry).name if "\\" in entry else PurePosixPath(entry).name
        for entry in entries
        if isinstance(entry, str)
    ]
    return [name[:200] for name in names if name]
