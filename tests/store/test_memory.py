"""Recordings far larger than memory pass through block by block."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import sys, threading, time
import numpy as np
from xarray.backends.common import BackendArray
from xarray.core import indexing
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.store.read import open_recording
from neurodata.store.verify import verify_recording
from neurodata.store.write import write_recording


class Noise(BackendArray):
    shape, dtype = (12_000_000, 64), np.dtype("int16")

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self.read)

    def read(self, key):
        rows = range(self.shape[0])[key[0]]
        return np.random.default_rng(rows.start).integers(-999, 999, (len(rows), 64), dtype="int16")[:, key[1]]


def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("RssAnon"))


def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.01)


peak = 0
threading.Thread(target=watch, daemon=True).start()
signal = make_signal(indexing.LazilyIndexedArray(Noise()), channel_id=[str(i) for i in range(64)], units="uV", rate_hz=2000.0)
assert signal.nbytes > 1.5e9
metadata = {"dataset": "d", "recording_id": "d/r", "subject": {"id": "s", "species": "unknown"}, "modality": "eeg"}
assert write_recording(Recording(metadata, {"eeg": signal}), sys.argv[1]) == "written"
recording = open_recording(sys.argv[1] + "/d/r")
np.testing.assert_array_equal(recording.signals["eeg"].sel(time=slice(3000, 3001)).shape, (2000, 64))
assert verify_recording(sys.argv[1] + "/d/r") == []
print(peak)
"""


@pytest.mark.slow
def test_streaming_a_recording_of_1500_mb_keeps_anonymous_memory_small(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("RssAnon is only told by Linux")
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000
    files = [path for path in (tmp_path / "d" / "r").rglob("*") if path.is_file()]
    assert len(files) <= 8 + 2 * 2 + 12_000_000 * 64 * 2 / 2**25
