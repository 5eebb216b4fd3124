"""Benjamin et al. 2018: somatosensory cortex of a monkey reaching to random targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim, Facts, RecordingFacts, describe_sources
from ..formats._matlab_v5 import list_v5, read_v5
from ..formats._variables_tree import find_array
from ..one_file import OneFileLoader

_FILE = "s1_data.mat"
_VARIABLES = {"pos", "spikes", "vel"}
_RATE_HZ = 20.0


class BenjaminRandomTarget2018(OneFileLoader):
    """Binned spikes of somatosensory cortex (S1) while a monkey reaches to random targets.

    52 neurons from a chronically implanted Utah array, one monkey, 29.3 minutes, 50 ms bins (20 Hz).

    - ``signals/spike_counts``: spikes per bin, uint8 as in the file, all neurons in file order.
    - ``signals/hand_position`` (cm) and ``signals/hand_velocity`` (cm/s): channels ``x`` and ``y``. Decoding target:
      the velocity.

    Odd: time comes first in this file (its sister file has neurons first). There is no time vector: 50 ms follow from
    steps of position over velocity, and time counts from the first bin. Lengths are given without a unit; centimetres
    were inferred from the range of the reaches. There is no trial structure.

    Licence of the files: MIT (repository spykesML).

    Parameters
    ----------
    raw
        ``s1_data.mat`` or the folder that holds it.

    References
    ----------
    Benjamin AS et al. 2018, Front Comput Neurosci 12:56, doi:10.3389/fncom.2018.00056.
    """

    file: ClassVar[str] = _FILE
    part: ClassVar[str] = "s1"
    content: ClassVar[str] = f"the variables {', '.join(sorted(_VARIABLES))}"
    version: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        data_folder="spiking/benjamin2018-m1-s1",
        species="Macaca mulatta",
        modality="spikes",
        signal="spike_counts",
        targets=("signals/hand_velocity", "signals/hand_position"),
        recordings={
            "s1": RecordingFacts(
                subject="monkey_s1", n_channels=52, n_samples=35129, rate_hz=20.0, duration_seconds=35129 / 20
            )
        },
    )

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording where the file has its published name and exactly its three variables."""
        if not path.is_file() or path.name != _FILE:
            return []
        shapes = list_v5(path)
        if set(shapes) != _VARIABLES or any(shapes[name][1:] != (2,) for name in ("pos", "vel")):
            return []
        return [Claim(path, (path,), "s1")]

    def load(self, session: str) -> Recording:
        """Return the recording.

        Raises
        ------
        RawFileError
            If the file is damaged or its variables differ in length.
        """
        self.check_session(session)
        tree = read_v5(self.path)
        arrays = {name: find_array(tree, name).values() for name in sorted(_VARIABLES)}
        lengths = {name: len(values) for name, values in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise RawFileError(f"{tree.path}: expected variables of one length, got {lengths}; fetch the file again")
        clock: dict[str, Any] = {
            "rate_hz": _RATE_HZ,
            "sampling_rate_source": "steps of position over velocity are 0.05 s; no time vector is shipped",
        }
        signals = {
            "spike_counts": make_signal(
                arrays["spikes"],
                channel_id=[f"neuron{i:02d}" for i in range(arrays["spikes"].shape[1])],
                units="spikes/bin",
                bin_seconds=1 / _RATE_HZ,
                time_convention="bin start (assumed: the file does not say)",
                **clock,
            ),
            "hand_position": make_signal(arrays["pos"], channel_id=["x", "y"], units="cm", role="behavior", **clock),
            "hand_velocity": make_signal(arrays["vel"], channel_id=["x", "y"], units="cm/s", role="behavior", **clock),
        }
        return Recording(self._metadata(session), signals)

    def _metadata(self, session: str) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "recording_id": session,
            "subject": {"id": "monkey_s1", "species": "Macaca mulatta"},
            "modality": "spikes",
            "device": "chronically implanted Utah array, somatosensory cortex (S1)",
            "task": "random-target reaching with a manipulandum",
            "licence": "MIT (repository spykesML)",
            "citation": "Benjamin AS et al. 2018, Front Comput Neurosci 12:56, doi:10.3389/fncom.2018.00056",
            "source_files": describe_sources(self.source_files(session)),
            "loader": self.used,
            "extra": {
                "units_source": "centimetres and centimetres per second inferred from the ranges; not stated in the file"
            },
        }
