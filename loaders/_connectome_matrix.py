"""A CSV matrix of connections: rows presynaptic, columns postsynaptic, names in the first row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import NeurodataError, RawFileError
from neurodata.identity.celegans import check_names
from neurodata.recording.connectome import Connectome, Table, from_dense

from ._connectome_names import clean_names, in_order, shorten

_NOTHING = {"", "nan", "na", "n/a"}
_SHOWN = 8


def read_matrix(
    rows: list[list[str]],
    path: Path,
    *,
    kind: str,
    source: str,
    units: str,
    sex: str | None,
    other_cells: str,
) -> Connectome:
    """Return a matrix of connections as a connectome of one table.

    Parameters
    ----------
    rows
        Cells of the file, the header first.
    path
        The file, for messages.
    kind, source, units
        What the table is.
    sex, other_cells
        See `open_connectome`.

    Raises
    ------
    RawFileError
        If the table is not square in names, or a cell is not a number or negative; says where.
    """
    post, pre = [name.strip() for name in rows[0][1:]], [row[0].strip() for row in rows[1:]]
    _check_shape(rows, pre, post, path)
    values = _read_cells(rows, pre, post, path, signed=kind == "functional")
    cells = clean_names(pre, path.name, sex=sex, source=source, other_cells=other_cells)
    kept = [i for i, name in enumerate(pre) if name in cells.of]
    names = [cells.of[pre[i]] for i in kept]
    _check_unique(names, [pre[i] for i in kept], cells.sex, path)
    neurons = in_order(names, cells.sex)
    places = {name: i for i, name in enumerate(neurons)}
    columns = {name: i for i, name in enumerate(post)}
    aligned = np.full((len(neurons), len(neurons)), np.nan)
    at = [places[name] for name in names]
    aligned[np.ix_(at, at)] = values[np.ix_(kept, [columns[pre[i]] for i in kept])]
    edges, table = from_dense(aligned, neurons, Table(kind, source, units))
    problems = [*cells.problems, *_oddities(aligned, neurons, table, set(names))]
    if pre != post:
        problems.append("rows and columns name the same cells in different orders; read by name")
    if cells.others and other_cells != "keep":
        lost = values.copy()
        lost[np.ix_(kept, [columns[pre[i]] for i in kept])] = 0.0
        problems.append(
            f"{len(cells.others)} cells that are no neurons are left out with {int((lost > 0).sum())} connections of "
            f"weight {np.nansum(lost):g} in all: {shorten(cells.others)}"
        )
    elif cells.others:
        problems.append(f"{len(cells.others)} cells that are no neurons are kept: {shorten(cells.others)}")
    said = tuple(f"{kind} {source}: {problem}" for problem in problems)
    return Connectome(neurons, edges, (table,), said, cells.sex)


def _check_shape(rows: list[list[str]], pre: list[str], post: list[str], path: Path) -> None:
    ragged = [f"line {i + 1} has {len(row)}" for i, row in enumerate(rows) if len(row) != len(rows[0])]
    if ragged:
        raise RawFileError(
            f"{path}: the header has {len(rows[0])} cells, but {shorten(ragged, 5)}; fetch the file again"
        )
    if sorted(pre) != sorted(post):
        strange = sorted(set(pre) ^ set(post))
        raise RawFileError(
            f"{path}: a matrix of connections is square, its rows and columns name the same cells; got {len(pre)} × "
            f"{len(post)}, {len(strange)} of them on one side only ({shorten(strange, 5) or 'some come twice'})"
        )


def _check_unique(names: list[str], raw: list[str], sex: str, path: Path) -> None:
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if not twice:
        return
    repeated = [name for name, clean in zip(raw, names) if clean in twice]
    try:
        check_names(repeated, sex)
    except NeurodataError as error:
        raise RawFileError(f"{path}: rows repeat: {error}") from error
    raise RawFileError(f"{path}: rows repeat: {shorten(sorted(repeated))}")


def _read_cells(
    rows: list[list[str]], pre: list[str], post: list[str], path: Path, *, signed: bool
) -> NDArray[np.float64]:
    """Numbers of the matrix; NaN where a cell is empty."""
    problems: list[str] = []
    values = np.full((len(pre), len(post)), np.nan)
    try:
        quick = np.array([[cell.strip() or "nan" for cell in row[1:]] for row in rows[1:]], np.str_).astype(np.float64)
        if not np.isinf(quick).any() and (signed or not (quick < 0).any()):
            return np.asarray(quick)
    except ValueError:
        pass  # cell by cell, to say which
    for i, row in enumerate(rows[1:]):
        for j, cell in enumerate(row[1:]):
            text = cell.strip()
            if text.lower() in _NOTHING:
                continue
            try:
                values[i, j] = float(text)
            except ValueError:
                problems.append(f"{pre[i]}→{post[j]}: {text!r} is not a number")
                continue
            if not np.isfinite(values[i, j]) or (values[i, j] < 0 and not signed):
                problems.append(f"{pre[i]}→{post[j]}: {text} is {'negative' if values[i, j] < 0 else 'not finite'}")
    if problems:
        more = f"\n  - and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        listed = "\n".join(f"  - {problem}" for problem in problems[:_SHOWN])
        raise RawFileError(
            f"{path}: expected counts from 0 on, or empty cells for what was not reconstructed; {len(problems)} cells are "
            f"neither:\n{listed}{more}"
        )
    return values


def _oddities(values: NDArray[np.float64], neurons: tuple[str, ...], table: Table, given: set[str]) -> list[str]:
    problems = []
    unlisted = [name for name in table.missing if name not in given]
    empty = [name for name in table.missing if name in given]
    if empty:
        problems.append(f"{len(empty)} neurons are not part of this reconstruction (empty cells): {shorten(empty)}")
    if unlisted:
        problems.append(f"{len(unlisted)} neurons are not in the table: {shorten(unlisted)}")
    if table.measured == "listed":
        problems.append("some pairs of its neurons are empty cells; only the others count as measured")
    known = np.nan_to_num(values)
    idle = [
        name
        for i, name in enumerate(neurons)
        if name not in table.missing and not (known[i].any() or known[:, i].any())
    ]
    if idle:
        problems.append(f"{len(idle)} of its neurons have no connection at all: {shorten(idle)}")
    own = np.flatnonzero(np.diag(known))
    if own.size:
        named = shorten([f"{neurons[i]} ({known[i, i]:g})" for i in own])
        problems.append(f"{own.size} self-junctions of weight {np.diag(known).sum():g} in all, kept: {named}")
    if np.any(known % 1):
        problems.append(f"{int((known % 1 != 0).sum())} weights are no whole numbers, kept")
    if table.kind == "electrical":
        problems += asymmetries(known, neurons)
    return problems


def asymmetries(known: NDArray[np.float64], neurons: tuple[str, ...]) -> list[str]:
    """Say which gap junctions differ between the two directions of a pair; none where all agree."""
    one, two = np.nonzero(np.triu(known != known.T))
    if not one.size:
        return []
    named = [f"{neurons[i]}–{neurons[j]} ({known[i, j]:g}, {known[j, i]:g})" for i, j in zip(one, two)]
    once = int(((known[one, two] == 0) | (known[two, one] == 0)).sum())
    return [
        f"{one.size} gap junctions differ between the two directions ({once} are in one direction only), kept as they are; "
        f"symmetrise with a rule of yours: {shorten(named)}"
    ]
