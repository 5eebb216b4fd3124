"""Runs in a child process of its own: walks through an HDF5 file and says what is wrong with it."""

from __future__ import annotations

import math
import resource
import sys
from typing import Any

import h5py

_SMALL = 4 << 20
"""Datasets up to this many bytes are read whole, larger ones at their two ends."""
_MOST_VALUE = 64 << 20


class _RefusedError(Exception):
    pass


def main() -> None:
    """Look through the file of the command line (path, bytes of memory, number of objects)."""
    path, memory, most_objects = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with h5py.File(path, "r") as file:
            _walk(file, most_objects)
    except _RefusedError as error:
        print(f"refused: {error}")
        sys.exit(1)
    except Exception as error:
        print(f"refused: the HDF5 file is truncated or damaged ({type(error).__name__}: {error}); fetch it again")
        sys.exit(1)


def _walk(file: h5py.File, most_objects: int) -> None:
    pending: list[Any] = [file]
    seen: set[Any] = set()
    while pending:
        group = pending.pop()
        identity = h5py.h5o.get_info(group.id)
        key = (identity.fileno, identity.addr)
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > most_objects:
            raise _RefusedError(f"it holds more than {most_objects} groups and datasets")
        _read_attributes(group)
        if isinstance(group, h5py.Dataset):
            _check_dataset(group)
        elif isinstance(group, h5py.Group):
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise _RefusedError(
                        f"{group.name}/{name} lies in another file ({link.filename!r}), and no path from a file is "
                        "followed; put everything into one file"
                    )
                member = group.get(name) if isinstance(link, h5py.SoftLink) else group[name]
                if member is not None:  # a soft link may point at nothing
                    pending.append(member)


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        n_bytes = math.prod(attribute.shape or (1,)) * attribute.dtype.itemsize  # an empty attribute has no storage
        if n_bytes > _MOST_VALUE:
            raise _RefusedError(f"attribute {name!r} of {item.name} takes {n_bytes} bytes")
        item.attrs[name]


def _check_dataset(dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise _RefusedError(
            f"the values of {dataset.name} lie in another file, and no path from a file is followed; put everything "
            "into one file"
        )
    if dataset.shape is None or 0 in dataset.shape:
        return
    if math.prod(dataset.shape) * dataset.dtype.itemsize <= _SMALL:
        dataset[()]
        return
    first = tuple(0 for _ in dataset.shape)
    last = tuple(length - 1 for length in dataset.shape)
    if dataset.chunks is None or math.prod(dataset.chunks) * dataset.dtype.itemsize <= _MOST_VALUE:
        dataset[first]
        dataset[last]


if __name__ == "__main__":
    main()
