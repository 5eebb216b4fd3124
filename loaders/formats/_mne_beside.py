"""Files that belong to a header: found beside it, whatever the case of their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def find_beside(path: Path, names: Sequence[str]) -> Path | None:
    """Return the first of some files that lies beside another one, None where none does.

    Names written on Windows may differ in case from those of the files. A folder in a name is not followed.

    Parameters
    ----------
    path
        The file that names the others.
    names
        What they may be called, the likeliest first.
    """
    last = [re.split(r"[\\/]", name)[-1] for name in names]
    last = [name for name in last if name.strip(". ")]
    exact = next((path.with_name(name) for name in last if _is_other(path.with_name(name), path)), None)
    if exact is not None or not last:
        return exact
    found = {file.name.lower(): file for file in sorted(path.parent.iterdir()) if _is_other(file, path)}
    return next((found[name.lower()] for name in last if name.lower() in found), None)


def _is_other(file: Path, path: Path) -> bool:
    return file != path and file.is_file()
