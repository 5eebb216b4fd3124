"""MATLAB files of version 4, 5, 6 and 7, through scipy."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from ._matlab_sizes import MOST_BYTES, check_sizes
from ._variables_tree import Array, Cells, Node, Opaque, Struct, Text, Tree, child_path

_MOST_VARIABLES_V4 = 10_000
_V4_WIDTH = (8, 4, 4, 2, 2, 1)


def is_v5(head: bytes) -> bool:
    """Tell whether a file's first 128 bytes are the header of a version 5, 6 or 7 file.

    The text at the start is free (Octave and scipy write their own); version and byte order are not.
    """
    if len(head) < 128 or 0 in head[:4]:  # version 5 files never begin with a zero among their first four bytes
        return False
    return head[124:128] in (b"\x00\x01IM", b"\x01\x00MI") and all(
        32 <= byte < 127 or byte in (0, 9, 10, 13) for byte in head[:116]
    )


def is_v4(path: Path) -> bool:
    """Tell whether a file is a chain of version 4 variables that ends exactly where the file does."""
    n_bytes, position, count = path.stat().st_size, 0, 0
    if n_bytes < 24:
        return False
    with path.open("rb") as stream:
        while position < n_bytes:
            size = _v4_variable(stream.read(20), stream)
            count += 1
            if size is None or position + size > n_bytes or count > _MOST_VARIABLES_V4:
                return False
            position += size
            stream.seek(position)
    return position == n_bytes


def _v4_variable(header: bytes, stream: Any) -> int | None:
    """Length of a version 4 variable with its header, None where it is none."""
    if len(header) < 20:
        return None
    kind, rows, columns, imaginary, name_length = struct.unpack("<5i", header)
    if not 0 <= kind < 5000:
        kind, rows, columns, imaginary, name_length = struct.unpack(">5i", header)
    machine, zero, precision, shape = kind // 1000, kind // 100 % 10, kind // 10 % 10, kind % 10
    if not (0 <= kind < 5000 and machine <= 1 and zero == 0 and precision <= 5 and shape <= 2):
        return None
    if rows < 0 or columns < 0 or imaginary not in (0, 1) or not 2 <= name_length <= 64:
        return None
    name = stream.read(name_length)
    if len(name) < name_length or name[-1:] != b"\0" or not name[:-1].decode("latin-1").isidentifier():
        return None
    n_values: int = rows * columns
    return int(20 + name_length + n_values * _V4_WIDTH[precision] * (1 + imaginary))


def read_v5(path: Path) -> Tree:
    """Read a file whole.

    Raises
    ------
    RawFileError
        If it is damaged, or larger than what can be read at once.
    """
    with path.open("rb") as stream:
        first = stream.read(128)
    if path.stat().st_size > MOST_BYTES:
        raise RawFileError(
            f"{path}: {path.stat().st_size} bytes; a MATLAB file before version 7.3 can only be read whole, which is "
            f"done up to {MOST_BYTES}. Save it with -v7.3, which is read piece by piece"
        )
    if is_v5(first):
        check_sizes(path)
    variables = _load(path)
    fields = {name: make_node(value, name) for name, value in variables.items() if not name.startswith("__")}
    return Tree(path, Struct("", fields))


def _load(path: Path) -> dict[str, Any]:
    import scipy.io

    try:
        with warnings.catch_warnings():
            # Duplicate names are those of objects, which are listed as not read.
            warnings.simplefilter("ignore")
            loaded: dict[str, Any] = scipy.io.loadmat(path, struct_as_record=True, squeeze_me=False, spmatrix=False)
    except Exception as error:  # scipy lets nearly every kind through on damaged files
        raise RawFileError(
            f"{path}: expected a MATLAB file that scipy can read ({type(error).__name__}: {error}); fetch it again"
        ) from error
    return loaded


def make_node(value: Any, path: str) -> Node:
    """Return a value that scipy has read as a variable."""
    from scipy.io import matlab
    from scipy.sparse import issparse

    if isinstance(value, (matlab.MatlabFunction, matlab.MatlabOpaque)):
        return Opaque(path, "function handle" if isinstance(value, matlab.MatlabFunction) else "object", value.shape)
    if issparse(value):
        return Array(path, value.shape, value.dtype, "sparse", lambda key: value[key].toarray())
    if not isinstance(value, np.ndarray):
        return Text(path, (str(value),)) if isinstance(value, str) else Opaque(path, type(value).__name__)
    if value.dtype.names is not None:
        return _structs(value, path)
    if value.dtype.kind == "O":
        items = [make_node(item, f"{path}[{i}]") for i, item in enumerate(value.ravel(order="F"))]
        return Cells(path, tuple(items), value.shape)
    if value.dtype.kind in "US":
        return Text(path, tuple(str(row).rstrip("\0") for row in value.ravel(order="F")) or ("",))
    return make_array(value, path)


def make_array(values: NDArray[Any], path: str) -> Array:
    """Return numbers in memory as a variable."""
    return Array(path, values.shape, values.dtype.newbyteorder("="), values.dtype.name, lambda key: values[key])


def _structs(value: NDArray[Any], path: str) -> Node:
    names = value.dtype.names or ()

    def one(element: Any, where: str) -> Struct:
        return Struct(where, {name: make_node(element[name], child_path(where, name)) for name in names})

    if value.size == 1:
        return one(value.ravel()[0], path)
    items = tuple(one(element, f"{path}[{i}]") for i, element in enumerate(value.ravel(order="F")))
    return Cells(path, items, value.shape, "struct array")


def list_v5(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name and shape of the variables at the top of a file; nothing where it is no MATLAB file before 7.3."""
    import scipy.io

    with path.open("rb") as stream:
        if not is_v5(stream.read(128)) and not is_v4(path):
            return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: tuple(shape) for name, shape, _ in scipy.io.whosmat(path)}
    except Exception as error:  # scipy lets nearly every kind through on damaged files
        raise RawFileError(
            f"{path}: expected a whole MATLAB file, but it is truncated or damaged ({error}); fetch it again"
        ) from error
