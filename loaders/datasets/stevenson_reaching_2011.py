"""Stevenson et al. 2011: motor cortex of a monkey reaching to targets, as shipped with spykesML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim, Facts, RecordingFacts, describe_sources
from ..formats._matlab_v5 import list_v5, read_v5
from ..formats._variables_tree import Tree, find_array
from ..one_file import OneFileLoader

_FILE = "m1_stevenson_2011.mat"
_VARIABLES = {"time", "spikes", "handVel", "handPos"}
_RATE_HZ = 20.0


class StevensonReaching2011(OneFileLoader):
    """Binned spikes of primary motor cortex (M1) while a monkey makes centre-out reaches.

    171 neurons from chronically implanted Utah arrays, one rhesus monkey, 12.9 minutes, 50 ms bins (20 Hz).

    - ``signals/spike_counts``: spikes per bin, uint8 as in the file, all neurons in file order.
    - ``signals/hand_position`` (m) and ``signals/hand_velocity`` (m/s): three rows each as in the file, channels
      ``x``, ``y`` and ``z``; the task is planar, ``z`` is zero throughout. Decoding target: the velocity.

    Odd: neurons come first in the file. The time of each bin is taken as the bin's start: the file does not say
    whether it is start, middle or end, and nobody can tell from it. Time starts at 12.591 s. It is rounded, so 173 of
    the 15536 times stand 0.5 ms before the 20 Hz clock; ``clock=file`` keeps the file's own times. Lengths are given
    without a unit; metres were inferred from the range of the reaches. There is no trial structure.

    Licence of the files: MIT (repository spykesML).

    Parameters
    ----------
    raw
        ``m1_stevenson_2011.mat`` or the folder that holds it.
    clock
        ``regular``: 20 Hz from the first time on. ``file``: every time as the file has it.

    References
    ----------
    Stevenson IH et al. 2011, J Neurophysiol 106:764-774, doi:10.1152/jn.00626.2010.
    """

    file: ClassVar[str] = _FILE
    part: ClassVar[str] = "m1"
    content: ClassVar[str] = f"the variables {', '.join(sorted(_VARIABLES))}"
    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="spiking/benjamin2018-m1-s1",
        species="Macaca mulatta",
        modality="spikes",
        signal="spike_counts",
        targets=("signals/hand_velocity", "signals/hand_position"),
        recordings={
            "m1": RecordingFacts(
                subject="monkey_m1", n_channels=171, n_samples=15536, rate_hz=20.0, duration_seconds=12.591 + 15536 / 20
            )
        },
    )

    def __init__(self, raw: str | Path, *, clock: Literal["regular", "file"] = "regular") -> None:
        super().__init__(raw, clock=clock)
        self.clock = clock

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording where the file has its published name and exactly its four variables."""
        if not path.is_file() or path.name != _FILE:
            return []
        shapes = list_v5(path)
        planar = {name: shape for name, shape in shapes.items() if name in ("handVel", "handPos")}
        if set(shapes) != _VARIABLES or any(shape[0] != 3 for shape in planar.values()):
            return []
        return [Claim(path, (path,), "m1")]

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If the file is damaged, its variables differ in length, or its times are not 50 ms apart.
        """
        self.check_session(session)
        tree = read_v5(self.path)
        clock = self._read_clock(tree)
        arrays = {name: find_array(tree, name).values().T for name in ("spikes", "handPos", "handVel")}
        lengths = {name: len(values) for name, values in arrays.items()} | {"time": clock.pop("n_samples")}
        if len(set(lengths.values())) > 1:
            raise RawFileError(f"{tree.path}: expected variables of one length, got {lengths}; fetch the file again")
        axes = ["x", "y", "z"]
        signals = {
            "spike_counts": make_signal(
                arrays["spikes"],
                channel_id=[f"neuron{i:03d}" for i in range(arrays["spikes"].shape[1])],
                units="spikes/bin",
                bin_seconds=1 / _RATE_HZ,
                time_convention="bin start (assumed: the file does not say)",
                **clock,
            ),
            "hand_position": make_signal(arrays["handPos"], channel_id=axes, units="m", role="behavior", **clock),
            "hand_velocity": make_signal(arrays["handVel"], channel_id=axes, units="m/s", role="behavior", **clock),
        }
        return Recording(self._metadata(session), signals)

    def _read_clock(self, tree: Tree) -> dict[str, Any]:
        times = find_array(tree, "time").vector()
        off = np.abs(times - (times[:1] + np.arange(len(times)) / _RATE_HZ))
        # NaN among the times is an error too
        if len(times) < 2 or not (off <= 0.001).all():
            raise RawFileError(f"{tree.path}: expected times 50 ms apart (to 1 ms), they are not; is it another file?")
        if self.clock == "file":
            return {"time": times, "n_samples": len(times)}
        source = f"50 ms bins; {int((off > 1e-6).sum())} times of the file stand up to {1000 * off.max():.1f} ms off"
        return {
            "rate_hz": _RATE_HZ,
            "start_seconds": float(times[0]),
            "n_samples": len(times),
            "sampling_rate_source": source,
        }

    def _metadata(self, session: str) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": "monkey_m1", "species": "Macaca mulatta"},
            "modality": "spikes",
            "device": "chronically implanted Utah arrays, primary motor cortex (M1)",
            "task": "centre-out reaching with a manipulandum",
            "licence": "MIT (repository spykesML)",
            "citation": "Stevenson IH et al. 2011, J Neurophysiol 106:764-774, doi:10.1152/jn.00626.2010; as shipped with "
            "Benjamin AS et al. 2018, Front Comput Neurosci 12:56, doi:10.3389/fncom.2018.00056",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
            "extra": {"units_source": "metres and metres per second inferred from the ranges; not stated in the file"},
        }
