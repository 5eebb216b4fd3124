"""Made-up EEG and MEG files in the formats that MNE-Python reads, written by MNE, by scipy and byte by byte."""

from __future__ import annotations

import datetime
import struct
import warnings
from pathlib import Path
from typing import Any

import mne
import numpy as np
import scipy.io

RATE, N_SAMPLES = 100.0, 600


def samples(n_channels: int, n_samples: int = N_SAMPLES, seed: int = 0) -> np.ndarray:
    """Volts, shape (channel, time)."""
    return np.random.default_rng(seed).normal(scale=2e-5, size=(n_channels, n_samples))


def write_fif(path: Path, **save: Any) -> mne.io.RawArray:
    """Two kinds of MEG sensors, EEG with places, EOG, a trigger channel, a gap's worth of annotations, a later start."""
    names = ["MEG 001", "MEG 002", "MEG 003", "Fc5.", "T3", "Cz..", "EOG1", "STI 014"]
    info = mne.create_info(names, RATE, ["mag", "mag", "grad", "eeg", "eeg", "eeg", "eeg", "stim"])
    for i, channel in enumerate(info["chs"][:3]):
        channel["loc"][:] = [0.01 * i, 0.02, 0.1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    info["bads"] = ["T3"]
    with info._unlock():
        info["line_freq"], info["highpass"] = 50.0, 0.5
    info["subject_info"] = {"his_id": "S07", "last_name": "Doe", "sex": 2, "hand": 1}
    values = samples(len(names))
    values[:3] *= 1e-8
    values[-1] = 0
    values[-1, 100:110], values[-1, 300:301], values[-1, 400:420] = 5, 1_000_001, 7
    raw = mne.io.RawArray(values, info, first_samp=250, verbose="error")
    raw.set_meas_date(datetime.datetime(2020, 3, 4, 5, 6, 7, tzinfo=datetime.UTC))
    raw.set_annotations(mne.Annotations([1.5, 2.0, 4.0], [0.0, 1.25, 0.5], ["blink", "BAD_move", "rest"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of file names that MNE would choose otherwise
        raw.save(path, overwrite=True, verbose="error", **save)
    return raw


def write_epochs(path: Path, every: int = 60) -> mne.EpochsArray:
    """Four epochs of half a second of an EEG channel and an EOG."""
    info = mne.create_info(["Cz", "VEOG"], RATE, ["eeg", "eog"])
    events = np.column_stack([100 + every * np.arange(4), np.zeros(4, int), [1, 2, 2, 1]])
    values = np.random.default_rng(3).normal(scale=1e-5, size=(4, 2, 50))
    epochs = mne.EpochsArray(values, info, events, tmin=-0.1, event_id={"left": 1, "right": 2}, verbose="error")
    epochs.save(path, overwrite=True, verbose="error")
    return epochs


def write_brainvision(
    path: Path, *, orientation: str = "MULTIPLEXED", kind: str = "INT_16", data: str = ""
) -> np.ndarray:
    """Three channels, one of them in degrees; returns the stored numbers, shape (time, channel)."""
    dtype = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}[kind]
    numbers = np.random.default_rng(4).integers(-3000, 3000, size=(N_SAMPLES, 3)).astype(dtype)
    laid = numbers if orientation == "MULTIPLEXED" else numbers.T
    np.ascontiguousarray(laid).tofile(path.with_suffix(".eeg"))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n; made up\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={data or path.with_suffix('.eeg').name}\nMarkerFile={path.with_suffix('.vmrk').name}\n"
        f"DataFormat=BINARY\nDataOrientation={orientation}\nNumberOfChannels=3\nDataPoints={N_SAMPLES}\n"
        f"SamplingInterval=10000\n\n[Binary Infos]\nBinaryFormat={kind}\n\n[Channel Infos]\n"
        "Ch1=FP1,,0.5,µV\nCh2=HEOG,,0.1,µV\nCh3=Temp,,0.01,°C\n",
        encoding="utf-8",
    )
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.with_suffix('.eeg').name}\n\n[Marker Infos]\n"
        "Mk1=New Segment,,1,1,0,20200102030405000000\nMk2=Stimulus,S  1,101,1,0\nMk3=Comment,pause,201,150,0\n",
        encoding="utf-8",
    )
    return numbers


def eeglab_struct(n_epochs: int = 1, n_points: int = N_SAMPLES) -> dict[str, Any]:
    """The struct ``EEG`` of three channels; the second is an EOG that is not typed, the third has no place."""
    empty = np.zeros((0, 0))
    chanlocs = np.array(
        [("F3", 0.68, 0.57, 0.47, empty), ("EOG1", 0.73, -0.31, -0.61, empty), ("T8", empty, empty, empty, "EEG")],
        dtype=[(name, object) for name in ("labels", "X", "Y", "Z", "type")],
    )
    event = np.array(
        [("square", 51.5, 2, 0), ("rt", 101.0, empty, 0), ("pause", 301.0, empty, 120)],
        dtype=[(name, object) for name in ("type", "latency", "position", "duration")],
    )
    return {
        "setname": "made up", "filename": "x.set", "filepath": "/home/someone", "subject": "S1", "comments": "",
        "nbchan": 3, "trials": n_epochs, "pnts": n_points, "srate": RATE, "xmin": 0.0, "xmax": (n_points - 1) / RATE,
        "times": empty, "icaweights": empty, "chanlocs": chanlocs, "event": event, "ref": "common",
    }  # fmt: skip


