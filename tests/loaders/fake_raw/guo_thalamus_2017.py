"""Made-up sessions in the layout of Guo et al. 2017, written by pynwb."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pynwb
from pynwb.file import Subject

from neurodata.loaders.base import Facts, RecordingFacts

TRIALS = (("lick left", "correct", 0), ("lick right", "incorrect", 1), ("non-performing", "N/A", 1), ("lick left", "early lick", 1))  # fmt: skip
"""Type, response and whether there was light, per trial."""

N_SPIKES = (30, 20, 7)
NAMES = ("anm00000001_2017-06-27_09-35-49", "anm00000002_2017-06-28_10-00-00")
LAST_STOP = 8.5 * len(TRIALS)
COLUMNS = (
    "type", "response", "stim_present", "is_good", "photo_stim_type", "photo_stim_period", "photo_stim_power",
    "photo_loc_galvo_x", "photo_loc_galvo_y", "photo_loc_galvo_z", "cue_end_time", "cue_start_time", "pole_in_time",
    "pole_out_time",
)  # fmt: skip


def write_session(path: Path, name: str, *, doi: str = "doi:10.1038/nature22324", odd_type: str | None = None) -> Path:
    rng = np.random.default_rng(0)
    nwb = pynwb.NWBFile(
        session_description="made up", identifier=name, session_start_time=datetime(2017, 6, 27, 9, 35, 49, tzinfo=UTC),
        related_publications=[doi], institution="a house", experimenter=["Doe, Jane"],
        subject=Subject(subject_id=name.split("_")[0], species="Mus musculus", sex="M", age="P90D", genotype="Ai32 x PV-Cre"),
    )  # fmt: skip
    group = nwb.create_electrode_group(
        name="ADunit_32", description="N/A", location="Thalamus", device=nwb.create_device(name="ADunit")
    )
    for i in range(4):
        nwb.add_electrode(x=0.1 * i, y=-4.0, z=-2.0, location="Thalamus", group=group)
    nwb.add_unit_column(name="cell_type", description="narrow or wide")
    for i, n_spikes in enumerate(N_SPIKES):
        waveform = rng.normal(size=29).astype("float32")
        times = np.sort(rng.random(n_spikes) * (LAST_STOP - 1))
        nwb.add_unit(id=i + 1, spike_times=times, electrodes=[i], waveform_mean=waveform, cell_type="narrow")
    for column in COLUMNS:
        nwb.add_trial_column(name=column, description=column)
    for i, (kind, response, light) in enumerate(TRIALS):
        performed = kind != "non-performing"
        at = [8.5 * i + offset if performed else np.nan for offset in (3.3, 3.2, 0.6, 1.9)]
        nwb.add_trial(
            start_time=8.5 * i, stop_time=8.5 * (i + 1), type=odd_type or kind, response=response, stim_present=light,
            is_good=int(performed), photo_stim_type="stimulation", photo_stim_period="delay" if light else "N/A",
            photo_stim_power=1.5 * light * performed, photo_loc_galvo_x=1.5 * light, photo_loc_galvo_y=2.5 * light,
            photo_loc_galvo_z=0.0, cue_end_time=at[0], cue_start_time=at[1], pole_in_time=at[2], pole_out_time=at[3],
        )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def write_raw(folder: Path) -> Facts:
    """Write two sessions and return what is true of them."""
    for name in NAMES:
        write_session(folder / f"sub_{name.split('_')[0]}_ecephys_and_ogen.nwb", name)
    recordings = {
        name: RecordingFacts(
            subject=name.split("_")[0], duration_seconds=LAST_STOP, n_units=len(N_SPIKES), n_spikes=sum(N_SPIKES)
        )
        for name in NAMES
    }
    return Facts(
        data_folder="",
        species="Mus musculus",
        modality="spikes",
        signal=None,
        recordings=recordings,
        targets=("intervals/trials", "intervals/photostimulation"),
        interval_labels={"trials": frozenset({"lick_left", "lick_right", "non-performing"})},
    )
