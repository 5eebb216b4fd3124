"""How fast field data is written: `write_recording`, beside plain zarr-python writing the same array.

Both write the same int16 samples (time, channel) with the same chunks, shards and codecs, shard by shard. Plain zarr
does nothing else; ours also checks the schema, computes the sha256 of the values, writes the channel columns and all
metadata, and moves the finished recording to its place. Repeats are interleaved, so that what else the machine does
falls on both; the medians and their ratio are printed.

    python scripts/benchmarks/write_field_data.py [--channels 64] [--rate-hz 2048] [--seconds 900] [--repeats 3]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.store.chunks import plan_chunks
from neurodata.store.write import write_recording


def make_samples(path: Path, n_samples: int, n_channels: int, seed: int) -> None:
    """Write EEG-like integers (a random walk with noise, which compresses as recordings do) as a ``.npy`` file."""
    rng = np.random.default_rng(seed)
    values = np.lib.format.open_memmap(path, "w+", np.int16, (n_samples, n_channels))
    level = np.zeros(n_channels)
    step = 1 << 16
    for first in range(0, n_samples, step):
        size = min(step, n_samples - first)
        slow = level + np.cumsum(rng.standard_normal((size, n_channels)) * 4, axis=0)
        slow *= 0.999 ** np.arange(size)[:, None]
        level = slow[-1]
        values[first : first + size] = (slow + 20 * rng.standard_normal((size, n_channels))).astype(np.int16)
    values.flush()


def make_recording(path: Path, rate_hz: float) -> Recording:
    """A recording whose samples stay in their file."""
    values: NDArray[np.int16] = np.load(path, mmap_mode="r")
    n_channels = values.shape[1]
    lazy = lazy_rows((len(values), n_channels), np.int16, lambda first, after: np.asarray(values[first:after]))
    signal = make_signal(
        lazy,
        channel_id=[f"ch{i:03d}" for i in range(n_channels)],
        units="uV",
        rate_hz=rate_hz,
        columns={"label": [f"E{i}" for i in range(n_channels)]},
        scale_factor=0.1,
        add_offset=0.0,
    )
    metadata = {
        "dataset": "benchmark",
        "recording_id": "benchmark/field",
        "subject": {"id": "nobody", "species": "unknown"},
        "modality": "eeg",
    }
    return Recording(metadata, {"eeg": signal})


def write_ours(recording: Recording, folder: Path) -> float:
    """Seconds that `write_recording` takes."""
    begin = time.perf_counter()
    write_recording(recording, folder)
    return time.perf_counter() - begin


def write_plain(path: Path, folder: Path) -> float:
    """Seconds that zarr-python takes for the same array, chunks, shards and codecs."""
    values: NDArray[np.int16] = np.load(path, mmap_mode="r")
    begin = time.perf_counter()
    chunks = plan_chunks(values.shape, values.dtype.itemsize)
    array = zarr.create_array(
        folder,
        shape=values.shape,
        dtype="<i2",
        chunks=chunks.chunk,
        shards=chunks.shard,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    rows = chunks.stored[0]
    for first in range(0, len(values), rows):
        array[first : first + rows] = np.asarray(values[first : first + rows])
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--rate-hz", type=float, default=2048.0)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    n_samples = int(options.seconds * options.rate_hz)
    megabytes = n_samples * options.channels * 2 / 1e6
    work = Path(tempfile.mkdtemp(prefix="write_field_data_"))
    try:
        source = work / "samples.npy"
        make_samples(source, n_samples, options.channels, options.seed)
        ours, plain = [], []
        for repeat in range(options.repeats):
            plain.append(write_plain(source, work / f"plain{repeat}"))
            ours.append(write_ours(make_recording(source, options.rate_hz), work / f"ours{repeat}"))
            for name in (f"plain{repeat}", f"ours{repeat}"):
                shutil.rmtree(work / name)
    finally:
        shutil.rmtree(work)
    fast, slow = (megabytes / statistics.median(times) for times in (plain, ours))
    print(f"{options.channels} channels x {options.rate_hz:g} Hz x {options.seconds:g} s int16: {megabytes:.0f} MB")
    print(f"zarr-python      {fast:7.1f} MB/s  ({', '.join(f'{megabytes / t:.1f}' for t in plain)})")
    print(f"write_recording  {slow:7.1f} MB/s  ({', '.join(f'{megabytes / t:.1f}' for t in ours)})")
    print(f"ratio            {slow / fast:7.2f}  (target: 0.6 or more)")


if __name__ == "__main__":
    main()
