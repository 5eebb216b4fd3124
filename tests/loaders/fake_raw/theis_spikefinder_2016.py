"""Calcium with true spikes as shipped: a cell array of structs per neuron, spikes padded with NaN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from neurodata.loaders.base import Facts, RecordingFacts

N_FRAMES, RATE_HZ, N_SPIKES = 300, 50.0, 12


def recording(seed: int, *, column: bool) -> dict[str, np.ndarray]:
    """Fluorescence, frame times and spikes (in ten-thousandths of a second) of one recording."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=N_FRAMES)
    spikes = np.full((20, 1), np.nan)
    spikes[:N_SPIKES, 0] = np.sort(rng.uniform(0, 1e4 * N_FRAMES / RATE_HZ, N_SPIKES))
    return {
        "fluo_time": (np.arange(1, N_FRAMES + 1) / RATE_HZ)[None],
        "fluo_mean": values[:, None] if column else values[None],
        "events_AP": spikes,
    }


def write_neuron(path: Path, recordings: list[dict[str, np.ndarray]]) -> None:
    """Write the recordings of one neuron."""
    cells = np.empty((1, len(recordings)), object)
    for i, entry in enumerate(recordings):
        cells[0, i] = entry
    savemat(path, {"CAttached": cells}, do_compression=True)


def write_raw(folder: Path) -> Facts:
    """Write two neurons, the second with two recordings, and say what is in them."""
    folder.mkdir(parents=True)
    name = "CAttached_Theis16_set3_GCaMP6s_V1_cell_{}_mini.mat"
    write_neuron(folder / name.format(2), [recording(0, column=True)])
    write_neuron(folder / name.format(10), [recording(1, column=False), recording(2, column=True)])
    return Facts(
        data_folder="",
        species="Mus musculus",
        modality="calcium",
        signal="fluorescence",
        targets=("events/spikes",),
        recordings={
            part: RecordingFacts(
                subject=part.partition("_")[0],
                n_channels=1,
                n_samples=N_FRAMES,
                rate_hz=RATE_HZ,
                duration_seconds=(N_FRAMES + 1) / RATE_HZ,
                n_units=1,
                n_spikes=N_SPIKES,
            )
            for part in ("cell2", "cell10", "cell10_part2")
        },
    )