def write_eeglab(path: Path, *, inside: bool = False, flat: bool = False, **sizes: int) -> np.ndarray:
    """Returns the microvolts, shape (channel, time)."""
    eeg = eeglab_struct(**sizes)
    n_epochs, n_points = eeg["trials"], eeg["pnts"]
    values = (samples(3, n_epochs * n_points, seed=5) * 1e6).astype(np.float32)
    if n_epochs > 1:
        eeg["xmin"] = -0.5
    if inside:
        eeg["data"] = values.reshape(3, n_points, n_epochs, order="F") if n_epochs > 1 else values
    else:
        eeg["data"] = eeg["datfile"] = path.with_suffix(".fdt").name
        values.T.tofile(path.with_suffix(".fdt"))
    scipy.io.savemat(path, eeg if flat else {"EEG": eeg}, appendmat=False, do_compression=inside)
    return values


def write_gdf(path: Path) -> np.ndarray:
    """GDF 1.25 of two channels of 16-bit integers, 0.1 µV a step, with one event; returns them, (time, channel)."""
    numbers = np.random.default_rng(6).integers(-3000, 3000, size=(N_SAMPLES, 2)).astype("<i2")
    header = b"GDF 1.25" + b"P01 X".ljust(80) + b"made up".ljust(80) + b"2020010203040500" + struct.pack("<q", 768)
    header += bytes(8 * 3 + 20) + struct.pack("<q2I", N_SAMPLES // 100, 1, 1) + struct.pack("<I", 2)
    for text, width in (("Cz", 16), ("", 80), ("uV", 8)):
        header += text.encode().ljust(width) + (b"C4" if text == "Cz" else text.encode()).ljust(width)
    header += struct.pack("<4d", -3276.8, -3276.8, 3276.7, 3276.7) + struct.pack("<4q", -32768, -32768, 32767, 32767)
    header += bytes(160) + struct.pack("<2i", 100, 100) + struct.pack("<2i", 3, 3) + bytes(64)
    records = numbers.reshape(-1, 100, 2).transpose(0, 2, 1)
    events = struct.pack("<BBBBI", 1, 100, 0, 0, 1) + struct.pack("<IH", 151, 769)
    path.write_bytes(header.ljust(768, b"\0")[:768] + records.tobytes() + events)
    return numbers


def write_cnt(path: Path) -> np.ndarray:
    """Neuroscan CNT of two channels of 32-bit integers with one event; returns them, (time, channel)."""
    numbers = np.random.default_rng(7).integers(-30_000, 30_000, size=(N_SAMPLES, 2)).astype("<i4")
    header = bytearray(900)
    header[:11] = b"Version 3.0"
    header[225:245] = b"03/04/20  05:06:07  "
    struct.pack_into("<H", header, 370, 2)
    struct.pack_into("<H", header, 376, int(RATE))
    struct.pack_into("<i", header, 864, N_SAMPLES)
    struct.pack_into("<i", header, 886, 900 + 150 + numbers.nbytes)
    for name in (b"CZ", b"VEOG"):
        channel = bytearray(75)
        channel[: len(name)] = name
        struct.pack_into("<f", channel, 59, 4.0)
        struct.pack_into("<f", channel, 71, 1.0)
        header += channel
    position = 900 + 150 + 200 * 2 * 4
    events = struct.pack("<Bii", 1, 8, 0) + struct.pack("<HBci", 33, 0, b"\0", position)
    path.write_bytes(bytes(header) + numbers.tobytes() + events)
    return numbers


def write_persyst(path: Path, patient: str = "BirthDate=01/02/90\nSex=female\nHand=left\n") -> np.ndarray:
    """Persyst of two channels of 16-bit integers, 0.2 µV a step; returns them, (time, channel)."""
    numbers = np.random.default_rng(8).integers(-3000, 3000, size=(N_SAMPLES, 2)).astype("<i2")
    numbers.tofile(path.with_suffix(".dat"))
    path.write_text(
        f"[FileInfo]\nFile={path.with_suffix('.dat').name}\nFileType=Interleaved\nSamplingRate=100\nHeaderLength=0\n"
        "Calibration=0.2\nWaveformCount=2\nDataType=0\n[ChannelMap]\nFp1-Ref=1\nO2-Ref=2\n[SampleTimes]\n0=100.0\n"
        f"[Comments]\n1.5,0.0,0,100,seizure\n[Patient]\nFirst=Jane\nLast=Doe\n{patient}TestDate=2020.01.02\n"
        "TestTime=03:04:05\nID=P01\n"
    )
    return numbers


def write_egi(path: Path) -> np.ndarray:
    """EGI simple binary of three float32 channels (µV) and one event; returns them, (time, channel)."""
    numbers = (samples(3, seed=9).T * 1e6).astype(">f4")
    header = struct.pack(">i6hi5h", 4, 2020, 1, 2, 3, 4, 5, 0, int(RATE), 3, 1, 0, 0)
    header += struct.pack(">ih", N_SAMPLES, 1) + b"stm1"
    event = np.zeros((N_SAMPLES, 1), ">f4")
    event[150] = 1
    path.write_bytes(header + np.hstack([numbers, event]).astype(">f4").tobytes())
    return numbers


def write_raw(folder: Path) -> set[str]:
    """Write one recording of each format and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    write_fif(folder / "meg_raw.fif")
    write_epochs(folder / "tones-epo.fif")
    write_brainvision(folder / "visit.vhdr")
    write_eeglab(folder / "beside.set")
    write_eeglab(folder / "inside.set", inside=True, flat=True)
    write_gdf(folder / "bci.gdf")
    write_cnt(folder / "scan.cnt")
    write_persyst(folder / "clinic.lay")
    write_egi(folder / "net.raw")
    return {"meg_raw", "tones-epo", "visit", "beside", "inside", "bci", "scan", "clinic", "net"}
