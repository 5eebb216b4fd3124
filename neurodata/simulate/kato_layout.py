"""Simulated worms as raw files in the layout of Kato et al. 2015."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurodata.errors import NeurodataError
from neurodata.simulate.calcium import SimulatedWorm


def write_kato_layout(worms: Sequence[SimulatedWorm], folder: str | Path, *, with_times: bool = True) -> None:
    """Write worms as the files that the loader ``kato_brain_2015`` reads.

    Parameters
    ----------
    worms
        The worms, numbered from 1 in this order.
    folder
        Where to write; made where it is missing.
    with_times
        Whether to write ``time_worm_{1..}.csv`` with the true, jittered times of the samples: an extension of the
        layout, which the published files lack. Without it the loader takes the number of samples over
        ``duration_seconds`` as the rate (``--set duration_seconds=…`` where that is not 1080 s).

    Raises
    ------
    NeurodataError
        If the folder holds recordings already: those of more worms would stay and be mixed with these.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NeurodataError(f"{folder}: expected a folder to write to, this is a file")
    if folder.is_dir() and any(folder.glob("*worm*")):
        raise NeurodataError(f"{folder}: holds recordings already; choose an empty folder or delete them first")
    folder.mkdir(parents=True, exist_ok=True)
    columns, names = np.empty(len(worms), object), np.empty(len(worms), object)
    for i, worm in enumerate(worms):
        named = np.flatnonzero(worm.labels != "")
        columns[i], names[i] = named, [str(label) for label in worm.labels[named]]
        np.savez(folder / f"raw_full_data_worm_{i + 1}.npz", np.asfortranarray(worm.traces))
        (folder / f"worm_{i}_y.csv").write_text(",".join(map(str, worm.states.tolist())) + "\n")
        if with_times:
            (folder / f"time_worm_{i + 1}.csv").write_text(",".join(map(repr, worm.times.tolist())) + "\n")
    np.savez(folder / "known_neurons.npz", columns, names)
