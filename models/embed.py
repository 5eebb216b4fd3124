"""What a trained encoder says of a recording, as an array on its clock."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from neurodata import names
from neurodata.batches.collate import collate
from neurodata.batches.loader import WindowLoader
from neurodata.errors import NeurodataError
from neurodata.recording.recording import Recording
from neurodata.store.store import open_store
from neurodata.store.write import write_recording
from neurodata.windows.select import Windows, first_samples, make_windows
from neurodata.windows.splits import Stretch, split_by

from .adapt import encoder_of
from .carry_over import carry_over
from .open_like import open_like

OVERLAP = 2
"""Windows that a moment lies in; of each, about the middle half is kept, where most lies around it."""


def embed(
    model: Any, recording: Recording, *, inputs: str = "", seconds: tuple[float, float] | None = None
) -> xr.DataArray:
    """Return the latents of a recording, ``(time, latent)``.

    Windows overlap by about half, whole steps of the encoder's grid apart, and of each the middle is kept; less than a
    step may be left at the end. Channels that the model has never seen are known by their
    name, place and modality.

    Parameters
    ----------
    model
        A pretrained task, or its encoder.
    recording
        What to look at.
    inputs
        Its signal or events; ``""``: the only neural ones.
    seconds
        ``[start, stop)`` of the recording; None: all of it.

    Returns
    -------
    latents
        One row per step of the encoder's grid, with its middle as ``time`` in seconds; the latents of a step side by side.
        NaN where nothing was recorded.

    Raises
    ------
    NeurodataError
        If the stretch holds no window, or the model has no encoder.
    """
    encoder = encoder_of(model)
    with tempfile.TemporaryDirectory(prefix="neurodata-embed-") as folder:
        write_recording(recording, Path(folder) / "store")
        store = open_store(Path(folder) / "store")
        data = open_like(encoder.spec, store, split_by("recording"), inputs=inputs, cache=Path(folder) / "cache")
        [whole] = data.split.parts[names.TRAIN]
        first, last = seconds or (whole.start, whole.stop)
        stretch = Stretch(whole.recording_id, max(first, whole.start), min(last, whole.stop))
        if stretch.stop - stretch.start < data.window_seconds - 1e-9:
            raise NeurodataError(
                f"{recording.recording_id}: [{first:g}, {last:g}) s is shorter than the encoder's window of "
                f"{data.window_seconds:g} s; take a longer stretch"
            )
        network = carry_over(encoder, data.spec).eval()
        return _embed(network, data, stretch)


@torch.no_grad()
def _embed(network: Any, data: Any, stretch: Stretch) -> xr.DataArray:
    """Latents of overlapping windows put together on the grid of steps."""
    n_samples = _step_samples(network, data)
    windows = _on_the_grid(stretch, data, n_samples)
    loader = WindowLoader(data.windows_dataset(windows), 16, collate_fn=collate)
    start = windows.locate(0)[1]
    found: dict[int, tuple[float, Any]] = {}
    for batch in loader:
        latents = network.encode(network.see(batch))
        assert latents.tokens.n_samples == n_samples
        values = latents.values.flatten(2).float().numpy()
        heard, n_steps = latents.heard.numpy(), values.shape[1]
        for row, begin in enumerate(batch.first.tolist()):
            for step in range(n_steps):
                sample = begin + step * n_samples
                to_middle = abs(step - (n_steps - 1) / 2)
                kept = found.get((sample - start) // n_samples)
                if kept is None or to_middle < kept[0]:
                    vector = values[row, step] if heard[row, step] else np.full(values.shape[2], np.nan, np.float32)
                    found[(sample - start) // n_samples] = (to_middle, vector)
    keys = sorted(found)
    time = (start + (np.array(keys) + 0.5) * n_samples) / data.rate_hz
    array = np.stack([found[key][1] for key in keys])
    attributes = {"recording_id": stretch.recording_id, "encoder": type(network).__name__.lower()}
    return xr.DataArray(array, {"time": time}, ("time", "latent"), "latents", attributes)


def _step_samples(network: Any, data: Any) -> int:
    """Samples of a step of the encoder's grid."""
    spec = data.spec
    family = network.identity.family_here(
        torch.arange(1, spec.n_channel_ids), torch.ones(len(spec.vocabulary), dtype=torch.bool)
    )
    return min(int(network.patching(family).n_samples(data.rate_hz)), int(spec.window_samples))


def _on_the_grid(stretch: Stretch, data: Any, n_samples: int) -> Windows:
    """Windows of a stretch that begin whole steps apart, so that all have the same grid."""
    begin, end = (int(edge[0]) for edge in first_samples([stretch], data.rate_hz))
    length = int(data.spec.window_samples)
    last = begin + max(0, end - begin - length) // n_samples * n_samples
    stride = max(1, length // OVERLAP // n_samples) * n_samples
    rate_hz = data.rate_hz
    return make_windows(
        [Stretch(stretch.recording_id, begin / rate_hz, (last + length) / rate_hz)], rate_hz, data.window_seconds, stride / rate_hz
    )  # fmt: skip
