"""Made-up NWB files, written by pynwb: one with nearly every kind of data, one of human units, one of cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
from pynwb import behavior, ecephys, misc, ogen, ophys
from pynwb.file import Subject

START = datetime(2021, 3, 4, 10, 30, tzinfo=UTC)
N_TRIALS, N_UNITS = 12, 3


def old_types(make: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    """Make what today's pynwb calls deprecated, for files of yesterday hold it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*deprecated")
        return make(*arguments, **fields)


def make_file(name: str, **fields: Any) -> pynwb.NWBFile:
    return pynwb.NWBFile(
        session_description=f"made up: {name}", identifier=name, session_start_time=START, session_id="s1", **fields
    )


def write_file(nwb: pynwb.NWBFile, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def add_electrodes(nwb: pynwb.NWBFile, n: int = 4, location: str = "CA1") -> ecephys.ElectrodeGroup:
    device = nwb.create_device(name="probe", description="silicon probe")
    group = nwb.create_electrode_group(name="shank0", description="one shank", location=location, device=device)
    nwb.add_electrode_column(name="channel_name", description="name on the probe")
    for i in range(n):
        nwb.add_electrode(
            x=1.0 * i,
            y=2.0,
            z=-3.0,
            imp=1e5 + i,
            location=location,
            filtering="none",
            group=group,
            channel_name=f"c{i}",
        )
    return group


def add_trials(nwb: pynwb.NWBFile) -> None:
    nwb.add_trial_column(name="stimulus", description="what was shown")
    nwb.add_trial_column(name="choice", description="-1, 0 or 1")
    nwb.add_trial_column(name="go_time", description="NaN where there was none")
    nwb.add_trial_column(name="rewarded", description="whether")
    nwb.add_trial_column(name="licks", description="times of licks", index=True)
    for i in range(N_TRIALS):
        nwb.add_trial(
            start_time=i * 2.0, stop_time=i * 2.0 + 1.5, stimulus=["left", "right", "néant"][i % 3], choice=i % 3 - 1,
            go_time=np.nan if i % 4 == 0 else i * 2.0 + 0.5, rewarded=bool(i % 2), licks=[i + 0.1 * k for k in range(i % 3)],
        )  # fmt: skip
    nwb.add_epoch(start_time=0.0, stop_time=10.0, tags=["first", "calm"])
    nwb.add_epoch(start_time=10.0, stop_time=24.0, tags=["second"])
    nwb.add_invalid_time_interval(start_time=3.0, stop_time=3.5, tags=["noise"])


def add_units(nwb: pynwb.NWBFile, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    nwb.add_unit_column(name="quality", description="by hand")
    nwb.add_unit_column(name="snr", description="signal to noise")
    for i in range(N_UNITS):
        nwb.add_unit(
            id=10 + i, spike_times=np.sort(rng.random(20 + i) * 24), obs_intervals=[[0.0, 10.0], [12.0, 24.0]],
            electrodes=[i, i + 1], waveform_mean=rng.normal(size=8), quality=["good", "mua"][i % 2], snr=[1.5, np.nan][i % 2],
        )  # fmt: skip


def write_ephys(path: Path, seed: int = 0) -> Path:
    """Voltages, LFP, units, behaviour, light, events, trials."""
    rng = np.random.default_rng(seed)
    nwb = make_file(
        "ephys", lab="a lab", institution="a house", keywords=["mouse", "reach"], experimenter=["Doe, Jane"],
        related_publications=["doi:10.0000/made.up"],
        subject=Subject(subject_id="m1", species="mouse", sex="M", age="P90D", strain="C57BL/6J", date_of_birth=START),
    )  # fmt: skip
    add_electrodes(nwb)
    region = nwb.create_electrode_table_region(region=[0, 1, 2, 3], description="all")
    raw = rng.integers(-3000, 3000, (500, 4)).astype("int16")
    nwb.add_acquisition(
        ecephys.ElectricalSeries(
            name="raw",
            data=raw,
            electrodes=region,
            rate=20000.0,
            starting_time=0.25,
            conversion=1.95e-7,
            offset=1e-3,
            channel_conversion=[1.0, 2.0, 1.0, 0.5],
            description="wide band",
        )
    )
    part = nwb.create_electrode_table_region(region=[3, 1], description="two of them")
    lfp = ecephys.LFP(name="LFP")
    module = nwb.create_processing_module(name="ecephys", description="filtered")
    module.add(lfp)
    lfp.add_electrical_series(
        ecephys.ElectricalSeries(
            name="ElectricalSeries",
            data=rng.normal(size=(100, 2)),
            electrodes=part,
            timestamps=np.cumsum(rng.random(100)),
        )
    )
    add_behavior(nwb, rng)
    laser = nwb.create_device(name="laser")
    site = nwb.create_ogen_site(
        name="S1-left", device=laser, description="fibre", excitation_lambda=473.0, location="S1"
    )
    nwb.add_stimulus(ogen.OptogeneticSeries(name="light", data=rng.random(30), site=site, rate=10.0))
    nwb.add_stimulus(old_types(misc.AnnotationSeries, name="cues", data=["a", "b", "ä"], timestamps=[1.0, 2.0, 2.0]))
    add_trials(nwb)
    add_units(nwb)
    return write_file(nwb, path)


def add_behavior(nwb: pynwb.NWBFile, rng: np.random.Generator) -> None:
    module = nwb.create_processing_module(name="behavior", description="what it did")
    position = behavior.Position(name="Position")
    position.create_spatial_series(
        name="hand", data=rng.normal(size=(40, 2)), reference_frame="corner", rate=20.0, conversion=0.01, unit="meters"
    )
    speed = pynwb.TimeSeries(
        name="speed", data=rng.integers(0, 100, 40), unit="cm/s", timestamps=np.arange(40) * 0.5 + 0.1
    )
    licks = pynwb.TimeSeries(name="licks", data=np.ones(5), unit="n/a", timestamps=np.arange(5) + 0.5)
    epochs = old_types(behavior.BehavioralEpochs, name="BehavioralEpochs")
    epochs.add_interval_series(
        old_types(
            misc.IntervalSeries, name="running", data=np.array([1, -1, 2, -2], "int8"), timestamps=[1.0, 2.0, 3.0, 4.5]
        )
    )
    module.add([
        position,
        behavior.BehavioralTimeSeries(time_series=speed),
        old_types(behavior.BehavioralEvents, time_series=licks),
        epochs,
    ])  # fmt: skip


def write_human(path: Path, seed: int = 1) -> Path:
    """Units of patients who look at pictures, as NWB 2.4 files of that kind are laid out."""
    nwb = make_file(
        "human", subject=Subject(subject_id="P9", species="Human", sex="F", age="35 years", description="n/a")
    )
    add_electrodes(nwb, location="Left Amygdala")
    add_units(nwb, seed)
    nwb.add_acquisition(
        old_types(
            misc.AnnotationSeries,
            name="events",
            data=["61", "1", "2", "66"],
            timestamps=[0.0, 1.0, 2.0, 9.0],
            description="TTL",
        )
    )
    images = pynwb.base.Images(
        name="StimulusTemplates",
        images=[pynwb.image.GrayscaleImage(name=f"image_{i}", data=np.full((2, 3), i, "uint8")) for i in range(3)],
    )
    images.order_of_images = pynwb.base.ImageReferences(name="order_of_images", data=list(images.images.values()))
    nwb.add_stimulus_template(images)
    nwb.add_stimulus(
        pynwb.image.IndexSeries(
            name="StimulusPresentation",
            data=np.array([2, 0, 1], "uint32"),
            unit="N/A",
            indexed_images=images,
            timestamps=[1.0, 3.0, 5.0],
        )
    )
    nwb.add_trial_column(name="stimCategory", description="category")
    nwb.add_trial_column(name="response_time", description="s")
    for i in range(3):
        nwb.add_trial(
            start_time=1.0 + 2 * i, stop_time=2.5 + 2 * i, stimCategory=i, response_time=[np.nan, 0.5, 0.7][i]
        )
    return write_file(nwb, path)


def write_cells(path: Path, seed: int = 2) -> Path:
    """Fluorescence, neuropil and dF/F of five cells in one plane, two of them in the last."""
    rng = np.random.default_rng(seed)
    nwb = make_file(
        "cells",
        subject=Subject(
            subject_id="m2", species="http://purl.obolibrary.org/obo/NCBITaxon_10090", sex="female", age="P10W"
        ),
    )
    device = nwb.create_device(name="two-photon")
    plane = nwb.create_imaging_plane(
        optical_channel=ophys.OpticalChannel(name="green", description="filter", emission_lambda=510.0), description="layer 2/3", device=device,
        name="plane0", excitation_lambda=920.0, indicator="GCaMP6s", location="V1", imaging_rate=15.0,
    )  # fmt: skip
    segmentation = ophys.ImageSegmentation(name="ImageSegmentation")
    cells = segmentation.create_plane_segmentation(description="by hand", imaging_plane=plane, name="PlaneSegmentation")
    cells.add_column(name="accepted", description="by eye")
    for i in range(5):
        cells.add_roi(pixel_mask=[(i, 2 * i, 1.0), (i + 2, 2 * i, 3.0)], accepted=i != 3)
    traces = rng.normal(size=(60, 5)).astype("float32")
    module = nwb.create_processing_module(name="ophys", description="traces")
    fluorescence, dff = ophys.Fluorescence(name="Fluorescence"), ophys.DfOverF(name="DfOverF")
    module.add([segmentation, fluorescence, dff])
    everyone = cells.create_roi_table_region(description="all", region=[0, 1, 2, 3, 4])
    for name in ("RoiResponseSeries", "Neuropil"):
        fluorescence.create_roi_response_series(
            name=name, data=traces + len(name), rois=everyone, unit="n.a.", rate=15.0
        )
    some = cells.create_roi_table_region(description="two", region=[4, 1])
    dff.create_roi_response_series(name="RoiResponseSeries", data=traces[:, [4, 1]], rois=some, unit="dF/F", rate=15.0)
    movie = ophys.TwoPhotonSeries(
        name="movie", data=np.zeros((4, 3, 3), "uint16"), imaging_plane=plane, unit="n.a.", rate=15.0, description="raw"
    )
    nwb.add_acquisition(movie)
    return write_file(nwb, path)


def write_raw(folder: Path) -> set[str]:
    """Write three files and return the names of their recordings."""
    write_ephys(folder / "ephys.nwb")
    write_human(folder / "sub-P9" / "sub-P9_ses-1.nwb")
    write_cells(folder / "cells.nwb")
    return {"ephys", "sub-P9-sub-P9_ses-1", "cells"}
