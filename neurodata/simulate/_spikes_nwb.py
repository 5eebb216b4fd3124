"""A simulated population as an NWB file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from neurodata.simulate._spikes_truth import BEHAVIOR_HZ, SimulatedSpikes

_START = datetime(2020, 1, 1, tzinfo=UTC)
"""Of every simulated session, so that the same seed gives the same file."""


def write_nwb(recording: SimulatedSpikes, path: Path, *, subject: str) -> None:
    """Write units, behaviour and states of a simulated recording; the truth behind them is not written.

    Parameters
    ----------
    recording
        What was simulated.
    path
        File to write.
    subject
        Id of the simulated animal.
    """
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.behavior import Position
    from pynwb.file import Subject

    file = NWBFile(
        session_description=f"simulated spikes ({recording.kind}); no animal was recorded",
        identifier=f"{recording.kind}-{subject}",
        session_start_time=_START,
        file_create_date=_START,
        keywords=["simulated", recording.kind],
        experiment_description="simulated population with known truth",
    )
    file.subject = Subject(
        subject_id=subject, species="Mus musculus", sex="U", age="P90D", description="simulated, not an animal"
    )
    whole = np.array([[0.0, recording.seconds]])
    for times in recording.spike_times:
        file.add_unit(spike_times=times, obs_intervals=whole)
    position = Position(name="Position")
    position.create_spatial_series(
        name="cursor",
        data=recording.behavior,
        rate=BEHAVIOR_HZ,
        starting_time=0.0,
        unit="meters",
        reference_frame="(0, 0) is the middle of the screen",
        description="position that the simulated animal moves a cursor to",
    )
    module = file.create_processing_module(name="behavior", description="simulated behaviour")
    module.add(position)
    _add_states(file, recording)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def _add_states(file: object, recording: SimulatedSpikes) -> None:
    from pynwb import NWBFile
    from pynwb.epoch import TimeIntervals

    assert isinstance(file, NWBFile)
    table = TimeIntervals(name="states", description="runs of one state of the simulated animal")
    table.add_column(name="label", description="name of the state")
    table.add_column(name="code", description="number of the state, from 0")
    stops = np.append(recording.state_starts[1:], recording.seconds)
    for start, stop, code in zip(recording.state_starts.tolist(), stops.tolist(), recording.states.tolist()):
        table.add_row(start_time=start, stop_time=stop, label=recording.state_names[code], code=code)
    file.add_time_intervals(table)
